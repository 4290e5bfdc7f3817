//! What Groq is asked: the rates of the metrics interface, which only Enterprise organizations have. There is no
//! other interface that a program may use: costs come from the console, by hand (the provider's sheet, section 1).

use super::super::BadPage;
use super::super::request::{Account, Auth, Limits, Request, midnight, pieces};
use super::METRICS;
use crate::domain::period::Days;

const ORIGIN: &str = "https://api.groq.com";
/// Recording rules with the labels that tell models and projects apart.
const SERIES: [(&str, &str); 2] =
    [("tokens-in", "model_project_id:tokens_in:rate5m"), ("tokens-out", "model_project_id:tokens_out:rate5m")];
const STEP: u32 = 300;
/// An answer has at most 11,000 samples a series, and a week has 2,017.
const DAYS_MAX: u32 = 7;

pub(super) const LIMITS: Limits = Limits {
    pause_ms: 1000,
    // Rates of the past do not change.
    trailing_days: 1,
};

pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    let chosen = account.chosen(&[(METRICS.name, true)])?;
    let mut found = Vec::new();
    for report in chosen {
        for days in pieces(days, DAYS_MAX) {
            for (part, series) in SERIES {
                let request = Request::get(report, days, ORIGIN, "/v1/metrics/prometheus/api/v1/query_range", Auth::Bearer)
                    .with("query", series)
                    // A rate stands at the end of its five minutes.
                    .with("start", midnight(days.from).timestamp() + i64::from(STEP))
                    .with("end", midnight(days.to).timestamp())
                    .with("step", STEP);
                found.push(Request { part: Some(part.to_string()), ..request });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Groq;
    use crate::adapters::request::tests::{asked, days};

    #[test]
    fn rates_are_asked_week_by_week() {
        let urls = asked(&Groq, &[], days("2026-11-05", "2026-11-19"));
        let root = "GET https://api.groq.com/v1/metrics/prometheus/api/v1/query_range";
        assert_eq!(
            urls,
            [
                format!("{root}?query=model_project_id:tokens_in:rate5m&start=1793837100&end=1794441600&step=300"),
                format!("{root}?query=model_project_id:tokens_out:rate5m&start=1793837100&end=1794441600&step=300"),
                format!("{root}?query=model_project_id:tokens_in:rate5m&start=1794441900&end=1795046400&step=300"),
                format!("{root}?query=model_project_id:tokens_out:rate5m&start=1794441900&end=1795046400&step=300"),
            ]
        );
    }
}
