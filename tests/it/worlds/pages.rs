//! The pages of a world's provider accounts: one line for each request, or for each bucket; with what
//! stands beside usage, pages served twice, and days pulled again.

use super::rows::Billed;
use super::{Account, Extra, Mood, Page, World, day};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use std::collections::BTreeMap;
use tieout::domain::money::{Amount, Currency, sum};
use tieout::domain::period::Days;
use tieout::domain::usage::{Charge, ChargeCategory, CostBasis, Line, Measures, Precision, Quarantined, meter};
use tieout::stages::facts::ReportInfo;

/// Lines of one report row, with a day to file them under. Row numbers are given when pages are cut.
type Lines = (NaiveDate, Vec<Line<'static>>);

/// How an account reports.
struct Style<'k> {
    knobs: &'k Account,
    by_request: bool,
}

impl Style<'_> {
    fn has(&self, bit: u8) -> bool {
        self.knobs[4] & bit == 0
    }

    fn precision(&self) -> Precision {
        [Precision::Exact, Precision::Rounded(6), Precision::Cut(6)][usize::from(self.knobs[6] % 3)]
    }

    fn currency(&self, model: &str, calm: bool) -> Currency {
        match self.knobs[7] % 8 {
            3 if !calm => Currency::EUR,
            5 if !calm && model == "m-b" => Currency::EUR,
            _ => Currency::USD,
        }
    }

    /// Money without quantity, measured by a report of its own.
    fn apart(&self) -> bool {
        !self.by_request && self.knobs[8] % 4 == 1
    }
}

/// Writes the pages of all accounts.
pub fn write(world: &mut World, mood: Mood, accounts: &[Account], billed: &[Billed], extras: &[Extra], days: i64) {
    let calm = mood == Mood::DayByDay;
    for (source, knobs) in accounts.iter().enumerate() {
        let style = Style { knobs, by_request: knobs[2] % 2 == 1 };
        let own: Vec<&Billed> = billed.iter().filter(|charge| charge.source == source).collect();
        let mut money: Vec<Lines> = if style.by_request {
            own.iter().map(|charge| (charge.start.date_naive(), requests(&style, charge, calm))).collect()
        } else {
            buckets(&style, &own, calm, true)
        };
        for extra in extras.iter().filter(|extra| usize::from(extra[0]) % accounts.len() == source) {
            money.push(beside(extra, days, calm));
        }
        let missing = if calm { 0 } else { knobs[9] & knobs[10] };
        let is_there = |date: NaiveDate| missing >> (date - day(0)).num_days().clamp(0, 7) & 1 == 0;
        money.retain(|(date, _)| is_there(*date));
        let covers: Vec<Line> = (0..days)
            .map(day)
            .filter(|date| is_there(*date))
            .map(|date| Line::Covers(Days { from: date, to: date + Duration::days(1) }))
            .collect();
        let report = |name, measures, rank| ReportInfo { name, measures, rank, keyed: true };
        if knobs[11] % 4 == 1 && !calm {
            if knobs[11] % 8 == 5 {
                coarse(world, source, report("monthly", Measures::Money, 2), &money, knobs[19]);
            }
            coarse(world, source, report("daily", Measures::Money, 1), &money, knobs[14]);
        }
        cut(world, source, &report("costs", Measures::Money, 0), &money, covers, knobs);
        if style.apart() {
            let measured = buckets(&style, &own, calm, false);
            cut(world, source, &report("usage", Measures::Quantity, 0), &measured, Vec::new(), knobs);
        }
    }
}

