//! What the snapshot holds and the price books do not: models and meters without a price in force. Nothing is priced
//! here; it is told before a run, so that somebody can add the prices or the names.

use super::facts::Facts;
use super::reference::Reference;
use super::symbols::{NONE, Sym};
use crate::domain::ledger::Status;
use crate::domain::money::Amount;
use crate::domain::period::day_of;
use crate::domain::price::Asked;
use crate::domain::usage::{ChargeCategory, meter};
use chrono::NaiveDate;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// A model of a provider that has a book, and what of it has no price.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unpriced {
    pub provider: String,
    pub model: String,
    /// Service tier and batch as the data has them; empty for the standard ones.
    pub tier: String,
    pub meters: BTreeSet<String>,
    pub days: BTreeSet<NaiveDate>,
    /// Rows of the ledgers, and lines of the providers' reports.
    pub entries: u64,
    pub lines: u64,
}

/// A meter of a model on a day, as a price is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Use {
    provider: Sym,
    account: Sym,
    api_key_id: Sym,
    model: Sym,
    tier: Sym,
    batch: bool,
    meter: Sym,
    day: i32,
}

/// Every model without a price of something that it was used for, by provider and name.
///
/// Left out is what no price is wanted for: providers without a book, calls as a whole (their meters have the prices),
/// and provider credits beside another meter of a row whose cost is known.
pub fn unpriced(facts: &Facts, reference: &Reference) -> Vec<Unpriced> {
    let mut uses: HashMap<Use, (u64, u64)> = HashMap::new();
    for entry in &facts.entries {
        let kind = facts.entry_kind(entry);
        if kind.status != Status::Ok {
            continue;
        }
        let parts = facts.parts_of(entry);
        let wanted = |meter: &str| meter != meter::PROVIDER_CREDITS || parts.len() == 1 || entry.unpriced;
        for part in parts.iter().filter(|part| part.quantity != 0 && wanted(facts.symbols.text(part.meter))) {
            let (provider, account, api_key_id, model) = (kind.provider, kind.account, kind.api_key_id, kind.model);
            let (tier, batch, meter, day) = (kind.service_tier, kind.batch.unwrap_or(false), part.meter, entry.day);
            uses.entry(Use { provider, account, api_key_id, model, tier, batch, meter, day }).or_default().0 += 1;
        }
    }
    for line in &facts.lines {
        let kind = facts.charge_kind(line);
        let counted = !matches!(facts.symbols.text(kind.meter), "" | meter::REQUESTS | meter::PROVIDER_CREDITS);
        if kind.category == ChargeCategory::Usage && kind.model != NONE && (counted || line.unpriced) {
            let (provider, account, api_key_id, model) = (kind.provider, kind.account, kind.api_key_id, kind.model);
            let (tier, batch, meter, day) = (kind.service_tier, kind.batch.unwrap_or(false), kind.meter, line.day);
            uses.entry(Use { provider, account, api_key_id, model, tier, batch, meter, day }).or_default().1 += 1;
        }
    }
    let mut found: BTreeMap<(String, String, String), Unpriced> = BTreeMap::new();
    for (used, (entries, lines)) in uses {
        let text = |sym: Sym| facts.symbols.text(sym);
        let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
        let Some(book) = reference.books.get(text(used.provider)) else { continue };
        let asked = Asked {
            model: text(used.model),
            meter: text(used.meter),
            service_tier: optional(used.tier),
            batch: used.batch,
            context: Amount::ZERO,
            account: text(used.account),
            api_key_id: optional(used.api_key_id),
            day: day_of(used.day),
        };
        if book.price(asked).is_some() {
            continue;
        }
        let standard = |tier: &str| matches!(tier, "" | "standard" | "default" | "on_demand");
        let words = [Some(text(used.tier)).filter(|tier| !standard(tier)), used.batch.then_some("batch")];
        let tier = words.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let key = (text(used.provider).to_string(), text(used.model).to_string(), tier.clone());
        let row = found.entry(key).or_insert_with(|| Unpriced {
            provider: text(used.provider).to_string(),
            model: text(used.model).to_string(),
            tier,
            meters: BTreeSet::new(),
            days: BTreeSet::new(),
            entries: 0,
            lines: 0,
        });
        row.meters.insert(text(used.meter).to_string());
        row.days.insert(asked.day);
        row.entries += entries;
        row.lines += lines;
    }
    found.into_values().collect()
}
