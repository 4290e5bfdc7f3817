//! Line items of the cost report. They are free text and no schema: what fits the observed form
//! `[<surface> | ]<model>, <side>` or is a known service is read, everything else is left as words.

use crate::domain::usage::meter;

/// Tokens by what they carry; a meter without such a word is text, or all of it where nobody says.
pub const INPUT_AUDIO_TOKENS: &str = "input_audio_tokens";
pub const INPUT_IMAGE_TOKENS: &str = "input_image_tokens";
pub const CACHE_READ_AUDIO_TOKENS: &str = "cache_read_audio_tokens";
pub const CACHE_READ_IMAGE_TOKENS: &str = "cache_read_image_tokens";
pub const OUTPUT_AUDIO_TOKENS: &str = "output_audio_tokens";
pub const OUTPUT_IMAGE_TOKENS: &str = "output_image_tokens";
pub const FILE_SEARCH_CALLS: &str = "file_search_calls";
pub const VOICE_SESSIONS: &str = "voice_sessions";

/// What a line item says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Item<'t> {
    /// As written: an alias or a dated snapshot.
    pub model: Option<&'t str>,
    pub meter: Option<&'static str>,
}

/// Reads a line item. The surface ends at the last ` | `, the side begins after the last comma.
pub fn read(text: &str) -> Item<'_> {
    let text = text.rsplit_once(" | ").map_or(text, |(_, rest)| rest).trim();
    match text.rsplit_once(',') {
        Some((model, side_text)) => {
            let model = model.trim();
            let is_id = !model.is_empty() && !model.contains(char::is_whitespace);
            side(side_text).filter(|_| is_id).map_or(Item::default(), |meter| Item { model: Some(model), meter: Some(meter) })
        }
        None => Item { model: None, meter: service(text).or_else(|| side(text)) },
    }
}

/// The meter of a side in any of its spellings: `cached input`, `input_cached_tokens`,
/// `cached_input_tokens` are one.
fn side(text: &str) -> Option<&'static str> {
    let text = text.trim().to_ascii_lowercase();
    let mut words: Vec<&str> = text.split([' ', '_', '-']).filter(|word| !matches!(*word, "" | "token" | "tokens")).collect();
    words.sort_unstable();
    Some(match words.as_slice() {
        ["input"] | ["input", "text"] => meter::INPUT_TOKENS,
        ["cached", "input"] | ["cached", "input", "text"] | ["cache", "read"] | ["cache", "input", "read"] => {
            meter::CACHE_READ_TOKENS
        }
        ["cache", "write"] | ["cache", "input", "write"] | ["cache", "writes"] | ["cache", "creation"] => {
            meter::CACHE_WRITE_5M_TOKENS
        }
        ["output"] | ["output", "text"] => meter::OUTPUT_TOKENS,
        ["audio", "input"] => INPUT_AUDIO_TOKENS,
        ["audio", "cached", "input"] => CACHE_READ_AUDIO_TOKENS,
        ["audio", "output"] => OUTPUT_AUDIO_TOKENS,
        ["image", "input"] => INPUT_IMAGE_TOKENS,
        ["cached", "image", "input"] => CACHE_READ_IMAGE_TOKENS,
        ["image", "output"] => OUTPUT_IMAGE_TOKENS,
        ["images"] => meter::IMAGES,
        ["characters"] => meter::CHARACTERS,
        ["session", "voice"] => VOICE_SESSIONS,
        _ => return None,
    })
}

fn service(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let name = text.strip_suffix(" tool calls").or_else(|| text.strip_suffix(" calls")).unwrap_or(&text);
    match name {
        "web search" => Some(meter::WEB_SEARCHES),
        "file search" => Some(FILE_SEARCH_CALLS),
        _ => None,
    }
}

