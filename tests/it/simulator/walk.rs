//! Saves by hand what a pull would fetch: the adapter's questions, put to the simulator without any network, and its
//! answers written to files with the names that pulled pages have.

use super::{World, key, reply};
use crate::fault_server::Seen;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tieout::adapters::request::{Account, Auth, Method, Request};
use tieout::adapters::{Page, find};
use tieout::domain::period::Days;

/// The pages of one chain.
pub struct Saved {
    pub report: String,
    pub group_by: Vec<String>,
    pub days: Days,
    pub files: Vec<PathBuf>,
}

/// Walks all chains of an account.
pub fn save(world: &World, provider: &str, account: &str, settings: &[(&str, &str)], days: Days, folder: &Path) -> Vec<Saved> {
    let adapter = find(provider).unwrap();
    let settings: BTreeMap<String, String> = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let requests = adapter.requests(&Account { name: account, settings: &settings }, days).unwrap();
    fs::create_dir_all(folder).unwrap();
    let mut all = Vec::new();
    for first in requests {
        let mut saved =
            Saved { report: first.report.to_string(), group_by: first.group_by.clone(), days: first.days, files: Vec::new() };
        let part = first.part.as_ref().map(|part| format!("{part}-")).unwrap_or_default();
        let stem = format!("{}-{}-{part}", first.report.replace('/', "_"), first.days.from);
        let mut next = Some(first);
        let mut asked = 0;
        while let Some(request) = next.take() {
            asked += 1;
            assert!(asked < 1000, "{provider} {}: the pages have no end", request.report);
            let answer = reply(world, provider, &seen(provider, account, &request));
            let body =
                answer.unwrap_or_else(|refusal| panic!("{provider} {}: {} {}", request.path, refusal.status, refusal.body));
            let bytes = serde_json::to_vec(&body).unwrap();
            let file = format!("{stem}{:03}.json", saved.files.len() + 1);
            let page = Page { file: &file, bytes: &bytes, group_by: &request.group_by };
            next = adapter.next(&request, &page).unwrap();
            if adapter.is_page(&request, &page) {
                fs::write(folder.join(&file), &bytes).unwrap();
                saved.files.push(folder.join(file));
            }
        }
        all.push(saved);
    }
    all
}

/// The request as it would arrive.
fn seen(provider: &str, account: &str, request: &Request) -> Seen {
    let secret = key(provider, account);
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    headers.push(match request.auth {
        Auth::Bearer => ("authorization".to_string(), format!("Bearer {secret}")),
        Auth::Authorization(word) => ("authorization".to_string(), format!("{word} {secret}")),
        Auth::Header(name) => (name.to_lowercase(), secret),
        Auth::ServiceAccount { .. } => ("authorization".to_string(), format!("Bearer {}", key("google", "access"))),
    });
    let encoded = |text: &str| -> String {
        text.bytes()
            .map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let target = if query.is_empty() { request.path.clone() } else { format!("{}?{}", request.path, query.join("&")) };
    let method = if request.method == Method::Get { "GET" } else { "POST" };
    let body = request.body.clone().unwrap_or_default().into_bytes();
    Seen { at: Instant::now(), method: method.to_string(), target, headers, body }
}
