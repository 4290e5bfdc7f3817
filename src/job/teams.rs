//! Team map text into a [`TeamMap`]. Nothing has two owners on one day.

use super::checked::provider;
use super::keys::{TEAMS, TEAMS_OWNER, TEAMS_SHARED, TEAMS_TEAM, TEAMS_TOP};
use super::nearest::did_you_mean;
use super::toml_at::{self, Origin, Section, Value, quoted};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger::Funding;
use crate::domain::money::{Amount, sum};
use crate::domain::period::Days;
use crate::domain::teams::{Owned, Owner, SharedMethod, SharedRule, Team, TeamMap};
use crate::domain::usage::ChargeCategory;
use std::collections::BTreeMap;

const KINDS: [(&str, Owned); 7] = [
    ("api_key", Owned::ApiKey),
    ("sub_account", Owned::SubAccount),
    ("account", Owned::Account),
    ("label", Owned::Label),
    ("ledger_team", Owned::LedgerTeam),
    ("feature", Owned::Feature),
    ("client", Owned::Client),
];
/// Words for whose money a key spends.
pub(super) const FUNDINGS: [(&str, Funding); 3] =
    [("byok", Funding::Byok), ("credits", Funding::Credits), ("fallback_credits", Funding::FallbackCredits)];
const CATEGORIES: [ChargeCategory; 5] =
    [ChargeCategory::Usage, ChargeCategory::Purchase, ChargeCategory::Tax, ChargeCategory::Credit, ChargeCategory::Adjustment];
/// Names that reports use for something else.
const RESERVED: [&str; 2] = ["unattributed", "ALL"];
const SHARE_DECIMALS_MAX: usize = 18;

/// Reads a team map.
///
/// # Errors
/// The first thing that is wrong, with exit code 65, the line, and what to write instead.
pub fn parse(file: &str, text: &str) -> Result<TeamMap, Fault> {
    let origin = Origin { file, text, code: ExitCode::Data, keys: &TEAMS };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &TEAMS_TOP)?;
    let teams = teams(&top)?;
    let owners = owners(&top, &teams)?;
    let shared = shared(&top, &teams)?;
    Ok(TeamMap { teams, owners, shared })
}

type Teams = BTreeMap<String, Team>;
type Owners = BTreeMap<(Owned, String, String), Vec<Owner>>;

fn teams(top: &Section<'_>) -> Result<Teams, Fault> {
    let mut teams: BTreeMap<String, (Team, usize)> = BTreeMap::new();
    for section in top.some_sections("team", &TEAMS_TEAM)? {
        let at = section.need("name")?;
        let name = at.text()?;
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(at.fault(format!("name: reports use {} for something else", quoted(name)), "give the team another name"));
        }
        if let Some((_, line)) = teams.get(name) {
            let what = format!("team {} is already on line {line}", quoted(name));
            return Err(section.fault(what, "write each team once"));
        }
        let text = |key: &str| section.text(key).map(|text| text.map(str::to_string));
        let team = Team { name: name.to_string(), cost_centre: text("cost_centre")?, gl_account: text("gl_account")? };
        teams.insert(name.to_string(), (team, section.line()));
    }
    Ok(teams.into_iter().map(|(name, (team, _))| (name, team)).collect())
}

fn known_team(value: &Value<'_>, text: &str, teams: &Teams) -> Result<String, Fault> {
    if teams.contains_key(text) {
        return Ok(text.to_string());
    }
    let known: Vec<&str> = teams.keys().map(String::as_str).collect();
    Err(value.fault(format!("unknown team {}", quoted(text)), did_you_mean(text, &known)))
}

fn owners(top: &Section<'_>, teams: &Teams) -> Result<Owners, Fault> {
    let mut owners: BTreeMap<(Owned, String, String), Vec<(Owner, usize)>> = BTreeMap::new();
    for section in top.sections("owner", &TEAMS_OWNER)? {
        let kind = section.need("kind")?.word(&KINDS)?;
        let provider = section.get("provider").map_or(Ok(""), |value| provider(&value))?;
        let name = section.need("name")?.text()?;
        let team = section.need("team")?;
        let team = known_team(&team, team.text()?, teams)?;
        let funding = section.get("funding").map(|value| value.word(&FUNDINGS)).transpose()?;
        let days = section.days()?;
        let same = owners.entry((kind, provider.to_string(), name.to_string())).or_default();
        if let Some((other, line)) = same.iter().find(|(other, _)| overlap(other.days, days)) {
            let what = format!("owner of {}: overlaps line {line}, where it belongs to {}", quoted(name), quoted(&other.team));
            return Err(section.fault(what, "give the earlier one a \"to\", and the later one the same day as \"from\""));
        }
        same.push((Owner { days, team, funding }, section.line()));
    }
    Ok(owners.into_iter().map(|(key, same)| (key, same.into_iter().map(|(owner, _)| owner).collect())).collect())
}

