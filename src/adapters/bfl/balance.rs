//! The balance, in credits, which are hundredths of a dollar. It is no charge: it is shown beside the books.

use super::super::balance::{self, Balance};
use super::super::{BadPage, fields};
use crate::domain::money::Currency;
use crate::domain::usage::Line;
use chrono::NaiveDate;
use serde_json::Value;

pub(super) const HINT: &str = "save tasks' answers, or a balance under its day: credits-2026-11-18.json";

/// The balance of a page that is nothing else, with the day in its name.
pub(super) fn of<'v>(records: &'v [Value], file: &str) -> Option<(&'v Value, NaiveDate)> {
    let [record] = records else { return None };
    record.get("credits")?;
    Some((record, fields::named_day(file)?))
}

/// # Errors
/// Credits that are no number.
pub(super) fn read(record: &Value, day: NaiveDate, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let bad = |what: String| BadPage::new(what, HINT);
    let credits =
        fields::quantity(record, "credits").map_err(bad)?.ok_or_else(|| bad("credits: expected a number".to_string()))?;
    let left = credits.mul_div(1, 100).ok_or_else(|| bad(format!("credits: {credits} is too large to be true")))?;
    let balance = Balance { left, paid_in: None, credits: Some(credits), currency: Currency::USD };
    balance::hand_on(balance, day, out).map_err(|fault| bad(format!("credits: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::Bfl;
    use super::*;
    use crate::adapters::request::tests::{asked, days};

    #[test]
    fn the_balance_is_asked_for_the_last_day() {
        assert_eq!(asked(&Bfl, &[], days("2026-11-01", "2026-11-19")), ["GET https://api.bfl.ai/v1/credits"]);
    }

    #[test]
    fn credits_are_hundredths_of_a_dollar_on_the_day_of_the_files_name() {
        let read = |file: &str, text: &str| {
            let page = Page { file, bytes: text.as_bytes(), group_by: &[] };
            let mut lines = Vec::new();
            let result = Bfl.parse(&page, &mut |line| {
                if let Line::Charge(charge) = line {
                    lines.push((charge.start.date_naive().to_string(), charge.cost.map(|cost| cost.to_string())));
                }
            });
            result.map(|()| (Bfl.identify(&page).map(|report| report.name), lines))
        };
        let balance = read("credits-2026-11-18-001.json", r#"{"credits": 12345.5}"#);
        assert_eq!(balance, Ok((Some("credits"), vec![("2026-11-18".to_string(), Some("123.455".to_string()))])));
        assert!(read("credits.json", r#"{"credits": 12345.5}"#).is_err());
        assert!(read("credits-2026-11-18.json", r#"{"credits": "NaN"}"#).is_err());
        assert!(read("credits-2026-11-18.json", r#"{"credits": null}"#).is_err());
    }
}
