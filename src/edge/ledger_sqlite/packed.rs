//! Rows out of SQLite, thousands at a time: SQL packs them into one text, because the driver takes longer for a row
//! than the database does. Read on a thread of its own while the rows before are split and judged.

use super::{fault, open, runtime};
use crate::domain::fault::Fault;
use crate::domain::period::Days;
use crate::edge::ledger_cells::Cell;
use crate::edge::ledger_query::{EachRow, Query, quoted};
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Between cells and between rows. A text that has one of them shows in their number.
const CELL_END: u8 = 0x1f;
const ROW_END: u8 = 0x1e;
const PAGE_ROWS: i64 = 4096;
/// Rows that are not packed by SQL are handed on in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

/// Rows on their way to the reader.
enum Rows {
    /// Cells and rows with their ends between them, and in no cell.
    Packed(Vec<u8>),
    /// As the driver gives them: what has the signs for the ends in its texts.
    Plain(Vec<Vec<Option<Vec<u8>>>>),
}

/// Hands on the rows of the statement, all from one snapshot: in the order of row ids where it has `{page}`, else as
/// the database gives them.
///
/// # Errors
/// As `fault` says.
pub fn read(path: &Path, query: &Query, days: Days, wait: Duration, each: &mut EachRow<'_>) -> Result<(), Fault> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(4);
        let fetcher = scope.spawn(move || runtime(path)?.block_on(fetch(path, query, days, wait, &sender)));
        for rows in receiver {
            hand_on(&rows, each);
        }
        fetcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn hand_on(rows: &Rows, each: &mut EachRow<'_>) {
    match rows {
        Rows::Packed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                let mut row: Vec<Cell<'_>> = Vec::new();
                for line in text.split(char::from(ROW_END)) {
                    row.clear();
                    row.extend(line.split(char::from(CELL_END)).map(Cell::Text));
                    each(&row);
                }
            }
            Err(_) => {
                for line in bytes.split(|byte| *byte == ROW_END) {
                    let row: Vec<Cell<'_>> = line.split(|byte| *byte == CELL_END).map(cell).collect();
                    each(&row);
                }
            }
        },
        Rows::Plain(rows) => {
            for row in rows {
                let row: Vec<Cell<'_>> = row.iter().map(|bytes| bytes.as_deref().map_or(Cell::Null, cell)).collect();
                each(&row);
            }
        }
    }
}

fn cell(bytes: &[u8]) -> Cell<'_> {
    std::str::from_utf8(bytes).map_or(Cell::NotText, Cell::Text)
}

async fn fetch(path: &Path, query: &Query, days: Days, wait: Duration, sender: &SyncSender<Rows>) -> Result<(), Fault> {
    let mut database = open(path, wait).await?;
    let sql = query.of_days(days);
    let done = async {
        // One snapshot from here on.
        database.execute("BEGIN").await?;
        match sql.contains("{page}") {
            true => by_pages(&mut database, &sql, query, sender).await?,
            false => as_it_comes(&mut database, &sql, query, sender).await?,
        }
        database.execute("COMMIT").await
    };
    done.await.map_err(|error| fault(path, &error))?;
    database.close().await.map_err(|error| fault(path, &error))
}

/// The cells of a row as one text.
fn line(query: &Query) -> String {
    let end = format!(", '{}', ", char::from(CELL_END));
    format!("concat({})", query.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(&end))
}

fn plain(query: &Query) -> String {
    query.columns.iter().map(|name| format!("CAST({} AS TEXT)", quoted(name))).collect::<Vec<_>>().join(", ")
}

