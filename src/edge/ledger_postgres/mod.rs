//! Request ledgers in PostgreSQL: connected as the job says and no other way, read by COPY in one read-only
//! snapshot for each chunk of days, never written to.

mod columns;
mod connect;
mod copy;
mod faults;
mod text;

pub use copy::read;

use super::ledger_query::Query;
use crate::domain::fault::{ExitCode, Fault};
use crate::job::Postgres;
use connect::{begin, connect, end, place};
use faults::fault;
use sqlx::Connection;

/// The statement that reads a native ledger, once its table has been seen to have what it needs.
///
/// # Errors
/// 75 for a server that is not there, 77 for a login or a privilege that is refused, 65 for a table, column or
/// type that is not as a ledger needs it, 78 for a connection that the job describes wrongly.
pub fn native(server: &Postgres, table: &str) -> Result<Query, Fault> {
    runtime(server)?.block_on(async {
        let mut database = connect(server).await?;
        let place = place(server);
        let seen = async {
            begin(&mut database, server).await?;
            let found = columns::find(server, &mut database, table).await?;
            let tables = if found.is_empty() { columns::tables(server, &mut database).await? } else { Vec::new() };
            end(&mut database, server).await?;
            Ok((found, tables))
        };
        let (found, tables) = seen.await.map_err(|error| fault(&place, &error))?;
        let _ = database.close().await;
        columns::native(&place, table, &found, &tables)
    })
}

fn runtime(server: &Postgres) -> Result<tokio::runtime::Runtime, Fault> {
    let made = tokio::runtime::Builder::new_current_thread().enable_all().build();
    made.map_err(|error| Fault::new(ExitCode::IoErr, place(server), format!("no runtime: {}", error.kind()), "run again"))
}
