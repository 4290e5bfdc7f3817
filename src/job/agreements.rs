//! Sections `[savings]` and `[[plan]]` of a job: which plan holds for whom and when. The plans themselves are
//! files of their own, read later.

use super::checked::provider;
use super::keys::{JOB_PLAN, JOB_SAVINGS};
use super::toml_at::{Section, Value, quoted};
use crate::domain::fault::Fault;
use crate::domain::money::Amount;
use crate::domain::period::Days;
use crate::domain::plan::Route;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use std::path::PathBuf;

const MONEY_DECIMALS_MAX: usize = 12;

/// What a job says about savings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavingsFiles {
    /// Money an hour, in the reporting currency.
    pub wage: Option<Amount>,
    pub purchases: Option<PathBuf>,
    pub invoices: Option<PathBuf>,
}

/// A section `[[plan]]`: an [`crate::domain::agreement::Agreement`] whose plan is still a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanUse {
    /// Line of the section, for faults that show later.
    pub line: usize,
    pub file: PathBuf,
    pub byok_file: Option<PathBuf>,
    pub team: Option<String>,
    pub provider: Option<String>,
    pub account: Option<String>,
    pub credits_offer: Option<String>,
    pub byok_offer: Option<String>,
    pub signed_up: Option<NaiveDate>,
    pub route: Option<Route>,
    pub switch: Option<NaiveDate>,
    pub pool: Option<String>,
    pub days: Days,
}

/// An amount without sign, in quotes.
pub(super) fn amount(value: &Value<'_>) -> Result<Amount, Fault> {
    let decimal: Decimal = value.decimal(MONEY_DECIMALS_MAX)?;
    Amount::ONE.times_decimal(decimal).ok_or_else(|| value.expected("a smaller number"))
}

/// Section `[savings]`. `file` turns the value of a key into a path.
pub(super) fn savings<'a>(
    top: &Section<'a>,
    file: &mut dyn FnMut(&Value<'a>) -> Result<PathBuf, Fault>,
) -> Result<SavingsFiles, Fault> {
    let Some(section) = top.get("savings") else { return Ok(SavingsFiles::default()) };
    let section = section.section(&JOB_SAVINGS)?;
    Ok(SavingsFiles {
        wage: section.get("wage").map(|value| amount(&value)).transpose()?,
        purchases: section.get("purchases").map(|value| file(&value)).transpose()?,
        invoices: section.get("invoices").map(|value| file(&value)).transpose()?,
    })
}

/// Sections `[[plan]]`; none when absent.
pub(super) fn plans<'a>(
    top: &Section<'a>,
    file: &mut dyn FnMut(&Value<'a>) -> Result<PathBuf, Fault>,
) -> Result<Vec<PlanUse>, Fault> {
    let mut plans: Vec<PlanUse> = Vec::new();
    for section in top.sections("plan", &JOB_PLAN)? {
        let plan = plan(&section, file)?;
        if let Some(other) = plans.iter().find(|other| collide(other, &plan)) {
            let what = format!("this plan and the one on line {} are for the same usage on the same days", other.line);
            return Err(section
                .fault(what, "let one end with \"to\" before the other begins, or narrow one by team, provider or account"));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn collide(a: &PlanUse, b: &PlanUse) -> bool {
    let overlap = a.days.from < b.days.to && b.days.from < a.days.to;
    // Two that are equally narrow in the same way; a narrower one simply goes before a broader one.
    overlap && (&a.team, &a.provider, &a.account) == (&b.team, &b.provider, &b.account)
}

fn plan<'a>(section: &Section<'a>, file: &mut dyn FnMut(&Value<'a>) -> Result<PathBuf, Fault>) -> Result<PlanUse, Fault> {
    let text = |key: &str| section.text(key).map(|text| text.map(str::to_string));
    let days = section.days()?;
    let route = match section.get("route") {
        None => None,
        Some(value) => match value.text()? {
            "credits" => Some(Route::Credits),
            "byok" => Some(Route::Byok),
            "both" => None,
            other => {
                let what = format!("route: unknown route {}", quoted(other));
                return Err(value.fault(what, "write \"credits\", \"byok\" or \"both\""));
            }
        },
    };
    let switch = match section.get("switch") {
        None => None,
        Some(value) => {
            let day = value.day()?;
            if route.is_none() {
                return Err(
                    value.fault("switch: a day without the route it leads to", "add route = \"byok\" or route = \"credits\"")
                );
            }
            if !days.contains(day) {
                return Err(
                    value.fault(format!("switch: {day} is outside the days of this plan"), "it lies between \"from\" and \"to\"")
                );
            }
            Some(day)
        }
    };
    Ok(PlanUse {
        line: section.line(),
        file: file(&section.need("file")?)?,
        byok_file: section.get("byok_file").map(|value| file(&value)).transpose()?,
        team: text("team")?,
        provider: section.get("provider").map(|value| provider(&value).map(str::to_string)).transpose()?,
        account: text("account")?,
        credits_offer: text("credits_offer")?,
        byok_offer: text("byok_offer")?,
        signed_up: section.get("signed_up").map(|value| value.day()).transpose()?,
        route,
        switch,
        pool: text("pool")?,
        days,
    })
}
