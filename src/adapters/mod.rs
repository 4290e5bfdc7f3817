//! One file per provider: bytes in, charges and quarantine out. No I/O, no clock, no Polars, and no
//! adapter knows another.

mod anthropic;
mod balance;
mod bfl;
pub mod columns;
mod elevenlabs;
mod fal;
pub mod fields;
mod google;
mod groq;
mod heygen;
mod mistral;
mod openai;
mod openrouter;
pub mod request;
pub mod schema;

use crate::domain::names::Named;
use crate::domain::period::Days;
use crate::domain::price::Quoted;
use crate::domain::usage::Line;
pub use crate::domain::usage::Measures;
pub use columns::Columns;
use request::{Account, Hours, Limits, Request};

/// A saved page of a provider's report, or one of its console exports.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// File name without folders: for messages, and where only the name tells two reports apart.
    pub file: &'a str,
    pub bytes: &'a [u8],
    /// What the answer was grouped by, where the caller knows.
    pub group_by: &'a [String],
}

/// One kind of page that a provider gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its endpoint or export, as `coverage.csv` and messages name it.
    pub name: &'static str,
    pub measures: Measures,
    /// Among reports of the same money the lowest is booked; the others are control totals
    /// (contract 3.3).
    pub rank: u8,
}

/// Why a page as a whole cannot be used. Its slices stay as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadPage {
    /// Place and fault: `results[3].amount.value: expected a number, found "NaN"`.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl BadPage {
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        BadPage { what: what.into(), hint: hint.into() }
    }
}

/// A provider. It says which report a page is and reads the page.
pub trait Adapter: Sync {
    /// As jobs, ledgers and reports write it.
    fn name(&self) -> &'static str;

    /// The reports it reads.
    fn reports(&self) -> &'static [Report];

    /// The fields of its reports that this version knows, in the form of [`schema`]: what a page has beside them is
    /// named in the summary. Nothing is noticed of a report that is not listed, such as a list of names.
    fn fields(&self) -> &'static str {
        ""
    }

    /// Whether a row's words (period, project, model, meter, …) tell it from every other row of the report: then a row
    /// that stands on two pages is one row, and two pages that give it different figures contradict each other. False
    /// where equal rows are all money.
    fn rows_are_keyed(&self, _report: &Report) -> bool {
        true
    }

    /// Days after the end of a UTC day until its figures are taken as settled, unless the job says otherwise.
    fn settle_days(&self) -> u32;

    /// Which report the page is; `None` when it is none of this provider's.
    fn identify(&self, page: &Page<'_>) -> Option<&'static Report>;

    /// Hands on every row of the page, in our words. A row that cannot be read is handed on as
    /// quarantined; what cannot be a page of this report at all is a [`BadPage`].
    ///
    /// # Errors
    /// A page that is truncated, not of the stated form, or breaks the provider's contract.
    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage>;

    /// What a page of a report that [`Measures::Names`] says; such a page has no lines for [`Adapter::parse`].
    ///
    /// # Errors
    /// A page that is cut short or not of the stated form.
    fn names(&self, _page: &Page<'_>) -> Result<Vec<Named>, BadPage> {
        Ok(Vec::new())
    }

    /// What a page of a report that [`Measures::Prices`] says; such a page has no lines for [`Adapter::parse`].
    ///
    /// # Errors
    /// A page that is cut short or not of the stated form.
    fn prices(&self, _page: &Page<'_>) -> Result<Vec<Quoted>, BadPage> {
        Ok(Vec::new())
    }

    /// What to ask the API for, to know these days: the first request of each chain of pages. Empty for
    /// providers that only give us files.
    ///
    /// # Errors
    /// What the job does not say and the provider must know: the setting's name.
    fn requests(&self, _account: &Account<'_>, _days: Days) -> Result<Vec<Request>, BadPage> {
        Ok(Vec::new())
    }

    /// What to ask the API for, to know these hours by the hour or finer: the first request of each chain of pages of
    /// the reports that have such figures, of those that the job wants. Empty where none has.
    ///
    /// # Errors
    /// As [`Adapter::requests`].
    fn hourly(&self, _account: &Account<'_>, _hours: Hours) -> Result<Vec<Request>, BadPage> {
        Ok(Vec::new())
    }

    /// The request that follows this page of the answer, if there is one.
    ///
    /// # Errors
    /// A page that says there is more but not where.
    fn next(&self, _asked: &Request, _page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        Ok(None)
    }

    /// False for an answer that only leads to the page: a query that has not ended. It is not kept, and
    /// [`Adapter::next`] says what to ask instead.
    fn is_page(&self, _asked: &Request, _page: &Page<'_>) -> bool {
        true
    }

    /// How the API may be asked.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Hands on the same lines as [`Adapter::parse`] would for the columns written as CSV. False where it
    /// cannot read them typed; then nothing was handed on, and the caller writes the CSV.
    fn parse_columns(&self, _report: &Report, _columns: &Columns<'_>, _out: &mut dyn FnMut(Line<'_>)) -> bool {
        false
    }
}

/// Every provider, in the order of their names.
#[rustfmt::skip] // One a line, so that a new provider is one new line.
pub const ADAPTERS: &[&dyn Adapter] = &[
    &anthropic::Anthropic,
    &bfl::Bfl,
    &elevenlabs::ElevenLabs,
    &fal::Fal,
    &google::Google,
    &groq::Groq,
    &heygen::HeyGen,
    &mistral::Mistral,
    &openai::OpenAi,
    &openrouter::OpenRouter,
];

/// The provider of that name.
pub fn find(name: &str) -> Option<&'static dyn Adapter> {
    ADAPTERS.iter().copied().find(|adapter| adapter.name() == name)
}

/// What a provider's report measures; `None` when it has no such report.
pub fn measures(provider: &str, report: &str) -> Option<Measures> {
    find(provider)?.reports().iter().find(|known| known.name == report).map(|known| known.measures)
}

/// Whether a provider's report is a list, of names or prices: it has no figures of any day.
pub fn is_list(provider: &str, report: &str) -> bool {
    measures(provider, report).is_some_and(Measures::is_list)
}
