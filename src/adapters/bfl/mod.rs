//! Black Forest Labs: saved answers of tasks, since there is no report of usage or cost to fetch. Must
//! never take credits for dollars (1 credit is 0.01 USD), and never count a task twice.

mod answer;
mod balance;
mod tasks;

use super::request::{Account, Auth, Limits, Request, last_day};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::period::Days;
use crate::domain::usage::Line;
use answer::{Answer, Stage};
use serde_json::Value;

/// The Black Forest Labs API, for one organization.
pub struct Bfl;

/// Answers of submits, polls and webhooks as they were saved at call time: one charge for each task.
const RESULTS: Report = Report { name: "results", measures: Measures::Money, rank: 0 };
/// `GET /v1/credits`: what is left, of the whole organization. It does not say when: the file's name does.
const CREDITS: Report = Report { name: "credits", measures: Measures::Balance, rank: 0 };
static REPORTS: [Report; 2] = [RESULTS, CREDITS];

const HINT: &str = "save each task's submit answer and its Ready poll, one JSON object a line or in one list";

impl Adapter for Bfl {
    fn name(&self) -> &'static str {
        "bfl"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// 1: a cost is final once its task is Ready, which is minutes after the submit, and nothing is
    /// restated later; a day leaves room for tasks over midnight (the provider's sheet, sections 0 and 2.2).
    fn settle_days(&self) -> u32 {
        1
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let records = records(page.bytes).ok()?;
        if balance::of(&records, page.file).is_some() {
            return Some(&REPORTS[1]);
        }
        (records.is_empty() || records.iter().any(is_task)).then_some(&RESULTS)
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        let records = records(page.bytes)?;
        if let Some((credits, day)) = balance::of(&records, page.file) {
            return balance::read(credits, day, out);
        }
        if let Some(first) = records.first().filter(|_| !records.iter().any(is_task)) {
            return Err(no_task(first));
        }
        tasks::read(&records, out);
        Ok(())
    }

    /// The balance, when the last of the days was over: nothing else can be asked for (the provider's sheet, section 0).
    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        account.chosen(&[(CREDITS.name, true)])?;
        Ok(vec![Request::get(CREDITS.name, last_day(days), "https://api.bfl.ai", "/v1/credits", Auth::Header("x-key"))])
    }

    fn limits(&self) -> Limits {
        Limits { pause_ms: 1000, trailing_days: 1 }
    }
}

/// The objects in a file: a list, a single answer, or one answer a line, as a program that appends
/// leaves them.
fn records(bytes: &[u8]) -> Result<Vec<Value>, BadPage> {
    let lines = || (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty());
    if lines().next().is_none() {
        // Nobody can tell a day without tasks from a file that was never written.
        return Err(BadPage::new("the file is empty", "for days without a task save [] and name the days with `covers`"));
    }
    let bad = match fields::json(bytes) {
        Ok(Value::Array(list)) => return Ok(list),
        Ok(answer) => return Ok(vec![answer]),
        Err(bad) => bad,
    };
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

/// Whether a saved object is a task's answer, by its id and by a state or address that only these have.
fn is_task(record: &Value) -> bool {
    let answer = Answer::new(1, record);
    answer.id().is_some() && answer.stage() != Stage::Unknown
}

/// Says what a file without a single task is instead.
fn no_task(first: &Value) -> BadPage {
    if first.get("credits").is_some() {
        return BadPage::new("credits: a balance of the organization, without a day in the file's name", balance::HINT);
    }
    let told = ["detail", "error"].into_iter().find(|key| first.get(key).is_some());
    match told {
        Some(key) => {
            let found = fields::found(first.get(key));
            BadPage::new(format!("{key}: the answer is an error ({found}), not a task"), "save answers of accepted tasks")
        }
        None => BadPage::new("expected answers of tasks (id with polling_url, webhook_url or status), found none", HINT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::CostBasis;

    fn page(text: &str) -> Page<'_> {
        Page { file: "results.jsonl", bytes: text.as_bytes(), group_by: &[] }
    }

    /// What is charged: row, task and cost.
    fn charges(text: &str) -> Vec<(u32, String, String)> {
        let mut charges = Vec::new();
        let result = Bfl.parse(&page(text), &mut |line| {
            if let Line::Charge(charge) = line {
                assert_eq!(charge.basis, CostBasis::Captured);
                let cost = charge.cost.map(|cost| cost.to_string()).unwrap_or_default();
                charges.push((charge.row, charge.request_id.unwrap_or_default().to_string(), cost));
            }
        });
        assert_eq!(result, Ok(()));
        charges
    }

    fn charge(row: u32, id: &str, cost: &str) -> (u32, String, String) {
        (row, id.to_string(), cost.to_string())
    }

    const SUBMIT: &str = r#"{"id":"a","polling_url":"p","cost":4,"output_mp":1.05}"#;
    const READY: &str = r#"{"id":"a","status":"Ready","cost":4.5,"result":{"start_time":1794985201.12}}"#;

    #[test]
    fn credits_are_hundredths_of_a_dollar() {
        assert_eq!(charges(READY), [charge(1, "a", "0.045")]);
    }

    #[test]
    fn a_task_is_charged_once_whatever_the_form_and_the_order() {
        let once = |row| [charge(row, "a", "0.045")];
        assert_eq!(charges(&format!("{SUBMIT}\n{READY}\n")), once(2));
        assert_eq!(charges(&format!("{READY}\r\n\r\n{SUBMIT}")), once(1));
        assert_eq!(charges(&format!("\u{feff}[{SUBMIT},{READY}]")), once(2));
        assert_eq!(charges(&format!("{SUBMIT}\n{READY}\n{READY}\n")), once(3));
        assert_eq!(charges(&format!(r#"{{"response":{READY},"model":"flux-2-pro"}}"#)), once(1));
    }

    #[test]
    fn only_answers_of_tasks_are_ours() {
        for text in [SUBMIT, READY, "[]", r#"{"id":"a","status":"Pending"}"#] {
            assert_eq!(Bfl.identify(&page(text)), Some(&RESULTS), "{text}");
        }
        for text in [
            "",
            "\n",
            "a,b\n1,2\n",
            "{}",
            r#"{"credits":12345.5}"#,
            r#"{"data":[]}"#,
            r#"{"id":"gen-1","object":"chat.completion","model":"m"}"#,
            r#"{"id":"v","status":"completed"}"#,
            r#"{"detail":"Not authenticated"}"#,
            r#"[3]"#,
        ] {
            assert_eq!(Bfl.identify(&page(text)), None, "{text}");
            assert!(Bfl.parse(&page(text), &mut |line| panic!("{line:?}")).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_cut_short_is_named() {
        let bad = Bfl.parse(&page(&format!("{SUBMIT}\n{}", &READY[..30])), &mut |_| ()).unwrap_err();
        assert!(bad.what.starts_with("answer on line 2: "), "{}", bad.what);
    }

    #[test]
    fn a_page_cut_within_an_answer_is_refused() {
        let list = format!("[{SUBMIT},\n{READY}]");
        for end in 0..list.len() {
            assert!(Bfl.parse(&page(&list[..end]), &mut |_| ()).is_err(), "{end}");
        }
        let lines = format!("{SUBMIT}\n{READY}");
        // Cut between two answers, nothing tells that there was a second one.
        for end in (0..lines.len()).filter(|end| ![SUBMIT.len(), SUBMIT.len() + 1].contains(end)) {
            assert!(Bfl.parse(&page(&lines[..end]), &mut |_| ()).is_err(), "{end}");
        }
    }
}
