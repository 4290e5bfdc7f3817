//! Names each difference by cause, in the order of contract 4.8. One match, one reason.

use super::facts::{Entry, Facts, NO_AMOUNT, amount};
use super::matching::{Grain, Match, Piece};
use super::reference::Reference;
use super::results::Reason;
use super::symbols::{NONE, Sym};
use crate::domain::ledger::Status;
use crate::domain::money::{Amount, sum};
use crate::domain::period::day_of;
use crate::domain::price::{Asked, UnitPrice};
use crate::domain::usage::meter;
use hashbrown::HashSet;
use std::collections::BTreeMap;

/// Quantities by meter.
pub type Quantities = BTreeMap<Sym, Amount>;

/// What a match comes to.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `None`: the sides agree to the last digit.
    pub reason: Option<Reason>,
    pub billed: Amount,
    pub expected: Amount,
    /// Billed less expected.
    pub difference: Amount,
    /// `None` where the provider's report has no quantities.
    pub provider_quantities: Option<Quantities>,
    pub ledger_quantities: Quantities,
    pub quantity_variance: Amount,
    pub price_variance: Amount,
    pub other_variance: Amount,
    /// Two halves of one item carry the same number.
    pub pair: Option<u32>,
}

impl Verdict {
    /// Provider less ledger, by meter; only what differs. `None` where the provider's are unknown.
    pub fn quantity_differences(&self) -> Option<Quantities> {
        let provider = self.provider_quantities.as_ref()?;
        let mut differences = Quantities::new();
        for meter in provider.keys().chain(self.ledger_quantities.keys()) {
            let of = |side: &Quantities| side.get(meter).copied().unwrap_or_default();
            let difference = of(provider).checked_sub(of(&self.ledger_quantities))?;
            if !difference.is_zero() {
                differences.insert(*meter, difference);
            }
        }
        Some(differences)
    }
}

/// What a classification needs besides the match.
pub struct Judge<'a> {
    pub facts: &'a Facts,
    pub reference: &'a Reference,
    /// Slices whose days are settled.
    pub settled: &'a HashSet<(Sym, Sym, i32)>,
    /// Our request ids of which an attempt that ended well was billed.
    billed_calls: HashSet<Sym>,
    requests: Sym,
    output: Sym,
    input_classes: Vec<Sym>,
}

/// The constant factors between units that are taken for one another.
const FACTORS: [i128; 3] = [100, 1_000, 1_000_000];

