//! Plan text into [`Plan`]. Terms of one offer never overlap; a missing price is refused, not guessed.

use super::checked::{currency, meter, provider};
use super::keys::{
    PLANS, PLANS_BYOK, PLANS_CREDITS, PLANS_DISCOUNT, PLANS_MINIMUM, PLANS_PACK, PLANS_RATE, PLANS_RATE_TIER, PLANS_STEP,
    PLANS_TIER, PLANS_TOP,
};
use super::toml_at::{self, Origin, Section, Value, quoted};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Amount;
use crate::domain::period::Days;
use crate::domain::plan::{
    ALWAYS, Allowance, Choice, Deposit, LIST_COST, Ladder, Minimum, OwnDiscount, Pack, Plan, Range, Rate, RateTier, Route,
    Settlement, Step, Terms, Tier,
};
use chrono::NaiveDate;

const DECIMALS_MAX: usize = 12;
const PERCENT_DECIMALS_MAX: usize = 4;
const PERCENT_MAX: i64 = 10_000;
const UNITS_MAX: u64 = 1_000_000_000_000_000;
const PER_MAX: u64 = 1_000_000_000;
const EXPIRES_DAYS_MAX: u64 = 36_500;

/// Reads a plan.
///
/// # Errors
/// The first thing that is wrong, with exit code 65, the line, and what to write instead.
pub fn parse(file: &str, text: &str) -> Result<Plan, Fault> {
    let origin = Origin { file, text, code: ExitCode::Data, keys: &PLANS };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &PLANS_TOP)?;
    let name = top.need("name")?.text()?.to_string();
    let currency = currency(&top.need("currency")?)?;
    let unit = unit(&top.need("unit")?)?.to_string();
    let checked = top.need("checked")?.day()?;
    top.need("source")?.text()?;
    let credits = top.sections("credits", &PLANS_CREDITS)?;
    let byok = top.sections("byok", &PLANS_BYOK)?;
    if credits.is_empty() && byok.is_empty() {
        let hint = "add a section [[credits]] or [[byok]]; one without keys charges what jobs/README.md gives as default";
        return Err(top.fault("neither [[credits]] nor [[byok]]", hint));
    }
    let credits = dated(&credits, Route::Credits, &unit)?;
    let byok = dated(&byok, Route::Byok, &unit)?;
    Ok(Plan { name, currency, unit, checked, credits, byok })
}

fn unit<'a>(value: &Value<'a>) -> Result<&'a str, Fault> {
    let text = value.text()?;
    if text == LIST_COST { Ok(text) } else { meter(text, value) }
}

