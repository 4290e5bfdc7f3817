//! The answers of one task into one charge: the latest stage decides, and what it does not say is taken
//! from the others.

use super::answer::{Answer, Cost, Stage};
use super::fields;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, CostBasis, Line, Quarantined, meter};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use std::collections::HashMap;

/// Half a megapixel: from here on a cost below one credit is no credit (the provider's sheet, last section).
const HALF_MEGAPIXEL: Amount = Amount::from_atto(Amount::ONE.atto() / 2);

/// Why a task is set aside, with its cost in dollars where that is certain.
struct Fault {
    reason: String,
    amount: Option<Amount>,
}

impl Fault {
    fn new(reason: impl Into<String>, amount: Option<Amount>) -> Self {
        Fault { reason: reason.into(), amount }
    }
}

/// What a task comes to.
struct Task<'a> {
    /// The row of the answer that decides; the task's other rows carry nothing.
    row: u32,
    day: Option<NaiveDate>,
    /// `None`: a task that did not end well and names no cost.
    charge: Result<Option<Charge<'a>>, Fault>,
}

/// Hands on one line for each saved answer, and the days from the first task to the last.
pub(super) fn read(records: &[Value], out: &mut dyn FnMut(Line<'_>)) {
    let answers: Vec<Answer<'_>> = (1..).zip(records).map(|(row, record)| Answer::new(row, record)).collect();
    let mut by_id: HashMap<&str, Vec<Answer<'_>>> = HashMap::new();
    for answer in &answers {
        if let Some(id) = answer.id() {
            by_id.entry(id).or_default().push(*answer);
        }
    }
    let tasks: HashMap<&str, Task<'_>> = by_id.into_iter().map(|(id, answers)| (id, task(id, answers))).collect();
    for answer in &answers {
        match answer.id().and_then(|id| tasks.get(id)) {
            Some(task) => out(line(answer.row, task)),
            None => out(nobody(answer)),
        }
    }
    let days = || tasks.values().filter_map(|task| task.day);
    if let Some((from, last)) = days().min().zip(days().max())
        && let Some(to) = last.succ_opt()
    {
        out(Line::Covers(Days { from, to }));
    }
}

fn line<'a>(row: u32, task: &Task<'a>) -> Line<'a> {
    let aside = |reason: String, amount: Option<Amount>| {
        Line::Quarantined(Quarantined { row, day: task.day, reason, amount, currency: amount.map(|_| Currency::USD) })
    };
    match (&task.charge, task.day) {
        (Ok(Some(charge)), _) if row == task.row => Line::Charge(charge.clone()),
        (Err(fault), _) if row == task.row => aside(fault.reason.clone(), fault.amount),
        (_, Some(day)) => Line::Nothing { row, day },
        (_, None) => aside(format!("another answer of the task in row {}, which is set aside", task.row), None),
    }
}

/// A row that names no task.
fn nobody<'a>(answer: &Answer<'_>) -> Line<'a> {
    let record = answer.record();
    let reason = if !record.is_object() {
        format!("expected a task's answer, found {}", fields::found(Some(record)))
    } else if record.get("credits").is_some() {
        "credits: a balance of the organization, not a charge".to_string()
    } else {
        format!("id: expected a task's id, found {}", fields::found(record.get("id")))
    };
    let day = time(&[*answer]).ok().map(|at| at.date_naive());
    Line::Quarantined(Quarantined { row: answer.row, day, reason, amount: None, currency: None })
}

/// One task of all its answers.
fn task<'a>(id: &'a str, mut answers: Vec<Answer<'a>>) -> Task<'a> {
    // Of one stage the answer that was saved last stands first.
    answers.sort_by_key(|answer| std::cmp::Reverse((answer.stage(), answer.row)));
    let at = time(&answers);
    let day = at.as_ref().ok().map(|at| at.date_naive());
    let row = answers.first().map_or(0, |answer| answer.row);
    Task { row, day, charge: charge(id, &answers, at) }
}

