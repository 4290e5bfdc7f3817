//! One row of a native request ledger, from cells of whatever source, into an entry or into quarantine:
//! the one place that knows what a ledger's columns mean (contract 3.2). Reads nothing itself.

use super::ledger_cells::{COLUMNS, Cell, Cells, Column, Holds, amount, expected, instant, instant_in, shown};
use crate::domain::ledger::{Funding, LedgerEntry, LedgerLine, LeftOut, Status};
use crate::domain::ledger_findings::{Finding, Note};
use crate::domain::money::{Amount, Currency, MONEY_LIMIT, NumberError, QUANTITY_LIMIT};
use crate::domain::period::Days;
use crate::domain::usage::Quarantined;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use hashbrown::DefaultHashBuilder;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

const ONE: i128 = Amount::ONE.atto();

/// Columns that are meters; their names are those of [`crate::domain::usage::meter`].
const METERS: [Column; 13] = [
    Column::InputTokens,
    Column::CacheReadTokens,
    Column::CacheWrite5mTokens,
    Column::CacheWrite1hTokens,
    Column::OutputTokens,
    Column::Images,
    Column::Megapixels,
    Column::VideoSeconds,
    Column::AudioSeconds,
    Column::Characters,
    Column::ProviderCredits,
    Column::WebSearches,
    Column::Builds,
];

/// Columns that no entry carries yet. They are not judged, but two rows that differ in them differ.
const CARRIED_IN_DIGEST: [Column; 8] = [
    Column::FinishedAt,
    Column::UpstreamAccount,
    Column::UpstreamModel,
    Column::UpstreamRequestId,
    Column::ImageSize,
    Column::ImageQuality,
    Column::VideoResolution,
    Column::ReportedCost,
];

/// Makes digests of rows: equal within a run, which is all that finding replays needs.
static DIGESTS: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// Hands rows on, in the order in which a source gives them: those of the window, and those whose day
/// cannot be read.
pub struct Rows<'f> {
    window: Days,
    /// Currency of an expected cost that comes without one; only for what quarantine shows.
    currency: Currency,
    /// Where times without an offset are from; `None` is UTC.
    zone: Option<Tz>,
    each: &'f mut dyn FnMut(LedgerLine<'_>),
    /// Rows seen so far, over all files of the source.
    row: u32,
    /// The file being read and the rows before it, where the source has several files.
    file: Option<(String, u32)>,
}

