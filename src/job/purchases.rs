//! Credit purchases text into pools, and platform invoices text into invoices (contract 3.4).

use super::agreements::amount;
use super::checked::currency;
use super::keys::{
    INVOICES, INVOICES_INVOICE, INVOICES_TOP, PURCHASES, PURCHASES_BALANCE, PURCHASES_POOL, PURCHASES_PURCHASE, PURCHASES_REFUND,
    PURCHASES_TOP,
};
use super::nearest::did_you_mean;
use super::toml_at::{self, Origin, Section, quoted};
use crate::domain::agreement::{Invoice, Pool, Purchase};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Amount;
use crate::domain::period::month_start;
use std::collections::BTreeMap;

/// Reads credit purchases.
///
/// # Errors
/// The first thing that is wrong, with exit code 65, the line, and what to write instead.
pub fn parse(file: &str, text: &str) -> Result<Vec<Pool>, Fault> {
    let origin = Origin { file, text, code: ExitCode::Data, keys: &PURCHASES };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &PURCHASES_TOP)?;
    let mut pools: Vec<(Pool, usize)> = Vec::new();
    for section in top.some_sections("pool", &PURCHASES_POOL)? {
        let name = section.need("name")?.text()?.to_string();
        if let Some((_, line)) = pools.iter().find(|(pool, _)| pool.name == name) {
            let what = format!("pool {} is already on line {line}", quoted(&name));
            return Err(section.fault(what, "give each pool a name of its own"));
        }
        let currency = currency(&section.need("currency")?)?;
        let unit = section.text("unit")?.map_or(currency.code().to_string(), str::to_string);
        let opening = section.get("opening").map_or(Ok(Amount::ZERO), |value| amount(&value))?;
        let pool = Pool { name, currency, unit, opening, purchases: Vec::new(), refunds: Vec::new(), balances: Vec::new() };
        pools.push((pool, section.line()));
    }
    let mut pools: Vec<Pool> = pools.into_iter().map(|(pool, _)| pool).collect();
    for section in top.sections("purchase", &PURCHASES_PURCHASE)? {
        let day = section.need("day")?.day()?;
        let expires = section.get("expires").map(|value| value.day().map(|day| (day, value))).transpose()?;
        if let Some((end, value)) = expires.filter(|(end, _)| *end <= day) {
            return Err(
                value.fault(format!("expires: {end} is not after {day}"), "credits are usable on the day they are bought")
            );
        }
        let purchase = Purchase {
            day,
            units: amount(&section.need("units")?)?,
            price: section.get("price").map(|value| amount(&value)).transpose()?,
            fee: section.get("fee").map_or(Ok(Amount::ZERO), |value| amount(&value))?,
            expires: expires.map(|(day, _)| day),
        };
        of_pool(&section, &mut pools)?.purchases.push(purchase);
    }
    for section in top.sections("refund", &PURCHASES_REFUND)? {
        let refund = (section.need("day")?.day()?, amount(&section.need("units")?)?);
        of_pool(&section, &mut pools)?.refunds.push(refund);
    }
    for section in top.sections("balance", &PURCHASES_BALANCE)? {
        let balance = (section.need("day")?.day()?, amount(&section.need("units")?)?);
        let pool = of_pool(&section, &mut pools)?;
        if pool.balances.iter().any(|(day, _)| *day == balance.0) {
            let what = format!("balance of pool {} on {} stands twice", quoted(&pool.name), balance.0);
            return Err(section.fault(what, "keep the one that was shown at the end of the day"));
        }
        pool.balances.push(balance);
    }
    for pool in &mut pools {
        pool.purchases.sort_by_key(|purchase| (purchase.day, purchase.expires, purchase.units));
        pool.refunds.sort();
        pool.balances.sort();
    }
    Ok(pools)
}

