//! Answers of the metrics interface (`query_range`): rates per second, whose sum over time estimates what
//! was used. Good for spotting what is odd, never for the books (Groq sheet section 1.1).

use super::super::{BadPage, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{Days, from_unix};
use crate::domain::usage::{Charge, CostBasis, Line, Quarantined, meter};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

const DAY: i64 = 86_400;

/// What the samples of a series that lie in one UTC day come to.
struct Sum {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    /// Rate × step, summed up; Err where a sample cannot be read.
    quantity: Result<Amount, String>,
}

/// A time as the page has it, with its value.
type Sample<'v> = (DateTime<Utc>, &'v Value);

/// Reads the series. Every day of every series is a row. The page does not state its step: it is the
/// shortest distance of two samples. A rate is an average over the time before its sample, so a sample
/// stands for the step that ends there.
///
/// # Errors
/// A step that is longer than a day.
pub fn read(result: &[Value], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let series: Vec<(&Value, Result<Vec<Sample<'_>>, String>)> = result.iter().map(|one| (one, samples(one))).collect();
    let sound = series.iter().filter_map(|(_, samples)| samples.as_ref().ok());
    let distance = |pair: &[Sample<'_>]| match pair {
        [(earlier, _), (later, _)] => Some((*later - *earlier).num_seconds()),
        _ => None,
    };
    let step = sound.flat_map(|samples| samples.windows(2).filter_map(distance)).min();
    if let Some(step) = step.filter(|step| *step > DAY) {
        return Err(BadPage::new(
            format!("values: expected samples at most a day apart, found {step} seconds"),
            "ask again with a step of 300",
        ));
    }
    let mut row = 0;
    let mut range: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for (one, samples) in series {
        let read = samples.and_then(|samples| {
            let what = Named::of(one)?;
            let step = step.ok_or("values: expected two samples or more, whose distance is the step, found one")?;
            Ok((what, by_day(&samples, step)))
        });
        match read {
            Err(reason) => {
                row += 1;
                out(Line::Quarantined(Quarantined { row, day: None, reason, amount: None, currency: None }));
            }
            Ok((what, days)) => {
                for (day, sum) in days {
                    row += 1;
                    range = Some(range.map_or((sum.start, sum.end), |(from, to)| (from.min(sum.start), to.max(sum.end))));
                    hand_on(row, day, &sum, &what, out);
                }
            }
        }
    }
    if let Some(days) = range.and_then(whole_days) {
        out(Line::Covers(days));
    }
    Ok(())
}

fn hand_on(row: u32, day: NaiveDate, sum: &Sum, what: &Named<'_>, out: &mut dyn FnMut(Line<'_>)) {
    match &sum.quantity {
        Err(reason) => {
            let reason = reason.clone();
            out(Line::Quarantined(Quarantined { row, day: Some(day), reason, amount: None, currency: None }));
        }
        Ok(quantity) if quantity.is_zero() => out(Line::Nothing { row, day }),
        Ok(quantity) => out(Line::Charge(Charge {
            sub_account: what.project,
            model: what.model,
            sku: Some(&what.sku),
            meter: Some(what.meter),
            quantity: Some(*quantity),
            basis: CostBasis::Estimated,
            ..Charge::new(row, sum.start, sum.end, Currency::USD)
        })),
    }
}

/// The days that lie within a range as a whole.
fn whole_days((start, end): (DateTime<Utc>, DateTime<Utc>)) -> Option<Days> {
    let from = if start.time() == NaiveTime::MIN { Some(start.date_naive()) } else { start.date_naive().succ_opt() }?;
    Some(Days { from, to: end.date_naive() }).filter(|days| days.from < days.to)
}

/// What a series counts, and of what.
struct Named<'v> {
    model: Option<&'v str>,
    project: Option<&'v str>,
    meter: &'v str,
    sku: String,
}

