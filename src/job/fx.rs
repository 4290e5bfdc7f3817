//! Exchange rate text into [`Rates`]. One rate for two currencies on a day; none is derived.

use super::checked::currency;
use super::keys::{FX, FX_RATE, FX_TOP};
use super::toml_at::{self, Origin, Section};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::fx::Rates;
use std::collections::BTreeMap;

const RATE_DECIMALS_MAX: usize = 18;

/// Reads exchange rates.
///
/// # Errors
/// The first thing that is wrong, with exit code 65, the line, and what to write instead.
pub fn parse(file: &str, text: &str) -> Result<Rates, Fault> {
    let origin = Origin { file, text, code: ExitCode::Data, keys: &FX };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &FX_TOP)?;
    let mut rates = Rates::default();
    let mut lines = BTreeMap::new();
    for section in top.sections("rate", &FX_RATE)? {
        let day = section.need("day")?.day()?;
        let from = currency(&section.need("from")?)?;
        let to_at = section.need("to")?;
        let to = currency(&to_at)?;
        if from == to {
            return Err(
                to_at.fault(format!("to: the same currency as from, {from}"), "take the section out: this rate is always 1")
            );
        }
        let at = section.need("rate")?;
        let rate = at.decimal(RATE_DECIMALS_MAX)?;
        if rate.is_zero() {
            return Err(at.expected("more than 0"));
        }
        if let Some(line) = lines.insert((from, to, day), section.line()) {
            let what = format!("rate {from} to {to} of {day} is already on line {line}");
            return Err(section.fault(what, "keep the published one"));
        }
        rates.rates.insert((from, to, day), rate);
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::job::testing::{Case, assert_faults, assert_robust};

    fn read(text: &str) -> Result<Rates, Fault> {
        parse("fx.toml", text)
    }

    const FULL: &str = r#"[[rate]]
day = "2026-11-17"
from = "EUR"
to = "USD"
rate = "1.0853"
[[rate]]
day = 2026-11-18
from = "EUR"
to = "USD"
rate = "1.09"
"#;

    #[test]
    fn reads_every_key() {
        let rates = read(FULL).unwrap();
        assert_eq!(rates.rates.len(), 2);
        let rate = rates.rate(Currency::EUR, Currency::USD, "2026-11-17".parse().unwrap());
        assert_eq!(rate.map(|rate| rate.rate.to_string()), Some("1.0853".to_string()));
    }

    #[test]
    fn no_text_makes_it_panic() {
        assert_robust(FULL, read);
    }

    #[test]
    fn says_where_what_and_what_to_do() {
        let cases: &[Case] = &[
            (
                "from = \"EURO\"",
                3,
                "from: unknown currency \"EURO\"",
                "write an ISO 4217 code of three capitals, such as \"USD\" or \"EUR\"",
            ),
            (
                "from = \"EUR\"\nto = \"EUR\"",
                4,
                "to: the same currency as from, EUR",
                "take the section out: this rate is always 1",
            ),
            (
                "from = \"EUR\"\nto = \"USD\"\nrate = \"-1.1\"",
                5,
                "rate: expected a number that is not negative, found \"-1.1\"",
                "write \"1.1\", or leave it out",
            ),
            (
                "from = \"EUR\"\nto = \"USD\"\nrate = \"0.0\"",
                5,
                "rate: expected more than 0, found \"0.0\"",
                "for example: rate = \"1.0853\"",
            ),
            (
                "from = \"EUR\"\nto = \"USD\"\nrate = 1.1",
                5,
                "rate: expected a number in quotes, found 1.1",
                "write it in quotes: \"1.1\"; without them digits may be lost",
            ),
            (
                "from = \"EUR\"\nto = \"USD\"\nrate = \"1.1\"\n[[rate]]\nday = 2026-11-18\nfrom = \"EUR\"\nto = \"USD\"\nrate = \"1.2\"",
                6,
                "rate EUR to USD of 2026-11-18 is already on line 1",
                "keep the published one",
            ),
        ];
        assert_faults("fx.toml", ExitCode::Data, cases, |text| read(&format!("[[rate]]\nday = \"2026-11-18\"\n{text}")));
    }
}
