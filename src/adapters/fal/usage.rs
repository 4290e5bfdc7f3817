//! Bucketed usage of models and of an organization: what each endpoint cost per bucket, as a control
//! over the billing events. The `summary` repeats the same money and is never read.

use super::figures::{Cost, Fault, checked, nearly, net};
use super::{Caller, instant, word};
use crate::adapters::{BadPage, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, Line, Quarantined, meter};
use chrono::{DateTime, Datelike, Days as DayCount, Duration, Months, NaiveDate, NaiveTime, Timelike, Utc};
use serde_json::Value;

/// `timeframe` of a page: how long its buckets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

/// A bucket with its rows.
struct Bucket<'v> {
    start: DateTime<Utc>,
    /// Seconds east of UTC of its label.
    offset: i32,
    rows: &'v [Value],
}

/// Reads the buckets of a `time_series`.
pub(super) fn json(time_series: &[Value], group_by: &[String], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut buckets = Vec::with_capacity(time_series.len());
    for (index, value) in time_series.iter().enumerate() {
        buckets.push(bucket(value).map_err(|mut bad| {
            bad.what = format!("time_series[{index}].{}", bad.what);
            bad
        })?);
    }
    let mut starts: Vec<DateTime<Utc>> = buckets.iter().map(|bucket| bucket.start).collect();
    starts.sort_unstable();
    starts.dedup();
    let width = group_by.iter().find_map(|name| Width::named(name)).unwrap_or_else(|| {
        let local: Vec<DateTime<Utc>> =
            buckets.iter().map(|bucket| bucket.start + Duration::seconds(i64::from(bucket.offset))).collect();
        Width::seen(&local, &starts)
    });
    if let Some(foreign) = buckets.iter().find(|bucket| bucket.offset != 0 && !matches!(width, Width::Minute | Width::Hour)) {
        return Err(BadPage::new(
            format!("time_series: expected UTC days, found the bucket {} of another time zone", foreign.start.to_rfc3339()),
            "fetch the page with timezone=UTC: a day of another zone is part of two UTC days",
        ));
    }
    let mut number = 0;
    let mut whole = Vec::with_capacity(buckets.len());
    for bucket in &buckets {
        let full = width.end(bucket.start);
        // A label inside a bucket (bound_to_timeframe=false) starts late and ends where the next one begins.
        let next = starts.get(starts.partition_point(|start| *start <= bucket.start));
        let end = next.map_or(full, |next| full.min(*next));
        if width.starts(bucket.start) && end == full {
            whole.push((bucket.start, end));
        }
        for row in bucket.rows {
            number += 1;
            line(number, row, (bucket.start, end), out);
        }
    }
    cover(whole, out);
    Ok(())
}

fn bucket(value: &Value) -> Result<Bucket<'_>, BadPage> {
    let label = word(value, "bucket");
    let start = label.and_then(instant).ok_or_else(|| {
        BadPage::new(
            format!("bucket: expected a time like 2026-11-18T00:00:00+00:00, found {}", fields::found(value.get("bucket"))),
            "save the page again: without its time a bucket belongs to no day",
        )
    })?;
    let zoned = label.and_then(|label| DateTime::parse_from_rfc3339(label).ok());
    let offset = zoned.map_or(0, |zoned| zoned.offset().local_minus_utc());
    Ok(Bucket { start, offset, rows: fields::array(value, "results")? })
}

impl Width {
    fn named(name: &str) -> Option<Width> {
        Some(match name.strip_prefix("timeframe=").unwrap_or(name) {
            "minute" => Width::Minute,
            "hour" => Width::Hour,
            "day" => Width::Day,
            "week" => Width::Week,
            "month" => Width::Month,
            _ => return None,
        })
    }

