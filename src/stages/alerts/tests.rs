//! What is told, when again, to whom, and what keeps its key.

use super::*;
use crate::domain::alert::{Cause, ChannelKind, Notice, Quiet, Route, Severity};
use crate::domain::money::Amount;
use crate::domain::period::Days;
use crate::domain::spike::{SpikeRule, SpikeState};
use crate::stages::results::{Coverage, SliceStatus};
use chrono::NaiveTime;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn spike(provider: &str, key: &str, opened_at: &str, last_seen_at: &str, projected: i64) -> Spike {
    Spike {
        spike_id: format!("{provider}-{key}"),
        rule: SpikeRule::Spike,
        series: format!("provider {provider}"),
        provider: provider.to_string(),
        team: "studio".to_string(),
        api_key_id: key.to_string(),
        model: String::new(),
        opened_at: at(opened_at),
        detected_at: at(opened_at) + Duration::hours(1),
        last_seen_at: at(last_seen_at),
        state: SpikeState::Open,
        expected: Amount::ONE,
        actual: Amount::whole(50),
        excess: Amount::whole(49),
        ratio: Some(Amount::whole(50)),
        score: None,
        projected: Some(Amount::whole(projected)),
        projected_until: Some(at("2026-11-16T08:00:00Z")),
        contributors: Vec::new(),
        baseline: String::new(),
        provisional: true,
        currency: Currency::USD,
    }
}

/// What is told by a sight of these incidents up to a moment, and what is known afterwards.
fn told(spikes: &[Spike], now: &str, known: &mut Vec<Told>) -> Vec<Notice> {
    let sight = Sight {
        spikes,
        outcome: None,
        since: at("2026-10-10T00:00:00Z"),
        until: at(now),
        as_of: at(now),
        reports: &BTreeSet::new(),
    };
    let settings = AlertSettings::default();
    let notices = due(&alerts(&sight, &settings, known), known, &settings, &sight);
    for notice in &notices {
        known.retain(|told| told.key != notice.alert.key);
        known.push(notice.told(sight.as_of));
    }
    notices
}

fn causes(notices: &[Notice]) -> Vec<Cause> {
    notices.iter().map(|notice| notice.cause).collect()
}

#[test]
fn only_news_is_told() {
    let mut known = Vec::new();
    let open = |last: &str, projected| spike("fal", "key_a", "2026-11-13T19:00:00Z", last, projected);
    assert_eq!(causes(&told(&[open("2026-11-13T20:00:00Z", 400)], "2026-11-13T20:00:00Z", &mut known)), [Cause::New]);
    assert_eq!(told(&[open("2026-11-13T21:00:00Z", 400)], "2026-11-13T21:00:00Z", &mut known), []);
    // A cent below a quarter more, then a quarter more.
    assert_eq!(told(&[open("2026-11-13T22:00:00Z", 499)], "2026-11-13T22:00:00Z", &mut known), []);
    assert_eq!(causes(&told(&[open("2026-11-13T23:00:00Z", 500)], "2026-11-13T23:00:00Z", &mut known)), [Cause::Worse]);
    // More severe though not a quarter more: from 1000 on it is critical.
    let worse = told(&[open("2026-11-14T01:00:00Z", 800)], "2026-11-14T01:00:00Z", &mut known);
    assert_eq!((causes(&worse), worse[0].alert.severity), (vec![Cause::Worse], Severity::Error));
    let worse = told(&[open("2026-11-14T02:00:00Z", 1000)], "2026-11-14T02:00:00Z", &mut known);
    assert_eq!((causes(&worse), worse[0].alert.severity, worse[0].generation), (vec![Cause::Worse], Severity::Critical, 4));
    // No reminder on the weekend, nor before a working day has passed; then one.
    for now in ["2026-11-15T12:00:00Z", "2026-11-16T12:00:00Z"] {
        assert_eq!(told(&[open("2026-11-16T12:00:00Z", 1000)], now, &mut known), [], "{now}");
    }
    assert_eq!(causes(&told(&[open("2026-11-17T09:00:00Z", 1000)], "2026-11-17T09:00:00Z", &mut known)), [Cause::Reminder]);
    // A night that has seen less does not speak of it, even where it finds it over or not at all.
    let over = Spike { state: SpikeState::Resolved, ..open("2026-11-17T09:00:00Z", 1000) };
    assert_eq!(told(std::slice::from_ref(&over), "2026-11-17T00:00:00Z", &mut known), []);
    assert_eq!(told(&[], "2026-11-17T00:00:00Z", &mut known), []);
    assert_eq!(causes(&told(std::slice::from_ref(&over), "2026-11-17T15:00:00Z", &mut known)), [Cause::Over]);
    assert_eq!(told(std::slice::from_ref(&over), "2026-11-17T16:00:00Z", &mut known), []);
    assert_eq!(causes(&told(&[open("2026-11-17T17:00:00Z", 1000)], "2026-11-17T17:00:00Z", &mut known)), [Cause::Again]);
    // Gone from the figures altogether.
    let gone = told(&[], "2026-11-17T18:00:00Z", &mut known);
    assert_eq!((causes(&gone), gone[0].alert.withdrawn), (vec![Cause::Over], true));
    assert!(known.iter().all(|told| told.key == known[0].key) && known.len() == 1);
}

