//! One world through every place that a ledger can stand in: SQLite, CSV, Parquet, PostgreSQL. The reports are the same
//! to the byte.

use crate::cluster::{cluster, runtime};
use crate::ledger_world::{published, root, tieout, told};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use std::fs;
use std::path::Path;

/// The rows of the demo's ledger as texts, in the order that their content decides.
fn demo_rows() -> (Vec<String>, Vec<Vec<Option<String>>>) {
    let (columns, mut rows) = runtime().block_on(async {
        let path = root().join("fixtures/demo/ledger.db");
        let mut ledger = SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap();
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info('request_ledger')").fetch_all(&mut ledger).await.unwrap();
        let texts: Vec<String> = columns.iter().map(|name| format!("CAST({name} AS TEXT)")).collect();
        let query = format!("SELECT {} FROM request_ledger", texts.join(", "));
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut ledger).await.unwrap();
        let cells = |row: &sqlx::sqlite::SqliteRow| (0..columns.len()).map(|n| row.get::<Option<String>, _>(n)).collect();
        (columns.clone(), rows.iter().map(cells).collect::<Vec<Vec<Option<String>>>>())
    });
    // The columns of the demo stand in the order of the contract, which is that of a row of COPY text.
    let line = |row: &Vec<Option<String>>| {
        let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect();
        (cells[2].to_string(), cells.join("\t"))
    };
    rows.sort_by_key(line);
    (columns, rows)
}

fn csv_of(columns: &[String], rows: &[Vec<Option<String>>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns).unwrap();
    for row in rows {
        writer.write_record(row.iter().map(|cell| cell.as_deref().unwrap_or_default())).unwrap();
    }
    writer.into_inner().unwrap()
}

fn inserts(columns: &[String], rows: &[Vec<Option<String>>]) -> String {
    let literal =
        |cell: &Option<String>| cell.as_ref().map_or("NULL".to_string(), |text| format!("'{}'", text.replace('\'', "''")));
    let row = |row: &Vec<Option<String>>| format!("({})", row.iter().map(literal).collect::<Vec<_>>().join(","));
    let values: Vec<String> = rows.iter().map(row).collect();
    format!("INSERT INTO request_ledger ({}) VALUES {};", columns.join(","), values.join(","))
}

/// The demo's columns in PostgreSQL, with the types one would choose.
fn table(columns: &[String]) -> String {
    let typed = |name: &String| {
        let kind = match name.as_str() {
            "attempt" => "integer NOT NULL",
            "started_at" => "timestamptz NOT NULL",
            "batch" => "boolean",
            "input_tokens"
            | "cache_read_tokens"
            | "cache_write_5m_tokens"
            | "cache_write_1h_tokens"
            | "output_tokens"
            | "reasoning_tokens"
            | "images"
            | "web_searches" => "bigint",
            "video_seconds" | "expected_cost" | "upstream_cost" => "numeric",
            _ => "text",
        };
        format!("{name} {kind}")
    };
    let columns: Vec<String> = columns.iter().map(typed).collect();
    format!("CREATE TABLE request_ledger ({});", columns.join(", "))
}

fn demo_job(folder: &Path, place: &str) {
    let demo = fs::read_to_string(root().join("jobs/demo.toml")).unwrap();
    let at = |path: &str| format!("\"{}/", root().join(path).display());
    let job = demo
        .replace("\"../out/demo\"", "\"out\"")
        .replace("\"../out/demo-state\"", "\"state\"")
        .replace("sqlite = \"../fixtures/demo/ledger.db\"", place)
        .replace("\"../fixtures/", &at("fixtures"))
        .replace("\"demo/", &at("jobs/demo"))
        .replace("\"plans/", &at("jobs/plans"))
        .replace("\"prices/", &at("jobs/prices"));
    assert!(job.contains(place), "{job}");
    fs::write(folder.join("job.toml"), job).unwrap();
}

#[test]
fn the_same_world_through_every_engine_gives_the_same_bytes() {
    let (columns, rows) = demo_rows();
    let world = tempfile::tempdir().unwrap();
    let path = |name: &str| world.path().join(name);

    fs::write(path("ledger.csv"), csv_of(&columns, &rows)).unwrap();
    let series = columns.iter().enumerate().map(|(number, name)| {
        let cells: Vec<Option<&str>> = rows.iter().map(|row| row[number].as_deref()).collect();
        polars::prelude::Column::new(name.as_str().into(), cells)
    });
    let mut frame = polars::prelude::DataFrame::new(rows.len(), series.collect()).unwrap();
    polars::prelude::ParquetWriter::new(fs::File::create(path("ledger.parquet")).unwrap()).finish(&mut frame).unwrap();
    runtime().block_on(async {
        let options = SqliteConnectOptions::new().filename(path("ledger.db")).create_if_missing(true);
        let mut ledger = options.connect().await.unwrap();
        let script = format!("CREATE TABLE request_ledger ({}); {}", columns.join(","), inserts(&columns, &rows));
        ledger.execute(sqlx::raw_sql(AssertSqlSafe(script))).await.unwrap();
    });
    // A table has no order: these two were filled from both ends, and one has an index.
    let mut backwards = rows.clone();
    backwards.reverse();
    let plain = cluster().database(&format!("{}{}", table(&columns), inserts(&columns, &rows)));
    let script = format!("{}{}", table(&columns), inserts(&columns, &backwards));
    let indexed = cluster().database(&format!("{script} CREATE INDEX ON request_ledger (started_at); ANALYZE;"));
    plain.grant("request_ledger");
    indexed.grant("request_ledger");

    let mut first = None;
    for place in [
        format!("sqlite = \"{}\"", path("ledger.db").display()),
        format!("files = [\"{}\"]", path("ledger.csv").display()),
        format!("files = [\"{}\"]", path("ledger.parquet").display()),
        plain.place(""),
        indexed.place(""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        demo_job(folder.path(), &place);
        let output = tieout(folder.path(), &["run", "job.toml", "--quiet"]);
        assert_eq!(output.status.code(), Some(0), "{place}: {}", told(&output));
        let files = published(folder.path());
        let expected = first.get_or_insert_with(|| files.clone());
        for (name, bytes) in &files {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(shown(bytes), shown(&expected[name]), "{name} through {place}");
        }
        assert_eq!(files.len(), expected.len());
    }
}
