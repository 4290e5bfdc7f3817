//! The organization's workspaces and keys (the provider's sheet, sections 1 and 2.4). Usage has the ids of workspaces
//! only, and people and ledgers their names.

use super::super::request::Request;
use super::super::{BadPage, fields};
use super::{API_KEYS, Report, WORKSPACE_NAMES};
use crate::domain::names::{NameKind, Named};
use serde_json::Value;

/// The page size of the list of keys, as published.
pub(super) const KEYS_A_PAGE: usize = 100;

/// The list that a page is.
pub(super) fn report(page: &Value) -> Option<&'static Report> {
    if page.get("keys").is_some_and(Value::is_array) {
        return Some(&API_KEYS);
    }
    (page.get("items").is_some_and(Value::is_array) && page.get("total").is_some()).then_some(&WORKSPACE_NAMES)
}

/// The entries of a page that have a name.
pub(super) fn read(page: &Value) -> Result<Vec<Named>, BadPage> {
    match page.get("keys") {
        Some(_) => fields::names(page, "keys", NameKind::ApiKey, ("key_id", "name")),
        None => fields::names(page, "items", NameKind::SubAccount, ("uuid", "name")),
    }
}

/// The next page: workspaces are counted by pages and say how many there are, keys by rows and do not say it.
pub(super) fn next(asked: &Request, bytes: &[u8]) -> Result<Option<Request>, BadPage> {
    let page = fields::json(bytes)?;
    let number =
        |name: &str| asked.query.iter().find(|(other, _)| other == name).and_then(|(_, value)| value.parse::<u64>().ok());
    if asked.report == API_KEYS.name {
        let rows = fields::array(&page, "keys")?.len();
        let after = number("offset").unwrap_or(0) + rows as u64;
        return Ok((rows >= KEYS_A_PAGE).then(|| asked.turned("offset", after)));
    }
    let rows = fields::array(&page, "items")?.len();
    let count = |key: &str| {
        let count = page.get(key).and_then(Value::as_u64);
        count.ok_or_else(|| {
            let what = format!("{key}: expected a count, found {}", fields::found(page.get(key)));
            BadPage::new(what, "run again; if it stays so, the provider has changed its API")
        })
    };
    let (total, size, at) = (count("total")?, count("page_size")?, number("page").unwrap_or(1));
    Ok((rows > 0 && at.saturating_mul(size) < total).then(|| asked.turned("page", at + 1)))
}

#[cfg(test)]
mod tests {
    use super::super::super::request::tests::{days, settings, url};
    use super::super::super::request::{Account, Request};
    use super::super::super::{Adapter, Page};
    use super::super::Mistral;
    use super::*;

    const WORKSPACES: &str = r#"{"object":"list","items":[{"uuid":"0b5c7a9e","name":"growth","description":null,"icon":null,
        "is_default":false}],"total":30,"page":1,"page_size":25}"#;
    const KEYS: &str = r#"{"keys":[{"key_id":"8d2f","key":null,"name":"growth-prod","hidden_key":"HQSx...Q9aZ",
        "workspace_id":"0b5c7a9e","workspace_name":"growth"},{"key_id":"8d30","key":null,"name":null}]}"#;

    fn page(text: &str) -> Page<'_> {
        Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] }
    }

    #[test]
    fn both_lists_are_asked_after_the_usage_and_to_their_end() {
        let settings = settings(&[("names", "yes")]);
        let asked = Mistral.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap();
        let root = "GET https://api.mistral.ai/v1/admin";
        let urls: Vec<String> = asked[1..].iter().map(url).collect();
        assert_eq!(urls, [format!("{root}/workspaces?is_archived=true&page=1"), format!("{root}/api-keys?limit=100")]);
        assert!(asked[1..].iter().all(|request| request.days == days("2026-11-18", "2026-11-19")));
        let next = |asked: &Request, text: &str| Mistral.next(asked, &page(text));
        let second = next(&asked[1], WORKSPACES).unwrap().unwrap();
        assert_eq!(url(&second), format!("{root}/workspaces?is_archived=true&page=2"));
        assert_eq!(next(&second, WORKSPACES), Ok(None));
        assert!(next(&asked[1], &WORKSPACES.replace("30", "null")).is_err());
        assert_eq!(next(&asked[2], KEYS), Ok(None));
        let full = format!(r#"{{"keys":[{}]}}"#, vec![r#"{"key_id":"8d2f"}"#; 100].join(","));
        let second = next(&asked[2], &full).unwrap().unwrap();
        assert_eq!(url(&second), format!("{root}/api-keys?limit=100&offset=100"));
        assert_eq!(
            next(&second, &full).unwrap().map(|third| url(&third)),
            Some(url(&second).replace("=100&offset=100", "=100&offset=200"))
        );
    }

    #[test]
    fn lists_are_read_and_are_no_charges() {
        let named = |kind, id: &str, name: &str| Named { kind, id: id.to_string(), name: name.to_string() };
        assert_eq!(Mistral.names(&page(WORKSPACES)), Ok(vec![named(NameKind::SubAccount, "0b5c7a9e", "growth")]));
        assert_eq!(Mistral.names(&page(KEYS)), Ok(vec![named(NameKind::ApiKey, "8d2f", "growth-prod")]));
        for (text, name) in [(WORKSPACES, "workspaces"), (KEYS, "api_keys")] {
            assert_eq!(Mistral.identify(&page(text)).map(|report| report.name), Some(name));
            Mistral.parse(&page(text), &mut |line| panic!("{line:?}")).unwrap();
        }
        let bad = Mistral.names(&page(&KEYS.replace("\"8d30\"", "{}"))).unwrap_err();
        assert_eq!(bad.what, "keys[1].key_id: expected an id, found an object");
        assert!(Mistral.names(&page(&KEYS[..60])).is_err());
    }
}
