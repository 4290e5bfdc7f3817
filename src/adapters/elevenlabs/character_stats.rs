//! `GET /v1/usage/character-stats`, deprecated: a list of times and for each name of one breakdown a list of
//! figures beside it. The page says neither what it was broken down by nor what it measures, so the job's
//! `group_by` does: the breakdown, and `metric=…` where it is not credits.

use super::figures::{self, Epoch, Label, set_aside};
use super::grid::Grid;
use crate::adapters::{BadPage, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::{Charge, Line, meter};
use serde_json::Value;

/// What the names of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breakdown {
    /// One name for everything.
    Nothing,
    Model,
    Key,
    Product,
    Workspace,
    /// Users, groups, voices: a label that the team map may know.
    Label,
}

/// Reads a page.
///
/// # Errors
/// Times that are no milliseconds or no UTC buckets, lists of different length, or names and figures that
/// nobody can tell the meaning of.
pub(super) fn read(page: &Value, group_by: &[String], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut labels = Vec::new();
    for (at, time) in fields::array(page, "time")?.iter().enumerate() {
        let instant = figures::instant(&format!("time[{at}]"), Some(time), Epoch::Millis);
        let instant =
            instant.map_err(|what| BadPage::new(what, "save the page again: without its time a figure belongs to no day"))?;
        labels.push(Label { at: instant, offset: 0 });
    }
    let series: Vec<(&String, &Value)> = page.get("usage").and_then(Value::as_object).into_iter().flatten().collect();
    let names: Vec<&str> = series.iter().map(|(name, _)| name.as_str()).collect();
    let (meter, factor) = metric(group_by)?;
    let breakdown = Breakdown::of(group_by, &names)?;
    let grid = Grid::of(group_by, &labels)?;
    let mut number = 0;
    for (name, figures) in &series {
        let figures = figures.as_array().filter(|figures| figures.len() == labels.len()).ok_or_else(|| {
            let found = figures.as_array().map_or(fields::found(Some(figures)), |figures| figures.len().to_string());
            BadPage::new(
                format!("usage.{name}: expected {} figures as there are times, found {found}", labels.len()),
                super::HINT,
            )
        })?;
        for (label, figure) in labels.iter().zip(figures) {
            number += 1;
            let day = label.at.date_naive();
            let quantity = quantity(name, figure, factor);
            match quantity {
                Ok(Amount::ZERO) => out(Line::Nothing { row: number, day }),
                Ok(quantity) => {
                    let (start, end) = grid.bucket(label.at);
                    let charge = breakdown.charge(name, Charge::new(number, start, end, Currency::USD));
                    out(Line::Charge(Charge { meter: Some(meter), quantity: Some(quantity), ..charge }));
                }
                Err(reason) => set_aside(number, Some(day), reason, out),
            }
        }
    }
    // Breakdowns by key came back without any name for some accounts that had usage: no known zero.
    if !series.is_empty() {
        grid.cover(&labels, out);
    }
    Ok(())
}

fn quantity(name: &str, figure: &Value, factor: i128) -> Result<Amount, String> {
    let quantity = figures::quantity(name, Some(figure))?;
    let quantity = quantity.ok_or_else(|| format!("{name}: expected a number, found null"))?;
    figures::scaled(quantity, factor, 1).ok_or_else(|| format!("{name}: {quantity} is too large to be true"))
}

/// The meter of the figures, and what makes single units of them.
fn metric(group_by: &[String]) -> Result<(&'static str, i128), BadPage> {
    let named = group_by.iter().find_map(|hint| hint.strip_prefix("metric="));
    match named.unwrap_or("credits") {
        "credits" => Ok((meter::PROVIDER_CREDITS, 1)),
        "tts_characters" => Ok((meter::CHARACTERS, 1)),
        "minutes_used" => Ok((meter::AUDIO_SECONDS, 60)),
        other => Err(BadPage::new(
            format!("group_by: expected metric=credits, tts_characters or minutes_used, found metric={other}"),
            "money has no currency here, and the other metrics are no usage: save the workspace analytics instead",
        )),
    }
}

impl Breakdown {
    fn of(group_by: &[String], names: &[&str]) -> Result<Breakdown, BadPage> {
        for hint in group_by {
            let breakdown = match hint.strip_prefix("breakdown_type=").unwrap_or(hint) {
                "none" => Breakdown::Nothing,
                "model" => Breakdown::Model,
                "api_keys" | "all_api_keys" => Breakdown::Key,
                "product_type" => Breakdown::Product,
                "reporting_workspace_id" => Breakdown::Workspace,
                "voice" | "voice_multiplier" | "user" | "groups" | "resource" | "request_queue" | "region" | "subresource_id"
                | "has_api_key" | "request_source" => Breakdown::Label,
                _ => continue,
            };
            return Ok(breakdown);
        }
        let all = |is: &dyn Fn(&str) -> bool| names.iter().all(|name| is(name));
        if all(&|name| name == "All") {
            Ok(Breakdown::Nothing)
        } else if all(&|name| name.starts_with("eleven_") || name.starts_with("scribe_")) {
            Ok(Breakdown::Model)
        } else {
            Err(BadPage::new(
                "usage: the page does not say what its names are",
                "say what it was broken down by in the job: group_by = [\"model\"], \"api_keys\" or another breakdown_type",
            ))
        }
    }

    fn charge<'a>(self, name: &'a str, charge: Charge<'a>) -> Charge<'a> {
        let name = Some(name.trim()).filter(|name| !name.is_empty());
        match self {
            Breakdown::Nothing => charge,
            Breakdown::Model => Charge { model: name, ..charge },
            Breakdown::Key => Charge { api_key_id: name, ..charge },
            Breakdown::Product => Charge { sku: name, ..charge },
            Breakdown::Workspace => Charge { sub_account: name, ..charge },
            Breakdown::Label => Charge { label: name, ..charge },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(hints: &[&str]) -> Vec<String> {
        hints.iter().map(|hint| hint.to_string()).collect()
    }

    #[test]
    fn names_are_what_the_job_says_or_what_they_look_like() {
        let of = |group_by: &[&str], names: &[&str]| Breakdown::of(&hints(group_by), names).ok();
        assert_eq!(of(&[], &["All"]), Some(Breakdown::Nothing));
        assert_eq!(of(&[], &["eleven_v3", "scribe_v2"]), Some(Breakdown::Model));
        assert_eq!(of(&[], &["eleven_v3", "Rachel"]), None);
        assert_eq!(of(&["metric=credits", "breakdown_type=user"], &["eleven_v3"]), Some(Breakdown::Label));
        assert_eq!(of(&["all_api_keys"], &["x"]), Some(Breakdown::Key));
    }

    #[test]
    fn only_quantities_are_read() {
        assert_eq!(metric(&[]), Ok((meter::PROVIDER_CREDITS, 1)));
        assert_eq!(metric(&hints(&["model", "metric=minutes_used"])), Ok((meter::AUDIO_SECONDS, 60)));
        for other in ["metric=fiat_units_spent", "metric=ttfb_avg", "metric=concurrency"] {
            assert!(metric(&hints(&[other])).is_err(), "{other}");
        }
    }
}
