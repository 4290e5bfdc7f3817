//! Job file text into a [`Job`]: every key, type, value and cross-reference is checked here, so that
//! the rest of the program meets only jobs that make sense. Reads no file.

use super::agreements;
use super::alerts;
use super::api::{self, PullLimits};
use super::checked::currency;
use super::keys::{JOB, JOB_ALERTS, JOB_API, JOB_LEDGER, JOB_LIMITS, JOB_PULL, JOB_SOURCE, JOB_SPIKES, JOB_TOP, JOB_WINDOW};
use super::ledgers::ledger;
use super::nearest::{did_you_mean, nearest};
use super::spikes;
use super::toml_at::{self, Origin, Section, Value, quoted};
use super::{Job, Kind, LedgerSource, NamedFiles, Pull, Source, Window};
use crate::adapters::Adapter;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Currency;
use crate::domain::period::Days;
use chrono_tz::{TZ_VARIANTS, Tz};
use std::path::{Path, PathBuf};

const TRAILING_DAYS: u32 = 35;
const DAYS_MAX: u64 = 400;

/// Reads a job. Relative paths and patterns get the job file's own folder put before them.
///
/// # Errors
/// The first thing that is wrong, with exit code 78, the line, and what to write instead.
pub fn parse(file: &Path, text: &str, adapters: &[&dyn Adapter]) -> Result<Job, Fault> {
    let shown = file.display().to_string();
    let origin = Origin { file: &shown, text, code: ExitCode::Config, keys: &JOB };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &JOB_TOP)?;
    let mut folder = Folder { path: file.parent().unwrap_or(Path::new("")), named: NamedFiles::default() };

    let name = top.need("name")?.text()?.to_string();
    let reporting_currency = top.get("reporting_currency").map_or(Ok(Currency::USD), |value| currency(&value))?;
    let time_zone = top.get("time_zone").map_or(Ok(Tz::UTC), |value| zone(&value))?;
    let as_of = top.get("as_of").map(|value| value.instant()).transpose()?;
    let window = top.get("window").map_or(Ok(Window::default()), |value| window(&value.section(&JOB_WINDOW)?))?;
    let limits = top.get("limits").map(|value| api::limits(&value.section(&JOB_LIMITS)?)).transpose()?;
    let limits = limits.unwrap_or_else(PullLimits::default);
    let output = PathBuf::from(folder.join(&top.need("output")?)?);
    let state_at = top.need("state")?;
    let state = PathBuf::from(folder.join(&state_at)?);
    if state == output {
        let hint = "published runs and the program's memory need a folder each";
        return Err(state_at.fault("state: the same folder as output", hint));
    }
    let mut reference = |key: &str| top.get(key).map(|value| folder.file(&value)).transpose();
    let (teams, names, fx) = (reference("teams")?, reference("names")?, reference("fx")?);
    let prices = top.get("prices").map_or(Ok(Vec::new()), |value| value.texts())?;
    let prices = prices.iter().map(|(_, value)| folder.file(value)).collect::<Result<Vec<_>, _>>()?;
    let prices_max_age_days = top.get("prices_max_age_days").map_or(Ok(90), |value| value.whole(1..=3650))?;
    let kinds = [("nightly", Kind::Nightly), ("watch", Kind::Watch)];
    let kind = top.get("kind").map_or(Ok(Kind::Nightly), |value| value.word(&kinds))?;
    let alerts = top.get("alerts").map(|value| alerts::alerts(&value.section(&JOB_ALERTS)?, folder.path)).transpose()?;
    let mut alerts = alerts.unwrap_or_default();
    let savings = agreements::savings(&top, &mut |value| folder.file(value))?;
    let plans = agreements::plans(&top, &mut |value| folder.file(value))?;
    let byte_order_mark = top.get("byte_order_mark").map_or(Ok(true), |value| value.flag())?;

    let mut ledgers: Vec<(LedgerSource, usize)> = Vec::new();
    for section in top.some_sections("ledger", &JOB_LEDGER)? {
        let ledger = ledger(&section, reporting_currency, &mut folder)?;
        if let Some((_, line)) = ledgers.iter().find(|(other, _)| other.name == ledger.name) {
            let what = format!("ledger {} is already on line {line}", quoted(&ledger.name));
            return Err(section.fault(what, "give each ledger a name of its own"));
        }
        ledgers.push((ledger, section.line()));
    }
    let mut sources: Vec<(Source, usize)> = Vec::new();
    let some = if kind == Kind::Watch { Section::sections } else { Section::some_sections };
    let sections = some(&top, "source", &JOB_SOURCE)?;
    for section in sections {
        if kind == Kind::Watch {
            asked_by_the_hour(&section)?;
        }
        let source = source(&section, adapters, &mut folder, limits.loopback_http)?;
        let same = |other: &Source| other.provider == source.provider && other.account == source.account;
        if let Some((_, line)) = sources.iter().find(|(other, _)| same(other)) {
            let what = format!("source {} account {} is already on line {line}", source.provider, quoted(&source.account));
            return Err(section.fault(what, format!("move the pulls to the source on line {line}")));
        }
        sources.push((source, section.line()));
    }
    let spikes = top.get("spikes").map(|value| value.section(&JOB_SPIKES)).transpose()?;
    let spikes = spikes::settings(spikes.as_ref(), time_zone, reporting_currency)?;
    alerts.settings.calendar = spikes.calendar.clone();
    Ok(Job {
        file: file.to_path_buf(),
        name,
        reporting_currency,
        time_zone,
        as_of,
        window,
        limits,
        output,
        state,
        ledgers: ledgers.into_iter().map(|(ledger, _)| ledger).collect(),
        sources: sources.into_iter().map(|(source, _)| source).collect(),
        teams,
        prices,
        prices_max_age_days,
        names,
        fx,
        savings,
        plans,
        byte_order_mark,
        kind,
        alerts,
        spikes,
        named: folder.named,
    })
}