fn filled(style: &Style<'_>, charge: &Billed, start: DateTime<Utc>, end: DateTime<Utc>, calm: bool) -> Charge<'static> {
    let mut line = Charge::new(0, start, end, style.currency(charge.model, calm));
    line.sub_account = charge.sub_account.filter(|_| style.has(1));
    line.api_key_id = charge.api_key_id.filter(|_| style.has(2));
    line.model = Some(charge.model).filter(|_| style.has(4));
    line.service_tier = charge.service_tier.filter(|_| style.has(8));
    line.batch = charge.batch.filter(|_| style.has(16));
    line.label = (style.knobs[12] % 3 == 1).then_some("l-0");
    line.precision = style.precision();
    line
}

/// One line for each meter of a request, or one for the call as a whole.
fn requests(style: &Style<'_>, charge: &Billed, calm: bool) -> Vec<Line<'static>> {
    let line = |meter: Option<&'static str>, quantity: Option<Amount>, cost: Amount| {
        let like = filled(style, charge, charge.start, charge.start, calm);
        let request_id = Some(charge.request_id);
        Line::Charge(Charge { meter, quantity, cost: Some(cost), request_id, requests: Some(1), ..like })
    };
    if style.knobs[5] % 4 == 1 {
        let total = sum(charge.meters.iter().map(|(_, _, cost)| *cost)).unwrap();
        return vec![line(Some(meter::REQUESTS), Some(Amount::ONE), total)];
    }
    let unnamed = style.knobs[5] % 4 == 2;
    let of_meter = |(meter, quantity, cost): &(&'static str, Amount, Amount)| {
        line((!unnamed).then_some(*meter), (style.knobs[8] % 4 != 2).then_some(*quantity), *cost)
    };
    charge.meters.iter().map(of_meter).collect()
}

/// One line for each day, meter and whatever else the account breaks its costs down by.
fn buckets(style: &Style<'_>, own: &[&Billed], calm: bool, money: bool) -> Vec<Lines> {
    let mut sums: BTreeMap<(NaiveDate, String), Charge<'static>> = BTreeMap::new();
    for charge in own {
        let date = charge.start.date_naive();
        let start = date.and_hms_opt(0, 0, 0).unwrap().and_utc();
        for (meter, quantity, cost) in &charge.meters {
            let mut line = filled(style, charge, start, start + Duration::days(1), calm);
            // The measuring report knows more, or less, than the bill.
            if !money && style.knobs[13] % 3 == 1 {
                (line.api_key_id, line.model) = (charge.api_key_id, Some(charge.model));
            }
            let (meter, quantity) = match style.knobs[5] % 4 {
                1 => (Some(meter::REQUESTS), Amount::ONE),
                2 => (None, *quantity),
                _ => (Some(*meter), *quantity),
            };
            line.meter = meter;
            let sum = sums.entry((date, format!("{line:?}"))).or_insert_with(|| line.clone());
            let plus = |a: Option<Amount>, b: Amount| a.unwrap_or_default().checked_add(b);
            (sum.quantity, sum.cost) = (plus(sum.quantity, quantity), plus(sum.cost, *cost));
        }
    }
    let finish = |((date, _), mut line): ((NaiveDate, String), Charge<'static>)| {
        if !money {
            line.cost = None;
        } else if style.apart() || style.knobs[8] % 4 == 2 {
            line.quantity = None;
        }
        (date, vec![Line::Charge(line)])
    };
    sums.into_iter().map(finish).collect()
}

/// A row that is not the usage of a call.
fn beside(extra: &Extra, days: i64, calm: bool) -> Lines {
    let date = day(i64::from(extra[1]) % days);
    let at = |date: NaiveDate| {
        let start = date.and_hms_opt(0, 0, 0).unwrap().and_utc();
        let mut charge = Charge::new(0, start, start + Duration::days(1), Currency::USD);
        charge.cost = Some(Amount::from_atto(i128::from(extra[3]) * 1_234_567_890_123_457 + i128::from(extra[4])));
        charge
    };
    let charge = at(date);
    let quarantined = |day: Option<NaiveDate>| {
        let reason = "cost: expected a number, found \"12k\"".to_string();
        Line::Quarantined(Quarantined { row: 0, day, reason, amount: None, currency: None })
    };
    let usage = |key: &'static str, label| Charge {
        api_key_id: Some(key),
        label,
        model: Some("m-a"),
        meter: Some(meter::INPUT_TOKENS),
        quantity: Some(Amount::whole(9)),
        ..charge.clone()
    };
    let lines = match extra[2] % 12 {
        0 => vec![Line::Charge(Charge { category: ChargeCategory::Tax, sku: Some("VAT"), ..charge })],
        1 => vec![Line::Charge(Charge { category: ChargeCategory::Credit, cost: charge.cost.map(|cost| -cost), ..charge })],
        2 => vec![Line::Charge(usage("k-leak", None))],
        3 if !calm => vec![Line::Charge(Charge { cost: charge.cost.map(|cost| -cost), model: Some("m-a"), ..charge })],
        4 => vec![quarantined(Some(date))],
        5 => vec![quarantined(None)],
        6 => vec![Line::Nothing { row: 0, day: date }],
        7 => return (day(-1), vec![Line::Charge(at(day(-1)))]),
        8 => vec![Line::Charge(Charge { basis: CostBasis::Estimated, ..charge })],
        9 => {
            let category = ChargeCategory::Purchase;
            vec![Line::Charge(Charge { category, request_id: Some(super::named('r', 0)), ..charge })]
        }
        10 if !calm => vec![Line::Charge(usage("k-1", Some("l-0")))],
        // A row whose second half cannot be read is set aside whole.
        11 => vec![Line::Charge(charge), quarantined(Some(date))],
        _ => vec![Line::Charge(Charge { category: ChargeCategory::Adjustment, ..charge })],
    };
    (date, lines)
}

