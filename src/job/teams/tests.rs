//! A full team map, and a table of mistakes in team maps.

use super::*;
use crate::job::testing::{Case, assert_faults, assert_robust};
use chrono::NaiveDate;

fn read(text: &str) -> Result<TeamMap, Fault> {
    parse("teams.toml", text)
}

const FULL: &str = r#"[[team]]
name = "growth"
cost_centre = "CC-100"
gl_account = "6100"
[[team]]
name = "search"
[[owner]]
kind = "api_key"
provider = "openai"
name = "key_abc"
team = "growth"
funding = "byok"
from = "2026-01-01"
to = "2026-11-10"
[[owner]]
kind = "api_key"
provider = "openai"
name = "key_abc"
team = "search"
from = "2026-11-10"
[[owner]]
kind = "api_key"
name = "key_abc"
team = "search"
[[shared]]
provider = "openai"
categories = ["Tax", "Credit"]
method = "fixed"
shares = { growth = "0.7", search = "0.3" }
to = "2026-07-01"
[[shared]]
provider = "openai"
categories = ["Tax"]
method = "even"
teams = ["growth", "search"]
from = "2026-07-01"
[[shared]]
method = "proportional"
"#;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn reads_every_key() {
    let map = read(FULL).unwrap();
    let growth = Team { name: "growth".into(), cost_centre: Some("CC-100".into()), gl_account: Some("6100".into()) };
    assert_eq!(map.teams["growth"], growth);
    assert_eq!(map.teams["search"], Team { name: "search".into(), ..Team::default() });
    let owner = |provider: &str, on: &str| map.owner(Owned::ApiKey, provider, "key_abc", day(on)).unwrap();
    let days = Days { from: day("2026-01-01"), to: day("2026-11-10") };
    assert_eq!(*owner("openai", "2026-11-09"), Owner { days, team: "growth".into(), funding: Some(Funding::Byok) });
    assert_eq!(owner("openai", "2026-11-10").team, "search");
    let always = Days { from: NaiveDate::MIN, to: NaiveDate::MAX };
    assert_eq!(*owner("fal", "2026-11-09"), Owner { days: always, team: "search".into(), funding: None });
    let [fixed, even, rest] = map.shared.as_slice() else { panic!("{:?}", map.shared) };
    let share = |name: &str, share: &str| (name.to_string(), Amount::parse(share).unwrap());
    assert_eq!(fixed.method, SharedMethod::Fixed(vec![share("growth", "0.7"), share("search", "0.3")]));
    assert_eq!((fixed.provider.as_deref(), fixed.categories.join("+")), (Some("openai"), "Tax+Credit".to_string()));
    assert_eq!((fixed.days.from, fixed.days.to), (NaiveDate::MIN, day("2026-07-01")));
    assert_eq!(even.method, SharedMethod::Even(vec!["growth".into(), "search".into()]));
    assert_eq!(*rest, SharedRule { days: always, provider: None, categories: vec![], method: SharedMethod::Proportional });
}

#[test]
fn no_text_makes_it_panic() {
    assert_robust(FULL, read);
}

