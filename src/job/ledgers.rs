//! `[[ledger]]` sections: which request ledger it is and where it stands.

use super::checked::currency;
use super::keys::JOB_POSTGRES;
use super::nearest::did_you_mean;
use super::parse::{Folder, whole};
use super::secret::secret;
use super::toml_at::{Section, Value, quoted};
use super::{LedgerPlace, LedgerSource, Postgres, Tls};
use crate::domain::fault::Fault;
use crate::domain::money::Currency;
use crate::domain::usage::Precision;

/// Ledger kinds of contract 3.2 that this version does not read.
const OTHER_KINDS: [&str; 5] = ["litellm", "helicone", "langfuse", "bifrost", "newapi"];
/// What holds a ledger; a section has one of them.
const PLACES: [&str; 3] = ["sqlite", "postgres", "files"];
const PORT: u32 = 5432;
const STATEMENT_SECONDS: u32 = 600;

/// Reads one section.
///
/// # Errors
/// The first thing that is wrong in it.
pub(super) fn ledger(
    section: &Section<'_>,
    reporting_currency: Currency,
    folder: &mut Folder<'_>,
) -> Result<LedgerSource, Fault> {
    let name = section.need("name")?.text()?.to_string();
    if let Some(kind) = section.get("kind") {
        native(&kind)?;
    }
    let place = place(section, folder)?;
    let currency = section.get("currency").map_or(Ok(reporting_currency), |value| currency(&value))?;
    let decimals = section.get("cost_decimals").map(|value| value.whole(0..=18)).transpose()?;
    let precision = decimals.and_then(|places| u8::try_from(places).ok()).map_or(Precision::Exact, Precision::Rounded);
    Ok(LedgerSource { name, place, precision, currency })
}

fn place(section: &Section<'_>, folder: &mut Folder<'_>) -> Result<LedgerPlace, Fault> {
    let named: Vec<(&str, Value<'_>)> = PLACES.iter().filter_map(|key| Some((*key, section.get(key)?))).collect();
    let table = section.get("table");
    match named.as_slice() {
        [] => {
            let hint = "add one of them, for example: sqlite = \"ledger.db\", or: files = [\"ledger/*.csv\"]";
            Err(section.fault("neither sqlite nor postgres nor files in [[ledger]]", hint))
        }
        [("sqlite", value)] => {
            let table = table.map_or(Ok("request_ledger"), |value| table_name(&value, false))?.to_string();
            Ok(LedgerPlace::Sqlite { path: folder.file(value)?, table })
        }
        [("postgres", value)] => {
            let table = table.map_or(Ok("request_ledger"), |value| table_name(&value, true))?.to_string();
            Ok(LedgerPlace::Postgres { server: postgres(&value.section(&JOB_POSTGRES)?, folder)?, table })
        }
        [(_, value)] => match table {
            Some(table) => {
                Err(table.fault("table: files have no tables", "take \"table\" out; it goes with \"sqlite\" and \"postgres\""))
            }
            None => Ok(LedgerPlace::Files(folder.patterns(value)?)),
        },
        [(first, _), (second, value), ..] => {
            let hint = "a ledger is in one place: take one out, or write two [[ledger]]";
            Err(value.fault(format!("both {first} and {second}"), hint))
        }
    }
}

fn postgres(section: &Section<'_>, folder: &mut Folder<'_>) -> Result<Postgres, Fault> {
    let text = |key: &str| section.need(key)?.text().map(str::to_string);
    let (host, database, user) = (text("host")?, text("database")?, text("user")?);
    let port = whole(section, "port", 1, 65_535)?.unwrap_or(PORT);
    let password = section.get("password").map(|value| secret(&value, folder.path)).transpose()?;
    let socket = host.starts_with('/');
    let words = [("verify-full", Tls::VerifyFull), ("require", Tls::Require), ("disable", Tls::Disable)];
    let tls = section.get("tls").map(|value| Ok::<_, Fault>((value, value.word(&words)?))).transpose()?;
    if let Some((value, tls)) = &tls
        && socket
        && *tls != Tls::Disable
    {
        return Err(value.fault("tls: a socket in a folder is not encrypted", "take \"tls\" out, or name the host by its name"));
    }
    let tls = tls.map_or(if socket { Tls::Disable } else { Tls::VerifyFull }, |(_, tls)| tls);
    let tls_ca = match section.get("tls_ca") {
        Some(value) if tls != Tls::VerifyFull => {
            let hint = "take it out, or write tls = \"verify-full\"";
            return Err(value.fault("tls_ca: nothing is verified with this tls", hint));
        }
        other => other.map(|value| folder.file(&value)).transpose()?,
    };
    let statement_seconds = whole(section, "statement_seconds", 1, 86_400)?.unwrap_or(STATEMENT_SECONDS);
    let lock_seconds = whole(section, "lock_seconds", 1, 3_600)?.unwrap_or(30);
    let port = u16::try_from(port).unwrap_or(u16::MAX);
    Ok(Postgres { host, port, database, user, password, tls, tls_ca, statement_seconds, lock_seconds })
}

fn native(value: &Value<'_>) -> Result<(), Fault> {
    let kind = value.text()?;
    if kind == "native" {
        return Ok(());
    }
    if OTHER_KINDS.contains(&kind) {
        let hint = "write its rows to a table or file with the columns of request_ledger, and kind = \"native\"";
        return Err(value.fault(format!("kind: ledger kind \"{kind}\" is not supported by this version"), hint));
    }
    Err(value.fault(format!("kind: unknown ledger kind {}", quoted(kind)), did_you_mean(kind, &["native"])))
}

/// The name goes into a query, where it cannot be a parameter. In PostgreSQL a schema may stand before it.
fn table_name<'a>(value: &Value<'a>, schema: bool) -> Result<&'a str, Fault> {
    let text = value.text()?;
    let name = |part: &str| {
        let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        plain && !part.is_empty() && !part.starts_with(|first: char| first.is_ascii_digit())
    };
    let plain = match text.split_once('.') {
        Some((before, after)) => schema && name(before) && name(after),
        None => name(text),
    };
    if plain {
        return Ok(text);
    }
    Err(value.expected_with("letters, digits and _, not starting with a digit", "make a view with a plain name over the table"))
}
