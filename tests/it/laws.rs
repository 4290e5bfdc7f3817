//! Laws for random worlds (contract section 5; house rules for properties): sums that carry, order that
//! does not matter, and agreement with the oracle's nested loops.

use crate::oracle::{bearing, matching, reading};
use crate::worlds::{LEDGERS, Mood, Row, World, world};
use chrono::NaiveDate;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};
use tieout::domain::money::{Amount, Currency, sum};
use tieout::domain::period::Days;
use tieout::domain::usage::Line;
use tieout::stages::facts::Facts;
use tieout::stages::matching::{Grain, Match, match_requests};
use tieout::stages::pools::match_all;
use tieout::stages::results::{Attribution, Drift, Outcome, Reason, Reconciliation, Tie};
use tieout::stages::slices;

/// At least 256 worlds; PROPTEST_CASES asks for more.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::with_cases(ProptestConfig::default().cases.max(256));
    ProptestConfig { failure_persistence: None, max_shrink_iters: 2_000, ..config }
}

type Slice = (NaiveDate, String, String, Currency);

fn slice_of(row: &Reconciliation) -> Slice {
    (row.charge_date, row.provider.clone(), row.account.clone(), row.currency)
}

/// Sums by slice, without those that come to nothing.
fn by_slice(rows: impl IntoIterator<Item = (Slice, Amount)>) -> BTreeMap<Slice, Amount> {
    let mut sums: BTreeMap<Slice, Amount> = BTreeMap::new();
    for (slice, amount) in rows {
        let total = sums.entry(slice).or_default();
        *total = total.checked_add(amount).unwrap();
    }
    sums.retain(|_, sum| !sum.is_zero());
    sums
}

fn accepted(books: &reading::Books) -> BTreeMap<Slice, Amount> {
    by_slice(books.lines.iter().map(|line| {
        let slice = (line.day(), line.provider.to_string(), line.account.to_string(), line.charge.currency);
        (slice, line.charge.cost.unwrap_or_default())
    }))
}

fn attributed(rows: &[Attribution]) -> BTreeMap<Slice, Amount> {
    by_slice(rows.iter().map(|row| ((row.charge_date, row.provider.clone(), row.account.clone(), row.currency), row.billed_cost)))
}

/// Rows as texts in order, so that two tables compare as sets that count.
fn sorted<T: std::fmt::Debug>(rows: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut rows: Vec<String> = rows.into_iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

/// What may not depend on the order of rows and pages. Evidence names a first row, which is another one.
fn substance(outcome: &Outcome) -> Vec<String> {
    let drift = outcome.drift.iter().cloned().map(|row| Drift { evidence: String::new(), ..row });
    [sorted(&outcome.attribution), sorted(drift), sorted(&outcome.reconciliation)].concat()
}

/// The rows that only one of two tables has, each with the place of its table.
fn unlike(one: Vec<String>, other: Vec<String>) -> Vec<(u8, String)> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for (rows, count) in [(one, 1), (other, -1)] {
        for row in rows {
            *counts.entry(row).or_default() += count;
        }
    }
    let only = counts.into_iter().filter(|(_, count)| *count != 0);
    only.map(|(row, count)| (if count > 0 { 1 } else { 2 }, row)).collect()
}

/// Both tables have the same rows, each as often.
macro_rules! assert_same_rows {
    ($one:expr, $other:expr) => {
        let unlike = unlike($one, $other);
        prop_assert!(unlike.is_empty(), "{unlike:#?}");
    };
}

/// A shuffle that a seed decides.
fn shuffle<T>(items: &mut [T], seed: &mut u64) {
    for at in (1..items.len()).rev() {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(at, (*seed >> 33) as usize % (at + 1));
    }
}

