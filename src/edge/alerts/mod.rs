//! Delivers what waits in the outbox (reliability.md section 6): at least once and never zero. Before each try the
//! message is marked as on its way, durably; what is found so later may have arrived and is sent again with the same
//! key. Channels work side by side, so that a slow one delays no other.

mod address;
mod dead_man;
mod mail;
pub mod metrics;
mod send;

pub use dead_man::DeadMan;

use super::crash;
use super::secrets::Secret;
use super::signals;
use super::state::State;
use super::state::alerts::{Mark, Queue, Waiting};
use crate::domain::alert::ChannelKind;
use crate::domain::beside::each;
use crate::domain::fault::{ExitCode, Fault};
use crate::job::alerts::{Alerts, Channel, Mail, Target, Url};
use chrono::{DateTime, Utc};
use send::{Answer, Post};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Longest try of one message.
const CALL: Duration = Duration::from_secs(15);
/// Longest work of all channels in one run.
const RUN: Duration = Duration::from_secs(60);
/// Tries of one message in one run; later runs go on.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Said where the channel has no other way to tell a repeat.
const MAY_REPEAT: &str = "\n(Sent again, because the first try was not answered: this may be a repeat.)";

/// A channel that is ready to be used: its address allowed, its secrets read.
pub struct Ready {
    name: String,
    kind: ChannelKind,
    post: Option<Post>,
    secret: Option<Secret>,
    mail: Option<Mail>,
}

/// What delivery came to in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub sent: u64,
    /// Refused for good in this run.
    pub refused: u64,
    pub left: Queue,
}

/// Reads secrets and looks at every address, before any work is done.
///
/// # Errors
/// [`ExitCode::Config`] naming the job's line.
pub fn ready(alerts: &Alerts) -> Result<Vec<Ready>, Fault> {
    alerts.channels.iter().map(one_ready).collect()
}

fn one_ready(channel: &Channel) -> Result<Ready, Fault> {
    let post = channel.target.as_ref().map(post).transpose()?;
    let secret = channel.secret.as_ref().map(Secret::open).transpose()?;
    if let Some(mail) = &channel.mail {
        mail::check(mail)?;
    }
    Ok(Ready { name: channel.name.clone(), kind: channel.kind, post, secret, mail: channel.mail.clone() })
}

fn post(target: &Target) -> Result<Post, Fault> {
    match &target.url {
        Url::Plain(url) => Post::new(url, target.allow_private, &target.at),
        Url::Secret(reference) => Post::new(Secret::open(reference)?.expose(), target.allow_private, &target.at),
    }
}

/// What `check` can say of the addresses without opening a secret.
///
/// # Errors
/// As [`ready`].
pub fn check(alerts: &Alerts) -> Result<(), Fault> {
    for channel in &alerts.channels {
        if let Some(Target { url: Url::Plain(url), allow_private, at }) = &channel.target {
            address::url(url, *allow_private, at)?;
        }
        channel.mail.as_ref().map_or(Ok(()), mail::check)?;
    }
    Ok(())
}

/// Where and when a delivery takes place.
pub struct Delivery<'a> {
    pub channels: &'a [Ready],
    pub fallback: Option<&'a str>,
    /// The clock's time, for `next_try` and signatures.
    pub now: DateTime<Utc>,
    /// The moment that the run speaks for, for quiet hours.
    pub as_of: DateTime<Utc>,
    /// Where a `stdout` channel writes.
    pub out: &'a Mutex<dyn Write + Send>,
    /// What went wrong, one line each; never a secret.
    pub warn: &'a (dyn Fn(&str) + Sync),
}

/// Sends what waits. The fallback channel goes last, because it takes what others refuse.
///
/// # Errors
/// What [`State`] says.
pub fn deliver(state: &mut State, delivery: &Delivery<'_>) -> Result<Delivered, Fault> {
    let until = Instant::now() + RUN;
    let shared = Mutex::new((state, Delivered::default()));
    let is_fallback = |ready: &&Ready| delivery.fallback == Some(ready.name.as_str());
    for last in [false, true] {
        let channels = delivery.channels.iter().filter(|ready| is_fallback(ready) == last);
        each(channels, |ready| channel(ready, delivery, &shared, until)).into_iter().collect::<Result<(), Fault>>()?;
    }
    let (state, mut delivered) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let names: Vec<&str> = delivery.channels.iter().map(|ready| ready.name.as_str()).collect();
    delivered.left = state.queue(delivery.as_of, &names)?;
    Ok(delivered)
}

