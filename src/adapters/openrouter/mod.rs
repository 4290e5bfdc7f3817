//! OpenRouter: single generations, the logs export, daily activity (API and console) and analytics
//! queries. Must never add an estimate of spend on the customer's own keys to the money that OpenRouter
//! charged: `usage` means credits charged there, not tokens.

mod activity;
mod analytics;
mod credits;
mod entry;
mod generation;
mod logs;
mod names;
mod requests;

use super::request::{Account, Hours, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::names::Named;
use crate::domain::period::Days;
use crate::domain::usage::Line;
use serde_json::Value;

/// The OpenRouter API and its console, for one account or organisation.
pub struct OpenRouter;

/// `GET /generation`, one answer or many in one file: money and native tokens of single calls. Booked.
const GENERATION: Report = Report { name: "generation", measures: Measures::Money, rank: 0 };
/// The console's log export, one row a generation, amounts cut to six decimals.
const LOGS: Report = Report { name: "log_csv", measures: Measures::Money, rank: 1 };
/// `GET /activity`: completed UTC days by model and endpoint.
const ACTIVITY: Report = Report { name: "activity", measures: Measures::Money, rank: 2 };
/// The console's aggregated export, by day and model, sums of amounts cut to six decimals.
const ACTIVITY_CSV: Report = Report { name: "activity_csv", measures: Measures::Money, rank: 3 };
/// `POST /analytics/query` at a granularity of a day or finer.
const ANALYTICS: Report = Report { name: "analytics", measures: Measures::Money, rank: 4 };

/// `GET /credits`: what is left of the credits that were bought.
const CREDITS: Report = Report { name: "credits", measures: Measures::Balance, rank: 0 };
/// Workspaces, their keys and the customer's own keys at other providers.
const KEYS: Report = Report { name: names::REPORT, measures: Measures::Names, rank: 0 };

static REPORTS: [Report; 7] = [GENERATION, LOGS, ACTIVITY, ACTIVITY_CSV, ANALYTICS, CREDITS, KEYS];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Generation,
    Logs,
    Activity,
    ActivityCsv,
    Analytics,
}

