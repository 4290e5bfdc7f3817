//! The one client that asks providers (reliability.md section 4): no redirects, no proxy from the
//! environment, every wait bounded, every size bounded while it streams, and an own retry loop that obeys
//! `Retry-After`. The library's errors are never shown: they carry the whole address.

mod body;
pub mod content;
mod failure;
mod retry;

pub use failure::Failure;

use super::clock;
use super::secrets::Secret;
use crate::adapters::request::{Auth, Form, Method};
use crate::job::PullLimits;
use chrono::{DateTime, Utc};
use failure::Trouble;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::redirect::Policy;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most answers at a time that are larger than [`body::LARGE`]: with the caps of one, memory stays bounded
/// however many providers are asked at once.
const LARGE_AT_A_TIME: usize = 1;

/// A client for one provider.
pub struct Client {
    client: reqwest::Client,
    limits: PullLimits,
    large: Arc<Semaphore>,
    /// Spreads the waits of different runs and providers.
    jitter: String,
}

/// One question, with all that is sent.
pub struct Ask<'a> {
    pub method: Method,
    /// Scheme, host and port.
    pub origin: &'a str,
    /// From `/` on, already encoded.
    pub path: &'a str,
    pub query: &'a [(String, String)],
    pub headers: &'a [(&'static str, String)],
    pub body: Option<&'a str>,
    pub content_type: &'static str,
    pub auth: Option<(Auth, &'a Secret)>,
    pub form: Form,
}

/// A whole answer with a good status.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub content_type: String,
    /// The provider's clock.
    pub date: Option<DateTime<Utc>>,
    /// Held while a large answer is in memory.
    _large: Option<OwnedSemaphorePermit>,
}

/// Lets that many large answers in at a time, over all clients of a run.
pub fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LARGE_AT_A_TIME))
}

impl Client {
    /// Inside a runtime. `jitter` differs for each run and provider.
    ///
    /// # Errors
    /// [`crate::domain::fault::ExitCode::Config`] when the machine has no certificate authorities.
    pub fn new(limits: &PullLimits, large: Arc<Semaphore>, jitter: String) -> Result<Client, Failure> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .no_gzip()
            .referer(false)
            .https_only(!limits.loopback_http)
            .connect_timeout(limits.connect)
            .read_timeout(limits.idle)
            .timeout(limits.request)
            .http2_max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| failure::no_client(&error))?;
        Ok(Client { client, limits: *limits, large, jitter })
    }

    /// Asks until there is a whole answer, as often as the rules allow and never past `until`.
    ///
    /// # Errors
    /// What ended it, without any part of the query.
    pub async fn ask(&self, ask: &Ask<'_>, until: Instant) -> Result<Answer, Failure> {
        let mut tried = 0;
        loop {
            let trouble = match tokio::time::timeout_at(until.into(), self.once(ask)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(trouble)) => trouble,
                Err(_) => return Err(failure::out_of_time("while the answer was awaited")),
            };
            tried += 1;
            let (what, after, tries) = match trouble {
                Trouble::Final(failure) => return Err(failure),
                Trouble::Passing { what, after, tries } => (what, after, tries.min(self.limits.tries)),
            };
            if tried >= tries.max(1) {
                return Err(failure::exhausted(&what, tried));
            }
            let wait = retry::wait(&self.jitter, tried, self.limits.backoff, self.limits.backoff_max).max(after);
            let left = until.saturating_duration_since(Instant::now());
            if wait >= left {
                return Err(failure::too_long(&what, wait, left, clock::now()));
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Answer, Trouble> {
        let request = self.request(ask)?;
        let mut response = self.client.execute(request).await.map_err(|error| failure::of_error(&error))?;
        let headers = response.headers();
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if size > self.limits.header_bytes {
            return Err(failure::too_big("headers", self.limits.header_bytes).into());
        }
        let date = text(headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok()).map(DateTime::<Utc>::from);
        let content_type = text(headers, &CONTENT_TYPE).unwrap_or_default().to_string();
        let status = response.status().as_u16();
        if status != 200 {
            let after = retry::after(text(headers, &reqwest::header::RETRY_AFTER), clock::now());
            // A little of the body tells why; what it echoes of the key is taken out.
            let said = body::excerpt(&mut response).await;
            let secret = ask.auth.as_ref().map_or("", |(_, secret)| secret.name());
            return Err(failure::of_status(status, after, &said, secret));
        }
        let (bytes, large) = body::read(&mut response, &self.limits, &self.large).await?;
        Ok(Answer { bytes, content_type, date, _large: large })
    }

    fn request(&self, ask: &Ask<'_>) -> Result<reqwest::Request, Trouble> {
        let mut url = reqwest::Url::parse(&format!("{}{}", ask.origin, ask.path)).map_err(|_| failure::bad_request("address"))?;
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        let method = match ask.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut request = reqwest::Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tieout/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static(match ask.form {
                Form::Json => "application/json",
                Form::Csv => "text/csv, */*;q=0.1",
            }),
        );
        for (name, value) in ask.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| failure::bad_request("header"))?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| failure::bad_request("header"))?);
        }
        if let Some((auth, secret)) = &ask.auth {
            let (name, value) = match auth {
                Auth::Bearer | Auth::ServiceAccount { .. } => (AUTHORIZATION, format!("Bearer {}", secret.expose())),
                Auth::Authorization(word) => (AUTHORIZATION, format!("{word} {}", secret.expose())),
                Auth::Header(name) => {
                    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| failure::bad_request("header"))?;
                    (name, secret.expose().to_string())
                }
            };
            let value = zeroize::Zeroizing::new(value);
            let mut value = HeaderValue::from_str(&value).map_err(|_| failure::not_for_a_header(secret.name()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some(body) = ask.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(ask.content_type));
            *request.body_mut() = Some(body.to_string().into());
        }
        Ok(request)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// How far a run's limits reach from now.
pub fn deadline(from: Instant, time: Duration) -> Instant {
    // A time that no clock reaches is as good as none.
    from.checked_add(time).unwrap_or_else(|| from + Duration::from_secs(86_400))
}
