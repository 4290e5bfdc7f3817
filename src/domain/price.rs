//! Dated price books: the unit price in force on a day (contract 3.4).

use super::money::{Amount, Currency};
use super::period::Days;
use super::usage::meter;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// One dated row of a price book: prices of a model's meters over some days.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceRow {
    pub days: Days,
    /// Units that one price buys: 1,000,000 for prices per million tokens.
    pub per: u64,
    /// Meter → price.
    pub meters: BTreeMap<String, Decimal>,
    /// Context bands, ascending: the whole call is priced by the highest band it reaches.
    pub bands: Vec<Band>,
    /// Service tier → multiplier on every meter but calls and sessions of tools; `batch` is one of
    /// them. `standard` is 1.
    pub tiers: BTreeMap<String, Decimal>,
}

/// Prices for calls with more input tokens than `above`.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Input tokens of all classes that the call must exceed.
    pub above: Amount,
    /// Meters that differ in this band; the others keep their price.
    pub meters: BTreeMap<String, Decimal>,
}

/// A contracted discount on list price.
#[derive(Clone, Debug, PartialEq)]
pub struct Discount {
    pub days: Days,
    /// `None` is every account.
    pub account: Option<String>,
    pub api_key_id: Option<String>,
    pub model: Option<String>,
    /// The part taken off: 0.22 for 22 %.
    pub off: Decimal,
}

/// All prices of one provider.
#[derive(Clone, Debug)]
pub struct PriceBook {
    pub provider: String,
    pub currency: Currency,
    /// The day on which a person last compared the book with the provider's page.
    pub checked: NaiveDate,
    /// Model → its dated rows, ascending, without overlap.
    pub models: BTreeMap<String, Vec<PriceRow>>,
    pub discounts: Vec<Discount>,
}

/// A unit price as the provider itself says it, on the day of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    pub model: String,
    /// As the adapter names it in charges.
    pub meter: String,
    /// For one unit, as this account has it.
    pub price: Amount,
    pub currency: Currency,
}

/// What is asked of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked<'a> {
    pub model: &'a str,
    pub meter: &'a str,
    pub service_tier: Option<&'a str>,
    pub batch: bool,
    /// Input tokens of all classes in the call; zero where only a bucket is known.
    pub context: Amount,
    pub account: &'a str,
    pub api_key_id: Option<&'a str>,
    pub day: NaiveDate,
}

/// A unit price in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitPrice {
    /// For `per` units, at list.
    pub list: Decimal,
    /// For `per` units, as contracted.
    pub contracted: Decimal,
    pub per: u64,
    pub currency: Currency,
}

impl UnitPrice {
    /// Contracted price × quantity, rounded once at 18 decimals, half away from zero.
    pub fn cost(&self, quantity: Amount) -> Option<Amount> {
        price_of(quantity, self.contracted, self.per)
    }

    /// List price × quantity, likewise.
    pub fn list_cost(&self, quantity: Amount) -> Option<Amount> {
        price_of(quantity, self.list, self.per)
    }
}

fn price_of(quantity: Amount, price: Decimal, per: u64) -> Option<Amount> {
    let scale = 10i128.checked_pow(price.scale())?;
    quantity.mul_div(price.mantissa(), scale.checked_mul(i128::from(per))?)
}

impl PriceBook {
    /// The price in force; `None` is an unknown and never a zero.
    pub fn price(&self, asked: Asked<'_>) -> Option<UnitPrice> {
        self.row(asked.model, asked.day).and_then(|row| self.price_in(row, asked))
    }

    /// Prices of the same thing that were in force before, latest first: for stale prices.
    pub fn earlier(&self, asked: Asked<'_>) -> Vec<UnitPrice> {
        let rows = self.models.get(asked.model).map_or(&[][..], Vec::as_slice);
        let past = rows.iter().rev().filter(|row| row.days.to <= asked.day);
        past.filter_map(|row| self.price_in(row, asked)).collect()
    }

    fn row(&self, model: &str, day: NaiveDate) -> Option<&PriceRow> {
        self.models.get(model)?.iter().find(|row| row.days.contains(day))
    }

    fn price_in(&self, row: &PriceRow, asked: Asked<'_>) -> Option<UnitPrice> {
        let band = row.bands.iter().rev().find(|band| asked.context > band.above);
        let base = band.and_then(|band| band.meters.get(asked.meter)).or_else(|| row.meters.get(asked.meter))?;
        let mut list = *base;
        // A tier prices the model's own work; a call of a tool costs the same in each of them.
        let tiered = !matches!(meter::unit(asked.meter), "calls" | "sessions");
        if let Some(tier) =
            asked.service_tier.filter(|_| tiered).filter(|tier| !matches!(*tier, "standard" | "default" | "on_demand"))
        {
            list = list.checked_mul(*row.tiers.get(tier)?)?;
        }
        if asked.batch && tiered {
            list = list.checked_mul(*row.tiers.get("batch")?)?;
        }
        let off = self.discounts.iter().rev().find(|discount| discount.applies(asked)).map_or(Decimal::ZERO, |d| d.off);
        let contracted = list.checked_mul(Decimal::ONE.checked_sub(off)?)?;
        Some(UnitPrice { list, contracted, per: row.per, currency: self.currency })
    }
}

impl Discount {
    fn applies(&self, asked: Asked<'_>) -> bool {
        self.days.contains(asked.day)
            && self.account.as_deref().is_none_or(|account| account == asked.account)
            && self.api_key_id.as_deref().is_none_or(|key| Some(key) == asked.api_key_id)
            && self.model.as_deref().is_none_or(|model| model == asked.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimals(pairs: &[(&str, &str)]) -> BTreeMap<String, Decimal> {
        pairs.iter().map(|(name, text)| (name.to_string(), text.parse().unwrap())).collect()
    }

    #[test]
    fn tiers_multiply_tokens_and_leave_tool_calls_alone() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let row = PriceRow {
            days: Days { from: day("2026-09-22"), to: day("2027-01-01") },
            per: 1_000_000,
            meters: decimals(&[(meter::INPUT_TOKENS, "4"), (meter::WEB_SEARCHES, "10000")]),
            bands: Vec::new(),
            tiers: decimals(&[("batch", "0.5"), ("fast", "2")]),
        };
        let book = PriceBook {
            provider: "anthropic".to_string(),
            currency: Currency::USD,
            checked: day("2026-10-24"),
            models: BTreeMap::from([("claude-opus-5-5".to_string(), vec![row])]),
            discounts: Vec::new(),
        };
        let list = |meter: &str, service_tier: Option<&str>, batch: bool| {
            let (model, account, api_key_id) = ("claude-opus-5-5", "", None);
            let asked =
                Asked { model, meter, service_tier, batch, context: Amount::ZERO, account, api_key_id, day: day("2026-11-01") };
            book.price(asked).map(|price| price.list.normalize().to_string())
        };
        assert_eq!(list(meter::INPUT_TOKENS, Some("standard"), true).as_deref(), Some("2"));
        assert_eq!(list(meter::INPUT_TOKENS, Some("fast"), false).as_deref(), Some("8"));
        assert_eq!(list(meter::INPUT_TOKENS, Some("priority"), false), None);
        assert_eq!(list(meter::WEB_SEARCHES, Some("standard"), true).as_deref(), Some("10000"));
        assert_eq!(list(meter::WEB_SEARCHES, Some("priority"), false).as_deref(), Some("10000"));
    }
}
