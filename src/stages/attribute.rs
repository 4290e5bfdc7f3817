//! Every billed line lands on teams, exactly: the ladder of contract 4.5, first rule that applies.

use super::classify::{Judge, Verdict};
use super::drift::team_of;
use super::facts::{ChargeKind, Facts, Kinds, Line, NO_AMOUNT, NO_DAY, amount};
use super::figures::Figures;
use super::matching::{Agreed, Grain, Match, Piece};
use super::reference::Reference;
use super::results::{Attribution, Basis, UNATTRIBUTED};
use super::symbols::{NONE, Sym};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::fx::convert;
use crate::domain::ledger::{Funding, Status};
use crate::domain::money::{Amount, SCALE};
use crate::domain::period::{day_of, month_start};
use crate::domain::price::Asked;
use crate::domain::teams::{Owned, SharedMethod};
use crate::domain::usage::{Precision, meter};
use chrono::NaiveDate;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;

/// Who bears a share, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Bearer {
    /// Empty: no rule but a shared one may still place it.
    team: String,
    feature: Sym,
    client: Sym,
    funding: Option<Funding>,
    basis: Basis,
}

/// What makes two shares one row of `attribution.csv`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Row {
    /// Number in [`Shares::kinds`].
    kind: u32,
    day: i32,
    local_day: i32,
    meter: Sym,
    bearer: Bearer,
}

/// What a line brings to be shared.
struct Whole {
    day: i32,
    local_day: i32,
    meter: Sym,
    figures: Figures,
}

/// Shares of all booked lines.
struct Shares<'a> {
    facts: &'a Facts,
    reference: &'a Reference,
    /// Kinds of lines as far as `attribution.csv` tells them apart.
    kinds: Kinds<ChargeKind>,
    rows: HashMap<Row, Figures>,
    teams: HashMap<(u32, i32), String>,
}

/// Attributes everything that was matched.
///
/// # Errors
/// No rate to the reporting currency on a day (65), with the day that is needed.
pub fn attribute(
    facts: &Facts,
    judge: &Judge<'_>,
    agreed: &[Agreed],
    matches: &[Match],
    verdicts: &[Verdict],
) -> Result<Vec<Attribution>, Fault> {
    let mut shares =
        Shares { facts, reference: judge.reference, kinds: Kinds::default(), rows: HashMap::new(), teams: HashMap::new() };
    for sum in agreed {
        shares.agreed(sum);
    }
    for (m, verdict) in matches.iter().zip(verdicts) {
        shares.matched(m, verdict, judge);
    }
    shares.spread_shared();
    shares.finish(judge.settled)
}

