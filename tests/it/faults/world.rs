//! A job with one or two providers that a server of the test stands for: three days, a few calls each.

use crate::fault_server::{Answer, FaultServer, Seen, answer, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The world's days, as Unix times of their midnight.
pub const DAYS: [(&str, i64); 3] = [("2026-11-16", 1_794_787_200), ("2026-11-17", 1_794_873_600), ("2026-11-18", 1_794_960_000)];
pub const OPENAI_KEY: &str = "cnry-7Kq2vXw9LmT4";
pub const ANTHROPIC_KEY: &str = "cnry-Zp4mB8QrN6cY";
const LIMITS: &str = "loopback_http = true\nfreshness_minutes = 0\nbackoff_ms = 20\nbackoff_max_ms = 60\nconnect_ms = 1000\nidle_ms = 700\nrequest_ms = 1500\nprovider_ms = 20000\n";

/// The waits that `LIMITS` names.
pub const BACKOFF_MS: u64 = 20;
pub const BACKOFF_MAX_MS: u64 = 60;

/// Paths that fail, with what they answer: the last answer for ever.
type Failing = Arc<Mutex<BTreeMap<String, (usize, Vec<Answer>)>>>;

pub struct World {
    pub dir: tempfile::TempDir,
    pub server: FaultServer,
    failing: Failing,
}

/// What a run came to.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl World {
    /// `limits`: further lines of `[limits]`, in place of those of the tests where they name the same.
    pub fn new(providers: &[&str], limits: &str) -> World {
        let failing = Failing::default();
        let answers = failing.clone();
        let server = FaultServer::start(move |seen| {
            let mut failing = answers.lock().unwrap();
            match failing.get_mut(seen.path()) {
                Some((next, answers)) => {
                    let answer = answers[(*next).min(answers.len() - 1)].clone();
                    *next += 1;
                    answer
                }
                None => healthy(seen),
            }
        });
        let url = server.url();
        let world = World { dir: tempfile::tempdir().unwrap(), server, failing };
        world.write_job(providers, limits, &url);
        world
    }

    pub fn write_job(&self, providers: &[&str], limits: &str, url: &str) {
        let mut lines: BTreeMap<&str, &str> = BTreeMap::new();
        for line in LIMITS.lines().chain(limits.lines()) {
            lines.insert(line.split(' ').next().unwrap(), line);
        }
        let limits: Vec<&str> = lines.into_values().collect();
        let mut job = format!(
            "name = \"night\"\nas_of = \"2026-11-19T06:00:00Z\"\noutput = \"out\"\nstate = \"state\"\n\
             [window]\nfrom = \"2026-11-16\"\n[limits]\n{}\n[[ledger]]\nname = \"app\"\nfiles = [\"ledger.csv\"]\n",
            limits.join("\n")
        );
        for provider in providers {
            let (key, report) = if *provider == "openai" { (OPENAI_KEY, "costs") } else { (ANTHROPIC_KEY, "cost_report") };
            let name = format!("{provider}.key");
            if !self.path(&name).exists() {
                self.write_key(&name, key);
            }
            job.push_str(&format!(
                "[[source]]\nprovider = \"{provider}\"\naccount = \"acme\"\nsettle_days = 0\n[source.api]\n\
                 secret = \"file:{provider}.key\"\nbase_url = \"{url}\"\nsettings = {{ reports = \"{report}\" }}\n"
            ));
        }
        fs::write(self.path("job.toml"), job).unwrap();
        fs::write(self.path("ledger.csv"), ledger(providers)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// From now on this path answers so.
    pub fn fail(&self, path: &str, answers: Vec<Answer>) {
        self.failing.lock().unwrap().insert(path.to_string(), (0, answers));
    }

    /// All is well again.
    pub fn heal(&self) {
        self.failing.lock().unwrap().clear();
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.tieout("run", arguments, &[])
    }

    pub fn tieout(&self, command: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let started = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_tieout"))
            .args([command, "job.toml"])
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        }
    }

    /// The published files of `latest`, without the manifest, which has the times.
    pub fn reports(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path("out/latest")).unwrap().map(|entry| entry.unwrap());
        let files = entries.map(|entry| (entry.file_name().to_str().unwrap().to_string(), fs::read(entry.path()).unwrap()));
        files.filter(|(name, _)| name != "MANIFEST.json").collect()
    }

    pub fn report(&self, name: &str) -> String {
        fs::read_to_string(self.path("out/latest").join(name)).unwrap()
    }

    /// The job with a part of it replaced.
    pub fn change_job(&self, from: &str, to: &str) {
        let job = fs::read_to_string(self.path("job.toml")).unwrap();
        assert!(job.contains(from), "{job}");
        fs::write(self.path("job.toml"), job.replace(from, to)).unwrap();
    }

    /// A key of its own for a further account.
    pub fn write_key(&self, name: &str, key: &str) {
        let path = self.path(name);
        fs::write(&path, format!("{key}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The rows of a published table, as texts by column.
    pub fn rows(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let text = self.report(name);
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    /// These columns of a published table, a text for each row.
    pub fn said(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let text =
            |row: &BTreeMap<String, String>| columns.iter().map(|column| row[*column].as_str()).collect::<Vec<_>>().join(" ");
        self.rows(table).iter().map(text).collect()
    }

    pub fn manifest(&self) -> serde_json::Value {
        serde_json::from_str(&self.report("MANIFEST.json")).unwrap()
    }

    pub fn runs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("out/runs")) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_string()).collect();
        names.sort();
        names
    }
}

fn ledger(providers: &[&str]) -> String {
    let mut text =
        "request_id,attempt,started_at,provider,model,account,sub_account,api_key_id,team,status,input_tokens,expected_cost\n"
            .to_string();
    for provider in providers {
        let model = if *provider == "openai" { "gpt-5.4" } else { "claude-opus-5-5" };
        for (number, (day, _)) in DAYS.iter().enumerate() {
            text.push_str(&format!(
                "{provider}-{number},1,{day}T09:00:00Z,{provider},{model},acme,proj_a,key_a,growth,ok,1000000,2.5\n"
            ));
        }
    }
    text
}

/// Project, line item and amount.
pub type Row<'a> = (&'a str, &'a str, &'a str);

