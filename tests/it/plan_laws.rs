//! Laws of plans for random terms, against a second, simpler computation: whole numbers, one volume at a time.

use crate::plan_vectors::{amount, rate, used};
use proptest::prelude::*;
use tieout::domain::money::{Amount, sum};
use tieout::domain::plan::break_even::{Change, Cheaper, changed, sensitivity};
use tieout::domain::plan::fraction::Fraction;
use tieout::domain::plan::{
    Allowance, Asked, Choice, Comparison, Component, Cost, Deposit, Ladder, LineCosts, Minimum, OwnDiscount, Pack, Portion,
    Range, Rate, RateTier, Route, Step, Terms, Tier, UsageLine, compare,
};

/// Volumes that are tried one by one.
const VOLUMES: i64 = 100_000;
/// Money in billionths, so that every product below is whole.
const NANO: i64 = 1_000_000_000;

fn nano(count: i64) -> Amount {
    Amount::from_atto(i128::from(count) * 1_000_000_000)
}

fn exactly(count: i64) -> Range {
    Range::exactly(nano(count))
}

/// How credits are sold. Prices in billionths.
#[derive(Clone, Debug)]
enum Sold {
    /// From a volume on, a price; for all units or for those inside the tier.
    Rates {
        tiers: Vec<(i64, i64)>,
        graduated: bool,
    },
    /// Included, price; overage beyond the last, or each tier's own.
    Tiers {
        tiers: Vec<(i64, i64)>,
        overage: i64,
        cheapest: bool,
    },
    Packs {
        units: i64,
        price: i64,
    },
    /// Per mille on list cost beyond a free part, in nanos of list cost.
    Percent {
        mille: i64,
        free: i64,
    },
}

#[derive(Clone, Debug)]
struct World {
    sold: Sold,
    /// Per mille of what is paid from the balance, at least so much.
    deposit: Option<(i64, i64)>,
    credits_flat: i64,
    credits_minimum: i64,
    /// List and contracted price of a unit.
    list: i64,
    contracted: i64,
    byok_flat: i64,
    byok_minimum: i64,
    /// Per mille of list cost beyond so many free calls.
    fee: (i64, i64),
    /// A subscription at the provider: included, price, overage.
    step: Option<(i64, i64, i64)>,
    /// The month's own volume.
    volume: i64,
}

/// What tiers cost for a volume. Plain loops, here and below: this runs a hundred million times without optimisation.
fn tiered(tiers: &[(i64, i64)], overage: i64, cheapest: bool, n: i64) -> i64 {
    let (mut at, mut least) = (0, i64::MAX);
    while at < tiers.len() {
        let (included, price) = tiers[at];
        if !cheapest && (n <= included || at + 1 == tiers.len()) {
            return if n <= included { price } else { price + (n - included) * overage };
        }
        let cost = if n <= included { price } else { price + (n - included) * overage };
        if cost < least {
            least = cost;
        }
        at += 1;
    }
    least
}

fn by_rates(tiers: &[(i64, i64)], graduated: bool, n: i64) -> i64 {
    let (mut at, mut paid) = (0, 0);
    while at < tiers.len() && n >= tiers[at].0 {
        let (from, price) = tiers[at];
        at += 1;
        if graduated {
            let end = if at < tiers.len() && tiers[at].0 < n { tiers[at].0 } else { n };
            paid += (end - from) * price;
        } else {
            paid = n * price;
        }
    }
    paid
}

fn above(value: i64) -> i64 {
    if value > 0 { value } else { 0 }
}

impl World {
    fn credits(&self, n: i64) -> i64 {
        let (usage, bundle) = match &self.sold {
            Sold::Rates { tiers, graduated } => (by_rates(tiers, *graduated, n), 0),
            Sold::Tiers { tiers, overage, cheapest } => (0, tiered(tiers, *overage, *cheapest, n)),
            Sold::Packs { units, price } => (0, (n + units - 1) / units * price),
            Sold::Percent { mille, free } => {
                let list = self.list * n;
                (list + above(list - free) / 1_000 * mille, 0)
            }
        };
        let mut cost = usage + bundle + above(self.credits_minimum - usage) + self.credits_flat;
        if let (Some((mille, least)), true) = (self.deposit, usage > 0) {
            let fee = usage / 1_000 * mille;
            cost += if fee > least { fee } else { least };
        }
        cost
    }

