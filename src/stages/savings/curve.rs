//! Break-even as a curve: what both routes cost at every volume of a month, for drawing.

use super::SavingsTerms;
use super::advice::whole_month;
use super::groups::Group;
use super::price::{GroupMonth, too_large};
use super::rows::ALL;
use crate::domain::fault::Fault;
use crate::domain::money::Amount;
use crate::domain::plan::break_even::Point;
use chrono::NaiveDate;

/// One plan's month over volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanCurve {
    /// First day of the month whose mix of usage it is.
    pub period_start: NaiveDate,
    /// Whom the plan is for; [`ALL`] where it is for all teams, or all providers, together.
    pub team: String,
    pub provider: String,
    pub plan: String,
    /// What volume is counted in, see [`crate::domain::plan::Plan::unit`].
    pub unit: String,
    /// The month's own volume, at its pace for the whole month.
    pub volume: Amount,
    /// Cash cost of both routes in the reporting currency, ascending by volume: an even grid from 0, the month's
    /// volume, and every crossing, so that lines between the points cross where the routes do. A jump of a tier lies
    /// between two points of the grid. Volumes that the plan has no price for are left out.
    pub points: Vec<Point>,
}

/// The curve up to twice the month's volume or twice the last crossing, whichever is more, in so many parts.
/// `None` without usage in the plan's unit.
///
/// # Errors
/// A figure that does not fit (70).
pub(super) fn curve(group: &Group, month: &GroupMonth, terms: &SavingsTerms, parts: u32) -> Result<Option<PlanCurve>, Fault> {
    let agreement = group.agreement.and_then(|index| terms.agreements.get(index));
    let (Some(agreement), Some(comparison)) = (agreement, whole_month(group, month)?) else { return Ok(None) };
    let Some(found) = comparison.break_even(false).map_err(|_| too_large())? else { return Ok(None) };
    let last = found.certain.crossings().last().and_then(|last| last.to_amount()).unwrap_or_default();
    let up_to = comparison.volume.max(last).times(Amount::whole(2)).ok_or_else(too_large)?;
    let named = |name: &Option<String>| name.clone().unwrap_or(ALL.to_string());
    Ok(Some(PlanCurve {
        period_start: group.month,
        team: named(&agreement.team),
        provider: named(&agreement.provider),
        plan: agreement.plan.name.clone(),
        unit: agreement.plan.unit.clone(),
        volume: comparison.volume,
        points: comparison.points(up_to, parts),
    }))
}