/// The lines of a page by report row; what speaks for the page as a whole comes first.
fn rows_of(lines: &[Line<'static>]) -> Vec<Vec<Line<'static>>> {
    let mut rows: BTreeMap<u32, Vec<Line<'static>>> = BTreeMap::new();
    for line in lines {
        let number = match line {
            Line::Charge(charge) => charge.row,
            Line::Quarantined(row) => row.row,
            Line::Nothing { row, .. } => *row,
            Line::Covers(_) => 0,
        };
        rows.entry(number).or_default().push(line.clone());
    }
    rows.into_values().collect()
}

fn permuted(world: &World, mut seed: u64) -> World {
    let mut world = world.clone();
    shuffle(&mut world.rows, &mut seed);
    for page in &mut world.pages {
        let mut rows = rows_of(&page.lines);
        shuffle(&mut rows, &mut seed);
        page.lines = rows.concat();
    }
    shuffle(&mut world.pages, &mut seed);
    world.pages.sort_by_key(|page| page.pull);
    world
}

/// Every page cut in two. Rows that say the same stay together: apart they would be one row served twice.
fn halved(world: &World, seed: u64) -> World {
    let mut world = world.clone();
    let pages = std::mem::take(&mut world.pages);
    for page in pages {
        let said = |row: &[Line<'static>]| -> u64 {
            let text = format!("{row:?}");
            let text = text.split_once(", start").map_or("", |(_, rest)| rest);
            text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        };
        let (one, two): (Vec<_>, Vec<_>) = rows_of(&page.lines).into_iter().partition(|row| said(row) >> 17 & 1 == 0);
        for (half, rows) in [("a", one), ("b", two)] {
            let file = format!("{half}-{}", page.file);
            world.pages.push(crate::worlds::Page { file, lines: rows.concat(), ..page.clone() });
        }
    }
    world
}

fn served_twice(world: &World, seed: u64) -> World {
    let mut world = world.clone();
    let mut again = world.pages.clone();
    again.retain(|page| !(page.lines.len() as u64 + seed).is_multiple_of(3));
    for page in &mut again {
        page.file = format!("again-{}", page.file);
    }
    world.pages.extend(again);
    world.pages.sort_by_key(|page| page.pull);
    world
}

proptest! {
    #![proptest_config(cases())]

    /// Law 1: attribution sums to the accepted lines, and both are the reconciliation's provider total.
    #[test]
    fn every_billed_line_lands_on_teams(world in world(Mood::Wild)) {
        let books = reading::books(&world);
        let outcome = world.run();
        prop_assert_eq!(attributed(&outcome.attribution), accepted(&books));
        let totals = outcome.reconciliation.iter().map(|row| (slice_of(row), row.provider_total.unwrap_or_default()));
        prop_assert_eq!(by_slice(totals), accepted(&books));
    }

    /// Law 2: reasons sum to the difference, drift rows to their reason, variances to their row.
    #[test]
    fn every_difference_is_explained_to_the_last_digit(world in world(Mood::Wild)) {
        let books = reading::books(&world);
        let outcome = world.run();
        let expected = by_slice(books.entries.iter().map(|entry| {
            let (provider, account, day) = entry.slice();
            ((day, provider.to_string(), account.to_string(), entry.currency), Amount::from_atto(entry.cost))
        }));
        prop_assert_eq!(by_slice(outcome.reconciliation.iter().map(|row| (slice_of(row), row.ledger_total))), expected);
        let slices: BTreeSet<Slice> = outcome.reconciliation.iter().map(slice_of).collect();
        prop_assert_eq!(slices.len(), outcome.reconciliation.len());
        for row in &outcome.reconciliation {
            let there = books.covered.iter().any(|(provider, account, day)| {
                (*provider, *account, *day) == (row.provider.as_str(), row.account.as_str(), row.charge_date)
            });
            prop_assert_eq!(row.provider_total.is_some(), there);
            prop_assert_eq!(row.status == Tie::Missing, !there);
            let Some(billed) = row.provider_total else { continue };
            let difference = billed.checked_sub(row.ledger_total).unwrap();
            prop_assert_eq!(sum(row.reasons), Some(difference), "{:?} {:?}", row, outcome.drift);
            for (reason, total) in Reason::ALL.iter().zip(row.reasons) {
                let own = outcome.drift.iter().filter(|drift| {
                    drift.reason == *reason
                        && (drift.charge_date, &drift.provider, &drift.account, drift.currency)
                            == (row.charge_date, &row.provider, &row.account, row.currency)
                });
                prop_assert_eq!(sum(own.map(|drift| drift.difference)), Some(total));
            }
        }
        for drift in &outcome.drift {
            prop_assert_eq!(drift.provider_cost.checked_sub(drift.ledger_cost), Some(drift.difference));
            let variances = [drift.quantity_variance, drift.price_variance, drift.other_variance];
            prop_assert_eq!(sum(variances), Some(drift.difference));
            let slice = (drift.charge_date, drift.provider.clone(), drift.account.clone(), drift.currency);
            prop_assert!(slices.contains(&slice), "{drift:?} is of no slice");
        }
    }

    /// Law 3: rows read = used + duplicates + quarantined, with nothing read twice or lost.
    #[test]
    fn every_row_read_is_used_dropped_or_set_aside(world in world(Mood::Wild)) {
        let books = reading::books(&world);
        let outcome = world.run();
        for (is_ledger, counts) in [(false, books.pages), (true, books.ledger)] {
            let rows: Vec<_> = outcome.coverage.iter().filter(|row| (row.provider == "ledger") == is_ledger).collect();
            for row in &rows {
                prop_assert_eq!(row.rows_read, row.rows_used + row.duplicates + row.quarantined);
            }
            let found = reading::Counts {
                read: rows.iter().map(|row| row.rows_read).sum(),
                duplicates: rows.iter().map(|row| row.duplicates).sum(),
                quarantined: rows.iter().map(|row| row.quarantined).sum(),
            };
            prop_assert_eq!(found, counts);
        }
    }

    /// Rows set aside are all listed, and what is covered says the amounts of the rest.
    #[test]
    fn no_amount_is_lost_to_quarantine(world in world(Mood::Wild)) {
        let books = reading::books(&world);
        let outcome = world.run();
        let aside = |is_ledger: bool| {
            outcome.quarantine.iter().filter(|row| LEDGERS.contains(&row.account.as_str()) == is_ledger).count() as u64
        };
        prop_assert_eq!((aside(false), aside(true)), (books.pages.quarantined, books.ledger.quarantined));
        let booked = outcome.coverage.iter().filter(|row| row.provider != "ledger" && row.cost_basis != "control");
        let amounts = booked.filter_map(|row| {
            let slice = (row.charge_date?, row.provider.clone(), row.account.clone(), row.currency?);
            Some((slice, row.amount?))
        });
        // What only a coarser report shows is of no row.
        let rows = books.lines.iter().filter(|line| line.origin.1 != 0);
        let lines = rows.map(|line| {
            let slice = (line.day(), line.provider.to_string(), line.account.to_string(), line.charge.currency);
            (slice, line.charge.cost.unwrap_or_default())
        });
        prop_assert_eq!(by_slice(amounts), by_slice(lines));
    }

    /// Law 4, as far as it is arithmetic: parts sum to the whole, and none is off by a unit.
    #[test]
    fn parts_of_a_split_sum_to_the_whole(
        whole in -10i128.pow(25)..10i128.pow(25),
        weights in prop::collection::vec(0i64..=1_000_000_000_000, 1..9),
        places in 0u32..=18,
    ) {
        let amounts: Vec<Amount> = weights.iter().map(|weight| Amount::from_atto(i128::from(*weight))).collect();
        let parts = Amount::from_atto(whole).split(&amounts, places);
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        let step = 10i128.pow(18 - places);
        match parts {
            None => prop_assert_eq!(total, 0),
            Some(parts) => {
                prop_assert_eq!(sum(parts.iter().copied()), Some(Amount::from_atto(whole)));
                for (at, (part, weight)) in parts.iter().zip(&weights).enumerate() {
                    // The first part also carries the digits beyond the places.
                    let excess = if at == 0 { whole % step } else { 0 };
                    let units = (part.atto() - excess) / step;
                    prop_assert_eq!(units * step + excess, part.atto());
                    let fair = (whole / step) * i128::from(*weight);
                    prop_assert!((units * total - fair).abs() < total, "part {} of {:?}", at, parts);
                }
            }
        }
    }

    /// Law 5: the same snapshot gives the same outcome.
    #[test]
    fn the_same_snapshot_gives_the_same_outcome(world in world(Mood::Wild)) {
        let (one, two) = (world.run(), world.run());
        assert_same_rows!(sorted(&one.attribution), sorted(&two.attribution));
        assert_same_rows!(sorted(&one.drift), sorted(&two.drift));
        assert_same_rows!(sorted(&one.reconciliation), sorted(&two.reconciliation));
        assert_same_rows!(sorted(&one.coverage), sorted(&two.coverage));
        assert_same_rows!(sorted(&one.quarantine), sorted(&two.quarantine));
        assert_same_rows!(sorted(&one.controls), sorted(&two.controls));
    }

    /// Law 5: the order of rows and pages changes nothing.
    #[test]
    fn row_order_never_changes_a_result(world in world(Mood::Consistent), seed in any::<u64>()) {
        assert_same_rows!(substance(&world.run()), substance(&permuted(&world, seed).run()));
    }

    /// Law 5: it does not matter how rows are cut into pages, or whether a page comes twice.
    #[test]
    fn paging_never_changes_a_result(world in world(Mood::Consistent), seed in any::<u64>()) {
        let whole = substance(&world.run());
        assert_same_rows!(whole.clone(), substance(&halved(&world, seed).run()));
        assert_same_rows!(whole, substance(&served_twice(&world, seed).run()));
    }

    /// Two windows cut at a day's edge add up to the whole.
    #[test]
    fn two_windows_add_up_to_the_whole(world in world(Mood::DayByDay), at in 0u64..4) {
        let Days { from, to } = world.window;
        let edge = (from + chrono::Days::new(at)).min(to);
        let whole = world.run();
        let part = |window: Days| World { window, ..world.clone() }.run();
        let (one, two) = (part(Days { from, to: edge }), part(Days { from: edge, to }));
        let both = one.attribution.iter().chain(&two.attribution);
        assert_same_rows!(sorted(both), sorted(&whole.attribution));
        // A cut-off has its other half on the neighbouring day, which a window may not have.
        let one_day = !whole.drift.iter().any(|row| row.reason == Reason::CutOff);
        let totals = |row: &Reconciliation| {
            let reasons = one_day.then_some(row.reasons);
            (slice_of(row), row.provider_total, row.ledger_total, row.matched, row.status, reasons)
        };
        let both = one.reconciliation.iter().chain(&two.reconciliation).map(totals);
        assert_same_rows!(sorted(both), sorted(whole.reconciliation.iter().map(totals)));
    }

    /// The join finds the requests, and the buckets the company, that nested loops find.
    #[test]
    fn the_join_agrees_with_nested_loops(world in world(Mood::Wild)) {
        let books = reading::books(&world);
        let reference = world.reference();
        let (facts, provider, _) = world.read(&reference);
        let line = |index: &u32| origin(&facts, *index);
        let row = |index: &u32| facts.entries[*index as usize].row;
        let found = match_requests(&facts);
        let requests = matching::requests(&books);
        let (mut met_lines, mut met_rows) = (BTreeSet::new(), BTreeSet::new());
        for (lines, entries) in &requests {
            met_lines.extend(lines.iter().copied());
            met_rows.extend(entries.iter().copied());
        }
        let lone = (0..books.lines.len()).filter(|at| {
            !met_lines.contains(at) && books.lines[*at].is_usage() && books.lines[*at].charge.request_id.is_some()
        });
        prop_assert_eq!(sorted(found.lone_lines.iter().map(line)), sorted(lone.map(|at| books.lines[at].origin.clone())));
        let lone = (0..books.entries.len())
            .filter(|at| !met_rows.contains(at) && books.entries[*at].row.provider_request_id.is_some());
        let call = |row: &Row| (row.ledger, row.request_id, row.attempt);
        let places = |at: usize| world.rows.iter().position(|row| call(row) == call(&books.entries[at].row)).unwrap() as u32 + 1;
        prop_assert_eq!(sorted(found.lone_entries.iter().map(row)), sorted(lone.map(places)));
        let linked: BTreeSet<String> = found
            .linked
            .iter()
            .map(|(lines, entries)| format!("{:?} {:?}", sorted(lines.iter().map(line)), sorted(entries.iter().map(row))))
            .collect();
        let looped: BTreeSet<String> = requests
            .iter()
            .map(|(lines, entries)| {
                let lines = sorted(lines.iter().map(|at| books.lines[*at].origin.clone()));
                format!("{lines:?} {:?}", sorted(entries.iter().map(|at| places(*at))))
            })
            .collect();
        prop_assert!(linked.is_subset(&looped), "{linked:?} are not all in {looped:?}");
        // What agrees at first sight leaves as sums, and is the rest.
        let agreed: u32 = found.agreed.iter().map(|sum| sum.requests).sum();
        prop_assert_eq!(linked.len() + agreed as usize, looped.len());
        let covered = slices::covered(&facts, &provider.covered);
        let matched = match_all(&facts, &reference, &covered).unwrap();
        let buckets = matched.matches.iter().filter(|m| m.grain == Grain::Day && m.known.is_none());
        let groups = matching::groups(&world, &books);
        let groups = groups.iter().filter(|group| !group.by_request && compared(&books, group));
        prop_assert_eq!(sorted(buckets.map(|m| company(&facts, m))), sorted(groups.map(|group| company_of(&books, group))));
    }

    /// Teams bear what the ladder gives them when it is climbed line by line.
    #[test]
    fn attribution_agrees_with_the_oracle(world in world(Mood::Wild)) {
        let books = reading::books(&world);
        let groups = matching::groups(&world, &books);
        let expected: BTreeMap<String, Amount> = bearing::bear(&world, &books, &groups)
            .into_iter()
            .map(|(place, cost)| (format!("{place:?}"), Amount::from_atto(cost)))
            .collect();
        let mut found: BTreeMap<String, Amount> = BTreeMap::new();
        for row in world.run().attribution {
            let place = (row.charge_date, row.provider, row.account, row.currency, row.team, row.basis);
            let total = found.entry(format!("{place:?}")).or_default();
            *total = total.checked_add(row.billed_cost).unwrap();
        }
        found.retain(|_, cost| !cost.is_zero());
        prop_assert_eq!(found, expected);
    }

    /// One row for each combination of what `attribution.csv` tells apart.
    #[test]
    fn attribution_has_one_row_for_each_of_its_dimensions(world in world(Mood::Wild)) {
        let rows = world.run().attribution;
        let key = |row: &Attribution| {
            let (requests, consumed_quantity, consumed_unit) = (0, None, String::new());
            let (list_cost, contracted_cost, billed_cost, reporting_cost) = (None, None, Amount::ZERO, Amount::ZERO);
            let figures = Attribution { requests, consumed_quantity, consumed_unit, list_cost, ..row.clone() };
            format!("{:?}", Attribution { contracted_cost, billed_cost, reporting_cost, ..figures })
        };
        let keys: BTreeSet<String> = rows.iter().map(key).collect();
        prop_assert_eq!(keys.len(), rows.len(), "{:#?}", rows);
    }

    /// Every open item has an id of its own, and halves of a pair name each other.
    #[test]
    fn drift_ids_are_unique(world in world(Mood::Wild)) {
        let outcome = world.run();
        let ids: BTreeSet<&str> = outcome.drift.iter().map(|row| row.drift_id.as_str()).collect();
        prop_assert_eq!(ids.len(), outcome.drift.len());
        for row in outcome.drift.iter().filter(|row| !row.pair_id.is_empty()) {
            let halves = outcome.drift.iter().filter(|other| other.pair_id == row.pair_id).count();
            prop_assert!(halves > 1, "{row:?} is half of nothing");
        }
    }
}

fn origin(facts: &Facts, line: u32) -> (String, u32) {
    let line = &facts.lines[line as usize];
    (facts.pages[line.page as usize].clone(), line.row)
}

/// A bucket as the stages made it: its lines, and its rows summed by meter.
fn company(facts: &Facts, m: &Match) -> String {
    let lines = sorted(m.lines.iter().map(|line| origin(facts, *line)));
    let mut sums: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for piece in &m.pieces {
        let sum = sums.entry(facts.symbols.text(piece.meter)).or_default();
        *sum = (sum.0 + piece.quantity, sum.1 + piece.cost.atto());
    }
    format!("{lines:?} {sums:?}")
}

/// A bucket as the nested loops made it.
fn company_of(books: &reading::Books, group: &matching::Group) -> String {
    let lines = sorted(group.lines.iter().map(|line| books.lines[*line].origin.clone()));
    let mut sums: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for piece in &group.pieces {
        let sum = sums.entry(piece.meter.unwrap_or("")).or_default();
        *sum = (sum.0 + piece.quantity, sum.1 + piece.cost);
    }
    format!("{lines:?} {sums:?}")
}

/// The group is a bucket: not a line that was set apart, nor measures that nobody billed.
fn compared(books: &reading::Books, group: &matching::Group) -> bool {
    !group.pieces.is_empty() || (!group.apart && group.lines.iter().any(|line| books.lines[*line].cost().is_some()))
}

/// What the worlds are made for happens in them: every rule of the ladder and every reason.
#[test]
fn the_worlds_are_rich() {
    let mut runner = TestRunner::deterministic();
    let (mut reasons, mut bases) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..256 {
        let outcome = world(Mood::Wild).new_tree(&mut runner).unwrap().current().run();
        reasons.extend(outcome.drift.iter().map(|row| row.reason));
        bases.extend(outcome.attribution.iter().map(|row| row.basis));
    }
    let absent: Vec<&str> = Reason::ALL.iter().filter(|reason| !reasons.contains(*reason)).map(|reason| reason.name()).collect();
    assert!(absent.is_empty() && bases.len() == 8, "reasons without a case: {absent:?}; bases: {bases:?}");
}