fn overlap(one: Days, other: Days) -> bool {
    one.from < other.to && other.from < one.to
}

fn shared(top: &Section<'_>, teams: &Teams) -> Result<Vec<SharedRule>, Fault> {
    let mut rules: Vec<(SharedRule, usize)> = Vec::new();
    for section in top.sections("shared", &TEAMS_SHARED)? {
        let provider = section.get("provider").map(|value| provider(&value).map(str::to_string)).transpose()?;
        let categories = section.get("categories").map_or(Ok(Vec::new()), |value| categories(&value))?;
        let method = method(&section, teams)?;
        let rule = SharedRule { days: section.days()?, provider, categories, method };
        if let Some((_, line)) = rules.iter().find(|(other, _)| same_charges(other, &rule)) {
            let what = format!("shared: spreads charges that the rule on line {line} spreads");
            return Err(section.fault(what, "give the rules other categories, providers or days"));
        }
        rules.push((rule, section.line()));
    }
    Ok(rules.into_iter().map(|(rule, _)| rule).collect())
}

/// Rules for all providers or all categories may stand beside narrower ones; equally narrow ones may not overlap.
fn same_charges(one: &SharedRule, other: &SharedRule) -> bool {
    let categories = match (one.categories.is_empty(), other.categories.is_empty()) {
        (true, true) => true,
        _ => one.categories.iter().any(|category| other.categories.contains(category)),
    };
    one.provider == other.provider && categories && overlap(one.days, other.days)
}

fn categories(value: &Value<'_>) -> Result<Vec<String>, Fault> {
    let known = CATEGORIES.map(ChargeCategory::name);
    let mut categories = Vec::new();
    for (text, value) in value.some_texts()? {
        if !known.contains(&text) {
            return Err(value.fault(format!("categories: unknown charge category {}", quoted(text)), did_you_mean(text, &known)));
        }
        categories.push(text.to_string());
    }
    Ok(categories)
}

#[derive(Clone, Copy)]
enum Method {
    Proportional,
    Even,
    Fixed,
}

fn method(section: &Section<'_>, teams: &Teams) -> Result<SharedMethod, Fault> {
    let words = [("proportional", Method::Proportional), ("even", Method::Even), ("fixed", Method::Fixed)];
    let method = section.need("method")?.word(&words)?;
    let belongs = |key: &str, to: &str| match section.get(key) {
        Some(value) => Err(value.fault(format!("{key}: goes with method \"{to}\" only"), format!("take \"{key}\" out"))),
        None => Ok(()),
    };
    if !matches!(method, Method::Even) {
        belongs("teams", "even")?;
    }
    if !matches!(method, Method::Fixed) {
        belongs("shares", "fixed")?;
    }
    Ok(match method {
        Method::Proportional => SharedMethod::Proportional,
        Method::Even => {
            let named = section.need("teams")?.some_texts()?;
            SharedMethod::Even(named.into_iter().map(|(text, value)| known_team(&value, text, teams)).collect::<Result<_, _>>()?)
        }
        Method::Fixed => SharedMethod::Fixed(shares(&section.need("shares")?, teams)?),
    })
}

fn shares(value: &Value<'_>, teams: &Teams) -> Result<Vec<(String, Amount)>, Fault> {
    let mut shares = Vec::new();
    for (name, part) in value.pairs()? {
        let team = known_team(&part, name, teams)?;
        let share = part.decimal(SHARE_DECIMALS_MAX)?;
        let amount = Amount::ONE.times_decimal(share).filter(|amount| !amount.is_zero());
        shares.push((team, amount.ok_or_else(|| part.expected_with("more than 0", "take the team out, or give it a share"))?));
    }
    let total = sum(shares.iter().map(|(_, share)| *share));
    if total != Some(Amount::ONE) {
        let total = total.map_or("too much".to_string(), |total| total.to_string());
        return Err(
            value.fault(format!("shares: they sum to {total}, not to 1"), "write parts of 1, such as \"0.25\" for a quarter")
        );
    }
    Ok(shares)
}

#[cfg(test)]
mod tests;