impl<'f> Rows<'f> {
    pub fn new(window: Days, currency: Currency, each: &'f mut dyn FnMut(LedgerLine<'_>)) -> Self {
        Rows { window, currency, zone: None, each, row: 0, file: None }
    }

    /// Times without an offset are of this zone.
    pub fn in_zone(self, zone: Option<Tz>) -> Self {
        Rows { zone, ..self }
    }

    /// From here on rows come from this one of several files; quarantine then says so.
    pub fn start_file(&mut self, name: &str) {
        self.file = Some((name.to_string(), self.row));
    }

    /// A row that has no cells one could trust.
    pub fn set_aside(&mut self, reason: &str) {
        self.row = self.row.saturating_add(1);
        let reason = format!("{reason}{}", self.place(None));
        let quarantined = Quarantined { row: self.row, day: None, reason, amount: None, currency: None };
        (self.each)(LedgerLine::Quarantined(quarantined));
    }

    /// The next row of the source.
    pub fn take(&mut self, cells: &Cells<'_>) {
        self.take_noted(cells, &[], None);
    }

    /// A row that is counted and not used.
    pub fn leave_out(&mut self, cells: &Cells<'_>, note: Note) {
        let Ok(at) = instant(cells.get(Column::StartedAt)) else {
            return self.take_noted(cells, &[], None);
        };
        self.row = self.row.saturating_add(1);
        let day = at.date_naive();
        if self.window.contains(day) {
            let mut reader = Reader::new(cells);
            let currency = reader.currency().ok().flatten();
            let request_id = reader.text(Column::RequestId).ok().flatten().unwrap_or_default();
            (self.each)(LedgerLine::LeftOut(LeftOut { day, request_id, note, currency }));
        }
    }

    /// The next row of the source with what its ledger's reader found; `refused` says why it cannot be used.
    pub fn take_noted(&mut self, cells: &Cells<'_>, notes: &[Note], refused: Option<&str>) {
        self.row = self.row.saturating_add(1);
        let cell = cells.get(Column::StartedAt);
        let started = self.zone.map_or_else(|| instant(cell).map(|at| (at, false)), |zone| instant_in(cell, zone));
        let twice = [Note { finding: Finding::AmbiguousTime, amount: Amount::ZERO }];
        let notes = if matches!(started, Ok((_, true))) { twice.as_slice() } else { notes };
        let started = started.map(|(at, _)| at);
        let day = match &started {
            Ok(at) => Some(at.naive_utc().date()),
            Err(bad) => bad.day,
        };
        if day.is_some_and(|day| !self.window.contains(day)) {
            return;
        }
        let mut meters = Vec::with_capacity(8);
        let started = started.map_err(|bad| bad.reason).and_then(|at| refused.map_or(Ok(at), |why| Err(why.to_string())));
        let read = started.and_then(|at| extra_meters(cells).map(|extra| (at, extra)));
        let read = match &read {
            Ok((at, extra)) => entry(self.row, *at, cells, extra, &mut meters),
            Err(reason) => Err(reason.clone()),
        };
        match read {
            Ok(entry) => (self.each)(LedgerLine::Entry(LedgerEntry { meters: &meters, notes, ..entry })),
            Err(reason) => {
                let mut reader = Reader::new(cells);
                let amount = reader.number(Column::ExpectedCost, MONEY_LIMIT).ok().flatten();
                let currency = reader.currency().ok().flatten().or(amount.map(|_| self.currency));
                let request = reader.text(Column::RequestId).ok().flatten();
                let reason = format!("{reason}{}", self.place(request));
                (self.each)(LedgerLine::Quarantined(Quarantined { row: self.row, day, reason, amount, currency }));
            }
        }
    }

    /// What helps to find a row again: ` (ledger-2.csv row 17, request_id "r-17")`.
    fn place(&self, request: Option<&str>) -> String {
        let file = self.file.as_ref().map(|(name, before)| format!("{name} row {}", self.row.saturating_sub(*before)));
        let request = request.map(|id| format!("request_id {:?}", id.chars().take(80).collect::<String>()));
        match (file, request) {
            (None, None) => String::new(),
            (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
            (Some(file), Some(request)) => format!(" ({file}, {request})"),
        }
    }
}

/// The entry without its meters, which are pushed to `meters`. Err is the first fault found.
fn entry<'a>(
    row: u32,
    started_at: DateTime<Utc>,
    cells: &Cells<'a>,
    extra: &'a [(String, Amount)],
    meters: &mut Vec<(&'a str, Amount)>,
) -> Result<LedgerEntry<'a>, String> {
    let mut from = Reader::new(cells);
    let request_id = from.required(Column::RequestId)?;
    let attempt = from.attempt()?;
    let provider = from.required(Column::Provider)?;
    let model = from.required(Column::Model)?;
    let status = from.word(Column::Status, Status::parse, "ok, error, timeout, cancelled or cache_hit")?;
    let funding = from.word(Column::Funding, Funding::parse, "byok, credits or fallback_credits")?;
    let (service_tier, batch) = from.tier_and_batch()?;
    for column in METERS {
        if let Some(quantity) = from.number(column, QUANTITY_LIMIT)?.filter(|quantity| !quantity.is_zero()) {
            meters.push((column.name(), quantity));
        }
    }
    for (name, quantity) in extra {
        (name, quantity).hash(&mut from.digest);
        meters.push((name, *quantity));
    }
    let mut entry = LedgerEntry {
        row,
        request_id,
        attempt,
        started_at,
        provider,
        model,
        provider_request_id: from.text(Column::ProviderRequestId)?,
        account: from.word_of_kind(Column::Account)?,
        sub_account: from.word_of_kind(Column::SubAccount)?,
        api_key_id: from.word_of_kind(Column::ApiKeyId)?,
        team: from.word_of_kind(Column::Team)?,
        user_id: from.text(Column::UserId)?,
        feature: from.word_of_kind(Column::Feature)?,
        client: from.word_of_kind(Column::Client)?,
        funding,
        status: status.unwrap_or_default(),
        service_tier,
        batch,
        meters: &[],
        reasoning_tokens: from.number(Column::ReasoningTokens, QUANTITY_LIMIT)?,
        expected_cost: from.number(Column::ExpectedCost, MONEY_LIMIT)?,
        expected_currency: from.currency()?,
        reported_cost: from.number(Column::ReportedCost, MONEY_LIMIT)?,
        upstream_provider: from.text(Column::UpstreamProvider)?,
        upstream_cost: from.number(Column::UpstreamCost, MONEY_LIMIT)?,
        credits_charged: from.number(Column::CreditsCharged, QUANTITY_LIMIT)?,
        credit_unit: from.text(Column::CreditUnit)?,
        content: 0,
        notes: &[],
    };
    for column in CARRIED_IN_DIGEST {
        from.carry(column);
    }
    started_at.hash(&mut from.digest);
    entry.content = from.digest.finish();
    Ok(entry)
}

