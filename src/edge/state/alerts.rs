//! The outbox (reliability.md section 6): what was told of each alert, and which messages are on their way.

use super::{Query, State, Store, instant};
use crate::domain::alert::{AlertState, Message, Severity, Subject, Told};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::edge::manifest::{RunName, sha256};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeMap;

/// What a run adds to the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    pub told: Vec<Told>,
    pub messages: Vec<Message>,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub channel: String,
    pub payload_sha256: String,
    pub body: String,
    /// Key and generation of what is in it, in order.
    pub notices: Vec<(String, u32)>,
    /// Tried before, or found on its way: it may have arrived.
    pub may_repeat: bool,
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// On its way from now on.
    Sending,
    Sent,
    /// To be tried again, not before the moment that the other side asked for.
    Later(Option<DateTime<Utc>>),
    /// Refused for good; the named channel gets it instead.
    Refused(Option<String>),
}

/// How many messages are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Pending or on their way, without those that quiet hours hold.
    pub queued: u64,
    /// Held by quiet hours.
    pub quiet: u64,
    pub refused: u64,
}

impl State {
    /// What was last told of every alert, by key.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn told(&mut self) -> Result<Vec<Told>, Fault> {
        let rows = self.store.query(sqlx::query(
            "SELECT key, max(generation) AS generation, rule, scope, first_seen, severity, amount, projected_until, currency, state, told_at, seen_until \
             FROM alert WHERE held_by IS NULL GROUP BY key ORDER BY key",
        ))?;
        rows.iter().map(|row| told(row).ok_or_else(|| self.store.corrupt("table alert"))).collect()
    }

    /// Adds to the outbox what a run that publishes nothing new has to tell.
    pub(in crate::edge) fn enqueue(&mut self, outbox: &Outbox) -> Result<(), Fault> {
        if outbox.told.is_empty() { Ok(()) } else { self.store.change(insert(outbox, None)) }
    }

    /// What older runs told, by their manifests: nothing of it is sent again.
    pub(in crate::edge) fn remember(&mut self, told: &[Told]) -> Result<(), Fault> {
        let rows = told.iter().map(|told| insert_told(told, None));
        if told.is_empty() { Ok(()) } else { self.store.change(rows.collect()) }
    }

    /// Messages of a channel that may be sent now, oldest first. `as_of` is the moment that the run speaks for.
    pub(in crate::edge) fn waiting(
        &mut self,
        channel: &str,
        now: DateTime<Utc>,
        as_of: DateTime<Utc>,
    ) -> Result<Vec<Waiting>, Fault> {
        let query = sqlx::query(
            "SELECT d.payload_sha256, p.body, d.key, d.generation, d.tries, d.state \
             FROM delivery d JOIN payload p ON p.sha256 = d.payload_sha256 JOIN alert a USING (key, generation) \
             WHERE d.channel = ? AND d.state IN ('pending', 'sending') \
               AND (d.next_try IS NULL OR d.next_try <= ?) AND (d.not_before IS NULL OR d.not_before <= ?) \
             ORDER BY a.told_at, d.generation, d.key",
        );
        let rows = self.store.query(query.bind(channel.to_string()).bind(instant(now)).bind(instant(as_of)))?;
        let mut messages: Vec<Waiting> = Vec::new();
        let mut at: BTreeMap<String, usize> = BTreeMap::new();
        for row in &rows {
            let read = || {
                let sha256: String = row.try_get("payload_sha256").ok()?;
                let notice = (row.try_get("key").ok()?, u32::try_from(row.try_get::<i64, _>("generation").ok()?).ok()?);
                let may_repeat = row.try_get::<i64, _>("tries").ok()? > 0 || row.try_get::<String, _>("state").ok()? == "sending";
                Some((sha256, row.try_get::<String, _>("body").ok()?, notice, may_repeat))
            };
            let (sha256, body, notice, may_repeat) = read().ok_or_else(|| self.store.corrupt("table delivery"))?;
            let number = *at.entry(sha256.clone()).or_insert_with(|| {
                let channel = channel.to_string();
                messages.push(Waiting { channel, payload_sha256: sha256, body, notices: Vec::new(), may_repeat: false });
                messages.len() - 1
            });
            if let Some(message) = messages.get_mut(number) {
                message.notices.push(notice);
                message.may_repeat |= may_repeat;
            }
        }
        Ok(messages)
    }

    /// Counts of the messages of these channels.
    pub(in crate::edge) fn queue(&mut self, as_of: DateTime<Utc>, channels: &[&str]) -> Result<Queue, Fault> {
        self.store.queue(as_of, Some(channels))
    }

    /// Notes what became of a message, durably.
    pub(in crate::edge) fn mark(&mut self, message: &Waiting, mark: &Mark) -> Result<(), Fault> {
        let of = |query: &'static str| sqlx::query(query);
        let bound = |query: Query| query.bind(message.channel.clone()).bind(message.payload_sha256.clone());
        let mut changes = Vec::new();
        match mark {
            Mark::Sending => changes.push(bound(of(
                "UPDATE delivery SET state = 'sending', tries = tries + 1 WHERE channel = ? AND payload_sha256 = ? AND state <> 'sent'",
            ))),
            Mark::Sent => changes.push(bound(of(
                "UPDATE delivery SET state = 'sent', next_try = NULL WHERE channel = ? AND payload_sha256 = ? AND state = 'sending'",
            ))),
            Mark::Later(next) => {
                let query = of(
                    "UPDATE delivery SET state = 'pending', next_try = ? WHERE channel = ? AND payload_sha256 = ? AND state = 'sending'",
                );
                changes.push(bound(query.bind(next.map(instant))));
            }
            Mark::Refused(fallback) => {
                if let Some(fallback) = fallback {
                    let query = of(
                        "INSERT OR IGNORE INTO delivery (key, generation, channel, state, payload_sha256) \
                         SELECT key, generation, ?, 'pending', fallback_sha256 FROM delivery \
                         WHERE channel = ? AND payload_sha256 = ? AND state = 'sending' AND fallback_sha256 IS NOT NULL",
                    );
                    changes.push(bound(query.bind(fallback.clone())));
                }
                changes.push(bound(of(
                    "UPDATE delivery SET state = 'refused' WHERE channel = ? AND payload_sha256 = ? AND state = 'sending'",
                )));
            }
        }
        self.store.change(changes)
    }
}

