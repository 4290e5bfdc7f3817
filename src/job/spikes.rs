//! The section `[spikes]` of a job: thresholds, calendar, budgets.

use super::checked::{currency, provider};
use super::keys::JOB_BUDGET;
use super::toml_at::{Section, Value};
use crate::domain::calendar::Calendar;
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::domain::spike::{Budget, Direction, Settings, Thresholds};
use chrono_tz::Tz;

const DECIMALS_MAX: usize = 6;
const WAYS: [(&str, Direction); 3] = [("up", Direction::Up), ("down", Direction::Down), ("both", Direction::Both)];

/// The settings; every key has a default.
///
/// # Errors
/// The first value that makes no sense, with its line (78).
pub fn settings(section: Option<&Section<'_>>, time_zone: Tz, reporting_currency: Currency) -> Result<Settings, Fault> {
    let mut settings = Settings::default();
    settings.calendar.time_zone = time_zone;
    let Some(section) = section else { return Ok(settings) };
    let usual = Thresholds::default();
    settings.thresholds = Thresholds {
        score: amount(section, "score")?.unwrap_or(usual.score),
        ratio: amount(section, "ratio")?.unwrap_or(usual.ratio),
        money: amount(section, "money")?.unwrap_or(usual.money),
        score_alone: None,
        direction: section.get("direction").map_or(Ok(usual.direction), |value| value.word(&WAYS))?,
        adapt_hours: whole(section, "adapt_hours", 1, 8_760)?.unwrap_or(usual.adapt_hours),
        catch_up: usual.catch_up,
    };
    settings.resolve_hours = whole(section, "resolve_hours", 1, 168)?.unwrap_or(settings.resolve_hours);
    settings.dormant_days = whole(section, "dormant_days", 1, 400)?.unwrap_or(settings.dormant_days);
    settings.rotate_days = whole(section, "rotate_days", 1, 4_000)?;
    settings.calendar = Calendar {
        morning_hour: whole(section, "morning_hour", 0, 23)?.unwrap_or(settings.calendar.morning_hour),
        holidays: match section.get("holidays") {
            None => Default::default(),
            Some(days) => days.list()?.iter().map(Value::day).collect::<Result<_, _>>()?,
        },
        ..settings.calendar
    };
    let mut lines = Vec::new();
    for section in section.sections("budget", &JOB_BUDGET)? {
        let budget = Budget {
            provider: section.get("provider").map_or(Ok(""), |value| provider(&value))?.to_string(),
            team: section.text("team")?.unwrap_or_default().to_string(),
            amount: need_amount(&section.need("amount")?)?,
            currency: section.get("currency").map_or(Ok(reporting_currency), |value| currency(&value))?,
        };
        let whose = |budget: &Budget| (budget.provider.clone(), budget.team.clone(), budget.currency);
        if let Some(at) = settings.budgets.iter().position(|other| whose(other) == whose(&budget)) {
            let line = lines.get(at).copied().unwrap_or_default();
            let what = format!("a budget for the same spend in {} is already on line {line}", budget.currency);
            return Err(section.fault(what, "one limit a month for each provider, team and currency"));
        }
        settings.budgets.push(budget);
        lines.push(section.line());
    }
    Ok(settings)
}

fn amount(section: &Section<'_>, key: &str) -> Result<Option<Amount>, Fault> {
    section.get(key).map(|value| need_amount(&value)).transpose()
}

fn need_amount(value: &Value<'_>) -> Result<Amount, Fault> {
    let decimal = value.decimal(DECIMALS_MAX)?;
    Amount::ONE.times_decimal(decimal).ok_or_else(|| value.expected("a smaller number"))
}

fn whole(section: &Section<'_>, key: &str, min: u64, max: u64) -> Result<Option<u32>, Fault> {
    let Some(value) = section.get(key) else { return Ok(None) };
    let number = value.whole(min..=max)?;
    u32::try_from(number).map(Some).map_err(|_| value.expected("a smaller number"))
}