#[test]
fn late_figures_do_not_make_another_alert_of_it() {
    let mut known = Vec::new();
    let first =
        told(&[spike("fal", "key_a", "2026-11-13T19:00:00Z", "2026-11-13T20:00:00Z", 400)], "2026-11-13T20:00:00Z", &mut known);
    // An hour earlier, and by daily figures without a key.
    for later in [
        spike("fal", "key_a", "2026-11-13T18:00:00Z", "2026-11-13T21:00:00Z", 400),
        Spike { team: String::new(), ..spike("fal", "", "2026-11-13T00:00:00Z", "2026-11-14T00:00:00Z", 400) },
    ] {
        assert_eq!(told(std::slice::from_ref(&later), "2026-11-14T00:00:00Z", &mut known), []);
    }
    // Another key in the same hour is another matter, and so is another currency.
    let both = [
        spike("fal", "key_a", "2026-11-13T19:00:00Z", "2026-11-14T01:00:00Z", 400),
        spike("fal", "key_b", "2026-11-13T19:00:00Z", "2026-11-14T01:00:00Z", 100),
        Spike {
            currency: Currency::parse("EUR").unwrap(),
            ..spike("fal", "key_a", "2026-11-13T19:00:00Z", "2026-11-14T01:00:00Z", 100)
        },
    ];
    let new = told(&both, "2026-11-14T01:00:00Z", &mut known);
    assert_eq!(causes(&new), [Cause::New, Cause::New]);
    assert!(new.iter().all(|notice| notice.alert.key != first[0].alert.key));
    // What was over long ago is history.
    let old = Spike { state: SpikeState::Resolved, ..spike("fal", "key_c", "2026-11-01T19:00:00Z", "2026-11-01T22:00:00Z", 9) };
    assert_eq!(told(&[&both[..], &[old]].concat(), "2026-11-14T02:00:00Z", &mut known), []);
}

#[test]
fn doubtful_figures_keep_quiet_what_rests_on_them() {
    let day = at("2026-11-13T00:00:00Z").date_naive();
    let slice = |provider: &str, status| Coverage::of(Some(day), provider, "acme", "events", status);
    let outcome = Outcome {
        coverage: vec![slice("fal", SliceStatus::Suspect), slice("openai", SliceStatus::Missing)],
        ..Outcome::default()
    };
    let spikes = [
        spike("fal", "key_a", "2026-11-13T19:00:00Z", "2026-11-13T20:00:00Z", 400),
        spike("openai", "key_b", "2026-11-13T19:00:00Z", "2026-11-13T20:00:00Z", 400),
        Spike { rule: SpikeRule::Silence, ..spike("openai", "key_c", "2026-11-13T19:00:00Z", "2026-11-13T20:00:00Z", 0) },
        spike("fal", "key_d", "2026-11-14T01:00:00Z", "2026-11-14T02:00:00Z", 400),
    ];
    let now = at("2026-11-14T02:00:00Z");
    let sight = Sight {
        spikes: &spikes,
        outcome: Some(&outcome),
        since: at("2026-10-10T00:00:00Z"),
        until: now,
        as_of: now,
        reports: &BTreeSet::new(),
    };
    let settings = AlertSettings::default();
    let found = alerts(&sight, &settings, &[]);
    let notices = due(&found, &[], &settings, &sight);
    let mut said: Vec<(&str, &str)> =
        notices.iter().map(|notice| (notice.alert.rule.name(), notice.alert.subject.api_key_id.as_str())).collect();
    said.sort_unstable();
    assert_eq!(said, [("missing_slice", ""), ("spike", "key_b"), ("spike", "key_d"), ("suspect_slice", "")]);
    let by: Vec<&Alert> = found.iter().filter(|alert| !alert.inhibited_by.is_empty()).collect();
    assert!(by.iter().all(|alert| found.iter().any(|other| other.id == alert.inhibited_by)) && by.len() == 2);
    // A watch run can neither end what rests on the books nor take it for ended.
    let known: Vec<Told> = notices.iter().map(|notice| notice.told(now)).collect();
    let watch = Sight { outcome: None, ..sight };
    assert_eq!(
        due(&alerts(&watch, &settings, &known), &known, &settings, &watch).len(),
        2,
        "the two spikes that nothing inhibits now"
    );
}

