//! Law 4 of contract section 5 for savings and prepaid credits, recomputed from the written rows.

use super::laws::{BETWEEN, Sheet, Sums, add, overflow, same};
use crate::domain::money::{Amount, sum};
use crate::domain::plan::Component;
use csv::ByteRecord;
use std::collections::BTreeMap;

const ALL: &str = "ALL";
/// Columns whose rows sum to the rows of totals above them, besides those of the components.
const SUMMED: [&str; 12] = [
    "actual_credits",
    "actual_byok",
    "actual_fees",
    "all_credits_low",
    "all_credits_high",
    "all_byok_low",
    "all_byok_high",
    "realised",
    "missed",
    "estimated_byok",
    "not_comparable",
    "not_comparable_cost",
];

/// In each row of `savings.csv`: the saving is credits less own keys, at both ends; the components sum to its
/// low end, with the hours to the all-in one; `realised` is credits less what was paid. The rows of a team and
/// provider, of a team, and of everything sum to their total, whatever the level on which a fee was charged.
pub(super) fn compared(sheet: &Sheet) -> Result<(), String> {
    let [month, team, provider, model, currency] = sheet.columns(["period_start", "team", "provider", "model", "currency"])?;
    let names = SUMMED.into_iter().chain(Component::ALL.map(Component::name));
    let summed = names.map(|name| Ok((name, sheet.column(name)?))).collect::<Result<Vec<_>, String>>()?;
    let (mut parts, mut totals) = (Sums::new(), Sums::new());
    for row in &sheet.rows {
        let key = sheet.key(row, &[month, team, provider, model])?;
        one(sheet, row, &key)?;
        let is_all = |column| Ok::<bool, String>(sheet.text(row, column)? == ALL);
        let (all_teams, all_providers, all_models) = (is_all(team)?, is_all(provider)?, is_all(model)?);
        let (month, currency) = (sheet.text(row, month)?, sheet.text(row, currency)?);
        for (name, column) in &summed {
            let Some(amount) = sheet.number(row, *column)? else { continue };
            let place = |team: &str, provider: &str| [month, currency, *name, team, provider].join(&BETWEEN.to_string());
            let (team, provider) = (sheet.text(row, team)?, sheet.text(row, provider)?);
            if all_models {
                let provider = if all_providers { ALL } else { provider };
                add(&mut totals, place(if all_teams { ALL } else { team }, provider), amount)?;
            } else {
                for above in [place(team, provider), place(team, ALL), place(ALL, provider), place(ALL, ALL)] {
                    add(&mut parts, above, amount)?;
                }
            }
        }
    }
    for (key, total) in &totals {
        same(sheet.file, key, "sum of the rows against the total", parts.remove(key).unwrap_or_default(), *total)?;
    }
    for (key, sum) in &parts {
        same(sheet.file, key, "sum of rows without a total", *sum, Amount::ZERO)?;
    }
    Ok(())
}

/// In `savings_clients.csv`: each row keeps what [`compared`] says of one row, and all clients of a month, team,
/// provider and model sum to that row of `savings.csv`, totals included.
pub(super) fn by_client(clients: &Sheet, savings: &Sheet) -> Result<(), String> {
    const PLACE: [&str; 5] = ["period_start", "team", "provider", "model", "currency"];
    // What follows from sums is a sum; a volume is one only where all of it has one unit.
    let others = ["saving_low", "saving_high", "all_in_saving_low", "all_in_saving_high", "volume"];
    let names: Vec<&str> = SUMMED.into_iter().chain(Component::ALL.map(Component::name)).chain(others).collect();
    let mut sums = Sums::new();
    let about = clients.columns(PLACE)?;
    for row in &clients.rows {
        let place = clients.key(row, &about)?;
        one(clients, row, &place)?;
        for name in &names {
            if let Some(amount) = clients.number(row, clients.column(name)?)? {
                add(&mut sums, format!("{place}{BETWEEN}{name}"), amount)?;
            }
        }
    }
    let about = savings.columns(PLACE)?;
    for row in &savings.rows {
        let place = savings.key(row, &about)?;
        for name in &names {
            let key = format!("{place}{BETWEEN}{name}");
            let sum = sums.remove(&key);
            match savings.number(row, savings.column(name)?)? {
                Some(amount) => {
                    same(clients.file, &key, "sum of the clients against savings.csv", sum.unwrap_or_default(), amount)?
                }
                None if *name == "volume" => {}
                None => {
                    same(clients.file, &key, "clients of an empty cell of savings.csv", sum.unwrap_or_default(), Amount::ZERO)?
                }
            }
        }
    }
    match sums.keys().next() {
        None => Ok(()),
        Some(key) => Err(format!("{}: {}: not in savings.csv", clients.file, key.replace(BETWEEN, " "))),
    }
}

