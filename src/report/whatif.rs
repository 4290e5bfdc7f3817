//! What `whatif` found, side by side: text for people, CSV and JSON for machines.

use super::layout::{grid, name};
use super::tables::{currency as code, text as cell, too_large};
use super::text::money;
use super::{Cell, Table};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::stages::savings::rows::{ALL, Compared, Saving, Savings};
use chrono::NaiveDate;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Month, team, provider and model.
type Key = (NaiveDate, String, String, String);

/// Rows of both sides by what they are about.
pub struct Sides<'a> {
    rows: BTreeMap<Key, [Option<&'a Saving>; 2]>,
    /// Whose rows they are; `None`: everybody's.
    client: Option<&'a str>,
    currency: Currency,
}

/// The figures that are shown, all of [`FIGURES`].
const FIGURES: [&str; 8] = [
    "all_credits_low",
    "all_credits_high",
    "all_byok_low",
    "all_byok_high",
    "actual",
    "saving_low",
    "all_in_saving_low",
    "all_in_saving_high",
];

fn figures(compared: &Compared) -> Option<[Amount; 8]> {
    let (saving, all_in) = (compared.saving()?, compared.all_in()?);
    Some([
        compared.all_credits.low,
        compared.all_credits.high,
        compared.all_byok.low,
        compared.all_byok.high,
        compared.actual()?,
        saving.low,
        all_in.low,
        all_in.high,
    ])
}

impl<'a> Sides<'a> {
    /// `month`, `client`: only that one.
    pub fn new(
        now: &'a Savings,
        then: &'a Savings,
        month: Option<NaiveDate>,
        client: Option<&'a str>,
        currency: Currency,
    ) -> Sides<'a> {
        let mut rows: BTreeMap<Key, [Option<&Saving>; 2]> = BTreeMap::new();
        for (side, savings) in [now, then].into_iter().enumerate() {
            let all: Vec<&Saving> = match client {
                None => savings.rows.iter().collect(),
                Some(client) => savings.clients.iter().filter(|row| row.client == client).map(|row| &row.saving).collect(),
            };
            for row in all.into_iter().filter(|row| month.is_none_or(|month| row.period_start == month)) {
                let key = (row.period_start, row.team.clone(), row.provider.clone(), row.model.clone());
                if let Some(slot) = rows.entry(key).or_default().get_mut(side) {
                    *slot = Some(row);
                }
            }
        }
        Sides { rows, client, currency }
    }
}

fn compared(row: Option<&Saving>) -> Option<&Compared> {
    row.and_then(|row| row.compared.as_ref())
}

/// Each team and provider with a comparison, as it is and as supposed.
///
/// # Errors
/// A sum that does not fit.
pub fn text(sides: &Sides<'_>) -> Result<String, Fault> {
    let mut rows = Vec::new();
    for ((month, team, provider, model), pair) in &sides.rows {
        let both = [compared(pair[0]), compared(pair[1])];
        if model != ALL || both.iter().all(Option::is_none) {
            continue;
        }
        for (side, (what, compared)) in ["as is", "if"].into_iter().zip(both).enumerate() {
            let first = |text: String| if side == 0 { text } else { String::new() };
            let mut row =
                vec![first(month.format("%Y-%m").to_string()), first(name(team)), first(name(provider)), what.to_string()];
            match compared {
                None => row.extend(std::iter::repeat_n("-".to_string(), 5)),
                Some(compared) => {
                    let figures = figures(compared).ok_or_else(|| too_large("whatif"))?;
                    row.extend([figures[0], figures[3], figures[4], figures[6]].map(money));
                    row.push(pair[side].and_then(|row| row.advice).map_or(String::new(), |advice| advice.name().to_string()));
                }
            }
            rows.push(row);
        }
    }
    let columns = ["month", "team", "provider", "", "credits", "own keys", "paid", "keys save", "advice"];
    let whose = sides.client.map_or(String::new(), |client| format!(" of {}", name(client)));
    let mut page = format!("The same usage{whose} as it is and as supposed, in {}, fees and hours counted.\n\n", sides.currency);
    if rows.is_empty() {
        page.push_str("Nothing could be compared.\n");
    } else {
        page.push_str(&grid(&columns, &["credits", "own keys", "paid", "keys save"], &rows));
    }
    Ok(page)
}

/// One row for each figure of each row of `savings.csv`.
///
/// # Errors
/// A sum that does not fit.
pub fn csv(sides: &Sides<'_>) -> Result<String, Fault> {
    let mut rows = Vec::new();
    for ((month, team, provider, model), pair) in &sides.rows {
        let [now, then] = [compared(pair[0]), compared(pair[1])].map(|side| side.map(figures));
        let fits = |side: Option<Option<[Amount; 8]>>| side.map(|side| side.ok_or_else(|| too_large("whatif"))).transpose();
        let (now, then) = (fits(now)?, fits(then)?);
        for (at, figure) in FIGURES.into_iter().enumerate() {
            let of = |side: &Option<[Amount; 8]>| side.as_ref().and_then(|side| side.get(at)).copied();
            let (now, then) = (of(&now), of(&then));
            let change = now.zip(then).map(|(now, then)| then.checked_sub(now).ok_or_else(|| too_large("whatif"))).transpose()?;
            let number = |amount: Option<Amount>| amount.map_or(Cell::Empty, Cell::Number);
            rows.push(vec![
                Cell::Date(*month),
                cell(team),
                cell(provider),
                cell(model),
                cell(figure),
                number(now),
                number(then),
                number(change),
                code(sides.currency),
                cell(sides.client.unwrap_or_default()),
            ]);
        }
    }
    let columns = vec!["period_start", "team", "provider", "model", "figure", "as_is", "if", "change", "currency", "client"];
    let table = Table { file: "whatif.csv", columns, rows, for_people: false };
    Ok(String::from_utf8_lossy(&super::csv::render(&table, false)).into_owned())
}

/// One object; money as strings.
///
/// # Errors
/// A sum that does not fit.
pub fn json(sides: &Sides<'_>, job: &str) -> Result<String, Fault> {
    let mut rows = Vec::new();
    for ((month, team, provider, model), pair) in &sides.rows {
        let mut row = Map::new();
        row.insert("period_start".into(), json!(month.to_string()));
        for (key, value) in [("team", team), ("provider", provider), ("model", model)] {
            row.insert(key.into(), json!(value));
        }
        row.insert("client".into(), json!(sides.client));
        for (side, name) in ["as_is", "if"].into_iter().enumerate() {
            let value = match pair.get(side).copied().flatten() {
                None => Value::Null,
                Some(saving) => object(saving).ok_or_else(|| too_large("whatif"))?,
            };
            row.insert(name.into(), value);
        }
        rows.push(Value::Object(row));
    }
    Ok(json!({ "type": "whatif", "job": job, "currency": sides.currency.code(), "rows": rows }).to_string())
}

fn object(row: &Saving) -> Option<Value> {
    let mut side = Map::new();
    side.insert("plan".into(), json!(row.plan));
    let figures = match &row.compared {
        Some(compared) => Some(figures(compared)?),
        None => None,
    };
    for (at, figure) in FIGURES.into_iter().enumerate() {
        let amount = figures.as_ref().and_then(|figures| figures.get(at)).map(Amount::to_string);
        side.insert(figure.into(), json!(amount));
    }
    side.insert("not_comparable".into(), json!(row.not_comparable));
    side.insert("recommendation".into(), json!(row.advice.map(|advice| advice.name())));
    Some(Value::Object(side))
}