/// Reads cells one by one and keeps a digest of what they mean, so that `1.50` and `1.5` are the same row.
struct Reader<'c, 'a> {
    cells: &'c Cells<'a>,
    digest: <DefaultHashBuilder as BuildHasher>::Hasher,
}

impl<'c, 'a> Reader<'c, 'a> {
    fn new(cells: &'c Cells<'a>) -> Self {
        Reader { cells, digest: DIGESTS.build_hasher() }
    }

    fn mark(&mut self, column: Column, value: impl Hash) {
        self.digest.write_u8(column as u8);
        value.hash(&mut self.digest);
    }

    /// A text of the digest.
    fn text(&mut self, column: Column) -> Result<Option<&'a str>, String> {
        let text = self.word_of_kind(column)?;
        if let Some(text) = text {
            self.mark(column, text);
        }
        Ok(text)
    }

    /// A text that many rows have alike: not of the digest, because rows are told apart by it anyway.
    fn word_of_kind(&self, column: Column) -> Result<Option<&'a str>, String> {
        match self.cells.get(column) {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            other => Err(expected(column, "a text", other)),
        }
    }

    fn required(&self, column: Column) -> Result<&'a str, String> {
        self.word_of_kind(column)?.ok_or_else(|| expected(column, "a text", Cell::Null))
    }

    /// One of a fixed set of words; null is `None`.
    fn word<T>(&self, column: Column, parse: fn(&str) -> Option<T>, words: &str) -> Result<Option<T>, String> {
        let Some(text) = self.word_of_kind(column)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| expected(column, words, Cell::Text(text)))
    }

    /// Money or a quantity: 0 or more, below `limit`. Rounding at the 18th decimal is not kept.
    fn number(&mut self, column: Column, limit: Amount) -> Result<Option<Amount>, String> {
        let cell = self.cells.get(column);
        if cell == Cell::Null {
            return Ok(None);
        }
        let amount = amount(cell).ok_or_else(|| expected(column, "a number", cell))?;
        let amount = amount.map_err(|error| format!("{}: {error}", column.name()))?;
        if amount.is_negative() {
            return Err(expected(column, "a number of at least 0", cell));
        }
        if amount >= limit {
            return Err(format!("{}: {}", column.name(), NumberError::TooLarge(amount.to_string())));
        }
        self.mark(column, amount);
        Ok(Some(amount))
    }

    fn attempt(&self) -> Result<u32, String> {
        let cell = self.cells.get(Column::Attempt);
        let whole = match cell {
            Cell::Decimal { digits, scale: 0 } => Some(digits),
            // `1.0` is a 1 as well.
            _ => amount(cell).and_then(Result::ok).map(Amount::atto).filter(|atto| atto % ONE == 0).map(|atto| atto / ONE),
        };
        let attempt = whole.and_then(|whole| u32::try_from(whole).ok()).filter(|attempt| *attempt > 0);
        attempt.ok_or_else(|| expected(Column::Attempt, "a whole number of at least 1", cell))
    }

    /// A batch call is priced by its flag: as a tier of its own it is the standard tier, batched.
    fn tier_and_batch(&self) -> Result<(Option<&'a str>, Option<bool>), String> {
        let tier = self.word_of_kind(Column::ServiceTier)?;
        let cell = self.cells.get(Column::Batch);
        let batch = match cell {
            Cell::Null => None,
            Cell::Flag(flag) => Some(flag),
            Cell::Decimal { digits: 0, .. } => Some(false),
            Cell::Decimal { digits: 1, scale: 0 } => Some(true),
            Cell::Text(text) if text == "0" || text.eq_ignore_ascii_case("false") => Some(false),
            Cell::Text(text) if text == "1" || text.eq_ignore_ascii_case("true") => Some(true),
            other => return Err(expected(Column::Batch, "0, 1, true or false", other)),
        };
        match tier {
            Some("default") => Ok((Some("standard"), batch)),
            Some("batch") if batch == Some(false) => Err(expected(Column::Batch, "true beside service_tier \"batch\"", cell)),
            Some("batch") => Ok((Some("standard"), Some(true))),
            other => Ok((other, batch)),
        }
    }

    fn currency(&self) -> Result<Option<Currency>, String> {
        match self.word_of_kind(Column::ExpectedCurrency)? {
            None => Ok(None),
            // The usual one, without a walk through the list.
            Some("USD") => Ok(Some(Currency::USD)),
            Some(text) => Currency::parse(text)
                .map(Some)
                .map_err(|_| expected(Column::ExpectedCurrency, "an ISO 4217 currency code", Cell::Text(text))),
        }
    }

    fn carry(&mut self, column: Column) {
        let cell = self.cells.get(column);
        if cell == Cell::Null {
            return;
        }
        let number = (column.holds() == Holds::Number).then(|| amount(cell)).flatten().and_then(Result::ok);
        let time = (column.holds() == Holds::Instant).then(|| instant(cell).ok()).flatten();
        match (number, time, cell) {
            (Some(number), ..) => self.mark(column, number),
            (_, Some(time), _) => self.mark(column, time),
            (_, _, Cell::Text(text)) => self.mark(column, text),
            (_, _, other) => self.mark(column, shown(other)),
        }
    }
}

