//! Who stands behind a ledger's own name for an upstream: the job's routes first, then the words that
//! gateways share for providers.

use crate::domain::ledger::Funding;
use crate::domain::period::Days;
use chrono::NaiveDate;

/// What a job says about one upstream of a ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What the ledger calls it: a channel, deployment, provider key, provider or model; a `*` at the end
    /// stands for any rest.
    pub name: String,
    pub days: Days,
    pub provider: Option<String>,
    pub account: Option<String>,
    pub api_key_id: Option<String>,
    pub funding: Option<Funding>,
}

/// Who served a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upstream<'a> {
    pub provider: Option<&'a str>,
    pub account: Option<&'a str>,
    pub api_key_id: Option<&'a str>,
    pub funding: Option<&'static str>,
}

/// The upstream behind `names`, the finest first: each of its parts from the first name whose route has it,
/// the provider else from the ledger's own `word` for it.
pub fn upstream<'a>(routes: &'a [Route], names: &[Option<&str>], day: Option<NaiveDate>, word: Option<&'a str>) -> Upstream<'a> {
    let mut found = Upstream::default();
    for name in names.iter().copied().flatten() {
        let mut fitting: Vec<&Route> = routes.iter().filter(|route| fits(route, name, day)).collect();
        // The exact name before patterns, a longer pattern before a shorter one.
        fitting.sort_by_key(|route| (route.name != name, std::cmp::Reverse(route.name.len())));
        for route in fitting {
            found.provider = found.provider.or(route.provider.as_deref());
            found.account = found.account.or(route.account.as_deref());
            found.api_key_id = found.api_key_id.or(route.api_key_id.as_deref());
            found.funding = found.funding.or(route.funding.map(Funding::name));
        }
    }
    found.provider = found.provider.or(word);
    found
}

fn fits(route: &Route, name: &str, day: Option<NaiveDate>) -> bool {
    let named = match route.name.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => route.name == name,
    };
    named && day.is_none_or(|day| route.days.contains(day))
}

/// The words of gateways for providers that a job can have as sources. Every other word stands as it is.
const WORDS: [(&str, &str); 18] = [
    ("anthropic", "anthropic"),
    ("bfl", "bfl"),
    ("black_forest_labs", "bfl"),
    ("black-forest-labs", "bfl"),
    ("elevenlabs", "elevenlabs"),
    ("fal", "fal"),
    ("fal_ai", "fal"),
    ("fal-ai", "fal"),
    ("gemini", "google"),
    ("google", "google"),
    ("groq", "groq"),
    ("heygen", "heygen"),
    ("mistral", "mistral"),
    ("openai", "openai"),
    ("openrouter", "openrouter"),
    ("text-completion-openai", "openai"),
    ("vertex", "google"),
    ("vertex_ai", "google"),
];

/// Our name of a provider, letters folded.
pub fn provider(word: &str) -> String {
    let folded = word.to_ascii_lowercase();
    let known = WORDS.iter().find(|(gateway, _)| *gateway == folded);
    known.map_or(folded, |(_, ours)| (*ours).to_string())
}

/// Beginnings of model names that only one provider serves under.
const MODELS: [(&str, &str); 20] = [
    ("chatgpt-", "openai"),
    ("claude-", "anthropic"),
    ("codestral", "mistral"),
    ("dall-e", "openai"),
    ("eleven_", "elevenlabs"),
    ("fal-ai/", "fal"),
    ("gemini-", "google"),
    ("gpt-", "openai"),
    ("imagen-", "google"),
    ("ministral", "mistral"),
    ("mistral-", "mistral"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4-", "openai"),
    ("pixtral", "mistral"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("tts-1", "openai"),
    ("veo-", "google"),
    ("whisper-1", "openai"),
];

/// The provider whose models are named like this one.
pub fn provider_of_model(model: &str) -> Option<&'static str> {
    MODELS.iter().find(|(start, _)| model.starts_with(start)).map(|(_, provider)| *provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, provider: &str, account: &str) -> Route {
        let days = Days { from: NaiveDate::MIN, to: NaiveDate::MAX };
        let text = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        Route { name: name.into(), days, provider: text(provider), account: text(account), api_key_id: None, funding: None }
    }

    #[test]
    fn the_finest_name_and_the_longest_pattern_win() {
        let routes = [route("claude-*", "anthropic", "a"), route("claude-3-*", "", "b"), route("7", "openai", "")];
        let found = |names: &[Option<&str>]| {
            let found = upstream(&routes, names, None, Some("word"));
            (found.provider, found.account)
        };
        assert_eq!(found(&[Some("claude-3-opus")]), (Some("anthropic"), Some("b")));
        assert_eq!(found(&[Some("7"), Some("claude-4")]), (Some("openai"), Some("a")));
        assert_eq!(found(&[None, Some("8")]), (Some("word"), None));
    }

    #[test]
    fn a_route_holds_on_its_days() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 9, day);
        let days = Days { from: day(1).unwrap(), to: day(10).unwrap() };
        let routes = [Route { days, ..route("7", "openai", "") }];
        assert_eq!(upstream(&routes, &[Some("7")], day(9), None).provider, Some("openai"));
        assert_eq!(upstream(&routes, &[Some("7")], day(10), None).provider, None);
    }
}
