//! Savings: what credits and own keys cost for the same usage (contract 4.6).

pub mod usage;

use crate::domain::agreement::{Agreement, Invoice, Pool};
use crate::domain::money::Amount;

/// What a job says about credits and own keys.
#[derive(Clone, Debug, Default)]
pub struct SavingsTerms {
    pub agreements: Vec<Agreement>,
    /// Money an hour, in the reporting currency; the plan's where absent.
    pub wage: Option<Amount>,
    pub pools: Vec<Pool>,
    pub invoices: Vec<Invoice>,
}
