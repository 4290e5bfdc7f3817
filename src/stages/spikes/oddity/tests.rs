use super::*;

const UNIT: i128 = 10i128.pow(18);
/// A Monday.
const START: i64 = 1_767_571_200;

fn hour(at: i64) -> Hour {
    let (day, seconds) = (at.div_euclid(DAY), at.rem_euclid(DAY));
    let weekday = (day + 3).rem_euclid(7);
    Hour {
        at,
        hour: u8::try_from(seconds / HOUR).unwrap(),
        weekday: u8::try_from(weekday).unwrap(),
        free: weekday >= 5,
        month_day: 1,
        month: 1,
    }
}

fn oddity(step: i64) -> Oddity {
    Oddity::new(OddLimits { score_milli: 6_000, up: true, down: true, step })
}

/// One verdict for each value; `None` is a gap.
fn judged(step: i64, values: &[Option<i128>]) -> Vec<Option<Verdict>> {
    let mut oddity = oddity(step);
    let at = (0..).map(|place| START + place * step);
    at.zip(values).map(|(at, value)| Some(oddity.judge(hour(at), (*value)?))).collect()
}

fn flags(verdicts: &[Option<Verdict>]) -> Vec<usize> {
    let flagged = |(_, verdict): &(usize, &Option<Verdict>)| verdict.is_some_and(|verdict| verdict.flag);
    verdicts.iter().enumerate().filter(flagged).map(|(place, _)| place).collect()
}

/// Office hours around 100 with a twentieth of noise; a fifth of it at night and at weekends.
fn office(step: i64, steps: usize) -> Vec<Option<i128>> {
    let mut drawn = 7u64;
    let values = (0..i64::try_from(steps).unwrap()).map(|place| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let hour = hour(START + place * step);
        let busy = !hour.free && (8..18).contains(&hour.hour);
        // Two draws: the middle is likelier than the ends.
        let noise = i128::from(drawn >> 33) % 51 + i128::from(drawn >> 20) % 50;
        UNIT * (950 + noise) * if busy { 100 } else { 20 } / 1_000
    });
    values.map(Some).collect()
}

#[test]
fn the_week_is_learnt_and_what_is_neither_high_nor_usual_stands_out() {
    let mut values = office(HOUR, 24 * 42);
    assert_eq!(flags(&judged(HOUR, &values)), Vec::<usize>::new());
    // On a Saturday more than half of what is usual on other days; a dip at noon; nothing at all.
    let (saturday, dip, silence) = (24 * 33 + 11, 24 * 37 + 12, 24 * 39 + 10);
    values[saturday] = Some(60 * UNIT);
    values[dip] = values[dip].map(|value| value / 2);
    values[silence] = Some(0);
    let found = judged(HOUR, &values);
    assert_eq!(flags(&found), vec![saturday, dip, silence]);
    let verdict = found[saturday].unwrap();
    assert!((18 * UNIT..22 * UNIT).contains(&verdict.expected), "{verdict:?}");
    assert_eq!(verdict.baseline, Baseline::Seasonal);
    // Only what is watched is flagged or scored.
    let mut up = Oddity::new(OddLimits { score_milli: 6_000, up: true, down: false, step: HOUR });
    let found: Vec<Verdict> =
        (0..).zip(&values).map(|(place, value)| up.judge(hour(START + place * HOUR), value.unwrap())).collect();
    assert!(found[saturday].flag);
    assert_eq!((found[dip].flag, found[dip].score_milli), (false, 0));
}

/// docs/spikes.md: flagged for two days at most.
#[test]
fn a_new_level_is_flagged_and_then_expected() {
    for (times, over) in [(2, 1), (5, 1), (100, 1), (1, 3)] {
        let mut values = office(HOUR, 24 * 60);
        let shift = 24 * 30 + 9;
        values.iter_mut().skip(shift).for_each(|value| *value = value.map(|value| value * times / over));
        let found = flags(&judged(HOUR, &values));
        assert_eq!(found.first(), Some(&shift), "{times}/{over}");
        assert!(found.iter().all(|place| (shift..shift + 48).contains(place)), "{times}/{over}: {found:?}");
    }
}

