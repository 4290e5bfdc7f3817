//! All ten providers over HTTP: the job in jobs/simulated.toml, run against the simulator, publishes the same bytes
//! as a job that reads the same pages from disk.

use crate::fault_server::answer;
use crate::simulator::{ACCOUNTS, Fault, Plan, Saved, Simulator, World, google, key, own_part, save};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tieout::domain::period::Days;

/// The port that the job names for each provider.
const PORTS: [(&str, u16); 10] = [
    ("openai", 8101),
    ("anthropic", 8102),
    ("openrouter", 8103),
    ("fal", 8104),
    ("google", 8105),
    ("elevenlabs", 8106),
    ("mistral", 8107),
    ("groq", 8108),
    ("bfl", 8109),
    ("heygen", 8110),
];

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A copy of what the job names, with the simulator's addresses in it.
    fn new(simulator: &Simulator) -> Place {
        Place::with(simulator, "")
    }

    /// ... and with further limits.
    fn with(simulator: &Simulator, limits: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in ["jobs", "fixtures/demo"] {
            copy(&root.join(part), &dir.path().join(part));
        }
        fs::create_dir(dir.path().join("out")).unwrap();
        let path = dir.path().join("jobs/simulated.toml");
        let mut job = fs::read_to_string(&path).unwrap();
        for (provider, port) in PORTS {
            job = job.replace(&format!("http://127.0.0.1:{port}"), &simulator.url(provider));
        }
        fs::write(path, job.replace("[limits]\n", &format!("[limits]\n{limits}"))).unwrap();
        Place { dir }
    }

    fn run(&self, job: &str, simulator: &Simulator) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
        command.current_dir(self.dir.path()).args(["run", job]);
        for (provider, accounts) in ACCOUNTS {
            for account in accounts {
                let name = format!("SIMULATED_{provider}_{account}").to_uppercase().replace('-', "_");
                let secret = match provider {
                    "google" => google::key_file(&format!("{}/token", simulator.url("google"))),
                    _ => key(provider, account),
                };
                command.env(name, secret);
            }
        }
        command.output().unwrap()
    }

    /// What the newest run published of these days.
    fn published(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let latest = self.dir.path().join("out").join(out).join("latest/");
        let files = fs::read_dir(latest).unwrap().map(|entry| entry.unwrap().path());
        let named = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_string(), fs::read(&path).unwrap()));
        // The manifest alone tells of times, and restatements of what was published before.
        named.filter(|(name, _)| !["MANIFEST.json", "restatements.csv"].contains(&name.as_str())).collect()
    }

    /// The job with each API replaced by the pages that it gives, saved under the names that pulled pages have.
    fn disk_job(&self, world: &World) -> String {
        let job = fs::read_to_string(self.dir.path().join("jobs/simulated.toml")).unwrap();
        let days = Days { from: "2026-10-08".parse().unwrap(), to: "2026-11-19".parse().unwrap() };
        let mut parts = job.split("[[source]]");
        let mut found = parts.next().unwrap().replace("../out/simulated", "../out/disk");
        for part in parts {
            let value = |key: &str| {
                let line = part.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
                line.split('"').nth(1).unwrap().to_string()
            };
            let (provider, account) = (value("provider"), value("account"));
            let settings: Vec<(String, String)> = part
                .lines()
                .find_map(|line| line.strip_prefix("settings = { ")?.strip_suffix(" }"))
                .map_or(Vec::new(), |pairs| {
                    let texts: Vec<&str> = pairs.split('"').collect();
                    let name = |text: &str| text.trim_matches([',', ' ', '=']).to_string();
                    texts.chunks_exact(2).map(|pair| (name(pair[0]), pair[1].to_string())).collect()
                });
            let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let folder = self.dir.path().join("pages").join(&provider).join(&account);
            write!(found, "[[source]]\nprovider = \"{provider}\"\naccount = \"{account}\"\n\n").unwrap();
            let mut answers: Vec<Saved> = Vec::new();
            for chain in save(world, &provider, &account, &settings, days, &folder) {
                // Chains for the same days of a report are one answer.
                match answers.iter_mut().find(|other| (&other.report, other.days) == (&chain.report, chain.days)) {
                    Some(answer) => answer.files.extend(chain.files),
                    None => answers.push(chain),
                }
            }
            for chain in answers {
                let files: Vec<String> = chain.files.iter().map(|path| format!("{path:?}")).collect();
                write!(
                    found,
                    "[[source.pull]]\nfiles = [{}]\nreport = \"{}\"\ngroup_by = {:?}\ncovers = [\"{}\", \"{}\"]\n\n",
                    files.join(", "),
                    chain.report,
                    chain.group_by,
                    chain.days.from.max(days.from),
                    chain.days.to.min(days.to),
                )
                .unwrap();
            }
            if let Some(at) = part.find("[[source.pull]]") {
                found.push_str(&part[at..]);
            }
        }
        let path = self.dir.path().join("jobs/disk.toml");
        fs::write(&path, found).unwrap();
        "jobs/disk.toml".to_string()
    }
}

