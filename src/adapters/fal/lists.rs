//! What fal's platform API says besides charges: keys with their names, prices in force for the account, and what is left of
//! its credits (the provider's sheet, sections 1 and 2.3).

use super::super::balance::{self, Balance};
use super::super::{BadPage, fields};
use super::usage::meter_of;
use super::word;
use crate::domain::money::{Amount, Currency, MONEY_LIMIT};
use crate::domain::names::{NameKind, Named};
use crate::domain::price::Quoted;
use crate::domain::usage::Line;
use chrono::NaiveDate;
use serde_json::Value;

pub(super) const BALANCE_HINT: &str =
    "save the answer of GET /v1/account/billing?expand=credits under its day: balance-2026-11-18.json";

/// The keys of a page; an alias is a key's display name.
pub(super) fn keys(page: &Value) -> Result<Vec<Named>, BadPage> {
    fields::names(page, "keys", NameKind::ApiKey, ("key_id", "alias"))
}

/// The prices of a page: for one unit, as this account has them on the day of the answer.
pub(super) fn prices(page: &Value) -> Result<Vec<Quoted>, BadPage> {
    let mut found = Vec::new();
    for (at, entry) in fields::array(page, "prices")?.iter().enumerate() {
        found.push(price(entry).map_err(|what| {
            BadPage::new(format!("prices[{at}].{what}"), "run again; if it stays so, fal has changed its price list")
        })?);
    }
    Ok(found)
}

fn price(entry: &Value) -> Result<Quoted, String> {
    let text =
        |key: &str| word(entry, key).ok_or_else(|| format!("{key}: expected a text, found {}", fields::found(entry.get(key))));
    let price = fields::number(entry, "unit_price")?;
    let exact = price.filter(|read| read.residue == 0 && !read.amount.is_negative() && read.amount < MONEY_LIMIT);
    let price = exact.ok_or_else(|| {
        format!("unit_price: expected a price with at most 18 decimals, found {}", fields::found(entry.get("unit_price")))
    })?;
    let currency = Currency::parse(text("currency")?).map_err(|error| format!("currency: {error}"))?;
    Ok(Quoted { model: text("endpoint_id")?.to_string(), meter: meter_of(text("unit")?, None), price: price.amount, currency })
}

/// The credits of an account's answer.
pub(super) fn credits(page: &Value) -> Option<&Value> {
    page.get("credits").filter(|credits| credits.get("current_balance").is_some())
}

