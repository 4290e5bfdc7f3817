//! `alerts.json`, and the messages of every kind of channel (reliability.md section 6). What an alert says is read
//! by somebody who is tired: what, who, how much, since when, by Monday, what to do.

use super::layout::name;
use crate::domain::alert::{Alert, AlertRule, AlertState, Cause, ChannelKind, Message, Notice};
use crate::domain::money::Amount;
use crate::domain::spike::{Contributor, SpikeRule};
use crate::stages::alerts::Parcel;
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Of a grouped message so many notices are told in full; the rest is counted.
const TOP: usize = 10;
/// PagerDuty cuts what is longer.
const SUMMARY_CHARS_MAX: usize = 1024;

/// Where and for whom messages are written.
#[derive(Clone, Copy, Debug)]
pub struct Letterhead<'a> {
    pub job: &'a str,
    pub zone: Tz,
}

/// The published file: what fires or has just ended by these figures. No time of the run, nothing of what was sent.
pub fn file(alerts: &[Alert]) -> Vec<u8> {
    let mut known: Vec<&Alert> = alerts.iter().filter(|alert| !alert.id.is_empty()).collect();
    known.sort_by(|a, b| a.id.cmp(&b.id));
    let list: Vec<Value> = known.into_iter().map(|alert| Value::Object(facts(alert, &alert.id))).collect();
    // A tree of plain values always has a form.
    let mut bytes = serde_json::to_vec_pretty(&json!({ "version": 1, "alerts": list })).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Money as text, times in UTC, unknown as null.
fn facts(alert: &Alert, key: &str) -> Map<String, Value> {
    let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let money = |amount: Option<Amount>| json!(amount.map(|amount| amount.to_string()));
    let by = |one: Option<(Amount, DateTime<Utc>)>| (money(one.map(|(amount, _)| amount)), json!(one.map(|(_, at)| instant(at))));
    let (projected, projected_until) = by(alert.projected);
    let (month_end, month_ends) = by(alert.month_end);
    let contributors: Vec<Value> = alert
        .contributors
        .iter()
        .map(|one| {
            json!({
                "team": text(&one.team), "api_key_id": text(&one.api_key_id), "model": text(&one.model),
                "client": text(&one.client), "amount": one.amount.to_string(),
            })
        })
        .collect();
    let fields = [
        ("key", json!(key)),
        ("rule", json!(alert.rule.name())),
        ("severity", json!(alert.severity.name())),
        ("state", json!(alert.state.name())),
        ("provider", text(&alert.subject.provider)),
        ("account", text(&alert.subject.account)),
        ("team", text(&alert.subject.team)),
        ("api_key_id", text(&alert.subject.api_key_id)),
        ("model", text(&alert.subject.model)),
        ("detail", text(&alert.subject.detail)),
        ("opened_at", json!(instant(alert.opened_at))),
        ("last_seen_at", json!(instant(alert.last_seen_at))),
        ("amount", money(alert.amount)),
        ("currency", json!(alert.currency.map(|currency| currency.code().to_string()))),
        ("spent", money(alert.spent)),
        ("expected", money(alert.expected)),
        ("projected", projected),
        ("projected_until", projected_until),
        ("month_end", month_end),
        ("month_ends_at", month_ends),
        ("count", json!(alert.count)),
        ("contributors", json!(contributors)),
        ("provisional", json!(alert.provisional)),
        ("withdrawn", json!(alert.withdrawn)),
        ("inhibited_by", text(&alert.inhibited_by)),
        ("action", json!(alert.action)),
        ("rows", text(&alert.rows)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// The message of a parcel, in the words of its channel.
pub fn message(parcel: &Parcel<'_>, head: Letterhead<'_>) -> Message {
    Message {
        notices: parcel.notices.iter().map(|notice| (notice.alert.key.clone(), notice.generation)).collect(),
        channel: parcel.route.channel.clone(),
        body: body(parcel.route.kind, &parcel.notices, head),
        fallback_body: parcel.fallback.map(|route| body(route.kind, &parcel.notices, head)),
        not_before: parcel.not_before,
    }
}

/// What fires, one line each: what a run that only watches prints.
pub fn digest(alerts: &[Alert], head: Letterhead<'_>, as_of: DateTime<Utc>) -> String {
    let mut firing: Vec<&Alert> = alerts.iter().filter(|alert| alert.state == AlertState::Firing).collect();
    firing.sort_by(|a, b| (b.severity, b.amount, &a.key).cmp(&(a.severity, a.amount, &b.key)));
    let mut text = format!("tieout: {}, {}: {} open\n", name(head.job), local(as_of, head.zone), firing.len());
    for alert in firing {
        let _ = writeln!(text, "- {} {}", alert.severity.name(), title(alert, head.zone));
    }
    text
}

fn body(kind: ChannelKind, notices: &[&Notice], head: Letterhead<'_>) -> String {
    match kind {
        ChannelKind::Slack => json!({ "text": slack(&text(notices, head)) }).to_string(),
        ChannelKind::PagerDuty => pagerduty(notices, head),
        ChannelKind::Webhook => webhook(notices, head),
        ChannelKind::Email => json!({ "subject": subject(notices, head), "text": text(notices, head) }).to_string(),
        ChannelKind::Stdout => text(notices, head),
    }
}

/// Slack reads these three; everything else is plain text to it.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn pagerduty(notices: &[&Notice], head: Letterhead<'_>) -> String {
    // A group is filed under its worst alert and ends with it.
    let Some(worst) = notices.first() else { return String::new() };
    if worst.alert.state == AlertState::Resolved {
        return json!({ "event_action": "resolve", "dedup_key": worst.alert.key }).to_string();
    }
    let summary: String = subject(notices, head).chars().take(SUMMARY_CHARS_MAX).collect();
    json!({
        "event_action": "trigger",
        "dedup_key": worst.alert.key,
        "payload": {
            "summary": summary,
            "source": format!("tieout {}", name(head.job)),
            "severity": worst.alert.severity.name(),
            "timestamp": instant(worst.alert.opened_at),
            "component": name(&worst.alert.subject.provider),
            "group": name(&worst.alert.subject.team),
            "class": worst.alert.rule.name(),
            "custom_details": { "text": text(notices, head), "count": notices.len() },
        },
    })
    .to_string()
}

fn webhook(notices: &[&Notice], head: Letterhead<'_>) -> String {
    let one = |notice: &&Notice| {
        let mut facts = facts(&notice.alert, &notice.alert.key);
        facts.insert("generation".to_string(), json!(notice.generation));
        facts.insert("cause".to_string(), json!(cause(notice.cause)));
        facts.insert("title".to_string(), json!(title(&notice.alert, head.zone)));
        Value::Object(facts)
    };
    let shown = if notices.len() > TOP { TOP } else { notices.len() };
    let top: Vec<Value> = notices.iter().take(shown).map(one).collect();
    let keys: Vec<String> = notices.iter().map(|notice| format!("{}.{}", notice.alert.key, notice.generation)).collect();
    json!({ "version": 1, "job": head.job, "count": notices.len(), "notices": top, "keys": keys }).to_string()
}

const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::New => "new",
        Cause::Worse => "worse",
        Cause::Reminder => "reminder",
        Cause::Over => "over",
        Cause::Again => "again",
    }
}

/// One line: for subjects and summaries.
fn subject(notices: &[&Notice], head: Letterhead<'_>) -> String {
    match notices {
        [notice] => format!("{}{}", mark(notice), title(&notice.alert, head.zone)),
        [worst, ..] => format!(
            "{} alerts: {}. The worst: {}",
            notices.len(),
            worst.alert.rule.name().replace('_', " "),
            title(&worst.alert, head.zone)
        ),
        [] => String::new(),
    }
}

fn mark(notice: &Notice) -> &'static str {
    match (notice.cause, notice.alert.withdrawn) {
        (_, true) => "WITHDRAWN: ",
        (Cause::Over, _) => "OVER: ",
        (Cause::Worse, _) => "GROWN: ",
        (Cause::Reminder, _) => "STILL: ",
        (Cause::Again, _) => "AGAIN: ",
        (Cause::New, _) if notice.alert.state == AlertState::Resolved => "OVER: ",
        (Cause::New, _) => "",
    }
}

