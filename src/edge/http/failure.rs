//! Why a provider could not be asked, in our own words: status, what happened, what to do. Never the
//! library's text, never a query, never a secret.

use crate::domain::fault::{ExitCode, Fault};
use chrono::{DateTime, SecondsFormat, Utc};
use std::error::Error;
use std::time::Duration;

/// What ended a question. The caller knows the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: ExitCode,
    pub what: String,
    pub hint: String,
}

impl Failure {
    pub fn new(code: ExitCode, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure { code, what: what.into(), hint: hint.into() }
    }

    pub fn at(self, place: &str) -> Fault {
        Fault::new(self.code, place, self.what, self.hint)
    }
}

/// What happened to one try.
pub(super) enum Trouble {
    Final(Failure),
    /// May go away by itself: tried at most so often, and not before `after`.
    Passing {
        what: String,
        after: Duration,
        tries: u32,
    },
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Final(failure)
    }
}

const AGAIN: &str = "run again later; what was fetched before stands";
const ASK_LESS: &str = "is this the provider's address? If its answers are really that large, raise it under [limits]";
/// A conflict that does not go away is no passing one.
const CONFLICT_TRIES: u32 = 3;

fn passing(what: impl Into<String>) -> Trouble {
    Trouble::Passing { what: what.into(), after: Duration::ZERO, tries: u32::MAX }
}

/// An answer without a page.
pub(super) fn of_status(status: u16, after: Option<Duration>, said: &str, secret: &str) -> Trouble {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let wait = after.unwrap_or_default();
    match status {
        403 if after.is_some() => Trouble::Passing { what: format!("HTTP {status}{said}"), after: wait, tries: u32::MAX },
        401 | 403 => {
            let secret = if secret.is_empty() { String::new() } else { format!(", secret {secret:?}") };
            let hint = match status {
                401 => "put a valid key there: this one is wrong, expired or revoked",
                _ => "grant the key the right to read this report",
            };
            // What it says is left out: refusals like to repeat the key.
            Failure::new(ExitCode::NoPerm, format!("key refused (HTTP {status}){secret}"), hint).into()
        }
        408 | 425 | 429 | 500.. => Trouble::Passing { what: format!("HTTP {status}{said}"), after: wait, tries: u32::MAX },
        409 => Trouble::Passing { what: format!("HTTP {status}{said}"), after: wait, tries: CONFLICT_TRIES },
        300..=399 => {
            let hint = "redirects are not followed, because the key would go along: correct base_url";
            Failure::new(ExitCode::Protocol, format!("redirected (HTTP {status})"), hint).into()
        }
        _ => {
            let hint = "check account, settings and base_url; the provider may have changed its API";
            Failure::new(ExitCode::Protocol, format!("HTTP {status}{said}"), hint).into()
        }
    }
}

/// What the library says happened. Its own text is looked into, and not shown.
pub(super) fn of_error(error: &reqwest::Error) -> Trouble {
    let words = words(error);
    if words.contains("certificate") || words.contains("unknownissuer") {
        return bad_certificate().into();
    }
    if words.contains("too large") || words.contains("too big") {
        return Failure::new(ExitCode::Protocol, "the answer's headers are larger than allowed", ASK_LESS).into();
    }
    if error.is_timeout() {
        return passing(if error.is_connect() { "no connection in time" } else { "no answer in time" });
    }
    if words.contains("dns error") {
        return passing("the provider's name was not found (DNS)");
    }
    if error.is_builder() {
        return bad_request("address");
    }
    if error.is_connect() {
        return passing(if words.contains("tls") || words.contains("handshake") {
            "no secure connection"
        } else if words.contains("refused") {
            "the connection was refused"
        } else {
            "no connection"
        });
    }
    if words.contains("invalid http") || words.contains("invalid header") || words.contains("parse error") {
        let hint = "is this the provider's address?";
        return Failure::new(ExitCode::Protocol, "the answer is not HTTP", hint).into();
    }
    passing(if words.contains("reset") { "the connection was reset" } else { "the answer was cut off" })
}

fn words(error: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut source: Option<&dyn Error> = error.source();
    while let Some(cause) = source {
        words.push_str(&cause.to_string().to_lowercase());
        words.push(' ');
        source = cause.source();
    }
    words
}

fn bad_certificate() -> Failure {
    let hint = "check base_url; behind an own certificate authority, install its certificate in the system's bundle or point \
                SSL_CERT_FILE to it";
    Failure::new(ExitCode::Config, "the server's certificate is not trusted", hint)
}

/// The client could not be made: without authorities to trust no certificate can be checked.
pub(super) fn no_client(error: &reqwest::Error) -> Failure {
    if words(error).contains("cert") {
        let hint = "install the system's bundle (package ca-certificates), or point SSL_CERT_FILE to one";
        return Failure::new(ExitCode::Config, "this machine has no certificate authorities to trust", hint);
    }
    Failure::new(ExitCode::Internal, "the HTTP client could not be made", "report this as a bug")
}

pub(super) fn bad_request(what: &str) -> Trouble {
    let hint = "check base_url and settings of the source";
    Failure::new(ExitCode::Config, format!("the question's {what} cannot be sent"), hint).into()
}

pub(super) fn not_for_a_header(secret: &str) -> Trouble {
    let hint = "put the key alone there, as the provider shows it";
    Failure::new(ExitCode::Config, format!("secret {secret:?} has characters that no header may have"), hint).into()
}

pub(super) fn too_big(what: &str, limit: usize) -> Failure {
    Failure::new(ExitCode::Protocol, format!("the answer's {what} is larger than {limit} bytes"), ASK_LESS)
}

pub(super) fn out_of_time(when: &str) -> Failure {
    Failure::new(ExitCode::TempFail, format!("out of time {when}"), AGAIN)
}

/// The last try did not help either.
pub(super) fn exhausted(what: &str, tried: u32) -> Failure {
    let times = if tried == 1 { "once".to_string() } else { format!("{tried} times") };
    // A conflict is the provider's own answer; everything else may be the way to it.
    let code = if what.starts_with("HTTP 409") { ExitCode::Protocol } else { ExitCode::TempFail };
    Failure::new(code, format!("{what}, tried {times}"), AGAIN)
}

/// The provider asks for a longer wait than there is time.
pub(super) fn too_long(what: &str, wait: Duration, left: Duration, now: DateTime<Utc>) -> Failure {
    let at = chrono::Duration::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait));
    let when = at.map_or("much later".to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let what = format!("{what}: to be asked again not before {when}, and only {} s are left", left.as_secs());
    Failure::new(ExitCode::TempFail, what, "run again after that moment; what was fetched before stands")
}
