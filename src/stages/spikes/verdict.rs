//! What the detector is told and what it says: an hour, its limits, the judgement.

/// An hour of a series: when, and where in the local week and month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Start, Unix seconds. Rises from call to call.
    pub at: i64,
    /// Local hour, 0 to 23.
    pub hour: u8,
    /// Local day of the week, 0 to 6.
    pub weekday: u8,
    /// A weekend or holiday.
    pub free: bool,
    /// Local day of the month, 1 to 31, and a number that rises with the months.
    pub month_day: u8,
    pub month: i32,
}

/// When an hour of spend is flagged, in the detector's own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub score_milli: i64,
    pub ratio_milli: i64,
    /// Distance from the baseline, 10^-18.
    pub distance: i128,
    pub up: bool,
    pub down: bool,
    /// Seconds after which flagged hours are history like any other.
    pub adapt: i64,
    /// What was missed in an outage may come later without being a spike.
    pub catch_up: bool,
}

/// What an hour was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Baseline {
    /// Too few values: nothing is judged.
    WarmingUp,
    /// All earlier hours, because no hour of the day was seen often enough.
    AllHours,
    /// The same hour on all days, because days of this kind were seen too seldom.
    AnyDay,
    /// The same hour on days of the same kind, and what more history there is.
    Seasonal,
}

/// The judgement of one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub flag: bool,
    /// Thousandths. Of spend: 0 within the baselines, negative below them; of any series: how odd it is, whichever way.
    pub score_milli: i64,
    /// The baseline nearest to the value, 10^-18.
    pub expected: i128,
    pub baseline: Baseline,
}