type Shared<'a, 's> = Mutex<(&'s mut State, Delivered)>;

fn locked<'g, 's>(shared: &'g Shared<'_, 's>) -> std::sync::MutexGuard<'g, (&'s mut State, Delivered)> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that waits for one channel, oldest first.
fn channel(ready: &Ready, delivery: &Delivery<'_>, shared: &Shared<'_, '_>, until: Instant) -> Result<(), Fault> {
    let waiting = locked(shared).0.waiting(&ready.name, delivery.now, delivery.as_of)?;
    if waiting.is_empty() {
        return Ok(());
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
        let what = format!("alerts cannot be sent: {error}");
        Fault::new(ExitCode::IoErr, "alerts", what, "run again: they are kept")
    })?;
    for (number, message) in waiting.iter().enumerate() {
        if number > 0 && ready.kind == ChannelKind::Slack && !pause(&runtime, PAUSE, until) {
            break;
        }
        if Instant::now() >= until || signals::asked() {
            break;
        }
        // A channel that does not answer is left until the next run.
        if !one_message(ready, delivery, shared, until, &runtime, message)? {
            break;
        }
    }
    Ok(())
}

/// Waits unless the time is up or somebody wants the process to end.
fn pause(runtime: &Runtime, time: Duration, until: Instant) -> bool {
    if Instant::now() + time >= until {
        return false;
    }
    runtime.block_on(async {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = interrupted() => false,
        }
    })
}

async fn interrupted() {
    while !signals::asked() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Tries one message a few times. False when the channel is of no use now.
fn one_message(
    ready: &Ready,
    delivery: &Delivery<'_>,
    shared: &Shared<'_, '_>,
    until: Instant,
    runtime: &Runtime,
    message: &Waiting,
) -> Result<bool, Fault> {
    let mut may_repeat = message.may_repeat;
    for number in 1..=TRIES {
        locked(shared).0.mark(message, &Mark::Sending)?;
        crash::point("alert-marked");
        let time = CALL.min(until.saturating_duration_since(Instant::now()));
        let answer = runtime.block_on(async {
            tokio::select! {
                answer = try_once(ready, delivery, message, may_repeat, time) => answer,
                () = interrupted() => Answer::Later(None, "interrupted".to_string()),
            }
        });
        crash::point("alert-sent");
        let (wait, said) = match answer {
            Answer::Accepted => {
                let mut shared = locked(shared);
                shared.0.mark(message, &Mark::Sent)?;
                shared.1.sent += 1;
                crash::point("alert-noted");
                return Ok(true);
            }
            Answer::Refused(said) => {
                let fallback = delivery.fallback.filter(|name| *name != ready.name);
                let then = fallback.map_or("nobody gets it".to_string(), |name| format!("{name} gets it"));
                (delivery.warn)(&format!("channel {} refused an alert for good ({said}): {then}", ready.name));
                let mut shared = locked(shared);
                shared.0.mark(message, &Mark::Refused(fallback.map(str::to_string)))?;
                shared.1.refused += 1;
                return Ok(true);
            }
            Answer::Later(wait, said) => (wait, said),
        };
        may_repeat = true;
        let asked =
            wait.and_then(|wait| chrono::Duration::from_std(wait).ok()).and_then(|wait| delivery.now.checked_add_signed(wait));
        locked(shared).0.mark(message, &Mark::Later(asked))?;
        let backoff = PAUSE * 2u32.pow(number - 1);
        if number == TRIES || !pause(runtime, wait.unwrap_or(backoff).max(backoff), until) {
            (delivery.warn)(&format!("channel {}: {said}; the alert stays queued", ready.name));
            return Ok(false);
        }
    }
    Ok(false)
}

async fn try_once(ready: &Ready, delivery: &Delivery<'_>, message: &Waiting, may_repeat: bool, time: Duration) -> Answer {
    let key = idempotency_key(message);
    if let Some(mail) = &ready.mail {
        return mail::send(mail, ready.secret.as_ref(), &key, &message.body, may_repeat, time).await;
    }
    let Some(post) = &ready.post else { return print(delivery, message, may_repeat) };
    let body = match ready.kind {
        ChannelKind::PagerDuty => with_routing_key(&message.body, ready.secret.as_ref()),
        ChannelKind::Slack if may_repeat => with_note(&message.body),
        _ => message.body.clone(),
    };
    let headers = send::headers(ready.kind, &key, &body, ready.secret.as_ref(), may_repeat, delivery.now.timestamp());
    post.post(body, headers, time).await
}

/// `key.generation.channel`; for several alerts in one message the hash of the message in their place.
fn idempotency_key(message: &Waiting) -> String {
    match message.notices.as_slice() {
        [(key, generation)] => format!("{key}.{generation}.{}", message.channel),
        _ => format!("{}.{}", message.payload_sha256.get(..40).unwrap_or_default(), message.channel),
    }
}

/// The routing key is a secret and is not kept in the outbox.
fn with_routing_key(body: &str, secret: Option<&Secret>) -> String {
    let Ok(serde_json::Value::Object(mut event)) = serde_json::from_str(body) else { return body.to_string() };
    event.insert("routing_key".to_string(), secret.map_or("", Secret::expose).into());
    serde_json::Value::Object(event).to_string()
}

fn with_note(body: &str) -> String {
    let Ok(mut message) = serde_json::from_str::<serde_json::Value>(body) else { return body.to_string() };
    let text = message.get("text").and_then(|text| text.as_str()).map(|text| format!("{text}{MAY_REPEAT}"));
    if let (Some(text), Some(field)) = (text, message.get_mut("text")) {
        *field = text.into();
    }
    message.to_string()
}

fn print(delivery: &Delivery<'_>, message: &Waiting, may_repeat: bool) -> Answer {
    let repeat = if may_repeat { format!("{}\n", MAY_REPEAT.trim_start()) } else { String::new() };
    let mut out = delivery.out.lock().unwrap_or_else(PoisonError::into_inner);
    match writeln!(out, "ALERT {}{repeat}", message.body).and_then(|()| out.flush()) {
        Ok(()) => Answer::Accepted,
        Err(error) => Answer::Later(None, format!("cannot be printed: {}", error.kind())),
    }
}