/// # Errors
/// A balance that is no amount of a currency, or of no day.
pub(super) fn balance(credits: &Value, day: Option<NaiveDate>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let bad = |what: String| BadPage::new(what, BALANCE_HINT);
    let day = day.ok_or_else(|| bad("credits: a balance of the account, without a day in the file's name".to_string()))?;
    let left: Option<Amount> = fields::quantity(credits, "current_balance").map_err(bad)?;
    let left = left.ok_or_else(|| {
        bad(format!("current_balance: expected an amount, found {}", fields::found(credits.get("current_balance"))))
    })?;
    let code = word(credits, "currency").unwrap_or_default();
    let currency = Currency::parse(code).map_err(|error| bad(format!("currency: {error}")))?;
    let balance = Balance { left, paid_in: None, credits: None, currency };
    balance::hand_on(balance, day, out).map_err(|fault| bad(format!("current_balance: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::Fal;
    use super::*;
    use crate::adapters::request::Account;
    use crate::adapters::request::tests::{asked, days, settings, url};

    const KEYS: &str = r#"{"keys":[{"key_id":"3f0c-1","alias":"prod-team-a","scope":"API","created_at":"2026-03-02T12:00:00Z"},
        {"key_id":"3f0c-2","alias":"","scope":"API","created_at":"2026-03-03T12:00:00Z"}],"next_cursor":null,"has_more":false}"#;
    const PRICES: &str = r#"{"prices":[{"endpoint_id":"fal-ai/flux/dev","unit_price":2.5e-2,"unit":"image","currency":"USD"},
        {"endpoint_id":"fal-ai/veo3","unit_price":"0.40","unit":"second","currency":"USD"}],"next_cursor":null,"has_more":false}"#;
    const BALANCE: &str = r#"{"username":"my-team","credits":{"current_balance":24.5,"currency":"USD"}}"#;

    fn page<'a>(file: &'a str, text: &'a str) -> Page<'a> {
        Page { file, bytes: text.as_bytes(), group_by: &[] }
    }

    #[test]
    fn lists_are_asked_after_the_reports_and_only_on_demand() {
        let days = days("2026-11-01", "2026-11-19");
        let pairs = [("reports", "billing_events, balance"), ("prices", "fal-ai/flux/dev, fal-ai/veo3"), ("names", "yes")];
        let urls = asked(&Fal, &pairs, days);
        let root = "GET https://api.fal.ai/v1";
        let rest = [format!("{root}/account/billing?expand=credits"), format!("{root}/keys")];
        assert_eq!(urls[1..], rest, "a list of reports is the whole list");
        let urls = asked(&Fal, &[("prices", "fal-ai/flux/dev, fal-ai/veo3")], days);
        assert_eq!(urls[2..], [format!("{root}/models/pricing?endpoint_id=fal-ai/flux/dev,fal-ai/veo3")]);
        let many = vec!["fal-ai/veo3"; 51].join(" ");
        let settings = settings(&[("reports", "pricing"), ("prices", &many)]);
        let requests = Fal.requests(&Account { name: "a", settings: &settings }, days).unwrap();
        assert_eq!(requests.iter().map(|request| request.part.as_deref()).collect::<Vec<_>>(), [Some("01"), Some("02")]);
        assert_eq!(url(&requests[1]), format!("{root}/models/pricing?endpoint_id=fal-ai/veo3"));
        let none = crate::adapters::request::tests::settings(&[("reports", "pricing")]);
        let bad = Fal.requests(&Account { name: "a", settings: &none }, days).unwrap_err();
        assert!(bad.what.starts_with("prices: "), "{bad:?}");
    }

    #[test]
    fn keys_and_prices_are_read_and_are_no_charges() {
        let key = Named { kind: NameKind::ApiKey, id: "3f0c-1".to_string(), name: "prod-team-a".to_string() };
        assert_eq!(Fal.names(&page("keys.json", KEYS)), Ok(vec![key]));
        let shown = |quoted: Quoted| (quoted.model, quoted.meter, quoted.price.to_string());
        let prices: Vec<_> = Fal.prices(&page("pricing.json", PRICES)).unwrap().into_iter().map(shown).collect();
        let price = |model: &str, meter: &str, price: &str| (model.to_string(), meter.to_string(), price.to_string());
        assert_eq!(prices, [price("fal-ai/flux/dev", "images", "0.025"), price("fal-ai/veo3", "video_seconds", "0.4")]);
        for (text, name) in [(KEYS, "keys"), (PRICES, "pricing")] {
            assert_eq!(Fal.identify(&page("page.json", text)).map(|report| report.name), Some(name));
            Fal.parse(&page("page.json", text), &mut |line| panic!("{line:?}")).unwrap();
            assert!(Fal.parse(&page("page.json", &text.replace("false", "true")), &mut |_| ()).is_err(), "no cursor");
        }
        for bad in ["-1", "\"NaN\"", "null", "1e-19"] {
            let bad = Fal.prices(&page("p", &PRICES.replace("2.5e-2", bad))).unwrap_err();
            assert!(bad.what.starts_with("prices[0].unit_price: "), "{bad:?}");
        }
        let bad = Fal.names(&page("k", &KEYS.replace("\"3f0c-2\"", "null"))).unwrap_err();
        assert_eq!(bad.what, "keys[1].key_id: expected an id, found null");
    }

    #[test]
    fn a_balance_is_of_the_day_in_its_files_name() {
        let read = |file: &str, text: &str| {
            let page = page(file, text);
            let mut lines = Vec::new();
            let result = Fal.parse(&page, &mut |line| {
                if let Line::Charge(charge) = line {
                    lines.push((charge.start.date_naive().to_string(), charge.cost.map(|cost| cost.to_string())));
                }
            });
            result.map(|()| (Fal.identify(&page).map(|report| report.name), lines))
        };
        let line = ("2026-11-18".to_string(), Some("24.5".to_string()));
        assert_eq!(read("balance-2026-11-18.json", BALANCE), Ok((Some("balance"), vec![line])));
        assert!(read("balance.json", BALANCE).is_err());
        assert!(read("balance-2026-11-18.json", &BALANCE.replace("USD", "gold")).is_err());
        assert!(read("balance-2026-11-18.json", &BALANCE.replace("24.5", "null")).is_err());
    }
}
