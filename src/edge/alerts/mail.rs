//! One try of one message by mail: SMTP with TLS, or without it on this machine where the job allows that.

use super::address::{self, Allowed};
use super::send::Answer;
use crate::domain::fault::{ExitCode, Fault};
use crate::edge::secrets::Secret;
use crate::job::alerts::Mail;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;

/// TLS from the first byte; every other port changes to it.
const IMPLICIT_TLS: u16 = 465;

/// Looks at the server's name and the addresses before anything is sent.
///
/// # Errors
/// [`ExitCode::Config`] naming the job's line.
pub(super) fn check(mail: &Mail) -> Result<(), Fault> {
    let fault = |what: String, hint: &str| Fault::new(ExitCode::Config, mail.at.clone(), what, hint);
    let literal: Option<std::net::IpAddr> = mail.server.parse().ok();
    if literal.is_some_and(|ip| !allowed(mail).allows(ip)) || (mail.server == "localhost" && !mail.allow_private) {
        let hint = "add allow_private = true to send alerts into a private network on purpose";
        return Err(fault("server: an address that is not public".to_string(), hint));
    }
    for address in mail.to.iter().chain([&mail.from]) {
        if address.parse::<Mailbox>().is_err() {
            return Err(fault(format!("{address:?} is no mail address"), "write it like oncall@acme.example"));
        }
    }
    Ok(())
}

fn allowed(mail: &Mail) -> Allowed {
    if mail.allow_private { Allowed::Private } else { Allowed::Public }
}

/// Sends the mail once. `key` names it in `Message-ID`, the same on every try.
pub(super) async fn send(
    mail: &Mail,
    password: Option<&Secret>,
    key: &str,
    body: &str,
    may_repeat: bool,
    timeout: Duration,
) -> Answer {
    let sending = try_to_send(mail, password, key, body, may_repeat, timeout);
    tokio::time::timeout(timeout, sending).await.unwrap_or_else(|_| Answer::Later(None, "no answer in time".to_string()))
}

async fn try_to_send(
    mail: &Mail,
    password: Option<&Secret>,
    key: &str,
    body: &str,
    may_repeat: bool,
    timeout: Duration,
) -> Answer {
    let Some(message) = compose(mail, key, body, may_repeat) else {
        return Answer::Refused("the mail cannot be composed".to_string());
    };
    // The connection goes to the address that was looked at; a second look-up could find another one.
    let Ok(addresses) = address::addresses(&mail.server, mail.port, allowed(mail)).await else {
        return Answer::Later(None, "the mail server's name has no address that is allowed".to_string());
    };
    let Some(address) = addresses.first() else { return Answer::Later(None, "no address".to_string()) };
    // Without TLS only what stays on this machine, and only where the job says so.
    let tls = if mail.allow_private && address.ip().is_loopback() && mail.port != IMPLICIT_TLS {
        Tls::None
    } else {
        match TlsParameters::new(mail.server.clone()) {
            Ok(parameters) if mail.port == IMPLICIT_TLS => Tls::Wrapper(parameters),
            Ok(parameters) => Tls::Required(parameters),
            Err(_) => return Answer::Later(None, "TLS cannot be set up".to_string()),
        }
    };
    let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
        .port(mail.port)
        .tls(tls)
        .timeout(Some(timeout));
    if let (Some(user), Some(password)) = (&mail.user, password) {
        server = server.credentials(Credentials::new(user.clone(), password.expose().to_string()));
    }
    match server.build().send(message).await {
        Ok(_) => Answer::Accepted,
        Err(error) => {
            let code = error.status().map_or_else(|| "no answer".to_string(), |code| format!("SMTP {code}"));
            if error.is_permanent() { Answer::Refused(code) } else { Answer::Later(None, code) }
        }
    }
}

/// Subject and text are what the payload has; names in them are escaped by the library as header and body need.
fn compose(mail: &Mail, key: &str, body: &str, may_repeat: bool) -> Option<Message> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let from: Mailbox = mail.from.parse().ok()?;
    let host = from.email.domain().to_string();
    let mut message =
        Message::builder().from(from).subject(body.get("subject")?.as_str()?).message_id(Some(format!("<{key}@{host}>")));
    for to in &mail.to {
        message = message.to(to.parse().ok()?);
    }
    let repeat = if may_repeat { super::MAY_REPEAT } else { "" };
    message.header(ContentType::TEXT_PLAIN).body(format!("{}{repeat}", body.get("text")?.as_str()?)).ok()
}
