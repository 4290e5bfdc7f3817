//! What a SKU's text says. There is no field for model or direction: both stand in free words, in several
//! families of phrasing (Google sheet section 2.1). A text counts as read only if every word of it is
//! known; one unknown word (`live`, `tts`, `offpeak`) may mean another price, and then nothing is guessed.

use crate::domain::usage::meter;

/// Tokens by what they carry; a meter without such a word is text.
const INPUT_TOKENS_OF: [&str; 3] = ["input_audio_tokens", "input_image_tokens", "input_video_tokens"];
const CACHE_READ_TOKENS_OF: [&str; 3] = ["cache_read_audio_tokens", "cache_read_image_tokens", "cache_read_video_tokens"];
const OUTPUT_AUDIO_TOKENS: &str = "output_audio_tokens";
const OUTPUT_IMAGE_TOKENS: &str = "output_image_tokens";
/// Tokens kept in an explicit cache, times hours.
const CACHE_STORAGE: &str = "cache_storage_token_hours";
const VIDEOS: &str = "videos";

/// What a text says of the priced thing. Empty where it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    /// `gemini-2.5-flash-lite`, `veo-fast`: the text's own words, joined.
    pub model: Option<String>,
    pub tier: Option<&'static str>,
    pub batch: Option<bool>,
    pub meter: Option<&'static str>,
}

/// Whether a row is of the services whose SKUs are read: the Gemini API and Vertex AI. Names have
/// changed, ids have not.
pub(super) fn is_read(service_id: Option<&str>, service: Option<&str>) -> bool {
    match (service_id, service) {
        (Some(id), _) => matches!(id, "AEFD-7695-64FA" | "C7E2-9256-1C43"),
        (None, Some(name)) => {
            matches!(name, "Gemini API" | "Generative Language API" | "Vertex AI" | "Gemini Enterprise Agent Platform")
        }
        (None, None) => false,
    }
}

/// Reads a SKU's description.
pub(super) fn read(text: &str) -> Item {
    let text = text.to_ascii_lowercase();
    let is_break = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '.');
    let words: Vec<&str> = text.split(is_break).filter(|word| !word.is_empty()).collect();
    let of = |meter: &'static str| Item { meter: Some(meter), ..Item::default() };
    match words.as_slice() {
        ["grounding", "with", "google", "search", "on", "gemini", "3"] => of(meter::WEB_SEARCHES),
        ["number", "of", "videos", "generated"] => of(VIDEOS),
        ["veo", rest @ ..] => veo(rest).unwrap_or_default(),
        words => gemini(words).unwrap_or_default(),
    }
}

/// `Veo [3.1] [Fast|Lite] Generation 720p with Audio`. The resolution has a price of its own and stays in
/// the text; which version a text without one means is for the names map to say.
fn veo(words: &[&str]) -> Option<Item> {
    let (version, words) = match words {
        [first, rest @ ..] if is_version(first) => (Some(*first), rest),
        words => (None, words),
    };
    let (variant, words) = match words {
        [variant @ ("fast" | "lite"), rest @ ..] => (Some(*variant), rest),
        words => (None, words),
    };
    match words {
        ["generation", "720p" | "1080p" | "4k", "with", "audio"] => {}
        _ => return None,
    }
    let model: Vec<&str> = [Some("veo"), version, variant].into_iter().flatten().collect();
    Some(Item { model: Some(model.join("-")), meter: Some(meter::VIDEO_SECONDS), ..Item::default() })
}

/// The words of a token SKU, sorted by what they mean.
#[derive(Default)]
struct Words<'t> {
    input: bool,
    output: bool,
    cached: bool,
    storage: bool,
    preview: bool,
    tier: Option<&'t str>,
    carries: Vec<&'t str>,
}