/// The job file's folder, and the files named so far.
pub(super) struct Folder<'a> {
    pub(super) path: &'a Path,
    named: NamedFiles,
}

impl Folder<'_> {
    fn join(&self, value: &Value<'_>) -> Result<String, Fault> {
        let joined = self.path.join(value.text()?);
        joined.to_str().map(str::to_string).ok_or_else(|| {
            value.fault(
                format!("{}: the job file's folder is not UTF-8", value.name()),
                "move the job to a folder with a plain name",
            )
        })
    }

    pub(super) fn file(&mut self, value: &Value<'_>) -> Result<PathBuf, Fault> {
        let joined = self.join(value)?;
        self.named.add(&joined, value.name(), value.line());
        Ok(PathBuf::from(joined))
    }

    /// Pattern signs in the folder's own name are not meant as such.
    pub(super) fn patterns(&mut self, value: &Value<'_>) -> Result<Vec<String>, Fault> {
        let mut patterns = Vec::new();
        for (text, value) in value.some_texts()? {
            let joined = self.join(&value)?;
            let folder = joined.strip_suffix(text).unwrap_or("");
            let pattern = format!("{}{text}", literal(folder));
            self.named.add(&pattern, value.name(), value.line());
            patterns.push(pattern);
        }
        Ok(patterns)
    }
}

fn literal(folder: &str) -> String {
    let escape = |sign: char| if matches!(sign, '*' | '?' | '[' | ']') { format!("[{sign}]") } else { sign.to_string() };
    folder.chars().map(escape).collect()
}

pub(super) fn zone(value: &Value<'_>) -> Result<Tz, Fault> {
    let text = value.text()?;
    text.parse::<Tz>().map_err(|_| {
        let known: Vec<&str> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        let hint = nearest(text, &known)
            .map_or("write an IANA name, such as \"Europe/Berlin\"".to_string(), |near| format!("did you mean \"{near}\"?"));
        value.fault(format!("{}: unknown time zone {}", value.name(), quoted(text)), hint)
    })
}

fn window(section: &Section<'_>) -> Result<Window, Fault> {
    let trailing_days = whole(section, "trailing_days", 1, DAYS_MAX)?.unwrap_or(TRAILING_DAYS);
    section.days()?;
    let day = |key: &str| section.get(key).map(|value| value.day()).transpose();
    Ok(Window { trailing_days, from: day("from")?, to: day("to")? })
}