impl Shares<'_> {
    fn agreed(&mut self, agreed: &Agreed) {
        let kind = self.facts.charge_kinds.all()[agreed.charge_kind as usize];
        let quantity = amount(agreed.quantity);
        let figures = Figures {
            requests: u64::from(agreed.requests),
            quantity,
            list_cost: amount(agreed.list_cost),
            contracted_cost: None,
            billed: agreed.cost,
        };
        let mut whole = Whole { day: agreed.day, local_day: agreed.local_day, meter: kind.meter, figures };
        self.complete_costs(&kind, &mut whole);
        let piece = Piece {
            kind: agreed.entry_kind,
            day: agreed.day,
            meter: kind.meter,
            quantity: 0,
            cost: Amount::ZERO,
            book_cost: Amount::ZERO,
            reasoning: 0,
            count: 1,
            unpriced: false,
            entry: 0,
        };
        let bearer = self.ledger_bearer(&piece, Basis::Request);
        self.place(&whole, &kind, bearer, whole.figures);
    }

    fn matched(&mut self, m: &Match, verdict: &Verdict, judge: &Judge<'_>) {
        let ledger: Vec<&Piece> = if m.pieces.is_empty() { m.bearers.iter().collect() } else { m.pieces.iter().collect() };
        let money: Vec<&Line> =
            m.lines.iter().map(|line| &self.facts.lines[*line as usize]).filter(|line| line.cost != NO_AMOUNT).collect();
        for line in &money {
            let kind = *self.facts.charge_kind(line);
            let whole = self.whole(line, &kind, &money, verdict);
            let (explained, rest) = match m.grain {
                _ if ledger.is_empty() => (Amount::ZERO, Amount::ONE),
                Grain::Request => (Amount::ONE, Amount::ZERO),
                Grain::Day => explained_part(m, verdict, judge),
            };
            let weights = [explained, rest];
            let parts = whole.figures.split(&weights);
            let basis = if m.grain == Grain::Request { Basis::Request } else { Basis::BucketShare };
            if !explained.is_zero() {
                let owners = self.owners(&ledger, kind.meter, basis);
                let weights: Vec<Amount> = owners.iter().map(|(_, weight)| *weight).collect();
                for ((bearer, _), part) in owners.into_iter().zip(parts[0].split(&weights)) {
                    self.place(&whole, &kind, bearer, part);
                }
            }
            if !rest.is_zero() {
                let nobody =
                    Bearer { team: String::new(), feature: NONE, client: NONE, funding: None, basis: Basis::Unattributed };
                self.place(&whole, &kind, nobody, parts[1]);
            }
        }
    }

    /// A line with everything that can be said about it.
    fn whole(&self, line: &Line, kind: &ChargeKind, money: &[&Line], verdict: &Verdict) -> Whole {
        let ledger_meters: Vec<Sym> = verdict.ledger_quantities.keys().copied().collect();
        // Money that nobody measured is not of the ledger's meter.
        let is_measured = |meter: &Sym| verdict.provider_quantities.as_ref().is_some_and(|known| known.contains_key(meter));
        let meter = match (kind.meter, ledger_meters.as_slice()) {
            (NONE, [one]) if is_measured(one) => *one,
            (own, _) => own,
        };
        // A quantity that came apart from the money belongs to the line if no other bills that meter.
        let alone = money.iter().filter(|other| self.facts.charge_kind(other).meter == kind.meter).count() == 1;
        let measured = verdict.provider_quantities.as_ref().and_then(|quantities| quantities.get(&meter).copied());
        let quantity = amount(line.quantity).or(measured.filter(|_| alone));
        let figures = Figures {
            requests: u64::from(line.requests),
            quantity,
            list_cost: amount(line.list_cost),
            contracted_cost: None,
            billed: amount(line.cost).unwrap_or_default(),
        };
        let mut whole = Whole { day: line.day, local_day: line.local_day, meter, figures };
        self.complete_costs(kind, &mut whole);
        whole
    }

    /// List and contracted cost by the price book, where it knows the price.
    fn complete_costs(&self, kind: &ChargeKind, whole: &mut Whole) {
        let text = |sym: Sym| self.facts.symbols.text(sym);
        let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
        let asked = Asked {
            model: text(kind.model),
            meter: text(whole.meter),
            service_tier: optional(kind.service_tier),
            batch: kind.batch.unwrap_or(false),
            context: Amount::ZERO,
            account: text(kind.account),
            api_key_id: optional(kind.api_key_id),
            day: day_of(whole.day),
        };
        let price = self.reference.price(text(kind.provider), asked).filter(|price| price.currency == kind.currency);
        let figures = &mut whole.figures;
        if let (Some(price), Some(quantity)) = (price, figures.quantity) {
            figures.list_cost = figures.list_cost.or_else(|| price.list_cost(quantity));
            figures.contracted_cost = price.cost(quantity);
        }
    }

    /// Who bears the ledger's part, with weights: priced usage, of the line's own meter where there is any.
    fn owners(&mut self, ledger: &[&Piece], meter: Sym, basis: Basis) -> Vec<(Bearer, Amount)> {
        let status = |piece: &Piece| self.facts.entry_kinds.all()[piece.kind as usize].status;
        let ok: Vec<&Piece> = ledger.iter().copied().filter(|piece| status(piece) == Status::Ok).collect();
        let from = if ok.is_empty() { ledger.to_vec() } else { ok };
        let own: Vec<&Piece> = from.iter().copied().filter(|piece| piece.meter == meter).collect();
        let figures: [fn(&Piece) -> i128; 4] = [
            |piece| piece.cost.atto(),
            |piece| piece.book_cost.atto(),
            |piece| piece.quantity,
            |piece| i128::from(piece.count.max(1)),
        ];
        let choice = [&own, &from].into_iter().flat_map(|pieces| figures.map(|figure| (pieces, figure)));
        let usable = |pieces: &[&Piece], figure: fn(&Piece) -> i128| {
            pieces.iter().all(|piece| figure(piece) >= 0) && pieces.iter().any(|piece| figure(piece) > 0)
        };
        let mut weights: BTreeMap<Bearer, Amount> = BTreeMap::new();
        if let Some((pieces, figure)) = choice.into_iter().find(|(pieces, figure)| usable(pieces, *figure)) {
            for piece in pieces.iter().filter(|piece| figure(piece) > 0) {
                let bearer = self.ledger_bearer(piece, basis);
                let weight = weights.entry(bearer).or_default();
                *weight = weight.checked_add(Amount::from_atto(figure(piece))).unwrap_or(*weight);
            }
        }
        // Ties of a split go by team name (contract 4.8).
        let name = |sym: Sym| self.facts.symbols.text(sym);
        let mut owners: Vec<(Bearer, Amount)> = weights.into_iter().collect();
        owners.sort_by(|(a, _), (b, _)| {
            let key = |bearer: &Bearer| (bearer.team.clone(), name(bearer.feature), name(bearer.client), bearer.funding);
            key(a).cmp(&key(b))
        });
        owners
    }

    fn ledger_bearer(&mut self, piece: &Piece, basis: Basis) -> Bearer {
        let team = match self.teams.get(&(piece.kind, piece.day)) {
            Some(team) => team.clone(),
            None => {
                let team = team_of(self.facts, self.reference, piece);
                self.teams.insert((piece.kind, piece.day), team.clone());
                team
            }
        };
        let kind = &self.facts.entry_kinds.all()[piece.kind as usize];
        Bearer { team, feature: kind.feature, client: kind.client, funding: kind.funding, basis }
    }

    /// Books a share; without a team it goes down the ladder.
    fn place(&mut self, whole: &Whole, kind: &ChargeKind, bearer: Bearer, figures: Figures) {
        let mut bearer = bearer;
        let day = day_of(whole.day);
        let text = |sym: Sym| self.facts.symbols.text(sym);
        let provider = text(kind.provider);
        let owner = |owned: Owned, name: Sym| self.reference.teams.owner(owned, provider, text(name), day);
        if bearer.team.is_empty() {
            let steps = [
                (Basis::Label, Owned::Label, kind.label),
                (Basis::KeyOwner, Owned::ApiKey, kind.api_key_id),
                (Basis::SubAccountOwner, Owned::SubAccount, kind.sub_account),
                (Basis::AccountOwner, Owned::Account, kind.account),
            ];
            let found = steps.into_iter().find_map(|(basis, owned, name)| {
                (name != NONE).then(|| owner(owned, name)).flatten().map(|owner| (basis, owner.team.clone()))
            });
            (bearer.basis, bearer.team) = found.unwrap_or((Basis::Unattributed, String::new()));
        }
        // Without a ledger row the funding is the key's (contract 4.8).
        if bearer.funding.is_none() && kind.api_key_id != NONE {
            bearer.funding = owner(Owned::ApiKey, kind.api_key_id).and_then(|owner| owner.funding);
        }
        let published = self.kinds.number(published(self.facts, kind));
        let row = Row { kind: published, day: whole.day, local_day: whole.local_day, meter: whole.meter, bearer };
        self.add(row, figures);
    }

    fn add(&mut self, row: Row, figures: Figures) {
        self.rows.entry(row).and_modify(|total| total.add(&figures)).or_insert(figures);
    }

    /// Spreads what nobody owns by the job's shared-cost rules.
    fn spread_shared(&mut self) {
        let mut nobodys: Vec<(Row, Figures)> = self
            .rows
            .iter()
            .filter(|(row, _)| row.bearer.team.is_empty())
            .map(|(row, figures)| (row.clone(), *figures))
            .collect();
        if self.reference.teams.shared.is_empty() || nobodys.is_empty() {
            return;
        }
        let direct = self.direct_costs();
        nobodys.sort_by(|a, b| a.0.cmp(&b.0));
        for (row, figures) in nobodys {
            let kind = self.kinds.all()[row.kind as usize];
            let parts = self.shared_parts(&kind, day_of(row.day), &direct);
            let weights: Vec<Amount> = parts.iter().map(|(_, weight)| *weight).collect();
            if figures.billed.split(&weights, SCALE).is_none() {
                continue;
            }
            self.rows.remove(&row);
            for ((team, _), part) in parts.into_iter().zip(figures.split(&weights)) {
                let bearer = Bearer { team, basis: Basis::SharedRule, ..row.bearer.clone() };
                self.add(Row { bearer, ..row.clone() }, part);
            }
        }
    }

    /// Directly attributed cost by provider, month and team; only positive sums can be a basis.
    fn direct_costs(&self) -> BTreeMap<(Sym, NaiveDate, String), Amount> {
        let mut direct: BTreeMap<(Sym, NaiveDate, String), Amount> = BTreeMap::new();
        for (row, figures) in self.rows.iter().filter(|(row, _)| !row.bearer.team.is_empty()) {
            let provider = self.kinds.all()[row.kind as usize].provider;
            let key = (provider, month_start(day_of(row.day)), row.bearer.team.clone());
            let total = direct.entry(key).or_default();
            *total = total.checked_add(figures.billed).unwrap_or(*total);
        }
        direct.retain(|_, total| *total > Amount::ZERO);
        direct
    }

    fn shared_parts(
        &self,
        kind: &ChargeKind,
        day: NaiveDate,
        direct: &BTreeMap<(Sym, NaiveDate, String), Amount>,
    ) -> Vec<(String, Amount)> {
        let provider = self.facts.symbols.text(kind.provider);
        let rule = self.reference.teams.shared.iter().filter(|rule| {
            rule.days.contains(day)
                && rule.provider.as_deref().is_none_or(|named| named == provider)
                && (rule.categories.is_empty() || rule.categories.iter().any(|named| named == kind.category.name()))
        });
        // A narrower rule goes before a broader one; the job file has no two equally narrow ones for a day.
        let rule = rule.max_by_key(|rule| (rule.provider.is_some(), !rule.categories.is_empty()));
        match rule.map(|rule| &rule.method) {
            None => Vec::new(),
            Some(SharedMethod::Even(teams)) => {
                let mut teams = teams.clone();
                teams.sort();
                teams.into_iter().map(|team| (team, Amount::ONE)).collect()
            }
            Some(SharedMethod::Fixed(shares)) => {
                let mut shares = shares.clone();
                shares.sort();
                shares
            }
            Some(SharedMethod::Proportional) => {
                let month = month_start(day);
                let from = (kind.provider, month, String::new());
                let of_month = direct.range(from..).take_while(|((p, m, _), _)| (*p, *m) == (kind.provider, month));
                of_month.map(|((_, _, team), total)| (team.clone(), *total)).collect()
            }
        }
    }

    fn finish(self, settled: &HashSet<(Sym, Sym, i32)>) -> Result<Vec<Attribution>, Fault> {
        let text = |sym: Sym| self.facts.symbols.text(sym).to_string();
        let mut rows = Vec::with_capacity(self.rows.len());
        for (row, figures) in &self.rows {
            let kind = &self.kinds.all()[row.kind as usize];
            let day = day_of(row.day);
            let reporting = self.reference.reporting_currency;
            let rate = self.reference.rates.rate(kind.currency, reporting, day);
            let converted = rate.and_then(|rate| Some((rate.rate, convert(figures.billed, rate)?)));
            let Some((fx_rate, reporting_cost)) = converted else {
                let what = format!("no exchange rate {} to {reporting} for {day}", kind.currency);
                let hint = format!("add the rate {} to {reporting} of {day} to the job's fx file", kind.currency);
                return Err(Fault::new(ExitCode::Data, "fx", what, hint));
            };
            let meter_name = text(row.meter);
            let team = if row.bearer.team.is_empty() { UNATTRIBUTED } else { &row.bearer.team };
            let cost_centre = self.reference.teams.teams.get(team).and_then(|team| team.cost_centre.clone());
            rows.push(Attribution {
                charge_date: day,
                provider: text(kind.provider),
                account: text(kind.account),
                sub_account: text(kind.sub_account),
                api_key_id: text(kind.api_key_id),
                team: team.to_string(),
                cost_centre: cost_centre.unwrap_or_default(),
                feature: text(row.bearer.feature),
                client: text(row.bearer.client),
                model: text(kind.model),
                service_tier: tier(&text(kind.service_tier), kind.batch),
                consumed_unit: if figures.quantity.is_some() { meter::unit(&meter_name).to_string() } else { String::new() },
                meter: meter_name,
                category: kind.category,
                funding: row.bearer.funding,
                basis: row.bearer.basis,
                cost_basis: kind.basis,
                requests: figures.requests,
                consumed_quantity: figures.quantity,
                list_cost: figures.list_cost,
                contracted_cost: figures.contracted_cost,
                billed_cost: figures.billed,
                currency: kind.currency,
                reporting_cost,
                fx_rate,
                settled: settled.contains(&(kind.provider, kind.account, row.day)),
                local_date: (row.local_day != NO_DAY).then(|| day_of(row.local_day)),
            });
        }
        Ok(rows)
    }
}

