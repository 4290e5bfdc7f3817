//! `spikes.csv` (contract section 5) and the summary's lines about it.

use super::layout::{grid, name};
use super::tables::{currency, number, text};
use super::text::money;
use super::{Cell, Table};
use crate::domain::spike::{Contributor, Spike, SpikeRule, SpikeState};
use chrono::{DateTime, SecondsFormat, Utc};
use std::cmp::Reverse;

/// Most lines of the summary's list.
const TOP: usize = 6;

/// `spikes.csv`.
pub fn table(spikes: &[Spike]) -> Table {
    let row = |spike: &Spike| {
        let instant = |at: DateTime<Utc>| Cell::Text(at.to_rfc3339_opts(SecondsFormat::Secs, true));
        vec![
            text(&spike.spike_id),
            text(spike.rule.name()),
            text(&spike.series),
            text(&spike.provider),
            text(&spike.team),
            text(&spike.api_key_id),
            text(&spike.model),
            instant(spike.opened_at),
            instant(spike.detected_at),
            instant(spike.last_seen_at),
            text(spike.state.name()),
            Cell::Number(spike.expected),
            Cell::Number(spike.actual),
            Cell::Number(spike.excess),
            // A ratio is for people: its digits beyond the third say nothing.
            number(spike.ratio.map(|ratio| ratio.rounded(3))),
            number(spike.score),
            number(spike.projected),
            spike.projected_until.map_or(Cell::Empty, instant),
            text(&contributors(&spike.contributors)),
            text(&spike.baseline),
            Cell::Flag(spike.provisional),
            currency(spike.currency),
        ]
    };
    Table {
        file: "spikes.csv",
        columns: vec![
            "spike_id",
            "rule",
            "series",
            "provider",
            "team",
            "api_key_id",
            "model",
            "opened_at",
            "detected_at",
            "last_seen_at",
            "state",
            "expected",
            "actual",
            "excess",
            "ratio",
            "score",
            "projected",
            "projected_until",
            "contributors",
            "baseline",
            "provisional",
            "currency",
        ],
        rows: spikes.iter().map(row).collect(),
        for_people: true,
    }
}

/// `team studio, key key_1, model m: 393.60; …`, largest part first. Names that are unknown are left out.
pub fn contributors(contributors: &[Contributor]) -> String {
    let one = |part: &Contributor| {
        let names = [("team", &part.team), ("key", &part.api_key_id), ("model", &part.model), ("client", &part.client)];
        let known: Vec<String> =
            names.iter().filter(|(_, name)| !name.is_empty()).map(|(what, name)| format!("{what} {name}")).collect();
        let who = if known.is_empty() { "unknown".to_string() } else { known.join(", ") };
        format!("{who}: {}", part.amount.with_places(2))
    };
    contributors.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Open incidents first, then by what they cost beyond their baseline.
pub(super) fn section(page: &mut String, next: &mut Vec<String>, spikes: &[Spike]) {
    page.push_str("\nSPIKES: spend far outside its own history (times are UTC)\n");
    let mut ordered: Vec<&Spike> = spikes.iter().filter(|spike| spike.state != SpikeState::Withdrawn).collect();
    if ordered.is_empty() {
        page.push_str("None.\n");
        return;
    }
    ordered.sort_by_key(|spike| (spike.state, Reverse(spike.excess), spike.opened_at, spike.spike_id.clone()));
    let row = |spike: &&Spike| {
        let who: Vec<String> = [&spike.provider, &spike.team, &spike.api_key_id]
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| name(text))
            .collect();
        let counts = spike.rule == SpikeRule::Errors;
        let shown = |amount| if counts { format!("{} calls", spike.actual.rounded(0)) } else { money(amount) };
        vec![
            spike.opened_at.format("%m-%d %H:%M").to_string(),
            spike.rule.name().to_string(),
            shown(spike.actual),
            money(spike.expected),
            spike.projected.map_or(String::new(), money),
            if counts { String::new() } else { spike.currency.to_string() },
            spike.state.name().to_string(),
            if who.is_empty() { spike.series.clone() } else { who.join(", ") },
        ]
    };
    let rows: Vec<Vec<String>> = ordered.iter().take(TOP).map(row).collect();
    let columns = ["opened", "rule", "spent", "usual", "projected", "cur", "state", "who"];
    page.push_str(&grid(&columns, &["spent", "usual", "projected"], &rows));
    if ordered.len() > TOP {
        page.push_str(&format!("and {} more: spikes.csv\n", ordered.len() - TOP));
    }
    for spike in ordered.iter().filter(|spike| spike.state == SpikeState::Open).take(2) {
        let until = match (spike.projected, spike.projected_until) {
            (Some(amount), Some(until)) => {
                format!(", {} {} by {}", money(amount), spike.currency, until.format("%Y-%m-%d %H:%M UTC"))
            }
            _ => String::new(),
        };
        next.push(format!(
            "{} at {}{until}: {}. Rows: spikes.csv, spike {}.",
            spike.rule.name(),
            name(&spike.series),
            spike.rule.action(),
            spike.spike_id
        ));
    }
}
