use super::*;
use crate::domain::money::Currency;
use crate::domain::period::parse_day;
use crate::domain::usage::Precision;
use polars::prelude::*;
use sqlx::{ConnectOptions, Connection, Executor};
use std::fs;
use tempfile::TempDir;

fn november() -> Days {
    Days { from: parse_day("2026-11-01").unwrap(), to: parse_day("2026-12-01").unwrap() }
}

fn source(place: LedgerPlace) -> LedgerSource {
    let (precision, currency) = (Precision::Exact, Currency::EUR);
    LedgerSource { name: "app".into(), place, precision, currency, kind: None, settings: Default::default(), time_zone: None }
}

fn files_source(dir: &TempDir, pattern: &str) -> LedgerSource {
    source(LedgerPlace::Files(vec![dir.path().join(pattern).display().to_string()]))
}

/// Every line as it is shown for debugging: all fields, digest and row number included.
fn lines(source: &LedgerSource) -> Vec<String> {
    let mut lines = Vec::new();
    read(source, november(), &mut |line| lines.push(format!("{line:?}"))).unwrap();
    lines
}

fn fault(source: &LedgerSource) -> Fault {
    let fault = read(source, november(), &mut |_| ()).unwrap_err();
    assert_eq!(check(source).err(), Some(fault.clone()), "check and read must see the same");
    fault
}

fn csv(text: &str) -> (TempDir, LedgerSource) {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("ledger.csv"), text).unwrap();
    let source = files_source(&dir, "ledger.csv");
    (dir, source)
}

/// What one row of the required columns and some further ones comes to.
fn one(columns: &str, values: &str) -> String {
    let (_dir, source) =
        csv(&format!("request_id,attempt,started_at,provider,model,{columns}\nr1,1,2026-11-18T09:00:00Z,openai,m,{values}\n"));
    let lines = lines(&source);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap()
}

fn reason(line: &str) -> &str {
    let from = line.find("reason: \"").unwrap_or_else(|| panic!("not quarantined: {line}"));
    line[from + 9..].split("\", amount").next().unwrap()
}

const WORLD: &str = "\
request_id,attempt,started_at,provider,model,team,user_id,funding,status,service_tier,batch,input_tokens,output_tokens,megapixels,extra_meters,expected_cost,expected_currency,reported_cost,finished_at
r1,1,2026-11-18T09:00:00Z,openai,gpt-5,growth,17,byok,ok,default,0,1200,30,,,0.0000205,USD,0.5,2026-11-18T09:00:02.5Z
r2,2,2026-11-30T23:59:59.999999Z,fal,flux,,,credits,timeout,,1,,,2.25,\"{\"\"seconds_rendered\"\": 1.50, \"\"faces\"\": \"\"3\"\", \"\"none\"\": 0}\",1.100000000000000001,,,
r3,1,2026-10-31T23:59:59Z,fal,flux,,,,,,,,,1,,1,,,
r4,1,2026-12-01T00:00:00Z,fal,flux,,,,,,,,,1,,1,,,
r5,0,2026-11-02T00:00:00Z,fal,flux,,,,,,,,,1,,7.5,,,
r6,1,,fal,flux,,,,,,,,,1,,,,,
";

fn world_in_sqlite(dir: &TempDir) -> LedgerSource {
    let path = dir.path().join("ledger.db");
    let mut script = "CREATE TABLE request_ledger (request_id TEXT, attempt INTEGER, started_at TEXT, provider TEXT, model TEXT, \
                      team TEXT, user_id INTEGER, funding TEXT, status TEXT, service_tier TEXT, batch BOOLEAN, input_tokens INTEGER, \
                      output_tokens INTEGER, megapixels NUMERIC, extra_meters TEXT, expected_cost TEXT, expected_currency TEXT, \
                      reported_cost NUMERIC, finished_at TEXT);\n"
        .to_string();
    let mut table = ::csv::Reader::from_reader(WORLD.as_bytes());
    for row in table.records() {
        let row = row.unwrap();
        let values: Vec<String> =
            row.iter().map(|value| if value.is_empty() { "NULL".into() } else { format!("'{value}'") }).collect();
        script += &format!("INSERT INTO request_ledger VALUES ({});\n", values.join(","));
    }
    run_script(&path, &script);
    source(LedgerPlace::Sqlite { path, table: "request_ledger".into() })
}