/// The whole text of a message: one alert in full, or the worst of many and counts of the rest.
fn text(notices: &[&Notice], head: Letterhead<'_>) -> String {
    if let [notice] = notices {
        return one(notice, head);
    }
    let mut text = format!("{} (job {})\n", subject(notices, head), name(head.job));
    for notice in notices.iter().take(TOP) {
        let alert = &notice.alert;
        let _ = writeln!(text, "- {}{} [{}]", mark(notice), title(alert, head.zone), alert.key);
    }
    if notices.len() > TOP {
        let mut rest: BTreeMap<String, u64> = BTreeMap::new();
        for notice in notices.iter().skip(TOP) {
            *rest.entry(name(&notice.alert.subject.provider)).or_default() += 1;
        }
        let counts: Vec<String> = rest.iter().map(|(provider, count)| format!("{count} at {provider}")).collect();
        let _ = writeln!(text, "and {} more: {}", notices.len() - TOP, counts.join(", "));
    }
    if let Some(worst) = notices.first() {
        let _ = writeln!(text, "What to do: {}", worst.alert.action);
    }
    text.push_str("All of them: alerts.json of the run\n");
    text
}

fn one(notice: &Notice, head: Letterhead<'_>) -> String {
    let alert = &notice.alert;
    let mut text = format!("{}{}\n", mark(notice), title(alert, head.zone));
    let mut line = |label: &str, said: String| {
        if !said.is_empty() {
            let _ = writeln!(text, "{label}: {said}");
        }
    };
    line("Who", who(alert));
    line("How much", how_much(alert));
    line("Since", local(alert.opened_at, head.zone));
    if let Some((amount, until)) = alert.projected {
        line(&format!("By {}", short(until, head.zone)), format!("{} if nothing is done", money(amount, alert)));
    }
    if let Some((amount, until)) = alert.month_end {
        line("By the end of the month", format!("{} at this rate ({})", money(amount, alert), short(until, head.zone)));
    }
    if alert.state == AlertState::Firing {
        line("What to do", alert.action.clone());
    } else {
        line("Seen until", local(alert.last_seen_at, head.zone));
    }
    if alert.provisional && !alert.withdrawn {
        line(
            "Note",
            "provisional: these figures may still change; it is confirmed or withdrawn when they are settled".to_string(),
        );
    }
    line("Rows", alert.rows.clone());
    line("Severity", format!("{}, job {}, key {}", alert.severity.name(), name(head.job), alert.key));
    text
}