/// The meter that a quantity counts, and how many of it one reported unit is.
///
/// The unit decides over the side, because a side such as `input` is counted in tokens for one model
/// and in seconds for another. `None` for the factor: the unit does not count this meter or is not
/// known to us, so the quantity cannot be told.
pub fn counted(meter: &'static str, unit: Option<&str>) -> (&'static str, Option<i128>) {
    let is = |of: &str, factor: i128| (meter, (meter::unit(meter) == of).then_some(factor));
    match unit {
        None => (meter, Some(1)),
        Some("tokens") => is("tokens", 1),
        Some("1000_tokens") => is("tokens", 1_000),
        Some("duration_seconds") => (meter::AUDIO_SECONDS, Some(1)),
        Some("duration_minutes") => (meter::AUDIO_SECONDS, Some(60)),
        Some("duration_hours") => (meter::AUDIO_SECONDS, Some(3_600)),
        Some("images") => (meter::IMAGES, Some(1)),
        Some("characters") => (meter::CHARACTERS, Some(1)),
        Some("gibibyte_hours") => ("gibibyte_hours", Some(1)),
        Some(_) => (meter, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_observed_forms() {
        for (text, model, meter) in [
            ("ft-gpt-4o-2024-08-06, input", Some("ft-gpt-4o-2024-08-06"), Some("input_tokens")),
            ("evals | gpt-4o-mini-2024-07-18, output", Some("gpt-4o-mini-2024-07-18"), Some("output_tokens")),
            ("a | b | gpt-4o, cached input", Some("gpt-4o"), Some("cache_read_tokens")),
            ("ft:gpt-4o:org,x, output", Some("ft:gpt-4o:org,x"), Some("output_tokens")),
            ("gpt-5-nano, input_tokens", Some("gpt-5-nano"), Some("input_tokens")),
            ("gpt-5-nano, cached_input_tokens", Some("gpt-5-nano"), Some("cache_read_tokens")),
            ("gpt-5-nano, input_cached_tokens", Some("gpt-5-nano"), Some("cache_read_tokens")),
            ("gpt-6-sol, input_cache_write_tokens", Some("gpt-6-sol"), Some("cache_write_5m_tokens")),
            ("gpt-6-sol, cache write", Some("gpt-6-sol"), Some("cache_write_5m_tokens")),
            (
                "gpt-realtime-2.1-mini-2026-08-28, audio input",
                Some("gpt-realtime-2.1-mini-2026-08-28"),
                Some("input_audio_tokens"),
            ),
            ("gpt-realtime-2.1-mini, Audio Output", Some("gpt-realtime-2.1-mini"), Some("output_audio_tokens")),
            ("gpt-live-1, voice session", Some("gpt-live-1"), Some("voice_sessions")),
            ("gpt-4o, images", Some("gpt-4o"), Some("images")),
            ("input_tokens", None, Some("input_tokens")),
            ("web search tool calls", None, Some("web_searches")),
            ("Web Search Tool Calls", None, Some("web_searches")),
            ("assistants api | file search", None, Some("file_search_calls")),
            ("Text tokens", None, None),
            ("Refund, March 2026", None, None),
            ("gpt-4o, something new", None, None),
            ("credit for tokens, input", None, None),
            (", input", None, None),
            ("", None, None),
        ] {
            assert_eq!(read(text), Item { model, meter }, "{text}");
        }
    }

    #[test]
    fn a_quantity_counts_what_its_unit_says() {
        assert_eq!(counted("input_tokens", Some("1000_tokens")), ("input_tokens", Some(1_000)));
        assert_eq!(counted("voice_sessions", Some("duration_minutes")), ("audio_seconds", Some(60)));
        assert_eq!(counted("voice_sessions", None), ("voice_sessions", Some(1)));
        assert_eq!(counted("web_searches", None), ("web_searches", Some(1)));
        assert_eq!(counted("images", Some("tokens")), ("images", None));
        assert_eq!(counted("input_tokens", Some("pages")), ("input_tokens", None));
    }
}