impl<'v> Named<'v> {
    /// From the labels; the name is `<labels>:<what>:rate<window>`. Whether `tokens_in` has the cached
    /// tokens in it is not documented, so it is not the meter of uncached input.
    fn of(series: &'v Value) -> Result<Self, String> {
        let labels = series
            .get("metric")
            .filter(|labels| labels.is_object())
            .ok_or_else(|| format!("metric: expected the labels of a series, found {}", fields::found(series.get("metric"))))?;
        let name = fields::text(labels, "__name__").unwrap_or_default();
        let what = match name.split(':').collect::<Vec<_>>()[..] {
            [_, what, window] if window.starts_with("rate") && !what.is_empty() => what,
            _ => {
                let found = fields::found(labels.get("__name__"));
                return Err(format!("metric.__name__: expected a rate like model_project_id:tokens_in:rate5m, found {found}"));
            }
        };
        let meter = match what {
            "tokens_in" => "total_input_tokens",
            "tokens_out" => meter::OUTPUT_TOKENS,
            "requests" => meter::REQUESTS,
            other => other,
        };
        let status = fields::text(labels, "status_code").map(|code| format!(", status_code {code}"));
        Ok(Named {
            model: fields::text(labels, "model"),
            project: fields::text(labels, "project_id"),
            meter,
            sku: format!("{name}{}", status.unwrap_or_default()),
        })
    }
}

/// The samples of a series, whose times must ascend: else no distance of two is a step.
fn samples(series: &Value) -> Result<Vec<Sample<'_>>, String> {
    let values = fields::array(series, "values").map_err(|fault| fault.what)?;
    let mut samples: Vec<Sample<'_>> = Vec::with_capacity(values.len());
    for (at, pair) in values.iter().enumerate() {
        let Some([time, value]) = pair.as_array().map(Vec::as_slice) else {
            return Err(format!("values[{at}]: expected a time and a value, found {}", fields::found(Some(pair))));
        };
        let seconds = time.as_number().and_then(|number| Amount::parse(number.as_str()).ok());
        let time = seconds
            .and_then(|seconds| i64::try_from(seconds.atto().div_euclid(Amount::ONE.atto())).ok())
            .and_then(from_unix)
            .filter(|time| (2000..2100).contains(&time.year()))
            .ok_or_else(|| format!("values[{at}]: expected a Unix time, found {}", fields::found(Some(time))))?;
        if samples.last().is_some_and(|(last, _)| *last >= time) {
            return Err(format!("values[{at}]: expected a later time than the sample before, found {}", time.format("%FT%TZ")));
        }
        samples.push((time, value));
    }
    Ok(samples)
}

fn by_day(samples: &[Sample<'_>], step: i64) -> BTreeMap<NaiveDate, Sum> {
    let mut days: BTreeMap<NaiveDate, Sum> = BTreeMap::new();
    for (end, value) in samples {
        let Some(start) = end.checked_sub_signed(chrono::Duration::seconds(step)) else { continue };
        let sum = days.entry(start.date_naive()).or_insert(Sum { start, end: *end, quantity: Ok(Amount::ZERO) });
        sum.end = *end;
        if let Ok(so_far) = sum.quantity {
            sum.quantity = part(value, step).and_then(|part| so_far.checked_add(part).ok_or_else(too_large));
        }
    }
    days
}

/// Rate × step. Values are texts, and a rate without samples behind it is `NaN`.
fn part(value: &Value, step: i64) -> Result<Amount, String> {
    let digits = value.as_str().or(value.as_number().map(|number| number.as_str()));
    let digits = digits.ok_or_else(|| format!("value: expected a number, found {}", fields::found(Some(value))))?;
    let rate = Amount::parse(digits).map_err(|error| format!("value: {error}"))?;
    if rate.is_negative() {
        return Err(format!("value: expected 0 or more, found {rate}"));
    }
    rate.mul_div(i128::from(step), 1).ok_or_else(too_large)
}

fn too_large() -> String {
    "value: the sum of the day is too large to be true".to_string()
}
