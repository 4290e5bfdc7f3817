//! The unit prices of a page, and which of them a row has. A price that nobody can tell is an unknown,
//! never a zero and never a guess.

use super::super::{BadPage, fields};
use super::word;
use crate::domain::money::{Amount, MONEY_LIMIT, Read};
use serde_json::Value;

/// What a row or a price is of. In a row `metric` and `group` are always known in practice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priced<'v> {
    pub event_type: Option<&'v str>,
    pub metric: Option<&'v str>,
    pub group: Option<&'v str>,
    pub zone: Option<&'v str>,
    pub tier: Option<&'v str>,
}

impl<'v> Priced<'v> {
    /// # Errors
    /// A field that is no text.
    pub fn read(value: &'v Value) -> Result<Self, String> {
        Ok(Priced {
            event_type: word(value, "event_type")?,
            metric: word(value, "billing_metric")?,
            group: word(value, "billing_group")?,
            zone: word(value, "api_zone")?,
            tier: word(value, "service_tier")?,
        })
    }

    fn parts(&self) -> [Option<&'v str>; 5] {
        [self.event_type, self.metric, self.group, self.zone, self.tier]
    }
}

/// One entry of the price table.
pub struct Price<'v> {
    of: Priced<'v>,
    /// For one token, page, second, character or call; Err is why it is refused.
    price: Result<Amount, String>,
}

/// What a row's unit costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quote {
    Price(Amount),
    /// No price fits, or several different ones do.
    Unpriced(&'static str),
    /// The price that fits cannot be true.
    Refused(String),
}

/// The price table; empty where the page has none.
///
/// # Errors
/// A table that is no list, or an entry of which nobody can say what it prices.
pub fn read(page: &Value) -> Result<Vec<Price<'_>>, BadPage> {
    if matches!(page.get("prices"), None | Some(Value::Null)) {
        return Ok(Vec::new());
    }
    let list = fields::array(page, "prices")?;
    let mut prices = Vec::with_capacity(list.len());
    for (index, entry) in list.iter().enumerate() {
        let bad = |what: String| BadPage::new(format!("prices[{index}]: {what}"), "save the page again");
        if !entry.is_object() {
            return Err(bad(format!("expected an object, found {}", fields::found(Some(entry)))));
        }
        let price = unit_price(entry).map_err(|reason| format!("prices[{index}].{reason}"));
        prices.push(Price { of: Priced::read(entry).map_err(bad)?, price });
    }
    Ok(prices)
}

fn unit_price(entry: &Value) -> Result<Amount, String> {
    match fields::number(entry, "price")? {
        None => Err("price: expected a number, found nothing".to_string()),
        Some(Read { amount, .. }) if amount.is_negative() => Err(format!("price: expected 0 or more, found {amount}")),
        Some(Read { amount, .. }) if amount >= MONEY_LIMIT => Err(format!("price: {amount} is too large to be true")),
        Some(Read { residue, .. }) if residue != 0 => {
            Err(format!("price: expected at most 18 decimals, found {}", fields::found(entry.get("price"))))
        }
        Some(Read { amount, .. }) => Ok(amount),
    }
}

/// The price of a row. A field that the row has must be the price's too, and only a field that the row does
/// not have is left out of the comparison; the prices that then agree in most fields stand. A price's null
/// `event_type` holds for each (Mistral sheet section 2.1 and its computation rule 2).
pub fn quote(prices: &[Price<'_>], row: &Priced<'_>) -> Quote {
    let fits = |price: &&Price<'_>| {
        let mut parts = price.of.parts().into_iter().zip(row.parts()).enumerate();
        parts.all(|(at, (price, row))| row.is_none() || price == row || (at == 0 && price.is_none()))
    };
    let alike = |price: &Price<'_>| price.of.parts().into_iter().zip(row.parts()).filter(|(price, row)| price == row).count();
    let most = prices.iter().filter(fits).map(alike).max();
    let mut best = prices.iter().filter(fits).filter(|price| Some(alike(price)) == most);
    let Some(first) = best.next() else { return Quote::Unpriced("no price") };
    match &first.price {
        _ if best.any(|other| other.price != first.price) => Quote::Unpriced("several prices"),
        Ok(price) => Quote::Price(*price),
        Err(reason) => Quote::Refused(reason.clone()),
    }
}

