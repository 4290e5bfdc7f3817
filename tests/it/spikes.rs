//! Spikes of whole ledgers: the weekend that nobody sees until Monday, what looks like one and is none, and
//! the rules without a baseline.

use crate::worlds::{Row, World};
use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use tieout::domain::ledger::Status;
use tieout::domain::money::{Amount, Currency};
use tieout::domain::period::Days;
use tieout::domain::spike::{Budget, Settings, Spike, SpikeRule, SpikeState};
use tieout::domain::teams::{Owned, Owner, TeamMap};
use tieout::domain::usage::Precision;
use tieout::stages::spikes::spikes;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// A ledger that is written call by call.
struct Ledger {
    rows: Vec<Row>,
    settings: Settings,
    teams: TeamMap,
}

impl Ledger {
    fn new(zone: Tz) -> Ledger {
        let mut settings = Settings::default();
        settings.calendar.time_zone = zone;
        Ledger { rows: Vec::new(), settings, teams: TeamMap::default() }
    }

    fn call(&mut self, at: DateTime<Utc>, [provider, team, key, model]: [&'static str; 4], cost: Amount) {
        self.row(at, [provider, team, key, model], Some(cost), Status::Ok);
    }

    fn row(&mut self, at: DateTime<Utc>, [provider, team, key, model]: [&'static str; 4], cost: Option<Amount>, status: Status) {
        let request_id: &'static str = Box::leak(format!("call-{}", self.rows.len()).into_boxed_str());
        self.rows.push(Row {
            ledger: 0,
            request_id,
            attempt: 1,
            started_at: at,
            provider,
            model,
            provider_request_id: None,
            account: None,
            sub_account: None,
            api_key_id: Some(key),
            team: Some(team).filter(|team| !team.is_empty()),
            feature: None,
            client: None,
            funding: None,
            status,
            service_tier: None,
            batch: None,
            meters: Vec::new(),
            reasoning_tokens: None,
            expected_cost: cost,
            expected_currency: Some(Currency::USD),
        });
    }

    /// Every hour from the first to the last instant, excluded.
    fn hourly(
        &mut self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        who: [&'static str; 4],
        cost: impl Fn(DateTime<Utc>) -> Option<Amount>,
    ) {
        let mut hour = from;
        while hour < to {
            if let Some(cost) = cost(hour) {
                self.call(hour + Duration::minutes(7), who, cost);
            }
            hour += Duration::hours(1);
        }
    }

    /// What a run at that moment finds.
    fn seen(&self, as_of: DateTime<Utc>) -> Vec<Spike> {
        let first = self.rows.iter().map(|row| row.started_at).min().unwrap().date_naive();
        let world = World {
            sources: Vec::new(),
            pages: Vec::new(),
            rows: self.rows.iter().filter(|row| row.started_at < as_of).cloned().collect(),
            unreadable: Vec::new(),
            ledger_precision: Precision::Exact,
            teams: self.teams.clone(),
            books: BTreeMap::new(),
            as_of,
            window: Days { from: first, to: as_of.date_naive() + Duration::days(1) },
        };
        let reference = world.reference();
        let (facts, ..) = world.read(&reference);
        spikes(&facts, &reference, &self.settings)
    }

    fn rules(&self, as_of: DateTime<Utc>) -> Vec<SpikeRule> {
        self.seen(as_of).iter().map(|spike| spike.rule).collect()
    }
}

/// Whole cents that differ from hour to hour without a pattern.
fn cents(hour: DateTime<Utc>, least: i64, spread: i64) -> Amount {
    let mixed = (hour.timestamp() / 3_600).wrapping_mul(2_654_435_761).rem_euclid(1_000_003);
    Amount::whole(least + mixed % spread).mul_div(1, 100).unwrap()
}

const STUDIO: [&str; 4] = ["fal", "studio", "key_studio", "veo"];

/// Five weeks of an ordinary company in local time: fal by day, another provider at all hours.
fn company(zone: Tz, end: DateTime<Utc>) -> Ledger {
    let mut ledger = Ledger::new(zone);
    let start = end - Duration::days(35);
    ledger.hourly(start, end, STUDIO, |hour| {
        let local = hour.with_timezone(&zone);
        let works = local.weekday().num_days_from_monday() < 5 && (8..19).contains(&local.hour());
        works.then(|| cents(hour, 20, 60))
    });
    ledger.hourly(start, end + Duration::days(6), ["openai", "growth", "key_growth", "gpt"], |hour| Some(cents(hour, 80, 60)));
    ledger
}

fn local(zone: Tz, day: NaiveDate, hour: u32) -> DateTime<Utc> {
    let time = NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    zone.from_local_datetime(&day.and_time(time)).earliest().unwrap().with_timezone(&Utc)
}

/// 400 in 61 hours, from Friday 20:00 to Monday 09:00 (the case to beat of contract 4.7).
#[test]
fn the_weekend_is_caught_after_its_first_hour_in_every_zone_and_season() {
    let hourly = amount("400").mul_div(1, 61).unwrap();
    for (zone, friday, holiday, morning) in [
        (chrono_tz::Europe::Berlin, "2026-11-13", None, "2026-11-16"),
        // Both Sundays on which the clock changes, on both sides of the Atlantic.
        (chrono_tz::Europe::Berlin, "2026-10-23", None, "2026-10-26"),
        (chrono_tz::Europe::Berlin, "2026-03-27", None, "2026-03-30"),
        (chrono_tz::America::New_York, "2026-10-30", None, "2026-11-02"),
        (chrono_tz::America::New_York, "2026-03-06", None, "2026-03-09"),
        // Half an hour off.
        (chrono_tz::Asia::Kolkata, "2026-11-13", None, "2026-11-16"),
        // Year end, and a holiday on Monday.
        (chrono_tz::Europe::Berlin, "2027-12-31", None, "2028-01-03"),
        (chrono_tz::Europe::Berlin, "2026-04-03", Some("2026-04-06"), "2026-04-07"),
    ] {
        let begin = local(zone, friday.parse().unwrap(), 20);
        let end = local(zone, morning.parse().unwrap(), 9);
        // Hours of the ledger are those of UTC: in a zone that is half an hour off the first full one is later.
        let first_hour = begin + Duration::minutes(i64::from(60 - begin.minute()) % 60);
        let mut ledger = company(zone, begin);
        ledger.settings.calendar.holidays.extend(holiday.map(|day: &str| day.parse::<NaiveDate>().unwrap()));
        let mut hour = begin;
        while hour < end {
            ledger.call(hour + Duration::minutes(10), STUDIO, hourly);
            hour += Duration::hours(1);
        }
        let place = format!("{zone} {friday}");
        assert_eq!(ledger.seen(begin), [], "{place}: before");
        let [first] = ledger.seen(first_hour + Duration::hours(1)).try_into().unwrap_or_else(|all| panic!("{place}: {all:?}"));
        assert_eq!((first.rule, first.state), (SpikeRule::Spike, SpikeState::Open), "{place}");
        assert_eq!([&*first.provider, &*first.team, &*first.api_key_id, &*first.model], STUDIO, "{place}");
        assert_eq!(first.detected_at, first.opened_at + Duration::hours(1), "{place}");
        assert!(first.detected_at <= first_hour + Duration::hours(1), "{place}: {}", first.detected_at);
        assert_eq!(first.projected_until, Some(end), "{place}");
        let bill = hourly.mul_div(i128::from((end - begin).num_hours()), 1).unwrap();
        let off = first.projected.unwrap().checked_sub(bill).unwrap().abs();
        assert!(off <= bill.mul_div(1, 10).unwrap(), "{place}: projected {:?}, is {bill}", first.projected);
        // One and the same incident until it is over.
        for later in [begin + Duration::hours(30), end - Duration::hours(1)] {
            let [same] = ledger.seen(later).try_into().unwrap_or_else(|all| panic!("{place}: {all:?}"));
            assert_eq!((&same.spike_id, same.state), (&first.spike_id, SpikeState::Open), "{place}");
            assert!(same.actual > first.actual, "{place}");
        }
        let [over] = ledger.seen(end + Duration::hours(8)).try_into().unwrap_or_else(|all| panic!("{place}: {all:?}"));
        assert_eq!((&over.spike_id, over.state, over.projected), (&first.spike_id, SpikeState::Resolved, None), "{place}");
        assert!(over.actual >= bill.mul_div(98, 100).unwrap(), "{place}: {}", over.actual);
    }
}

#[test]
fn what_looks_like_a_spike_and_is_none_stays_silent() {
    let zone = chrono_tz::Europe::Berlin;
    let (start, end) = (at("2026-08-24T00:00:00Z"), at("2026-11-05T00:00:00Z"));
    let mut ledger = Ledger::new(zone);
    let whole = |units: i64| Some(Amount::whole(units));
    // Monday mornings are five times the other days' mornings.
    ledger.hourly(start, end, ["openai", "growth", "k1", "gpt"], |hour| {
        let local = hour.with_timezone(&zone);
        let monday = local.weekday().num_days_from_monday() == 0 && (9..12).contains(&local.hour());
        whole(if monday { 50 } else { 10 })
    });
    // A batch on the first of the month.
    ledger.hourly(start, end, ["mistral", "search", "k2", "large"], |hour| {
        let local = hour.with_timezone(&zone);
        let batch = local.day() == 1 && (2..5).contains(&local.hour());
        Some(if batch { Amount::whole(60) } else { cents(hour, 100, 40) })
    });
    // Five per cent more each week.
    ledger.hourly(start, end, ["anthropic", "labs", "k3", "claude"], |hour| {
        let weeks = (hour - start).num_hours() / 168;
        (0..weeks).try_fold(cents(hour, 600, 120), |cost, _| cost.mul_div(105, 100))
    });
    // A team that grows from nothing, below the threshold in money.
    ledger.hourly(at("2026-10-05T00:00:00Z"), end, ["groq", "newcomers", "k4", "llama"], |hour| {
        let days = (hour - at("2026-10-05T00:00:00Z")).num_days();
        Amount::whole(days * 15).mul_div(1, 100).filter(|cost| !cost.is_zero())
    });
    // Six hours of outage; what waited is done in the four hours after it.
    ledger.hourly(start, end, ["google", "studio", "k5", "veo"], |hour| {
        let since = (hour - at("2026-10-20T10:00:00Z")).num_hours();
        let down = hour >= at("2026-10-20T10:00:00Z") && since < 6;
        let catching_up = (6..10).contains(&since) && hour >= at("2026-10-20T10:00:00Z");
        (!down).then(|| cents(hour, if catching_up { 1_900 } else { 800 }, 100))
    });
    // The first batch of a month is news, the ones after it are not.
    let learnt = |ledger: &Ledger| -> Vec<Spike> {
        ledger.seen(end).into_iter().filter(|spike| spike.opened_at >= at("2026-09-02T00:00:00Z")).collect()
    };
    assert_eq!(learnt(&ledger), []);
    // An hour that came late: gone in one run, there in the next.
    let late = at("2026-11-03T15:00:00Z");
    let whole_rows = ledger.rows.clone();
    ledger.rows.retain(|row| !(late..late + Duration::hours(1)).contains(&row.started_at));
    assert_eq!(learnt(&ledger), []);
    ledger.rows = whole_rows;
    // The same Monday and the same first of the month with ten times as much are spikes.
    ledger.call(at("2026-11-02T09:30:00Z"), ["openai", "growth", "k1", "gpt"], Amount::whole(450));
    ledger.call(at("2026-11-01T02:30:00Z"), ["mistral", "search", "k2", "large"], Amount::whole(600));
    let found: Vec<_> = learnt(&ledger).into_iter().map(|spike| (spike.provider, spike.rule)).collect();
    assert_eq!(found, [("mistral".to_string(), SpikeRule::Spike), ("openai".to_string(), SpikeRule::Spike)]);
}

#[test]
fn a_new_level_is_accepted_after_its_time() {
    let (start, end) = (at("2026-09-01T00:00:00Z"), at("2026-11-01T00:00:00Z"));
    let mut ledger = Ledger::new(Tz::UTC);
    let shift = at("2026-10-05T00:00:00Z");
    let units = |hour| if hour < shift { cents(hour, 1_000, 100) } else { cents(hour, 6_000, 100) };
    ledger.hourly(start, end, STUDIO, |hour| Some(units(hour)));
    let [spike] = ledger.seen(end).try_into().unwrap();
    assert_eq!((spike.opened_at, spike.state), (shift, SpikeState::Resolved));
    let adapt = Duration::hours(i64::from(ledger.settings.thresholds.adapt_hours));
    assert!(spike.last_seen_at <= shift + adapt, "{}", spike.last_seen_at);
}

fn owned(teams: &mut TeamMap, key: &str, from: &str, to: &str) {
    let days = Days { from: from.parse().unwrap(), to: to.parse().unwrap() };
    let owner = Owner { days, team: "studio".to_string(), funding: None };
    teams.owners.entry((Owned::ApiKey, String::new(), key.to_string())).or_default().push(owner);
}

#[test]
fn keys_speak_without_a_baseline() {
    let end = at("2026-11-20T00:00:00Z");
    let mut ledger = Ledger::new(Tz::UTC);
    owned(&mut ledger.teams, "old", "2026-05-01", "2030-01-01");
    owned(&mut ledger.teams, "sleeper", "2026-10-01", "2030-01-01");
    owned(&mut ledger.teams, "gone", "2026-10-01", "2026-11-10");
    let day = |text: &str| at(&format!("{text}T12:00:00Z"));
    // Cheap everyday use, so that no series has a spike.
    for number in 0..40 {
        ledger.call(day("2026-10-10") + Duration::days(number), ["openai", "studio", "old", "gpt"], amount("0.2"));
    }
    ledger.settings.thresholds.money = Amount::whole(3);
    assert_eq!(ledger.rules(end), []);
    // Spread over hours that are each below the threshold.
    let mut spread = |who: [&'static str; 4], from: &str| {
        for hour in 0..4 {
            ledger.call(day(from) + Duration::hours(hour), who, Amount::ONE);
        }
    };
    spread(["openai", "studio", "old", "sora"], "2026-11-15");
    spread(["openai", "studio", "sleeper", "gpt"], "2026-10-12");
    spread(["openai", "studio", "sleeper", "gpt"], "2026-11-16");
    spread(["openai", "studio", "gone", "gpt"], "2026-11-12");
    spread(["openai", "", "stranger", "gpt"], "2026-11-17");
    let found: Vec<_> = ledger.seen(end).into_iter().map(|spike| (spike.rule, spike.api_key_id, spike.actual)).collect();
    let expected = [
        (SpikeRule::RevokedKey, "gone"),
        (SpikeRule::NewModel, "old"),
        (SpikeRule::DormantKey, "sleeper"),
        (SpikeRule::UnownedKey, "stranger"),
    ];
    assert_eq!(found, expected.map(|(rule, key)| (rule, key.to_string(), Amount::whole(4))));
    ledger.settings.rotate_days = Some(180);
    assert!(ledger.rules(end).contains(&SpikeRule::OldKey));
    ledger.settings.rotate_days = Some(365);
    assert!(!ledger.rules(end).contains(&SpikeRule::OldKey));
}

#[test]
fn budgets_are_passed_or_will_be() {
    let end = at("2026-11-11T00:00:00Z");
    let mut ledger = Ledger::new(Tz::UTC);
    ledger.hourly(at("2026-10-20T00:00:00Z"), end, STUDIO, |_| Some(Amount::ONE));
    let budget = |limit: i64, provider: &str, team: &str| Budget {
        provider: provider.to_string(),
        team: team.to_string(),
        amount: Amount::whole(limit),
        currency: Currency::USD,
    };
    // 240 in ten days of November, so 720 by its end.
    ledger.settings.budgets = vec![
        budget(239, "fal", ""),
        budget(719, "", "studio"),
        budget(721, "", ""),
        budget(1, "", "growth"),
        Budget { currency: Currency::EUR, ..budget(1, "", "") },
    ];
    let found: Vec<_> = ledger.seen(end).into_iter().map(|spike| (spike.rule, spike.expected, spike.projected)).collect();
    let projected = Some(Amount::whole(720));
    assert_eq!(
        found,
        [(SpikeRule::BudgetProjected, Amount::whole(719), projected), (SpikeRule::BudgetPassed, Amount::whole(239), projected)]
    );
}

#[test]
fn silence_and_failures_are_told_apart_from_an_outage_of_the_ledger() {
    let (start, end) = (at("2026-10-20T00:00:00Z"), at("2026-11-11T00:00:00Z"));
    let mut ledger = Ledger::new(Tz::UTC);
    let stop = end - Duration::hours(12);
    ledger.hourly(start, stop, STUDIO, |_| Some(Amount::ONE));
    ledger.hourly(start, stop, ["openai", "growth", "k", "gpt"], |_| Some(Amount::ONE));
    // Nobody has a row: the ledger is away, and no provider is silent.
    assert_eq!(ledger.rules(end), []);
    ledger.hourly(stop, end, ["openai", "growth", "k", "gpt"], |_| Some(Amount::ONE));
    let [silence] = ledger.seen(end).try_into().unwrap();
    assert_eq!((silence.rule, silence.provider.as_str(), silence.opened_at), (SpikeRule::Silence, "fal", stop));
    // Two hours in which nearly every call fails.
    for call in 0..60 {
        let when = at("2026-11-05T10:00:00Z") + Duration::minutes(2 * call);
        ledger.row(when, ["openai", "growth", "k", "gpt"], None, Status::Error);
    }
    let found = ledger.seen(end);
    let errors = found.iter().find(|spike| spike.rule == SpikeRule::Errors).unwrap();
    assert_eq!((errors.provider.as_str(), errors.actual), ("openai", Amount::whole(60)));
    assert_eq!(errors.last_seen_at - errors.opened_at, Duration::hours(2));
}