/// A report of daily totals beside the finer one, which may show more money.
fn coarse(world: &mut World, source: usize, report: ReportInfo, money: &[Lines], more: u8) {
    let mut totals: BTreeMap<(NaiveDate, Currency), Amount> = BTreeMap::new();
    for (date, lines) in money {
        if lines.iter().any(|line| matches!(line, Line::Quarantined(_))) {
            continue;
        }
        for line in lines {
            if let Line::Charge(charge) = line
                && charge.basis != CostBasis::Estimated
            {
                let total = totals.entry((*date, charge.currency)).or_default();
                *total = total.checked_add(charge.cost.unwrap()).unwrap();
            }
        }
    }
    let line = |(place, ((date, currency), total)): (usize, ((NaiveDate, Currency), Amount))| {
        let start = date.and_hms_opt(0, 0, 0).unwrap().and_utc();
        let mut line = Charge::new(place as u32 + 1, start, start + Duration::days(1), currency);
        line.cost = total.checked_add(Amount::from_atto(i128::from(more % 3) * 77_000_000_000_000_003));
        Line::Charge(line)
    };
    let lines = totals.into_iter().enumerate().map(line).collect();
    let file = format!("{source}-{}.json", report.name);
    world.pages.push(Page { source, report, pull: 0, file, lines });
}

/// Cuts rows into pages, serves some twice, and pulls a day again.
fn cut(world: &mut World, source: usize, report: &ReportInfo, rows: &[Lines], covers: Vec<Line<'static>>, knobs: &Account) {
    let numbered = |rows: &[Lines]| -> Vec<Line<'static>> {
        let with = |(place, (_, lines)): (usize, &Lines)| {
            let number = place as u32 + 1;
            lines.iter().map(move |line| number_of(line, number)).collect::<Vec<_>>()
        };
        rows.iter().enumerate().flat_map(with).collect()
    };
    let mut pages: Vec<(usize, Vec<Line<'static>>)> = vec![(0, covers)];
    let again = (knobs[15] % 3 == 1).then(|| day(i64::from(knobs[16] % 3)));
    // What stood there before a day was pulled again.
    let stale = |(date, lines): &Lines| {
        let mut lines = lines.clone();
        if let (true, Some(Line::Charge(charge))) = (Some(*date) == again, lines.first_mut()) {
            charge.cost = charge.cost.and_then(|cost| cost.checked_add(Amount::ONE));
        }
        (*date, lines)
    };
    let first: Vec<Lines> = rows.iter().map(stale).collect();
    let size = usize::from(knobs[17] % 7) + 2;
    pages.extend(first.chunks(size).map(|rows| (0, numbered(rows))));
    if knobs[18] % 3 == 1
        && let Some(rows) = first.chunks(size).last()
    {
        pages.push((0, numbered(rows)));
    }
    if let Some(date) = again {
        let of_day: Vec<Lines> = rows.iter().filter(|(other, _)| *other == date).cloned().collect();
        let mut lines = vec![Line::Covers(Days { from: date, to: date + Duration::days(1) })];
        lines.extend(numbered(&of_day));
        pages.push((1, lines));
    }
    for (place, (pull, lines)) in pages.into_iter().enumerate() {
        let file = format!("{source}-{}-{place}.json", report.name);
        world.pages.push(Page { source, report: report.clone(), pull, file, lines });
    }
}

fn number_of(line: &Line<'static>, number: u32) -> Line<'static> {
    let mut line = line.clone();
    match &mut line {
        Line::Charge(charge) => charge.row = number,
        Line::Quarantined(quarantined) => quarantined.row = number,
        Line::Nothing { row, .. } => *row = number,
        Line::Covers(_) => {}
    }
    line
}