#[test]
fn says_where_what_and_what_to_do() {
    let cases: &[Case] = &[
        ("[[teams]]\nname = \"a\"", 4, "unknown key \"teams\"", "did you mean \"team\"?"),
        ("[[team]]\nname = \"growth\"", 4, "team \"growth\" is already on line 1", "write each team once"),
        (
            "[[team]]\nname = \"Unattributed\"",
            5,
            "name: reports use \"Unattributed\" for something else",
            "give the team another name",
        ),
        ("[[owner]]\nkind = \"apikey\"", 5, "kind: unknown kind \"apikey\"", "did you mean \"api_key\"?"),
        (
            "[[owner]]\nkind = \"person\"",
            5,
            "kind: unknown kind \"person\"",
            "known: api_key, sub_account, account, label, ledger_team, feature, client",
        ),
        ("[[owner]]\nkind = \"label\"\nname = \"x\"\nteam = \"grwth\"", 7, "unknown team \"grwth\"", "did you mean \"growth\"?"),
        (
            "[[owner]]\nkind = \"label\"\nteam = \"growth\"",
            4,
            "missing key \"name\" in [[owner]]",
            "add it, for example: name = \"key_abc\"",
        ),
        (
            "[[owner]]\nkind = \"label\"\nname = \"x\"\nteam = \"growth\"\nfunding = \"credit\"",
            8,
            "funding: unknown funding \"credit\"",
            "did you mean \"credits\"?",
        ),
        (
            "[[owner]]\nkind = \"label\"\nname = \"x\"\nteam = \"growth\"\nfrom = \"2026-13-01\"",
            8,
            "from: expected a day that exists, as YYYY-MM-DD, found \"2026-13-01\"",
            "for example: from = \"2026-01-01\"",
        ),
        (
            "[[owner]]\nkind = \"label\"\nname = \"x\"\nteam = \"growth\"\n[[owner]]\nkind = \"label\"\nname = \"x\"\nteam = \"growth\"\nfrom = \"2026-05-01\"",
            8,
            "owner of \"x\": overlaps line 4, where it belongs to \"growth\"",
            "give the earlier one a \"to\", and the later one the same day as \"from\"",
        ),
        ("[[shared]]\nmethod = \"evenly\"", 5, "method: unknown method \"evenly\"", "known: proportional, even, fixed"),
        (
            "[[shared]]\nmethod = \"even\"",
            4,
            "missing key \"teams\" in [[shared]]",
            "add it, for example: teams = [\"growth\", \"search\"]",
        ),
        (
            "[[shared]]\nmethod = \"even\"\nteams = [\"growth\", \"growth\"]",
            6,
            "teams: \"growth\" stands twice",
            "take one of them out",
        ),
        ("[[shared]]\nmethod = \"even\"\nteams = [\"search\"]", 6, "unknown team \"search\"", "known: growth"),
        (
            "[[shared]]\nmethod = \"proportional\"\nshares = { growth = \"1\" }",
            6,
            "shares: goes with method \"fixed\" only",
            "take \"shares\" out",
        ),
        (
            "[[shared]]\nmethod = \"fixed\"\nteams = [\"growth\"]",
            6,
            "teams: goes with method \"even\" only",
            "take \"teams\" out",
        ),
        (
            "[[shared]]\nmethod = \"fixed\"\nshares = { growth = \"0.9\" }",
            6,
            "shares: they sum to 0.9, not to 1",
            "write parts of 1, such as \"0.25\" for a quarter",
        ),
        (
            "[[shared]]\nmethod = \"fixed\"\nshares = { growth = 1 }",
            6,
            "growth: expected a number in quotes, found 1",
            "write it in quotes: \"1\"; without them digits may be lost",
        ),
        (
            "[[shared]]\nmethod = \"fixed\"\nshares = { growth = \"0\" }",
            6,
            "growth: expected more than 0, found \"0\"",
            "take the team out, or give it a share",
        ),
        (
            "[[shared]]\ncategories = [\"tax\"]\nmethod = \"proportional\"",
            5,
            "categories: unknown charge category \"tax\"",
            "did you mean \"Tax\"?",
        ),
        (
            "[[shared]]\nmethod = \"proportional\"\n[[shared]]\nmethod = \"even\"\nteams = [\"growth\"]",
            6,
            "shared: spreads charges that the rule on line 4 spreads",
            "give the rules other categories, providers or days",
        ),
    ];
    assert_faults("teams.toml", ExitCode::Data, cases, |text| read(&format!("[[team]]\nname = \"growth\"\n\n{text}")));
    let none: &[Case] = &[("", 1, "no [[team]]", "add a section [[team]] with: name")];
    assert_faults("teams.toml", ExitCode::Data, none, read);
}