/// The terms of a route, each closed where the next of its offer begins.
fn dated(sections: &[Section<'_>], route: Route, unit: &str) -> Result<Vec<Terms>, Fault> {
    let mut all: Vec<(Terms, &Section<'_>)> = Vec::new();
    for section in sections {
        all.push((terms(section, route, unit)?, section));
    }
    let same = |a: &Terms, b: &Terms| {
        let meet = a.signed_up.from < b.signed_up.to && b.signed_up.from < a.signed_up.to;
        a.offer == b.offer && meet
    };
    let starts: Vec<(Option<NaiveDate>, bool)> = all
        .iter()
        .map(|(mine, section)| {
            let later = all.iter().filter(|(other, _)| same(mine, other) && other.days.from > mine.days.from);
            (later.map(|(other, _)| other.days.from).min(), section.get("to").is_none())
        })
        .collect();
    for ((terms, _), (next, open)) in all.iter_mut().zip(starts) {
        if let (Some(next), true) = (next, open) {
            terms.days.to = next;
        }
    }
    for (at, (mine, section)) in all.iter().enumerate() {
        for (other, earlier) in all.iter().take(at) {
            let meet = mine.days.from < other.days.to && other.days.from < mine.days.to;
            if same(mine, other) && meet {
                let what = format!("these terms and those on line {} are in force on the same days", earlier.line());
                return Err(section.fault(what, "end one of them with \"to\", or give it an \"offer\" of its own"));
            }
        }
    }
    Ok(all.into_iter().map(|(terms, _)| terms).collect())
}

fn terms(section: &Section<'_>, route: Route, unit: &str) -> Result<Terms, Fault> {
    let percent = section.get("percent").map(|value| percents(&value)).transpose()?;
    let percent = if route == Route::Byok { Some(percent.unwrap_or_default()) } else { percent };
    let credit_price = section.get("credit_price").map(|value| range(&value)).transpose()?;
    let mut rates = Vec::new();
    for rate in section.sections("rate", &PLANS_RATE)? {
        rates.push(self::rate(&rate, credit_price.is_some())?);
    }
    let subscription = match section.get("tier") {
        Some(_) => Some(ladder(section)?),
        None => match section.get("tier_choice") {
            Some(choice) => return Err(choice.fault("tier_choice: there is no tier to choose", "take it out, or add tiers")),
            None => None,
        },
    };
    let pack = section.get("pack").map(|value| value.section(&PLANS_PACK)).transpose()?;
    if let (Some(pack), Some(_)) = (&pack, &subscription) {
        return Err(pack.fault("both pack and tier", "a volume is bought in one way: take one of them out"));
    }
    let pack = pack.map(|section| pack_of(&section)).transpose()?;
    if subscription.is_some() && unit == LIST_COST && route == Route::Credits {
        let what = format!("tier: volume in {LIST_COST} cannot be included in a subscription");
        return Err(section.fault(what, "name what is included as the plan's unit: a meter, or requests"));
    }
    Ok(Terms {
        route,
        offer: section.text("offer")?.map(str::to_string),
        days: section.days()?,
        signed_up: signed_up(section)?,
        flat_fee: range_or_zero(section, "flat_fee")?,
        rates,
        percent,
        allowance: allowance(section)?,
        subscription,
        pack,
        deposit: deposit(section)?,
        minimums: minimums(section)?,
        steps: steps(section)?,
        discounts: discounts(section)?,
        credit_price,
        ops_hours: range_or_zero(section, "ops_hours")?,
        wage: section.get("wage").map(|value| money(&value)).transpose()?,
        value: money_or_zero(section, "value")?,
        fx: section.get("fx_percent").map_or(Ok(Amount::ZERO), |value| percent_of(&value))?,
        minimum_balance: money_or_zero(section, "minimum_balance")?,
        expires_days: expires(section)?,
        unused: section.get("unused").map_or(Ok(Settlement::Forfeit), |value| value.word(&SETTLEMENTS))?,
    })
}

const SETTLEMENTS: [(&str, Settlement); 3] =
    [("refund", Settlement::Refund), ("carry", Settlement::Carry), ("forfeit", Settlement::Forfeit)];
const CHOICES: [(&str, Choice); 3] = [("fits", Choice::Fits), ("cheapest", Choice::Cheapest), ("line", Choice::Line)];

fn signed_up(section: &Section<'_>) -> Result<Days, Fault> {
    let from = section.get("signed_up_from").map(|value| value.day()).transpose()?.unwrap_or(ALWAYS.from);
    let Some(end) = section.get("signed_up_to") else { return Ok(Days { from, to: ALWAYS.to }) };
    let to = end.day()?;
    if to <= from {
        let hint = "\"signed_up_to\" is excluded: for a single day write the day after it";
        return Err(end.fault(format!("signed_up_to: {to} is not after signed_up_from, {from}"), hint));
    }
    Ok(Days { from, to })
}

fn expires(section: &Section<'_>) -> Result<Option<u32>, Fault> {
    let Some(value) = section.get("expires_days") else { return Ok(None) };
    let days = value.whole(1..=EXPIRES_DAYS_MAX)?;
    u32::try_from(days).map(Some).map_err(|_| value.expected("a whole number"))
}

fn allowance(section: &Section<'_>) -> Result<Option<Allowance>, Fault> {
    let (requests, list) = (section.get("free_requests"), section.get("free_list_cost"));
    let free = match (requests, list) {
        (None, None) => return Ok(None),
        (Some(_), Some(list)) => {
            return Err(list.fault("both free_requests and free_list_cost", "one of them ends what is free: take the other out"));
        }
        (Some(value), None) => (value, Allowance::Requests(units(&value)?)),
        (None, Some(value)) => (value, Allowance::ListCost(money(&value)?)),
    };
    if section.get("percent").is_none() {
        let what = format!("{}: there is no percent that it is free of", free.0.name());
        return Err(free.0.fault(what, "add percent, or take this out"));
    }
    Ok(Some(free.1))
}

fn deposit(section: &Section<'_>) -> Result<Option<Deposit>, Fault> {
    let least = section.get("deposit_minimum");
    let Some(part) = section.get("deposit_percent") else {
        return match least {
            Some(least) => {
                let hint = "add deposit_percent; \"0\" where the fee is the same for every deposit";
                Err(least.fault("deposit_minimum without deposit_percent", hint))
            }
            None => Ok(None),
        };
    };
    Ok(Some(Deposit { part: percent_of(&part)?, minimum: least.map_or(Ok(Amount::ZERO), |value| money(&value))? }))
}

fn minimums(section: &Section<'_>) -> Result<Vec<Minimum>, Fault> {
    let mut minimums: Vec<Minimum> = Vec::new();
    for section in section.sections("minimum", &PLANS_MINIMUM)? {
        let name = section.get("provider").map(|value| provider(&value)).transpose()?.map(str::to_string);
        if minimums.iter().any(|other| other.provider == name) {
            let whose = name.map_or("all usage".to_string(), |name| quoted(&name));
            return Err(section.fault(format!("a second minimum of {whose}"), "keep the one that is charged"));
        }
        minimums.push(Minimum { provider: name, amount: money(&section.need("amount")?)? });
    }
    Ok(minimums)
}

fn steps(section: &Section<'_>) -> Result<Vec<Step>, Fault> {
    let mut steps: Vec<Step> = Vec::new();
    // Only terms of own keys have the key.
    for section in section.sections("step", &PLANS_STEP)? {
        let provider = provider(&section.need("provider")?)?.to_string();
        let at = section.need("meter")?;
        let meter = meter(at.text()?, &at)?.to_string();
        section.need("tier")?;
        if steps.iter().any(|other| other.provider == provider && other.meter == meter) {
            let what = format!("a second subscription for {meter} at {}", quoted(&provider));
            return Err(section.fault(what, "write both as tiers of one step"));
        }
        steps.push(Step { provider, meter, ladder: ladder(&section)? });
    }
    Ok(steps)
}

fn discounts(section: &Section<'_>) -> Result<Vec<OwnDiscount>, Fault> {
    let discount = |section: &Section<'_>| {
        let text = |key: &str| section.text(key).map(|text| text.map(str::to_string));
        let percent = section.need("percent")?;
        let off = percent_of(&percent)?;
        if off.is_zero() || off > Amount::ONE {
            return Err(percent.expected("more than 0 and at most 100"));
        }
        let provider = section.get("provider").map(|value| provider(&value)).transpose()?.map(str::to_string);
        Ok(OwnDiscount { provider, account: text("account")?, api_key_id: text("api_key_id")?, off })
    };
    section.sections("discount", &PLANS_DISCOUNT)?.iter().map(discount).collect()
}

fn rate(section: &Section<'_>, credit_price: bool) -> Result<Rate, Fault> {
    let at = section.need("meter")?;
    let name = at.text()?;
    let meter = if name == LIST_COST { name } else { meter(name, &at)? }.to_string();
    let tiers = match (section.get("price"), section.get("tier")) {
        (Some(price), None) => vec![RateTier { from: Amount::ZERO, price: range(&price)? }],
        (None, Some(_)) => rate_tiers(section)?,
        (Some(_), Some(tier)) => return Err(tier.fault("both price and tier", "take one of them out")),
        (None, None) => {
            let hint = "add one of them, for example: price = \"0.06\"; a price that is not known is left out with its rate";
            return Err(section.fault("neither price nor tier", hint));
        }
    };
    let in_credits = section.get("in_credits");
    if let Some(value) = in_credits.filter(|_| !credit_price) {
        let hint = "add credit_price to the terms, or write the price in money";
        return Err(value.fault("in_credits: the terms have no credit_price", hint));
    }
    Ok(Rate {
        provider: section.get("provider").map(|value| provider(&value)).transpose()?.map(str::to_string),
        model: section.text("model")?.map(str::to_string),
        meter,
        per: section.get("per").map_or(Ok(1), |value| value.whole(1..=PER_MAX))?,
        tiers,
        graduated: section.get("graduated").map_or(Ok(false), |value| value.flag())?,
        in_credits: in_credits.map_or(Ok(false), |value| value.flag())?,
    })
}

fn rate_tiers(section: &Section<'_>) -> Result<Vec<RateTier>, Fault> {
    let mut tiers: Vec<RateTier> = Vec::new();
    for section in section.some_sections("tier", &PLANS_RATE_TIER)? {
        let at = section.need("from")?;
        let from = units(&at)?;
        match tiers.last() {
            None if !from.is_zero() => {
                return Err(at.fault(format!("from: the first tier begins at {from}"), "the first tier begins at 0"));
            }
            Some(before) if from <= before.from => {
                let what = format!("from: {from} is not above the tier before it, {}", before.from);
                return Err(at.fault(what, "write the tiers in ascending order"));
            }
            _ => tiers.push(RateTier { from, price: range(&section.need("price")?)? }),
        }
    }
    Ok(tiers)
}

fn ladder(section: &Section<'_>) -> Result<Ladder, Fault> {
    let choice = section.get("tier_choice").map_or(Ok(Choice::Fits), |value| value.word(&CHOICES))?;
    let sections = section.some_sections("tier", &PLANS_TIER)?;
    let mut tiers: Vec<Tier> = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let last = index + 1 == sections.len();
        let at = section.get("included");
        let included = at.map(|value| units(&value)).transpose()?;
        match (at, included, tiers.last().and_then(|before| before.included)) {
            (Some(at), Some(units), _) if units.is_zero() => return Err(at.expected("more than 0")),
            (Some(at), Some(units), Some(before)) if units <= before => {
                let what = format!("included: {units} is not above the tier before it, {before}");
                return Err(at.fault(what, "write the tiers in ascending order"));
            }
            (None, _, _) if !last || choice == Choice::Line => {
                return Err(section.fault("a tier without included", "only the last tier may go on without end"));
            }
            _ => {}
        }
        let overage = section.get("overage");
        if let Some(value) = overage.filter(|_| included.is_none() || (!last && choice != Choice::Cheapest)) {
            let hint = "take it out, or let the cheapest tier be taken: tier_choice = \"cheapest\"";
            return Err(value.fault("overage: of a tier that is never exceeded", hint));
        }
        let overage = overage.map(|value| range(&value)).transpose()?;
        tiers.push(Tier { included, price: range(&section.need("price")?)?, overage });
    }
    Ok(Ladder { tiers, choice })
}

