//! The account's workspaces, and of each its keys and the customer's own keys at other providers, one after the other
//! in one chain (the provider's sheet, section 2.4). Exports and analytics show keys by name only; what is deleted
//! drops out of these lists.

use super::super::request::{Auth, Request, last_day};
use super::super::{BadPage, fields};
use crate::domain::names::{NameKind, Named};
use crate::domain::period::Days;
use serde_json::Value;

pub(super) const REPORT: &str = "keys";
const WORKSPACES: &str = "/api/v1/workspaces";
const KEYS: &str = "/api/v1/keys";
const OWN_KEYS: &str = "/api/v1/byok";
/// Keys have no other page size; the other two lists take it as their largest.
const ROWS: usize = 100;

/// What an entry of these lists is; `None` for anything else.
fn kind(entry: &Value) -> Option<NameKind> {
    let has = |key: &str| entry.get(key).is_some();
    match () {
        () if has("hash") => Some(NameKind::ApiKey),
        () if has("id") && has("slug") => Some(NameKind::SubAccount),
        () if has("id") && has("provider") && has("is_fallback") => Some(NameKind::OwnKey),
        () => None,
    }
}

/// Whether the page is one of the lists. One without entries is known by its count, which a day without activity has not.
pub(super) fn is_list(page: &Value) -> bool {
    match page.get("data").and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => page.get("total_count").is_some(),
        Some([first, ..]) => kind(first).is_some(),
        None => false,
    }
}

/// The first question: the workspaces. Keys of others than the default one are shown only where they are asked for.
pub(super) fn request(days: Days, origin: &'static str) -> Request {
    Request::get(REPORT, last_day(days), origin, WORKSPACES, Auth::Bearer).with("limit", ROWS)
}

/// The rest of the list; or the lists of the workspaces that it names; or the next of what was put off.
pub(super) fn next(asked: &Request, bytes: &[u8]) -> Result<Option<Request>, BadPage> {
    let page = fields::json(bytes)?;
    let rows = fields::array(&page, "data")?;
    let after = rows_before(asked) + rows.len();
    let more = rows.len() >= ROWS || total(&page).is_some_and(|total| !rows.is_empty() && after < total);
    let mut questions = Vec::new();
    if asked.path == WORKSPACES {
        for (at, workspace) in rows.iter().enumerate() {
            let id = fields::text(workspace, "id").filter(|id| is_id(id)).ok_or_else(|| {
                let what = format!("data[{at}].id: expected a workspace's id, found {}", fields::found(workspace.get("id")));
                BadPage::new(what, "run again; if it stays so, the provider has changed its API")
            })?;
            let of = |path: &str| Request::get(REPORT, asked.days, asked.origin, path, Auth::Bearer).with("workspace_id", id);
            questions.push(of(KEYS).with("include_disabled", true));
            questions.push(of(OWN_KEYS).with("limit", ROWS));
        }
    }
    if more {
        questions.push(Request { then: Vec::new(), ..asked.turned("offset", after) });
    }
    questions.extend(asked.then.iter().cloned());
    Ok(Request::one_by_one(questions))
}

