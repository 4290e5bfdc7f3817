//! What providers' pages have that this version does not expect: a field that is new, or one that holds something of
//! another kind than documented (reliability.md section 5).

/// What stands at a place of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Text,
    Number,
    /// True or false.
    Flag,
    Object,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Text, Kind::Number, Kind::Flag, Kind::Object];

    /// As the lists of known fields and messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Number => "number",
            Kind::Flag => "flag",
            Kind::Object => "object",
        }
    }
}

/// A field of a report that is not as this version knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// `data.results.amount.value`, without marks for lists; or the name of a column.
    pub field: String,
    pub what: Change,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nobody knows it: it is not read.
    New,
    /// A number written as text or the reverse is read all the same where it is exact; rows with anything else are
    /// set aside when they are read.
    Kind { found: Kind, expected: Vec<Kind> },
}

/// What the pages of one report look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub provider: &'static str,
    pub report: &'static str,
    /// Each field that was seen with what stands in it, in the order of their names: `data.object text`.
    pub fields: Vec<String>,
    pub notices: Vec<Notice>,
    /// New fields beyond those that are named.
    pub more: u64,
}