fn run_script(path: &Path, script: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    runtime.block_on(async {
        let mut database = options.connect().await.unwrap();
        database.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(script))).await.unwrap();
        database.close().await.unwrap();
    });
}

/// The world as columns, each cast to the type of its name's first match.
fn world_in_parquet(dir: &TempDir, name: &str, types: &[(&str, DataType)]) -> LedgerSource {
    let mut table = ::csv::Reader::from_reader(WORLD.as_bytes());
    let names: Vec<String> = table.headers().unwrap().iter().map(str::to_string).collect();
    let rows: Vec<::csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let columns = names.iter().enumerate().map(|(index, name)| {
        let texts: Vec<Option<&str>> = rows.iter().map(|row| row.get(index).filter(|text| !text.is_empty())).collect();
        let stored = types.iter().find(|(column, _)| column == name).map(|(_, stored)| stored);
        match stored {
            None => Column::new(name.as_str().into(), texts),
            Some(DataType::Datetime(unit, zone)) => {
                let micros = texts
                    .iter()
                    .map(|text| text.map(|text| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_micros()));
                let column = Column::new(name.as_str().into(), micros.collect::<Vec<_>>());
                let micros = column.cast(&DataType::Datetime(TimeUnit::Microseconds, zone.clone())).unwrap();
                micros.cast(&DataType::Datetime(*unit, zone.clone())).unwrap()
            }
            Some(DataType::Boolean) => {
                Column::new(name.as_str().into(), texts.iter().map(|text| text.map(|text| text == "1")).collect::<Vec<_>>())
            }
            Some(other) => Column::new(name.as_str().into(), texts).strict_cast(other).unwrap(),
        }
    });
    let mut frame = DataFrame::new_infer_height(columns.collect()).unwrap();
    write_parquet(&dir.path().join(name), &mut frame);
    files_source(dir, name)
}

fn write_parquet(path: &Path, frame: &mut DataFrame) {
    ParquetWriter::new(fs::File::create(path).unwrap()).with_row_group_size(Some(2)).finish(frame).unwrap();
}

#[test]
fn the_same_world_reads_alike_from_every_source() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("ledger.csv"), format!("\u{feff}{}", WORLD.replace('\n', "\r\n"))).unwrap();
    let from_csv = lines(&files_source(&dir, "ledger.csv"));
    assert_eq!(from_csv.len(), 4, "{from_csv:#?}");
    for (part, line) in [
        ("Entry(LedgerEntry { row: 1, request_id: \"r1\", attempt: 1, started_at: 2026-11-18T09:00:00Z", 0),
        ("service_tier: Some(\"standard\"), batch: Some(false), meters: [(\"input_tokens\", 1200), (\"output_tokens\", 30)]", 0),
        ("expected_cost: Some(0.0000205), expected_currency: Some(USD)", 0),
        ("funding: Some(Credits), status: Timeout, service_tier: None, batch: Some(true)", 1),
        ("meters: [(\"megapixels\", 2.25), (\"faces\", 3), (\"seconds_rendered\", 1.5)]", 1),
        ("expected_cost: Some(1.100000000000000001), expected_currency: None", 1),
        ("Quarantined(Quarantined { row: 5, day: Some(2026-11-02)", 2),
        ("attempt: expected a whole number of at least 1, found", 2),
        ("amount: Some(7.5), currency: Some(EUR)", 2),
        ("Quarantined(Quarantined { row: 6, day: None", 3),
    ] {
        assert!(from_csv[line].contains(part), "{part}\n{}", from_csv[line]);
    }

    let typed = |unit, zone: Option<TimeZone>| {
        vec![
            ("attempt", DataType::Int32),
            ("started_at", DataType::Datetime(unit, zone.clone())),
            ("finished_at", DataType::Datetime(unit, zone)),
            ("user_id", DataType::Int64),
            ("batch", DataType::Boolean),
            ("input_tokens", DataType::Int64),
            ("output_tokens", DataType::UInt32),
            ("megapixels", DataType::Decimal(10, 2)),
            ("expected_cost", DataType::Decimal(38, 18)),
            ("reported_cost", DataType::Decimal(38, 18)),
        ]
    };
    let as_text = lines(&world_in_parquet(&dir, "text.parquet", &[]));
    let micros = lines(&world_in_parquet(&dir, "micros.parquet", &typed(TimeUnit::Microseconds, Some(TimeZone::UTC))));
    let nanos = lines(&world_in_parquet(&dir, "nanos.parquet", &typed(TimeUnit::Nanoseconds, None)));
    // A number in quarantine is shown as the source has it: typed or as text.
    let unquoted: Vec<String> = from_csv.iter().map(|line| line.replace("found \\\"0\\\"", "found 0")).collect();
    assert_eq!(as_text, from_csv);
    assert_eq!(micros, unquoted);
    assert_eq!(nanos, unquoted);

    // A database gives the rows that it selects, counted so.
    let from_sqlite: Vec<String> = lines(&world_in_sqlite(&dir));
    let renumbered = |line: &String| {
        let (start, rest) = line.split_once("row: ").unwrap();
        format!("{start}{}", rest.split_once(',').unwrap().1)
    };
    assert_eq!(from_sqlite.iter().map(renumbered).collect::<Vec<_>>(), from_csv.iter().map(renumbered).collect::<Vec<_>>());
}