fn money(amount: Amount, alert: &Alert) -> String {
    let code = alert.currency.map_or(String::new(), |currency| format!(" {}", currency.code()));
    format!("{}{code}", amount.rounded(2).with_places(2))
}

/// `Fri 13 Nov 20:00`.
fn short(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%a %-d %b %H:%M").to_string()
}

fn local(at: DateTime<Utc>, zone: Tz) -> String {
    let utc = if zone == Tz::UTC { String::new() } else { format!(" ({} UTC)", at.format("%Y-%m-%d %H:%M")) };
    format!("{} {zone}{utc}", at.with_timezone(&zone).format("%a %-d %b %Y %H:%M"))
}

/// The matter in one line, without any line break in it whatever names hold.
fn title(alert: &Alert, zone: Tz) -> String {
    let subject = &alert.subject;
    let at = if subject.provider.is_empty() { "all providers".to_string() } else { name(&subject.provider) };
    let who = whose(alert);
    let account = if subject.account.is_empty() { String::new() } else { format!(" {}", name(&subject.account)) };
    if alert.withdrawn {
        return format!(
            "{} at {at}{who} since {}: the figures no longer have it",
            kind(alert.rule),
            short(alert.opened_at, zone)
        );
    }
    if alert.state == AlertState::Resolved {
        let spent = alert.spent.map_or(String::new(), |spent| format!(": {} in all", money(spent, alert)));
        let span = format!("from {} to {}", short(alert.opened_at, zone), short(alert.last_seen_at, zone));
        return format!("{} at {at}{account}{who} {span}{spent}", kind(alert.rule));
    }
    let amount = alert.amount.map_or("an amount too large to add up".to_string(), |amount| money(amount, alert));
    let spent = alert.spent.map_or(amount.clone(), |spent| money(spent, alert));
    let since = short(alert.opened_at, zone);
    let by = alert.projected.map_or(String::new(), |(amount, until)| {
        format!(", {} by {} if nothing is done", money(amount, alert), short(until, zone))
    });
    match alert.rule {
        AlertRule::Spike(SpikeRule::Spike) => format!("{at}{who}: {spent} since {since}{}{by}", times(alert)),
        AlertRule::Spike(SpikeRule::Silence) => format!("{at}{who}: nothing since {since}"),
        AlertRule::Spike(SpikeRule::Errors) => format!("{at}{who}: {} failed calls since {since}", alert.count),
        AlertRule::Spike(_) => format!("{} at {at}{who}: {spent} since {since}{by}", kind(alert.rule)),
        AlertRule::MissingSlice => {
            format!("{at}{account}: {} slices did not arrive or are old, the first of {}", alert.count, day(alert))
        }
        AlertRule::SuspectSlice => {
            format!("{at}{account}: {} slices cannot be true and are held back, the first of {}", alert.count, day(alert))
        }
        AlertRule::Drift => {
            format!("{at}{account}: {amount} of drift by {} in {} items", subject.detail.replace('_', " "), alert.count)
        }
        AlertRule::UnownedSpend => format!("{at}{account}: {amount} that no team owns"),
        AlertRule::Unpriced => format!("{at}{account}: {} items without a price", alert.count),
        AlertRule::Frozen => format!("{at}{account}: nothing new in {} runs, since {}", alert.count, day(alert)),
    }
}

