//! Quantities at book price, for providers whose hours have no money: spend is seen within the hour and is provisional
//! until the provider's money comes.

use crate::domain::money::Amount;
use crate::domain::period::day_of;
use crate::domain::price::{Asked, UnitPrice};
use crate::domain::usage::CostBasis;
use crate::stages::facts::{Facts, NO_AMOUNT, amount, stored};
use crate::stages::reference::Reference;
use crate::stages::symbols::Sym;
use hashbrown::HashSet;
use std::collections::BTreeSet;

/// Usage that no price book has a price for: provider, model and meter.
pub type Unpriced = (String, String, String);

/// Gives every quantity of the accounts that have no money at all its book price, with the basis `computed`. What has no
/// price stays without, and is returned: it is not watched.
pub fn price(facts: &mut Facts, reference: &Reference) -> BTreeSet<Unpriced> {
    let has_cost = |line: &&crate::stages::facts::Line| line.cost != NO_AMOUNT;
    let paid: HashSet<u16> = facts.lines.iter().filter(has_cost).map(|line| facts.charge_kind(line).source).collect();
    let mut unpriced = BTreeSet::new();
    let mut lines = std::mem::take(&mut facts.lines);
    for line in &mut lines {
        let mut kind = *facts.charge_kind(line);
        let quantity = amount(line.quantity).filter(|quantity| !quantity.is_zero() && !paid.contains(&kind.source));
        let Some(quantity) = quantity else { continue };
        let text = |sym: Sym| facts.symbols.text(sym);
        let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
        let asked = Asked {
            model: text(kind.model),
            meter: text(kind.meter),
            service_tier: optional(kind.service_tier),
            batch: kind.batch.unwrap_or(false),
            context: Amount::ZERO,
            account: text(kind.account),
            api_key_id: optional(kind.api_key_id),
            day: day_of(line.day),
        };
        let price: Option<UnitPrice> = reference.price(text(kind.provider), asked);
        match price.and_then(|price| Some((price.cost(quantity)?, price.currency))) {
            Some((cost, currency)) => {
                (kind.basis, kind.currency) = (CostBasis::Computed, currency);
                (line.kind, line.cost) = (facts.charge_kinds.number(kind), stored(Some(cost)));
            }
            None => {
                let names = [kind.provider, kind.model, kind.meter].map(|sym| text(sym).to_string());
                unpriced.insert(names.into());
            }
        }
    }
    facts.lines = lines;
    unpriced
}
