//! Fetches what the job's providers have to say, into slices (reliability.md section 3, step 3). Providers are
//! asked at the same time, the accounts and pages of one after the other. An answer lands whole or not at all;
//! the failure of one never costs another's.

mod caller;
mod chain;
mod plan;
pub mod raw;
mod tally;
mod token;

use super::crash;
use super::http::{self, Client, Failure, content};
use super::log::{Progress, Stage};
use super::secrets::Secret;
use super::state::State;
use super::state::slices::{Answered, Landing, Owner};
use crate::adapters;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::Days;
use crate::job::Job;
use crate::job::secret::SecretRef;
use caller::Caller;
use chain::{Asker, Counts, Stopped};
use chrono::NaiveDate;
use plan::{Asked, Group};
pub use plan::{Moments, endpoints, full_hour};
use raw::RawStore;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;
use tokio::sync::{Semaphore, watch};

/// A slice of the provider side: whose, which report, which day.
pub type SliceKey = (Owner, String, NaiveDate);

/// What came of it.
#[derive(Debug, Default)]
pub struct Pulled {
    /// One for each account's report that could not be fetched.
    pub faults: Vec<Fault>,
    /// Answers that landed, or were fresh enough to be used again.
    pub usable: usize,
    /// Slices that were to be fetched and were not.
    pub unfetched: BTreeSet<SliceKey>,
}

/// How a pull is done.
pub struct Pull<'a> {
    pub job: &'a Job,
    pub moments: Moments,
    pub landing: Landing,
    /// The run's own deadline.
    pub until: Instant,
    pub run_id: &'a str,
}

enum Event {
    Landed(Box<Answered>),
    Failed {
        owner: Owner,
        group: Group,
        fault: Fault,
    },
    Warning(String),
    /// Our own disk: nothing goes on.
    Broken(Fault),
}

/// The secrets of all sources, by reference.
pub type Secrets = BTreeMap<String, Secret>;

/// Opens the secret of every source with an API: before any network call.
///
/// # Errors
/// The first that cannot be read (78).
pub fn secrets(job: &Job) -> Result<Secrets, Fault> {
    let mut secrets = Secrets::new();
    for api in job.sources.iter().filter_map(|source| source.api.as_ref()) {
        secrets.insert(secret_key(&api.secret), Secret::open(&api.secret)?);
    }
    Ok(secrets)
}

fn secret_key(secret: &SecretRef) -> String {
    format!("{:?}", secret.place)
}

/// Fetches what is due.
///
/// # Errors
/// Settings that a provider needs and the job lacks (78), and what state and disk say. What a provider does
/// wrong is in [`Pulled::faults`].
pub fn pull(pull: &Pull<'_>, secrets: &Secrets, state: &mut State, progress: &Progress) -> Result<Pulled, Fault> {
    let mut by_provider: BTreeMap<&str, Vec<Asked<'_>>> = BTreeMap::new();
    let mut pulled = Pulled::default();
    for source in &pull.job.sources {
        if let Some(asked) = plan::of_source(pull.job, source, state, &pull.moments)? {
            pulled.usable += asked.reused;
            by_provider.entry(&source.provider).or_default().push(asked);
        }
    }
    if by_provider.is_empty() {
        return Ok(pulled);
    }
    let raw = RawStore::open(&pull.job.state, pull.run_id)?;
    let (large, (stop, stopped)) = (http::gate(), watch::channel(false));
    let (send, events) = channel();
    let landed = std::thread::scope(|scope| {
        for (provider, accounts) in &by_provider {
            let (send, large, stopped, raw) = (send.clone(), large.clone(), stopped.clone(), &raw);
            let steps = accounts.iter().map(|asked| asked.groups.len() as u64).sum();
            let stage = progress.stage("fetch", Some(steps));
            scope.spawn(move || provider_thread(pull, provider, accounts, secrets, raw, large, stopped, &send, stage));
        }
        drop(send);
        let mut result = Ok(());
        for event in events {
            match event {
                _ if result.is_err() => {}
                Event::Warning(text) => progress.line(&format!("warning: {text}")),
                Event::Broken(fault) => result = Err(fault),
                Event::Failed { owner, group, fault } => {
                    let days = group.days.into_iter();
                    // A list has no money: its days lack nothing, and what the older ones say stands.
                    let days = days.filter(|_| !adapters::is_list(&owner.provider, group.report));
                    pulled.unfetched.extend(days.map(|day| (owner.clone(), group.report.to_string(), day)));
                    if !pulled.faults.contains(&fault) {
                        progress.line(&format!("warning: {}: {}; its days stay as they were", fault.place, fault.what));
                        pulled.faults.push(fault);
                    }
                }
                Event::Landed(answer) => match state.land(&answer, &pull.landing) {
                    Ok(held) => {
                        crash::point("answer-landed");
                        pulled.usable += 1;
                        for day in held {
                            let (owner, endpoint) = (&answer.owner, &answer.endpoint);
                            progress.line(&format!(
                                "warning: {}/{} {endpoint} {day}: less than half of what it was; held until it is seen on a \
                                 second day (--accept-shrink takes it now)",
                                owner.provider, owner.account
                            ));
                        }
                    }
                    Err(fault) => result = Err(fault),
                },
            }
            if result.is_err() {
                // The others give up at once: there is nowhere to put what they bring.
                let _ = stop.send(true);
            }
        }
        result
    });
    landed?;
    raw.clear(&state.pages_kept()?);
    Ok(pulled)
}

