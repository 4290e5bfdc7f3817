//! The organisation's workspaces and keys: what the console's exports call by name (the provider's sheet, section 2.4).

use super::super::{BadPage, fields};
use super::{API_KEYS, Report, WORKSPACES};
use crate::domain::names::{NameKind, Named};
use serde_json::Value;

/// Which list an entry is of.
fn kind(entry: &Value) -> Option<NameKind> {
    match fields::text(entry, "type") {
        Some("workspace") => Some(NameKind::SubAccount),
        Some("api_key") => Some(NameKind::ApiKey),
        _ => None,
    }
}

/// The list that a page is; one without entries is known by its report alone.
pub(super) fn report(page: &Value) -> Option<&'static Report> {
    match kind(page.get("data")?.as_array()?.first()?)? {
        NameKind::SubAccount => Some(&WORKSPACES),
        _ => Some(&API_KEYS),
    }
}

/// The entries of a page that have a name.
pub(super) fn read(page: &Value) -> Result<Vec<Named>, BadPage> {
    let mut found = Vec::new();
    for (at, entry) in fields::array(page, "data")?.iter().enumerate() {
        let Some(kind) = kind(entry) else {
            let what = format!("data[{at}].type: expected workspace or api_key, found {}", fields::found(entry.get("type")));
            return Err(BadPage::new(what, "is this a page of the report it is filed as?"));
        };
        found.extend(fields::named(entry, &format!("data[{at}]"), kind, ("id", "name"))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::super::request::tests::{days, settings, url};
    use super::super::super::request::{Account, Request};
    use super::super::super::{Adapter, Page};
    use super::super::Anthropic;
    use super::*;

    const WORKSPACE: &str = r#"{"data":[{"id":"wrkspc_01","type":"workspace","name":"Growth","created_at":"2026-10-30T23:58:27Z",
        "archived_at":null,"display_color":"6C5BB9"}],"has_more":true,"first_id":"wrkspc_01","last_id":"wrkspc_01"}"#;
    const KEYS: &str = r#"{"data":[{"id":"apikey_01","type":"api_key","name":"prod","workspace_id":"wrkspc_01","status":"archived",
        "partial_key_hint":"sk-ant-api03-R2D...igAA","created_at":"2026-10-30T23:58:27Z","created_by":{"id":"user_01","type":"user"}}],
        "has_more":false,"first_id":"apikey_01","last_id":"apikey_01"}"#;

    fn page(text: &str) -> Page<'_> {
        Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] }
    }

    #[test]
    fn both_lists_are_asked_after_the_reports() {
        let settings = settings(&[("reports", "cost_report"), ("names", "yes")]);
        let asked = Anthropic.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap();
        let root = "GET https://api.anthropic.com/v1/organizations";
        let urls: Vec<String> = asked[1..].iter().map(url).collect();
        assert_eq!(urls, [format!("{root}/workspaces?include_archived=true&limit=1000"), format!("{root}/api_keys?limit=1000")]);
        assert!(asked[1..].iter().all(|request| request.days == days("2026-11-18", "2026-11-19")));
        let next = |asked: &Request, text: &str| Anthropic.next(asked, &page(text)).unwrap();
        assert_eq!(next(&asked[1], WORKSPACE).map(|more| url(&more)), Some(format!("{}&after_id=wrkspc_01", urls[0])));
        assert_eq!(next(&asked[2], KEYS), None);
    }

    #[test]
    fn lists_are_read_and_are_no_charges() {
        let named = |kind, id: &str, name: &str| Named { kind, id: id.to_string(), name: name.to_string() };
        assert_eq!(Anthropic.names(&page(WORKSPACE)), Ok(vec![named(NameKind::SubAccount, "wrkspc_01", "Growth")]));
        assert_eq!(Anthropic.names(&page(KEYS)), Ok(vec![named(NameKind::ApiKey, "apikey_01", "prod")]));
        for (text, name) in [(WORKSPACE, "workspaces"), (KEYS, "api_keys")] {
            assert_eq!(Anthropic.identify(&page(text)).map(|report| report.name), Some(name));
            Anthropic.parse(&page(text), &mut |line| panic!("{line:?}")).unwrap();
        }
        let bad = Anthropic.names(&page(&KEYS.replace("\"api_key\"", "\"user\""))).unwrap_err();
        assert_eq!(bad.what, "data[0].type: expected workspace or api_key, found \"user\"");
        assert!(Anthropic.names(&page(&KEYS[..200])).is_err());
    }
}
