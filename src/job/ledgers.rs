//! `[[ledger]]` sections: which request ledger it is and where it stands.

use super::checked::currency;
use super::keys::{JOB_POSTGRES, JOB_ROUTE};
use super::nearest::did_you_mean;
use super::parse::{Folder, whole, zone};
use super::secret::secret;
use super::teams::FUNDINGS;
use super::toml_at::{Section, Value, quoted};
use super::{LedgerPlace, LedgerSource, Postgres, Tls};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::Precision;
use crate::ledgers::routes::Route;
use crate::ledgers::{self, Kind, Settings};
use chrono_tz::Tz;

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
    let kind = section.get("kind").map_or(Ok(None), |value| kind(&value))?;
    let place = place(section, kind, folder)?;
    let settings = settings(section, kind, &place)?;
    // Gateways count in dollars, whatever is reported in.
    let usual = if kind.is_some() { Currency::USD } else { reporting_currency };
    let currency = section.get("currency").map_or(Ok(usual), |value| currency(&value))?;
    let decimals = section.get("cost_decimals").map(|value| value.whole(0..=18)).transpose()?;
    let precision = decimals
        .and_then(|places| u8::try_from(places).ok())
        .map_or(kind.map_or(Precision::Exact, |kind| kind.precision), Precision::Rounded);
    let time_zone = section.get("time_zone").map(|value| time_zone(&value, kind)).transpose()?;
    Ok(LedgerSource { name, place, precision, currency, kind, settings, time_zone })
}

fn place(section: &Section<'_>, kind: Option<&Kind>, folder: &mut Folder<'_>) -> Result<LedgerPlace, Fault> {
    let named: Vec<(&str, Value<'_>)> = PLACES.iter().filter_map(|key| Some((*key, section.get(key)?))).collect();
    let table = section.get("table");
    let usual = kind.map_or(Some("request_ledger"), |kind| kind.table);
    if let (None, Some(kind), [("sqlite" | "postgres", value)]) = (usual, kind, named.as_slice()) {
        let hint = "export its rows and name them as `files`";
        return Err(value.fault(format!("{}: a ledger of kind {} is read from files", value.name(), kind.name), hint));
    }
    let usual = usual.unwrap_or_default();
    match named.as_slice() {
        [] => {
            let hint = "add one of them, for example: sqlite = \"ledger.db\", or: files = [\"ledger/*.csv\"]";
            Err(section.fault("neither sqlite nor postgres nor files in [[ledger]]", hint))
        }
        [("sqlite", value)] => {
            let table = table.map_or(Ok(usual), |value| table_name(&value, false))?.to_string();
            Ok(LedgerPlace::Sqlite { path: folder.file(value)?, table })
        }
        [("postgres", value)] => {
            let table = table.map_or(Ok(usual), |value| table_name(&value, true))?.to_string();
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
    let words =
        [("verify-full", Tls::VerifyFull), ("verify-ca", Tls::VerifyCa), ("require", Tls::Require), ("disable", Tls::Disable)];
    let tls = section.get("tls").map(|value| Ok::<_, Fault>((value, value.word(&words)?))).transpose()?;
    if let Some((value, tls)) = &tls
        && socket
        && *tls != Tls::Disable
    {
        return Err(value.fault("tls: a socket in a folder is not encrypted", "take \"tls\" out, or name the host by its name"));
    }
    // Without an authority of one's own, whatever host of a public one would do.
    if let (Some((value, Tls::VerifyCa)), None) = (&tls, section.get("tls_ca")) {
        let hint = "add the authority of the server's certificate, for example: tls_ca = \"ca.pem\"";
        return Err(value.fault("tls: \"verify-ca\" needs tls_ca", hint));
    }
    let tls = tls.map_or(if socket { Tls::Disable } else { Tls::VerifyFull }, |(_, tls)| tls);
    let tls_ca = match section.get("tls_ca") {
        Some(value) if !matches!(tls, Tls::VerifyFull | Tls::VerifyCa) => {
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

/// `None` is our own.
fn kind(value: &Value<'_>) -> Result<Option<&'static Kind>, Fault> {
    let text = value.text()?;
    if text == "native" {
        return Ok(None);
    }
    let mut known: Vec<&str> = ledgers::KINDS.iter().map(|kind| kind.name).collect();
    known.push("native");
    let unknown = || value.fault(format!("kind: unknown ledger kind {}", quoted(text)), did_you_mean(text, &known));
    ledgers::find(text).map(Some).ok_or_else(unknown)
}

/// Other systems say of their times that they are UTC.
fn time_zone(value: &Value<'_>, kind: Option<&Kind>) -> Result<Tz, Fault> {
    match kind {
        None => zone(value),
        Some(kind) => {
            let what = format!("time_zone: the times of a ledger of kind {} are UTC", kind.name);
            Err(value.fault(what, "take it out; only a native ledger has it"))
        }
    }
}

/// What only a foreign kind has.
fn settings(section: &Section<'_>, kind: Option<&Kind>, place: &LedgerPlace) -> Result<Settings, Fault> {
    if let (None, Some(value)) = (kind, section.get("quota_per_unit").or(section.get("route"))) {
        let hint = "take it out; a native ledger names providers and dollars itself";
        return Err(value.fault(format!("{}: only other kinds than native have it", value.name()), hint));
    }
    let quota = section.get("quota_per_unit").map(|value| value.whole(1..=1_000_000_000_000)).transpose()?;
    let quota_per_unit = quota.and_then(|quota| i64::try_from(quota).ok()).map(Amount::whole);
    if kind.is_some_and(|kind| kind.name == "newapi") && quota_per_unit.is_none() && matches!(place, LedgerPlace::Files(_)) {
        let hint = "files do not carry it: add the operator's setting QuotaPerUnit, for example: quota_per_unit = 500000";
        return Err(section.fault("missing key \"quota_per_unit\" in [[ledger]] of kind newapi", hint));
    }
    let routes = section.sections("route", &JOB_ROUTE)?.iter().map(route).collect::<Result<Vec<_>, _>>()?;
    Ok(Settings { routes, quota_per_unit })
}

fn route(section: &Section<'_>) -> Result<Route, Fault> {
    let text = |key: &str| section.get(key).map(|value| value.text().map(str::to_string)).transpose();
    Ok(Route {
        name: section.need("name")?.text()?.to_string(),
        days: section.days()?,
        provider: text("provider")?,
        account: text("account")?,
        api_key_id: text("api_key_id")?,
        funding: section.get("funding").map(|value| value.word(&FUNDINGS)).transpose()?,
    })
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
