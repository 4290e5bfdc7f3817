//! `whatif`: the same usage under other terms, side by side with what is.

use super::fetched::recorded;
use super::reference::{Asked, load};
use super::snapshot;
use crate::cli::Whatif;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Amount;
use crate::domain::period::{month_start, parse_day};
use crate::edge::log::Progress;
use crate::job;
use crate::report::whatif::{self, Sides};
use crate::stages;
use crate::stages::savings::suppose::Supposed;
use crate::stages::savings::{self, usage};
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::BTreeSet;
use std::fs;

fn bad(what: String, hint: &str) -> Fault {
    Fault::new(ExitCode::Usage, "", what, hint)
}

fn number(option: &str, text: &Option<String>, hint: &str) -> Result<Option<Amount>, Fault> {
    let Some(text) = text else { return Ok(None) };
    let plain = Amount::parse(text).ok().filter(|number| !number.is_negative());
    plain.map(Some).ok_or_else(|| bad(format!("{option}: {text:?} is no number of at least 0"), hint))
}

fn supposed(typed: &Whatif) -> Result<Supposed, Fault> {
    let plan = match &typed.plan {
        None => None,
        Some(path) => {
            let shown = path.display().to_string();
            let text = fs::read_to_string(path).map_err(|error| {
                Fault::new(
                    ExitCode::Data,
                    &shown,
                    format!("the plan cannot be read: {error}"),
                    "name a file like jobs/plans/moodnode.toml",
                )
            })?;
            Some(job::plans::parse(&shown, &text)?)
        }
    };
    let discount = number("--discount", &typed.discount, "write per cents like 22")?;
    let discount = discount.and_then(|percent| percent.ratio(Amount::whole(100)));
    if discount.is_some_and(|part| part > Amount::ONE) {
        return Err(bad("--discount: more than 100 per cent".to_string(), "write per cents like 22"));
    }
    let scale = typed.scale.as_ref().map(|text| text.strip_suffix('x').unwrap_or(text).to_string());
    let day = |text: &String| {
        parse_day(text).ok_or_else(|| bad(format!("--switch-date: {text:?} is no day"), "write it like 2026-11-15"))
    };
    let supposed = Supposed {
        team: typed.team.clone(),
        client: typed.client.clone(),
        plan,
        fee: number("--fee", &typed.fee, "write money like 39 or 19.90")?,
        discount,
        scale: number("--scale", &scale, "write it like 2x or 0.5x")?,
        switch: typed.switch_date.as_ref().map(day).transpose()?,
        wage: number("--wage", &typed.wage, "write money an hour like 45")?,
    };
    Ok(supposed)
}

fn month(typed: &Whatif) -> Result<Option<NaiveDate>, Fault> {
    let read = |text: &String| {
        let day = parse_day(&format!("{text}-01")).or_else(|| parse_day(text)).map(month_start);
        day.ok_or_else(|| bad(format!("--month: {text:?} is no month"), "write it like 2026-11"))
    };
    typed.month.as_ref().map(read).transpose()
}

/// What an option names is among those who used something.
fn is_among<'a>(option: &str, named: &Option<String>, users: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    let users: BTreeSet<&str> = users.collect();
    let Some(named) = named.as_deref().filter(|named| !users.contains(named)) else { return Ok(()) };
    let known = if users.is_empty() { "none".to_string() } else { users.into_iter().collect::<Vec<_>>().join(", ") };
    Err(bad(format!("--{option}: {named:?} used nothing in these days"), &format!("{option}s that did: {known}")))
}

/// Prices the job's usage as it is and as supposed. Publishes nothing.
///
/// # Errors
/// A bad option (2), whatever keeps the job from being read, and a job without plans to compare (78).
pub fn whatif(typed: &Whatif, now: DateTime<Utc>, progress: &Progress) -> Result<String, Fault> {
    let (supposed, month) = (supposed(typed)?, month(typed)?);
    let loaded = load(&typed.job, &Asked { as_of: typed.as_of.clone(), ..Asked::default() }, now)?;
    let place = loaded.job.file.display().to_string();
    if loaded.terms.agreements.is_empty() && supposed.plan.is_none() {
        let what = "no [[plan]] to compare with";
        return Err(Fault::new(ExitCode::Config, place, what, "add one to the job, or name a plan with --plan"));
    }
    let snapshot = snapshot::read(&loaded, &recorded(&loaded)?, progress)?;
    let (facts, reference) = (&snapshot.facts, &loaded.reference);
    let outcome = stages::tie_out(facts, reference, snapshot.provider, snapshot.ledger, &Default::default())?;
    let used = usage::usage(facts, reference, &outcome.attribution)?;
    is_among("team", &supposed.team, used.iter().map(|used| used.key.team.as_str()))?;
    is_among("client", &supposed.client, used.iter().map(|used| used.key.client.as_str()).filter(|name| !name.is_empty()))?;
    let too_large = || Fault::new(ExitCode::Usage, "", "--scale: the figures do not fit", "take a smaller factor");
    let changed = supposed.usage(&used).ok_or_else(too_large)?;
    let now = savings::of_usage(&used, reference, &loaded.terms)?;
    let then = savings::of_usage(&changed, reference, &supposed.terms(&loaded.terms))?;
    let sides = Sides::new(&now, &then, month, supposed.client.as_deref(), reference.reporting_currency);
    if typed.json {
        return whatif::json(&sides, &loaded.job.name);
    }
    if typed.csv {
        return whatif::csv(&sides);
    }
    whatif::text(&sides)
}