/// The rows of a published table that are of none of these providers.
fn without(table: &[u8], providers: &[&str]) -> Vec<String> {
    let text = String::from_utf8_lossy(table);
    let foreign = |line: &&str| !providers.iter().any(|provider| line.contains(&format!("\"{provider}\"")));
    text.lines().filter(foreign).map(str::to_string).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { fs::copy(&path, &to).map(|_| ()).unwrap() }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn differing(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let names = a.iter().filter(|(name, bytes)| b[*name] != **bytes).map(|(name, bytes)| {
        let (a, b) = (String::from_utf8_lossy(bytes), String::from_utf8_lossy(&b[name]));
        let lines: Vec<String> =
            a.lines().zip(b.lines()).filter(|(a, b)| a != b).take(3).map(|(a, b)| format!("  {a}\n  {b}")).collect();
        format!("{name} ({} and {} lines)\n{}", a.lines().count(), b.lines().count(), lines.join("\n"))
    });
    names.collect()
}

/// All files below a folder.
fn tree(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { tree(&path, found) } else { found.push(path) }
    }
}

#[test]
fn ten_providers_over_http_publish_what_their_pages_on_disk_do() {
    let simulator = Simulator::start(World::demo());
    let place = Place::new(&simulator);
    let pulled = place.run("jobs/simulated.toml", &simulator);
    assert_eq!(pulled.status.code(), Some(0), "{}", stderr(&pulled));
    for (provider, _) in PORTS {
        assert!(!simulator.seen(provider).is_empty(), "{provider} was not asked");
    }
    let job = place.disk_job(&World::demo());
    let read = place.run(&job, &simulator);
    assert_eq!(read.status.code(), Some(0), "{}", stderr(&read));
    let (http, disk) = (place.published("simulated"), place.published("disk"));
    // The job's name stands in the summary's first line.
    let differences = differing(&http, &disk);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // Every list of names, also of what is archived, and of the key that asked.
    let names = String::from_utf8_lossy(&http["names.csv"]);
    for name in [
        r#""anthropic","acme","sub_account","wrkspc_old","Old",2026-11-18"#,
        r#""elevenlabs","acme","api_key","9b74c9897bac770ffc029102a200c5de","support-prod",2026-11-18"#,
        r#""fal","acme","api_key","3f0c9a1e-77aa-4d55-9a5c-0c8a9b1f2d31","tieout",2026-11-18"#,
        r#""mistral","acme","sub_account","0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f12","old",2026-11-18"#,
        r#""openai","org-acme","sub_account","proj_old","Old demo",2026-11-18"#,
        r#""openrouter","acme","own_key","11111111-2222-3333-4444-555555555555","mistral: Support",2026-11-18"#,
    ] {
        assert!(names.lines().any(|line| line == name), "{name}\n{names}");
    }
    // No key in anything that was written, and none but its own at any origin.
    let mut files = Vec::new();
    tree(&place.dir.path().join("out"), &mut files);
    for (provider, accounts) in ACCOUNTS {
        for account in accounts {
            let key = own_part(provider, account);
            let holds = |bytes: &[u8]| bytes.windows(key.len()).any(|part| part == key.as_bytes());
            for path in files.iter().filter(|path| path.is_file()) {
                assert!(!holds(&fs::read(path).unwrap()), "{}", path.display());
            }
            assert!(!holds(&pulled.stdout) && !holds(&pulled.stderr));
            for (other, _) in PORTS.iter().filter(|(other, _)| *other != provider) {
                let seen = simulator.seen(other);
                assert!(!seen.iter().any(|seen| seen.headers.iter().any(|(_, value)| value.contains(&key))), "{other}");
            }
        }
    }
}