    fn byok(&self, n: i64) -> i64 {
        let usage = match self.step {
            Some((included, price, overage)) => tiered(&[(included, price)], overage, false, n),
            None => self.contracted * n,
        };
        let fee = above(self.list * (n - self.fee.1)) / 1_000 * self.fee.0;
        usage + fee + above(self.byok_minimum - usage) + self.byok_flat
    }

    fn terms(&self) -> (Terms, Terms) {
        let tier = |included: i64, price: i64, overage: Option<i64>| Tier {
            included: Some(Amount::whole(included)),
            price: exactly(price),
            overage: overage.map(exactly),
        };
        let mut credits = Terms { flat_fee: exactly(self.credits_flat), ..Terms::free(Route::Credits) };
        match &self.sold {
            Sold::Rates { tiers, graduated } => {
                let tiers = tiers.iter().map(|(from, price)| RateTier { from: Amount::whole(*from), price: exactly(*price) });
                credits.rates = vec![Rate { tiers: tiers.collect(), graduated: *graduated, ..rate("images", exactly(0)) }];
            }
            Sold::Tiers { tiers, overage, cheapest } => {
                let last = tiers.len() - 1;
                let tiers = tiers.iter().enumerate();
                let tiers =
                    tiers.map(|(at, (included, price))| tier(*included, *price, (*cheapest || at == last).then_some(*overage)));
                let choice = if *cheapest { Choice::Cheapest } else { Choice::Fits };
                credits.subscription = Some(Ladder { tiers: tiers.collect(), choice });
            }
            Sold::Packs { units, price } => {
                credits.pack = Some(Pack { units: Amount::whole(*units), price: exactly(*price) });
            }
            Sold::Percent { mille, free } => {
                credits.percent = Some(exactly(mille * NANO / 1_000));
                credits.allowance = Some(Allowance::ListCost(nano(*free)));
            }
        }
        credits.deposit = self.deposit.map(|(mille, least)| Deposit { part: nano(mille * NANO / 1_000), minimum: nano(least) });
        credits.minimums = vec![Minimum { provider: None, amount: nano(self.credits_minimum) }];
        let step = self.step.map(|(included, price, overage)| Step {
            provider: "p".to_string(),
            meter: "images".to_string(),
            ladder: Ladder { tiers: vec![tier(included, price, Some(overage))], choice: Choice::Fits },
        });
        let byok = Terms {
            flat_fee: exactly(self.byok_flat),
            percent: Some(exactly(self.fee.0 * NANO / 1_000)),
            allowance: Some(Allowance::Requests(Amount::whole(self.fee.1))),
            minimums: vec![Minimum { provider: Some("p".to_string()), amount: nano(self.byok_minimum) }],
            steps: step.into_iter().collect(),
            ..Terms::free(Route::Byok)
        };
        (credits, byok)
    }

    fn line(&self, volume: i64) -> UsageLine {
        UsageLine {
            list_cost: Some(nano(self.list * volume)),
            contracted_cost: Some(nano(self.contracted * volume)),
            ..used("images", volume)
        }
    }

    fn compare(&self) -> Comparison {
        let (credits, byok) = self.terms();
        compare(&credits, &byok, &[self.line(self.volume)], &Asked::month("images")).unwrap()
    }

    /// Runs of whole volumes at which own keys are cheaper, one by one.
    fn runs(&self, up_to: i64) -> Vec<(i64, i64)> {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        let (mut n, mut start) = (1, 0);
        while n <= up_to + 1 {
            let cheaper = n <= up_to && self.credits(n) > self.byok(n);
            if cheaper && start == 0 {
                start = n;
            }
            if !cheaper && start > 0 {
                runs.push((start, n - 1));
                start = 0;
            }
            n += 1;
        }
        runs
    }
}

/// The same runs from exact regions.
fn whole_runs(cheaper: &Cheaper, up_to: i64) -> Vec<(i64, i64)> {
    let near = |x: Fraction| i64::try_from(x.to_amount().unwrap().atto() / Amount::ONE.atto()).unwrap_or(i64::MAX / 2);
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for region in &cheaper.regions {
        let first = (near(region.from) - 1..).find(|n| {
            let n = Fraction::whole(*n);
            n > region.from || (region.from_included && n == region.from)
        });
        let last = region.to.map_or(up_to, |to| {
            let inside = |n: &i64| Fraction::whole(*n) < to || (region.to_included && Fraction::whole(*n) == to);
            (0..=near(to).min(up_to) + 1).rev().find(inside).unwrap()
        });
        let (first, last) = (first.unwrap().max(1), last.min(up_to));
        match runs.last_mut() {
            _ if first > last => {}
            Some((_, before)) if *before + 1 == first => *before = last,
            _ => runs.push((first, last)),
        }
    }
    runs
}

