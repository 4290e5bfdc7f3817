//! `[source.api]` and `[limits]` of a job: how a provider is asked, and how far (reliability.md section 4).

use super::parse::whole;
use super::secret::{SecretRef, secret};
use super::toml_at::{Section, Value, quoted};
use crate::domain::fault::Fault;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How a provider's API is asked for one account.
#[derive(Clone, Debug)]
pub struct Api {
    pub secret: SecretRef,
    /// Scheme and host in place of the provider's own, without a path.
    pub base_url: Option<String>,
    /// Where a service account's key file is turned into a token, in place of the provider's own.
    pub token_url: Option<String>,
    /// Days before the as-of day that are asked again each night, where the job says so.
    pub trailing_days: Option<u32>,
    /// The least time between two questions, in milliseconds, where the job says so.
    pub pause_ms: Option<u32>,
    /// What else the provider must be told. Never a secret.
    pub settings: BTreeMap<String, String>,
}

/// Bounds of what is fetched. The defaults are those of reliability.md sections 4 and 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullLimits {
    pub connect: Duration,
    pub idle: Duration,
    pub request: Duration,
    pub provider: Duration,
    pub tries: u32,
    pub backoff: Duration,
    pub backoff_max: Duration,
    pub header_bytes: usize,
    pub body_bytes: usize,
    pub page_bytes: usize,
    pub pages: usize,
    pub freshness: Duration,
    /// Part of a chain's rows, or of its money, that may be quarantined.
    pub quarantine_budget: Decimal,
    /// `http://` is accepted for this machine itself.
    pub loopback_http: bool,
}

impl Default for PullLimits {
    fn default() -> Self {
        PullLimits {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            request: Duration::from_secs(120),
            provider: Duration::from_secs(20 * 60),
            tries: 6,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            header_bytes: 64 << 10,
            body_bytes: 64 << 20,
            page_bytes: 256 << 20,
            pages: 10_000,
            freshness: Duration::from_secs(60 * 60),
            quarantine_budget: Decimal::new(1, 3),
            loopback_http: false,
        }
    }
}

const DAY_MS: u64 = 86_400_000;
const BYTES_MAX: u64 = 1 << 32;
const SETTINGS: &str = "settings are texts in quotes: settings = { project = \"acme-billing\" }";

/// Reads `[limits]`.
///
/// # Errors
/// The first value out of its range.
pub fn limits(section: &Section<'_>) -> Result<PullLimits, Fault> {
    let known = PullLimits::default();
    let time = |key: &str, known: Duration| -> Result<Duration, Fault> {
        Ok(section.get(key).map(|value| value.whole(1..=DAY_MS)).transpose()?.map_or(known, Duration::from_millis))
    };
    let size = |key: &str, known: usize| -> Result<usize, Fault> {
        let Some(value) = section.get(key) else { return Ok(known) };
        usize::try_from(value.whole(1..=BYTES_MAX)?).map_err(|_| value.expected("a smaller number"))
    };
    let freshness = section.get("freshness_minutes").map(|value| value.whole(0..=DAY_MS / 60_000)).transpose()?;
    let budget = section.get("quarantine_budget").map(|value| value.decimal(6)).transpose()?;
    Ok(PullLimits {
        connect: time("connect_ms", known.connect)?,
        idle: time("idle_ms", known.idle)?,
        request: time("request_ms", known.request)?,
        provider: time("provider_ms", known.provider)?,
        tries: whole(section, "tries", 1, 20)?.unwrap_or(known.tries),
        backoff: time("backoff_ms", known.backoff)?,
        backoff_max: time("backoff_max_ms", known.backoff_max)?,
        header_bytes: size("header_bytes", known.header_bytes)?,
        body_bytes: size("body_bytes", known.body_bytes)?,
        page_bytes: size("page_bytes", known.page_bytes)?,
        pages: size("pages", known.pages)?,
        freshness: freshness.map_or(known.freshness, |minutes| Duration::from_secs(60 * minutes)),
        quarantine_budget: budget.unwrap_or(known.quarantine_budget),
        loopback_http: section.get("loopback_http").map_or(Ok(false), |value| value.flag())?,
    })
}

