//! `backtest`: replays the spike rules over history and says how they did.

use super::fetched::recorded;
use crate::cli::Backtest;
use crate::domain::calendar::Calendar;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Amount;
use crate::domain::period::parse_day;
use crate::domain::spike::{Direction, Settings, Thresholds};
use crate::edge::log::Progress;
use crate::edge::series_csv::{LabelRow, SeriesRow, read_labels, read_series};
use crate::report::backtest::{HEADER, push_row, summary};
use crate::run::reference::{Asked, load};
use crate::run::snapshot;
use crate::stages::spikes::grade::{Grade, Graded, Labelled};
use crate::stages::spikes::oddity::FIRST_SCORED;
use crate::stages::spikes::replay::{Judged, Point, replay};
use crate::stages::spikes::series::series_of;
use crate::stages::spikes::verdict::Baseline;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use std::collections::BTreeMap;
use std::path::Path;

/// What a backtest came to: the rows for stdout, the summary for stderr.
pub struct Backtested {
    pub rows: Vec<u8>,
    pub summary: String,
}

/// What the command line says about the thresholds of a file of series. How odd an hour is decides alone, unless
/// something is said that only the rule of a job asks, or `--score-alone 0`.
///
/// # Errors
/// A number, way, zone or day that is none (2).
pub fn settings(typed: &Backtest) -> Result<Settings, Fault> {
    let mut thresholds = Thresholds::for_any_series();
    let mut alone = thresholds.score_alone.unwrap_or_default();
    let numbers = [
        ("--score-alone", &typed.score_alone, &mut alone),
        ("--score", &typed.score, &mut thresholds.score),
        ("--ratio", &typed.ratio, &mut thresholds.ratio),
        ("--money", &typed.money, &mut thresholds.money),
    ];
    for (option, text, slot) in numbers {
        let Some(text) = text else { continue };
        let fault = || usage(format!("{option}: {text:?} is no positive number"), "write it like 6 or 2.5");
        *slot = Amount::parse(text).ok().filter(|number| !number.is_negative()).ok_or_else(fault)?;
    }
    let of_a_job = typed.score.is_some() || typed.ratio.is_some() || typed.money.is_some() || typed.adapt_hours.is_some();
    if of_a_job && typed.score_alone.is_some() && !alone.is_zero() {
        let hint = "leave it out to use the rule of a job, or leave out --score, --ratio, --money and --adapt-hours";
        return Err(usage("--score-alone decides alone".to_string(), hint));
    }
    thresholds.score_alone = Some(alone).filter(|alone| !of_a_job && !alone.is_zero());
    thresholds.direction = match typed.direction.as_deref() {
        None if thresholds.score_alone.is_some() => Direction::Both,
        None | Some("up") => Direction::Up,
        Some("down") => Direction::Down,
        Some("both") => Direction::Both,
        Some(other) => return Err(usage(format!("--direction: {other:?}"), "write up, down or both")),
    };
    thresholds.adapt_hours = typed.adapt_hours.unwrap_or(thresholds.adapt_hours);
    let mut calendar = Calendar::default();
    if let Some(zone) = &typed.time_zone {
        calendar.time_zone =
            zone.parse().map_err(|_| usage(format!("--time-zone: {zone:?} is no zone"), "write it like Europe/Berlin"))?;
    }
    for day in &typed.holiday {
        let day = parse_day(day).ok_or_else(|| usage(format!("--holiday: {day:?} is no day"), "write it like 2026-12-25"))?;
        calendar.holidays.insert(day);
    }
    Ok(Settings { thresholds, calendar, ..Settings::default() })
}

fn usage(what: String, hint: &str) -> Fault {
    Fault::new(ExitCode::Usage, "", what, hint)
}

/// Replays the series of a file. Rows come out in the order in which they stand in the file.
///
/// # Errors
/// A file that cannot be read, with its line (65).
pub fn of_file(file: &Path, labels: Option<&Path>, settings: &Settings) -> Result<Backtested, Fault> {
    let rows = read_series(file)?;
    let labels = labels.map(read_labels).transpose()?;
    let mut by_series: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        by_series.entry(&row.series).or_default().push(place);
    }
    let mut judged: Vec<Option<Judged>> = vec![None; rows.len()];
    let mut grade = Grade::default();
    let has_labels = labels.is_some() || rows.first().is_some_and(|row| row.label.is_some());
    for (series, mut places) in by_series {
        let own = |place: &usize| rows.get(*place);
        places.sort_by_key(|place| own(place).map(|row| row.at));
        let step = step_seconds(places.iter().filter_map(own).map(|row| row.at));
        let points = places.iter().filter_map(own).map(|row| Point { at: row.at, value: row.value });
        let found = replay(&settings.thresholds, &settings.calendar, step, points);
        let spikes = match &labels {
            Some(labels) => from_file(labels, series, step),
            None => from_column(places.iter().filter_map(own), step),
        };
        let graded: Vec<Graded> = places
            .iter()
            .filter_map(own)
            .zip(&found)
            .map(|(row, judged)| graded(row.at, row.value, judged, floor(settings, step)))
            .collect();
        grade.add(step, &graded, &spikes);
        for (place, one) in places.iter().zip(found) {
            if let Some(slot) = judged.get_mut(*place) {
                *slot = Some(one);
            }
        }
    }
    let mut out = HEADER.as_bytes().to_vec();
    for (row, judged) in rows.iter().zip(&judged) {
        if let Some(judged) = judged {
            push_row(&mut out, &row.series, &row.timestamp, row.value, judged);
        }
    }
    Ok(Backtested { rows: out, summary: summary(&grade, has_labels) })
}

