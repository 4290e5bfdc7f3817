//! An eleventh provider, made up, added by the page in CONTRIBUTING.md: `lumen.rs` is the one file that would stand
//! in src/adapters, compiled as it would be there; `lumen/` are its fixtures. What a test cannot do is the two lines
//! of registration.

mod lumen;

use crate::adapters::pages_against_goldens;
use std::collections::BTreeMap;
use std::path::Path;
use tieout::adapters::request::{Account, Auth, Request};
// What an adapter sees as `super`.
pub use tieout::adapters::{Adapter, BadPage, Measures, Page, Report, fields, request};
use tieout::domain::period::Days;

const PROVIDER: &dyn Adapter = &lumen::Lumen;

#[test]
fn its_pages_read_as_their_goldens_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/eleventh/lumen");
    let (pages, differences) = pages_against_goldens(PROVIDER, &folder);
    assert_eq!((pages, differences.as_str()), (4, ""));
}

fn first(settings: &[(&str, &str)]) -> Result<Request, BadPage> {
    let settings: BTreeMap<String, String> = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let days = Days { from: "2026-11-01".parse().unwrap(), to: "2026-11-19".parse().unwrap() };
    PROVIDER.requests(&Account { name: "acme", settings: &settings }, days).map(|mut all| all.remove(0))
}

#[test]
fn it_says_what_to_ask_and_what_comes_next() {
    let asked = first(&[("organization", "acme")]).unwrap();
    assert_eq!((asked.origin, asked.path.as_str(), asked.auth), ("https://api.lumen.example", "/v1/costs", Auth::Bearer));
    let query: Vec<String> = asked.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(query, ["organization=acme", "from=2026-11-01", "to=2026-11-19", "limit=500"]);
    let next = |text: &str| PROVIDER.next(&asked, &Page { file: "costs.json", bytes: text.as_bytes(), group_by: &[] });
    let second = next(r#"{"costs":[],"more":true,"cursor":"c2"}"#).unwrap().unwrap();
    assert_eq!(second.query.last(), Some(&("cursor".to_string(), "c2".to_string())));
    assert_eq!(next(r#"{"costs":[],"more":false}"#), Ok(None));
    assert!(next(r#"{"costs":[],"more":true}"#).is_err());
    assert!(first(&[]).unwrap_err().what.starts_with("organization: "));
}
