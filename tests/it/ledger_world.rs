//! A small world around a ledger in a database: one account billed 6.60 for a call of 2026-11-16 that the ledger knows,
//! run by the real binary in a folder of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn tieout(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

pub fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Published files but the manifest, which alone may know where things came from.
pub fn published(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder.join("out/latest/")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if name != "MANIFEST.json" {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

/// The ledger's source in SQL: 20 calls of `acme` on 2026-11-16, of 0.05 each. `{time}` and `{amount}` are the engine's
/// types, `{at}` the moment of call `n`, `{calls}` what gives the numbers 1 to 20.
pub const TABLE: &str = "CREATE TABLE request_ledger (request_id text, attempt integer, started_at {time}, provider text, \
    model text, account text, team text, images integer, expected_cost {amount}); \
    INSERT INTO request_ledger SELECT 'r' || n, 1, {at}, 'fal', 'fal-ai/flux/dev', 'acme', 'growth', 1, {cost} FROM {calls};";

/// A second account, for a job's end.
pub const BETA: &str = "[[source]]\nprovider = \"fal\"\naccount = \"beta\"\nsettle_days = 0\n[[source.pull]]\nfiles = [\"page.csv\"]\n\
    covers = [\"2026-11-15\", \"2026-11-19\"]\n";

/// What stands still: names of published runs with what the pointers say, and the published bytes.
pub type Stands = (Vec<String>, BTreeMap<String, Vec<u8>>);

pub struct World {
    pub folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let page = fs::read_to_string(root().join("fixtures/scenarios/later-pull-replaces/monday.csv")).unwrap();
        fs::write(folder.path().join("page.csv"), page).unwrap();
        World { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `place` is the line that says where the ledger stands; `more` stands behind everything. No `table` is the usual one.
    pub fn job(&self, table: &str, place: &str, more: &str) {
        let table = if table.is_empty() { String::new() } else { format!("table = \"{table}\"") };
        let job = format!(
            "name = \"pg\"\nas_of = \"2026-11-19T06:00:00Z\"\noutput = \"out\"\nstate = \"state\"\n\
             [window]\nfrom = \"2026-11-15\"\n\
             [[ledger]]\nname = \"app\"\n{table}\n{place}\n\
             [[source]]\nprovider = \"fal\"\naccount = \"acme\"\nsettle_days = 0\n[[source.pull]]\nfiles = [\"page.csv\"]\n\
             covers = [\"2026-11-15\", \"2026-11-19\"]\n{more}"
        );
        fs::write(self.path("job.toml"), job).unwrap();
    }

    /// Changes the job file as it stands.
    pub fn edit(&self, from: &str, to: &str) {
        let job = fs::read_to_string(self.path("job.toml")).unwrap();
        assert!(job.contains(from), "{job}");
        fs::write(self.path("job.toml"), job.replace(from, to)).unwrap();
    }

    pub fn run(&self) -> Output {
        let output = tieout(self.folder.path(), &["run", "job.toml", "--quiet"]);
        assert!(!told(&output).contains(crate::cluster::PASSWORD));
        output
    }

    pub fn stands(&self) -> Stands {
        let mut names: Vec<String> =
            fs::read_dir(self.path("out/runs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.push(fs::read_link(self.path("out/latest")).unwrap().display().to_string());
        names.sort();
        (names, published(self.folder.path()))
    }

    /// A column of a published table.
    pub fn column(&self, file: &str, name: &str) -> Vec<String> {
        let bytes = fs::read(self.path("out/latest").join(file)).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes));
        let index = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
        reader.records().map(|record| record.unwrap()[index].to_string()).collect()
    }

    pub fn ledger_total(&self) -> Vec<String> {
        self.column("reconciliation.csv", "ledger_total")
    }

    /// The ledger's total by account and day.
    pub fn totals(&self) -> BTreeMap<(String, String), String> {
        let days = self.column("reconciliation.csv", "charge_date");
        let accounts = self.column("reconciliation.csv", "account");
        accounts.into_iter().zip(days).zip(self.ledger_total()).collect()
    }
}
