//! What PostgreSQL refuses, by its SQLSTATE (reliability.md section 5, ledger rows).

use crate::domain::fault::{ExitCode, Fault};
use std::io::ErrorKind;

/// The fault that an error of the driver is.
pub fn fault(place: &str, error: &sqlx::Error) -> Fault {
    let new = |code: ExitCode, what: String, hint: &str| Fault::new(code, place, what, hint);
    match error {
        sqlx::Error::Database(refused) => {
            let state = refused.code().unwrap_or_default();
            let message: String = refused.message().chars().take(200).collect();
            let (code, what, hint) = refusal(&state);
            new(code, format!("{what}: {message} (SQLSTATE {state})"), hint)
        }
        sqlx::Error::Tls(error) => {
            let why: String = error.to_string().chars().take(200).collect();
            let hint = "give the authority of the server's certificate as `tls_ca`, or set `tls` to what the server offers";
            new(ExitCode::Config, format!("no encrypted connection: {why}"), hint)
        }
        sqlx::Error::Io(error) if certificate(&error.to_string()) => {
            let hint = "give the authority of the server's certificate as `tls_ca`, and its host as the certificate has it";
            new(ExitCode::Config, format!("the server's certificate is refused: {}", first_line(&error.to_string())), hint)
        }
        sqlx::Error::Io(error)
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
        {
            new(ExitCode::TempFail, format!("the database went away: {}", error.kind()), "run again when the database is up")
        }
        sqlx::Error::Io(error) => {
            new(ExitCode::TempFail, format!("no connection: {}", error.kind()), "run again when the database can be reached")
        }
        // What a server that is cut off in the middle of a word leaves behind.
        sqlx::Error::Protocol(what) => {
            let what = format!("the connection broke: {}", first_line(what));
            new(ExitCode::TempFail, what, "run again; if it stays, check what stands at host and port")
        }
        sqlx::Error::Configuration(what) => {
            let what = format!("the connection cannot be made: {}", first_line(&what.to_string()));
            new(ExitCode::Config, what, "correct `[ledger.postgres]` in the job file")
        }
        other => new(ExitCode::TempFail, format!("cannot be read: {}", first_line(&other.to_string())), "run again"),
    }
}

/// Whether a fresh snapshot may see what this one could not.
pub fn may_pass(fault: &Fault) -> bool {
    fault.code == ExitCode::TempFail
}

fn certificate(message: &str) -> bool {
    message.contains("certificate")
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(200).collect()
}

fn refusal(state: &str) -> (ExitCode, &'static str, &'static str) {
    use ExitCode::{Config, Data, NoPerm, TempFail};
    let grants = "let the role read the ledger and no more: sql/native.postgres.grants.sql";
    match state {
        "28P01" | "28000" => (NoPerm, "login refused", "check user and password, and that pg_hba.conf lets this host in"),
        "42501" => (NoPerm, "not permitted", grants),
        "3D000" => (Data, "there is no such database", "correct `database` in `[ledger.postgres]`"),
        "57014" => (
            TempFail,
            "the query took too long or was cancelled",
            "run again; raise `statement_seconds` if it stays, and keep an index on started_at",
        ),
        "55P03" => (TempFail, "a lock was not given in time", "run again when the migration that holds it is done"),
        "40001" | "40P01" => (TempFail, "the read collided with a change", "run again"),
        "08P01" => (Config, "the server does not speak this protocol", "check what stands at host and port"),
        "25006" => (Data, "the ledger's view writes, and only reading is allowed", "name a table or view that only reads"),
        _ => match state.get(..2) {
            Some("08" | "40" | "53" | "57" | "58" | "25") => {
                (TempFail, "the database went away", "run again when the database is up")
            }
            Some("XX") => (Data, "the database is damaged", "check the server's log, and restore what is damaged"),
            _ => (Data, "the ledger cannot be queried", "run the view or table by hand and mend it"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_the_documented_code() {
        for (state, code) in [
            ("28P01", ExitCode::NoPerm),
            ("28000", ExitCode::NoPerm),
            ("42501", ExitCode::NoPerm),
            ("3D000", ExitCode::Data),
            ("42P01", ExitCode::Data),
            ("42703", ExitCode::Data),
            ("22P02", ExitCode::Data),
            ("40001", ExitCode::TempFail),
            ("57014", ExitCode::TempFail),
            ("57P01", ExitCode::TempFail),
            ("57P03", ExitCode::TempFail),
            ("55P03", ExitCode::TempFail),
            ("53300", ExitCode::TempFail),
            ("25P03", ExitCode::TempFail),
            ("25006", ExitCode::Data),
            ("", ExitCode::Data),
        ] {
            assert_eq!(refusal(state).0, code, "{state}");
        }
    }
}