impl Store {
    /// Counts of messages, of the named channels or of all.
    pub(in crate::edge) fn queue(&mut self, as_of: DateTime<Utc>, channels: Option<&[&str]>) -> Result<Queue, Fault> {
        let rows = self.query(
            sqlx::query(
                "SELECT channel, payload_sha256, max(state = 'refused') AS refused, \
                        max(state IN ('pending', 'sending') AND (not_before IS NULL OR not_before <= ?)) AS queued, \
                        max(state IN ('pending', 'sending')) AS waits \
                 FROM delivery WHERE state <> 'held' GROUP BY channel, payload_sha256",
            )
            .bind(instant(as_of)),
        )?;
        let mut queue = Queue::default();
        for row in &rows {
            let known: Option<(String, i64, i64, i64)> = (|| {
                Some((
                    row.try_get(0).ok()?,
                    row.try_get("refused").ok()?,
                    row.try_get("queued").ok()?,
                    row.try_get("waits").ok()?,
                ))
            })();
            let (channel, refused, queued, waits) = known.ok_or_else(|| self.corrupt("table delivery"))?;
            if channels.is_none_or(|names| names.contains(&channel.as_str())) {
                queue.refused += u64::from(refused > 0);
                queue.queued += u64::from(queued > 0);
                queue.quiet += u64::from(queued == 0 && waits > 0);
            }
        }
        Ok(queue)
    }
}