fn notice(rule: SpikeRule, team: &str, severity: Severity, amount: i64) -> Notice {
    let now = at("2026-11-13T20:00:00Z");
    let spikes = [Spike {
        rule,
        team: team.to_string(),
        ..spike("fal", &format!("{amount}"), "2026-11-13T19:00:00Z", "2026-11-13T20:00:00Z", amount)
    }];
    let sight = Sight {
        spikes: &spikes,
        outcome: None,
        since: at("2026-10-10T00:00:00Z"),
        until: now,
        as_of: now,
        reports: &BTreeSet::new(),
    };
    let alert = Alert { severity, ..alerts(&sight, &AlertSettings::default(), &[])[0].clone() };
    Notice { alert, generation: 1, cause: Cause::New, seen_until: now }
}

fn route(channel: &str) -> Route {
    Route {
        channel: channel.to_string(),
        kind: ChannelKind::Slack,
        min_severity: Severity::Info,
        teams: Vec::new(),
        rules: Vec::new(),
    }
}

#[test]
fn channels_take_what_fits_and_many_become_one() {
    let settings = AlertSettings {
        routes: vec![
            Route { min_severity: Severity::Critical, ..route("pager") },
            Route { teams: vec!["growth".to_string()], min_severity: Severity::Warning, ..route("growth") },
            Route { rules: vec!["silence".to_string()], ..route("silence") },
            Route { teams: vec!["nobody".to_string()], ..route("last") },
        ],
        fallback: Some("last".to_string()),
        ..AlertSettings::default()
    };
    let now = at("2026-11-13T20:00:00Z");
    let mut notices = vec![
        notice(SpikeRule::Spike, "studio", Severity::Critical, 1),
        notice(SpikeRule::Spike, "growth", Severity::Error, 2),
        notice(SpikeRule::Silence, "growth", Severity::Warning, 3),
        // Nobody takes this one but the fallback.
        notice(SpikeRule::OldKey, "studio", Severity::Info, 4),
    ];
    let sent = |notices: &[Notice]| -> Vec<(String, usize)> {
        parcels(notices, &settings, now).iter().map(|parcel| (parcel.route.channel.clone(), parcel.notices.len())).collect()
    };
    let each = |names: &[&str]| -> Vec<(String, usize)> { names.iter().map(|name| (name.to_string(), 1)).collect() };
    assert_eq!(sent(&notices), each(&["pager", "growth", "growth", "silence", "last"]));
    notices.extend((10..510).map(|amount| notice(SpikeRule::Spike, "growth", Severity::Error, amount)));
    let parcels = parcels(&notices, &settings, now);
    let [_, spikes, silence, ..] = parcels.as_slice() else { panic!("{parcels:?}") };
    // By rule in the order of names: silence, spike.
    let (silence, spikes) = if spikes.notices.len() == 1 { (spikes, silence) } else { (silence, spikes) };
    assert_eq!((spikes.notices.len(), silence.notices.len(), parcels.len()), (501, 1, 5));
    assert_eq!(spikes.notices[0].alert.amount, Some(Amount::whole(509)), "the worst stands first");
}

#[test]
fn quiet_hours_are_local_and_let_through_what_is_urgent_or_lasts() {
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let quiet = Quiet { from: time(22), to: time(7), free_days: true, through: Severity::Critical, escalate_hours: 6 };
    let mut settings = AlertSettings { routes: vec![route("ops")], quiet: Some(quiet), ..AlertSettings::default() };
    settings.calendar.time_zone = chrono_tz::Europe::Berlin;
    let error = [notice(SpikeRule::Spike, "studio", Severity::Error, 400)];
    let held = |notices: &[Notice], now: &str| parcels(notices, &settings, at(now))[0].not_before;
    // Opened on Friday at 20:00 in Berlin; quiet begins at 22:00.
    assert_eq!(held(&error, "2026-11-13T20:59:00Z"), None);
    // Escalates six hours after it opened, before the quiet of the weekend ends.
    assert_eq!(held(&error, "2026-11-13T21:00:00Z"), Some(at("2026-11-14T01:00:00Z")));
    assert_eq!(held(&error, "2026-11-14T01:00:00Z"), None);
    let critical = [notice(SpikeRule::Spike, "studio", Severity::Critical, 4000)];
    assert_eq!(held(&critical, "2026-11-13T21:00:00Z"), None);
    // What is over waits for Monday, critical or not.
    let mut over = critical;
    over[0].alert.state = AlertState::Resolved;
    assert_eq!(held(&over, "2026-11-13T23:00:00Z"), Some(at("2026-11-16T06:00:00Z")));
    assert_eq!(held(&over, "2026-11-16T06:00:00Z"), None);
}

