//! Request ledgers that other systems keep: each file here knows one system's rows and brings them to the
//! columns of [`crate::domain::ledger_columns`], with what is known to go wrong in them as notes. Pure: rows
//! come from a database or a file as text, and nothing here knows which.

mod bifrost;
mod helicone;
mod langfuse;
mod litellm;
mod newapi;
pub mod routes;
mod row;
mod values;

pub use row::{Raw, Row};

use crate::domain::ledger_findings::Note;
use crate::domain::money::Amount;
use crate::domain::usage::Precision;
use hashbrown::{DefaultHashBuilder, HashMap};
use routes::Route;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// A column that a ledger is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    /// The same in other exports of the system.
    pub others: &'static [&'static str],
}

/// One kind of foreign ledger.
pub struct Kind {
    /// As the job file writes it.
    pub name: &'static str,
    /// What its rows are read from, in the order in which [`Raw`] has them.
    pub fields: &'static [Field],
    /// Without these it is not such a ledger. Each is the name of a field.
    pub required: &'static [&'static str],
    /// The field that says when a call began.
    pub time: &'static str,
    /// Its table in a database; `None` for a kind that is read from files alone.
    pub table: Option<&'static str>,
    /// How it writes its costs.
    pub precision: Precision,
    /// Members of a JSON document that hold the rows.
    pub lists: &'static [&'static str],
    /// Id and version of a row, where several versions of one row may stand in the ledger.
    pub version: Option<fn(&Raw<'_>) -> Option<Version>>,
    read: fn(&Raw<'_>, &mut Memory, &Settings, &mut Row) -> Result<Read, String>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All kinds besides `native`, in the order of their names.
pub const KINDS: [&Kind; 5] = [&bifrost::KIND, &helicone::KIND, &langfuse::KIND, &litellm::KIND, &newapi::KIND];

/// The kind of that name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.into_iter().find(|kind| kind.name == name)
}

/// What a job says about a foreign ledger.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub routes: Vec<Route>,
    /// new-api: quota that one dollar buys.
    pub quota_per_unit: Option<Amount>,
}

/// What a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A call: the row's cells and notes say which.
    Call,
    /// Structure, not a call: nothing to count.
    NotACall,
    /// Counted and not used; the row's cells still say when and how much.
    LeftOut(Note),
}

/// Which row it is and which of its versions; the greatest version is the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub id: u128,
    pub version: i64,
}

/// Reads the rows of one ledger, in their order.
pub struct Reader<'s> {
    kind: &'static Kind,
    settings: &'s Settings,
    memory: Memory,
    latest: HashMap<u128, i64>,
}

impl<'s> Reader<'s> {
    pub fn new(kind: &'static Kind, settings: &'s Settings) -> Self {
        Reader { kind, settings, memory: Memory::default(), latest: HashMap::new() }
    }

    /// Fields of a row.
    pub fn width(&self) -> usize {
        self.kind.fields.len()
    }

    /// Notes the version of a row before any is read: of several versions only the latest is a row.
    pub fn see(&mut self, raw: &Raw<'_>) {
        if let Some(seen) = self.kind.version.and_then(|version| version(raw)) {
            let latest = self.latest.entry(seen.id).or_insert(seen.version);
            *latest = seen.version.max(*latest);
        }
    }

    /// Reads a row into `row`, which is emptied first.
    ///
    /// # Errors
    /// Field, what was expected and what was found: the row is to be set aside.
    pub fn read(&mut self, raw: &Raw<'_>, row: &mut Row) -> Result<Read, String> {
        row.clear();
        let read = (self.kind.read)(raw, &mut self.memory, self.settings, row)?;
        let version = self.kind.version.and_then(|version| version(raw));
        let superseded = version.is_some_and(|seen| self.latest.get(&seen.id).is_some_and(|latest| *latest > seen.version));
        Ok(if superseded && read != Read::NotACall { Read::LeftOut(row.superseded()) } else { read })
    }
}

/// What the rows before have shown, by digest.
#[derive(Default)]
struct Memory {
    seen: HashMap<u128, u128>,
}

impl Memory {
    /// What stands under `key`; `value` from now on if nothing did.
    fn first(&mut self, key: u128, value: u128) -> u128 {
        *self.seen.entry(key).or_insert(value)
    }

    fn knows(&self, key: u128) -> bool {
        self.seen.contains_key(&key)
    }
}

/// A digest that is equal for equal values within a run and practically never for others.
fn digest(value: impl Hash) -> u128 {
    static DIGESTS: std::sync::LazyLock<DefaultHashBuilder> = std::sync::LazyLock::new(DefaultHashBuilder::default);
    let half = |salt: u8| u128::from(DIGESTS.hash_one((salt, &value)));
    half(0) << 64 | half(1)
}

/// Declares a kind's fields: an index for each, and the list.
macro_rules! fields {
    ($($variant:ident $name:literal $([$($other:literal),*])?)*) => {
        /// Index of each field.
        #[derive(Clone, Copy)]
        enum F { $($variant),* }
        const FIELDS: &[crate::ledgers::Field] = &[$(crate::ledgers::Field { name: $name, others: &[$($($other),*)?] }),*];
    };
}
use fields;
