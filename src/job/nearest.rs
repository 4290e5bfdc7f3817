//! The nearest known name for a mistyped one.

use crate::adapters::ADAPTERS;
use crate::domain::usage::meter;

/// Meters that ledgers and providers share; adapters add some of their own.
const METERS: [&str; 14] = [
    meter::INPUT_TOKENS,
    meter::CACHE_READ_TOKENS,
    meter::CACHE_WRITE_5M_TOKENS,
    meter::CACHE_WRITE_1H_TOKENS,
    meter::OUTPUT_TOKENS,
    meter::IMAGES,
    meter::MEGAPIXELS,
    meter::VIDEO_SECONDS,
    meter::AUDIO_SECONDS,
    meter::CHARACTERS,
    meter::PROVIDER_CREDITS,
    meter::WEB_SEARCHES,
    meter::BUILDS,
    meter::REQUESTS,
];

/// The known name that the written one was probably meant to be: at most a third of its letters differ.
/// Ties go to the earlier one.
pub fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let written: String = written.chars().take(100).collect::<String>().to_lowercase();
    let distances = known.iter().map(|name| (strsim::damerau_levenshtein(&written, &name.to_lowercase()), *name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(name)
}

/// The remedy for an unknown name: the nearest known one, else all of them.
pub fn did_you_mean(written: &str, known: &[&str]) -> String {
    match nearest(written, known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known: {}", known.join(", ")),
    }
}

/// The known name that is a single slip away: one letter more, less or other, two swapped, or other case.
///
/// For names that need not be known, where a near miss is a mistake all the same: a provider without an
/// adapter, a provider's own meter.
pub fn slip<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    if known.contains(&written) {
        return None;
    }
    let lower = written.to_lowercase();
    known.iter().copied().find(|name| strsim::damerau_levenshtein(&lower, name) <= 1)
}

/// The provider that a name missed by a slip.
pub fn provider_slip(written: &str) -> Option<&'static str> {
    let known: Vec<&str> = ADAPTERS.iter().map(|adapter| adapter.name()).collect();
    slip(written, &known)
}

/// The shared meter that a name missed by a slip.
pub fn meter_slip(written: &str) -> Option<&'static str> {
    slip(written, &METERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_was_meant() {
        let known = ["reporting_currency", "time_zone", "to"];
        assert_eq!(nearest("reporting_curency", &known), Some("reporting_currency"));
        assert_eq!(nearest("timezone", &known), Some("time_zone"));
        assert_eq!(nearest("TO", &known), Some("to"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &[]), None);
        assert_eq!(did_you_mean("colour", &known), "known: reporting_currency, time_zone, to");
    }

    #[test]
    fn a_slip_is_one_letter() {
        let known = ["openai", "fal"];
        assert_eq!(slip("opnai", &known), Some("openai"));
        assert_eq!(slip("oepnai", &known), Some("openai"));
        assert_eq!(slip("OpenAI", &known), Some("openai"));
        assert_eq!(slip("openai", &known), None);
        assert_eq!(slip("azure_openai", &known), None);
        assert_eq!(meter_slip("input_token"), Some("input_tokens"));
        assert_eq!(meter_slip("input_audio_tokens"), None);
    }
}