fn charge<'a>(id: &'a str, answers: &[Answer<'a>], at: Result<DateTime<Utc>, String>) -> Result<Option<Charge<'a>>, Fault> {
    let Some(first) = answers.first() else { return Ok(None) };
    let stage = first.stage();
    let early = || first.cost().ok().flatten().map(|cost| cost.dollars.amount);
    match stage {
        Stage::Unknown => {
            let found = first.found_status();
            return Err(Fault::new(format!("status: expected a documented state such as Ready, found {found}"), None));
        }
        Stage::NotFound => {
            let reason = "status: the task was not found (asked too late, or on another host), so its cost is not known";
            return Err(Fault::new(reason, None));
        }
        Stage::Running => {
            let found = first.found_status();
            return Err(Fault::new(format!("status: not finished yet: expected \"Ready\", found {found}"), early()));
        }
        Stage::Submitted | Stage::Failed | Stage::Ready => {}
    }
    let Some(cost) = cost(answers)? else {
        return match stage {
            Stage::Failed => at.map(|_| None).map_err(|reason| Fault::new(reason, None)),
            Stage::Submitted => {
                Err(Fault::new("cost: not finished yet: the submit answer names no cost, save the Ready poll too", None))
            }
            _ => Err(Fault::new("cost: expected credits, found them neither in this answer nor in the submit answer", None)),
        };
    };
    let size = answers.iter().find_map(|answer| answer.output_mp().transpose()).transpose();
    let size = check_unit(cost, size)?;
    let at = at.map_err(|reason| Fault::new(reason, Some(cost.dollars.amount)))?;
    Ok(Some(Charge {
        model: answers.iter().find_map(Answer::model),
        // Kept apart until the balance has shown whether such tasks are charged.
        sku: first.status().filter(|_| stage == Stage::Failed),
        meter: size.map(|_| meter::MEGAPIXELS),
        quantity: size,
        requests: Some(1),
        cost: Some(cost.dollars.amount),
        residue: cost.dollars.residue,
        basis: CostBasis::Captured,
        request_id: Some(id),
        ..Charge::new(first.row, at, at, Currency::USD)
    }))
}

/// The cost of the latest stage that names one: the Ready poll's stands above the submit's.
///
/// # Errors
/// A cost that cannot be read, or two of one stage that differ.
fn cost(answers: &[Answer<'_>]) -> Result<Option<Cost>, Fault> {
    let mut found: Option<(Stage, Cost)> = None;
    for answer in answers.iter().filter(|answer| answer.stage() >= Stage::Submitted) {
        if found.is_some_and(|(stage, _)| stage != answer.stage()) {
            break;
        }
        let read = answer.cost().map_err(|(reason, amount)| Fault::new(reason, amount))?;
        match (found, read) {
            (Some((_, one)), Some(other)) if one.dollars != other.dollars => {
                let reason = format!("cost: expected one cost for the task, found {} and {}", one.credits, other.credits);
                return Err(Fault::new(reason, None));
            }
            (None, Some(cost)) => found = Some((answer.stage(), cost)),
            _ => {}
        }
    }
    Ok(found.map(|(_, cost)| cost))
}

/// Sets dollars that were written as credits aside: no published price is below one credit, so a fraction
/// of one is believed only for an image that is known to be small. Zero is zero in either unit.
///
/// # Errors
/// Such a cost, or a size that cannot be read.
fn check_unit(cost: Cost, size: Result<Option<Amount>, String>) -> Result<Option<Amount>, Fault> {
    let fraction = !cost.credits.is_zero() && cost.credits < Amount::ONE;
    let size = size.map_err(|reason| Fault::new(reason, Some(cost.dollars.amount).filter(|_| !fraction)))?;
    if !fraction || size.is_some_and(|size| size < HALF_MEGAPIXEL) {
        return Ok(size);
    }
    let of = size.map_or("an image of unknown size".to_string(), |size| format!("an image of {size} megapixels"));
    let reason = format!("cost: unit suspect: expected at least 1 credit for {of}, found {}, which may be dollars", cost.credits);
    Err(Fault::new(reason, None))
}

/// When a task was worked on; else when it was made, as people add it; else when its end was delivered.
///
/// # Errors
/// None of them, or one that cannot be read.
fn time(answers: &[Answer<'_>]) -> Result<DateTime<Utc>, String> {
    for read in [Answer::started, Answer::created, Answer::delivered] {
        if let Some(at) = answers.iter().find_map(|answer| read(answer).transpose()) {
            return at;
        }
    }
    Err("created_at: expected a time, found neither result.start_time nor an added created_at".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(records: Value) -> Vec<String> {
        let mut lines = Vec::new();
        read(records.as_array().unwrap(), &mut |line| {
            lines.push(match line {
                Line::Charge(charge) => format!("{} {:?} {:?}", charge.row, charge.cost.unwrap(), charge.quantity),
                Line::Quarantined(row) => format!("{} {:?} {}", row.row, row.amount, row.reason),
                Line::Nothing { row, day } => format!("{row} nothing {day}"),
                Line::Covers(days) => format!("{}..{}", days.from, days.to),
            });
        });
        lines
    }

    #[test]
    fn a_fraction_of_a_credit_is_believed_only_for_a_small_image() {
        let check = |credits: &str, size: Option<&str>| {
            let record = json!({ "cost": credits });
            let cost = Answer::new(1, &record).cost().unwrap().unwrap();
            check_unit(cost, Ok(size.map(|size| Amount::parse(size).unwrap()))).is_ok()
        };
        for (credits, size, expected) in [
            ("4.5", Some("1.05"), true),
            ("1", Some("1.05"), true),
            ("0.99", Some("1.05"), false),
            ("0.03", Some("0.5"), false),
            ("0.03", Some("0.49"), true),
            ("0.03", None, false),
            ("0", Some("1.05"), true),
            ("3", None, true),
        ] {
            assert_eq!(check(credits, size), expected, "{credits} {size:?}");
        }
    }

    #[test]
    fn what_an_answer_does_not_say_is_taken_from_the_others() {
        let lines = lines(json!([
            { "id": "a", "polling_url": "p", "cost": 4.5, "output_mp": 1.05, "created_at": "2026-11-17T23:59:59Z" },
            { "id": "a", "status": "Ready", "result": { "start_time": 1794985201.12 } }
        ]));
        assert_eq!(lines, ["1 nothing 2026-11-18", "2 0.045 Some(1.05)", "2026-11-18..2026-11-19"]);
    }

    #[test]
    fn a_task_that_failed_costs_what_an_answer_names() {
        let at = "2026-11-18T07:00:00Z";
        let failed = json!({ "id": "a", "status": "Error", "created_at": at });
        assert_eq!(lines(json!([failed])), ["1 nothing 2026-11-18", "2026-11-18..2026-11-19"]);
        let submit = json!({ "id": "a", "polling_url": "p", "cost": 4 });
        assert_eq!(lines(json!([failed, submit])), ["1 0.04 None", "2 nothing 2026-11-18", "2026-11-18..2026-11-19"]);
    }

    #[test]
    fn a_row_is_never_lost_for_want_of_a_time() {
        let lines = lines(json!([{ "id": "a", "polling_url": "p", "cost": 4 }, { "id": "a", "status": "Ready", "cost": 4 }]));
        assert!(lines[0].starts_with("1 None another answer of the task in row 2"), "{lines:?}");
        assert!(lines[1].starts_with("2 Some(0.04) created_at: expected a time"), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn two_final_costs_are_not_chosen_from() {
        let ready = |cost: &str| json!({ "id": "a", "status": "Ready", "cost": cost, "created_at": "2026-11-18" });
        let lines = lines(json!([ready("4.5"), ready("5")]));
        assert_eq!(lines[1], "2 None cost: expected one cost for the task, found 5 and 4.5");
    }
}