async fn by_pages(
    database: &mut SqliteConnection,
    sql: &str,
    query: &Query,
    sender: &SyncSender<Rows>,
) -> Result<(), sqlx::Error> {
    let page = sql.replace("{page}", "_rowid_ > ?1").replace("{at}", "_rowid_");
    let page = format!("{page} ORDER BY _at LIMIT {PAGE_ROWS}");
    let end = char::from(ROW_END);
    let line = line(query);
    let packed =
        format!("SELECT group_concat(line, '{end}'), count(*), max(_at) FROM (SELECT {line} AS line, _at FROM ({page}))");
    let single = format!("SELECT {} FROM ({page})", plain(query));
    let last = format!("SELECT max(_at) FROM ({page})");
    let mut after = i64::MIN;
    loop {
        // Safe: our own statement with names in quotes and days.
        let found = sqlx::query(AssertSqlSafe(packed.as_str())).bind(after).fetch_one(&mut *database).await;
        let (rows, next) = match found {
            Ok(found) => {
                let count: i64 = found.try_get_unchecked(1)?;
                if count == 0 {
                    return Ok(());
                }
                let bytes: Vec<u8> = found.try_get_unchecked::<&[u8], _>(0)?.to_vec();
                let next: i64 = found.try_get_unchecked(2)?;
                (is_whole(&bytes, count, query.columns.len()).then_some(Rows::Packed(bytes)), next)
            }
            // Too large for one text.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("18") => {
                let next = sqlx::query_scalar(AssertSqlSafe(last.as_str())).bind(after).fetch_one(&mut *database).await?;
                (None, next)
            }
            Err(error) => return Err(error),
        };
        let wanted = match rows {
            Some(rows) => sender.send(rows).is_ok(),
            None => {
                let found = sqlx::query(AssertSqlSafe(single.as_str())).bind(after);
                let mut found = found.fetch(&mut *database);
                let mut wanted = true;
                while let Some(row) = found.try_next().await? {
                    wanted = sender.send(Rows::Plain(vec![cells(&row, query)?])).is_ok();
                }
                wanted
            }
        };
        if !wanted {
            return Ok(());
        }
        after = next;
    }
}

/// Whether no text has the signs in it that stand between cells and rows.
fn is_whole(bytes: &[u8], rows: i64, columns: usize) -> bool {
    let of = |sign: u8| bytes.iter().filter(|byte| **byte == sign).count() as i64;
    of(ROW_END) == rows - 1 && of(CELL_END) == rows * (columns as i64 - 1)
}

fn cells(row: &SqliteRow, query: &Query) -> Result<Vec<Option<Vec<u8>>>, sqlx::Error> {
    let cell = |index| row.try_get_unchecked::<Option<&[u8]>, _>(index).map(|bytes| bytes.map(<[u8]>::to_vec));
    (0..query.columns.len()).map(cell).collect()
}

/// A view, or a table without row ids: packed row by row; from the first row that cannot be, plainly.
async fn as_it_comes(
    database: &mut SqliteConnection,
    sql: &str,
    query: &Query,
    sender: &SyncSender<Rows>,
) -> Result<(), sqlx::Error> {
    let mut handed_on = 0_usize;
    {
        let lines = format!("SELECT {} FROM ({sql})", line(query));
        let mut found = sqlx::query(AssertSqlSafe(lines)).fetch(&mut *database);
        let (mut piece, mut rows) = (Vec::new(), 0);
        let mut all = true;
        while let Some(row) = found.try_next().await? {
            let bytes: &[u8] = row.try_get_unchecked(0)?;
            if !is_whole(bytes, 1, query.columns.len()) {
                all = false;
                break;
            }
            if rows > 0 {
                piece.push(ROW_END);
            }
            piece.extend_from_slice(bytes);
            rows += 1;
            if piece.len() >= PIECE_BYTES {
                handed_on += rows;
                rows = 0;
                if sender.send(Rows::Packed(std::mem::take(&mut piece))).is_err() {
                    return Ok(());
                }
            }
        }
        handed_on += rows;
        let wanted = rows == 0 || sender.send(Rows::Packed(piece)).is_ok();
        if all || !wanted {
            return Ok(());
        }
    }
    // The same snapshot gives the same rows in the same order.
    let rows = format!("SELECT {} FROM ({sql})", plain(query));
    let mut found = sqlx::query(AssertSqlSafe(rows)).fetch(&mut *database);
    while let Some(row) = found.try_next().await? {
        if handed_on > 0 {
            handed_on -= 1;
        } else if sender.send(Rows::Plain(vec![cells(&row, query)?])).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
