//! Rows out of SQLite in pieces of row ids, on two connections that see one snapshot and a thread for each, while the
//! rows before are judged. A piece is handed on before the next one, whoever read it: the order is that of row ids.

use super::{fault, open};
use crate::domain::beside::done;
use crate::domain::fault::Fault;
use crate::domain::period::Days;
use crate::edge::ledger_cells::Cell;
use crate::edge::ledger_query::{EachRow, Query};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows, Statement};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Ids of a piece, where few are missing; and the most pieces that a table is cut into, where most are.
const PIECE_IDS: u64 = 1 << 14;
const PIECES_MAX: u64 = 1 << 12;
/// What a second connection costs is not worth it for fewer pieces.
const PIECES_FOR_TWO: usize = 4;
/// How often two connections try to see one snapshot, where a writer commits in between.
const TRIES: usize = 8;
/// Blocks on their way to the reader, from each connection, and their size. In the older journal modes nobody can write
/// until all rows are fetched, so more of them may wait to be judged.
const BLOCKS: usize = 4;
const BLOCKS_WHERE_WRITERS_WAIT: usize = 256;
const BLOCK_BYTES: usize = 1 << 18;

/// Rows on their way to the reader.
#[derive(Default)]
struct Block {
    /// All cells, one behind the other; nothing for null.
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
    /// Nothing of its piece comes after it.
    last: bool,
}

/// First and last row id of a piece.
type Piece = (i64, i64);

/// Hands on the rows of the statement, all from one snapshot: in the order of row ids where it is read by them, else
/// as the database gives them.
///
/// # Errors
/// As `fault` says.
pub fn read(path: &Path, query: &Query, days: Days, wait: Duration, each: &mut EachRow<'_>) -> Result<(), Fault> {
    let sql = query.of_days(days);
    let reading = begin(path, query, wait)?;
    let width = query.columns.len();
    std::thread::scope(|scope| {
        let (mut readers, mut receivers) = (Vec::new(), Vec::new());
        let step = reading.connections.len();
        for (place, connection) in reading.connections.into_iter().enumerate() {
            let (sender, receiver) = sync_channel(if reading.writers_wait { BLOCKS_WHERE_WRITERS_WAIT } else { BLOCKS });
            let own: Vec<Option<Piece>> = reading.pieces.iter().skip(place).step_by(step).copied().collect();
            let sql = sql.as_str();
            readers.push(scope.spawn(move || fetch(&connection, sql, width, &own, &sender)));
            receivers.push(receiver);
        }
        hand_on(reading.pieces.len(), &receivers, width, each);
        // What a reader still wants to hand on after another one failed is not waited for.
        drop(receivers);
        for reader in readers {
            done(reader).map_err(|error| fault(path, &error))?;
        }
        Ok(())
    })
}

/// Connections that see the same, and what they are to read.
struct Reading {
    connections: Vec<Connection>,
    /// Where the statement is not read by row ids, everything is one piece.
    pieces: Vec<Option<Piece>>,
    /// Nobody commits before all is read.
    writers_wait: bool,
}

fn begin(path: &Path, query: &Query, wait: Duration) -> Result<Reading, Fault> {
    let first = open(path, wait)?;
    let failed = |error: rusqlite::Error| fault(path, &error);
    snapshot(&first).map_err(failed)?;
    let mode: String = first.query_row("PRAGMA journal_mode", (), |row| row.get(0)).map_err(failed)?;
    let writers_wait = mode != "wal";
    let Some(ids) = &query.ids else {
        return Ok(Reading { connections: vec![first], pieces: vec![None], writers_wait });
    };
    // One alone reads as well: nothing that keeps a second one out is an error.
    let several = pieces(&first, ids).map_err(failed)?.len() >= PIECES_FOR_TWO;
    let second = several.then(|| open(path, Duration::ZERO).ok()).flatten();
    let second = match second {
        Some(second) => same_snapshot(&first, &second).map_err(failed)?.then_some(second),
        None => None,
    };
    let pieces = pieces(&first, ids).map_err(failed)?;
    Ok(Reading { connections: std::iter::once(first).chain(second).collect(), pieces, writers_wait })
}

/// What the connection reads until it is closed is as of now.
pub(super) fn snapshot(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
}

