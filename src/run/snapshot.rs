//! Reads the snapshot: every page through its adapter, every ledger row, into facts.

use super::lists::{self, Lists};
use super::reference::Loaded;
use crate::adapters::schema::Schemas;
use crate::adapters::{self, Adapter, BadPage, Page, Report};
use crate::domain::beside::beside;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger::LedgerLine;
use crate::domain::names::ShownName;
use crate::domain::period::{Days, parse_day};
use crate::domain::schema::Schema;
use crate::domain::usage::Line;
use crate::edge::log::Progress;
use crate::edge::pages::Content;
use crate::edge::pull::raw;
use crate::edge::state::slices::Stored;
use crate::edge::{ledger, pages};
use crate::job::{Job, Kind, Pull, Source};
use crate::stages::booking::ProviderSide;
use crate::stages::entries::{EntryReader, LedgerSide, Settled};
use crate::stages::facts::{Facts, LedgerInfo, ReportInfo};
use crate::stages::lines::LineReader;
use chrono::NaiveDate;

/// Everything that the run reads.
pub struct Snapshot {
    pub facts: Facts,
    /// What the providers' lists of names have ever shown.
    pub names: Vec<ShownName>,
    pub provider: ProviderSide,
    pub ledger: LedgerSide,
    /// Pulls that could not be used: their slices are missing.
    pub unusable: Vec<Fault>,
    /// Name and SHA-256 of every file read.
    pub inputs: Vec<(String, String)>,
    /// What the pages of each report looked like.
    pub schemas: Vec<Schema>,
}

/// What was fetched for one source of the job: its place in the job, and the answers, oldest first.
pub type Fetched = Vec<(usize, Vec<Stored>)>;

/// Reads pages and ledgers, the two sides at the same time.
///
/// # Errors
/// A ledger that cannot be read; files that cannot be read; and a page that cannot be used, when no
/// source has anything usable at all.
pub fn read(loaded: &Loaded, fetched: &Fetched, progress: &Progress) -> Result<Snapshot, Fault> {
    let (ledgers, sources) = beside(|| read_ledgers(loaded, progress), || read_sources(loaded, fetched, progress));
    // Of two faults the provider side's is told, whichever came first.
    joined(sources?, ledgers?)
}

/// The same with ledgers that were read before: the providers' side may have become more since.
///
/// # Errors
/// As [`read`].
pub fn read_beside(entries: Settled<'_>, loaded: &Loaded, fetched: &Fetched, progress: &Progress) -> Result<Snapshot, Fault> {
    joined(read_sources(loaded, fetched, progress)?, entries)
}

fn joined(sources: Pulled, entries: Settled<'_>) -> Result<Snapshot, Fault> {
    let Pulled { facts, names, provider, unusable, inputs, schemas } = sources;
    let (facts, ledger) = entries.finish(facts)?;
    Ok(Snapshot { facts, names, provider, ledger, unusable, inputs, schemas })
}

/// The provider side.
struct Pulled {
    facts: Facts,
    names: Vec<ShownName>,
    provider: ProviderSide,
    unusable: Vec<Fault>,
    inputs: Vec<(String, String)>,
    schemas: Vec<Schema>,
}

