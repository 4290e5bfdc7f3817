//! Which column of an analytics answer holds what, told by name and unit.

use super::figures::Epoch;
use super::table::Table;
use crate::adapters::BadPage;
use crate::domain::money::Currency;

const CREDITS: [&str; 2] = ["total_usage", "credits_used"];
const COST: &str = "total_cost";
const MINUTES: &str = "total_minutes";

/// Positions in a [`Table`].
pub(super) struct Columns {
    pub time: usize,
    pub epoch: Epoch,
    /// Money: the column in a currency.
    pub cost: Option<usize>,
    /// The unit of `cost`; `None` where it is no currency.
    pub currency: Option<Currency>,
    /// The currency of each row, where the answer is grouped by it.
    pub row_currency: Option<usize>,
    pub credits: Option<usize>,
    pub duration: Option<Duration>,
    pub uses: Option<usize>,
    pub product: Option<usize>,
    pub model: Option<usize>,
    pub key: Option<usize>,
    pub workspace: Option<usize>,
    pub billing_group: Option<usize>,
    pub user: Option<usize>,
    pub request: Option<usize>,
}

/// A column of time used, and what makes seconds of it: × `numerator` ÷ `denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration {
    pub at: usize,
    pub numerator: i128,
    pub denominator: i128,
}

impl Columns {
    /// # Errors
    /// No time, nothing that is counted, or two columns of which either could be meant.
    pub fn of(table: &Table<'_>) -> Result<Columns, BadPage> {
        let (cost, currency) = cost(table)?;
        let credits = credits(table)?;
        let duration = duration(table)?;
        if cost.is_none() && credits.is_none() && duration.is_none() {
            return Err(uncounted(table));
        }
        let time = time(table)?;
        let in_seconds = table.column(time).1 == Some("s");
        Ok(Columns {
            time,
            epoch: if in_seconds { Epoch::Seconds } else { Epoch::Millis },
            cost,
            currency,
            row_currency: table.at("fiat_currency"),
            credits,
            duration,
            uses: table.at("usage_count"),
            product: table.at("product_type"),
            model: table.at("model"),
            key: table.at("hashed_xi_api_key"),
            workspace: table.at("reporting_workspace_id"),
            billing_group: table.at("billing_group_id"),
            user: table.at("user_id"),
            request: table.at("request_id").or_else(|| table.at("trace_id")),
        })
    }
}

fn uncounted(table: &Table<'_>) -> BadPage {
    if ["endpoint", "response_time_ms", "success"].iter().any(|name| table.at(name).is_some()) {
        return BadPage::new(
            "a list of requests (workspace analytics requests), which has neither money nor credits",
            super::HINT,
        );
    }
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let names: String = names.join(", ").chars().take(200).collect();
    BadPage::new(format!("columns: expected money in a currency, or credits, found {names}"), super::HINT)
}

/// The one column whose unit fits; `Ok(None)` when there is none.
fn only(table: &Table<'_>, what: &str, fits: impl Fn(&str) -> bool) -> Result<Option<usize>, BadPage> {
    let mut found = (0..table.columns.len()).filter(|at| table.column(*at).1.is_some_and(&fits));
    let (first, second) = (found.next(), found.next());
    match (first, second) {
        (Some(first), Some(second)) => Err(BadPage::new(
            format!("columns: both {} and {} are in {what}", table.column(first).0, table.column(second).0),
            "ask again so that the answer has one of them: they may be the same twice, and are not added",
        )),
        _ => Ok(first),
    }
}

/// The money of the provider's own name if it is in a currency, else the only column that is; a
/// `total_cost` in no currency is money all the same, of which nobody can say how much.
fn cost(table: &Table<'_>) -> Result<(Option<usize>, Option<Currency>), BadPage> {
    let currency = |at: usize| table.column(at).1.and_then(|unit| Currency::parse(unit).ok());
    let named = table.at(COST);
    if let Some(at) = named.filter(|at| currency(*at).is_some()) {
        return Ok((Some(at), currency(at)));
    }
    let found = only(table, "a currency", |unit| Currency::parse(unit).is_ok())?;
    Ok((found.or(named), found.and_then(currency)))
}

fn credits(table: &Table<'_>) -> Result<Option<usize>, BadPage> {
    let fits = |unit: &str| unit.eq_ignore_ascii_case("credits");
    let named = CREDITS.iter().filter_map(|name| table.at(name)).find(|at| table.column(*at).1.is_none_or(fits));
    named.map_or_else(|| only(table, "credits", fits), |at| Ok(Some(at)))
}

