//! One saved answer: how far its task was, and its fields with what people save beside it.

use super::fields;
use crate::domain::money::{Amount, MONEY_LIMIT, Read};
use crate::domain::period::{from_unix, parse_instant};
use chrono::{DateTime, Datelike, Utc};
use serde_json::Value;

/// How far a task was when it answered; of two answers the later stage decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// A state that is not documented, or none at all.
    Unknown,
    /// Asked for too late, or on another host than the one that keeps the task.
    NotFound,
    Running,
    /// The answer to the submit: its cost is what the provider expected then.
    Submitted,
    /// Moderated or broken. Whether that is charged is not documented.
    Failed,
    Ready,
}

/// Credits as written, and the same in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub credits: Amount,
    pub dollars: Read,
}

/// A saved answer. The API echoes neither the model nor a time of its own in a submit, so people save
/// them beside the answer: as further fields, or around it (`{"endpoint": …, "response": {…}}`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'v> {
    /// Counted through the file from 1.
    pub row: u32,
    record: &'v Value,
    body: &'v Value,
}

impl<'v> Answer<'v> {
    pub fn new(row: u32, record: &'v Value) -> Self {
        Answer { row, record, body: record.get("response").filter(|body| body.is_object()).unwrap_or(record) }
    }

    pub fn record(&self) -> &'v Value {
        self.record
    }

    pub fn id(&self) -> Option<&'v str> {
        word(self.body, "id")
    }

    pub fn status(&self) -> Option<&'v str> {
        word(self.body, "status")
    }

    /// What stands where the state is expected.
    pub fn found_status(&self) -> String {
        fields::found(self.body.get("status"))
    }

    pub fn stage(&self) -> Stage {
        let has = |key: &str| self.body.get(key).is_some_and(|value| !value.is_null());
        match self.status() {
            Some("Ready") => Stage::Ready,
            Some("Request Moderated" | "Content Moderated" | "Error") => Stage::Failed,
            // The webhook form of a submit says Pending and has its cost.
            _ if has("polling_url") || has("webhook_url") => Stage::Submitted,
            Some("Pending" | "Queued" | "Reasoning" | "Generating") => Stage::Running,
            Some("Task not found") => Stage::NotFound,
            // A submit of which only the figures were kept.
            None if !has("status") && self.body.get("cost").is_some() => Stage::Submitted,
            _ => Stage::Unknown,
        }
    }

    /// `cost`, in credits of 0.01 USD; none when absent or null.
    ///
    /// # Errors
    /// Not a number, negative or too large; with the amount in dollars where it can be read.
    pub fn cost(&self) -> Result<Option<Cost>, (String, Option<Amount>)> {
        let aside = |reason| (reason, None);
        let Some(credits) = fields::number(self.body, "cost").map_err(aside)? else { return Ok(None) };
        let digits = match self.body.get("cost") {
            Some(Value::Number(number)) => number.as_str(),
            Some(Value::String(text)) => text.trim(),
            other => return Err(aside(format!("cost: expected credits, found {}", fields::found(other)))),
        };
        let dollars = Amount::read(&hundredth(digits)).map_err(|error| aside(format!("cost: {error}")))?;
        if dollars.amount.abs() >= MONEY_LIMIT {
            return Err(aside(format!("cost: {} credits is too large to be true", credits.amount)));
        }
        if credits.amount.is_negative() {
            return Err((format!("cost: expected zero credits or more, found {}", credits.amount), Some(dollars.amount)));
        }
        Ok(Some(Cost { credits: credits.amount, dollars }))
    }

    /// `output_mp`: the output in megapixels, as the provider rounds it to two decimals.
    ///
    /// # Errors
    /// Not a number, or negative.
    pub fn output_mp(&self) -> Result<Option<Amount>, String> {
        match fields::quantity(self.body, "output_mp")? {
            Some(size) if size.is_negative() => Err(format!("output_mp: expected zero or more, found {size}")),
            size => Ok(size),
        }
    }

    /// The model: the last part of the endpoint's path, from what was saved beside the answer.
    pub fn model(&self) -> Option<&'v str> {
        let places = || [self.record, self.body].into_iter();
        let named = places().flat_map(|place| ["model", "endpoint"].map(|key| word(place, key)));
        let asked = places().filter_map(|place| place.get("request"));
        let asked = asked.flat_map(|request| ["model", "endpoint", "path", "url"].map(|key| word(request, key)));
        named.chain(asked).flatten().find_map(product)
    }

    /// `result.start_time`: when the provider began to work on the task, in whole seconds.
    ///
    /// # Errors
    /// Something else than a time of this century.
    pub fn started(&self) -> Result<Option<DateTime<Utc>>, String> {
        instant("result.start_time", self.body.get("result").and_then(|result| result.get("start_time")))
    }

    /// `created_at`, which people add, in seconds or as text.
    ///
    /// # Errors
    /// As [`Self::started`].
    pub fn created(&self) -> Result<Option<DateTime<Utc>>, String> {
        instant("created_at", self.record.get("created_at").or_else(|| self.body.get("created_at")))
    }

    /// `timestamp` of a webhook's body: when the task was done.
    ///
    /// # Errors
    /// As [`Self::started`].
    pub fn delivered(&self) -> Result<Option<DateTime<Utc>>, String> {
        instant("timestamp", self.body.get("timestamp"))
    }
}