/// Price × quantity, rounded once at 18 decimals, and what that removed in 10^-36.
///
/// # Errors
/// A sum that cannot be true.
pub fn cost(price: Amount, quantity: Amount) -> Result<Read, String> {
    let amount = quantity.times(price).filter(|amount| *amount < MONEY_LIMIT);
    let amount = amount.ok_or_else(|| format!("value_paid: {quantity} at a price of {price} is too large to be true"))?;
    // Both products may wrap; their difference, at most half of 10^18, does not.
    let exact = quantity.atto().wrapping_mul(price.atto());
    Ok(Read { amount, residue: exact.wrapping_sub(amount.atto().wrapping_mul(Amount::ONE.atto())) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    fn entry(event: Option<&str>, zone: Option<&str>, tier: Option<&str>, price: &str) -> Value {
        json!({ "event_type": event, "billing_metric": "m", "billing_group": "input", "api_zone": zone, "service_tier": tier,
                "price": price })
    }

    fn quoted(entries: &[Value], row: Priced<'_>) -> Quote {
        let page = json!({ "prices": entries });
        quote(&read(&page).unwrap(), &row)
    }

    const ROW: Priced<'_> =
        Priced { event_type: Some("api_tokens"), metric: Some("m"), group: Some("input"), zone: None, tier: None };

    #[test]
    fn what_the_row_says_must_be_the_price_s_too() {
        let (api, eu, global) = (Some("api_tokens"), Some("eu"), Some("global"));
        let standard = Some("standard");
        let one = [entry(api, global, standard, "4.40E-7")];
        let price = |text: &str| Quote::Price(amount(text));
        assert_eq!(quoted(&one, ROW), price("0.00000044"));
        assert_eq!(quoted(&one, Priced { zone: global, tier: standard, ..ROW }), price("0.00000044"));
        assert_eq!(quoted(&one, Priced { zone: eu, ..ROW }), Quote::Unpriced("no price"));
        assert_eq!(quoted(&one, Priced { tier: Some("priority"), ..ROW }), Quote::Unpriced("no price"));
        assert_eq!(quoted(&one, Priced { metric: Some("n"), ..ROW }), Quote::Unpriced("no price"));
        assert_eq!(quoted(&one, Priced { event_type: Some("vibe_tokens"), ..ROW }), Quote::Unpriced("no price"));
        let two = [entry(api, global, standard, "1"), entry(api, eu, standard, "2")];
        assert_eq!(quoted(&two, Priced { zone: eu, ..ROW }), price("2"));
        assert_eq!(quoted(&two, ROW), Quote::Unpriced("several prices"));
        let equal = [entry(api, global, standard, "1"), entry(api, eu, standard, "1.0")];
        assert_eq!(quoted(&equal, ROW), price("1"));
        let plain = [entry(api, None, None, "3"), entry(api, eu, standard, "2")];
        assert_eq!(quoted(&plain, ROW), price("3"));
        assert_eq!(quoted(&plain[..1], Priced { zone: eu, ..ROW }), Quote::Unpriced("no price"));
        let any = [entry(None, None, None, "5"), entry(api, None, None, "6")];
        assert_eq!(quoted(&any[..1], ROW), price("5"));
        assert_eq!(quoted(&any, ROW), price("6"));
    }

    #[test]
    fn a_price_that_cannot_be_true_is_refused() {
        for text in ["NaN", "Infinity", "1e308", "-1", "1e-19", "1e12", "", "0,5"] {
            let found = quoted(&[entry(None, None, None, text)], ROW);
            assert!(matches!(&found, Quote::Refused(reason) if reason.starts_with("prices[0].price: ")), "{text}: {found:?}");
        }
        assert_eq!(quoted(&[entry(None, None, None, "8.50E-8")], ROW), Quote::Price(amount("0.000000085")));
        assert_eq!(quoted(&[entry(None, None, None, "0.0000017000")], ROW), Quote::Price(amount("0.0000017")));
        assert_eq!(quoted(&[entry(None, None, None, "0")], ROW), Quote::Price(Amount::ZERO));
    }

    #[test]
    fn products_are_exact_or_say_what_was_removed() {
        let whole = cost(amount("0.00000044"), amount("2000000")).unwrap();
        assert_eq!((whole.amount, whole.residue), (amount("0.88"), 0));
        let fine = cost(amount("0.000000000000000001"), amount("12.345")).unwrap();
        assert_eq!((fine.amount, fine.residue), (amount("0.000000000000000012"), 345_000_000_000_000_000));
        let up = cost(amount("0.000000000000000003"), amount("0.5")).unwrap();
        assert_eq!((up.amount, up.residue), (amount("0.000000000000000002"), -500_000_000_000_000_000));
        let large = cost(amount("123456789.123456789"), amount("999.000000000000000001")).unwrap();
        assert_eq!(
            (large.amount.to_string().as_str(), large.residue),
            ("123333332334.333332211123456789", 123_456_789_000_000_000)
        );
        assert!(cost(amount("1000000"), amount("1000000")).is_err());
        assert!(cost(amount("999999999999"), amount("999999999999999999")).is_err());
    }
}
