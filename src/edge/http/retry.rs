//! How long to wait before the next try: full jitter, and never less than the provider asks for.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// A wait between nothing and `first` doubled with each try, at most `longest`. The same seed and try give
/// the same wait; runs and providers have different seeds.
pub fn wait(seed: &str, tried: u32, first: Duration, longest: Duration) -> Duration {
    let ceiling = first.saturating_mul(2u32.saturating_pow(tried.saturating_sub(1))).min(longest);
    let digest = Sha256::digest(format!("{seed} {tried}"));
    let draw = digest.iter().take(4).fold(0u32, |draw, byte| draw << 8 | u32::from(*byte));
    let nanos = ceiling.as_nanos() * u128::from(draw) / u128::from(u32::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// `Retry-After`, as seconds or as a date. What is past or unreadable asks for nothing.
pub fn after(header: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let text = header?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are a wait that nobody outlives.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(text).ok().map(DateTime::<Utc>::from)?;
    // A second more, because the date has no parts of one.
    (date > now).then(|| (date - now).to_std().unwrap_or_default() + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_differ() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        for seed in ["a", "b", "c"] {
            for tried in 1..40 {
                let ceiling = Duration::from_secs(1 << (tried - 1).min(6)).min(longest);
                let drawn = wait(seed, tried, first, longest);
                assert!(drawn <= ceiling && drawn == wait(seed, tried, first, longest));
            }
        }
        let waits: Vec<Duration> = (0..50).map(|seed| wait(&seed.to_string(), 7, first, longest)).collect();
        let (short, long) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*short < Duration::from_secs(10) && *long > Duration::from_secs(50), "{short:?} {long:?}");
        assert_eq!(wait("a", 3, Duration::ZERO, longest), Duration::ZERO);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-18T09:00:00Z".parse().unwrap();
        for (header, expected) in [
            (Some("0"), Some(0)),
            (Some(" 120 "), Some(120)),
            (Some("Wed, 18 Nov 2026 09:00:30 GMT"), Some(31)),
            (Some("Wednesday, 18-Nov-26 09:00:30 GMT"), Some(31)),
            (Some("Wed, 18 Nov 2026 08:59:59 GMT"), None),
            (Some("99999999999999999999"), Some(u64::from(u32::MAX))),
            (Some("-5"), None),
            (Some("1.5"), None),
            (Some("soon"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(after(header, now), expected.map(Duration::from_secs), "{header:?}");
        }
    }
}
