//! `GET /credits`: all that was ever bought and all that was ever used, of the whole account. What is left is the
//! difference; it does not say when: the file's name does.

use super::super::balance::{self, Balance};
use super::super::{BadPage, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::Line;
use chrono::NaiveDate;
use serde_json::Value;

pub(super) const HINT: &str = "save the answer of GET /api/v1/credits under its day: credits-2026-11-18.json";

/// The figures of an answer that is nothing else.
pub(super) fn figures(answer: &Value) -> Option<&Value> {
    answer.get("data").filter(|data| data.get("total_credits").is_some() && data.get("total_usage").is_some())
}

/// An answer with the day in its file's name.
pub(super) fn of<'v>(answer: &'v Value, file: &str) -> Option<(&'v Value, NaiveDate)> {
    Some((figures(answer)?, fields::named_day(file)?))
}

/// # Errors
/// Figures that are no amounts.
pub(super) fn read(data: &Value, day: NaiveDate, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let bad = |what: String| BadPage::new(what, HINT);
    let amount = |key: &str| -> Result<Amount, BadPage> {
        let read = fields::number(data, key).map_err(bad)?;
        read.map(|read| read.amount)
            .ok_or_else(|| bad(format!("{key}: expected an amount, found {}", fields::found(data.get(key)))))
    };
    let (bought, used) = (amount("total_credits")?, amount("total_usage")?);
    let left = bought.checked_sub(used).ok_or_else(|| bad(format!("total_usage: {used} is too large to be true")))?;
    // Credits are dollars, one for one.
    let balance = Balance { left, paid_in: Some(bought), credits: None, currency: Currency::USD };
    balance::hand_on(balance, day, out).map_err(|fault| bad(format!("total_credits: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::OpenRouter;
    use super::*;
    use crate::adapters::request::tests::{asked, days};

    #[test]
    fn the_balance_is_asked_for_the_last_day() {
        let urls = asked(&OpenRouter, &[("reports", "credits")], days("2026-11-01", "2026-11-19"));
        assert_eq!(urls, ["GET https://openrouter.ai/api/v1/credits"]);
    }

    #[test]
    fn what_is_left_is_what_was_bought_less_what_was_used() {
        let read = |file: &str, text: &str| {
            let page = Page { file, bytes: text.as_bytes(), group_by: &[] };
            let mut lines = Vec::new();
            let result = OpenRouter.parse(&page, &mut |line| {
                if let Line::Charge(charge) = line {
                    let shown = |amount: Option<Amount>| amount.map(|amount| amount.to_string()).unwrap_or_default();
                    lines.push((charge.start.date_naive().to_string(), shown(charge.cost), shown(charge.list_cost)));
                }
            });
            result.map(|()| (OpenRouter.identify(&page).map(|report| report.name), lines))
        };
        let credits = r#"{"data":{"total_credits":100.5,"total_usage":25.75}}"#;
        let line = ("2026-11-18".to_string(), "74.75".to_string(), "100.5".to_string());
        assert_eq!(read("credits-2026-11-18-001.json", credits), Ok((Some("credits"), vec![line])));
        assert!(read("credits.json", credits).is_err());
        assert!(read("credits-2026-11-18.json", &credits.replace("25.75", "\"NaN\"")).is_err());
        assert!(read("credits-2026-11-18.json", &credits.replace("25.75", "null")).is_err());
    }
}
