//! A simulator of the ten providers' APIs: their documented pages, paging, keys, errors and limits, served from a
//! small world in memory, with faults on command. Each provider is an origin of its own, so that a test sees what
//! reached whom.

mod anthropic;
mod bfl;
mod elevenlabs;
mod fal;
pub mod google;
mod groq;
mod heygen;
mod mistral;
mod openai;
mod openrouter;
mod walk;
mod world;

use crate::fault_server::{self, Answer, FaultServer, Seen, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
pub use walk::{Saved, save};
pub use world::World;

/// A provider with the accounts that the demo has there.
pub const ACCOUNTS: [(&str, &[&str]); 10] = [
    ("anthropic", &["acme"]),
    ("bfl", &["acme"]),
    ("elevenlabs", &["acme"]),
    ("fal", &["acme", "acme-studio"]),
    ("google", &["01AB23-CD45EF-678901"]),
    ("groq", &["org_acme"]),
    ("heygen", &["acme"]),
    ("mistral", &["acme"]),
    ("openai", &["org-acme", "org-growth"]),
    ("openrouter", &["acme"]),
];

/// What a provider refuses, with its own body.
pub struct Refusal {
    pub status: u16,
    pub body: Value,
}

/// A page, or why there is none.
pub type Reply = Result<Value, Refusal>;

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Something else in place of the answer.
    Instead(Answer),
    /// The good answer, cut off after half of its body.
    Cut,
    /// The good answer, a byte at a time.
    Drip(Duration),
    /// The good answer without this field, wherever it has it.
    Without(&'static str),
    /// The good answer with this field in addition, in each of its rows and around them.
    With(&'static str),
    /// The good answer to the first page, whichever page was asked for: its cursor never changes.
    Loop,
    /// So many bytes of a JSON text, packed.
    Bomb(u64),
}

/// A fault of the requests whose path has this part: after so many of them, for so many.
#[derive(Clone, Debug)]
pub struct Plan {
    pub path: String,
    pub after: usize,
    pub times: usize,
    pub fault: Fault,
}

struct Shared {
    world: Mutex<World>,
    plans: Mutex<BTreeMap<String, Vec<Plan>>>,
}

pub struct Simulator {
    shared: Arc<Shared>,
    servers: BTreeMap<&'static str, FaultServer>,
}

impl Simulator {
    pub fn start(world: World) -> Simulator {
        let shared = Arc::new(Shared { world: Mutex::new(world), plans: Mutex::new(BTreeMap::new()) });
        let server = |provider: &'static str| {
            let shared = shared.clone();
            FaultServer::start(move |seen| shared.answer(provider, seen))
        };
        let servers = ACCOUNTS.iter().map(|(provider, _)| (*provider, server(provider))).collect();
        Simulator { shared, servers }
    }

    /// `http://127.0.0.1:<port>` of a provider.
    pub fn url(&self, provider: &str) -> String {
        self.servers[provider].url()
    }

    /// What reached a provider so far.
    pub fn seen(&self, provider: &str) -> Vec<Seen> {
        self.servers[provider].seen()
    }

    pub fn forget(&self) {
        self.servers.values().for_each(FaultServer::forget);
    }

    pub fn plan(&self, provider: &str, plan: Plan) {
        self.shared.plans.lock().unwrap().entry(provider.to_string()).or_default().push(plan);
    }

    /// Nothing is wrong any more.
    pub fn heal(&self) {
        self.shared.plans.lock().unwrap().clear();
    }

    /// Changes what the providers know: rows that come late, that are restated, that vanish.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.world.lock().unwrap());
    }
}

impl Shared {
    fn answer(&self, provider: &str, seen: &Seen) -> Answer {
        match self.fault(provider, seen) {
            None => whole(&self.page(provider, seen)),
            Some(Fault::Instead(answer)) => answer,
            Some(Fault::Without(field)) => changed(&self.page(provider, seen), &|value| without(value, field)),
            Some(Fault::With(field)) => changed(&self.page(provider, seen), &|value| with(value, field)),
            Some(Fault::Loop) => {
                let first = Seen { target: without_cursor(&seen.target), ..seen.clone() };
                whole(&self.page(provider, &first))
            }
            Some(Fault::Cut) => {
                let (_, body) = self.page(provider, seen);
                let mut bytes = fault_server::head(200, &[("content-type", "application/json")]);
                bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(&body[..body.len() / 2]);
                vec![Step::Bytes(bytes), Step::Close]
            }
            Some(Fault::Drip(pause)) => {
                let (_, body) = self.page(provider, seen);
                let mut head = fault_server::head(200, &[("content-type", "application/json")]);
                head.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
                vec![Step::Bytes(head), Step::Drip(body, pause)]
            }
            Some(Fault::Bomb(bytes)) => {
                let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
                fault_server::answer(200, &headers, &packed(bytes))
            }
        }
    }

    fn page(&self, provider: &str, seen: &Seen) -> (u16, Vec<u8>) {
        let reply = reply(&self.world.lock().unwrap(), provider, seen);
        let (status, body) = match reply {
            Ok(body) => (200, body),
            Err(refusal) => (refusal.status, refusal.body),
        };
        (status, serde_json::to_vec(&body).unwrap())
    }

    fn fault(&self, provider: &str, seen: &Seen) -> Option<Fault> {
        let mut plans = self.plans.lock().unwrap();
        let plan = plans.get_mut(provider)?.iter_mut().find(|plan| plan.times > 0 && seen.path().contains(&plan.path))?;
        if plan.after > 0 {
            plan.after -= 1;
            return None;
        }
        plan.times -= 1;
        Some(plan.fault.clone())
    }
}