fn read_sources(loaded: &Loaded, fetched: &Fetched, progress: &Progress) -> Result<Pulled, Fault> {
    let (job, reference) = (&loaded.job, &loaded.reference);
    let sources: Vec<(&str, &str, u32)> =
        job.sources.iter().map(|source| (source.provider.as_str(), source.account.as_str(), source.settle_days)).collect();
    let Lists { names, mut unusable, mut inputs, .. } = lists::read(loaded, fetched)?;
    let mut schemas = Schemas::default();
    for fault in &unusable {
        progress.line(&format!("warning: {}: {}; this list is not used", fault.place, fault.what));
    }
    let shown = names.shown();
    let mut lines = LineReader::new(reference, &sources).with_names(names);
    let mut usable = 0;
    for (number, source) in job.sources.iter().enumerate() {
        let stage = progress.stage("read", Some(source.pulls.len() as u64));
        stage.doing(&source.provider);
        let before = inputs.len();
        for (order, pull) in source.pulls.iter().enumerate().filter(|(_, pull)| !lists::is_list(source, pull)) {
            lines.open_pull();
            match read_pull(job, source, number, order, pull, &mut lines, &mut inputs, &mut schemas) {
                Ok(()) => usable += 1,
                Err(fault) if fault.code == ExitCode::Protocol => {
                    lines.discard_pull();
                    progress.line(&format!("warning: {}: {}; this pull is not used", fault.place, fault.what));
                    unusable.push(fault);
                }
                Err(fault) => return Err(fault),
            }
            stage.advance(1);
        }
        let answers = fetched.iter().filter(|(of, _)| *of == number).flat_map(|(_, answers)| answers);
        let answers = answers.filter(|answer| !adapters::is_list(&source.provider, &answer.endpoint));
        for (order, answer) in answers.enumerate() {
            lines.open_pull();
            match read_stored(job, source, number, source.pulls.len() + order, answer, &mut lines, &mut inputs, &mut schemas) {
                Ok(()) => usable += 1,
                Err(fault) if fault.code == ExitCode::Protocol => {
                    lines.discard_pull();
                    progress.line(&format!("warning: {}: {}; this answer is not used", fault.place, fault.what));
                    unusable.push(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        if source.costs_from_ledger {
            lines.open_pull();
            super::from_ledger::read(loaded, source, number, usize::from(u16::MAX), &mut lines)?;
            usable += 1;
        }
        stage.done(&format!("{} {}, {} files", source.provider, source.account, inputs.len() - before));
    }
    // A run that watches has its ledgers, whatever is wrong with a page.
    if let (0, Some(first)) = (usable, unusable.first().filter(|_| job.kind == Kind::Nightly)) {
        return Err(first.clone());
    }
    let (facts, provider) = lines.finish();
    Ok(Pulled { facts, names: shown, provider, unusable, inputs, schemas: schemas.finish() })
}

/// The pages of a fetched answer, for the days that it stands for and no others.
#[allow(clippy::too_many_arguments)] // One place calls it; a struct would only repeat the names.
fn read_stored(
    job: &Job,
    source: &Source,
    number: usize,
    order: usize,
    answer: &Stored,
    lines: &mut LineReader<'_>,
    inputs: &mut Vec<(String, String)>,
    schemas: &mut Schemas,
) -> Result<(), Fault> {
    let adapter = adapter_of(job, source)?;
    let Some(report) = adapter.reports().iter().find(|report| report.name == answer.endpoint) else {
        let place = format!("{}/{}", source.provider, answer.endpoint);
        let hint = "it was fetched by another version of tieout: run again without --offline";
        return Err(Fault::new(ExitCode::Protocol, place, "this provider has no such report", hint));
    };
    let keyed = adapter.rows_are_keyed(report);
    let info = ReportInfo { name: report.name, measures: report.measures, rank: report.rank, keyed };
    for kept in &answer.pages {
        let place = format!("{}/{}/{}", source.provider, source.account, kept.name);
        let bytes = raw::read(&job.state, &kept.sha256)?;
        inputs.push((place.clone(), kept.sha256.clone()));
        lines.open_fetched(number, info.clone(), order);
        for day in &answer.days {
            lines.push(Line::Covers(Days { from: *day, to: day.succ_opt().unwrap_or(*day) }));
        }
        let stands_for = |day: NaiveDate| answer.days.binary_search(&day).is_ok();
        let page = Page { file: &kept.name, bytes: &bytes, group_by: &kept.group_by };
        let taken = adapter.parse(&page, &mut |line| {
            let take = match &line {
                Line::Charge(charge) => stands_for(charge.start.date_naive()),
                Line::Nothing { day, .. } => stands_for(*day),
                Line::Quarantined(row) => row.day.is_none_or(stands_for),
                Line::Covers(_) => false,
            };
            if take {
                lines.push(line);
            }
        });
        taken.map_err(|bad| Fault::new(ExitCode::Protocol, place, bad.what, bad.hint))?;
        schemas.page(adapter, report, &bytes);
    }
    Ok(())
}

fn adapter_of(job: &Job, source: &Source) -> Result<&'static dyn Adapter, Fault> {
    adapters::find(&source.provider).ok_or_else(|| {
        let what = format!("there is no adapter for provider {:?}", source.provider);
        Fault::new(ExitCode::Internal, job.file.display().to_string(), what, "report this as a bug")
    })
}

#[allow(clippy::too_many_arguments)]
fn read_pull(
    job: &Job,
    source: &Source,
    number: usize,
    order: usize,
    pull: &Pull,
    lines: &mut LineReader<'_>,
    inputs: &mut Vec<(String, String)>,
    schemas: &mut Schemas,
) -> Result<(), Fault> {
    let adapter = adapter_of(job, source)?;
    pages::for_each_page(&pull.files, &mut |input| {
        if inputs.last().is_none_or(|(file, _)| file != input.file) {
            inputs.push((input.file.to_string(), input.sha256.to_string()));
            lines.expect(input.file_rows);
        }
        let short = input.page.rsplit('/').next().unwrap_or(input.page);
        let protocol = |bad: BadPage| Fault::new(ExitCode::Protocol, input.page, bad.what, bad.hint);
        let written;
        let mut page = match input.content {
            Content::Bytes(bytes) => Page { file: short, bytes, group_by: &pull.group_by },
            // The header and a row say which report it is.
            Content::Columns(columns) => {
                written = pages::csv_page(columns, 1, input.page)?;
                Page { file: short, bytes: &written, group_by: &pull.group_by }
            }
        };
        let report = report_of(adapter, pull, &page).map_err(protocol)?;
        if report.measures.is_list() {
            let hint =
                format!("give it a [[source.pull]] of its own with report = \"{}\": it is read before all others", report.name);
            return Err(protocol(BadPage::new("this is a list and no report of any day", hint)));
        }
        let keyed = adapter.rows_are_keyed(&report);
        let info = ReportInfo { name: report.name, measures: report.measures, rank: report.rank, keyed };
        if is_fetched(report.name, short) {
            lines.open_fetched(number, info, order);
        } else {
            lines.open_page(number, info, order, short);
        }
        if let Some(days) = pull.covers {
            lines.push(Line::Covers(days));
        }
        let whole;
        if let Content::Columns(columns) = input.content {
            schemas.columns(adapter, &report, &columns.header);
            if adapter.parse_columns(&report, columns, &mut |line| lines.push(line)) {
                return Ok(());
            }
            whole = pages::csv_page(columns, columns.rows, input.page)?;
            page.bytes = &whole;
        }
        adapter.parse(&page, &mut |line| lines.push(line)).map_err(protocol)?;
        if let Content::Bytes(bytes) = input.content {
            schemas.page(adapter, &report, bytes);
        }
        Ok(())
    })
}

/// Whether a file has the name of a fetched page, `<report>-<first day>[-<part>]-<number>.json`: then it counts as one,
/// so that saved pages give the same reports as fetched ones.
fn is_fetched(report: &str, file: &str) -> bool {
    let number = |text: &str| text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = file.strip_prefix(report.replace('/', "_").as_str()).and_then(|rest| rest.strip_prefix('-'));
    let Some((stem, "json" | "csv")) = rest.and_then(|rest| rest.rsplit_once('.')) else { return false };
    let Some((day, tail)) = stem.split_at_checked(10) else { return false };
    parse_day(day).is_some() && tail.rsplit_once('-').is_some_and(|(_, last)| number(last))
}

fn report_of(adapter: &dyn Adapter, pull: &Pull, page: &Page<'_>) -> Result<Report, BadPage> {
    let named = pull.report.as_ref().and_then(|name| adapter.reports().iter().find(|report| report.name == name));
    if let Some(report) = named.or_else(|| adapter.identify(page)) {
        return Ok(*report);
    }
    // What no report can be told from is read once for what is wrong with it.
    adapter.parse(page, &mut |_| {})?;
    let known: Vec<&str> = adapter.reports().iter().map(|report| report.name).collect();
    Err(BadPage::new(
        format!("this is none of the reports of {}", adapter.name()),
        format!("is the file filed under the right provider? If it is, name its report in the job: {}", known.join(", ")),
    ))
}

/// Every row of the ledgers.
///
/// # Errors
/// A ledger that cannot be read.
pub fn read_ledgers<'l>(loaded: &'l Loaded, progress: &Progress) -> Result<Settled<'l>, Fault> {
    let mut entries = EntryReader::new(&loaded.reference);
    for source in &loaded.job.ledgers {
        let stage = progress.stage("ledger", None);
        stage.doing(&source.name);
        let info = LedgerInfo { name: source.name.clone(), precision: source.precision, currency: source.currency };
        let number = entries.open_ledger(info);
        entries.expect(ledger::rows(source)?);
        let mut rows = 0u64;
        ledger::read(source, loaded.reference.window, &mut |line| {
            rows += 1;
            match line {
                LedgerLine::Entry(entry) => entries.push(number, &entry),
                LedgerLine::Quarantined(row) => entries.set_aside(number, row),
                LedgerLine::LeftOut(row) => entries.leave_out(number, &row),
            }
        })?;
        stage.done(&format!("{}, {rows} rows", source.name));
    }
    Ok(entries.settle())
}

#[cfg(test)]
mod tests {
    use super::is_fetched;

    #[test]
    fn fetched_pages_are_known_by_their_names() {
        for (report, file, expected) in [
            ("costs", "costs-2026-10-08-001.json", true),
            ("usage_report/messages", "usage_report_messages-2026-10-08-012.json", true),
            ("query_range", "query_range-2026-10-08-tokens-in-001.json", true),
            ("costs", "costs-2026-10-08.json", false),
            ("costs", "acme-costs-2026-10-08-001.json", false),
            ("costs", "costs-2026-10-08-001.jsonl", false),
            ("costs", "costs-first-page-001.json", false),
            ("costs", "costs-ééééé-001.json", false),
        ] {
            assert_eq!(is_fetched(report, file), expected, "{file}");
        }
    }
}