fn day(alert: &Alert) -> String {
    alert.opened_at.format("%Y-%m-%d").to_string()
}

fn kind(rule: AlertRule) -> String {
    let words = rule.name().replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// ` (team studio, key key_7)`.
fn whose(alert: &Alert) -> String {
    let subject = &alert.subject;
    let parts = [("team", &subject.team), ("key", &subject.api_key_id), ("model", &subject.model)];
    let parts: Vec<String> =
        parts.iter().filter(|(_, text)| !text.is_empty()).map(|(label, text)| format!("{label} {}", name(text))).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// `, 65 times the usual`.
fn times(alert: &Alert) -> String {
    let ratio =
        alert.spent.zip(alert.expected).filter(|(_, usual)| !usual.is_zero()).and_then(|(spent, usual)| spent.ratio(usual));
    match ratio {
        Some(ratio) if ratio >= Amount::whole(10) => format!(", {} times the usual", ratio.rounded(0)),
        Some(ratio) => format!(", {} times the usual", ratio.rounded(1)),
        None => String::new(),
    }
}

fn how_much(alert: &Alert) -> String {
    match (alert.spent, alert.expected) {
        (Some(spent), Some(usual)) => format!("{} so far; usual would be {}", money(spent, alert), money(usual, alert)),
        (Some(spent), None) => format!("{} in {} items", money(spent, alert), alert.count),
        _ => String::new(),
    }
}

fn who(alert: &Alert) -> String {
    let one = |one: &Contributor| {
        let parts = [("team", &one.team), ("key", &one.api_key_id), ("model", &one.model), ("client", &one.client)];
        let named: Vec<String> =
            parts.iter().filter(|(_, text)| !text.is_empty()).map(|(label, text)| format!("{label} {}", name(text))).collect();
        let named = if named.is_empty() { "nobody known".to_string() } else { named.join(", ") };
        format!("{named}: {}", money(one.amount, alert))
    };
    alert.contributors.iter().take(3).map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