fn word<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    fields::text(value, key).map(str::trim).filter(|text| !text.is_empty())
}

/// The same digits with an exponent lower by two: nothing is rounded before the point has moved.
fn hundredth(digits: &str) -> String {
    match digits.split_once(['e', 'E']) {
        None => format!("{digits}e-2"),
        Some((digits, exponent)) => match exponent.parse::<i64>() {
            Ok(exponent) => format!("{digits}e{}", exponent.saturating_sub(2)),
            Err(_) => format!("{digits}e{exponent}"),
        },
    }
}

/// `flux-2-pro` of `https://api.bfl.ai/v1/flux-2-pro?…`, and as it stands where only the name was saved.
/// The address of a poll names no model.
fn product(text: &str) -> Option<&str> {
    let path = text.split_whitespace().next_back()?.split(['?', '#']).next()?;
    let name = path.rsplit_once("/v1/").map_or(path, |(_, name)| name);
    let name = name.trim_matches('/');
    let name = name.strip_prefix("v1/").unwrap_or(name);
    (!name.is_empty() && name != "get_result" && !name.contains("://")).then_some(name)
}

fn instant(name: &str, value: Option<&Value>) -> Result<Option<DateTime<Utc>>, String> {
    let read = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => seconds(number.as_str()),
        Some(Value::String(text)) => parse_instant(text).or_else(|| seconds(text)),
        Some(_) => None,
    };
    // Milliseconds would lie in a far century; a garbled year would stretch the days spoken for.
    let read = read.filter(|instant| (2000..2100).contains(&instant.year()));
    let fault =
        || format!("{name}: expected seconds since 1970 or a time like 2026-11-18T07:00:01Z, found {}", fields::found(value));
    read.map(Some).ok_or_else(fault)
}