fn pack_of(section: &Section<'_>) -> Result<Pack, Fault> {
    let at = section.need("units")?;
    let units = units(&at)?;
    if units.is_zero() {
        return Err(at.expected("more than 0"));
    }
    Ok(Pack { units, price: range(&section.need("price")?)? })
}

fn units(value: &Value<'_>) -> Result<Amount, Fault> {
    let number = value.whole(0..=UNITS_MAX)?;
    i64::try_from(number).map(Amount::whole).map_err(|_| value.expected("a whole number"))
}

fn money(value: &Value<'_>) -> Result<Amount, Fault> {
    let decimal = value.decimal(DECIMALS_MAX)?;
    Amount::read_decimal(decimal.mantissa(), decimal.scale()).map(|read| read.amount).map_err(|_| value.expected("a number"))
}

fn money_or_zero(section: &Section<'_>, key: &str) -> Result<Amount, Fault> {
    section.get(key).map_or(Ok(Amount::ZERO), |value| money(&value))
}

/// Per cent as a part: 0.055 for 5.5.
fn percent_of(value: &Value<'_>) -> Result<Amount, Fault> {
    let decimal = value.decimal(PERCENT_DECIMALS_MAX)?;
    let part = Amount::read_decimal(decimal.mantissa(), decimal.scale() + 2).map(|read| read.amount);
    let most = Amount::whole(PERCENT_MAX / 100);
    part.ok().filter(|part| *part <= most).ok_or_else(|| value.expected(&format!("at most {PERCENT_MAX} per cent")))
}

fn range(value: &Value<'_>) -> Result<Range, Fault> {
    ends(value, money)
}

fn percents(value: &Value<'_>) -> Result<Range, Fault> {
    ends(value, percent_of)
}

fn range_or_zero(section: &Section<'_>, key: &str) -> Result<Range, Fault> {
    section.get(key).map_or(Ok(Range::default()), |value| range(&value))
}

/// One figure, or a list of its low and its high end.
fn ends(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Result<Amount, Fault>) -> Result<Range, Fault> {
    let Ok(items) = value.list() else { return read(value).map(Range::exactly) };
    let [low, high] = items.as_slice() else { return Err(value.expected("one figure, or a list of two")) };
    let range = Range { low: read(low)?, high: read(high)? };
    if range.high < range.low {
        let what = format!("{}: the range ends below its start, {}", value.name(), range.low);
        return Err(high.fault(what, "write the lower end first"));
    }
    Ok(range)
}

#[cfg(test)]
mod tests;
