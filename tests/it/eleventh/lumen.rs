//! Lumen: costs by day, project and model. Amounts are dollars, written as text.

use super::request::{Account, Auth, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::money::Currency;
use crate::domain::period::{Days, parse_day};
use crate::domain::usage::{Charge, Line, Quarantined, meter};
use chrono::NaiveDate;
use serde_json::Value;

/// `GET /v1/costs`.
const COSTS: Report = Report { name: "costs", measures: Measures::Money, rank: 0 };
static REPORTS: [Report; 1] = [COSTS];

pub struct Lumen;

impl Adapter for Lumen {
    fn name(&self) -> &'static str {
        "lumen"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    /// Days are final after two more (Lumen's documentation, "Freshness").
    fn settle_days(&self) -> u32 {
        2
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        fields::json(page.bytes).ok()?.get("costs")?.is_array().then_some(&REPORTS[0])
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        let answer = fields::json(page.bytes)?;
        for (number, row) in (1..).zip(fields::array(&answer, "costs")?) {
            match charge(number, row) {
                Ok((charge, day)) => {
                    out(Line::Charge(charge));
                    out(Line::Covers(day));
                }
                Err(reason) => {
                    let day = fields::text(row, "day").and_then(parse_day);
                    out(Line::Quarantined(Quarantined { row: number, day, reason, amount: None, currency: None }));
                }
            }
        }
        Ok(())
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        let organization = account.needed("organization", "the organization's name")?;
        let request = Request::get(COSTS.name, days, "https://api.lumen.example", "/v1/costs", Auth::Bearer);
        Ok(vec![request.with("organization", organization).with("from", days.from).with("to", days.to).with("limit", 500)])
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        Ok(fields::cursor(page.bytes, "more", "cursor")?.map(|cursor| asked.turned("cursor", cursor)))
    }

    /// Two requests a second are allowed, and two days may still change.
    fn limits(&self) -> Limits {
        Limits { pause_ms: 500, trailing_days: 2 }
    }
}

fn charge(number: u32, row: &Value) -> Result<(Charge<'_>, Days), String> {
    let day = fields::text(row, "day").and_then(parse_day);
    let day = day.ok_or_else(|| format!("day: expected a day, found {}", fields::found(row.get("day"))))?;
    let next = day.succ_opt().ok_or("day: no calendar has a day after it")?;
    let cost = fields::number(row, "cost")?.ok_or("cost: expected an amount, found nothing")?;
    if cost.amount.is_negative() {
        return Err(format!("cost: expected 0 or more, found {}", cost.amount));
    }
    let midnight = |day: NaiveDate| super::request::midnight(day);
    let charge = Charge {
        sub_account: fields::text(row, "project"),
        model: fields::text(row, "model"),
        meter: Some(meter::OUTPUT_TOKENS),
        quantity: fields::quantity(row, "tokens")?,
        cost: Some(cost.amount),
        residue: cost.residue,
        ..Charge::new(number, midnight(day), midnight(next), Currency::USD)
    };
    Ok((charge, Days { from: day, to: next }))
}