impl Adapter for OpenRouter {
    fn name(&self) -> &'static str {
        "openrouter"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// 3: whether figures are restated is not documented, so the trailing three days are read again
    /// (the provider's sheet, section 4, "Restatement").
    fn settle_days(&self) -> u32 {
        3
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let kind = if is_json(page.bytes) {
            let answers = answers(page.bytes).ok()?;
            if let [answer] = answers.as_slice() {
                if credits::of(answer, page.file).is_some() {
                    return Some(&CREDITS);
                }
                if names::is_list(answer) {
                    return Some(&KEYS);
                }
            }
            json_kind(&answers)?
        } else {
            csv_kind(&fields::Table::new(page.bytes).ok()?)?
        };
        Some(match kind {
            Kind::Generation => &GENERATION,
            Kind::Logs => &LOGS,
            Kind::Activity => &ACTIVITY,
            Kind::ActivityCsv => &ACTIVITY_CSV,
            Kind::Analytics => &ANALYTICS,
        })
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        if is_json(page.bytes) {
            let answers = answers(page.bytes)?;
            if let [answer] = answers.as_slice() {
                if let Some((data, day)) = credits::of(answer, page.file) {
                    return credits::read(data, day, out);
                }
                if names::is_list(answer) {
                    return names::read(answer).map(|_| ());
                }
            }
            match (json_kind(&answers), answers.first()) {
                (Some(Kind::Generation), _) => generation::read(&answers, out),
                (Some(Kind::Activity), Some(answer)) => return activity::read(answer, out),
                (Some(Kind::Analytics), Some(answer)) => return analytics::read(answer, out),
                (_, answer) => return Err(unknown(answer)),
            }
            return Ok(());
        }
        let mut table = fields::Table::new(page.bytes)?;
        match csv_kind(&table) {
            Some(Kind::Logs) => logs::read(&mut table, page.bytes, out),
            Some(Kind::ActivityCsv) => activity::read_csv(&mut table, page.bytes, out),
            _ => Err(BadPage::new(
                "header: neither the columns of the log export nor those of the activity export",
                "export the logs or the activity again, with their header row",
            )),
        }
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn hourly(&self, account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
        requests::hourly(account, hours)
    }

    fn names(&self, page: &Page<'_>) -> Result<Vec<Named>, BadPage> {
        names::read(&fields::json(page.bytes)?)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        // No report has pages, only the lists.
        if asked.report == KEYS.name { names::next(asked, page.bytes) } else { Ok(None) }
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    bytes.starts_with(b"{") || bytes.starts_with(b"[")
}

/// The answers in a file: one, or one a line, as a puller that appends leaves them.
fn answers(bytes: &[u8]) -> Result<Vec<Value>, BadPage> {
    let bad = match fields::json(bytes) {
        Ok(answer) => return Ok(vec![answer]),
        Err(bad) => bad,
    };
    let lines = || (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty());
    let several = lines().nth(1).is_some();
    if !several || lines().next().is_none_or(|(_, line)| fields::json(line).is_err()) {
        return Err(bad);
    }
    lines()
        .map(|(number, line): (u32, _)| {
            fields::json(line).map_err(|bad| BadPage::new(format!("answer on line {number}: {}", bad.what), bad.hint))
        })
        .collect()
}

fn json_kind(answers: &[Value]) -> Option<Kind> {
    if generation::records(answers).any(generation::is_generation) {
        return Some(Kind::Generation);
    }
    let [answer] = answers else { return None };
    if analytics::is_answer(answer) {
        return Some(Kind::Analytics);
    }
    let rows = answer.get("data")?.as_array()?;
    // A day without activity is a bare empty list; other providers put more beside theirs.
    let bare = rows.is_empty() && answer.as_object().is_some_and(|answer| answer.len() == 1);
    (bare || rows.iter().any(activity::is_row)).then_some(Kind::Activity)
}

fn csv_kind(table: &fields::Table<'_>) -> Option<Kind> {
    let has = |column: &str| table.has(column);
    if has("cost_total") && (has("generation_id") || has("model_permaslug") || has("byok_usage_inference")) {
        Some(Kind::Logs)
    } else if has("Slug") && has("Usage") && (has("BYOK Usage") || has("Requests")) {
        Some(Kind::ActivityCsv)
    } else {
        None
    }
}

fn unknown(answer: Option<&Value>) -> BadPage {
    if answer.and_then(credits::figures).is_some() {
        return BadPage::new("data.total_credits: a balance of the account, without a day in the file's name", credits::HINT);
    }
    let Some(error) = answer.and_then(|answer| answer.get("error")) else {
        return BadPage::new(
            "not a generation, activity or analytics answer",
            "save the answer of GET /generation, GET /activity or POST /analytics/query as it came",
        );
    };
    let code = fields::found(error.get("code"));
    let message: String = fields::text(error, "message").unwrap_or_default().chars().take(120).collect();
    BadPage::new(
        format!("the answer is an error: {code} {message}").trim_end().to_string(),
        "pull the page again; activity and analytics need a management key",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{Amount, sum};
    use crate::domain::usage::CostBasis;

    /// Billed and estimated cost of a page's rows.
    fn costs(bytes: &str) -> (Amount, Amount) {
        let page = Page { file: "page.json", bytes: bytes.as_bytes(), group_by: &[] };
        let (mut billed, mut estimated) = (Vec::new(), Vec::new());
        OpenRouter
            .parse(&page, &mut |line| match line {
                Line::Charge(charge) if charge.basis == CostBasis::Estimated => estimated.extend(charge.cost),
                Line::Charge(charge) => billed.extend(charge.cost),
                other => assert!(matches!(other, Line::Covers(_)), "{other:?}"),
            })
            .unwrap();
        (sum(billed).unwrap(), sum(estimated).unwrap())
    }

    fn generation(is_byok: &str, usage: &str, upstream: &str) -> (Amount, Amount) {
        costs(&format!(
            r#"{{"data":{{"id":"gen-1","created_at":"2026-11-18T09:00:00Z","model":"openai/gpt-4.1",{is_byok}
                "usage":{usage},"total_cost":{usage},"upstream_inference_cost":{upstream},"native_tokens_prompt":10}}}}"#
        ))
    }

    fn amounts(billed: &str, estimated: &str) -> (Amount, Amount) {
        (Amount::parse(billed).unwrap(), Amount::parse(estimated).unwrap())
    }

    #[test]
    fn own_key_spend_is_the_fee_and_the_estimate() {
        // TV25: 0.95 + 19 = 19.95.
        let (fee, estimate) = generation(r#""is_byok":true,"#, "0.95", "19");
        assert_eq!((fee, estimate), amounts("0.95", "19"));
        assert_eq!(fee.checked_add(estimate).unwrap().to_string(), "19.95");
        // TV26: inside the free allowance.
        assert_eq!(generation(r#""is_byok":true,"#, "0", "0.0360795"), amounts("0", "0.0360795"));
    }

    #[test]
    fn credits_spend_is_never_doubled() {
        // TV27: 0.0036 and never 0.0072.
        assert_eq!(generation(r#""is_byok":false,"#, "0.0036", "0.0036"), amounts("0.0036", "0"));
        assert_eq!(generation("", "0.0036", "0.0036"), amounts("0.0036", "0"));
        assert_eq!(generation(r#""is_byok":null,"#, "0.0036", "0.0036"), amounts("0.0036", "0"));
    }

    #[test]
    fn exponents_keep_their_digits() {
        assert_eq!(generation(r#""is_byok":false,"#, "2.05e-05", "null"), amounts("0.0000205", "0"));
        let activity =
            r#"{"data":[{"date":"2026-11-18","model":"m","usage":2.05e-05,"byok_usage_inference":1E-7,"requests":1}]}"#;
        assert_eq!(costs(activity), amounts("0.0000205", "0.0000001"));
    }

    #[test]
    fn other_shapes_are_not_ours() {
        let openai = r#"{"object":"page","data":[],"has_more":false,"next_page":null}"#;
        let chat = r#"{"id":"gen-1","model":"m","usage":{"prompt_tokens":1,"cost":0.1}}"#;
        for text in
            [openai, chat, "{}", "[]", "[1]", "{\"data\":3}", "", "a,b\r\n1,2\r\n", "{\"data\":[{\"date\":\"2026-11-18\"}]}"]
        {
            let page = Page { file: "activity.json", bytes: text.as_bytes(), group_by: &[] };
            assert_eq!(OpenRouter.identify(&page), None, "{text}");
            assert!(OpenRouter.parse(&page, &mut |line| panic!("{line:?}")).is_err(), "{text}");
        }
    }
}