fn of_pool<'p>(section: &Section<'_>, pools: &'p mut [Pool]) -> Result<&'p mut Pool, Fault> {
    let value = section.need("pool")?;
    let name = value.text()?;
    let known: Vec<String> = pools.iter().map(|pool| pool.name.clone()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let fault = value.fault(format!("pool: unknown pool {}", quoted(name)), did_you_mean(name, &known));
    pools.iter_mut().find(|pool| pool.name == name).ok_or(fault)
}

/// Reads platform invoices.
///
/// # Errors
/// As [`parse`].
pub fn parse_invoices(file: &str, text: &str) -> Result<Vec<Invoice>, Fault> {
    let origin = Origin { file, text, code: ExitCode::Data, keys: &INVOICES };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &INVOICES_TOP)?;
    let mut lines = BTreeMap::new();
    let mut invoices = Vec::new();
    for section in top.some_sections("invoice", &INVOICES_INVOICE)? {
        let month_at = section.need("month")?;
        let month = month_at.day()?;
        if month != month_start(month) {
            return Err(month_at.expected_with("the first day of a month", format!("write \"{}\"", month_start(month))));
        }
        let invoice = Invoice {
            id: section.need("id")?.text()?.to_string(),
            issuer: section.need("issuer")?.text()?.to_string(),
            team: section.text("team")?.map(str::to_string),
            month,
            amount: amount(&section.need("amount")?)?,
            currency: currency(&section.need("currency")?)?,
        };
        if let Some(line) = lines.insert((invoice.issuer.clone(), invoice.id.clone()), section.line()) {
            let what = format!("invoice {} of {} is already on line {line}", quoted(&invoice.id), invoice.issuer);
            return Err(section.fault(what, "write each invoice once"));
        }
        invoices.push(invoice);
    }
    Ok(invoices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::testing::{Case, assert_faults, assert_robust};

    const POOLS: &str = r#"[[pool]]
name = "growth"
currency = "USD"
unit = "credit"
opening = "20"
[[purchase]]
pool = "growth"
day = "2026-11-01"
units = "100"
price = "100"
fee = "5.50"
expires = "2027-11-01"
[[refund]]
pool = "growth"
day = "2026-11-06"
units = "5"
[[balance]]
pool = "growth"
day = "2026-11-30"
units = "12.5"
"#;
    const INVOICE: &str = r#"[[invoice]]
id = "INV-7"
issuer = "kompozy"
team = "growth"
month = "2026-11-01"
amount = "20"
currency = "USD"
"#;

    #[test]
    fn reads_every_key() {
        let pools = parse("purchases.toml", POOLS).unwrap();
        assert_eq!((pools.len(), pools[0].unit.as_str(), pools[0].opening), (1, "credit", Amount::whole(20)));
        assert_eq!(pools[0].purchases[0].fee.to_string(), "5.5");
        assert_eq!((pools[0].refunds.len(), pools[0].balances.len()), (1, 1));
        let invoices = parse_invoices("invoices.toml", INVOICE).unwrap();
        assert_eq!((invoices[0].amount, invoices[0].team.as_deref()), (Amount::whole(20), Some("growth")));
    }

    #[test]
    fn no_text_makes_it_panic() {
        assert_robust(POOLS, |text| parse("purchases.toml", text));
        assert_robust(INVOICE, |text| parse_invoices("invoices.toml", text));
    }

    #[test]
    fn says_where_what_and_what_to_do() {
        let cases: &[Case] = &[
            (
                "[[purchase]]\npool = \"grwth\"\nday = \"2026-11-01\"\nunits = \"1\"",
                5,
                "pool: unknown pool \"grwth\"",
                "did you mean \"growth\"?",
            ),
            (
                "[[purchase]]\npool = \"growth\"\nday = \"2026-11-01\"\nunits = \"1\"\nexpires = \"2026-11-01\"",
                8,
                "expires: 2026-11-01 is not after 2026-11-01",
                "credits are usable on the day they are bought",
            ),
            (
                "[[pool]]\nname = \"growth\"\ncurrency = \"USD\"",
                4,
                "pool \"growth\" is already on line 1",
                "give each pool a name of its own",
            ),
        ];
        assert_faults("p.toml", ExitCode::Data, cases, |text| {
            parse("p.toml", &format!("[[pool]]\nname = \"growth\"\ncurrency = \"USD\"\n{text}"))
        });
        let cases: &[Case] = &[
            (
                "month = \"2026-11-02\"\namount = \"1\"\ncurrency = \"USD\"",
                4,
                "month: expected the first day of a month, found \"2026-11-02\"",
                "write \"2026-11-01\"",
            ),
            (
                "month = \"2026-11-01\"\namount = \"1\"\ncurrency = \"USD\"\n[[invoice]]\nid = \"7\"\nissuer = \"k\"\nmonth = \"2026-12-01\"\namount = \"1\"\ncurrency = \"USD\"",
                7,
                "invoice \"7\" of k is already on line 1",
                "write each invoice once",
            ),
        ];
        assert_faults("i.toml", ExitCode::Data, cases, |text| {
            parse_invoices("i.toml", &format!("[[invoice]]\nid = \"7\"\nissuer = \"k\"\n{text}"))
        });
    }
}