#[test]
fn a_row_that_cannot_be_read_is_set_aside_with_column_expectation_and_finding() {
    for (columns, values, expected) in [
        ("input_tokens", "12k", "input_tokens: expected a plain number, found \"12k\""),
        ("input_tokens", "-5", "input_tokens: expected a number of at least 0, found \"-5\""),
        ("expected_cost", "NaN", "expected_cost: expected a plain number, found \"NaN\""),
        ("expected_cost", "-0.01", "expected_cost: expected a number of at least 0, found \"-0.01\""),
        ("expected_cost", "1000000000000", "expected_cost: \"1000000000000\" is too large to be true"),
        ("images", "1e999", "images: \"1e999\" is too large to be true"),
        ("status", "failed", "status: expected ok, error, timeout, cancelled or cache_hit, found \"failed\""),
        ("funding", "free", "funding: expected byok, credits or fallback_credits, found \"free\""),
        ("batch", "maybe", "batch: expected 0, 1, true or false, found \"maybe\""),
        ("service_tier,batch", "batch,0", "batch: expected true beside service_tier \"batch\", found \"0\""),
        ("expected_currency", "XYZ", "expected_currency: expected an ISO 4217 currency code, found \"XYZ\""),
        ("extra_meters", "[1]", "extra_meters: expected a JSON object of numbers, found \"[1]\""),
        ("extra_meters", "\"{\"\"a\"\": -1}\"", "extra_meters: \"a\": expected a number of at least 0, found -1"),
        ("extra_meters", "\"{\"\"a\"\": true}\"", "extra_meters: \"a\": expected a number"),
        ("extra_meters", "\"{\"\"a\"\": 1, \"\"a\"\": 2}\"", "extra_meters: \"a\": expected once, found twice"),
        (
            "images,extra_meters",
            "1,\"{\"\"images\"\": 1}\"",
            "extra_meters: \"images\": has a column of its own: give it there alone",
        ),
        (
            "extra_meters",
            "\"{\"\"reasoning_tokens\"\": 1}\"",
            "extra_meters: \"reasoning_tokens\": has a column of its own: give it there alone",
        ),
    ] {
        let line = one(columns, values);
        let expected = format!("{expected} (request_id \"r1\")").escape_debug().to_string();
        assert_eq!(reason(&line), expected);
        assert!(line.contains("day: Some(2026-11-18)"), "{line}");
    }
}

#[test]
fn what_is_not_said_has_its_documented_meaning() {
    for (columns, values, expected) in [
        ("status", "", "status: Ok"),
        ("images", "0", "meters: []"),
        ("service_tier", "batch", "service_tier: Some(\"standard\"), batch: Some(true)"),
        ("service_tier,batch", "flex,TRUE", "service_tier: Some(\"flex\"), batch: Some(true)"),
        ("expected_cost", "0", "expected_cost: Some(0)"),
        ("expected_cost", "", "expected_cost: None"),
        ("expected_cost", "2.05e-05", "expected_cost: Some(0.0000205)"),
        ("extra_meters", "\"{\"\"images\"\": 2}\"", "meters: [(\"images\", 2)]"),
        ("output_tokens,reasoning_tokens", "10,4", "meters: [(\"output_tokens\", 10)], reasoning_tokens: Some(4)"),
        ("team", "\"  growth \"", "team: Some(\"growth\")"),
        ("prompt", "\"two\nlines\"", "request_id: \"r1\""),
    ] {
        let line = one(columns, values);
        assert!(line.starts_with("Entry("), "{line}");
        assert!(line.contains(expected), "{expected}\n{line}");
    }
}

