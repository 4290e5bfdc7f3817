//! The tables of other systems in real databases: the same rows and findings as from their exports.

use crate::cluster::{Database, cluster, runtime};
use crate::foreign::{compare, dump, file, fixtures, source, source_with};
use crate::ledger_world::{World, told};
use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The rows of a fixture; empty cells are null. Lines that are no rows are left out.
fn rows(kind: &str, name: &str) -> Vec<Map<String, Value>> {
    let path = fixtures(kind).join(name);
    if name.ends_with(".jsonl") {
        let text = fs::read_to_string(path).unwrap();
        return text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    }
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let value = |text: &str| if text.is_empty() { Value::Null } else { Value::String(text.to_string()) };
    let row =
        |record: csv::StringRecord| header.iter().zip(&record).map(|(name, text)| (name.to_string(), value(text))).collect();
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A database with the system's own tables and these rows, which the role may read.
fn postgres(kind: &str, table: &str, rows: &[Map<String, Value>]) -> Database {
    let mut script = fs::read_to_string(fixtures(kind).join("schema.postgres.sql")).unwrap();
    for row in rows {
        let json = literal(&Value::Object(row.clone()).to_string());
        script += &format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, {json}::jsonb)).* ON CONFLICT DO NOTHING;\n"
        );
    }
    let database = cluster().database(&script);
    database.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", database.role));
    database
}

fn sqlite(kind: &str, path: &Path, rows: &[Map<String, Value>]) -> String {
    let mut script = fs::read_to_string(fixtures(kind).join("schema.sqlite.sql")).unwrap();
    for row in rows {
        let text = |value: &Value| value.as_str().map_or("NULL".to_string(), literal);
        // As Go's drivers write times.
        let written = |(name, value): (&String, &Value)| match name.as_str() {
            "timestamp" => text(value).replace('T', " ").replace('Z', "+00:00"),
            _ => text(value),
        };
        let names: Vec<String> = row.keys().map(|name| format!("\"{name}\"")).collect();
        let values: Vec<String> = row.iter().map(written).collect();
        script += &format!("INSERT OR IGNORE INTO logs ({}) VALUES ({});\n", names.join(","), values.join(","));
    }
    runtime().block_on(async {
        let mut database = SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap();
        database.execute(sqlx::raw_sql(AssertSqlSafe(script))).await.unwrap();
        database.close().await.unwrap();
    });
    format!("sqlite = \"{}\"", path.display())
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_string).collect()
}

#[test]
fn litellms_tables_give_what_its_exports_give() {
    for name in ["sample.jsonl", "faults.jsonl"] {
        let database = postgres("litellm", "\"LiteLLM_SpendLogs\"", &rows("litellm", name));
        let exported = dump(&source("litellm", &file(&fixtures("litellm").join(name))), false);
        let exported: BTreeSet<String> = lines(&exported).into_iter().filter(|line| !line.contains("expected JSON")).collect();
        assert!(exported.len() >= 3);
        assert_eq!(lines(&dump(&source("litellm", &database.place("")), false)), exported, "{name}");
    }
}

#[test]
fn a_team_is_found_through_keys_that_were_rotated_or_deleted() {
    let database = postgres("litellm", "\"LiteLLM_SpendLogs\"", &[]);
    database.execute(&fs::read_to_string(fixtures("litellm").join("keys.postgres.sql")).unwrap());
    let read = dump(&source("litellm", &database.place("")), true);
    compare(&fixtures("litellm").join("keys.postgres.sql.rows.txt"), &read);
    // Older versions have no tables of rotated and deleted keys.
    database.execute("DROP TABLE \"LiteLLM_DeprecatedVerificationToken\"; DROP TABLE \"LiteLLM_DeletedVerificationToken\"");
    let older = dump(&source("litellm", &database.place("")), true);
    assert_eq!(older.matches("[key_unknown]").count(), 6, "{older}");
    // A view without the columns that nobody needs, and without any table of keys.
    database.execute(
        "DROP TABLE \"LiteLLM_VerificationToken\"; \
         CREATE SCHEMA narrow; CREATE VIEW narrow.spend AS SELECT request_id, \"startTime\", model, custom_llm_provider, spend, \
         prompt_tokens, completion_tokens, total_tokens, team_id, api_key FROM \"LiteLLM_SpendLogs\"",
    );
    database.execute(&format!("GRANT USAGE ON SCHEMA narrow TO {0}; GRANT SELECT ON narrow.spend TO {0}", database.role));
    let narrow = dump(&source("litellm", &format!("{}\ntable = \"narrow.spend\"", database.place(""))), false);
    assert_eq!((narrow.lines().count(), narrow.matches("[key_").count()), (8, 0), "{narrow}");
}

