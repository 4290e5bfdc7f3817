use super::super::NIGHTLY;
use super::*;

fn day(text: &str) -> NaiveDate {
    parse_day(text).unwrap()
}

fn landing(date: &str) -> Landing {
    Landing { as_of: format!("{date}T06:00:00Z").parse().unwrap(), business_date: day(date), accept_shrink: false }
}

fn owner() -> Owner {
    Owner { provider: "openai".to_string(), account: "org".to_string() }
}

/// An answer in one page; days with their rows, whose number is also what tells them apart.
fn answer(page: &str, days: &[(&str, u64)]) -> Answered {
    let said = |rows: u64| Said { digest: format!("d{rows}"), rows, amounts: format!("{{\"USD\":\"{rows}\"}}") };
    Answered {
        owner: owner(),
        endpoint: "costs".to_string(),
        pages: vec![PageRow { name: page.to_string(), sha256: format!("{page:0>64}"), group_by: vec!["model".to_string()] }],
        days: days.iter().map(|(text, rows)| (day(text), said(*rows))).collect(),
        fetched_at: "2026-11-18T06:00:01Z".parse().unwrap(),
    }
}

const ALL: (&str, &str) = ("2026-11-01", "2026-12-01");

fn versions(state: &mut State) -> Vec<(String, u32, u64)> {
    let days = Days { from: day(ALL.0), to: day(ALL.1) };
    let slices = state.slices(&owner(), days).unwrap();
    slices.iter().map(|slice| (slice.day.to_string(), slice.version, slice.rows)).collect()
}

#[test]
fn a_day_is_replaced_by_what_a_later_answer_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path(), "run-1").unwrap();
    let days = Days { from: day(ALL.0), to: day(ALL.1) };
    state.land(&answer("a", &[("2026-11-10", 4), ("2026-11-11", 5)]), &landing("2026-11-12")).unwrap();
    state.land(&answer("b", &[("2026-11-11", 6), ("2026-11-12", 0)]), &landing("2026-11-13")).unwrap();
    let expected = [("2026-11-10", 1, 4), ("2026-11-11", 2, 6), ("2026-11-12", 1, 0)];
    assert_eq!(versions(&mut state), expected.map(|(day, version, rows)| (day.to_string(), version, rows)));
    let stored = state.stored(&owner(), days).unwrap();
    let shown: Vec<(&str, Vec<String>)> = stored
        .iter()
        .map(|stored| (stored.pages[0].name.as_str(), stored.days.iter().map(NaiveDate::to_string).collect()))
        .collect();
    let expected = [("a", vec!["2026-11-10"]), ("b", vec!["2026-11-11", "2026-11-12"])];
    assert_eq!(shown, expected.map(|(page, days)| (page, days.into_iter().map(str::to_string).collect())));
    assert_eq!(stored[0].pages[0].group_by, ["model"]);

    let steps = state.version_steps(days).unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!((steps[0].day, steps[0].version, steps[0].rows), (day("2026-11-11"), 2, (5, 6)));
    assert_eq!(steps[0].amounts, ("{\"USD\":\"5\"}".to_string(), "{\"USD\":\"6\"}".to_string()));
    assert_eq!(steps[0].seen_on, day("2026-11-13"));

    // The same again changes no version, only where it comes from; what nothing needs is forgotten.
    state.land(&answer("c", &[("2026-11-10", 4), ("2026-11-11", 6), ("2026-11-12", 0)]), &landing("2026-11-14")).unwrap();
    assert_eq!(versions(&mut state).iter().map(|(_, version, _)| *version).collect::<Vec<_>>(), [1, 2, 1]);
    let mut kept = state.pages_kept().unwrap();
    kept.sort();
    assert_eq!(kept, [format!("{:0>64}", "a"), format!("{:0>64}", "c")]);
}