fn gemini(words: &[&str]) -> Option<Item> {
    let at = words.iter().position(|word| *word == "gemini")?;
    let (before, named) = (words.get(..at)?, words.get(at + 1..)?);
    let (version, family, after) = match named {
        [version, "flash", "lite", rest @ ..] => (version, "flash-lite", rest),
        [version, family @ ("flash" | "pro" | "argon"), rest @ ..] => (version, *family, rest),
        _ => return None,
    };
    if !is_version(version) {
        return None;
    }
    // An image model says image twice: once in its name, once for the tokens.
    let (is_image_model, after) = match after {
        ["native", "image", rest @ ..] => (true, rest),
        ["image", rest @ ..] if before.iter().chain(rest).any(|word| carried(word)) => (true, rest),
        after => (false, after),
    };
    let said = sorted(before.iter().chain(after))?;
    let carries = match said.carries.as_slice() {
        [] => "text",
        [first, rest @ ..] if rest.iter().all(|other| other == first) => *first,
        _ => return None,
    };
    let meter = counted(&said, carries, is_image_model)?;
    let (tier, batch) = match said.tier {
        Some("batch") => ("standard", true),
        Some("flex") => ("flex", false),
        Some("priority") => ("priority", false),
        // Each tier has SKUs of its own; those without its word are the standard ones.
        _ => ("standard", false),
    };
    // `Gemini 3.0 Pro` and `gemini 3 pro` are one; 2.0 is a version by that name.
    let version = version.strip_suffix(".0").filter(|major| *major != "2" && *major != "1").unwrap_or(version);
    let model = ["-image", "-preview"].iter().zip([is_image_model, said.preview]);
    let ends: String = model.filter(|(_, is)| *is).map(|(end, _)| *end).collect();
    Some(Item {
        model: Some(format!("gemini-{version}-{family}{ends}")),
        tier: Some(tier),
        batch: Some(batch),
        meter: Some(meter),
    })
}

/// What the words say together; `None` when one of them is not known.
fn sorted<'w, 't: 'w>(words: impl Iterator<Item = &'w &'t str>) -> Option<Words<'t>> {
    let mut said = Words::default();
    for word in words {
        match *word {
            "input" => said.input = true,
            "output" => said.output = true,
            "cached" | "caching" => said.cached = true,
            "storage" => said.storage = true,
            "preview" => said.preview = true,
            "batch" | "flex" | "priority" if said.tier.is_none() => said.tier = Some(word),
            word if carried(word) => said.carries.push(word),
            "generate" | "generatecontent" | "content" | "generation" | "token" | "tokens" | "count" | "hours" | "for"
            | "predictions" | "ga" | "global" | "regional" | "short" | "long" | "non" | "thinking" | "on" => {}
            _ => return None,
        }
    }
    Some(said)
}

fn carried(word: &str) -> bool {
    matches!(word, "text" | "audio" | "image" | "video")
}

/// Cached before output before input: `… output token count … short input text` is output, and cached
/// input is no input at its full price.
fn counted(said: &Words<'_>, carries: &str, is_image_model: bool) -> Option<&'static str> {
    let of = |text: &'static str, others: [&'static str; 3]| {
        Some(match carries {
            "audio" => others[0],
            "image" => others[1],
            "video" => others[2],
            _ => text,
        })
    };
    if said.storage {
        said.cached.then_some(CACHE_STORAGE)
    } else if said.cached {
        of(meter::CACHE_READ_TOKENS, CACHE_READ_TOKENS_OF)
    } else if said.output {
        match carries {
            "text" => Some(meter::OUTPUT_TOKENS),
            // Beside "input" the word may speak of the prompt.
            "audio" if !said.input => Some(OUTPUT_AUDIO_TOKENS),
            "image" if !said.input && is_image_model => Some(OUTPUT_IMAGE_TOKENS),
            _ => None,
        }
    } else if said.input {
        of(meter::INPUT_TOKENS, INPUT_TOKENS_OF)
    } else {
        None
    }
}

/// `3` or `3.1`.
fn is_version(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('.').map_or_else(|| digits(word), |(major, minor)| digits(major) && digits(minor))
}