#[test]
fn the_digest_follows_meaning_and_covers_columns_that_no_entry_carries() {
    let digest = |columns, values| {
        let line = one(columns, values);
        line.split("content: ").nth(1).unwrap_or_else(|| panic!("{line}")).to_string()
    };
    assert_eq!(digest("expected_cost,team", "1.50,a"), digest("team,expected_cost", "a,1.5"));
    assert_eq!(digest("finished_at", "2026-11-18T09:00:00Z"), digest("finished_at", "2026-11-18 10:00:00+01:00"));
    assert_eq!(
        digest("extra_meters", "\"{\"\"a\"\":1,\"\"b\"\":2}\""),
        digest("extra_meters", "\"{\"\"b\"\":2,\"\"a\"\":1.0}\"")
    );
    let all = [
        digest("image_size", "1024"),
        digest("image_quality", "1024"),
        digest("upstream_cost", "1024"),
        digest("reported_cost", "1024"),
        digest("video_resolution", "free"),
        digest("credit_unit", ""),
        digest("user_id", "1024"),
        digest("images", "1024"),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one), "{index}");
    }
}

#[test]
fn a_row_of_the_wrong_width_is_set_aside_with_its_number() {
    let (_dir, source) = csv("request_id,attempt,started_at,provider,model\n\
        r1,1,2026-11-18T09:00:00Z,fal,m\n\
        r2,1,2026-11-18T09:00:00Z,fal\n\
        r3,1,2026-11-18T09:00:00Z,fal,m,extra\n\
        r4,1,2026-11-18T09:00:00Z,fal,m\n");
    let lines = lines(&source);
    assert_eq!(lines.len(), 4);
    assert!(lines[1].contains("row: 2, day: None, reason: \"row: expected 5 fields, found 4\""), "{}", lines[1]);
    assert!(lines[2].contains("row: 3, day: None, reason: \"row: expected 5 fields, found 6\""), "{}", lines[2]);
    assert!(lines[3].contains("row: 4, request_id: \"r4\""), "{}", lines[3]);
}

#[test]
fn bytes_that_are_not_text_are_set_aside() {
    let dir = TempDir::new().unwrap();
    let text = b"request_id,attempt,started_at,provider,model\nr\xff,1,2026-11-18T09:00:00Z,fal,m\n";
    fs::write(dir.path().join("ledger.csv"), text).unwrap();
    let lines = lines(&files_source(&dir, "ledger.csv"));
    assert_eq!(reason(&lines[0]), "request_id: expected a text, found bytes that are not UTF-8");
}

#[test]
fn an_open_quote_never_swallows_rows() {
    let header = "request_id,attempt,started_at,provider,model,team,prompt\n";
    let row = "r1,1,2026-11-18T09:00:00Z,fal,m,a,b\n";
    for (text, what) in [
        (format!("{header}r0,1,2026-11-18T09:00:00Z,\"fal,m,a,b\n{row}"), "row 1: runs over several lines"),
        (format!("{header}{row}r2,1,2026-11-18T09:00:00Z,fal,m,a,\"b\n{row}{row}"), "row 2: leaves a quote open"),
        (
            format!("{header}r0,1,2026-11-18T09:00:00Z,fal,m,\"a,b\n{row}r3,1,2026-11-18T09:00:00Z,fal,m,\"a,b\n"),
            "row 1: runs over several lines",
        ),
        (format!("{header}\"{}\n", row.repeat(60_000)), "row 1: is longer than 1 MiB"),
    ] {
        let (_dir, source) = csv(&text);
        let fault = read(&source, november(), &mut |_| ()).unwrap_err();
        assert_eq!(fault.code, ExitCode::Data);
        assert!(fault.what.starts_with(what), "{fault}");
    }
}

