//! Asks one account: its credential, its pauses, its clock.

use super::super::clock;
use super::super::http::{Answer, Ask, Client, Failure};
use super::super::secrets::Secret;
use super::token;
use crate::adapters::Adapter;
use crate::adapters::request::{Auth, Request};
use crate::domain::fault::ExitCode;
use crate::job::Api;
use std::time::{Duration, Instant};

/// A clock may be off by so much from the provider's before it is said, and before the run ends (reliability.md
/// section 5).
const SKEW_SAID: Duration = Duration::from_secs(5 * 60);
const SKEW_MAX: Duration = Duration::from_secs(24 * 3600);
/// A token is asked for again before it runs out.
const TOKEN_LIFE: Duration = Duration::from_secs(50 * 60);
/// How one account is asked.
pub struct Caller<'a> {
    client: &'a Client,
    adapter: &'static dyn Adapter,
    api: &'a Api,
    secret: &'a Secret,
    /// Nothing is waited for longer.
    until: Instant,
    /// When the last question was sent, for the pause between two.
    last: Option<Instant>,
    token: Option<(Secret, Instant)>,
    /// The most that the provider's clock was off from ours.
    skew: Option<chrono::Duration>,
}

impl<'a> Caller<'a> {
    pub fn new(client: &'a Client, adapter: &'static dyn Adapter, api: &'a Api, secret: &'a Secret, until: Instant) -> Self {
        Caller { client, adapter, api, secret, until, last: None, token: None, skew: None }
    }

    /// How far this machine's clock is off the provider's, where that has to be said.
    pub fn skew(&self) -> Option<chrono::Duration> {
        self.skew
    }

    /// One question, asked as politely as the provider wants.
    ///
    /// # Errors
    /// What keeps it from being answered; a clock that is off by more than a day.
    pub async fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        let origin = self.api.base_url.as_deref().unwrap_or(request.origin);
        if let Auth::ServiceAccount { scope } = request.auth {
            let old = self.token.as_ref().is_none_or(|(_, since)| since.elapsed() > TOKEN_LIFE);
            if old {
                let url = self.api.token_url.as_deref();
                let token = token::fetch(self.client, self.secret, scope, url, clock::now(), self.until).await?;
                self.token = Some((token, Instant::now()));
            }
        }
        self.pause().await?;
        let secret = self.token.as_ref().map_or(self.secret, |(token, _)| token);
        let ask = Ask {
            method: request.method,
            origin,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: request.body.as_deref(),
            content_type: "application/json",
            auth: Some((request.auth, secret)),
            form: request.form,
        };
        let answer = self.client.ask(&ask, self.until).await?;
        if let Some(date) = answer.date {
            let off = date - clock::now();
            let far = off.abs().to_std().unwrap_or_default();
            if far > SKEW_MAX {
                let what = format!("this machine's clock is {} h off the provider's", far.as_secs() / 3600);
                return Err(Failure::new(ExitCode::Config, what, "set the clock; days and tokens depend on it"));
            }
            if far > SKEW_SAID && self.skew.is_none_or(|skew| skew.abs() < off.abs()) {
                self.skew = Some(off);
            }
        }
        Ok(answer)
    }

    /// Never more than the provider's rate.
    async fn pause(&mut self) -> Result<(), Failure> {
        let pause = self.api.pause_ms.unwrap_or_else(|| self.adapter.limits().pause_ms);
        let pause = Duration::from_millis(u64::from(pause));
        if let Some(next) = self.last.map(|last| last + pause) {
            if next >= self.until {
                return Err(Failure::new(
                    ExitCode::TempFail,
                    "out of time between two pages",
                    "run again later, or allow more time",
                ));
            }
            tokio::time::sleep_until(next.into()).await;
        }
        self.last = Some(Instant::now());
        Ok(())
    }
}