/// Whether an amount in this unit is a number of what the meter counts. Seen is `count` for tokens; in
/// what unit videos and cache storage are written is not documented, so only a unit that says it counts.
pub(super) fn counts(meter: &str, unit: Option<&str>) -> bool {
    match unit {
        Some("count") => !matches!(meter, meter::VIDEO_SECONDS | CACHE_STORAGE),
        Some("second" | "seconds") => meter == meter::VIDEO_SECONDS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(text: &str) -> String {
        let item = read(text);
        let batch = if item.batch == Some(true) { "+batch" } else { "" };
        let (model, tier) = (item.model.as_deref().unwrap_or("-"), item.tier.unwrap_or("-"));
        format!("{model} {tier}{batch} {}", item.meter.unwrap_or("-"))
    }

    #[test]
    fn reads_the_families_of_the_gemini_api() {
        for (text, expected) in [
            ("Generate content input token count gemini 3.5 flash text", "gemini-3.5-flash standard input_tokens"),
            ("Generate content cached input token count gemini 3.5 flash text", "gemini-3.5-flash standard cache_read_tokens"),
            ("Generate content output token count gemini 2.5 flash short input text", "gemini-2.5-flash standard output_tokens"),
            (
                "Generate content output token count gemini 2.5 flash short output text non-thinking",
                "gemini-2.5-flash standard output_tokens",
            ),
            ("Generate_content text input token count for gemini 3 pro short", "gemini-3-pro standard input_tokens"),
            ("Generate_content text cached input token count for gemini 3 pro long", "gemini-3-pro standard cache_read_tokens"),
            ("Generate_content text output token count for gemini 3 flash batch", "gemini-3-flash standard+batch output_tokens"),
            ("Generate content output token count gemini 3.8 flash text priority", "gemini-3.8-flash priority output_tokens"),
            (
                "Generate content input token count gemini 3.7 flash image flex caching",
                "gemini-3.7-flash flex cache_read_image_tokens",
            ),
            (
                "Generate_content_cached_input_token_count_gemini_3_pro_short_image",
                "gemini-3-pro standard cache_read_image_tokens",
            ),
            (
                "Generate content input token count gemini 3.1 flash lite preview text",
                "gemini-3.1-flash-lite-preview standard input_tokens",
            ),
            (
                "Generate content input token count gemini 2.5 flash lite short input text",
                "gemini-2.5-flash-lite standard input_tokens",
            ),
            ("Generate content input token count gemini 2.5 flash input audio", "gemini-2.5-flash standard input_audio_tokens"),
            ("GenerateContent text output token count for Gemini 2.0 Flash", "gemini-2.0-flash standard output_tokens"),
            (
                "Generate_content image output token count for Gemini 2.5 Flash Native Image Generation",
                "gemini-2.5-flash-image standard output_image_tokens",
            ),
            (
                "Generate_content image output token count for Gemini 3 Pro Image",
                "gemini-3-pro-image standard output_image_tokens",
            ),
            (
                "Generate_content text input token count for Gemini 3 Pro Image batch",
                "gemini-3-pro-image standard+batch input_tokens",
            ),
            (
                "Generate content cached content storage token hours gemini 3.8 flash",
                "gemini-3.8-flash standard cache_storage_token_hours",
            ),
        ] {
            assert_eq!(read_as(text), expected, "{text}");
        }
    }

    #[test]
    fn reads_the_families_of_vertex() {
        for (text, expected) in [
            ("Gemini 3.5 Flash Global Text Input - Predictions", "gemini-3.5-flash standard input_tokens"),
            ("Gemini 2.5 Pro Thinking Text Output - Predictions", "gemini-2.5-pro standard output_tokens"),
            ("Gemini 2.5 Flash GA Thinking Text Output - Predictions", "gemini-2.5-flash standard output_tokens"),
            ("Gemini 3.0 Pro Text Input (Long) - Predictions", "gemini-3-pro standard input_tokens"),
            ("Gemini 3.0 Pro Text Input Caching (Long)", "gemini-3-pro standard cache_read_tokens"),
            ("Gemini 2.5 Pro Input Text Caching (Long)", "gemini-2.5-pro standard cache_read_tokens"),
            ("Gemini 2.5 Pro Text Output Batch - Predictions", "gemini-2.5-pro standard+batch output_tokens"),
            ("Gemini 3 Flash Text Input Caching Flex", "gemini-3-flash flex cache_read_tokens"),
            ("Gemini 3 Flash Text Input Caching Storage", "gemini-3-flash standard cache_storage_token_hours"),
            ("Gemini 3.8 Flash Global Image Input - Predictions", "gemini-3.8-flash standard input_image_tokens"),
            ("Gemini 3.1 Flash Image Image Input - Predictions", "gemini-3.1-flash-image standard input_image_tokens"),
            ("Gemini 3.1 Flash Image Text Output - Predictions", "gemini-3.1-flash-image standard output_tokens"),
            ("Gemini 3.1 Flash Lite Global Audio Input - Predictions", "gemini-3.1-flash-lite standard input_audio_tokens"),
            ("Gemini 2.5 Flash Video Input - Predictions", "gemini-2.5-flash standard input_video_tokens"),
        ] {
            assert_eq!(read_as(text), expected, "{text}");
        }
    }

    #[test]
    fn reads_what_is_no_token() {
        for (text, expected) in [
            ("Veo Generation 720p with Audio", "veo - video_seconds"),
            ("Veo Fast Generation 1080p with Audio", "veo-fast - video_seconds"),
            ("Veo Lite Generation 720p with Audio", "veo-lite - video_seconds"),
            ("Veo 3.1 Fast Generation 4k with Audio", "veo-3.1-fast - video_seconds"),
            ("Number of videos generated", "- - videos"),
            ("Grounding with Google Search on Gemini 3", "- - web_searches"),
        ] {
            assert_eq!(read_as(text), expected, "{text}");
        }
    }

    #[test]
    fn one_unknown_word_is_enough_to_leave_a_text_alone() {
        for text in [
            "",
            "Tax",
            "Gemini",
            "Gemini 3",
            "Gemini Flash Text Input",
            "Gemini 3 Flash - Predictions",
            "Gemini 3 Nano Text Input - Predictions",
            "Gemini 3.8 Flash Text Input Offpeak",
            "Generate content input token count gemini 3.8 flash lite tts text batch",
            "Generate content input token count gemini 3.8 flash text batch flex",
            "Bidi_generate_content text input token count for gemini-3.8-live",
            "Generate_content audio input token count for Gemini 3.5 Live Translate",
            "Gemini 2.5 Flash Image Output - Predictions",
            "Generate content output token count gemini 2.5 flash short input audio",
            "EmbedContent input token count for gemini-embedding-2 text",
            "Gemini 2.5 Pro Text Audio Input - Predictions",
            "Gemini 2.5 Pro Text Storage",
            "Gemini 2.5.1 Pro Text Input",
            "Veo Generation 720p",
            "Veo Turbo Generation 720p with Audio",
            "Imagen 4 fast Generation (output)",
            "Lyria 3 Audio Ouptut - Predictions",
            "N2 Instance Core running in Americas",
        ] {
            assert_eq!(read(text), Item::default(), "{text}");
        }
    }

    #[test]
    fn a_quantity_counts_only_in_a_unit_that_says_so() {
        for (meter, unit, expected) in [
            ("input_tokens", Some("count"), true),
            ("videos", Some("count"), true),
            ("web_searches", Some("count"), true),
            ("video_seconds", Some("count"), false),
            ("video_seconds", Some("seconds"), true),
            ("input_tokens", Some("seconds"), false),
            ("input_tokens", Some("1M count"), false),
            ("input_tokens", None, false),
            ("cache_storage_token_hours", Some("count"), false),
        ] {
            assert_eq!(counts(meter, unit), expected, "{meter} {unit:?}");
        }
    }

    #[test]
    fn services_are_told_by_id() {
        assert!(is_read(Some("AEFD-7695-64FA"), Some("Generative Language API")));
        assert!(is_read(Some("C7E2-9256-1C43"), None));
        assert!(is_read(None, Some("Vertex AI")));
        assert!(!is_read(Some("6F81-5844-456A"), Some("Vertex AI")));
        assert!(!is_read(None, Some("Compute Engine")));
        assert!(!is_read(None, None));
    }
}