/// How many rows the pages before this one had.
fn rows_before(asked: &Request) -> usize {
    let offset = asked.query.iter().find(|(name, _)| name == "offset");
    offset.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

fn total(page: &Value) -> Option<usize> {
    page.get("total_count").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok())
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The entries of a page that have a name. Of a customer's own key the provider that it is for is part of the name.
pub(super) fn read(page: &Value) -> Result<Vec<Named>, BadPage> {
    let mut found = Vec::new();
    for (at, entry) in fields::array(page, "data")?.iter().enumerate() {
        let place = format!("data[{at}]");
        let Some(kind) = kind(entry) else {
            let what = format!("{place}: expected a workspace, a key or an own key, found {}", fields::found(Some(entry)));
            return Err(BadPage::new(what, "is this a page of the report it is filed as?"));
        };
        let keys = if kind == NameKind::ApiKey { ("hash", "name") } else { ("id", "name") };
        let named = fields::named(entry, &place, kind, keys)?;
        if kind != NameKind::OwnKey {
            found.extend(named);
            continue;
        }
        // Its own name may be left out; the provider is always there.
        let of_provider = fields::named(entry, &place, kind, ("id", "provider"))?;
        found.extend(of_provider.map(|provider| match named {
            Some(named) => Named { name: format!("{}: {}", provider.name, named.name), ..provider },
            None => provider,
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::OpenRouter;
    use super::*;
    use crate::adapters::request::Account;
    use crate::adapters::request::tests::{days, settings, url};

    const TWO: &str = r#"{"data":[{"id":"w-1","slug":"default","name":"Default"},{"id":"w-2","slug":"eval","name":"Eval"}],
        "total_count":2}"#;
    const KEY: &str = r#"{"data":[{"hash":"f01d","name":"prod","label":"sk-or-v1-0e6...1c96","disabled":true,"usage":1.5}]}"#;
    const OWN: &str = r#"{"data":[{"id":"b-1","provider":"openai","name":"Prod","is_fallback":false,"workspace_id":null},
        {"id":"b-2","provider":"anthropic","name":null,"is_fallback":true,"workspace_id":"w-1"}],"total_count":2}"#;
    const NONE: &str = r#"{"data":[],"total_count":0}"#;

    fn page(text: &str) -> Page<'_> {
        Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] }
    }

    #[test]
    fn every_workspace_is_asked_for_its_keys_and_own_keys() {
        let settings = settings(&[("reports", "activity"), ("names", "yes")]);
        let asked = OpenRouter.requests(&Account { name: "a", settings: &settings }, days("2026-11-18", "2026-11-19")).unwrap();
        let root = "GET https://openrouter.ai/api/v1";
        assert_eq!(url(&asked[1]), format!("{root}/workspaces?limit=100"));
        let mut request = asked[1].clone();
        let mut urls = Vec::new();
        for answer in [TWO, KEY, OWN, KEY, NONE] {
            let next = OpenRouter.next(&request, &page(answer)).unwrap();
            let Some(next) = next else { break };
            urls.push(url(&next));
            request = next;
        }
        assert_eq!(
            urls,
            [
                format!("{root}/keys?workspace_id=w-1&include_disabled=true"),
                format!("{root}/byok?workspace_id=w-1&limit=100"),
                format!("{root}/keys?workspace_id=w-2&include_disabled=true"),
                format!("{root}/byok?workspace_id=w-2&limit=100"),
            ]
        );
        assert_eq!(OpenRouter.next(&request, &page(NONE)), Ok(None));
        let bad = OpenRouter.next(&asked[1], &page(&TWO.replace("w-2", "../w"))).unwrap_err();
        assert_eq!(bad.what, "data[1].id: expected a workspace's id, found \"../w\"");
    }

    #[test]
    fn a_full_page_is_followed_by_the_next() {
        let list = |rows: usize, total: &str| {
            let row = r#"{"hash":"f01d","name":"prod"}"#;
            format!(r#"{{"data":[{}]{total}}}"#, vec![row; rows].join(","))
        };
        let first = Request::get(REPORT, days("2026-11-18", "2026-11-19"), "https://openrouter.ai", KEYS, Auth::Bearer);
        let second = OpenRouter.next(&first, &page(&list(100, ""))).unwrap().unwrap();
        assert_eq!(url(&second), "GET https://openrouter.ai/api/v1/keys?offset=100");
        assert_eq!(OpenRouter.next(&second, &page(&list(3, ""))), Ok(None));
        // Where the list says how long it is, that counts; a page without rows ends it all the same.
        let more = OpenRouter.next(&first, &page(&list(50, r#","total_count":70"#))).unwrap();
        assert_eq!(more.map(|more| url(&more)), Some("GET https://openrouter.ai/api/v1/keys?offset=50".to_string()));
        assert_eq!(OpenRouter.next(&first, &page(&list(0, r#","total_count":70"#))), Ok(None));
    }

    #[test]
    fn lists_are_read_and_are_no_charges() {
        let named = |kind, id: &str, name: &str| Named { kind, id: id.to_string(), name: name.to_string() };
        let workspaces = vec![named(NameKind::SubAccount, "w-1", "Default"), named(NameKind::SubAccount, "w-2", "Eval")];
        assert_eq!(OpenRouter.names(&page(TWO)), Ok(workspaces));
        assert_eq!(OpenRouter.names(&page(KEY)), Ok(vec![named(NameKind::ApiKey, "f01d", "prod")]));
        let own = vec![named(NameKind::OwnKey, "b-1", "openai: Prod"), named(NameKind::OwnKey, "b-2", "anthropic")];
        assert_eq!(OpenRouter.names(&page(OWN)), Ok(own));
        for text in [TWO, KEY, OWN, NONE] {
            assert_eq!(OpenRouter.identify(&page(text)).map(|report| report.name), Some(REPORT));
            OpenRouter.parse(&page(text), &mut |line| panic!("{line:?}")).unwrap();
        }
        let bad = OpenRouter.names(&page(&KEY.replace("\"f01d\"", "7"))).unwrap_err();
        assert_eq!(bad.what, "data[0].hash: expected an id, found 7");
        assert!(OpenRouter.names(&page(&KEY[..40])).is_err());
    }
}
