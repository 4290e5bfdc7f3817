//! The provider side slice by slice: what is there, what is provisional, what is missing, what was set
//! aside, and the figures that are reported beside the books.

use super::booking::{Booked, Count, ProviderSide, Sums};
use super::lines::{Gathered, Slice};
use super::reference::Reference;
use super::results::{Control, Coverage, SliceStatus};
use super::symbols::Sym;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::period::{day_number, day_of};
use crate::domain::usage::{CostBasis, Measures};
use std::collections::{BTreeMap, BTreeSet};

impl Gathered {
    /// Coverage, quarantine and control totals of the provider side.
    pub fn sides(&mut self, reference: &Reference, booked: &Booked, counts: BTreeMap<Slice, Count>, sums: &Sums) -> ProviderSide {
        let name = |sym: Sym| self.facts.symbols.text(sym).to_string();
        let mut coverage = Vec::new();
        let mut controls: Vec<Control> = Vec::new();
        // A day without a row has the basis of the report's other days.
        let bases: BTreeMap<(u16, u16), CostBasis> =
            sums.iter().map(|(((source, report, _), _), (_, basis))| ((*source, *report), *basis)).collect();
        for (slice, count) in &counts {
            let (source, report, day) = *slice;
            let info = &self.facts.sources[usize::from(source)];
            let report = &self.facts.reports[usize::from(report)];
            let is_booked = booked.get(&(source, day, report.measures)) == Some(&report.rank);
            let settled = reference.settled(day_of(day), info.settle_days);
            let amounts: Vec<_> = sums.range((*slice, Currency::MIN)..).take_while(|((other, _), _)| other == slice).collect();
            let basis = match amounts.first() {
                _ if report.measures == Measures::Estimate => CostBasis::Estimated.name().to_string(),
                _ if !report.is_money() => String::new(),
                _ if !is_booked => "control".to_string(),
                Some((_, (_, basis))) => basis.name().to_string(),
                None => bases.get(&(source, slice.1)).map_or(CostBasis::Billed, |basis| *basis).name().to_string(),
            };
            let status = if settled { SliceStatus::Complete } else { SliceStatus::Provisional };
            let row = Coverage {
                cost_basis: basis,
                rows_read: count.read,
                rows_used: count.read - count.duplicates - count.quarantined,
                duplicates: count.duplicates,
                quarantined: count.quarantined,
                ..Coverage::of(Some(day_of(day)), &name(info.provider), &name(info.account), report.name, status)
            };
            if amounts.is_empty() {
                coverage.push(row.clone());
            }
            for (place, ((_, currency), (amount, _))) in amounts.iter().enumerate() {
                // A slice of two currencies has two amounts but its rows only once.
                let rows =
                    if place == 0 { (row.rows_read, row.rows_used, row.duplicates, row.quarantined) } else { (0, 0, 0, 0) };
                coverage.push(Coverage {
                    amount: Some(*amount),
                    currency: Some(*currency),
                    rows_read: rows.0,
                    rows_used: rows.1,
                    duplicates: rows.2,
                    quarantined: rows.3,
                    ..row.clone()
                });
                if report.is_money() && !is_booked {
                    controls.push(Control {
                        source: format!("{}/{}", name(info.provider), report.name),
                        account: name(info.account),
                        charge_date: Some(day_of(day)),
                        amount: *amount,
                        currency: *currency,
                    });
                }
            }
        }
        let covered: BTreeSet<(u16, i32)> =
            booked.keys().filter(|(_, _, measures)| *measures == Measures::Money).map(|(s, d, _)| (*s, *d)).collect();
        coverage.extend(self.missing(reference, &covered));
        let mut unknown: BTreeMap<(u16, u16), u64> = BTreeMap::new();
        for (mark, day, _) in &self.quarantined {
            if day.is_none() {
                *unknown.entry((mark.source, mark.report)).or_default() += 1;
            }
        }
        for ((source, report), rows) in unknown {
            let info = &self.facts.sources[usize::from(source)];
            let endpoint = self.facts.reports[usize::from(report)].name;
            let row = Coverage::of(None, &name(info.provider), &name(info.account), endpoint, SliceStatus::Complete);
            coverage.push(Coverage { rows_read: rows, quarantined: rows, ..row });
        }
        for ((source, account, day, currency), amount) in &self.controls {
            let (source, account) = (source.clone(), account.clone());
            controls.push(Control { source, account, charge_date: Some(*day), amount: *amount, currency: *currency });
        }
        controls.extend(self.balance_falls(booked, sums));
        for ((source, account, currency), residue) in &self.residue {
            let amount = Amount::from_atto(*residue).mul_div(1, 10i128.pow(18)).unwrap_or_default();
            controls.push(Control {
                source: source.clone(),
                account: account.clone(),
                charge_date: None,
                amount,
                currency: *currency,
            });
        }
        let quarantine = std::mem::take(&mut self.quarantined).into_iter().map(|(_, _, row)| row).collect();
        ProviderSide { covered, coverage, quarantine, controls }
    }

