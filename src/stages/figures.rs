//! The figures of a share of a line. They are added and split together, so that each sums exactly.

use crate::domain::money::{Amount, SCALE};

/// What a row of `attribution.csv` counts besides its dimensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub requests: u64,
    /// `None` as soon as one share has none; the same holds for list and contracted cost.
    pub quantity: Option<Amount>,
    pub list_cost: Option<Amount>,
    pub contracted_cost: Option<Amount>,
    pub billed: Amount,
}

impl Figures {
    /// Adds another share.
    pub fn add(&mut self, other: &Figures) {
        let plus = |a: Option<Amount>, b: Option<Amount>| a.zip(b).and_then(|(a, b)| a.checked_add(b));
        self.requests += other.requests;
        self.quantity = plus(self.quantity, other.quantity);
        self.list_cost = plus(self.list_cost, other.list_cost);
        self.contracted_cost = plus(self.contracted_cost, other.contracted_cost);
        self.billed = self.billed.checked_add(other.billed).unwrap_or(self.billed);
    }

    /// Splits all figures by the same weights; each sums to the whole exactly. Whole quantities stay whole.
    pub fn split(&self, weights: &[Amount]) -> Vec<Figures> {
        if weights.len() == 1 {
            return vec![*self];
        }
        let even = vec![Amount::ONE; weights.len()];
        let split = |figure: Amount, places: u32| {
            figure.split(weights, places).or_else(|| figure.split(&even, places)).unwrap_or_default()
        };
        let places = |figure: Amount| if figure == figure.rounded(0) { 0 } else { SCALE };
        let optional = |figure: Option<Amount>, places: u32| figure.map(|figure| split(figure, places));
        let requests = split(Amount::whole(self.requests as i64), 0);
        let quantities = optional(self.quantity, self.quantity.map_or(0, places));
        let (lists, contracted) = (optional(self.list_cost, SCALE), optional(self.contracted_cost, SCALE));
        let billed = split(self.billed, SCALE);
        let of = |parts: &Option<Vec<Amount>>, at: usize| parts.as_ref().and_then(|parts| parts.get(at).copied());
        (0..weights.len())
            .map(|at| Figures {
                requests: u64::try_from(requests[at].atto() / Amount::ONE.atto()).unwrap_or_default(),
                quantity: of(&quantities, at),
                list_cost: of(&lists, at),
                contracted_cost: of(&contracted, at),
                billed: billed[at],
            })
            .collect()
    }
}