/// A page of OpenAI's costs: the rows of each day.
pub fn openai_page(days: &[(i64, Vec<Row<'_>>)], next: Option<&str>) -> String {
    let bucket = |(start, rows): &(i64, Vec<Row<'_>>)| {
        let row = |(project, item, amount): &Row<'_>| {
            format!(
                "{{\"object\":\"organization.costs.result\",\"amount\":{{\"value\":{amount},\"currency\":\"usd\"}},\
                 \"line_item\":\"{item}\",\"project_id\":\"{project}\",\"api_key_id\":\"key_a\",\"quantity\":1000000,\
                 \"quantity_unit\":\"tokens\"}}"
            )
        };
        let rows: Vec<String> = rows.iter().map(row).collect();
        format!(
            "{{\"object\":\"bucket\",\"start_time\":{start},\"end_time\":{},\"results\":[{}]}}",
            start + 86_400,
            rows.join(",")
        )
    };
    let days: Vec<String> = days.iter().map(bucket).collect();
    let next_page = next.map_or("null".to_string(), |cursor| format!("\"{cursor}\""));
    format!("{{\"object\":\"page\",\"data\":[{}],\"has_more\":{},\"next_page\":{next_page}}}", days.join(","), next.is_some())
}

/// The one row that each day has when all is well.
pub const ROW: Row<'static> = ("proj_a", "gpt-5.4, input", "\"2.5\"");

/// The world's OpenAI costs on one page.
pub fn openai_costs() -> String {
    openai_page(&DAYS.map(|(_, start)| (start, vec![ROW])), None)
}

pub fn anthropic_costs() -> String {
    let bucket = |(day, start): &(&str, i64)| {
        let end = chrono::DateTime::from_timestamp(start + 86_400, 0).unwrap().format("%Y-%m-%d");
        format!(
            "{{\"starting_at\":\"{day}T00:00:00Z\",\"ending_at\":\"{end}T00:00:00Z\",\"results\":[{{\"amount\":\"250\",\
             \"currency\":\"USD\",\"workspace_id\":\"proj_a\",\"description\":\"Claude Opus 5.5 Usage - Input Tokens\",\
             \"cost_type\":\"tokens\",\"token_type\":\"uncached_input_tokens\",\"model\":\"claude-opus-5-5\",\
             \"service_tier\":\"standard\",\"context_window\":\"0-200k\",\"inference_geo\":\"global\"}}]}}"
        )
    };
    format!("{{\"data\":[{}],\"has_more\":false,\"next_page\":null}}", DAYS.iter().map(bucket).collect::<Vec<_>>().join(","))
}

/// What the providers answer when all is well; the right key is wanted.
pub fn healthy(seen: &Seen) -> Answer {
    let bearer = format!("Bearer {OPENAI_KEY}");
    match seen.path() {
        "/v1/organization/costs" if seen.header("authorization") == Some(&bearer) => json(openai_costs()),
        "/v1/organizations/cost_report" if seen.header("x-api-key") == Some(ANTHROPIC_KEY) => json(anthropic_costs()),
        _ => answer(401, &[("content-type", "application/json")], b"{}"),
    }
}