impl<'a> Judge<'a> {
    pub fn new(
        facts: &'a Facts,
        reference: &'a Reference,
        settled: &'a HashSet<(Sym, Sym, i32)>,
        matches: &[Match],
    ) -> Judge<'a> {
        let find = |name: &str| facts.symbols.find(name).unwrap_or(Sym::MAX - 1);
        // Only calls of which some attempt failed matter, and those never leave the request match unseen.
        let is_ok: Vec<bool> = facts.entry_kinds.all().iter().map(|kind| kind.status == Status::Ok).collect();
        let is_ok = |entry: &Entry| is_ok.get(entry.kind as usize) == Some(&true);
        let mut failed = vec![false; facts.calls.len()];
        for entry in facts.entries.iter().filter(|entry| !is_ok(entry)) {
            if let Some(failed) = failed.get_mut(entry.call as usize) {
                *failed = true;
            }
        }
        let looked_at: HashSet<u32> =
            matches.iter().filter(|m| m.lines.is_empty()).flat_map(|m| m.pieces.iter().map(|piece| piece.entry)).collect();
        let billed_calls = facts
            .entries
            .iter()
            .enumerate()
            .filter(|(index, entry)| {
                failed.get(entry.call as usize) == Some(&true) && is_ok(entry) && !looked_at.contains(&(*index as u32))
            })
            .map(|(_, entry)| entry.call)
            .collect();
        Judge {
            facts,
            reference,
            settled,
            billed_calls,
            requests: find(meter::REQUESTS),
            output: find(meter::OUTPUT_TOKENS),
            input_classes: meter::INPUT_CLASSES.iter().map(|class| find(class)).collect(),
        }
    }

    /// The verdict on one match, seen by itself (see `siblings` for what takes two).
    pub fn verdict(&self, m: &Match) -> Verdict {
        let (billed, expected) = (m.billed(self.facts), m.expected());
        let difference = billed.checked_sub(expected).unwrap_or_default();
        let mut verdict = Verdict {
            reason: None,
            billed,
            expected,
            difference,
            provider_quantities: self.provider_quantities(m),
            ledger_quantities: self.ledger_quantities(m),
            quantity_variance: Amount::ZERO,
            price_variance: Amount::ZERO,
            other_variance: difference,
            pair: m.pair,
        };
        self.name_unnamed_meter(&mut verdict);
        self.split_variance(m, &mut verdict);
        verdict.reason = self.reason(m, &verdict);
        verdict
    }

    fn reason(&self, m: &Match, verdict: &Verdict) -> Option<Reason> {
        let difference = verdict.difference;
        let line_unpriced = m.lines.iter().any(|line| self.facts.lines[*line as usize].unpriced);
        let unpriced = line_unpriced || m.pieces.iter().any(|piece| piece.unpriced);
        let provider_lacks = difference.is_negative() && !line_unpriced;
        if difference.is_zero() && !unpriced {
            return None;
        }
        let two_sided = !m.lines.is_empty() && !m.pieces.is_empty();
        if two_sided && difference.abs() <= self.tolerance(m) && m.known.is_none() && !unpriced {
            return Some(Reason::Rounding);
        }
        let is_settled = self.settled.contains(&(m.provider, m.account, m.day));
        if provider_lacks && !is_settled && m.known.is_none() {
            return Some(Reason::Timing);
        }
        if let Some(known) = m.known {
            return Some(known);
        }
        if let Some(reason) = self.failed(m, verdict) {
            return Some(reason);
        }
        if unpriced {
            return Some(Reason::Unpriced);
        }
        if m.pieces.is_empty() {
            return Some(Reason::MissingInLedger);
        }
        let has_money = m.lines.iter().any(|line| self.facts.lines[*line as usize].cost != NO_AMOUNT);
        if !has_money {
            return Some(Reason::MissingAtProvider);
        }
        Some(self.two_sided(m, verdict))
    }

    fn two_sided(&self, m: &Match, verdict: &Verdict) -> Reason {
        let (billed, expected) = (verdict.billed, verdict.expected);
        let differences = verdict.quantity_differences();
        let agree = differences.as_ref().is_some_and(Quantities::is_empty);
        let quantities = verdict.provider_quantities.as_ref().filter(|_| agree);
        if m.grain == Grain::Request && agree && self.other_tier(m) {
            return Reason::Tier;
        }
        if let Some(quantities) = quantities {
            let tolerance = self.tolerance(m);
            let near = |a: Amount, b: Amount| a.checked_sub(b).is_some_and(|gap| gap.abs() <= tolerance);
            if self.tier_prices(m, quantities).iter().any(|cost| near(*cost, billed)) {
                return Reason::Tier;
            }
            if factor_between(billed, expected).is_some() {
                return Reason::UnitSuspect;
            }
            if self.earlier_costs(m, quantities).iter().any(|cost| near(*cost, expected)) {
                return Reason::StalePrice;
            }
            if self.is_discount(m, quantities, billed, expected, near) {
                return Reason::Discount;
            }
            return Reason::Price;
        }
        if factor_between(billed, expected).is_some() {
            return Reason::UnitSuspect;
        }
        let Some(differences) = differences else { return Reason::Unexplained };
        let values = differences.values().copied();
        if differences.keys().all(|meter| self.input_classes.contains(meter)) && sum(values) == Some(Amount::ZERO) {
            return Reason::CacheClass;
        }
        let reasoning: i128 = m.pieces.iter().map(|piece| piece.reasoning).sum();
        let only_output = differences.len() == 1 && differences.contains_key(&self.output);
        if only_output && reasoning != 0 && differences.values().all(|value| value.abs().atto() == reasoning) {
            return Reason::ReasoningTokens;
        }
        Reason::Quantity
    }

    /// Calls that the ledger says did not end well, and that were billed.
    fn failed(&self, m: &Match, verdict: &Verdict) -> Option<Reason> {
        let status = |piece: &Piece| self.facts.entry_kinds.all()[piece.kind as usize].status;
        let failed: Vec<&Piece> = m
            .pieces
            .iter()
            .filter(|piece| matches!(status(piece), Status::Error | Status::Timeout | Status::Cancelled))
            .collect();
        if failed.is_empty() || verdict.difference.is_negative() {
            return None;
        }
        if m.grain == Grain::Request {
            let retried = failed.iter().any(|piece| self.billed_calls.contains(&self.facts.entries[piece.entry as usize].call));
            return Some(if retried { Reason::RetryDoubleCharge } else { Reason::BilledFailure });
        }
        let mut quantities = Quantities::new();
        for piece in &failed {
            let sum = quantities.entry(piece.meter).or_default();
            *sum = sum.checked_add(Amount::from_atto(piece.quantity))?;
        }
        quantities.retain(|_, quantity| !quantity.is_zero());
        let by_quantity = verdict.quantity_differences().is_some_and(|differences| differences == quantities);
        let by_cost = sum(failed.iter().map(|piece| piece.book_cost)) == Some(verdict.difference);
        (by_quantity && !quantities.is_empty() || by_cost).then_some(Reason::BilledFailure)
    }

    /// The room that the sources' own rounding leaves (contract 4.8).
    pub fn tolerance(&self, m: &Match) -> Amount {
        let lines = m.lines.iter().map(|line| &self.facts.lines[*line as usize]).filter(|line| line.cost != NO_AMOUNT);
        let provider: i128 = lines.map(|line| self.facts.charge_kind(line).precision.of_requests(line.requests).atto()).sum();
        let per_row = |kind: u32| {
            let ledger = self.facts.entry_kinds.all()[kind as usize].ledger;
            self.facts.ledgers[usize::from(ledger)].precision.per_line().atto()
        };
        let ledger: i128 = m.row_counts().into_iter().map(|((kind, _), count)| per_row(kind) * i128::from(count)).sum();
        Amount::from_atto(provider + ledger)
    }

    fn provider_quantities(&self, m: &Match) -> Option<Quantities> {
        if m.lines.is_empty() {
            // Where the provider has nothing at all, it has none of any meter.
            return Some(Quantities::new());
        }
        let (mut billed, mut measured) = (Quantities::new(), Quantities::new());
        let mut unmeasured: HashSet<Sym> = HashSet::new();
        for line in m.lines.iter().map(|line| &self.facts.lines[*line as usize]) {
            let meter = self.facts.charge_kind(line).meter;
            let side = if line.cost == NO_AMOUNT { &mut measured } else { &mut billed };
            match amount(line.quantity) {
                Some(quantity) => {
                    let sum = side.entry(meter).or_default();
                    *sum = sum.checked_add(quantity)?;
                }
                None if line.cost != NO_AMOUNT => {
                    unmeasured.insert(meter);
                }
                None => {}
            }
        }
        // Calls are no measure of what the ledger counts in them.
        measured.remove(&self.requests);
        let whole_calls = billed.remove(&self.requests).is_some() | unmeasured.remove(&self.requests);
        for meter in &unmeasured {
            billed.remove(meter);
            billed.insert(*meter, measured.remove(meter)?);
        }
        if whole_calls || billed.is_empty() {
            for (meter, quantity) in measured {
                billed.entry(meter).or_insert(quantity);
            }
        }
        (!billed.is_empty()).then_some(billed)
    }

    fn ledger_quantities(&self, m: &Match) -> Quantities {
        let mut quantities = Quantities::new();
        for piece in m.pieces.iter().filter(|piece| piece.meter != NONE) {
            if self.facts.entry_kinds.all()[piece.kind as usize].status == Status::Ok {
                let sum = quantities.entry(piece.meter).or_default();
                *sum = sum.checked_add(Amount::from_atto(piece.quantity)).unwrap_or(*sum);
            }
        }
        quantities
    }

    /// A report that does not say what it counts counts what the ledger counts, if that is one thing.
    fn name_unnamed_meter(&self, verdict: &mut Verdict) {
        let Some(provider) = &mut verdict.provider_quantities else { return };
        let ledger = verdict.ledger_quantities.keys().next().copied();
        if let (1, 1, Some(meter)) = (provider.len(), verdict.ledger_quantities.len(), ledger)
            && let Some(quantity) = provider.remove(&NONE)
        {
            provider.insert(meter, quantity);
        }
    }

    /// Quantity and price variance; the rest of the difference is `other` (contract 4.4 and 4.8).
    fn split_variance(&self, m: &Match, verdict: &mut Verdict) {
        let Some(differences) = verdict.quantity_differences() else { return };
        let variance = self.quantity_variance(m, verdict, &differences);
        let Some(variance) = variance else { return };
        verdict.quantity_variance = variance;
        verdict.price_variance = verdict.difference.checked_sub(variance).unwrap_or_default();
        verdict.other_variance = Amount::ZERO;
    }

    fn quantity_variance(&self, m: &Match, verdict: &Verdict, differences: &Quantities) -> Option<Amount> {
        let ledger = &verdict.ledger_quantities;
        if let (1, Some((meter, quantity))) = (ledger.len(), ledger.iter().next())
            && differences.keys().all(|other| other == meter)
            && !quantity.is_zero()
        {
            let difference = differences.get(meter).copied().unwrap_or_default();
            return verdict.expected.mul_div(difference.atto(), quantity.atto());
        }
        let mut at_book = Amount::ZERO;
        for (meter, difference) in differences {
            at_book = at_book.checked_add(self.price(m, *meter)?.cost(*difference)?)?;
        }
        // Book prices are scaled to the ledger's own where it has one.
        let costs: Option<Vec<Amount>> = ledger.iter().map(|(meter, quantity)| self.price(m, *meter)?.cost(*quantity)).collect();
        match costs.and_then(sum).filter(|book| !book.is_zero() && !verdict.expected.is_zero()) {
            Some(book) => at_book.mul_div(verdict.expected.atto(), book.atto()),
            None => Some(at_book),
        }
    }

    fn asked(&self, m: &Match, meter: Sym) -> Option<(&'a str, Asked<'a>)> {
        let facts = self.facts;
        let text = |sym: Sym| facts.symbols.text(sym);
        let optional = |sym: Sym| Some(facts.symbols.text(sym)).filter(|text| !text.is_empty());
        let context = m
            .pieces
            .iter()
            .filter(|piece| m.grain == Grain::Request && self.input_classes.contains(&piece.meter))
            .map(|piece| piece.quantity)
            .sum();
        let (model, tier, batch, key) = match (m.pieces.first(), m.lines.first()) {
            (Some(piece), _) => {
                let kind = &facts.entry_kinds.all()[piece.kind as usize];
                (kind.model, kind.service_tier, kind.batch, kind.api_key_id)
            }
            (None, Some(line)) => {
                let kind = facts.charge_kind(&facts.lines[*line as usize]);
                (kind.model, kind.service_tier, kind.batch, kind.api_key_id)
            }
            (None, None) => return None,
        };
        let asked = Asked {
            model: text(model),
            meter: text(meter),
            service_tier: optional(tier),
            batch: batch.unwrap_or(false),
            context: Amount::from_atto(context),
            account: text(m.account),
            api_key_id: optional(key),
            day: day_of(m.day),
        };
        Some((text(m.provider), asked))
    }

    /// The book price in force for a meter of a match.
    pub fn price(&self, m: &Match, meter: Sym) -> Option<UnitPrice> {
        let (provider, asked) = self.asked(m, meter)?;
        self.reference.price(provider, asked)
    }

    fn cost_of(
        &self,
        m: &Match,
        quantities: &Quantities,
        cost: impl Fn(&'a str, Asked<'a>, Amount) -> Option<Amount>,
    ) -> Option<Amount> {
        let costs: Option<Vec<Amount>> = quantities
            .iter()
            .map(|(meter, quantity)| {
                let (provider, asked) = self.asked(m, *meter)?;
                cost(provider, asked, *quantity)
            })
            .collect();
        costs.and_then(sum)
    }

    /// What the quantities would cost at the other tiers and context bands of the book.
    fn tier_prices(&self, m: &Match, quantities: &Quantities) -> Vec<Amount> {
        let own = self.cost_of(m, quantities, |provider, asked, quantity| self.reference.price(provider, asked)?.cost(quantity));
        let with = |change: &dyn Fn(Asked<'a>) -> Asked<'a>| {
            self.cost_of(m, quantities, |provider, asked, quantity| self.reference.price(provider, change(asked))?.cost(quantity))
        };
        let mut costs: Vec<Option<Amount>> = ["standard", "flex", "priority"]
            .iter()
            .map(|tier| with(&|asked| Asked { service_tier: Some(tier), batch: false, ..asked }))
            .collect();
        costs.push(with(&|asked| Asked { service_tier: None, batch: true, ..asked }));
        costs.push(with(&|asked| Asked { context: crate::domain::money::QUANTITY_LIMIT, ..asked }));
        costs.into_iter().flatten().filter(|cost| Some(*cost) != own && !cost.is_zero()).collect()
    }

    fn other_tier(&self, m: &Match) -> bool {
        let (Some(line), Some(piece)) = (m.lines.first(), m.pieces.first()) else { return false };
        let provider = self.facts.charge_kind(&self.facts.lines[*line as usize]);
        let ledger = &self.facts.entry_kinds.all()[piece.kind as usize];
        let differ = |a: Sym, b: Sym| a != NONE && b != NONE && a != b;
        let batches = provider.batch.zip(ledger.batch).is_some_and(|(a, b)| a != b);
        differ(provider.service_tier, ledger.service_tier) || batches
    }

    /// What the quantities cost at prices that were in force earlier.
    fn earlier_costs(&self, m: &Match, quantities: &Quantities) -> Vec<Amount> {
        let depth = quantities.keys().filter_map(|meter| self.asked(m, *meter));
        let depth = depth.map(|(provider, asked)| self.reference.earlier_prices(provider, asked).len()).max().unwrap_or(0);
        (0..depth)
            .filter_map(|age| {
                self.cost_of(m, quantities, |provider, asked, quantity| {
                    self.reference.earlier_prices(provider, asked).get(age)?.cost(quantity)
                })
            })
            .collect()
    }

    fn is_discount(
        &self,
        m: &Match,
        quantities: &Quantities,
        billed: Amount,
        expected: Amount,
        near: impl Fn(Amount, Amount) -> bool,
    ) -> bool {
        let price = |provider: &'a str, asked: Asked<'a>| self.reference.price(provider, asked);
        let list = self.cost_of(m, quantities, |provider, asked, quantity| price(provider, asked)?.list_cost(quantity));
        let contracted = self.cost_of(m, quantities, |provider, asked, quantity| price(provider, asked)?.cost(quantity));
        let by_book = list.zip(contracted).is_some_and(|(list, contracted)| {
            list != contracted
                && (near(billed, list) && near(expected, contracted) || near(billed, contracted) && near(expected, list))
        });
        // The provider's own list price beside what it charged.
        let lists: Option<Vec<Amount>> = m.lines.iter().map(|line| amount(self.facts.lines[*line as usize].list_cost)).collect();
        let by_provider = lists.and_then(sum).is_some_and(|list| list != billed && near(expected, list));
        by_book || by_provider
    }
}

/// The factor of [`FACTORS`] by which the larger is the smaller, to the last digit.
pub fn factor_between(a: Amount, b: Amount) -> Option<i128> {
    let times = |amount: Amount, factor: i128| amount.atto().checked_mul(factor);
    let fits = |factor: &i128| times(a, *factor) == Some(b.atto()) || times(b, *factor) == Some(a.atto());
    FACTORS.into_iter().find(|factor| !a.is_zero() && !b.is_zero() && fits(factor))
}