/// Reads `[source.api]`.
///
/// # Errors
/// The first value that cannot be used; a secret written out is refused without being repeated.
pub fn api(section: &Section<'_>, folder: &Path, loopback_http: bool) -> Result<Api, Fault> {
    let url = |key: &str, path: bool| section.get(key).map(|value| address(&value, loopback_http, path)).transpose();
    let mut settings = BTreeMap::new();
    if let Some(table) = section.get("settings") {
        for (name, value) in table.pairs()? {
            let text = value.text().map_err(|fault| Fault { hint: SETTINGS.to_string(), ..fault })?;
            settings.insert(name.to_string(), text.to_string());
        }
    }
    Ok(Api {
        secret: secret(&section.need("secret")?, folder)?,
        base_url: url("base_url", false)?,
        token_url: url("token_url", true)?,
        trailing_days: whole(section, "trailing_days", 1, 400)?,
        pause_ms: whole(section, "pause_ms", 0, 600_000)?,
        settings,
    })
}

/// An address: `https://host[:port]`, or `http://` for this machine where the job allows it. With a path only
/// where one belongs there.
fn address(value: &Value<'_>, loopback_http: bool, path: bool) -> Result<String, Fault> {
    let text = value.text()?;
    // What stands before an @ is a credential: such an address is not repeated.
    if text.contains('@') {
        let what = format!("{}: an address with a user or password in it", value.name());
        return Err(value.fault(what, "take it out; secrets stand at `secret`, by reference"));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (host, tail) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let plain = |text: &str, more: &[u8]| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte));
    if host.is_empty() || !plain(host, b".-:[]") || !plain(tail, b"/.-_~") || (tail.len() > 1 && !path) {
        let form = if path { "https://host/path" } else { "https://host, without a path" };
        return Err(value.fault(format!("{}: {} is no such address", value.name(), quoted(text)), format!("write it as {form}")));
    }
    match scheme {
        "https" => {}
        "http" if loopback_http && is_loopback(host) => {}
        "http" => {
            let what = format!("{}: http:// is not accepted", value.name());
            return Err(
                value.fault(what, "write https://; plain http is only for this machine, with limits.loopback_http = true")
            );
        }
        _ => return Err(value.fault(format!("{}: expected https://", value.name()), "write it as https://host")),
    }
    Ok(text.trim_end_matches('/').to_string())
}

/// Whether a host with its port is this machine by address: a name could lead elsewhere tomorrow.
fn is_loopback(host: &str) -> bool {
    let address = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::keys::JOB;
    use crate::job::toml_at::{Origin, parse};

    fn read(text: &str, loopback_http: bool) -> Result<Api, Fault> {
        let origin = Origin { file: "job.toml", text, code: crate::domain::fault::ExitCode::Config, keys: &JOB };
        let table = parse(&origin)?;
        let section = Section::root(&origin, &table, &crate::job::keys::JOB_API)?;
        api(&section, Path::new("jobs"), loopback_http)
    }

    #[test]
    fn an_address_is_https_or_this_machine() {
        for (url, loopback, good) in [
            ("https://api.example.test", false, true),
            ("https://api.example.test:8443/", false, true),
            ("http://127.0.0.1:80", true, true),
            ("http://[::1]:80", true, true),
            ("http://127.0.0.1:80", false, false),
            ("http://localhost:80", true, false),
            ("http://10.0.0.1", true, false),
            ("http://127.0.0.1.example.test", true, false),
            ("https://user:word@example.test", true, false),
            ("https://example.test/path", true, false),
            ("https://example.test?x=1", true, false),
            ("ftp://example.test", true, false),
            ("example.test", true, false),
        ] {
            let read = read(&format!("secret = \"env:KEY\"\nbase_url = \"{url}\""), loopback);
            assert_eq!(read.is_ok(), good, "{url}: {read:?}");
        }
    }

    #[test]
    fn a_secret_stands_by_reference_and_is_never_repeated() {
        let api = read("secret = \"file:keys/openai\"\nsettings = { project = \"p-1\" }", false).unwrap();
        assert_eq!(api.secret.place, crate::job::secret::SecretPlace::File("jobs/keys/openai".into()));
        assert_eq!((api.secret.name().as_str(), api.secret.at.as_str()), ("openai", "job.toml:1"));
        assert_eq!(api.settings.get("project").map(String::as_str), Some("p-1"));
        for text in ["sk-live-0123456789", "cred:../etc/passwd", "cred:", "file:", "https://x:sk-live-0123456789@y"] {
            let fault = read(&format!("secret = \"{text}\""), false).unwrap_err();
            assert!(!fault.to_string().contains("0123456789"), "{fault}");
        }
        let fault = read("secret = 5", false).unwrap_err();
        assert!(fault.what.contains("a reference to a secret"), "{fault}");
    }
}