/// Ascending volumes with falling or rising prices.
fn ladder(count: usize) -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((1i64..30_000, 1i64..400), 1..=count).prop_map(|steps| {
        let (mut at, mut price) = (0, 0);
        let grow = |(by, dearer): (i64, i64)| {
            (at, price) = (at + by, price + dearer);
            (at, price * NANO)
        };
        steps.into_iter().map(grow).collect()
    })
}

fn sold() -> impl Strategy<Value = Sold> {
    let milli = 1_000_000i64;
    prop_oneof![
        (prop::collection::vec((1i64..40_000, 1i64..120), 0..3), 1i64..120, any::<bool>()).prop_map(
            move |(more, first, graduated)| {
                let mut tiers = vec![(0, first * milli)];
                for (by, price) in more {
                    let from = tiers.last().unwrap().0 + by;
                    tiers.push((from, price * milli));
                }
                Sold::Rates { tiers, graduated }
            }
        ),
        (ladder(4), 0i64..200, any::<bool>()).prop_map(move |(tiers, overage, cheapest)| Sold::Tiers {
            tiers,
            overage: overage * milli,
            cheapest
        }),
        (60i64..20_000, 1i64..500).prop_map(|(units, price)| Sold::Packs { units, price: price * NANO }),
        (0i64..900, 0i64..2_000).prop_map(|(mille, free)| Sold::Percent { mille, free: free * NANO }),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let milli = 1_000_000i64;
    let some = |most: i64| prop_oneof![Just(0), 1..most];
    (
        sold(),
        prop::option::of((0i64..120, some(30))),
        (some(100), some(100)),
        (1i64..120, 0i64..=100),
        (some(200), some(100)),
        (some(200), some(50_000)),
        prop::option::of((1i64..50_000, 1i64..300, 0i64..150)),
        1i64..60_000,
    )
        .prop_map(move |(sold, deposit, credits, (list, percent), byok, fee, step, volume)| World {
            sold,
            deposit: deposit.map(|(mille, least)| (mille, least * NANO / 10)),
            credits_flat: credits.0 * NANO / 10,
            credits_minimum: credits.1 * NANO,
            list: list * milli,
            contracted: list * milli / 100 * percent,
            byok_flat: byok.0 * NANO,
            byok_minimum: byok.1 * NANO,
            fee,
            step: step.map(|(included, price, overage)| (included, price * NANO, overage * milli)),
            volume,
        })
}

fn figure(cost: &Cost) -> Amount {
    cost.cash().unwrap()
}

/// Each route's lines sum to the route, component by component, and the components to the saving.
fn assert_sums(comparison: &Comparison) {
    type Side = fn(&LineCosts) -> &Cost;
    let sides: [(&Cost, Side); 4] = [
        (&comparison.credits.low, |line| &line.credits_low),
        (&comparison.credits.high, |line| &line.credits_high),
        (&comparison.byok.low, |line| &line.byok_low),
        (&comparison.byok.high, |line| &line.byok_high),
    ];
    for (total, side) in sides {
        let lines = comparison.lines.iter().flatten().map(side);
        let summed = lines.fold(Cost::default(), |sum, line| sum.checked_add(line).unwrap());
        assert_eq!(&summed, total);
    }
    let components = comparison.components().unwrap();
    let cash = components.iter().filter(|(component, _)| **component != Component::OpsHours).map(|(_, part)| *part);
    assert_eq!(sum(cash), comparison.saving().map(|range| range.low));
    assert_eq!(sum(components.values().copied()), comparison.all_in_saving().map(|range| range.low));
}

/// 40 plans, each tried at 100,000 volumes; PROPTEST_CASES asks for more, and CI for 1,000.
fn plans() -> ProptestConfig {
    let config = ProptestConfig { max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: 40, ..config } }
}