#[test]
fn other_steps_and_gaps_are_judged_too() {
    // By the half hour and the quarter of an hour.
    for step in [HOUR / 2, HOUR / 4] {
        let mut values = office(step, usize::try_from(28 * DAY / step).unwrap());
        assert_eq!(flags(&judged(step, &values)), Vec::<usize>::new(), "{step}");
        let spike = usize::try_from((23 * DAY + 3 * HOUR) / step).unwrap();
        values[spike] = Some(60 * UNIT);
        // What it echoes may be flagged as well.
        let found = flags(&judged(step, &values));
        assert_eq!(found.first(), Some(&spike), "{step}");
        assert!(found.iter().all(|place| (spike..spike + SHAPE).contains(place)), "{step}: {found:?}");
    }
    // By the day, with weekends that are a fifth of the rest.
    let mut days: Vec<Option<i128>> =
        office(HOUR, 24 * 90).chunks(24).map(|day| Some(day.iter().flatten().sum::<i128>())).collect();
    assert_eq!(flags(&judged(DAY, &days)), Vec::<usize>::new());
    days[72] = days[72].map(|value| value * 2);
    assert_eq!(flags(&judged(DAY, &days)), vec![72]);
    let first = judged(DAY, &days).iter().flatten().position(|verdict| verdict.baseline > Baseline::WarmingUp);
    assert_eq!(first, Some(FIRST_SCORED));
    // A new level is flagged when it comes and expected after a week.
    days[72] = days[71];
    days.iter_mut().skip(72).for_each(|value| *value = value.map(|value| value * 3));
    let found = flags(&judged(DAY, &days));
    assert_eq!(found.first(), Some(&72));
    assert!(found.iter().all(|day| *day < 79), "{found:?}");
    // Two days are unknown: neither they nor what follows is odd, and a spike after them is.
    let mut values = office(HOUR, 24 * 42);
    values[24 * 30 + 5..24 * 32 + 11].fill(None);
    assert_eq!(flags(&judged(HOUR, &values)), Vec::<usize>::new());
    values[24 * 32 + 14] = Some(300 * UNIT);
    assert_eq!(flags(&judged(HOUR, &values)), vec![24 * 32 + 14]);
}

#[test]
fn negative_values_are_judged_like_others() {
    let sinking = |values: Vec<Option<i128>>| -> Vec<Option<i128>> {
        values.into_iter().map(|value| value.map(|value| value - 60 * UNIT)).collect()
    };
    let mut values = office(HOUR, 24 * 42);
    values[24 * 38 + 3] = Some(90 * UNIT);
    let found = flags(&judged(HOUR, &sinking(values.clone())));
    assert_eq!(found, vec![24 * 38 + 3]);
    // The first negative value after weeks without one, which changes what is compared.
    values[24 * 40 + 3] = Some(-200 * UNIT);
    let found = flags(&judged(HOUR, &values));
    let echoed = |of: usize| of..of + SHAPE;
    assert!([24 * 38 + 3, 24 * 40 + 3].iter().all(|spike| found.contains(spike)), "{found:?}");
    assert!(found.iter().all(|at| echoed(24 * 38 + 3).contains(at) || echoed(24 * 40 + 3).contains(at)), "{found:?}");
}

#[test]
fn what_never_changes_is_never_odd_until_it_does() {
    for always in [0, 1, UNIT, 12_345 * UNIT, -UNIT] {
        let mut values = vec![Some(always); 24 * 20];
        let found = judged(HOUR, &values);
        assert!(found.iter().flatten().all(|verdict| verdict.score_milli == 0), "{always}");
        values[24 * 15] = Some(always + always.abs() / 10 + UNIT);
        assert_eq!(flags(&judged(HOUR, &values)).first(), Some(&(24 * 15)), "{always}");
    }
}

#[test]
fn nothing_is_judged_before_there_is_something_to_compare_with() {
    let mut values = office(HOUR, 24 * 3);
    values[35] = Some(9_000 * UNIT);
    values[36] = Some(9_000 * UNIT);
    let found = judged(HOUR, &values);
    let warm = found.iter().flatten().position(|verdict| verdict.baseline > Baseline::WarmingUp);
    assert_eq!(warm, Some(WARM_UP + JUDGED));
    assert!(found.iter().flatten().take(WARM_UP + JUDGED).all(|verdict| verdict.score_milli == 0 && !verdict.flag));
}

#[test]
fn the_largest_and_smallest_numbers_overflow_nothing() {
    let mut drawn = 3u64;
    let extremes = [i128::MAX, i128::MIN, i128::MIN + 1, 0, 1, -1, UNIT, i128::MAX / 2, 10i128.pow(30), -10i128.pow(35)];
    for (negative_from, step) in [(0, HOUR), (400, HOUR), (usize::MAX, HOUR), (300, 900), (30, DAY)] {
        let values: Vec<Option<i128>> = (0..3_000)
            .map(|place| {
                drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let value = extremes[usize::try_from(drawn >> 33).unwrap() % extremes.len()];
                Some(if place < negative_from { value.saturating_abs() } else { value })
            })
            .collect();
        let found = judged(step, &values);
        assert!(found.iter().flatten().all(|verdict| (0..2_000_000).contains(&verdict.score_milli)));
    }
    // The same instant again and again, one that is far away, and times that go nowhere.
    let mut oddity = oddity(0);
    for at in [START, START, START + 10_000 * DAY].into_iter().cycle().take(500) {
        oddity.judge(hour(at.min(START + 10_000 * DAY)), UNIT);
    }
}