fn duration(table: &Table<'_>) -> Result<Option<Duration>, BadPage> {
    if let Some(at) = table.at(MINUTES) {
        let factor = match table.column(at).1 {
            None | Some("min") => Some((60, 1)),
            Some("s") => Some((1, 1)),
            Some("ms") => Some((1, 1000)),
            Some(_) => None,
        };
        return Ok(factor.map(|(numerator, denominator)| Duration { at, numerator, denominator }));
    }
    let minutes = only(table, "minutes", |unit| unit == "min")?;
    Ok(minutes.map(|at| Duration { at, numerator: 60, denominator: 1 }))
}

/// The column `timestamp`, else the only one that holds times.
fn time(table: &Table<'_>) -> Result<usize, BadPage> {
    if let Some(at) = table.at("timestamp") {
        return Ok(at);
    }
    let times: Vec<usize> =
        (0..table.columns.len()).filter(|at| table.columns.get(*at).is_some_and(|column| column.is_time)).collect();
    match times.as_slice() {
        [at] => Ok(*at),
        found => Err(BadPage::new(
            format!("columns: expected timestamp or one column of type DateTime, found {}", found.len()),
            "ask with interval_seconds 86400 or 3600: without its time a row belongs to no day",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(columns: &[(&str, Value)]) -> Result<Columns, String> {
        let (names, units): (Vec<&str>, Vec<Value>) = columns.iter().cloned().unzip();
        let value = json!({ "columns": names, "column_units": units, "rows": [] });
        let table = Table::of(&value).unwrap().unwrap();
        Columns::of(&table).map_err(|bad| bad.what)
    }

    #[test]
    fn money_is_the_column_in_a_currency() {
        let time = ("timestamp", json!(null));
        let of = |more: &[(&str, Value)]| {
            let mut columns = vec![time.clone()];
            columns.extend(more.iter().cloned());
            found(&columns).map(|columns| (columns.cost, columns.currency.map(|currency| currency.to_string())))
        };
        assert_eq!(of(&[("total_cost", json!("usd"))]), Ok((Some(1), Some("USD".to_string()))));
        assert_eq!(of(&[("n", json!(null)), ("fiat_units_spent", json!("pln"))]), Ok((Some(2), Some("PLN".to_string()))));
        assert_eq!(of(&[("list_cost", json!("usd")), ("total_cost", json!("inr"))]), Ok((Some(2), Some("INR".to_string()))));
        assert_eq!(of(&[("total_cost", json!(null)), ("spend", json!("eur"))]), Ok((Some(2), Some("EUR".to_string()))));
        assert_eq!(of(&[("total_cost", json!("credits"))]), Ok((Some(1), None)));
        assert_eq!(of(&[("total_usage", json!("credits"))]), Ok((None, None)));
        assert!(
            of(&[("cost_usd", json!("usd")), ("cost_eur", json!("eur"))]).unwrap_err().contains("both cost_usd and cost_eur")
        );
        assert!(of(&[("ttfb", json!("ms"))]).unwrap_err().contains("found timestamp, ttfb"));
    }

    #[test]
    fn credits_and_time_go_by_their_units_too() {
        let columns = found(&[("t", json!(null)), ("timestamp", json!("s")), ("credits_used", json!(null))]).unwrap();
        assert_eq!((columns.credits, columns.epoch, columns.duration), (Some(2), Epoch::Seconds, None));
        let columns = found(&[("timestamp", json!(null)), ("total_usage", json!("min")), ("burned", json!("credits"))]).unwrap();
        assert_eq!(columns.credits, Some(2));
        assert_eq!(columns.duration, Some(Duration { at: 1, numerator: 60, denominator: 1 }));
        let of = |unit: Value| {
            let columns = found(&[("timestamp", json!(null)), ("total_minutes", unit), ("x", json!("credits"))]).unwrap();
            columns.duration.map(|duration| (duration.numerator, duration.denominator))
        };
        assert_eq!(
            [of(json!("min")), of(json!("s")), of(json!("ms")), of(json!("duration"))],
            [Some((60, 1)), Some((1, 1)), Some((1, 1000)), None]
        );
    }

    #[test]
    fn a_table_needs_a_time() {
        assert!(found(&[("total_cost", json!("usd"))]).is_err_and(|what| what.contains("expected timestamp")));
    }
}
