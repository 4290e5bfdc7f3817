//! One try of one message over HTTP: a POST that is the same on every try, and what its answer means.

use super::address::{self, Allowed, Guarded};
use crate::domain::alert::ChannelKind;
use crate::domain::fault::{ExitCode, Fault};
use crate::edge::secrets::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url, redirect};
use sha2::Sha256;
use std::time::{Duration, SystemTime};

const CONNECT: Duration = Duration::from_secs(5);

/// What a try came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    /// Not now. With how long the other side asks to wait.
    Later(Option<Duration>, String),
    Refused(String),
}

/// A target with the client that may reach it and nothing else.
#[derive(Debug)]
pub(super) struct Post {
    client: Client,
    url: Url,
}

impl Post {
    /// # Errors
    /// [`ExitCode::Config`] for an address that is not allowed, or when there are no certificates to check with.
    pub(super) fn new(text: &str, allow_private: bool, at: &str) -> Result<Post, Fault> {
        let (url, allowed) = address::url(text, allow_private, at)?;
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .https_only(allowed != Allowed::Loopback)
            .no_proxy()
            .connect_timeout(CONNECT)
            .dns_resolver(Guarded(allowed))
            // Each message is one connection: an idle one that the other side has closed looks like a lost answer.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("tieout/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|_| {
            let hint = "install the system's package of CA certificates";
            Fault::new(ExitCode::Config, at, "the client for alerts cannot be set up", hint)
        })?;
        Ok(Post { client, url })
    }

    /// Sends the body once.
    pub(super) async fn post(&self, body: String, headers: HeaderMap, timeout: Duration) -> Answer {
        self.ask(&self.url, body, headers, timeout).await
    }

    /// Calls a path below the URL, for a dead-man switch.
    pub(super) async fn below(&self, path: &str, body: String, timeout: Duration) -> Answer {
        let mut url = self.url.clone();
        if !path.is_empty() {
            url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        }
        self.ask(&url, body, HeaderMap::new(), timeout).await
    }

    async fn ask(&self, url: &Url, body: String, headers: HeaderMap, timeout: Duration) -> Answer {
        let request = self.client.post(url.clone()).headers(headers).body(body).timeout(timeout);
        match request.send().await {
            Ok(response) => judge(response.status(), response.headers().get(RETRY_AFTER)),
            // The library's own words hold the URL, which may be a secret.
            Err(error) if error.is_timeout() => Answer::Later(None, "no answer in time".to_string()),
            Err(error) if error.is_connect() => Answer::Later(None, "no connection".to_string()),
            Err(_) => Answer::Later(None, "the connection was lost before the answer".to_string()),
        }
    }
}

fn judge(status: StatusCode, retry_after: Option<&HeaderValue>) -> Answer {
    let said = format!("HTTP {}", status.as_u16());
    if status.is_success() {
        return Answer::Accepted;
    }
    let transient = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
    if !transient {
        return Answer::Refused(said);
    }
    let wait = retry_after.and_then(|value| value.to_str().ok()).and_then(|text| {
        let seconds = text.trim().parse().ok().map(Duration::from_secs);
        seconds.or_else(|| httpdate::parse_http_date(text.trim()).ok()?.duration_since(SystemTime::now()).ok())
    });
    Answer::Later(wait, said)
}

/// Headers of a message: the key that lets a receiver drop a repeat, and for webhooks a signature in the form of
/// Standard Webhooks over key, time and body.
pub(super) fn headers(
    kind: ChannelKind,
    key: &str,
    body: &str,
    secret: Option<&Secret>,
    may_repeat: bool,
    unix: i64,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if kind != ChannelKind::Webhook {
        return headers;
    }
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    add("idempotency-key", key);
    add("webhook-id", key);
    add("webhook-timestamp", &unix.to_string());
    if may_repeat {
        add("tieout-may-repeat", "true");
    }
    if let Some(secret) = secret {
        add("webhook-signature", &format!("v1,{}", signature(secret.expose(), key, unix, body)));
    }
    headers
}

fn signature(secret: &str, key: &str, unix: i64, body: &str) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    let bytes = zeroize::Zeroizing::new(decoded.unwrap_or_else(|| secret.as_bytes().to_vec()));
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&bytes) else { return String::new() };
    mac.update(format!("{key}.{unix}.{body}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the published specification of Standard Webhooks.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn answers_are_judged_by_their_status() {
        let of = |status: u16, after: Option<&str>| {
            judge(StatusCode::from_u16(status).unwrap(), after.map(|text| HeaderValue::from_str(text).unwrap()).as_ref())
        };
        for status in [200, 202, 204] {
            assert_eq!(of(status, None), Answer::Accepted);
        }
        for status in [301, 302, 400, 401, 403, 404, 410, 422] {
            assert!(matches!(of(status, None), Answer::Refused(_)), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 529] {
            assert!(matches!(of(status, None), Answer::Later(None, _)), "{status}");
        }
        assert_eq!(of(429, Some("7")), Answer::Later(Some(Duration::from_secs(7)), "HTTP 429".to_string()));
        assert_eq!(of(503, Some("soon")), Answer::Later(None, "HTTP 503".to_string()));
    }
}