fn whole((status, body): &(u16, Vec<u8>)) -> Answer {
    fault_server::answer(*status, &[("content-type", "application/json")], body)
}

fn changed((status, body): &(u16, Vec<u8>), change: &dyn Fn(&mut Value)) -> Answer {
    let mut value = serde_json::from_slice(body).unwrap();
    change(&mut value);
    whole(&(*status, serde_json::to_vec(&value).unwrap()))
}

fn without(value: &mut Value, field: &str) {
    match value {
        Value::Object(members) => {
            members.remove(field);
            members.values_mut().for_each(|value| without(value, field));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| without(value, field)),
        _ => {}
    }
}

/// Not in objects within objects: the names of their members may be data.
fn with(value: &mut Value, field: &str) {
    if let Value::Object(members) = value {
        members.insert(field.to_string(), json!(1));
    }
    rows(value, field);
}

fn rows(value: &mut Value, field: &str) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| rows(value, field)),
        Value::Array(values) => values.iter_mut().for_each(|value| with(value, field)),
        _ => {}
    }
}

/// The names that cursors have in queries.
const CURSORS: [&str; 7] = ["page", "cursor", "token", "pageToken", "after", "after_id", "offset"];

fn without_cursor(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_string() };
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !CURSORS.contains(&pair.split('=').next().unwrap_or_default())).collect();
    format!("{path}?{}", kept.join("&"))
}

/// A JSON text of one long string, packed with gzip without ever being in memory.
fn packed(bytes: u64) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(b"\"").unwrap();
    let part = vec![b'a'; 1 << 20];
    for _ in 0..bytes >> 20 {
        packer.write_all(&part).unwrap();
    }
    packer.write_all(b"\"").unwrap();
    packer.finish().unwrap()
}

/// The page that a provider gives.
pub fn reply(world: &World, provider: &str, seen: &Seen) -> Reply {
    match provider {
        "anthropic" => anthropic::reply(world, seen),
        "bfl" => bfl::reply(world, seen),
        "elevenlabs" => elevenlabs::reply(world, seen),
        "fal" => fal::reply(world, seen),
        "google" => google::reply(world, seen),
        "groq" => groq::reply(world, seen),
        "heygen" => heygen::reply(world, seen),
        "mistral" => mistral::reply(world, seen),
        "openai" => openai::reply(world, seen),
        "openrouter" => openrouter::reply(world, seen),
        other => panic!("no such provider: {other}"),
    }
}

/// The key of an account, as the provider makes them. Its own part is like no other text, so that it can be looked for in
/// everything that is written; its front stands in lists of keys, and fal's key id in reports.
pub fn key(provider: &str, account: &str) -> String {
    let own = own_part(provider, account);
    match provider {
        "anthropic" => format!("sk-ant-admin01-{own}"),
        "fal" => format!("{}:{own}", fal::KEY_ID),
        "openai" => format!("sk-admin-{own}"),
        "openrouter" => format!("sk-or-v1-{own}"),
        _ => own,
    }
}

/// The part of a key that is secret.
pub fn own_part(provider: &str, account: &str) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(format!("{provider} {account} {}", std::process::id()));
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whose key a header shows, after the word that stands before it.
fn account(provider: &str, seen: &Seen, header: &str, word: &str) -> Option<&'static str> {
    let shown = seen.header(header)?.strip_prefix(word)?;
    let accounts = ACCOUNTS.iter().find(|(name, _)| *name == provider)?.1;
    accounts.iter().copied().find(|account| key(provider, account) == shown)
}

/// A parameter of the query as a whole number.
fn number(seen: &Seen, name: &str) -> Option<i64> {
    seen.query(name)?.parse().ok()
}

/// The part of a list behind a cursor, and the cursor of the next part. A cursor belongs to its question.
fn part<T: Clone>(all: &[T], size: usize, cursor: Option<&str>, question: &str) -> Result<(Vec<T>, Option<String>), ()> {
    let mark: u32 = question.bytes().fold(7, |mark: u32, byte| mark.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let start = match cursor {
        None => 0,
        Some(cursor) => {
            let (start, of) = cursor.strip_prefix("page_").and_then(|rest| rest.split_once('-')).ok_or(())?;
            if of != mark.to_string() {
                return Err(());
            }
            start.parse().map_err(|_| ())?
        }
    };
    let end = (start + size.max(1)).min(all.len());
    let next = (end < all.len()).then(|| format!("page_{end}-{mark}"));
    Ok((all.get(start..end).ok_or(())?.to_vec(), next))
}

/// The part of a list behind the entry that a cursor names, and whether more follows.
fn part_after(all: &[Value], id: &str, after: Option<&str>, size: usize) -> Result<(Vec<Value>, bool), ()> {
    let start = match after {
        None => 0,
        Some(after) => all.iter().position(|entry| entry[id] == after).ok_or(())? + 1,
    };
    let end = (start + size.max(1)).min(all.len());
    Ok((all[start..end].to_vec(), end < all.len()))
}

/// Two digits and dashes: the first ten characters of a time.
fn day(text: &str) -> chrono::NaiveDate {
    text.get(..10).and_then(|day| day.parse().ok()).unwrap_or_else(|| panic!("no day: {text}"))
}

fn midnight(day: chrono::NaiveDate) -> i64 {
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}

fn day_of(seconds: i64) -> chrono::NaiveDate {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap().date_naive()
}

fn refused(status: u16, body: Value) -> Refusal {
    Refusal { status, body }
}

fn not_found() -> Refusal {
    refused(404, json!({ "error": { "message": "Not found", "type": "not_found", "code": "not_found" } }))
}
