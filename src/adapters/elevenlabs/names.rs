//! The workspace's service accounts with their keys: analytics show a key by its hash, which is no digest of the key that
//! anybody could compute (the provider's sheet, section 1.6).

use super::super::{BadPage, fields};
use crate::domain::names::{NameKind, Named};
use serde_json::Value;

const ACCOUNTS: &str = "service-accounts";
const KEYS: &str = "api-keys";

/// The list of service accounts, or of the keys of one.
pub(super) fn is_list(page: &Value) -> bool {
    [ACCOUNTS, KEYS].into_iter().any(|list| page.get(list).is_some_and(Value::is_array))
}

/// The keys that have a name.
pub(super) fn read(page: &Value) -> Result<Vec<Named>, BadPage> {
    let keys = |of: &Value| fields::names(of, KEYS, NameKind::ApiKey, ("hashed_xi_api_key", "name"));
    if page.get(ACCOUNTS).is_none() {
        return keys(page);
    }
    let mut found = Vec::new();
    for (at, account) in fields::array(page, ACCOUNTS)?.iter().enumerate() {
        found.extend(keys(account).map_err(|bad| BadPage { what: format!("{ACCOUNTS}[{at}].{}", bad.what), ..bad })?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::ElevenLabs;
    use super::*;
    use crate::adapters::request::tests::{asked, days};

    const KEY: &str = r#"{"name":"growth-prod","hint":"...9aZ","key_id":"k1","service_account_user_id":"sa1",
        "hashed_xi_api_key":"5d41402abc4b2a76b9719d911017c592"}"#;

    fn page(text: &str) -> Page<'_> {
        Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] }
    }

    #[test]
    fn the_keys_of_all_service_accounts_are_one_answer() {
        let urls = asked(&ElevenLabs, &[("reports", "history"), ("names", "yes")], days("2026-11-01", "2026-11-19"));
        assert_eq!(urls[1..], ["GET https://api.elevenlabs.io/v1/service-accounts"]);
        let hash = "5d41402abc4b2a76b9719d911017c592".to_string();
        let named = Named { kind: NameKind::ApiKey, id: hash, name: "growth-prod".to_string() };
        let accounts = format!(
            r#"{{"service-accounts":[{{"service_account_user_id":"sa0","name":"unused","api-keys":[]}},
               {{"service_account_user_id":"sa1","name":"growth","api-keys":[{KEY}]}}]}}"#
        );
        for text in [accounts.clone(), format!(r#"{{"api-keys":[{KEY}]}}"#)] {
            assert_eq!(ElevenLabs.names(&page(&text)), Ok(vec![named.clone()]));
            assert_eq!(ElevenLabs.identify(&page(&text)).map(|report| report.name), Some("service_accounts"));
            ElevenLabs.parse(&page(&text), &mut |line| panic!("{line:?}")).unwrap();
        }
        let bad = ElevenLabs.names(&page(&accounts.replace("hashed_xi_api_key", "hash"))).unwrap_err();
        assert_eq!(bad.what, "service-accounts[1].api-keys[0].hashed_xi_api_key: expected an id, found nothing");
    }
}