    /// The page does not say its timeframe, so it is read from the labels: the longest of minute, hour and
    /// day at whose edges they all stand, the first excepted where two others follow (it may be clipped).
    /// Weeks and months only where every label says so; one bucket at midnight is a day.
    fn seen(local: &[DateTime<Utc>], starts: &[DateTime<Utc>]) -> Width {
        let first = local.iter().min();
        let clipped = |at: &&DateTime<Utc>| local.len() > 2 && Some(*at) == first;
        let all = |width: Width| local.iter().filter(|at| !clipped(at)).all(|at| width.starts(*at));
        let apart = |days: i64| starts.windows(2).all(|pair| matches!(pair, [a, b] if *b - *a == Duration::days(days)));
        let next_month = |pair: &[DateTime<Utc>]| matches!(pair, [a, b] if Width::Month.end(*a) == *b);
        match starts.len() {
            2.. if local.iter().all(|at| Width::Month.starts(*at)) && starts.windows(2).all(next_month) => Width::Month,
            2.. if all(Width::Day) && apart(7) => Width::Week,
            _ => [Width::Day, Width::Hour].into_iter().find(|width| all(*width)).unwrap_or(Width::Minute),
        }
    }

    /// Whether such a bucket can begin there. Weeks may begin on any weekday.
    fn starts(self, at: DateTime<Utc>) -> bool {
        match self {
            Width::Minute => at.second() == 0,
            Width::Hour => at.second() == 0 && at.minute() == 0,
            Width::Day | Width::Week => at.time() == NaiveTime::MIN,
            Width::Month => at.time() == NaiveTime::MIN && at.day() == 1,
        }
    }

    /// The edge that follows, also where `start` stands inside a bucket.
    fn end(self, start: DateTime<Utc>) -> DateTime<Utc> {
        let midnight = start.date_naive().and_time(NaiveTime::MIN).and_utc();
        let end = match self {
            Width::Minute | Width::Hour => {
                let seconds = if self == Width::Hour { 3600 } else { 60 };
                let past = i64::from(start.num_seconds_from_midnight()) % seconds;
                return start.with_nanosecond(0).unwrap_or(start) + Duration::seconds(seconds - past);
            }
            Width::Day => midnight.checked_add_days(DayCount::new(1)),
            Width::Week => midnight.checked_add_days(DayCount::new(7)),
            Width::Month => midnight.with_day(1).and_then(|first| first.checked_add_months(Months::new(1))),
        };
        end.unwrap_or(start)
    }
}

/// Hands on the UTC days that whole buckets cover without a gap.
fn cover(mut whole: Vec<(DateTime<Utc>, DateTime<Utc>)>, out: &mut dyn FnMut(Line<'_>)) {
    whole.sort_unstable();
    let mut ranges: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (start, end) in whole {
        match ranges.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => ranges.push((start, end)),
        }
    }
    for (start, end) in ranges {
        let day = start.date_naive();
        let from = if start.time() == NaiveTime::MIN { Some(day) } else { day.succ_opt() };
        if let Some(from) = from.filter(|from| *from < end.date_naive()) {
            out(Line::Covers(Days { from, to: end.date_naive() }));
        }
    }
}

