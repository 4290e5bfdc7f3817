//! Rows out of PostgreSQL: `COPY (SELECT …) TO STDOUT`, one snapshot for each chunk of days, taken on a thread
//! of its own while the rows of the chunk before are read.

use super::connect::{begin, bounded, connect, end, place};
use super::faults::{fault, may_pass};
use super::text;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::Days;
use crate::edge::ledger_cells::Cell;
use crate::edge::ledger_query::{EachRow, Query};
use crate::job::Postgres;
use futures_util::StreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Bytes that are split into rows at a time.
const BLOCK_BYTES: usize = 1 << 20;
/// A chunk up to this size is handed on when it is whole, so that it can be asked for again. What is larger
/// is handed on as it comes, and a fault then ends the read.
const CHUNK_BYTES_MAX: usize = 160 << 20;
/// Pauses before a chunk is asked for again, in a fresh snapshot on a new connection.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// A plan by days may cost this much more than one look at everything.
const BY_DAY_COST_MAX: u64 = 2;

/// Whole lines of COPY text.
type Block = Vec<u8>;

/// Hands on the rows of the statement, day by day where it can be asked so. Chunks that a passing fault cut
/// off are read again; no row of them has been handed on before.
///
/// # Errors
/// As [`super::check`]; and 75 for a fault that does not pass.
pub fn read(server: &Postgres, query: &Query, days: Days, each: &mut EachRow<'_>) -> Result<(), Fault> {
    let width = query.columns.len();
    let place = place(server);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Vec<Block>>(1);
        let fetcher = scope.spawn(move || super::runtime(server)?.block_on(fetch(server, query, days, &sender)));
        let mut before = 0;
        let mut broken = None;
        'all: for blocks in receiver {
            for block in blocks {
                let mut rows = 0;
                let mut counted = |row: &[Cell<'_>]| {
                    rows += 1;
                    each(row);
                };
                if let Err(line) = text::rows(&block, width, &mut counted) {
                    let what = format!("row {} of the answer does not have {width} cells", before + line);
                    broken =
                        Some(Fault::new(ExitCode::Data, place.clone(), what, "check what stands between here and the database"));
                    break 'all;
                }
                before += rows;
            }
        }
        let fetched = fetcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        broken.map_or(fetched, Err)
    })
}

async fn fetch(server: &Postgres, query: &Query, days: Days, sender: &SyncSender<Vec<Block>>) -> Result<(), Fault> {
    let mut database = None;
    let mut chunks = Vec::new();
    let planned = patiently(server, &mut database, async |database| plan(server, database, query, days).await).await?;
    for days in planned {
        chunks.push(query.of_days(days));
    }
    chunks.extend(query.undated.clone());
    for chunk in chunks {
        let mut handed_on = false;
        let mut gone = false;
        let sql = format!("COPY ({chunk}) TO STDOUT (FORMAT text, NULL '')");
        let fetched = patiently(server, &mut database, async |database| {
            let done = take(server, database, &sql, sender, &mut handed_on, &mut gone).await;
            // What is handed on cannot be taken back.
            if handed_on { Ok(done) } else { done.map(Ok) }
        });
        fetched.await?.map_err(|error| fault(&place(server), &error))?;
        if gone {
            return Ok(());
        }
    }
    if let Some(database) = database {
        let _ = sqlx::Connection::close(database).await;
    }
    Ok(())
}

/// Does the work on the connection, on a new one where there is none; and again after a fault that may pass.
async fn patiently<T>(
    server: &Postgres,
    slot: &mut Option<PgConnection>,
    mut work: impl AsyncFnMut(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, Fault> {
    let mut pauses = PAUSES.iter();
    loop {
        let tried = match slot {
            Some(database) => work(database).await.map_err(|error| fault(&place(server), &error)),
            None => match connect(server).await {
                Ok(database) => work(slot.insert(database)).await.map_err(|error| fault(&place(server), &error)),
                Err(fault) => Err(fault),
            },
        };
        match tried {
            Ok(done) => return Ok(done),
            Err(fault) => {
                *slot = None;
                let pause = pauses.next().filter(|_| may_pass(&fault));
                let Some(pause) = pause else { return Err(fault) };
                tokio::time::sleep(*pause).await;
            }
        }
    }
}

/// One chunk in one snapshot. `gone` tells that nobody wants more rows.
async fn take(
    server: &Postgres,
    database: &mut PgConnection,
    sql: &str,
    sender: &SyncSender<Vec<Block>>,
    handed_on: &mut bool,
    gone: &mut bool,
) -> Result<(), sqlx::Error> {
    begin(database, server).await?;
    let mut whole: Vec<Block> = Vec::new();
    let mut block: Block = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8);
    {
        let mut lines = bounded(server, database.copy_out_raw(sql)).await?;
        while let Some(line) = bounded(server, async { lines.next().await.transpose() }).await? {
            // One message is one row, with the end of its line.
            block.extend_from_slice(&line);
            if block.len() < BLOCK_BYTES {
                continue;
            }
            whole.push(std::mem::replace(&mut block, Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8)));
            if *handed_on || whole.len() * BLOCK_BYTES >= CHUNK_BYTES_MAX {
                *handed_on = true;
                if sender.send(std::mem::take(&mut whole)).is_err() {
                    *gone = true;
                    return Ok(());
                }
            }
        }
    }
    end(database, server).await?;
    whole.push(block);
    *handed_on = true;
    *gone = sender.send(whole).is_err();
    Ok(())
}

/// The days of each chunk: single days where the database finds them without reading everything each time.
async fn plan(server: &Postgres, database: &mut PgConnection, query: &Query, days: Days) -> Result<Vec<Days>, sqlx::Error> {
    let single: Vec<Days> = days.iter().map(|day| Days { from: day, to: day.succ_opt().unwrap_or(day) }).collect();
    let Some(middle) = single.get(single.len() / 2).filter(|_| query.by_day && single.len() > 1) else {
        return Ok(vec![days]);
    };
    begin(database, server).await?;
    let whole = cost(server, database, &query.of_days(days)).await?;
    let one = cost(server, database, &query.of_days(*middle)).await?;
    end(database, server).await?;
    let each = one.saturating_mul(single.len() as u64);
    Ok(if each <= whole.saturating_mul(BY_DAY_COST_MAX) { single } else { vec![days] })
}

/// What the planner expects a statement to cost, in whole units of its own.
async fn cost(server: &Postgres, database: &mut PgConnection, sql: &str) -> Result<u64, sqlx::Error> {
    let explain = format!("EXPLAIN (FORMAT JSON) {sql}");
    // Safe: our own statement, with names in quotes and days.
    let work = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *database);
    let plan: String = bounded(server, work).await?.try_get_unchecked(0)?;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
    let total = plan.pointer("/0/Plan/Total Cost").map(|cost| cost.to_string()).unwrap_or_default();
    Ok(total.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(u64::MAX))
}