#[test]
fn days_of_an_incident_reach_to_its_last_hour() {
    let spike = spike("fal", "key_a", "2026-11-13T19:00:00Z", "2026-11-14T00:00:00Z", 400);
    let day = |text: &str| text.parse().unwrap();
    assert_eq!(spike.days(), Days { from: day("2026-11-13"), to: day("2026-11-14") });
}

/// Every day for a year there is another spike, which is told and ends: the list stays short, and with it a run says
/// what it would say with everything that was ever told.
#[test]
fn what_is_kept_of_the_told_is_bounded_and_enough() {
    let settings = AlertSettings::default();
    let (mut all, mut short): (Vec<Told>, Vec<Told>) = (Vec::new(), Vec::new());
    let mut spikes = Vec::new();
    let mut longest = 0;
    for day in 0..365 {
        let opened = at("2026-01-01T07:00:00Z") + Duration::days(day);
        let key = format!("key_{}", day % 3);
        let one = spike("fal", &key, &opened.to_rfc3339(), &(opened + Duration::hours(2)).to_rfc3339(), 400);
        spikes.push(Spike { state: SpikeState::Resolved, ..one });
        for hours in [1, 30] {
            let now = opened + Duration::hours(hours);
            let since = now - Duration::days(35);
            // One key leaked on the first day and is never over.
            let leak = spike("openai", "key_leak", "2026-01-01T09:00:00Z", &now.to_rfc3339(), 900);
            let seen = spikes.iter().filter(|spike| since <= spike.opened_at).cloned().map(|spike| {
                let open = now < spike.last_seen_at;
                Spike { state: if open { SpikeState::Open } else { spike.state }, ..spike }
            });
            let seen: Vec<Spike> = seen.chain([leak]).collect();
            let sight = Sight { spikes: &seen, outcome: None, since, until: now, as_of: now, reports: &BTreeSet::new() };
            let [told, by_short] = [&all, &short].map(|told| due(&alerts(&sight, &settings, told), told, &settings, &sight));
            assert_eq!(told, by_short, "{now}");
            for list in [&mut all, &mut short] {
                for notice in &told {
                    list.retain(|told| told.key != notice.alert.key);
                    list.push(notice.told(now));
                }
            }
            short = kept(short, &sight);
            longest = longest.max(short.len());
        }
    }
    assert_eq!(all.len(), 366);
    assert!(longest <= 45, "{longest}");
    assert!(short.iter().any(|told| told.subject.api_key_id == "key_leak"));
}

/// What only a report by the hour has shown is ended by runs that see it, and by no other.
#[test]
fn nobody_ends_what_he_could_not_see() {
    let now = at("2026-11-14T06:00:00Z");
    let seen = |reports: &[&str]| reports.iter().map(|name| name.to_string()).collect::<BTreeSet<String>>();
    for (by, sees, blind) in [
        (BY_HOURS, "openai, by the provider's hours", "openai, by the provider's days"),
        (BY_DAYS, "openai, by the provider's days", "openai, by the provider's hours"),
    ] {
        let mut known = Vec::new();
        let one = spike("openai", "key_a", "2026-11-13T19:00:00Z", "2026-11-13T20:00:00Z", 400);
        told(&[Spike { series: format!("{}{by}", one.series), ..one }], "2026-11-13T20:00:00Z", &mut known);
        for (reports, ends) in [(seen(&[blind]), false), (seen(&[]), false), (seen(&[sees]), true)] {
            let sight = Sight {
                spikes: &[],
                outcome: None,
                since: at("2026-10-10T00:00:00Z"),
                until: now,
                as_of: now,
                reports: &reports,
            };
            let found = alerts(&sight, &AlertSettings::default(), &known);
            assert_eq!(
                found.iter().filter(|alert| alert.state == AlertState::Resolved).count(),
                usize::from(ends),
                "{reports:?}"
            );
        }
    }
}
