//! The unit guard: a whole account whose amounts are off by one constant factor was read in another unit
//! (cents for dollars, credits for dollars). It is accepted, marked suspect, and the run is partial
//! (contract 4.8, "Reconciliation columns"; reliability.md section 3, "Unit guard").

use super::classify::{Verdict, factor_between};
use super::facts::Facts;
use super::matching::{Agreed, Match};
use super::results::{Coverage, SliceStatus};
use super::symbols::Sym;
use hashbrown::HashMap;

/// Share of the compared matches that must be off by the same factor, in percent.
const SHARE: u64 = 90;

/// Provider accounts whose amounts are off by one factor.
pub fn suspects(facts: &Facts, agreed: &[Agreed], matches: &[Match], verdicts: &[Verdict]) -> Vec<(Sym, Sym)> {
    let mut compared: HashMap<(Sym, Sym), u64> = HashMap::new();
    let mut off: HashMap<(Sym, Sym, i128), u64> = HashMap::new();
    for sum in agreed {
        let kind = &facts.charge_kinds.all()[sum.charge_kind as usize];
        *compared.entry((kind.provider, kind.account)).or_default() += u64::from(sum.requests);
    }
    for (m, verdict) in matches.iter().zip(verdicts) {
        if verdict.billed.is_zero() || verdict.expected.is_zero() {
            continue;
        }
        *compared.entry((m.provider, m.account)).or_default() += 1;
        if let Some(factor) = factor_between(verdict.billed, verdict.expected) {
            *off.entry((m.provider, m.account, factor)).or_default() += 1;
        }
    }
    let is_suspect = |((provider, account, _), count): (&(Sym, Sym, i128), &u64)| {
        let of = compared.get(&(*provider, *account)).copied().unwrap_or(0);
        (count * 100 > of * SHARE).then_some((*provider, *account))
    };
    let mut suspects: Vec<(Sym, Sym)> = off.iter().filter_map(is_suspect).collect();
    suspects.sort_unstable();
    suspects.dedup();
    suspects
}

/// Marks the slices of suspect accounts.
pub fn mark(facts: &Facts, suspects: &[(Sym, Sym)], coverage: &mut [Coverage]) {
    for (provider, account) in suspects {
        let (provider, account) = (facts.symbols.text(*provider), facts.symbols.text(*account));
        for slice in coverage.iter_mut() {
            let present = matches!(slice.status, SliceStatus::Complete | SliceStatus::Provisional);
            if present && slice.provider == provider && slice.account == account && slice.amount.is_some() {
                slice.status = SliceStatus::Suspect;
            }
        }
    }
}
