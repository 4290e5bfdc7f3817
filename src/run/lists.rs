//! Reads the providers' lists: names of keys, projects and workspaces, before any line that may need them; and prices that
//! the price books are compared with.

use super::reference::Loaded;
use super::snapshot::Fetched;
use crate::adapters::{self, Adapter, Measures, Page, fields};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::names::NameLists;
use crate::domain::price::Quoted;
use crate::edge::pages::{self, Content};
use crate::edge::pull::raw;
use crate::edge::state::slices::Stored;
use crate::job::{Job, Pull, Source};
use chrono::NaiveDate;

/// The lists of all sources.
#[derive(Default)]
pub struct Lists {
    pub names: NameLists,
    pub prices: Vec<PriceList>,
    /// Lists that could not be used.
    pub unusable: Vec<Fault>,
    /// Name and SHA-256 of every page read.
    pub inputs: Vec<(String, String)>,
}

/// What a provider said of its prices for an account on a day.
#[derive(Clone, Debug)]
pub struct PriceList {
    pub provider: String,
    pub account: String,
    pub day: NaiveDate,
    pub prices: Vec<Quoted>,
}

/// Whether the job says that a pull's files are lists.
pub fn is_list(source: &Source, pull: &Pull) -> bool {
    pull.report.as_ref().is_some_and(|report| adapters::is_list(&source.provider, report))
}

/// Reads every list that was saved or ever fetched.
///
/// # Errors
/// A file or a kept page that cannot be read.
pub fn read(loaded: &Loaded, fetched: &Fetched) -> Result<Lists, Fault> {
    let (job, mut lists) = (&loaded.job, Lists::default());
    for (number, source) in job.sources.iter().enumerate() {
        let Some(adapter) = adapters::find(&source.provider) else { continue };
        for pull in source.pulls.iter().filter(|pull| is_list(source, pull)) {
            let taken = read_files(adapter, source, pull, loaded.reference.business_date(), &mut lists);
            lists.unless_refused(taken)?;
        }
        let answers = fetched.iter().filter(|(of, _)| *of == number).flat_map(|(_, answers)| answers);
        for answer in answers.filter(|answer| adapters::is_list(&source.provider, &answer.endpoint)) {
            let taken = read_stored(adapter, job, source, answer, &mut lists);
            lists.unless_refused(taken)?;
        }
    }
    Ok(lists)
}

/// A page of a list: whose it is, and where a message says that it is.
struct ListPage<'a> {
    adapter: &'static dyn Adapter,
    source: &'a Source,
    report: &'a str,
    page: Page<'a>,
    place: &'a str,
}

impl Lists {
    fn unless_refused(&mut self, taken: Result<(), Fault>) -> Result<(), Fault> {
        match taken {
            Err(fault) if fault.code == ExitCode::Protocol => {
                self.unusable.push(fault);
                Ok(())
            }
            other => other,
        }
    }

    /// Takes a page as it was on each of these days.
    fn take(&mut self, of: &ListPage<'_>, days: &[NaiveDate]) -> Result<(), Fault> {
        let ListPage { adapter, source, report, page, place } = of;
        let refused = |bad: adapters::BadPage| Fault::new(ExitCode::Protocol, *place, bad.what, bad.hint);
        if adapters::measures(&source.provider, report) == Some(Measures::Prices) {
            let prices = adapter.prices(page).map_err(refused)?;
            let list = |day: &NaiveDate| PriceList {
                provider: source.provider.clone(),
                account: source.account.clone(),
                day: *day,
                prices: prices.clone(),
            };
            self.prices.extend(days.iter().map(list));
            return Ok(());
        }
        for named in adapter.names(page).map_err(refused)? {
            for day in days {
                self.names.insert(&source.provider, &source.account, *day, named.clone());
            }
        }
        Ok(())
    }
}

/// Saved lists: of the day that a file's name has, else of the day that the run speaks for.
fn read_files(
    adapter: &'static dyn Adapter,
    source: &Source,
    pull: &Pull,
    business_date: NaiveDate,
    lists: &mut Lists,
) -> Result<(), Fault> {
    pages::for_each_page(&pull.files, &mut |input| {
        lists.inputs.push((input.file.to_string(), input.sha256.to_string()));
        let Content::Bytes(bytes) = input.content else {
            let what = "expected a saved answer in JSON, found Parquet";
            return Err(Fault::new(ExitCode::Protocol, input.page, what, "save the API's own answer"));
        };
        let short = input.page.rsplit('/').next().unwrap_or(input.page);
        let page = Page { file: short, bytes, group_by: &pull.group_by };
        let report = pull.report.as_deref().unwrap_or_default();
        let of = ListPage { adapter, source, report, page, place: input.page };
        lists.take(&of, &[fields::named_day(short).unwrap_or(business_date)])
    })
}

fn read_stored(
    adapter: &'static dyn Adapter,
    job: &Job,
    source: &Source,
    answer: &Stored,
    lists: &mut Lists,
) -> Result<(), Fault> {
    for kept in &answer.pages {
        let place = format!("{}/{}/{}", source.provider, source.account, kept.name);
        let bytes = raw::read(&job.state, &kept.sha256)?;
        lists.inputs.push((place.clone(), kept.sha256.clone()));
        let page = Page { file: &kept.name, bytes: &bytes, group_by: &kept.group_by };
        lists.take(&ListPage { adapter, source, report: &answer.endpoint, page, place: &place }, &answer.days)?;
    }
    Ok(())
}