fn one(sheet: &Sheet, row: &ByteRecord, key: &str) -> Result<(), String> {
    let number = |name: &str| sheet.number(row, sheet.column(name)?);
    let Some(low) = number("saving_low")? else { return Ok(()) };
    let amount = |name: &str| sheet.amount(row, sheet.column(name)?);
    let minus = |a: Amount, b: Amount| a.checked_sub(b).ok_or_else(overflow);
    let same = |what: &str, left: Amount, right: Amount| same(sheet.file, key, what, left, right);
    let high = amount("saving_high")?;
    same("saving_low against credits less own keys", low, minus(amount("all_credits_low")?, amount("all_byok_high")?)?)?;
    same("saving_high against credits less own keys", high, minus(amount("all_credits_high")?, amount("all_byok_low")?)?)?;
    if low > high {
        return Err(format!("{}: {key}: saving_low {low} is above saving_high {high}", sheet.file));
    }
    let (mut cash, mut hours) = (Amount::ZERO, Amount::ZERO);
    for component in Component::ALL {
        let of = if component == Component::OpsHours { &mut hours } else { &mut cash };
        *of = of.checked_add(amount(component.name())?).ok_or_else(overflow)?;
    }
    same("sum of the components against saving_low", cash, low)?;
    let all_in = cash.checked_add(hours).ok_or_else(overflow)?;
    same("sum of the components with ops_hours against all_in_saving_low", all_in, amount("all_in_saving_low")?)?;
    let paid = sum([amount("actual_credits")?, amount("actual_byok")?, amount("actual_fees")?]).ok_or_else(overflow)?;
    same("realised against all_credits_low less what was paid", amount("realised")?, minus(amount("all_credits_low")?, paid)?)
}

/// In `prepaid.csv`, pool by pool: opening + purchased + granted − used − expired − refunded = closing, and each
/// month opens with what the one before closed with.
pub(super) fn rolls_forward(sheet: &Sheet) -> Result<(), String> {
    let [month, pool] = sheet.columns(["period_start", "pool"])?;
    let ins = sheet.columns(["opening", "purchased", "granted"])?;
    let outs = sheet.columns(["used", "expired", "refunded", "closing"])?;
    let mut closed: BTreeMap<String, Amount> = BTreeMap::new();
    for row in &sheet.rows {
        let total = |columns: &[usize]| {
            let amounts = columns.iter().map(|column| sheet.amount(row, *column)).collect::<Result<Vec<_>, _>>()?;
            sum(amounts).ok_or_else(overflow)
        };
        let key = sheet.key(row, &[month, pool])?;
        same(sheet.file, &key, "what went in against what went out and is left", total(&ins)?, total(&outs)?)?;
        let name = sheet.text(row, pool)?.to_string();
        // Rows stand in the order of their months.
        let [opening, closing] = sheet.columns(["opening", "closing"])?;
        if let Some(before) = closed.insert(name, sheet.amount(row, closing)?) {
            same(sheet.file, &key, "opening against the closing before", sheet.amount(row, opening)?, before)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
