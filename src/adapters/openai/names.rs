//! The organization's projects and each project's keys, one after the other in one chain: a project, then its
//! keys, then the next project (the provider's sheet, section 2). What is deleted drops out of these lists.

use super::super::request::{Auth, Request, last_day};
use super::super::{BadPage, fields};
use crate::domain::names::{NameKind, Named};
use crate::domain::period::Days;
use serde_json::Value;

pub(super) const REPORT: &str = "projects";
const PROJECTS: &str = "/v1/organization/projects";
const PROJECT: &str = "organization.project";
const KEY: &str = "organization.project.api_key";

/// Whether the page is a list of projects or keys. Only its cursors tell one without entries from the answers of the old
/// usage endpoint.
pub(super) fn is_list(page: &Value) -> bool {
    let entries = page.get("data").and_then(Value::as_array).map(Vec::as_slice);
    fields::text(page, "object") == Some("list")
        && match entries {
            Some([]) => page.get("last_id").is_some(),
            Some([first, ..]) => matches!(fields::text(first, "object"), Some(PROJECT | KEY)),
            None => false,
        }
}

/// The first question: the first project. One a page, so that each answer alone says which project's keys come next.
pub(super) fn request(days: Days, origin: &'static str) -> Request {
    Request::get(REPORT, last_day(days), origin, PROJECTS, Auth::Bearer).with("limit", 1).with("include_archived", true)
}

/// The keys of the project that was found; or the rest of its keys; or the next project.
pub(super) fn next(asked: &Request, bytes: &[u8]) -> Result<Option<Request>, BadPage> {
    let more = fields::cursor(bytes, "has_more", "last_id")?;
    let projects = |after: &str| request(asked.days, asked.origin).with("after", after);
    if let Some(project) = asked.path.strip_prefix(PROJECTS).and_then(|rest| rest.strip_prefix('/')?.strip_suffix("/api_keys")) {
        return Ok(Some(more.map_or_else(|| projects(project), |cursor| asked.turned("after", cursor))));
    }
    let page = fields::json(bytes)?;
    let Some(project) = fields::array(&page, "data")?.first() else { return Ok(None) };
    let id = fields::text(project, "id").unwrap_or_default();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        let what = format!("data[0].id: expected a project's id, found {}", fields::found(project.get("id")));
        return Err(BadPage::new(what, "run again; if it stays so, the provider has changed its API"));
    }
    if fields::text(project, "status") == Some("archived") {
        // Its keys are gone with it.
        return Ok(more.map(|_| projects(id)));
    }
    let query = vec![("limit".to_string(), "100".to_string())];
    Ok(Some(Request { path: format!("{PROJECTS}/{id}/api_keys"), query, ..asked.clone() }))
}

/// The entries of a page that have a name.
pub(super) fn read(page: &Value) -> Result<Vec<Named>, BadPage> {
    let mut found = Vec::new();
    for (at, entry) in fields::array(page, "data")?.iter().enumerate() {
        let kind = match fields::text(entry, "object") {
            Some(PROJECT) => NameKind::SubAccount,
            Some(KEY) => NameKind::ApiKey,
            _ => {
                let what =
                    format!("data[{at}].object: expected a project or a key, found {}", fields::found(entry.get("object")));
                return Err(BadPage::new(what, "is this a page of the report it is filed as?"));
            }
        };
        found.extend(fields::named(entry, &format!("data[{at}]"), kind, ("id", "name"))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::OpenAi;
    use super::*;
    use crate::adapters::request::Account;
    use crate::adapters::request::tests::{days, settings, url};

    const ONE: &str = r#"{"object":"list","data":[{"id":"proj_a","object":"organization.project","name":"Growth",
        "created_at":1711471533,"archived_at":null,"status":"active"}],"first_id":"proj_a","last_id":"proj_a","has_more":true}"#;
    const KEYS: &str = r#"{"object":"list","data":[
        {"object":"organization.project.api_key","redacted_value":"sk-abc...def","name":"prod","created_at":1711471533,"id":"key_a"},
        {"object":"organization.project.api_key","redacted_value":"sk-abc...xyz","name":null,"created_at":1711471534,"id":"key_b"}],
        "first_id":"key_a","last_id":"key_b","has_more":false}"#;
    const NONE: &str = r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#;

    fn page(text: &str) -> Page<'_> {
        Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] }
    }

    #[test]
    fn every_project_and_its_keys_are_walked() {
        let settings = settings(&[("reports", "costs"), ("names", "yes")]);
        let asked = OpenAi.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap();
        let first = &asked[1];
        let root = "GET https://api.openai.com/v1/organization/projects";
        assert_eq!(url(first), format!("{root}?limit=1&include_archived=true"));
        assert_eq!(first.days, days("2026-11-18", "2026-11-19"));
        let next = |asked: &Request, text: &str| OpenAi.next(asked, &page(text)).unwrap().unwrap();
        let keys = next(first, ONE);
        assert_eq!(url(&keys), format!("{root}/proj_a/api_keys?limit=100"));
        let more = next(&keys, &KEYS.replace("false", "true"));
        assert_eq!(url(&more), format!("{root}/proj_a/api_keys?limit=100&after=key_b"));
        let second = next(&more, KEYS);
        assert_eq!(url(&second), format!("{root}?limit=1&include_archived=true&after=proj_a"));
        assert_eq!(url(&next(&second, &ONE.replace("active", "archived"))), url(&second));
        assert_eq!(OpenAi.next(&second, &page(NONE)), Ok(None));
        assert!(OpenAi.next(first, &page(&ONE.replace("\"proj_a\"", "\"../x\""))).is_err());
        assert!(OpenAi.next(first, &page(&ONE.replace("\"last_id\":\"proj_a\"", "\"last_id\":null"))).is_err());
    }

    #[test]
    fn lists_are_read_and_are_no_charges() {
        let named = |kind, id: &str, name: &str| Named { kind, id: id.to_string(), name: name.to_string() };
        assert_eq!(OpenAi.names(&page(ONE)), Ok(vec![named(NameKind::SubAccount, "proj_a", "Growth")]));
        assert_eq!(OpenAi.names(&page(KEYS)), Ok(vec![named(NameKind::ApiKey, "key_a", "prod")]));
        assert_eq!(OpenAi.names(&page(NONE)), Ok(vec![]));
        for text in [ONE, KEYS] {
            assert_eq!(OpenAi.identify(&page(text)).map(|report| report.name), Some(REPORT));
            OpenAi.parse(&page(text), &mut |line| panic!("{line:?}")).unwrap();
        }
        let bad = OpenAi.names(&page(&KEYS.replace("\"key_b\"}", "7}"))).unwrap_err();
        assert_eq!(bad.what, "data[1].id: expected an id, found 7");
        assert!(OpenAi.names(&page(&KEYS[..200])).is_err());
    }
}