#[test]
fn what_a_database_lacks_is_told_before_any_row_is_read() {
    let check = |source: &tieout::job::LedgerSource| tieout::edge::ledger::check(source).unwrap_err().to_string();
    let database = postgres("litellm", "\"LiteLLM_SpendLogs\"", &[]);
    let other = check(&source("bifrost", &database.place("")));
    assert!(other.contains("no table or view \"logs\"; found: public.LiteLLM_"), "{other}");
    database.execute(&format!("REVOKE SELECT ON \"LiteLLM_VerificationToken\" FROM {}", database.role));
    let refused = check(&source("litellm", &database.place("")));
    assert!(refused.contains("LiteLLM_VerificationToken: column token: the role may not read it"), "{refused}");
    let relay = postgres("newapi", "logs", &[]);
    let another = check(&source("bifrost", &relay.place("")));
    assert!(another.contains("logs: not a ledger of kind bifrost: missing timestamp, provider"), "{another}");
    relay.execute("DROP TABLE options");
    let text = dump(&source_with("newapi", &relay.place(""), ""), false);
    assert_eq!(text, "");
}

#[test]
fn bifrosts_logs_are_the_same_in_every_database() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["sample.csv", "faults.csv"] {
        // A column of numbers takes no letters.
        let rows: Vec<_> = rows("bifrost", name).into_iter().filter(|row| row["fallback_index"] != "x").collect();
        let exported = lines(&dump(&source("bifrost", &file(&fixtures("bifrost").join(name))), false));
        let exported: BTreeSet<String> = exported.into_iter().filter(|line| !line.contains("b-16")).collect();
        let database = postgres("bifrost", "logs", &rows);
        assert_eq!(lines(&dump(&source("bifrost", &database.place("")), false)), exported, "PostgreSQL {name}");
        let place = sqlite("bifrost", &folder.path().join(format!("{name}.db")), &rows);
        // SQLite writes a float with 15 digits, which hides the noise in the last ones.
        let noise = " [float_noise 0.00000000000000001]";
        let exported: BTreeSet<String> = exported.into_iter().map(|line| line.replace(noise, "")).collect();
        assert_eq!(lines(&dump(&source("bifrost", &place), false)), exported, "SQLite {name}");
    }
}

#[test]
fn a_relays_quota_and_channels_are_read_beside_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let settings = fs::read_to_string(fixtures("newapi").join("ledger.toml")).unwrap();
    let (quota, routes) = settings.split_once("\n\n").unwrap();
    assert_eq!(quota, "quota_per_unit = 500000");
    for name in ["sample.csv", "faults.csv"] {
        let rows = rows("newapi", name);
        let exported = dump(&source("newapi", &file(&fixtures("newapi").join(name))), false);
        let database = postgres("newapi", "logs", &rows);
        let place = sqlite("newapi", &folder.path().join(format!("{name}.db")), &rows);
        assert_eq!(dump(&source_with("newapi", &database.place(""), routes), false), exported, "PostgreSQL {name}");
        assert_eq!(dump(&source_with("newapi", &place, routes), false), exported, "SQLite {name}");
        if name == "sample.csv" {
            // Without routes the type of the channel still names the provider; a custom one does not.
            let bare = dump(&source_with("newapi", &database.place(""), ""), false);
            assert_eq!(bare.matches(" openai/").count(), 2, "{bare}");
            assert!(bare.contains("channel_id: no [[ledger.route]] says which provider \"19\" is"), "{bare}");
            // The operator's own rate, the program's, and none to be found.
            database.execute("UPDATE options SET value = '1000000' WHERE key = 'QuotaPerUnit'");
            let halved = dump(&source_with("newapi", &database.place(""), routes), false);
            assert!(halved.contains(" charged=0.002808 unit=USD cost=0.0028075"), "{halved}");
            database.execute("DELETE FROM options WHERE key = 'QuotaPerUnit'");
            assert_eq!(dump(&source_with("newapi", &database.place(""), routes), false), exported);
            database.execute("DROP TABLE options; DROP TABLE channels");
            let unknown = dump(&source_with("newapi", &database.place(""), routes), false);
            assert_eq!(unknown.matches("quota_per_unit: neither the ledger nor the job says").count(), 3, "{unknown}");
        }
    }
}

#[test]
fn reports_are_the_same_from_tables_and_from_exports() {
    for (kind, table, name, finding) in [
        ("litellm", "\"LiteLLM_SpendLogs\"", "sample.jsonl", "recovered_from_breakdown"),
        ("bifrost", "logs", "sample.csv", "unpriced"),
        ("newapi", "logs", "sample.csv", "quota_floor"),
    ] {
        let world = World::new();
        let rows = rows(kind, name);
        let database = postgres(kind, table, &rows);
        let mut places = vec![database.place(""), file(&fixtures(kind).join(name))];
        if kind != "litellm" {
            places.push(sqlite(kind, &world.path("ledger.db"), &rows));
        }
        let settings = fs::read_to_string(fixtures(kind).join("ledger.toml")).unwrap();
        let mut before = None;
        for place in places {
            world.job("", &format!("kind = \"{kind}\"\n{place}\n{settings}"), "");
            world.edit("from = \"2026-11-15\"", "from = \"2026-09-01\"");
            let output = world.run();
            // The bill's days of September are missing.
            assert_eq!(output.status.code(), Some(10), "{kind} {place}: {}", told(&output));
            assert!(world.column("ledger_findings.csv", "finding").contains(&finding.to_string()), "{kind} {place}");
            // The second and the third have nothing new to say.
            let stands = world.stands();
            assert_eq!(*before.get_or_insert_with(|| stands.clone()), stands, "{kind} {place}");
        }
    }
}