proptest! {
    #![proptest_config(plans())]

    #[test]
    fn break_even_is_what_trying_every_volume_finds(world in world()) {
        let comparison = world.compare();
        prop_assert_eq!(figure(&comparison.credits.low), nano(world.credits(world.volume)));
        prop_assert_eq!(figure(&comparison.byok.low), nano(world.byok(world.volume)));
        let found = comparison.break_even(false).unwrap().unwrap();
        prop_assert_eq!(&found.certain, &found.possible);
        let until = found.certain.until.map_or(VOLUMES, |until| {
            i64::try_from(until.to_amount().unwrap().atto() / Amount::ONE.atto()).unwrap().min(VOLUMES)
        });
        prop_assert_eq!(whole_runs(&found.certain, until), world.runs(until));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_sum_to_routes_and_components_to_the_saving(world in world(), volumes in prop::collection::vec(1i64..5_000, 1..6)) {
        let (credits, byok) = world.terms();
        let lines: Vec<UsageLine> = volumes.iter().map(|volume| world.line(*volume)).collect();
        let whole = compare(&credits, &byok, &lines, &Asked::month("images")).unwrap();
        assert_sums(&whole);
        // The same usage in one line costs the same.
        let at_once = compare(&credits, &byok, &[world.line(volumes.iter().sum())], &Asked::month("images")).unwrap();
        prop_assert_eq!(figure(&whole.credits.low), figure(&at_once.credits.low));
        prop_assert_eq!(figure(&whole.byok.low), figure(&at_once.byok.low));
    }

    #[test]
    fn a_plan_equal_to_raw_rates_saves_nothing(list in 0i64..1_000_000, volume in 1i64..100_000, mille in 1i64..1_000) {
        let off = nano(mille * NANO / 1_000);
        let discount = OwnDiscount { provider: None, account: None, api_key_id: None, off };
        let line = UsageLine { list_cost: Some(nano(list * volume)), ..used("images", volume) };
        let raw = Terms { rates: vec![rate("images", exactly(list))], ..Terms::free(Route::Credits) };
        let passed = Terms::free(Route::Credits);
        let discounted = |terms: &Terms| Terms { discounts: vec![discount.clone()], ..terms.clone() };
        let byok = Terms::free(Route::Byok);
        for (credits, byok) in [(raw, byok.clone()), (passed.clone(), byok.clone()), (discounted(&passed), discounted(&byok))] {
            let month = compare(&credits, &byok, std::slice::from_ref(&line), &Asked::month("images")).unwrap();
            prop_assert_eq!(month.saving(), Some(Range::default()));
            prop_assert_eq!(month.components().unwrap().len(), 0);
            let found = month.break_even(false).unwrap().unwrap();
            prop_assert_eq!((found.volumes(), found.words(), found.distance()), ("none".into(), "never".into(), None));
        }
    }

    #[test]
    fn interval_ends_are_ordered(low in world(), wider in prop::array::uniform4(0i64..50), hours in 0i64..10, wage in 0i64..90) {
        // Every figure of the terms becomes a range that starts where it was.
        let (mut credits, mut byok) = low.terms();
        let widen = |range: &mut Range, by: i64| range.high = range.low.checked_add(nano(by * NANO / 10)).unwrap();
        widen(&mut credits.flat_fee, wider[0]);
        credits.rates.iter_mut().flat_map(|rate| &mut rate.tiers).for_each(|tier| widen(&mut tier.price, wider[1]));
        credits.pack.iter_mut().for_each(|pack| widen(&mut pack.price, wider[1]));
        credits.percent.iter_mut().for_each(|percent| widen(percent, wider[1]));
        let ladders = credits.subscription.iter_mut().chain(byok.steps.iter_mut().map(|step| &mut step.ladder));
        for tier in ladders.flat_map(|ladder| &mut ladder.tiers) {
            widen(&mut tier.price, wider[2]);
            tier.overage.iter_mut().for_each(|overage| widen(overage, wider[1]));
        }
        widen(&mut byok.flat_fee, wider[3]);
        byok.percent.iter_mut().for_each(|percent| widen(percent, wider[1]));
        byok.ops_hours = Range { low: Amount::whole(hours), high: Amount::whole(hours * 2) };
        credits.value = nano(wider[0] * NANO);
        credits.fx = nano(wider[1] * NANO / 1_000);
        let asked = Asked { wage: Some(Amount::whole(wage)), ..Asked::month("images") };
        let month = compare(&credits, &byok, &[low.line(low.volume)], &asked).unwrap();
        assert_sums(&month);
        prop_assert!(figure(&month.credits.low) <= figure(&month.credits.high));
        prop_assert!(figure(&month.byok.low) <= figure(&month.byok.high));
        for range in [month.saving().unwrap(), month.all_in_saving().unwrap()] {
            prop_assert!(range.low <= range.high);
        }
        // What is certain is possible.
        let found = month.break_even(true).unwrap().unwrap();
        for n in (1..2_000).step_by(37) {
            prop_assert!(!found.certain.holds(Fraction::whole(n)) || found.possible.holds(Fraction::whole(n)));
        }
    }

    #[test]
    fn the_parts_of_a_month_bear_its_fixed_figures_exactly(world in world(), cut in 0u32..=30) {
        let (credits, byok) = world.terms();
        let part = |from: u32, to: u32| {
            let days = Portion { from, to, of: 30 };
            let asked = Asked { credits_days: days, byok_days: days, ..Asked::month("images") };
            compare(&credits, &byok, &[world.line(1)], &asked).unwrap()
        };
        let (before, after, whole) = (part(0, cut), part(cut, 30), part(0, 30));
        for side in [|month: &Comparison| month.byok.low.clone(), |month: &Comparison| month.credits.low.clone()] {
            let fees = [&before, &after, &whole].map(|month| side(month).part(Component::FlatFee));
            prop_assert_eq!(fees[0].checked_add(fees[1]), Some(fees[2]));
        }
    }

    #[test]
    fn a_factor_of_one_changes_nothing_and_more_volume_never_costs_less_on_own_keys(world in world()) {
        let (credits, byok) = world.terms();
        let usage = [world.line(world.volume)];
        for change in [Change::Volume, Change::ProviderPrice, Change::CreditPrice] {
            let same = changed(&credits, &byok, &usage, change, Amount::ONE).unwrap();
            prop_assert_eq!((&same.0, &same.1, same.2.as_slice()), (&credits, &byok, usage.as_slice()));
        }
        let factors = [amount("0.5"), Amount::ONE, Amount::whole(2)];
        let found = sensitivity(&credits, &byok, &usage, &Asked::month("images"), &factors).unwrap();
        let own = world.compare().saving();
        prop_assert_eq!(found.iter().filter(|row| row.factor == Amount::ONE && row.saving == own).count(), 3);
        // Dearer credits save more, dearer providers less wherever credits do not pass their price on.
        let by = |change: Change| found.iter().filter(|row| row.change == change).map(|row| row.saving.unwrap().low).collect::<Vec<_>>();
        prop_assert!(by(Change::CreditPrice).is_sorted());
        if !matches!(world.sold, Sold::Percent { .. }) {
            prop_assert!(by(Change::ProviderPrice).is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn points_of_the_curve_are_costs(world in world()) {
        let month = world.compare();
        let points = month.points(Amount::whole(40_000), 8);
        prop_assert!(points.len() >= 9 && points.iter().map(|point| point.volume).is_sorted());
        for point in points.iter().filter(|point| point.volume.atto() % Amount::ONE.atto() == 0 && !point.volume.is_zero()) {
            let n = i64::try_from(point.volume.atto() / Amount::ONE.atto()).unwrap();
            prop_assert_eq!(point.credits, exactly(world.credits(n)));
            prop_assert_eq!(point.byok, exactly(world.byok(n)));
        }
    }
}

/// A cost as real bills have it: many decimals.
fn long(most: i128) -> impl Strategy<Value = Amount> {
    (1..most * 1_000_000_000_000).prop_map(|pico| Amount::from_atto(pico * 1_000_000))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn figures_of_many_digits_are_computed(
        world in world(),
        costs in prop::collection::vec((long(100_000), long(100_000), 1i64..1_000_000_007, 1i64..999_999_937), 1..5),
        own in long(5_000),
        part in 1i128..100_000,
    ) {
        let (credits, mut byok) = world.terms();
        let mut lines = Vec::new();
        for (at, (list, contracted, requests, images)) in costs.into_iter().enumerate() {
            let provider = format!("p{at}");
            byok.minimums.push(Minimum { provider: Some(provider.clone()), amount: own });
            let line = UsageLine { list_cost: Some(list), contracted_cost: Some(contracted), ..used("images", images) };
            lines.push(UsageLine { provider, requests: Amount::whole(requests), ..line });
        }
        byok.deposit = Some(Deposit { part: Amount::from_atto(part * 1_000_000_000_000), minimum: own });
        byok.fx = Amount::from_atto(part * 100_000_000_000);
        let month = compare(&credits, &byok, &lines, &Asked::month("images")).unwrap();
        assert_sums(&month);
        prop_assert!(month.break_even(false).is_ok());
    }
}