/// The further meters of a row, by name, zeros left out. A meter that has a column of its own is refused
/// where the column has a value too: adding the two up or picking one would be a guess.
fn extra_meters(cells: &Cells<'_>) -> Result<Vec<(String, Amount)>, String> {
    let cell = cells.get(Column::ExtraMeters);
    let text = match cell {
        Cell::Null => return Ok(Vec::new()),
        Cell::Text(text) => text,
        other => return Err(expected(Column::ExtraMeters, "a JSON object of numbers", other)),
    };
    let Fields(fields) =
        serde_json::from_str(text).map_err(|_| expected(Column::ExtraMeters, "a JSON object of numbers", cell))?;
    let mut meters: Vec<(String, Amount)> = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let bad = |what: String| format!("extra_meters: {:?}: {what}", name.chars().take(40).collect::<String>());
        let quantity = match &value {
            Value::Null => continue,
            Value::Number(number) => Amount::parse(number.as_str()),
            Value::String(text) => Amount::parse(text),
            _ => return Err(bad("expected a number".to_string())),
        };
        let quantity = quantity.map_err(|error| bad(error.to_string()))?;
        if quantity.is_negative() {
            return Err(bad(format!("expected a number of at least 0, found {quantity}")));
        }
        if name.trim().is_empty() {
            return Err(bad("expected the name of a meter".to_string()));
        }
        let own = COLUMNS.iter().position(|(column, _)| *column == name);
        let free = |own: usize| METERS.iter().any(|meter| *meter as usize == own && cells.get(*meter) == Cell::Null);
        if own.is_some_and(|own| !free(own)) {
            return Err(bad("has a column of its own: give it there alone".to_string()));
        }
        if meters.iter().any(|(other, _)| *other == name) {
            return Err(bad("expected once, found twice".to_string()));
        }
        meters.push((name, quantity));
    }
    meters.retain(|(_, quantity)| !quantity.is_zero());
    // The order in which a JSON writer happens to put them says nothing.
    meters.sort();
    Ok(meters)
}

/// The fields of a JSON object as they stand: a map would let the last of two equal names win.
struct Fields(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Object)
    }
}