/// Replays the series of a job's ledger and providers.
///
/// # Errors
/// Whatever keeps the job from being read.
pub fn of_job(job: &Path, asked: &Asked, now: DateTime<Utc>, progress: &Progress) -> Result<Backtested, Fault> {
    let loaded = load(job, asked, now)?;
    let snapshot = snapshot::read(&loaded, &recorded(&loaded)?, progress)?;
    let settings = &loaded.job.spikes;
    let mut out = HEADER.as_bytes().to_vec();
    let mut grade = Grade::default();
    for series in series_of(&snapshot.facts, &loaded.reference, settings) {
        let points: Vec<Point> = series.points().collect();
        let found = replay(&settings.thresholds, &settings.calendar, series.step_seconds, points.iter().copied());
        let graded: Vec<Graded> = points
            .iter()
            .zip(&found)
            .map(|(point, judged)| graded(point.at, point.value, judged, floor(settings, series.step_seconds)))
            .collect();
        grade.add(series.step_seconds, &graded, &[]);
        let name = series.name();
        for (point, judged) in points.iter().zip(&found) {
            push_row(&mut out, &name, &point.at.to_rfc3339_opts(SecondsFormat::Secs, true), point.value, judged);
        }
    }
    Ok(Backtested { rows: out, summary: summary(&grade, false) })
}

/// A value with its judgement; `floor` is the threshold in money of one step.
fn graded(at: DateTime<Utc>, value: Option<Amount>, judged: &Judged, floor: Amount) -> Graded {
    let known = value.filter(|_| judged.baseline > Baseline::WarmingUp);
    let ratio = known.and_then(|value| i64::try_from(value.ratio(judged.expected)?.atto() / 10i128.pow(15)).ok());
    let beyond = known.and_then(|value| value.checked_sub(judged.expected)).is_some_and(|excess| excess >= floor);
    Graded { at, flag: judged.flag, ratio_milli: ratio, beyond }
}

fn floor(settings: &Settings, step: i64) -> Amount {
    settings.thresholds.money.mul_div(i128::from(step), 3_600).unwrap_or(settings.thresholds.money)
}

/// The usual distance of two values: the middle one; an hour where there are not two. It is that of the values
/// before any is judged, else a later one would have a say.
fn step_seconds(times: impl Iterator<Item = DateTime<Utc>>) -> i64 {
    let times: Vec<i64> = times.take(FIRST_SCORED).map(|at| at.timestamp()).collect();
    let mut steps: Vec<i64> = times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(3_600)
}

fn milli(size: Option<Amount>) -> Option<i64> {
    size.and_then(|size| i64::try_from(size.atto() / 10i128.pow(15)).ok())
}

fn from_file(labels: &[LabelRow], series: &str, step: i64) -> Vec<Labelled> {
    let own = labels.iter().filter(|label| label.series == series);
    let end = |label: &LabelRow| label.to.unwrap_or(label.from + Duration::seconds(step));
    let mut sorted: Vec<Labelled> =
        own.map(|label| Labelled { from: label.from, to: end(label), size_milli: milli(label.size) }).collect();
    sorted.sort_by_key(|label| (label.from, label.to));
    joined(sorted)
}

fn from_column<'r>(rows: impl Iterator<Item = &'r SeriesRow>, step: i64) -> Vec<Labelled> {
    let spike = |row: &SeriesRow| Labelled { from: row.at, to: row.at + Duration::seconds(step), size_milli: milli(row.size) };
    joined(rows.filter(|row| row.label == Some(true)).map(spike).collect())
}

/// Labels that touch are one spike.
fn joined(sorted: Vec<Labelled>) -> Vec<Labelled> {
    let mut found: Vec<Labelled> = Vec::new();
    for label in sorted {
        match found.last_mut() {
            Some(last) if label.from <= last.to => {
                last.to = last.to.max(label.to);
                last.size_milli = last.size_milli.max(label.size_milli);
            }
            _ => found.push(label),
        }
    }
    found
}