/// Begins anew on both connections, so that both see one snapshot. False if that cannot be had: then the first one
/// has a snapshot and the second one has none.
///
/// The second one compares what it saw before the first began with what it sees in its own snapshot. If nobody has
/// committed from the one to the other, then nobody has between the two snapshots.
pub(super) fn same_snapshot(first: &Connection, second: &Connection) -> rusqlite::Result<bool> {
    let version =
        |connection: &Connection| -> rusqlite::Result<i64> { connection.query_row("PRAGMA data_version", (), |row| row.get(0)) };
    for _ in 0..TRIES {
        first.execute_batch("ROLLBACK")?;
        let before = version(second);
        snapshot(first)?;
        let together = before.and_then(|before| {
            snapshot(second)?;
            Ok(version(second)? == before)
        });
        match together {
            Ok(true) => return Ok(true),
            // A writer waits for its turn: it gets it sooner if nobody else begins to read.
            Err(_) => return Ok(false),
            Ok(false) => second.execute_batch("ROLLBACK")?,
        }
    }
    Ok(false)
}

/// The row ids of the table, in pieces.
fn pieces(connection: &Connection, ids: &str) -> rusqlite::Result<Vec<Option<Piece>>> {
    let ids: (Option<i64>, Option<i64>) = connection.query_row(ids, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(least), Some(greatest)) = ids else { return Ok(Vec::new()) };
    let wide = greatest.abs_diff(least);
    let width = PIECE_IDS.max(wide / PIECES_MAX + 1);
    let piece = |number: u64| {
        let from = least.saturating_add_unsigned(number * width);
        (from, from.saturating_add_unsigned(width - 1).min(greatest))
    };
    Ok((0..=wide / width).map(|number| Some(piece(number))).collect())
}

/// Reads the pieces of one connection.
fn fetch(
    connection: &Connection,
    sql: &str,
    width: usize,
    pieces: &[Option<Piece>],
    sender: &SyncSender<Block>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut digits = connection.prepare("SELECT CAST(?1 AS TEXT)")?;
    for piece in pieces {
        let rows = match piece {
            Some((from, to)) => statement.query((from, to))?,
            None => statement.query(())?,
        };
        if !send(rows, &mut digits, width, sender)? {
            return Ok(());
        }
    }
    connection.execute_batch("COMMIT")
}

/// Sends the rows of a piece. False if nobody wants them.
fn send(mut rows: Rows<'_>, digits: &mut Statement<'_>, width: usize, sender: &SyncSender<Block>) -> rusqlite::Result<bool> {
    let empty = || Block { bytes: Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8), ..Block::default() };
    let mut block = empty();
    while let Some(row) = rows.next()? {
        for column in 0..width {
            let bytes = &mut block.bytes;
            match row.get_ref(column)? {
                ValueRef::Null => {}
                ValueRef::Text(text) | ValueRef::Blob(text) => bytes.extend_from_slice(text),
                ValueRef::Integer(number) => drop(write!(bytes, "{number}")),
                // A binary float as SQLite itself writes it, whatever the column is declared as.
                ValueRef::Real(number) => {
                    bytes.extend_from_slice(digits.query_row([number], |row| row.get::<_, String>(0))?.as_bytes());
                }
            }
            block.ends.push(block.bytes.len());
        }
        if block.bytes.len() >= BLOCK_BYTES && sender.send(std::mem::replace(&mut block, empty())).is_err() {
            return Ok(false);
        }
    }
    block.last = true;
    Ok(sender.send(block).is_ok())
}

/// Takes one piece after the other from whoever reads it. A reader that failed sends no end of its piece.
fn hand_on(pieces: usize, receivers: &[Receiver<Block>], width: usize, each: &mut EachRow<'_>) {
    for receiver in receivers.iter().cycle().take(pieces) {
        loop {
            let Ok(block) = receiver.recv() else { return };
            rows(&block, width, each);
            if block.last {
                break;
            }
        }
    }
}

fn rows(block: &Block, width: usize, each: &mut EachRow<'_>) {
    let whole = std::str::from_utf8(&block.bytes).ok();
    let one = |from: usize, to: usize| match whole {
        Some(text) => text.get(from..to),
        None => block.bytes.get(from..to).and_then(|bytes| std::str::from_utf8(bytes).ok()),
    };
    let mut row: Vec<Cell<'_>> = Vec::with_capacity(width);
    let mut from = 0;
    for ends in block.ends.chunks_exact(width) {
        row.clear();
        for to in ends {
            // Texts that fall apart in the middle of a letter are none.
            row.push(one(from, *to).map_or(Cell::NotText, Cell::Text));
            from = *to;
        }
        each(&row);
    }
}