pub(super) fn whole(section: &Section<'_>, key: &str, min: u64, max: u64) -> Result<Option<u32>, Fault> {
    let Some(value) = section.get(key) else { return Ok(None) };
    let number = value.whole(min..=max)?;
    u32::try_from(number).map(Some).map_err(|_| value.expected("a whole number"))
}

fn source(
    section: &Section<'_>,
    adapters: &[&dyn Adapter],
    folder: &mut Folder<'_>,
    loopback_http: bool,
) -> Result<Source, Fault> {
    let provider = section.need("provider")?;
    let name = provider.text()?;
    let Some(adapter) = adapters.iter().find(|adapter| adapter.name() == name) else {
        let known: Vec<&str> = adapters.iter().map(|adapter| adapter.name()).collect();
        return Err(provider.fault(format!("provider: unknown provider {}", quoted(name)), did_you_mean(name, &known)));
    };
    let account = section.need("account")?.text()?.to_string();
    let settle_days = whole(section, "settle_days", 0, DAYS_MAX)?.unwrap_or_else(|| adapter.settle_days());
    let api = section.get("api").map(|value| api::api(&value.section(&JOB_API)?, folder.path, loopback_http)).transpose()?;
    let costs_from_ledger = section.get("costs").map(|value| costs(&value)).transpose()?.unwrap_or(false);
    let pulls = match (&api, costs_from_ledger) {
        (None, false) => section.some_sections("pull", &JOB_PULL)?,
        _ => section.sections("pull", &JOB_PULL)?,
    };
    let pulls = pulls.iter().map(|section| pull(section, *adapter, folder)).collect::<Result<Vec<_>, _>>()?;
    Ok(Source { provider: name.to_string(), account, settle_days, pulls, api, costs_from_ledger })
}

/// A source of a watch job is asked, and nothing else.
fn asked_by_the_hour(section: &Section<'_>) -> Result<(), Fault> {
    if let Some(value) = ["pull", "costs"].into_iter().find_map(|key| section.get(key)) {
        let hint = "take it out: the nightly job reads files and the ledger's costs";
        return Err(value.fault(format!("{}: a watch job only asks providers' APIs", value.name()), hint));
    }
    if section.get("api").is_none() {
        let hint = "add [source.api], or take the source out: the nightly job reads it";
        return Err(section.fault("a watch job asks providers' APIs, and this source has none", hint));
    }
    Ok(())
}

/// True for `ledger`.
fn costs(value: &Value<'_>) -> Result<bool, Fault> {
    match value.text()? {
        "provider" => Ok(false),
        "ledger" => Ok(true),
        other => Err(value.fault(format!("costs: {} is no such place", quoted(other)), "write \"provider\" or \"ledger\"")),
    }
}

fn pull(section: &Section<'_>, adapter: &dyn Adapter, folder: &mut Folder<'_>) -> Result<Pull, Fault> {
    let files = folder.patterns(&section.need("files")?)?;
    let report = section.get("report").map(|value| report(&value, adapter)).transpose()?;
    let group_by = section.get("group_by").map_or(Ok(Vec::new()), |value| value.texts())?;
    let group_by = group_by.into_iter().map(|(text, _)| text.to_string()).collect();
    let covers = section.get("covers").map(|value| covers(&value)).transpose()?;
    Ok(Pull { files, report, group_by, covers })
}

fn report(value: &Value<'_>, adapter: &dyn Adapter) -> Result<String, Fault> {
    let text = value.text()?;
    let known: Vec<&str> = adapter.reports().iter().map(|report| report.name).collect();
    if known.contains(&text) {
        return Ok(text.to_string());
    }
    Err(value.fault(format!("report: {} has no report {}", adapter.name(), quoted(text)), did_you_mean(text, &known)))
}

fn covers(value: &Value<'_>) -> Result<Days, Fault> {
    let days = value.list()?;
    let [from, to] = days.as_slice() else { return Err(value.expected("a list of two days")) };
    let days = Days { from: from.day()?, to: to.day()? };
    if days.to <= days.from {
        let hint = "the second day is excluded: for a single day write the day after it";
        return Err(to.fault(format!("covers: {} is not after {}", days.to, days.from), hint));
    }
    Ok(days)
}

#[cfg(test)]
mod tests;
