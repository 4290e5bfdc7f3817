//! Rows out of PostgreSQL: `COPY (SELECT …) TO STDOUT`, one snapshot for each chunk of days, taken on a thread
//! of its own while the rows of the chunk before are read.

use super::connect::{begin, bounded, connect, end, place};
use super::faults::{fault, may_pass};
use super::text;
use crate::domain::beside::done;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::Days;
use crate::edge::ledger_cells::Column;
use crate::edge::ledger_query::{EachRow, Query, quoted};
use crate::job::Postgres;
use futures_util::{Stream, TryStreamExt};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

const BLOCK_BYTES: usize = 1 << 20;
/// What a chunk may hold to be kept until it is whole, so that it can be asked for again and be sorted here.
/// The server sorts what is larger, and it is handed on as it comes: a fault then ends the read.
const CHUNK_BYTES_MAX: usize = 160 << 20;
/// Pauses before a chunk is asked for again, in a fresh snapshot on a new connection.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// A plan by days may cost this much more than one look at everything.
const BY_DAY_COST_MAX: u64 = 2;

/// Rows on their way to the reader, as blocks of whole lines.
struct Rows {
    blocks: Vec<Vec<u8>>,
    /// In the order in which they are to be read.
    sorted: bool,
}

/// Hands on the rows of the statement in an order that only their content decides: by time, then from the left.
/// Chunks that a passing fault cut off are read again; no row of them has been handed on before.
///
/// # Errors
/// As [`super::native`]; and 75 for a fault that does not pass.
pub fn read(server: &Postgres, query: &Query, days: Days, each: &mut EachRow<'_>) -> Result<(), Fault> {
    let width = query.columns.len();
    let time = query.columns.iter().position(|name| *name == Column::StartedAt.name()).unwrap_or(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Rows>(1);
        let fetcher = scope.spawn(move || super::runtime(server)?.block_on(fetch(server, query, days, &sender)));
        let mut broken = None;
        for Rows { blocks, sorted } in receiver {
            let mut cells = Vec::with_capacity(width);
            let mut take = |line| text::row(line, width, &mut cells, each);
            let taken = match sorted {
                true => text::lines(&blocks).try_for_each(&mut take),
                false => text::sorted(&blocks, time).into_iter().try_for_each(&mut take),
            };
            if taken.is_err() {
                let what = format!("a row of the answer does not have {width} cells");
                let hint = "check what stands between here and the database";
                broken = Some(Fault::new(ExitCode::Data, place(server), what, hint));
                break;
            }
        }
        let fetched = done(fetcher);
        broken.map_or(fetched, Err)
    })
}

async fn fetch(server: &Postgres, query: &Query, days: Days, sender: &SyncSender<Rows>) -> Result<(), Fault> {
    let mut database = None;
    let planned = patiently(server, &mut database, async |database| plan(server, database, query, days).await).await?;
    // Without single days there is one large chunk, which the server had better sort at once.
    let dated = planned.iter().map(|days| (query.of_days(*days), planned.len() == 1 && days.iter().count() > 1));
    let chunks = dated.chain(query.undated.iter().map(|sql| (sql.clone(), false)));
    for (sql, mut sorted) in chunks {
        loop {
            let mut taken = Taken::default();
            let statement = statement(&sql, query, sorted);
            let fetched = patiently(server, &mut database, async |database| {
                let done = take(server, database, &statement, sorted, sender, &mut taken).await;
                // What is handed on cannot be taken back.
                if taken.handed_on { Ok(done) } else { done.map(Ok) }
            });
            fetched.await?.map_err(|error| fault(&place(server), &error))?;
            if taken.gone {
                return Ok(());
            }
            if !taken.too_large {
                break;
            }
            // The server is still writing what nobody will read.
            database = None;
            sorted = true;
        }
    }
    if let Some(database) = database {
        let _ = sqlx::Connection::close(database).await;
    }
    Ok(())
}

fn statement(sql: &str, query: &Query, sorted: bool) -> String {
    if !sorted {
        return format!("COPY ({sql}) TO STDOUT (FORMAT text, NULL '')");
    }
    let time = Column::StartedAt.name();
    let others = query.columns.iter().filter(|name| **name != time);
    let keys: Vec<String> = others.map(|name| format!("{}::text COLLATE \"C\"", quoted(name))).collect();
    format!("COPY (SELECT * FROM ({sql}) ledger ORDER BY {time}, {}) TO STDOUT (FORMAT text, NULL '')", keys.join(", "))
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

/// How far a chunk came.
#[derive(Default)]
struct Taken {
    handed_on: bool,
    /// It has to be asked for again, sorted.
    too_large: bool,
    /// Nobody wants more rows.
    gone: bool,
}

/// One chunk in one snapshot.
async fn take(
    server: &Postgres,
    database: &mut PgConnection,
    statement: &str,
    sorted: bool,
    sender: &SyncSender<Rows>,
    taken: &mut Taken,
) -> Result<(), sqlx::Error> {
    begin(database, server).await?;
    let block = || Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8);
    let (mut blocks, mut last, mut held) = (Vec::new(), block(), 0);
    {
        let mut lines = bounded(server, database.copy_out_raw(statement)).await?;
        // One wait for each block: one for each row takes as long as the row.
        while bounded(server, fill(&mut lines, &mut last)).await? {
            held += last.len();
            blocks.push(std::mem::replace(&mut last, block()));
            let full = held >= CHUNK_BYTES_MAX;
            if full && !sorted {
                taken.too_large = true;
                return Ok(());
            }
            if full || taken.handed_on {
                taken.handed_on = true;
                held = 0;
                if sender.send(Rows { blocks: std::mem::take(&mut blocks), sorted }).is_err() {
                    taken.gone = true;
                    return Ok(());
                }
            }
        }
    }
    end(database, server).await?;
    blocks.push(last);
    taken.handed_on = true;
    taken.gone = sender.send(Rows { blocks, sorted }).is_err();
    Ok(())
}

/// Fills a block with rows: each message is one, with the end of its line. False at the end of all.
async fn fill<R: AsRef<[u8]>>(
    lines: &mut (impl Stream<Item = sqlx::Result<R>> + Unpin),
    block: &mut Vec<u8>,
) -> sqlx::Result<bool> {
    while block.len() < BLOCK_BYTES {
        let Some(line) = lines.try_next().await? else { return Ok(false) };
        block.extend_from_slice(line.as_ref());
    }
    Ok(true)
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
