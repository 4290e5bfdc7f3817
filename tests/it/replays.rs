//! A ledger row that stands twice is one row; one that says anything else under the same id and attempt is set aside,
//! whichever column it is.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

const COLUMNS: &str = "request_id,attempt,started_at,provider,model,provider_request_id,account,sub_account,api_key_id,team,\
                       feature,client,user_id,status,funding,service_tier,batch,images,characters,expected_cost,expected_currency,\
                       finished_at,upstream_model,image_size";
const ROW: &str = "call,1,2026-11-18T07:14:20Z,fal,fal-ai/flux/dev,req,acme,workspace,key-growth,growth,chat,web,u1,ok,byok,standard,\
                   false,1,2,0.025,USD,2026-11-18T07:14:25Z,flux,square";
/// What each column after the attempt says instead.
const OTHER: &str = "2026-11-18T07:14:20.5Z,openai,fal-ai/flux/pro,req-2,other,workspace-2,key-other,platform,search,app,u2,error,\
                     credits,priority,true,2,3,0.05,EUR,2026-11-18T07:14:26Z,flux-2,wide";

fn run(folder: &Path, ledger: &str) -> (String, Vec<(u64, u64)>) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/errors/ledger-row-conflict");
    for file in ["job.toml", "events.csv"] {
        std::fs::copy(from.join(file), folder.join(file)).unwrap();
    }
    std::fs::write(folder.join("ledger.csv"), ledger).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_tieout")).args(["run", "job.toml"]).current_dir(folder).output().unwrap();
    assert!(matches!(done.status.code(), Some(0 | 10)), "{}", String::from_utf8_lossy(&done.stderr));
    let table = |name: &str| std::fs::read_to_string(folder.join("out/latest").join(name)).unwrap();
    let coverage = table("coverage.csv");
    let mut reader = csv::Reader::from_reader(coverage.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let [provider, duplicates, quarantined] = ["provider", "duplicates", "quarantined"].map(at);
    let rows = reader.records().map(Result::unwrap).filter(|row| &row[provider] == "ledger");
    let counts = rows.map(|row| (row[duplicates].parse().unwrap(), row[quarantined].parse().unwrap())).collect();
    (table("quarantine.csv"), counts)
}

#[test]
fn a_row_is_a_replay_only_where_every_column_says_the_same() {
    let (columns, row, other): (Vec<&str>, Vec<&str>, Vec<&str>) =
        (COLUMNS.split(',').collect(), ROW.split(',').collect(), OTHER.split(',').collect());
    assert_eq!((row.len(), other.len()), (columns.len(), columns.len() - 2));
    let mut ledger = format!("{COLUMNS}\n");
    let mut add = |cells: &[&str]| writeln!(ledger, "{}", cells.join(",")).unwrap();
    for (place, value) in other.iter().enumerate().map(|(place, value)| (place + 2, value)) {
        let id = format!("call-{}", columns[place]);
        let mut cells = row.clone();
        cells[0] = &id;
        add(&cells);
        cells[place] = value;
        add(&cells);
    }
    // The same again, and the same in other words.
    let mut same = row.clone();
    add(&same);
    add(&same);
    (same[2], same[16], same[19]) = ("2026-11-18T08:14:20+01:00", "0", "2.5e-2");
    add(&same);
    let folder = tempfile::tempdir().unwrap();
    let (quarantine, counts) = run(folder.path(), &ledger);
    for column in &columns[2..] {
        let said = format!("request_id, attempt: \"\"call-{column}\"\" attempt 1 stands in row");
        assert!(quarantine.contains(&said), "{column}\n{quarantine}");
    }
    assert_eq!(counts, [(2, columns.len() as u64 - 2)]);
}