fn line(row: u32, value: &Value, (start, end): (DateTime<Utc>, DateTime<Utc>), out: &mut dyn FnMut(Line<'_>)) {
    let unit = word(value, "unit").map(|unit| meter_of(unit, word(value, "product")));
    match charge(row, value, (start, end)) {
        Ok(charge) => out(Line::Charge(Charge { meter: unit.as_deref(), ..charge })),
        Err((Fault { reason, amount }, currency)) => {
            let day: Option<NaiveDate> = Some(start.date_naive());
            let currency = currency.filter(|_| amount.is_some());
            out(Line::Quarantined(Quarantined { row, day, reason, amount, currency }));
        }
    }
}

fn charge(
    row: u32,
    value: &Value,
    (start, end): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Charge<'_>, (Fault, Option<Currency>)> {
    let currency = currency(value);
    let known = currency.as_ref().ok().copied();
    let Cost { cost, residue, list_cost } = cost(value).map_err(|fault| (fault, known))?;
    let aside = |reason: String| (Fault::new(reason, Some(cost)), known);
    let currency = currency.map_err(aside)?;
    let model = word(value, "endpoint_id")
        .ok_or_else(|| aside(format!("endpoint_id: expected a text, found {}", fields::found(value.get("endpoint_id")))))?;
    let quantity = figure(value, "quantity").map_err(|fault| aside(fault.reason))?;
    let caller = Caller::of(value);
    Ok(Charge {
        api_key_id: caller.api_key_id,
        label: caller.label,
        model: Some(model),
        sku: word(value, "product"),
        quantity,
        cost: Some(cost),
        residue,
        list_cost,
        ..Charge::new(row, start, end, currency)
    })
}

/// A page without the field is in dollars, like everything that fal publishes.
fn currency(value: &Value) -> Result<Currency, String> {
    match value.get("currency") {
        None | Some(Value::Null) => Ok(Currency::USD),
        Some(Value::String(code)) => Currency::parse(code).map_err(|error| format!("currency: {error}")),
        other => Err(format!("currency: expected a code, found {}", fields::found(other))),
    }
}

fn figure(value: &Value, name: &str) -> Result<Option<Amount>, Fault> {
    checked(name, fields::number(value, name)).map(|read| read.map(|read| read.amount))
}

/// `cost_total`; on pages from before it existed its parts, else `cost`. That field was quantity ×
/// price before the discount until 17 July 2026 and the charge itself from 21 July on (fal sheet, trap 1): where a
/// discount is named and `cost` still equals quantity × price, the discount is taken off here.
fn cost(value: &Value) -> Result<Cost, Fault> {
    let (quantity, price) = (figure(value, "quantity"), figure(value, "unit_price"));
    let total = checked("cost_total", fields::number(value, "cost_total"))?;
    let (subtotal, gross) = match total {
        Some(total) => {
            let subtotal = figure(value, "cost_subtotal").map_err(|fault| Fault::new(fault.reason, Some(total.amount)))?;
            return Ok(Cost { cost: total.amount, residue: total.residue, list_cost: subtotal });
        }
        None => (figure(value, "cost_subtotal")?, quantity?.zip(price?)),
    };
    let percent = figure(value, "percent_discount")?;
    let net = |percent| gross.map(|(quantity, price)| net(quantity, price, percent)).transpose();
    let list_cost = match subtotal {
        Some(subtotal) => Some(subtotal),
        None => net(None)?,
    };
    let parts = subtotal.zip(figure(value, "cost_discount")?);
    if let Some(cost) = parts.and_then(|(subtotal, discount)| subtotal.checked_sub(discount)).filter(|cost| !cost.is_negative()) {
        return Ok(Cost { cost, residue: 0, list_cost });
    }
    let alias = checked("cost", fields::number(value, "cost"))?;
    let before_discount = |cost: Amount| percent.is_some_and(|percent| !percent.is_zero()) && nearly(Some(cost), list_cost);
    match (alias, net(percent)?) {
        (Some(alias), Some(cost)) if before_discount(alias.amount) => Ok(Cost { cost, residue: 0, list_cost }),
        (Some(alias), _) => Ok(Cost { cost: alias.amount, residue: alias.residue, list_cost }),
        (None, Some(cost)) => Ok(Cost { cost, residue: 0, list_cost }),
        (None, None) => Err(Fault::new("cost_total: not billed yet: expected a cost, found nothing", None)),
    }
}

/// The meter of a unit. Units are free strings, so an unknown one names itself, in the plural. Seconds
/// of a model endpoint are seconds of video; those of machines (other products) are not.
pub(super) fn meter_of(unit: &str, product: Option<&str>) -> String {
    let model = product.is_none_or(|product| product == "model_apis");
    let mut name: String =
        unit.to_lowercase().chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
    if !name.ends_with('s') {
        name.push('s');
    }
    match name.as_str() {
        "images" => meter::IMAGES.to_string(),
        "megapixels" => meter::MEGAPIXELS.to_string(),
        "seconds" if model => meter::VIDEO_SECONDS.to_string(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> DateTime<Utc> {
        instant(text).unwrap()
    }

    fn seen(labels: &[&str]) -> Width {
        let starts: Vec<_> = labels.iter().map(|label| at(label)).collect();
        Width::seen(&starts, &starts)
    }

    #[test]
    fn the_width_of_buckets_is_read_from_their_labels() {
        assert_eq!(seen(&["2026-11-18", "2026-11-19"]), Width::Day);
        assert_eq!(seen(&["2026-11-18"]), Width::Day);
        assert_eq!(seen(&["2026-11-18T07:30:00Z", "2026-11-19", "2026-11-20"]), Width::Day);
        assert_eq!(seen(&["2026-11-18", "2026-11-18T01:00:00Z"]), Width::Hour);
        assert_eq!(seen(&["2026-11-18T23:00:00Z", "2026-11-19"]), Width::Hour);
        assert_eq!(seen(&["2026-11-18T07:31:00Z"]), Width::Minute);
        assert_eq!(seen(&["2026-11-02", "2026-11-09", "2026-11-16"]), Width::Week);
        assert_eq!(seen(&["2026-01-01", "2026-02-01"]), Width::Month);
        assert_eq!(seen(&["2026-01-01", "2026-03-01"]), Width::Day);
        assert_eq!(seen(&[]), Width::Day);
    }

    #[test]
    fn buckets_end_at_the_next_edge() {
        for (width, start, end) in [
            (Width::Minute, "2026-11-18T07:31:20.5Z", "2026-11-18T07:32:00Z"),
            (Width::Hour, "2026-11-18T23:30:00Z", "2026-11-19"),
            (Width::Day, "2026-11-18T07:30:00Z", "2026-11-19"),
            (Width::Week, "2026-12-28", "2027-01-04"),
            (Width::Month, "2026-12-01", "2027-01-01"),
        ] {
            assert_eq!(width.end(at(start)), at(end), "{start}");
        }
    }

    #[test]
    fn only_days_without_a_gap_are_covered() {
        let hour = |hour: i64| (at("2026-11-18") + Duration::hours(hour), at("2026-11-18") + Duration::hours(hour + 1));
        let covered = |hours: &[i64]| {
            let mut days = Vec::new();
            cover(hours.iter().copied().map(hour).collect(), &mut |line| {
                if let Line::Covers(span) = line {
                    days.extend(span.iter().map(|day| day.day()));
                }
            });
            days
        };
        let all: Vec<i64> = (-3..50).rev().collect();
        assert_eq!(covered(&all), [18, 19]);
        assert_eq!(covered(&all.iter().copied().filter(|hour| *hour != 5).collect::<Vec<_>>()), [19]);
        assert!(covered(&[0, 1, 2]).is_empty());
    }

    #[test]
    fn older_pages_are_read_as_the_charge_after_discount() {
        let amount = |value: Value| cost(&value).map(|cost| cost.cost.to_string());
        let row = json!({ "quantity": 20.97152, "unit_price": 0.04, "percent_discount": 20 });
        let with = |more: Value| {
            let mut row = row.clone();
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            amount(row)
        };
        let net = Ok("0.67108864".to_string());
        assert_eq!(with(json!({})), net);
        assert_eq!(with(json!({ "cost": 0.8388608 })), net);
        assert_eq!(with(json!({ "cost": 0.67108864 })), net);
        assert_eq!(with(json!({ "cost_subtotal": 0.8388608, "cost_discount": 0.16777216 })), net);
        assert_eq!(with(json!({ "cost_total": "0.5", "cost": 0.67108864 })), Ok("0.5".to_string()));
        assert_eq!(amount(json!({ "quantity": 3.008, "unit_price": 0.03, "cost": 0.09024 })), Ok("0.09024".to_string()));
        assert!(amount(json!({ "quantity": 3 })).unwrap_err().reason.contains("not billed yet"));
    }

    #[test]
    fn units_name_their_meter() {
        for (unit, product, expected) in [
            ("image", None, "images"),
            ("Megapixel", None, "megapixels"),
            ("second", None, "video_seconds"),
            ("second", Some("model_apis"), "video_seconds"),
            ("second", Some("compute"), "seconds"),
            ("GPU second", None, "gpu_seconds"),
            ("video", None, "videos"),
            ("1000 characters", None, "1000_characters"),
        ] {
            assert_eq!(meter_of(unit, product), expected);
        }
    }
}