#[test]
fn several_files_are_one_ledger_in_the_order_of_their_names() {
    let dir = TempDir::new().unwrap();
    let header = "request_id,attempt,started_at,provider,model,images\n";
    fs::write(dir.path().join("b.csv"), format!("{header}r2,1,2026-11-18,fal,m,x\n")).unwrap();
    fs::write(dir.path().join("a.csv"), format!("{header}r1,1,2026-11-18,fal,m,1\n")).unwrap();
    let patterns = ["*.csv", "b.csv"].map(|pattern| dir.path().join(pattern).display().to_string());
    let lines = lines(&source(LedgerPlace::Files(patterns.to_vec())));
    assert_eq!(lines.len(), 2, "a file that two patterns name is read once");
    assert!(lines[0].contains("row: 1, request_id: \"r1\""), "{}", lines[0]);
    assert!(lines[1].contains("row: 2,"), "{}", lines[1]);
    assert!(reason(&lines[1]).ends_with("(b.csv row 1, request_id \\\"r2\\\")"), "{}", lines[1]);
}

#[test]
fn files_that_are_not_a_ledger_are_refused() {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("ledger.txt", b"");
    write("empty.csv", b"");
    write("twice.csv", b"request_id,attempt,started_at,provider,model,team,team\n");
    write("short.csv", b"request_id,started_at,provider,Model\n");
    write("cut.parquet", b"PAR1 and then nothing");
    let required =
        "a ledger needs request_id, attempt, started_at, provider, model; a view or a header row can rename what is there";
    let parquet = "write the file again: it is cut short, damaged or not a Parquet file";
    for (pattern, code, what, hint) in [
        (
            "none-*.csv",
            ExitCode::Config,
            "ledger \"app\": no file matches",
            "correct `files` of the ledger in the job file, or export the ledger first",
        ),
        ("a***b", ExitCode::Config, "ledger \"app\": not a pattern: ", "in a pattern `*` is any part of a name"),
        (
            "*.txt",
            ExitCode::Config,
            "ledger \"app\": a file that is none of .csv, .json, .jsonl, .ndjson, each also with .gz",
            "narrow the pattern ",
        ),
        (
            "empty.csv",
            ExitCode::Data,
            "required columns missing: request_id, attempt, started_at, provider, model; found: nothing",
            required,
        ),
        ("twice.csv", ExitCode::Data, "two columns are named team", "rename or remove one of them"),
        (
            "short.csv",
            ExitCode::Data,
            "required columns missing: attempt, model; found: request_id, started_at, provider, Model",
            required,
        ),
        ("cut.parquet", ExitCode::Data, "cannot be read as Parquet: ", parquet),
    ] {
        let fault = fault(&files_source(&dir, pattern));
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.what.starts_with(what), "{fault}");
        assert!(fault.hint.starts_with(hint), "{fault}");
        assert!(fault.place.starts_with(&dir.path().display().to_string()), "{fault}");
    }
}

#[test]
fn parquet_columns_of_an_unusable_type_are_refused() {
    let dir = TempDir::new().unwrap();
    for (column, stored, what) in [
        ("expected_cost", DataType::Float64, "column expected_cost: a binary float cannot hold money or a quantity exactly"),
        ("megapixels", DataType::Float32, "column megapixels: a binary float cannot hold money or a quantity exactly"),
        (
            "attempt",
            DataType::Boolean,
            "column attempt: expected a decimal of up to 38 digits, an integer of 32 or 64 bits, or text, found Boolean",
        ),
    ] {
        let fault = fault(&world_in_parquet(&dir, "typed.parquet", &[(column, stored)]));
        assert_eq!((fault.code, fault.what.as_str()), (ExitCode::Data, what));
    }
    let mut frame = df!("request_id" => ["r1"], "attempt" => [1], "started_at" => ["2026-11-18"], "provider" => ["fal"]).unwrap();
    write_parquet(&dir.path().join("short.parquet"), &mut frame);
    let fault = fault(&files_source(&dir, "short.parquet"));
    assert_eq!(fault.what, "required column missing: model; found: request_id, attempt, started_at, provider");
}

#[test]
fn a_damaged_parquet_file_is_a_fault_and_never_a_crash() {
    let dir = TempDir::new().unwrap();
    world_in_parquet(&dir, "good.parquet", &[]);
    let good = fs::read(dir.path().join("good.parquet")).unwrap();
    let source = files_source(&dir, "bad.parquet");
    let mut refused = 0;
    for at in (4..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        fs::write(dir.path().join("bad.parquet"), &bad).unwrap();
        if let Err(fault) = read(&source, november(), &mut |_| ()) {
            assert_eq!(fault.code, ExitCode::Data, "{fault}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}
