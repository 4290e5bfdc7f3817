//! Quantities at book price, for providers whose hours have no money: spend is seen within the hour and is provisional
//! until the provider's money comes.

use crate::domain::period::day_of;
use crate::domain::usage::CostBasis;
use crate::stages::facts::{Facts, Line, NO_AMOUNT, amount, stored};
use crate::stages::lines::book_price;
use crate::stages::reference::Reference;
use hashbrown::HashSet;
use std::collections::BTreeSet;

/// Usage that no price book has a price for: provider, model and meter.
pub type Unpriced = (String, String, String);

/// Gives every quantity of the accounts that have no money at all its book price, with the basis `computed`. What has no
/// price stays without, and is returned: it is not watched.
pub fn price(facts: &mut Facts, reference: &Reference) -> BTreeSet<Unpriced> {
    let has_cost = |line: &&Line| line.cost != NO_AMOUNT;
    let paid: HashSet<u16> = facts.lines.iter().filter(has_cost).map(|line| facts.charge_kind(line).source).collect();
    let mut unpriced = BTreeSet::new();
    let mut lines = std::mem::take(&mut facts.lines);
    for line in &mut lines {
        let mut kind = *facts.charge_kind(line);
        let quantity = amount(line.quantity).filter(|quantity| !quantity.is_zero() && !paid.contains(&kind.source));
        let Some(quantity) = quantity else { continue };
        let price = book_price(reference, &facts.symbols, &kind, day_of(line.day));
        match price.and_then(|price| Some((price.cost(quantity)?, price.currency))) {
            Some((cost, currency)) => {
                (kind.basis, kind.currency) = (CostBasis::Computed, currency);
                (line.kind, line.cost) = (facts.charge_kinds.number(kind), stored(Some(cost)));
            }
            None => {
                let names = [kind.provider, kind.model, kind.meter].map(|sym| facts.symbols.text(sym).to_string());
                unpriced.insert(names.into());
            }
        }
    }
    facts.lines = lines;
    unpriced
}