/// Rows of the outbox; held until the run is published where one is named.
pub(super) fn insert(outbox: &Outbox, held_by: Option<String>) -> Vec<Query> {
    let state = if held_by.is_some() { "held" } else { "pending" };
    let mut rows: Vec<Query> = outbox.told.iter().map(|told| insert_told(told, held_by.clone())).collect();
    for message in &outbox.messages {
        let body = sha256(message.body.as_bytes());
        let fallback = message.fallback_body.as_ref().map(|body| (sha256(body.as_bytes()), body.clone()));
        for (sha256, text) in fallback.iter().cloned().chain([(body.clone(), message.body.clone())]) {
            rows.push(sqlx::query("INSERT OR IGNORE INTO payload (sha256, body) VALUES (?, ?)").bind(sha256).bind(text));
        }
        for (key, generation) in &message.notices {
            let row = sqlx::query(
                "INSERT OR IGNORE INTO delivery (key, generation, channel, state, not_before, payload_sha256, fallback_sha256) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            );
            let row = row.bind(key.clone()).bind(i64::from(*generation)).bind(message.channel.clone()).bind(state);
            let row = row.bind(message.not_before.map(instant)).bind(body.clone());
            rows.push(row.bind(fallback.as_ref().map(|(sha256, _)| sha256.clone())));
        }
    }
    rows
}

fn insert_told(told: &Told, held_by: Option<String>) -> Query {
    let Subject { provider, account, team, api_key_id, model, detail } = &told.subject;
    sqlx::query(
        "INSERT OR IGNORE INTO alert \
         (key, generation, rule, scope, first_seen, severity, amount, projected_until, currency, state, told_at, seen_until, held_by) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(told.key.clone())
    .bind(i64::from(told.generation))
    .bind(told.rule.clone())
    .bind(json!([provider, account, team, api_key_id, model, detail]).to_string())
    .bind(instant(told.opened_at))
    .bind(told.severity.name())
    .bind(told.amount.map(|amount| amount.to_string()))
    .bind(told.projected_until.map(instant))
    .bind(told.currency.map(|currency| currency.code().to_string()))
    .bind(told.state.name())
    .bind(instant(told.told_at))
    .bind(instant(told.seen_until))
    .bind(held_by)
}

/// What a prepared run held goes out.
pub(super) fn release(kind: &str, name: RunName) -> Vec<Query> {
    let delivery = "UPDATE delivery SET state = 'pending' WHERE state = 'held' AND (key, generation) IN \
                    (SELECT key, generation FROM alert WHERE held_by = ?)";
    let alert = "UPDATE alert SET held_by = NULL WHERE held_by = ?";
    [delivery, alert].into_iter().map(|query| sqlx::query(query).bind(holder(kind, name))).collect()
}

/// What a run held that never came to be goes with it.
pub(super) fn drop_held(kind: &str, name: RunName) -> Query {
    sqlx::query("DELETE FROM alert WHERE held_by = ?").bind(holder(kind, name))
}

pub(super) fn holder(kind: &str, name: RunName) -> String {
    format!("{kind}/{name}")
}

fn told(row: &SqliteRow) -> Option<Told> {
    let text = |column: &str| row.try_get::<String, _>(column).ok();
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).ok();
    let at = |column: &str| Some(DateTime::parse_from_rfc3339(&text(column)?).ok()?.with_timezone(&Utc));
    let scope: [String; 6] = serde_json::from_str(&text("scope")?).ok()?;
    let [provider, account, team, api_key_id, model, detail] = scope;
    Some(Told {
        key: text("key")?,
        rule: text("rule")?,
        subject: Subject { provider, account, team, api_key_id, model, detail },
        opened_at: at("first_seen")?,
        generation: u32::try_from(row.try_get::<i64, _>("generation").ok()?).ok()?,
        severity: Severity::parse(&text("severity")?)?,
        amount: match optional("amount")? {
            Some(text) => Some(Amount::parse(&text).ok()?),
            None => None,
        },
        projected_until: match optional("projected_until")? {
            Some(text) => Some(DateTime::parse_from_rfc3339(&text).ok()?.with_timezone(&Utc)),
            None => None,
        },
        currency: match optional("currency")? {
            Some(text) => Some(Currency::parse(&text).ok()?),
            None => None,
        },
        state: AlertState::parse(&text("state")?)?,
        told_at: at("told_at")?,
        seen_until: at("seen_until")?,
    })
}

/// As the manifest carries it, from which a lost store is made again.
pub fn to_json(told: &Told) -> Value {
    let Subject { provider, account, team, api_key_id, model, detail } = &told.subject;
    json!({
        "key": told.key,
        "generation": told.generation,
        "rule": told.rule,
        "scope": [provider, account, team, api_key_id, model, detail],
        "first_seen": instant(told.opened_at),
        "severity": told.severity.name(),
        "amount": told.amount.map(|amount| amount.to_string()),
        "projected_until": told.projected_until.map(instant),
        "currency": told.currency.map(|currency| currency.code().to_string()),
        "state": told.state.name(),
        "told_at": instant(told.told_at),
        "seen_until": instant(told.seen_until),
    })
}

/// What [`to_json`] wrote; `None` for anything else.
pub(in crate::edge) fn from_json(value: &Value) -> Option<Told> {
    let text = |field: &str| value.get(field)?.as_str();
    let at = |field: &str| Some(DateTime::parse_from_rfc3339(text(field)?).ok()?.with_timezone(&Utc));
    let scope: Option<Vec<String>> =
        value.get("scope")?.as_array()?.iter().map(|part| Some(part.as_str()?.to_string())).collect();
    let [provider, account, team, api_key_id, model, detail] = <[String; 6]>::try_from(scope?).ok()?;
    Some(Told {
        key: text("key")?.to_string(),
        rule: text("rule")?.to_string(),
        subject: Subject { provider, account, team, api_key_id, model, detail },
        opened_at: at("first_seen")?,
        generation: u32::try_from(value.get("generation")?.as_u64()?).ok()?,
        severity: Severity::parse(text("severity")?)?,
        amount: text("amount").and_then(|text| Amount::parse(text).ok()),
        projected_until: at("projected_until"),
        currency: text("currency").and_then(|text| Currency::parse(text).ok()),
        state: AlertState::parse(text("state")?)?,
        told_at: at("told_at")?,
        seen_until: at("seen_until")?,
    })
}
