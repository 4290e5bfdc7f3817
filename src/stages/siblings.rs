//! Differences that only two matches together explain: the same usage under another model or tier, on
//! the neighbouring day, or cut into other input classes.

use super::classify::{Quantities, Verdict};
use super::facts::Facts;
use super::matching::{ANY, Grain, Match};
use super::results::Reason;
use super::symbols::Sym;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::usage::meter;
use std::collections::BTreeMap;

/// Looks at all matches together and renames what has a sibling. `next_pair` numbers the pairs found.
pub fn explain(facts: &Facts, matches: &[Match], verdicts: &mut [Verdict], mut next_pair: u32) {
    let is_open = |m: &Match, verdict: &Verdict| {
        m.grain == Grain::Day
            && m.known.is_none()
            && matches!(
                verdict.reason,
                Some(
                    Reason::MissingInLedger | Reason::MissingAtProvider | Reason::Quantity | Reason::Unexplained | Reason::Price
                )
            )
    };
    let mut slices: BTreeMap<(Sym, Sym), Vec<usize>> = BTreeMap::new();
    for (at, m) in matches.iter().enumerate() {
        if is_open(m, &verdicts[at]) {
            slices.entry((m.provider, m.account)).or_default().push(at);
        }
    }
    let classes: Vec<Sym> = meter::INPUT_CLASSES.iter().filter_map(|class| facts.symbols.find(class)).collect();
    for members in slices.values_mut() {
        // Which of several candidates make a pair may not depend on the order in which rows were read.
        members.sort_by_key(|at| order(facts, &matches[*at], &verdicts[*at]));
        for reason in [Reason::Model, Reason::Tier, Reason::CutOff] {
            pair_up(matches, verdicts, members, reason, &mut next_pair);
        }
        recut_inputs(matches, verdicts, members, &classes);
    }
}

fn order<'a>(facts: &'a Facts, m: &Match, verdict: &Verdict) -> impl Ord + use<'a> {
    let word = |sym: Sym| if sym == ANY { "*" } else { facts.symbols.text(sym) };
    let [sub_account, api_key_id, model, tier, batch, meter] = m.key.dims();
    let dims = ([sub_account, api_key_id, model, tier, meter].map(word), batch);
    (m.day, m.currency, dims, verdict.difference, verdict.billed)
}

/// Finds pairs of opposite differences that agree in all dimensions but the one that the reason names.
fn pair_up(matches: &[Match], verdicts: &mut [Verdict], members: &[usize], reason: Reason, next_pair: &mut u32) {
    // Only matches whose differences are opposite can be siblings: look among those of one size.
    let mut by_size: BTreeMap<Vec<(Sym, i128)>, Vec<usize>> = BTreeMap::new();
    for at in members {
        if verdicts[*at].pair.is_none() {
            by_size.entry(size(&verdicts[*at], reason)).or_default().push(*at);
        }
    }
    for group in by_size.values() {
        let mut taken = vec![false; group.len()];
        for one in 0..group.len() {
            if taken[one] {
                continue;
            }
            let found = (one + 1..group.len()).find(|other| {
                let (a, b) = (group[one], group[*other]);
                !taken[*other] && opposite(&verdicts[a], &verdicts[b], reason) && differ_only_in(&matches[a], &matches[b], reason)
            });
            if let Some(other) = found {
                (taken[one], taken[other]) = (true, true);
                for at in [group[one], group[other]] {
                    verdicts[at].reason = Some(reason);
                    verdicts[at].pair = Some(*next_pair);
                }
                *next_pair += 1;
            }
        }
    }
}

/// What must be equal for two differences to cancel: money for a cut-off, quantities otherwise.
fn size(verdict: &Verdict, reason: Reason) -> Vec<(Sym, i128)> {
    if reason == Reason::CutOff {
        return vec![(ANY, verdict.difference.abs().atto())];
    }
    let differences = side(verdict).unwrap_or_default();
    differences.iter().map(|(meter, quantity)| (*meter, quantity.abs().atto())).collect()
}

/// Provider less ledger quantities; for a provider without quantities there is no telling.
fn side(verdict: &Verdict) -> Option<Quantities> {
    if verdict.provider_quantities.is_none() && verdict.billed.is_zero() {
        let negated = verdict.ledger_quantities.iter().map(|(meter, quantity)| (*meter, -*quantity));
        return Some(negated.collect());
    }
    verdict.quantity_differences()
}

fn opposite(a: &Verdict, b: &Verdict, reason: Reason) -> bool {
    if reason == Reason::CutOff {
        return a.difference == -b.difference;
    }
    let (Some(a), Some(b)) = (side(a), side(b)) else { return false };
    !a.is_empty() && a.len() == b.len() && a.iter().zip(&b).all(|((m, x), (n, y))| m == n && *x == -*y)
}

fn differ_only_in(a: &Match, b: &Match, reason: Reason) -> bool {
    let apart = (a.day - b.day).abs();
    let (x, y) = (a.key.dims(), b.key.dims());
    let agrees = |at: usize| x[at] == y[at] || x[at] == ANY || y[at] == ANY;
    let [sub_account, api_key_id, model, tier, batch, meter] = [0, 1, 2, 3, 4, 5].map(agrees);
    let same_owner = sub_account && api_key_id && meter && a.currency == b.currency;
    match reason {
        Reason::Model => apart == 0 && same_owner && tier && batch && !model,
        Reason::Tier => apart == 0 && same_owner && model && !(tier && batch),
        _ => apart == 1 && same_owner && model && tier && batch,
    }
}

/// Input classes of one key that differ but add up to the same total.
fn recut_inputs(matches: &[Match], verdicts: &mut [Verdict], members: &[usize], classes: &[Sym]) {
    let mut groups: BTreeMap<(i32, Currency, [Sym; 5]), Vec<usize>> = BTreeMap::new();
    for at in members {
        let m = &matches[*at];
        let [a, b, c, d, e, meter] = m.key.dims();
        // Where the quantities agree, nothing was cut differently.
        let differs = side(&verdicts[*at]).is_none_or(|differences| !differences.is_empty());
        if classes.contains(&meter) && verdicts[*at].pair.is_none() && differs {
            groups.entry((m.day, m.currency, [a, b, c, d, e])).or_default().push(*at);
        }
    }
    for group in groups.values().filter(|group| group.len() > 1) {
        let differences: Option<Vec<Amount>> =
            group.iter().map(|at| side(&verdicts[*at]).and_then(|differences| sum(differences.into_values()))).collect();
        if differences.and_then(sum) == Some(Amount::ZERO) {
            for at in group {
                verdicts[*at].reason = Some(Reason::CacheClass);
            }
        }
    }
}