    /// What each balance fell by since the one before it, and how much of that the books do not explain: a balance
    /// that rises was topped up. Where the provider says what was paid in, that is told from what was spent.
    fn balance_falls(&self, booked: &Booked, sums: &Sums) -> Vec<Control> {
        let mut controls = Vec::new();
        let days: Vec<_> = self.balances.iter().collect();
        for pair in days.windows(2) {
            let [(before, (left_before, paid_before)), (after, (left, paid))] = pair else { continue };
            let ((source, report, currency, from), (other, other_report, other_currency, to)) = (**before, **after);
            if (source, report, currency) != (other, other_report, other_currency) {
                continue;
            }
            let is_booked = |(of, report, day): &Slice| {
                let report = &self.facts.reports[usize::from(*report)];
                *of == source
                    && (from < *day && *day <= to)
                    && report.is_money()
                    && booked.get(&(source, *day, Measures::Money)) == Some(&report.rank)
            };
            let spent =
                sums.iter().filter(|((slice, of), _)| *of == currency && is_booked(slice)).map(|(_, (amount, _))| *amount);
            let fell = left_before.checked_sub(*left);
            let topped_up = paid.zip(*paid_before).and_then(|(paid, before)| paid.checked_sub(before));
            let gone = fell.and_then(|fell| fell.checked_add(topped_up.unwrap_or_default()));
            let beyond = gone.zip(sum(spent)).and_then(|(gone, spent)| gone.checked_sub(spent));
            let info = &self.facts.sources[usize::from(source)];
            let name = format!("{}/{}", self.facts.symbols.text(info.provider), self.facts.reports[usize::from(report)].name);
            let account = self.facts.symbols.text(info.account);
            let control = |what: &str, amount: Amount| Control {
                source: format!("{name} {what}"),
                account: account.to_string(),
                charge_date: Some(day_of(to)),
                amount,
                currency,
            };
            controls.extend(fell.map(|fell| control("balance fell by", fell)));
            controls.extend(topped_up.map(|paid| control("balance topped up by", paid)));
            controls.extend(beyond.map(|beyond| control("balance fell beyond the books by", beyond)));
        }
        controls
    }

    /// A coverage row for each day of the window on which a source has no money at all.
    fn missing(&self, reference: &Reference, covered: &BTreeSet<(u16, i32)>) -> Vec<Coverage> {
        let text = |sym: Sym| self.facts.symbols.text(sym);
        let mut rows = Vec::new();
        for (index, source) in self.facts.sources.iter().enumerate() {
            let seen = self.covered.keys().filter(|(s, _, _)| usize::from(*s) == index);
            let endpoint = seen
                .map(|(_, report, _)| &self.facts.reports[usize::from(*report)])
                .filter(|report| report.is_money())
                .min_by_key(|report| (report.rank, report.name))
                .map_or("none", |report| report.name);
            for day in reference.window.iter() {
                if !covered.contains(&(index as u16, day_number(day))) {
                    let (provider, account) = (text(source.provider), text(source.account));
                    rows.push(Coverage::of(Some(day), provider, account, endpoint, SliceStatus::Missing));
                }
            }
        }
        rows
    }
}
