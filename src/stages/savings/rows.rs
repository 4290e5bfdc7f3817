//! What the savings stage hands on: rows of `savings.csv`, `savings_clients.csv`, `prepaid.csv` and `invoices.csv`.

use crate::domain::money::{Amount, Currency};
use crate::domain::plan::Range;
use chrono::NaiveDate;

/// Stands for everything in the columns team, provider and model (contract section 5).
pub const ALL: &str = "ALL";

/// A row of `savings.csv`. Money is in the reporting currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Saving {
    /// First day of the month.
    pub period_start: NaiveDate,
    /// [`ALL`] in a row of totals, as in provider and model.
    pub team: String,
    pub provider: String,
    pub model: String,
    /// Names of the plans, joined by `; `; empty where none is in force.
    pub plan: String,
    /// What could be compared; `None` where nothing could.
    pub compared: Option<Compared>,
    /// Lines of usage (one day of one account, key and funding) without a price on the other route, without
    /// a bill, or counted elsewhere.
    pub not_comparable: u64,
    /// What was billed for them: part of no other column.
    pub not_comparable_cost: Amount,
    pub break_even: Option<Turning>,
    pub advice: Option<Advice>,
    /// With [`Advice::Split`]: what the split costs less than the route taken now, hours counted.
    pub split_saves: Option<Amount>,
    /// Why so, in words.
    pub reason: String,
}

/// A row of `savings_clients.csv`: the part of a row of `savings.csv` that is one client's (shape S33).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSaving {
    /// Empty: usage without a client.
    pub client: String,
    /// Without break-even and advice, which are of the whole.
    pub saving: Saving,
}

/// The figures of what was compared (contract 4.6 and 4.8).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// In `unit`; `None` where several units meet.
    pub volume: Option<Amount>,
    pub unit: String,
    /// What was paid for usage on credits and on own keys, without fees.
    pub actual_credits: Amount,
    pub actual_byok: Amount,
    /// Part of `actual_byok` that no bill of the job shows: an estimate.
    pub estimated_byok: Amount,
    /// Subscriptions, flat fees, minimums, deposit fees and fees of aggregators that were paid.
    pub actual_fees: Amount,
    pub all_credits: Range,
    pub all_byok: Range,
    /// What fell back to credits though a key existed: paid less what the key would have cost.
    pub missed: Amount,
    /// Contribution of each component to `all_credits.low − all_byok.high`, in the order of `Component::ALL`.
    pub components: [Amount; 11],
    /// Hours × wage that `all_in_saving_high` has and `all_in_saving_low` has not.
    pub ops_spread: Amount,
}

/// From which volume own keys are cheaper, in the plan's unit a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turning {
    /// Crossings joined by `;`, or `none`.
    pub volume: String,
    /// `n > 2000`, `always`, `never`, …
    pub when: String,
    /// This month's volume, at its pace for the whole month, less the nearest crossing.
    pub distance: Option<Amount>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Advice {
    Stay,
    Switch,
    Split,
}

impl Advice {
    pub const fn name(self) -> &'static str {
        match self {
            Advice::Stay => "stay",
            Advice::Switch => "switch",
            Advice::Split => "split",
        }
    }
}

/// A row of `prepaid.csv`: a credit pool over a month, in its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepaid {
    pub period_start: NaiveDate,
    pub pool: String,
    pub unit: String,
    pub opening: Amount,
    pub purchased: Amount,
    pub granted: Amount,
    pub used: Amount,
    pub expired: Amount,
    pub refunded: Amount,
    pub closing: Amount,
    /// Use that no purchase covers: the history of purchases is not whole.
    pub short: Amount,
    /// What the platform showed at the end of its last day in the month that has one, and the balance computed for that day.
    pub shown: Option<(NaiveDate, Amount, Amount)>,
    /// What was paid for the purchases of the month, and their fees.
    pub paid: Amount,
    pub fees: Amount,
    pub currency: Currency,
}

/// A row of `invoices.csv`: a platform's invoice against the fees of its plan.
#[derive(Clone, Debug, PartialEq)]
pub struct InvoiceTie {
    pub period_start: NaiveDate,
    pub issuer: String,
    /// Empty where the fee has no invoice.
    pub invoice_id: String,
    /// [`ALL`]: all teams together.
    pub team: String,
    pub per_invoice: Option<Amount>,
    pub per_charges: Option<Amount>,
    pub currency: Currency,
}

/// What fell back to credits though a key existed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fallback {
    pub month: NaiveDate,
    pub team: String,
    pub provider: String,
    pub cause: String,
    pub calls: u64,
    pub paid: Amount,
    pub missed: Amount,
}

/// Everything that the stage says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Savings {
    /// Currency of `rows` and `fallbacks`; `None` where nothing is compared.
    pub currency: Option<Currency>,
    pub rows: Vec<Saving>,
    /// Empty where no usage has a client.
    pub clients: Vec<ClientSaving>,
    pub fallbacks: Vec<Fallback>,
    pub prepaid: Vec<Prepaid>,
    pub invoices: Vec<InvoiceTie>,
}

impl Compared {
    /// `all_credits − all_byok`: its low end takes credits low and own keys high. `None` only if it does not fit.
    pub fn saving(&self) -> Option<Range> {
        let low = self.all_credits.low.checked_sub(self.all_byok.high)?;
        Some(Range { low, high: self.all_credits.high.checked_sub(self.all_byok.low)? })
    }

    /// Everything that was paid.
    pub fn actual(&self) -> Option<Amount> {
        self.actual_credits.checked_add(self.actual_byok)?.checked_add(self.actual_fees)
    }

    /// `all_credits − actual`, at the low end of the credits' price.
    pub fn realised(&self) -> Option<Amount> {
        self.all_credits.low.checked_sub(self.actual()?)
    }

    /// The saving with hours × wage counted.
    pub fn all_in(&self) -> Option<Range> {
        let saving = self.saving()?;
        let ops = self.components.get(9).copied().unwrap_or_default();
        let low = saving.low.checked_add(ops)?;
        Some(Range { low, high: saving.high.checked_add(ops)?.checked_add(self.ops_spread)? })
    }

    /// The sum of two; the volume only where both have the same unit.
    pub fn checked_add(&self, other: &Compared) -> Option<Compared> {
        let range = |a: Range, b: Range| Some(Range { low: a.low.checked_add(b.low)?, high: a.high.checked_add(b.high)? });
        let mut components = self.components;
        for (sum, part) in components.iter_mut().zip(&other.components) {
            *sum = sum.checked_add(*part)?;
        }
        let one_unit = self.unit == other.unit;
        let volume = self.volume.zip(other.volume).filter(|_| one_unit).map(|(a, b)| a.checked_add(b));
        Some(Compared {
            volume: match volume {
                None => None,
                Some(sum) => Some(sum?),
            },
            unit: if one_unit { self.unit.clone() } else { String::new() },
            actual_credits: self.actual_credits.checked_add(other.actual_credits)?,
            actual_byok: self.actual_byok.checked_add(other.actual_byok)?,
            estimated_byok: self.estimated_byok.checked_add(other.estimated_byok)?,
            actual_fees: self.actual_fees.checked_add(other.actual_fees)?,
            all_credits: range(self.all_credits, other.all_credits)?,
            all_byok: range(self.all_byok, other.all_byok)?,
            missed: self.missed.checked_add(other.missed)?,
            components,
            ops_spread: self.ops_spread.checked_add(other.ops_spread)?,
        })
    }
}