#[allow(clippy::too_many_arguments)] // One place calls it; a struct would only repeat the names.
fn provider_thread(
    pull: &Pull<'_>,
    provider: &str,
    accounts: &[Asked<'_>],
    secrets: &Secrets,
    raw: &RawStore,
    large: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
    send: &Sender<Event>,
    stage: Stage<'_>,
) {
    let until = pull.until.min(http::deadline(Instant::now(), pull.job.limits.provider));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let fault = Fault::new(ExitCode::IoErr, provider, format!("cannot start its thread: {error}"), "run again");
            let _ = send.send(Event::Broken(fault));
            return;
        }
    };
    stage.doing(provider);
    let counts = runtime.block_on(async {
        let work = ask_all(pull, provider, accounts, secrets, raw, large, until, send, &stage);
        tokio::select! {
            counts = work => counts,
            _ = stopped.wait_for(|stopped| *stopped) => Counts::default(),
        }
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let reused: usize = accounts.iter().map(|asked| asked.reused).sum();
    let again = if reused == 0 { String::new() } else { format!(", {reused} fresh answers used again") };
    stage.done(&format!("{provider}, {} accounts, {} pages, {} bytes{again}", accounts.len(), counts.pages, counts.bytes));
}

#[allow(clippy::too_many_arguments)]
async fn ask_all(
    pull: &Pull<'_>,
    provider: &str,
    accounts: &[Asked<'_>],
    secrets: &Secrets,
    raw: &RawStore,
    large: Arc<Semaphore>,
    until: Instant,
    send: &Sender<Event>,
    stage: &Stage<'_>,
) -> Counts {
    let mut total = Counts::default();
    let client = Client::new(&pull.job.limits, large, format!("{} {provider}", pull.run_id));
    // A refused key is not shown again this run, whichever account it is for.
    let mut refused: BTreeMap<String, Failure> = BTreeMap::new();
    for asked in accounts {
        let key = secret_key(&asked.api.secret);
        let Some(secret) = secrets.get(&key) else { continue };
        let fail = |group: &Group, failure: Failure| {
            // Of what concerns the account as a whole one report speaks for all.
            let whole = matches!(failure.code, ExitCode::NoPerm | ExitCode::Config);
            let first = asked.groups.first().filter(|_| whole).map_or(group.report, |first| first.report);
            let fault = failure.at(&format!("{}/{first}", asked.place));
            let _ = send.send(Event::Failed { owner: asked.owner.clone(), group: group.clone(), fault });
        };
        let client = match &client {
            Ok(client) => client,
            Err(failure) => {
                asked.groups.iter().for_each(|group| fail(group, failure.clone()));
                continue;
            }
        };
        let mut asker = Asker {
            caller: Caller::new(client, asked.adapter, asked.api, secret, until),
            asked,
            limits: &pull.job.limits,
            raw,
            counts: Counts::default(),
        };
        for group in &asked.groups {
            stage.doing(&format!("{} {}", asked.place, group.report));
            if let Some(failure) = refused.get(&key) {
                fail(group, failure.clone());
                continue;
            }
            match asker.answer(group).await {
                Ok(answer) => {
                    let _ = send.send(Event::Landed(Box::new(answer)));
                }
                Err(Stopped::Broken(fault)) => {
                    let _ = send.send(Event::Broken(fault));
                    return total;
                }
                Err(Stopped::Failed(failure)) => {
                    // Neither a refused key nor a wrong certificate or clock gets better with the next report.
                    if matches!(failure.code, ExitCode::NoPerm | ExitCode::Config) {
                        refused.insert(key.clone(), failure.clone());
                    }
                    fail(group, failure);
                }
            }
            stage.advance(1);
        }
        if let Some(skew) = asker.caller.skew() {
            let seconds = skew.num_seconds().abs();
            let text = format!("{}: this machine's clock is {seconds} s off the provider's: set it", asked.place);
            let _ = send.send(Event::Warning(text));
        }
        total.pages += asker.counts.pages;
        total.bytes += asker.counts.bytes;
    }
    total
}

/// Slices in force that were last fetched on an earlier day although the provider may have changed them since.
///
/// # Errors
/// The state cannot be read.
pub fn overdue(job: &Job, moments: &Moments, state: &mut State) -> Result<BTreeSet<SliceKey>, Fault> {
    let mut found = BTreeSet::new();
    for source in &job.sources {
        let (Some(api), Some(adapter)) = (&source.api, adapters::find(&source.provider)) else { continue };
        let owner = Owner { provider: source.provider.clone(), account: source.account.clone() };
        let trailing = plan::trailing(adapter, api);
        let wanted = endpoints(job, source, moments)?;
        for slice in state.slices(&owner, moments.window)? {
            let is_list = adapters::is_list(&owner.provider, &slice.endpoint);
            let is_wanted = wanted.contains(slice.endpoint.as_str()) && !is_list;
            if is_wanted && plan::is_due(&slice, trailing) && slice.as_of.date_naive() < moments.as_of.date_naive() {
                found.insert((owner.clone(), slice.endpoint, slice.day));
            }
        }
    }
    Ok(found)
}

/// The fault that stands for several: a refused key before a broken answer before what may pass by itself
/// (reliability.md section 2), a wrong setting before all.
pub fn worst(faults: &[Fault]) -> Option<Fault> {
    let weight = |fault: &&Fault| match fault.code {
        ExitCode::Config => 4,
        ExitCode::NoPerm => 3,
        ExitCode::Protocol | ExitCode::Data => 2,
        _ => 1,
    };
    // The first of equals, in the order of their places: threads come in any order.
    let mut sorted: Vec<&Fault> = faults.iter().collect();
    sorted.sort_by(|a, b| a.place.cmp(&b.place));
    let heaviest = sorted.iter().map(weight).max()?;
    sorted.into_iter().find(|fault| weight(fault) == heaviest).cloned()
}

/// What `check --online` has tried, in words, or why it does not work.
pub type Tried = Result<String, Fault>;

/// Tries every credential with one question about the window's last day (`check --online`).
///
/// # Errors
/// A setting that a provider needs and the job lacks (78).
pub fn try_credentials(job: &Job, moments: &Moments, secrets: &Secrets, until: Instant) -> Result<Vec<Tried>, Fault> {
    let mut tried = Vec::new();
    let failed = |error: std::io::Error| Fault::new(ExitCode::IoErr, "", format!("cannot start a thread: {error}"), "run again");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let last = moments.window.to.pred_opt().unwrap_or(moments.window.from);
    let last = Days { from: last, to: moments.window.to };
    for source in &job.sources {
        let (Some(api), Some(adapter)) = (&source.api, adapters::find(&source.provider)) else { continue };
        let place = plan::place(job, source);
        let requests = plan::requests(adapter, source, api, (last, moments.hours), &place)?;
        let (Some(request), Some(secret)) = (requests.first(), secrets.get(&secret_key(&api.secret))) else { continue };
        let asked = runtime.block_on(async {
            let client = Client::new(&job.limits, http::gate(), place.clone())?;
            let answer = Caller::new(&client, adapter, api, secret, until).ask(request).await?;
            content::check(&answer, request.form)
        });
        let place = format!("{place}/{}", request.report);
        let works = format!("{place}: secret {:?} works", secret.name());
        tried.push(asked.map(|()| works).map_err(|failure: Failure| failure.at(&place)));
    }
    runtime.shutdown_background();
    Ok(tried)
}
