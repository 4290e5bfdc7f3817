//! All ten providers over HTTP: the job in jobs/simulated.toml, run against the simulator, publishes the same bytes
//! as a job that reads the same pages from disk.

use crate::simulator::{ACCOUNTS, Saved, Simulator, World, google, key, save};
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
        fs::write(path, job).unwrap();
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

    /// What the newest run published, without the manifest, which alone tells of times.
    fn published(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let latest = self.dir.path().join("out").join(out).join("latest/");
        let files = fs::read_dir(latest).unwrap().map(|entry| entry.unwrap().path());
        let named = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_string(), fs::read(&path).unwrap()));
        named.filter(|(name, _)| name != "MANIFEST.json").collect()
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
    // No key in anything that was written, and none but its own at any origin.
    let mut files = Vec::new();
    tree(&place.dir.path().join("out"), &mut files);
    for (provider, accounts) in ACCOUNTS {
        for account in accounts {
            let key = key(provider, account);
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