#[test]
fn a_slice_that_shrank_is_held_until_a_second_day() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path(), "run-1").unwrap();
    let days = Days { from: day(ALL.0), to: day(ALL.1) };
    state.land(&answer("a", &[("2026-11-10", 10), ("2026-11-11", 10)]), &landing("2026-11-12")).unwrap();
    let small = answer("b", &[("2026-11-10", 4), ("2026-11-11", 5)]);
    for _ in 0..2 {
        assert_eq!(state.land(&small, &landing("2026-11-13")).unwrap(), [day("2026-11-10")]);
        assert_eq!(state.held(&owner(), days).unwrap(), [("costs".to_string(), day("2026-11-10"))]);
    }
    assert_eq!(versions(&mut state)[0].2, 10);
    assert_eq!(state.land(&small, &landing("2026-11-14")).unwrap(), []);
    assert_eq!(
        (versions(&mut state)[0].clone(), state.held(&owner(), days).unwrap()),
        (("2026-11-10".to_string(), 2, 4), vec![])
    );

    let empty = answer("c", &[("2026-11-11", 0)]);
    assert_eq!(state.land(&empty, &landing("2026-11-14")).unwrap(), [day("2026-11-11")]);
    let accepted = Landing { accept_shrink: true, ..landing("2026-11-14") };
    assert_eq!(state.land(&empty, &accepted).unwrap(), []);
    assert_eq!(
        (versions(&mut state)[1].clone(), state.held(&owner(), days).unwrap()),
        (("2026-11-11".to_string(), 3, 0), vec![])
    );
}

#[test]
fn a_version_of_this_run_can_be_held_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path(), "run-1").unwrap();
    let date = day("2026-11-11");
    state.land(&answer("a", &[("2026-11-11", 10)]), &landing("2026-11-12")).unwrap();
    assert!(!state.hold_back(&owner(), "costs", date, &landing("2026-11-12")).unwrap(), "there is none before it");
    state.land(&answer("b", &[("2026-11-11", 12)]), &landing("2026-11-13")).unwrap();
    assert!(state.hold_back(&owner(), "costs", date, &landing("2026-11-13")).unwrap());
    assert_eq!(versions(&mut state), [("2026-11-11".to_string(), 1, 10)]);
    assert!(!state.hold_back(&owner(), "costs", date, &landing("2026-11-13")).unwrap());
    let days = Days { from: day(ALL.0), to: day(ALL.1) };
    assert_eq!(state.held(&owner(), days).unwrap().len(), 1);
}

#[test]
fn a_day_that_is_not_over_is_completed_and_restates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path(), "run-1").unwrap().of_kind(WATCH);
    let at = |hour: &str| Landing { as_of: hour.parse().unwrap(), business_date: day("2026-11-12"), accept_shrink: false };
    state.land(&answer("a", &[("2026-11-12", 2)]), &at("2026-11-12T10:05:00Z")).unwrap();
    state.land(&answer("b", &[("2026-11-12", 3)]), &at("2026-11-12T11:05:00Z")).unwrap();
    state.land(&answer("c", &[("2026-11-12", 9)]), &at("2026-11-13T00:05:00Z")).unwrap();
    let one = |version, rows| [("2026-11-12".to_string(), version, rows)];
    assert_eq!(versions(&mut state), one(1, 9));
    // From here on the day was over, so that another figure is another version.
    state.land(&answer("d", &[("2026-11-12", 10)]), &at("2026-11-13T01:05:00Z")).unwrap();
    assert_eq!(versions(&mut state), one(2, 10));
    assert_eq!(state.pages_kept().unwrap().len(), 2);
}

#[test]
fn what_is_watched_by_the_hour_is_no_slice_of_a_night() {
    let dir = tempfile::tempdir().unwrap();
    let days = Days { from: day(ALL.0), to: day(ALL.1) };
    let one = |rows| [("2026-11-10".to_string(), 1, rows)];
    let mut state = State::open(dir.path(), "run-1").unwrap();
    state.land(&answer("a", &[("2026-11-10", 4)]), &landing("2026-11-12")).unwrap();
    let mut state = state.of_kind(WATCH);
    assert_eq!(versions(&mut state), []);
    state.land(&answer("b", &[("2026-11-10", 96)]), &landing("2026-11-12")).unwrap();
    state.land(&answer("c", &[("2026-11-10", 40)]), &landing("2026-11-12")).unwrap();
    assert_eq!((versions(&mut state), state.held(&owner(), days).unwrap().len()), (one(96).to_vec(), 1));
    state.land(&answer("d", &[("2026-11-10", 97)]), &landing("2026-11-13")).unwrap();
    let mut state = state.of_kind(NIGHTLY);
    assert_eq!(versions(&mut state), one(4));
    assert_eq!((state.held(&owner(), days).unwrap(), state.version_steps(days).unwrap()), (Vec::new(), Vec::new()));
    // Of both kinds the pages stay.
    assert_eq!(state.pages_kept().unwrap().len(), 3);
}
