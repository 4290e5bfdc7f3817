//! Amounts of fal rows: checked when read, and the exact price × quantity where a row has no cost.

use crate::domain::money::{Amount, MONEY_LIMIT, Read};

/// Why a row is set aside, with its cost where that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub reason: String,
    pub amount: Option<Amount>,
}

impl Fault {
    pub fn new(reason: impl Into<String>, amount: Option<Amount>) -> Self {
        Fault { reason: reason.into(), amount }
    }
}

/// What a row costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub cost: Amount,
    pub residue: i128,
    pub list_cost: Option<Amount>,
}

/// A figure that fal documents as zero or more.
///
/// # Errors
/// The fault as `read` gives it, a negative figure, or one too large to be money.
pub(super) fn checked(name: &str, read: Result<Option<Read>, String>) -> Result<Option<Read>, Fault> {
    match read.map_err(|reason| Fault::new(reason, None))? {
        Some(Read { amount, .. }) if amount.is_negative() => {
            Err(Fault::new(format!("{name}: expected zero or more, found {amount}"), Some(amount)))
        }
        Some(Read { amount, .. }) if amount >= MONEY_LIMIT => {
            Err(Fault::new(format!("{name}: expected less than {MONEY_LIMIT}, found {amount}"), None))
        }
        read => Ok(read),
    }
}

/// `cost_estimate_nano_usd` in dollars: whole numbers of 10^-9, so the quotient is exact.
///
/// # Errors
/// As [`checked`]; the limit is that of dollars.
pub(super) fn nano(read: Result<Option<Read>, String>) -> Result<Option<Amount>, Fault> {
    const NAME: &str = "cost_estimate_nano_usd";
    let dollars = |read: Read| Some(Read { amount: read.amount.mul_div(1, 1_000_000_000)?, residue: 0 });
    checked(NAME, read.map(|read| read.and_then(dollars))).map(|read| read.map(|read| read.amount))
}

/// `units × price × (1 − percent ÷ 100)`, exact until one rounding at 18 decimals.
///
/// # Errors
/// A discount above 100 %, or a result that no amount can hold.
pub(super) fn net(units: Amount, price: Amount, percent: Option<Amount>) -> Result<Amount, Fault> {
    let left = Amount::whole(100).checked_sub(percent.unwrap_or(Amount::ZERO)).filter(|left| !left.is_negative());
    let left = left.ok_or_else(|| {
        Fault::new(format!("percent_discount: expected at most 100, found {}", percent.unwrap_or(Amount::ZERO)), None)
    })?;
    let ((price, places), (left, left_places)) = (shortened(price), shortened(left));
    price
        .checked_mul(left)
        .zip(10i128.checked_pow(places + left_places + 2))
        .and_then(|(factor, divisor)| units.mul_div(factor, divisor))
        .ok_or_else(|| Fault::new("quantity × unit_price: the product has more digits than an amount can hold", None))
}

/// Equal but for the last digits of a sum or product that passed through a float at fal.
pub(super) fn nearly(a: Option<Amount>, b: Option<Amount>) -> bool {
    let room = Amount::from_atto(1_000_000_000);
    a.zip(b).and_then(|(a, b)| a.checked_sub(b)).is_some_and(|difference| difference.abs() <= room)
}

/// The amount as digits and decimal places, without trailing zeros, so that two of them multiply in 128 bits.
fn shortened(amount: Amount) -> (i128, u32) {
    let (mut digits, mut places) = (amount.atto(), crate::domain::money::SCALE);
    while places > 0 && digits % 10 == 0 {
        digits /= 10;
        places -= 1;
    }
    (digits, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn price_times_quantity_is_exact() {
        for (units, price, percent, expected) in [
            ("1.048576", "0.04", None, "0.04194304"),
            ("5", "0.07", Some("10"), "0.315"),
            ("3.008", "0.03", None, "0.09024"),
            ("20.97152", "0.04", Some("20"), "0.67108864"),
            ("1", "0.000000000000000001", Some("12.5"), "0.000000000000000001"),
            ("1", "0.000000000000000001", Some("87.5"), "0"),
            ("7", "0.1", Some("100"), "0"),
            ("900000000000", "900000", None, "810000000000000000"),
        ] {
            assert_eq!(net(amount(units), amount(price), percent.map(amount)), Ok(amount(expected)), "{units} × {price}");
        }
    }

    #[test]
    fn nano_dollars_are_exact() {
        let dollars = |text: &str| nano(Amount::read(text).map(Some).map_err(|error| error.to_string())).map(Option::unwrap);
        assert_eq!(dollars("41943040"), Ok(amount("0.04194304")));
        assert_eq!(dollars("1"), Ok(amount("0.000000001")));
        assert_eq!(dollars("5000000000000"), Ok(amount("5000")));
        assert!(dollars("-1").is_err());
        assert_eq!(nano(Ok(None)), Ok(None));
    }

    #[test]
    fn what_cannot_be_a_price_is_a_fault() {
        assert!(net(Amount::ONE, Amount::ONE, Some(amount("100.5"))).is_err());
        assert!(net(amount("900000000000"), amount("900000000000"), None).is_err());
        assert!(net(Amount::ONE, amount("123456789.123456789123456789"), Some(amount("0.123456789123456789"))).is_err());
    }

    #[test]
    fn figures_are_checked_at_the_door() {
        let read =
            |text: &str| checked("cost_total", Amount::read(text).map(Some).map_err(|error| format!("cost_total: {error}")));
        assert_eq!(read("0.002600646").unwrap().unwrap().amount, amount("0.002600646"));
        assert_eq!(read("-0").unwrap().unwrap().amount, Amount::ZERO);
        assert_eq!(read("-1.5").unwrap_err().amount, Some(amount("-1.5")));
        assert!(read("1000000000000").is_err() && read("NaN").is_err() && read("1e999").is_err());
        assert_eq!(checked("cost_total", Ok(None)), Ok(None));
    }
}