/// Seconds since 1970 from their digits, cut to whole ones.
fn seconds(text: &str) -> Option<DateTime<Utc>> {
    let whole = Amount::parse(text).ok()?.atto().div_euclid(Amount::ONE.atto());
    from_unix(i64::try_from(whole).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credits_become_dollars_by_moving_the_point() {
        for (written, expected) in
            [("4.5", "0.045"), ("4", "0.04"), ("45e-1", "0.045"), ("0", "0"), ("0.0000000000000001", "0.000000000000000001")]
        {
            for cost in [serde_json::from_str(written).unwrap(), Value::from(written)] {
                let record = json!({ "id": "a", "cost": cost });
                let cost = Answer::new(1, &record).cost().unwrap().unwrap();
                assert_eq!((cost.dollars.amount.to_string().as_str(), cost.dollars.residue), (expected, 0), "{written}");
            }
        }
        for written in ["NaN", "1e999", "1,5", ""] {
            assert!(Answer::new(1, &json!({ "cost": written })).cost().is_err(), "{written}");
        }
        let (_, amount) = Answer::new(1, &json!({ "cost": -4.5 })).cost().unwrap_err();
        assert_eq!(amount, Some(Amount::parse("-0.045").unwrap()));
    }

    #[test]
    fn the_model_is_the_path_after_the_version() {
        for (text, expected) in [
            ("flux-2-pro", Some("flux-2-pro")),
            ("/v1/flux-2-pro", Some("flux-2-pro")),
            ("v1/flux-dev/", Some("flux-dev")),
            ("POST /v1/flux-kontext-max", Some("flux-kontext-max")),
            ("https://api.us7.bfl.ai/v1/flux-tools/video-upscale-v1?x=1", Some("flux-tools/video-upscale-v1")),
            ("https://api.bfl.ai/v1/get_result?id=a", None),
            ("https://api.bfl.ai", None),
            ("/", None),
            (" ", None),
        ] {
            assert_eq!(product(text), expected, "{text}");
        }
    }

    #[test]
    fn the_model_is_found_beside_the_answer_or_in_the_request() {
        for record in [
            json!({ "id": "a", "model": "flux-dev" }),
            json!({ "endpoint": "/v1/flux-dev", "response": { "id": "a" } }),
            json!({ "id": "a", "request": { "url": "https://api.bfl.ai/v1/flux-dev", "draft": true } }),
            json!({ "id": "a", "endpoint": "/v1/get_result", "request": { "model": "flux-dev" } }),
        ] {
            assert_eq!(Answer::new(1, &record).model(), Some("flux-dev"), "{record}");
        }
        assert_eq!(Answer::new(1, &json!({ "id": "a", "request": "flux-dev" })).model(), None);
    }

    #[test]
    fn times_are_cut_to_whole_seconds_from_their_digits() {
        let at = |value: Value| instant("t", Some(&value)).map(|at| at.map(|at| at.format("%FT%T%.f").to_string()));
        let expected = Ok(Some("2026-11-18T07:00:01".to_string()));
        for value in [json!(1794985201), json!(1794985201.12), json!("1794985201.999999"), json!("2026-11-18T07:00:01Z")] {
            assert_eq!(at(value.clone()), expected, "{value}");
        }
        assert_eq!(at(serde_json::from_str("1.79498520112e9").unwrap()), expected);
        assert_eq!(at(Value::Null), Ok(None));
        for value in [json!(1794985201120u64), json!(-1), json!("soon"), json!(true), json!("NaN")] {
            assert!(at(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn stages_follow_the_state_and_the_form() {
        let stage = |value: Value| Answer::new(1, &value).stage();
        assert_eq!(stage(json!({ "polling_url": "p" })), Stage::Submitted);
        assert_eq!(stage(json!({ "status": "Pending", "webhook_url": "w" })), Stage::Submitted);
        assert_eq!(stage(json!({ "status": "Ready", "polling_url": "p" })), Stage::Ready);
        assert_eq!(stage(json!({ "status": "Reasoning" })), Stage::Running);
        assert_eq!(stage(json!({ "status": "Content Moderated" })), Stage::Failed);
        assert_eq!(stage(json!({ "status": "Task not found" })), Stage::NotFound);
        assert_eq!(stage(json!({ "cost": null })), Stage::Submitted);
        assert_eq!(stage(json!({ "status": "completed", "cost": 4 })), Stage::Unknown);
        assert!(Stage::Ready > Stage::Failed && Stage::Failed > Stage::Submitted && Stage::Submitted > Stage::Running);
    }
}
