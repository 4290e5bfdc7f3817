//! Reads the providers' lists of keys, projects and workspaces, before any line that may need them.

use super::reference::Loaded;
use super::snapshot::Fetched;
use crate::adapters::{self, Adapter, Page, fields};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::names::NameLists;
use crate::edge::pages::{self, Content};
use crate::edge::pull::raw;
use crate::edge::state::slices::Stored;
use crate::job::{Job, Pull, Source};
use chrono::NaiveDate;

/// The lists of all sources.
#[derive(Default)]
pub struct Lists {
    pub names: NameLists,
    /// Lists that could not be used.
    pub unusable: Vec<Fault>,
    /// Name and SHA-256 of every page read.
    pub inputs: Vec<(String, String)>,
}

/// Whether the job says that a pull's files are lists of names.
pub fn is_list(source: &Source, pull: &Pull) -> bool {
    pull.report.as_ref().is_some_and(|report| adapters::is_names(&source.provider, report))
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
        for answer in answers.filter(|answer| adapters::is_names(&source.provider, &answer.endpoint)) {
            let taken = read_stored(adapter, job, source, answer, &mut lists);
            lists.unless_refused(taken)?;
        }
    }
    Ok(lists)
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

    fn take(
        &mut self,
        adapter: &dyn Adapter,
        source: &Source,
        page: &Page<'_>,
        place: &str,
        days: &[NaiveDate],
    ) -> Result<(), Fault> {
        let named = adapter.names(page).map_err(|bad| Fault::new(ExitCode::Protocol, place, bad.what, bad.hint))?;
        for named in named {
            for day in days {
                self.names.insert(&source.provider, &source.account, *day, named.clone());
            }
        }
        Ok(())
    }
}

/// Saved lists: of the day that a file's name has, else of the day that the run speaks for.
fn read_files(
    adapter: &dyn Adapter,
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
        lists.take(adapter, source, &page, input.page, &[fields::named_day(short).unwrap_or(business_date)])
    })
}

fn read_stored(adapter: &dyn Adapter, job: &Job, source: &Source, answer: &Stored, lists: &mut Lists) -> Result<(), Fault> {
    for kept in &answer.pages {
        let place = format!("{}/{}/{}", source.provider, source.account, kept.name);
        let bytes = raw::read(&job.state, &kept.sha256)?;
        lists.inputs.push((place.clone(), kept.sha256.clone()));
        let page = Page { file: &kept.name, bytes: &bytes, group_by: &kept.group_by };
        lists.take(adapter, source, &page, &place, &answer.days)?;
    }
    Ok(())
}
