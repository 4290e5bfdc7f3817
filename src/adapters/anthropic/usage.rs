//! Rows of the message usage report: tokens in disjoint classes and searches, no money, no number of
//! requests.

use super::buckets::Place;
use super::fields;
use super::numbers::{self, count_at};
use super::words::{Dimensions, text};
use crate::domain::money::Amount;
use crate::domain::usage::{Charge, Line, meter};
use serde_json::Value;

/// Dimensions that only this report can be grouped by (`workspace_id` is not among them).
pub(super) const GROUPS: [&str; 8] =
    ["api_key_id", "model", "service_tier", "context_window", "inference_geo", "speed", "account_id", "service_account_id"];

/// Hands on one row: a charge for each meter that is not zero.
pub(super) fn row(row: &Value, place: Place, out: &mut dyn FnMut(Line<'_>)) {
    let read = || Ok((counts(row)?, Dimensions::of(row)?, text(row, "api_key_id")?, who(row)?));
    let (counts, dimensions, api_key_id, label) = match read() {
        Ok(read) => read,
        Err(reason) => return out(Line::Quarantined(place.aside(reason, None))),
    };
    let charge = Charge { api_key_id, label, ..dimensions.on(place.charge()) };
    hand_on(&charge, &counts, place, out);
}

/// A charge like `charge` for each meter that is not zero; one line without a charge when all are.
pub(super) fn hand_on(charge: &Charge<'_>, counts: &[(&str, Amount)], place: Place, out: &mut dyn FnMut(Line<'_>)) {
    let mut used = counts.iter().filter(|(_, quantity)| !quantity.is_zero()).peekable();
    if used.peek().is_none() {
        return out(place.nothing());
    }
    for (meter, quantity) in used {
        out(Line::Charge(Charge { meter: Some(*meter), quantity: Some(*quantity), ..charge.clone() }));
    }
}

fn counts(row: &Value) -> Result<[(&'static str, Amount); 6], String> {
    let cached = |key: &str| part(row, "cache_creation", key);
    Ok([
        (meter::INPUT_TOKENS, required(row, "uncached_input_tokens")?),
        (meter::CACHE_READ_TOKENS, count_at(row, "cache_read_input_tokens")?),
        (meter::CACHE_WRITE_5M_TOKENS, cached("ephemeral_5m_input_tokens")?),
        (meter::CACHE_WRITE_1H_TOKENS, cached("ephemeral_1h_input_tokens")?),
        (meter::OUTPUT_TOKENS, required(row, "output_tokens")?),
        (meter::WEB_SEARCHES, part(row, "server_tool_use", "web_search_requests")?),
    ])
}

fn required(row: &Value, key: &str) -> Result<Amount, String> {
    match fields::number(row, key)? {
        None => Err(format!("{key}: expected a whole number, found {}", fields::found(row.get(key)))),
        read => numbers::count(key, read),
    }
}

/// A count inside an object of the row; zero when the object or the count is absent.
fn part(row: &Value, object: &str, key: &str) -> Result<Amount, String> {
    match row.get(object) {
        None | Some(Value::Null) => Ok(Amount::ZERO),
        Some(inside @ Value::Object(_)) => count_at(inside, key).map_err(|fault| format!("{object}.{fault}")),
        other => Err(format!("{object}: expected an object, found {}", fields::found(other))),
    }
}

/// Calls without a key name an account instead: a service account, else a person's opaque id.
fn who(row: &Value) -> Result<Option<&str>, String> {
    Ok(text(row, "service_account_id")?.or(text(row, "account_id")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{Currency, sum};
    use crate::domain::period::{Days, parse_day, parse_instant};
    use crate::domain::price::{Asked, PriceBook, PriceRow};
    use serde_json::json;
    use std::collections::BTreeMap;

    /// 3, 3.75 and 15 dollars a million.
    fn book() -> PriceBook {
        let prices = [(meter::INPUT_TOKENS, "3"), (meter::CACHE_WRITE_5M_TOKENS, "3.75"), (meter::OUTPUT_TOKENS, "15")];
        let day = |text| parse_day(text).unwrap();
        let row = PriceRow {
            days: Days { from: day("2026-07-26"), to: day("2027-01-01") },
            per: 1_000_000,
            meters: prices.into_iter().map(|(meter, price)| (meter.to_string(), price.parse().unwrap())).collect(),
            bands: Vec::new(),
            tiers: BTreeMap::from([("batch".to_string(), "0.5".parse().unwrap())]),
        };
        PriceBook {
            provider: "anthropic".to_string(),
            currency: Currency::USD,
            checked: day("2026-10-24"),
            models: BTreeMap::from([("claude-sonnet-4-5".to_string(), vec![row])]),
            discounts: Vec::new(),
        }
    }

    fn priced(tier: &str) -> String {
        let value = json!({
            "uncached_input_tokens": 3,
            "cache_creation": { "ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 12304 },
            "cache_read_input_tokens": 0,
            "output_tokens": 550,
            "server_tool_use": { "web_search_requests": 0 },
            "model": "claude-sonnet-4-5",
            "service_tier": tier,
        });
        let at = |text| parse_instant(text).unwrap();
        let (book, mut costs) = (book(), Vec::new());
        row(&value, Place { row: 1, start: at("2026-11-01"), end: at("2026-11-02") }, &mut |line| {
            let Line::Charge(charge) = line else { panic!("{line:?}") };
            let price = book.price(Asked {
                model: charge.model.unwrap(),
                meter: charge.meter.unwrap(),
                service_tier: charge.service_tier,
                batch: charge.batch.unwrap(),
                context: Amount::ZERO,
                account: "",
                api_key_id: charge.api_key_id,
                day: charge.start.date_naive(),
            });
            costs.push(price.unwrap().cost(charge.quantity.unwrap()).unwrap());
        });
        assert_eq!(costs.len(), 3);
        sum(costs).unwrap().to_string()
    }

    #[test]
    fn a_row_priced_with_the_book_is_exact() {
        assert_eq!(priced("standard"), "0.054399");
        assert_eq!(priced("batch"), "0.0271995");
    }
}
