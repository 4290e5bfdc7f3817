//! The connection to a PostgreSQL ledger: every field from the job, read-only, bounded in every wait.

use super::faults::fault;
use crate::domain::fault::{ExitCode, Fault};
use crate::edge::secrets::Secret;
use crate::job::{Postgres, Tls};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::time::Duration;

const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// What the network may take on top of what the server allows itself.
const NETWORK_SECONDS: u64 = 30;
/// Variables that the driver reads and that no option of its can take back.
const ENVIRONMENT: [&str; 3] = ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"];

/// `postgres db.internal:5432/app`, for messages.
pub fn place(server: &Postgres) -> String {
    format!("postgres {}:{}/{}", server.host, server.port, server.database)
}

/// Connects.
///
/// # Errors
/// 78 for a secret that cannot be read, a certificate that is not trusted, and variables of the environment
/// that would change the connection; 77 for a login that is refused; 75 for a server that is not there.
pub async fn connect(server: &Postgres) -> Result<PgConnection, Fault> {
    let place = place(server);
    if let Some(name) = ENVIRONMENT.iter().find(|name| std::env::var_os(name).is_some()) {
        let what = format!("{name} is set in the environment and would change the connection");
        return Err(Fault::new(ExitCode::Config, place, what, format!("run with {name} unset: the job file alone decides")));
    }
    let password = server.password.as_ref().map(Secret::open).transpose()?;
    let authority = match &server.tls_ca {
        // Where there is none an empty list stands, or the driver would take one from the environment.
        None => Vec::new(),
        Some(path) => std::fs::read(path).map_err(|error| {
            let what = format!("tls_ca cannot be read: {}", error.kind());
            Fault::new(ExitCode::Config, path.display().to_string(), what, "name a PEM file that this user can read")
        })?,
    };
    if server.tls == Tls::VerifyCa {
        // The driver's check without a host takes what the process has, and ends it where there is nothing. Whoever
        // names it first is right: an error says that somebody has.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let options = PgConnectOptions::new_without_pgpass()
        .host(&server.host)
        .port(server.port)
        .username(&server.user)
        .password(password.as_ref().map_or("", |secret| secret.expose()))
        .database(&server.database)
        .application_name("tieout")
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .ssl_root_cert_from_pem(authority)
        .ssl_mode(match server.tls {
            Tls::Disable => PgSslMode::Disable,
            Tls::Require => PgSslMode::Require,
            Tls::VerifyCa => PgSslMode::VerifyCa,
            Tls::VerifyFull => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    match tokio::time::timeout(CONNECT_WAIT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| fault(&place, &error)),
        Err(_) => {
            let what = format!("no connection within {} s", CONNECT_WAIT.as_secs());
            Err(Fault::new(ExitCode::TempFail, place, what, "run again when the database is up and can be reached"))
        }
    }
}

/// Begins the one snapshot that everything until [`end`] sees. Settings hold for this transaction alone, so
/// that a pooler between us and the server hands a clean connection on.
pub async fn begin(database: &mut PgConnection, server: &Postgres) -> Result<(), sqlx::Error> {
    let statement = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = '{}s'; SET LOCAL lock_timeout = '{}s'; \
         SET LOCAL idle_in_transaction_session_timeout = '{}s'; \
         SET LOCAL row_security = off; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
         SET LOCAL standard_conforming_strings = on; SET LOCAL bytea_output = 'hex'",
        server.statement_seconds,
        server.lock_seconds,
        u64::from(server.statement_seconds) + NETWORK_SECONDS,
    );
    // Safe: numbers of the job alone.
    bounded(server, database.execute(sqlx::raw_sql(AssertSqlSafe(statement)))).await.map(|_| ())
}

/// Ends the snapshot.
pub async fn end(database: &mut PgConnection, server: &Postgres) -> Result<(), sqlx::Error> {
    bounded(server, database.execute(sqlx::raw_sql("COMMIT"))).await.map(|_| ())
}

/// Waits for a server that may have vanished without a word no longer than it lets itself work.
pub async fn bounded<T>(server: &Postgres, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let wait = Duration::from_secs(u64::from(server.statement_seconds) + NETWORK_SECONDS);
    match tokio::time::timeout(wait, work).await {
        Ok(done) => done,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