/// Guarantees 7 to 9: providers that fail, each in its own way, cost nobody else anything; the first run without a
/// fault publishes what it would have published had there been none; a row that is restated is a new revision.
#[test]
fn a_failing_provider_costs_no_other_and_leaves_no_trace() {
    let simulator = Simulator::start(World::demo());
    // No answer is fresh enough to be used again, and nobody asks twice.
    let limits = "freshness_minutes = 0\ntries = 1\n";
    let sound = Place::with(&simulator, limits);
    let run = sound.run("jobs/simulated.toml", &simulator);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let expected = sound.published("simulated");

    let place = Place::with(&simulator, limits);
    let error = |status| Fault::Instead(answer(status, &[("content-type", "application/json")], b"{}"));
    let faults = [
        ("openai", "/costs", Fault::Loop, "circle"),
        ("fal", "/billing-events", Fault::Cut, ""),
        ("heygen", "/v3/", error(401), "401"),
        ("mistral", "/usage", error(503), "503"),
        ("google", "/queries/", Fault::Instead(answer(200, &[("content-type", "text/html")], b"<html>")), ""),
    ];
    for (provider, path, fault, _) in &faults {
        simulator.plan(provider, Plan { path: path.to_string(), after: 1, times: usize::MAX, fault: fault.clone() });
    }
    let partial = place.run("jobs/simulated.toml", &simulator);
    let told = stderr(&partial);
    assert_eq!(partial.status.code(), Some(10), "{told}");
    let failed = faults.each_ref().map(|(provider, ..)| *provider);
    for (provider, _, _, words) in &faults {
        let line = told.lines().find(|line| line.starts_with(&format!("warning: {provider}")) && line.contains(words));
        assert!(line.is_some(), "{provider} {words}: {told}");
    }
    let published = place.published("simulated");
    for file in ["attribution.csv", "reconciliation.csv", "drift.csv", "coverage.csv"] {
        let rows = without(&published[file], &failed);
        assert!(rows.len() > 10 && rows == without(&expected[file], &failed), "{file}");
    }

    simulator.heal();
    let healed = place.run("jobs/simulated.toml", &simulator);
    assert_eq!(healed.status.code(), Some(0), "{}", stderr(&healed));
    let differences = differing(&place.published("simulated"), &expected);
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    // growth's bill of the 16th is found to be a dollar higher.
    simulator.change(|world| {
        let day = world.shelf("openai", "org-growth", "costs").get_mut(&"2026-11-16".parse().unwrap()).unwrap();
        let amount = day[0]["amount"]["value"].to_string().replace('"', "");
        let (whole, part) = amount.split_once('.').unwrap();
        day[0]["amount"]["value"] = serde_json::json!(format!("{}.{part}", whole.parse::<u32>().unwrap() + 1));
    });
    let restated = place.run("jobs/simulated.toml", &simulator);
    assert_eq!(restated.status.code(), Some(0), "{}", stderr(&restated));
    let table = fs::read_to_string(place.dir.path().join("out/simulated/latest/restatements.csv")).unwrap();
    let row = table
        .lines()
        .find(|line| line.contains("2026-11-16") && line.contains("org-growth"))
        .unwrap_or_else(|| panic!("{table}"));
    assert!(row.contains(",1,") || row.ends_with(",1"), "{row}");
    let published = place.published("simulated");
    assert_eq!(without(&published["attribution.csv"], &["openai"]), without(&expected["attribution.csv"], &["openai"]));
}

/// What every provider adds is named and changes nothing; what it takes away costs the report that needs it, and its
/// place is told.
#[test]
fn every_provider_may_add_a_field_and_none_may_take_away_one_that_is_needed() {
    let simulator = Simulator::start(World::demo());
    let place = Place::with(&simulator, "freshness_minutes = 0\ntries = 1\n");
    let run = place.run("jobs/simulated.toml", &simulator);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let mut expected = place.published("simulated");

    for (provider, _) in PORTS {
        let path = if provider == "google" { "/queries" } else { "/" }.to_string();
        simulator.plan(provider, Plan { path, after: 0, times: usize::MAX, fault: Fault::With("brand_new") });
    }
    let more = place.run("jobs/simulated.toml", &simulator);
    assert_eq!(more.status.code(), Some(0), "{}", stderr(&more));
    let manifest = fs::read(place.dir.path().join("out/simulated/latest/MANIFEST.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let schemas = manifest["schemas"].as_array().unwrap();
    for (provider, _) in PORTS {
        let named = |schema: &serde_json::Value| {
            let new = schema["new_fields"].as_array().unwrap();
            schema["provider"] == provider && new.contains(&serde_json::json!("brand_new"))
        };
        assert!(schemas.iter().any(named), "{provider}: {manifest}");
    }
    let mut published = place.published("simulated");
    let summary = String::from_utf8(published.remove("summary.txt").unwrap()).unwrap();
    assert!(
        summary.contains("\nNew fields of providers") && summary.contains("  anthropic cost_report: brand_new\n"),
        "{summary}"
    );
    expected.remove("summary.txt").unwrap();
    let differences = differing(&published, &expected);
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    simulator.heal();
    let needed = [
        ("anthropic", "/cost_report", "amount", "amount: expected"),
        ("bfl", "/credits", "credits", "credits"),
        ("elevenlabs", "/usage-by-product", "columns", "columns"),
        ("fal", "/billing-events", "timestamp", "timestamp: expected"),
        ("google", "/queries/", "schema", "schema"),
        ("groq", "/query_range", "metric", "metric: expected"),
        ("heygen", "/videos", "id", "id: expected"),
        ("mistral", "/usage", "currency", "currency"),
        ("openai", "/costs", "amount", "amount.value: expected a number, found nothing"),
        ("openrouter", "/activity", "usage", "usage: expected"),
    ];
    for (provider, path, field, _) in needed {
        let fault = Fault::Without(field);
        simulator.plan(provider, Plan { path: path.to_string(), after: 0, times: usize::MAX, fault });
    }
    let less = place.run("jobs/simulated.toml", &simulator);
    let told = stderr(&less);
    assert_eq!(less.status.code(), Some(10), "{told}");
    for (provider, _, _, place) in needed {
        let line = told.lines().find(|line| line.starts_with(&format!("warning: {provider}")) && line.contains(place));
        assert!(line.is_some(), "{provider} {place}: {told}");
    }
}