/// A kind without what `attribution.csv` does not say: its rows are one for each of the contract's
/// dimensions (contract section 5), however many reports, labels and line items they come from. The meter
/// stands with the share, because the ledger may have to name it.
fn published(facts: &Facts, kind: &ChargeKind) -> ChargeKind {
    let batch = kind.batch.filter(|batch| *batch);
    let is_standard = batch.is_some() && facts.symbols.text(kind.service_tier) == "standard";
    let service_tier = if is_standard { NONE } else { kind.service_tier };
    let (source, report, precision) = (0, 0, Precision::Exact);
    let (label, sku, meter) = (NONE, NONE, NONE);
    ChargeKind { source, report, precision, label, sku, meter, service_tier, batch, ..*kind }
}

fn tier(name: &str, batch: Option<bool>) -> String {
    match (name, batch) {
        ("" | "standard", Some(true)) => "batch".to_string(),
        (name, Some(true)) => format!("{name} batch"),
        (name, _) => name.to_string(),
    }
}

/// How much of a bucket the ledger explains, and how much it does not, as weights: measured in
/// quantity, so that a price difference follows the ledger whole (contract 4.8). Without quantities
/// money stands for them.
fn explained_part(m: &Match, verdict: &Verdict, judge: &Judge<'_>) -> (Amount, Amount) {
    let cut = |provider: Amount, ledger: Amount| {
        if ledger >= provider || provider.is_zero() {
            return (Amount::ONE, Amount::ZERO);
        }
        let ledger = ledger.max(Amount::ZERO);
        (ledger, provider.checked_sub(ledger).unwrap_or_default())
    };
    let by_money = cut(verdict.billed, if m.pieces.is_empty() { verdict.billed } else { verdict.expected });
    let Some(provider) = &verdict.provider_quantities else { return by_money };
    let ledger = &verdict.ledger_quantities;
    if let (1, Some((meter, billed))) = (provider.len(), provider.iter().next()) {
        return cut(*billed, ledger.get(meter).copied().unwrap_or_default());
    }
    let priced = |meter: &Sym, quantity: Amount| judge.price(m, *meter)?.cost(quantity);
    let (mut all, mut explained) = (Amount::ZERO, Amount::ZERO);
    for (meter, billed) in provider {
        let known = ledger.get(meter).copied().unwrap_or_default().min(*billed);
        let (Some(a), Some(b)) = (priced(meter, *billed), priced(meter, known)) else { return by_money };
        all = all.checked_add(a).unwrap_or(all);
        explained = explained.checked_add(b).unwrap_or(explained);
    }
    cut(all, explained)
}
