//! One answer: every chain of its pages followed to the end, each page checked before it counts.

use super::super::clock;
use super::super::http::{Answer, Failure, content};
use super::super::redact;
use super::super::state::slices::{Answered, PageRow};
use super::caller::Caller;
use super::plan::{Asked, Group};
use super::raw::RawStore;
use super::tally::Tally;
use crate::adapters::request::{Form, Request};
use crate::adapters::{BadPage, Page};
use crate::domain::fault::{ExitCode, Fault};
use crate::job::PullLimits;
use std::collections::{BTreeMap, HashSet};

/// How often a page that cannot be used is fetched before its answer fails.
const LOOKS: u32 = 2;

/// Asks one account.
pub struct Asker<'a> {
    pub caller: Caller<'a>,
    pub asked: &'a Asked<'a>,
    pub limits: &'a PullLimits,
    pub raw: &'a RawStore,
    pub counts: Counts,
}

/// For progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub pages: u64,
    pub bytes: u64,
}

/// Why an answer did not come: the provider, or our own disk.
pub enum Stopped {
    Failed(Failure),
    Broken(Fault),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped::Failed(failure)
    }
}

/// What a page leads to.
enum Step {
    Page {
        next: Option<Request>,
    },
    /// The answer is not ready yet.
    Later {
        next: Option<Request>,
    },
}

impl Asker<'_> {
    /// The whole answer of a group.
    ///
    /// # Errors
    /// The first failure of any of its pages.
    pub async fn answer(&mut self, group: &Group) -> Result<Answered, Stopped> {
        let mut looks = 0;
        loop {
            looks += 1;
            let mut tally = Tally::default();
            let pages = self.chains(group, &mut tally).await?;
            if tally.conflicts() {
                if looks < LOOKS {
                    continue;
                }
                let hint = "run again later; if it stays so, tell the provider";
                return Err(Failure::new(ExitCode::Protocol, "two pages say different things of the same row", hint).into());
            }
            tally.within(self.limits.quarantine_budget)?;
            self.raw.sync().map_err(Stopped::Broken)?;
            return Ok(Answered {
                owner: self.asked.owner.clone(),
                endpoint: group.report.to_string(),
                pages,
                days: tally.days(&group.days),
                fetched_at: clock::now(),
            });
        }
    }

    async fn chains(&mut self, group: &Group, tally: &mut Tally) -> Result<Vec<PageRow>, Stopped> {
        let mut pages = Vec::new();
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        for first in &group.chains {
            let part = first.part.as_ref().map_or(String::new(), |part| format!("-{part}"));
            // A report's name may be a path.
            let name = format!("{}-{}{part}", first.report.replace('/', "_"), first.days.from);
            let mut seen = HashSet::new();
            let mut asked = Some(first.clone());
            let mut turns = 0;
            while let Some(request) = asked {
                turns += 1;
                if turns > self.limits.pages {
                    let what = format!("more than {} pages follow one another", self.limits.pages);
                    let hint = "is the provider's paging broken? If there really are so many, raise limits.pages";
                    return Err(Failure::new(ExitCode::Protocol, what, hint).into());
                }
                let number = numbers.get(&name).copied().unwrap_or(0) + 1;
                let end = if request.form == Form::Csv { "csv" } else { "json" };
                let file = format!("{name}-{number:03}.{end}");
                let key = format!("{} {:?} {:?}", request.path, request.query, request.body);
                asked = match self.page(&request, &file, tally, &mut pages).await? {
                    Step::Page { next } => {
                        numbers.insert(name.clone(), number);
                        seen.insert(key);
                        next
                    }
                    Step::Later { next } => next,
                };
                if let Some(next) = &asked {
                    let key = format!("{} {:?} {:?}", next.path, next.query, next.body);
                    if seen.contains(&key) {
                        let hint = "the provider's paging is broken: run again later";
                        return Err(Failure::new(ExitCode::Protocol, "the pages lead in a circle", hint).into());
                    }
                    if next.origin != first.origin {
                        let hint = "the key is not sent elsewhere; the provider may have changed its API";
                        return Err(Failure::new(ExitCode::Protocol, "the next page is on another host", hint).into());
                    }
                }
            }
        }
        Ok(pages)
    }

    /// One page; a bad one is looked at a second time.
    async fn page(
        &mut self,
        request: &Request,
        file: &str,
        tally: &mut Tally,
        pages: &mut Vec<PageRow>,
    ) -> Result<Step, Stopped> {
        let mut looks = 0;
        loop {
            looks += 1;
            let answer = self.caller.ask(request).await?;
            match self.judge(request, file, &answer, tally) {
                Ok(Step::Page { next }) => {
                    let sha256 = self.raw.keep(&answer.bytes).map_err(Stopped::Broken)?;
                    pages.push(PageRow { name: file.to_string(), sha256, group_by: request.group_by.clone() });
                    self.counts.pages += 1;
                    self.counts.bytes += answer.bytes.len() as u64;
                    return Ok(Step::Page { next });
                }
                Ok(later) => return Ok(later),
                Err(failure) if looks >= LOOKS => return Err(failure.into()),
                Err(_) => {}
            }
        }
    }

    fn judge(&self, request: &Request, file: &str, answer: &Answer, tally: &mut Tally) -> Result<Step, Failure> {
        content::check(answer, request.form)?;
        if redact::holds_a_secret(&answer.bytes) {
            let hint = "tell the provider; the page was not kept";
            return Err(Failure::new(ExitCode::Protocol, "the answer repeats a secret", hint));
        }
        let adapter = self.asked.adapter;
        let page = Page { file, bytes: &answer.bytes, group_by: &request.group_by };
        let refused = |bad: BadPage| Failure::new(ExitCode::Protocol, format!("{file}: {}", bad.what), bad.hint);
        if !adapter.is_page(request, &page) {
            return Ok(Step::Later { next: adapter.next(request, &page).map_err(refused)? });
        }
        let next = adapter.next(request, &page).map_err(refused)?;
        tally.page(adapter, request, &page).map_err(refused)?;
        Ok(Step::Page { next })
    }
}
