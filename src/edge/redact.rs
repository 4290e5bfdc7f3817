//! What a secret looks like is taken out of every text that leaves the program: messages, progress, panics
//! and the JSON result (reliability.md section 7.4). The secrets themselves are not kept here, only keyed
//! hashes of each eight bytes of them and of their usual encodings.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, PoisonError, RwLock};

/// The shortest part of a secret that counts as one (guarantee 15).
pub const PART: usize = 8;
const SHOWN: &str = "[redacted]";
/// What keys of the providers begin with, and the least length of what is then taken for one.
const PREFIXES: [&str; 9] = ["sk-", "sk_", "gsk_", "xoxb-", "xapp-", "AIza", "ya29.", "eyJhbGci", "whsec_"];
const KEY_CHARS_MIN: usize = 20;

/// An answer has so many digits, and so many letters of hexadecimal ids, that a shorter run of them is found in a key by
/// chance: then it is no part of one.
const DIGITS_MIN: usize = 16;
const HEX_MIN: usize = 12;

struct Known {
    key: RandomState,
    parts: HashSet<u64>,
    /// The shortest secret that is nothing but hexadecimal digits.
    shortest_hex: usize,
}

impl Default for Known {
    fn default() -> Self {
        Known { key: RandomState::new(), parts: HashSet::new(), shortest_hex: usize::MAX }
    }
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(Default::default);

/// From now on no text shows this value, whole or in parts of at least [`PART`] bytes, plain, in hex, in base64
/// or percent-encoded.
pub fn learn(secret: &str) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        known.shortest_hex = known.shortest_hex.min(secret.len());
    }
    for form in forms(secret.as_bytes()) {
        for part in form.windows(PART) {
            let part = known.key.hash_one(part);
            known.parts.insert(part);
        }
    }
}

fn forms(secret: &[u8]) -> Vec<zeroize::Zeroizing<Vec<u8>>> {
    let mut forms = vec![secret.to_vec()];
    let hex = |upper: bool| -> String {
        secret.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    forms.extend([hex(false).into_bytes(), hex(true).into_bytes()]);
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        // Three bytes are four letters: the text depends on where in a longer one the secret begins.
        for before in 0..3 {
            let shifted = zeroize::Zeroizing::new([&[0; 2][..before], secret].concat());
            let encoded = engine.encode(&*shifted);
            let own = [0, 2, 3].get(before).copied().unwrap_or(0);
            // The last letter depends on what follows, unless the three bytes are full.
            let whole = shifted.len() / 3 * 4;
            forms.push(encoded.as_bytes().get(own..whole.max(own)).unwrap_or_default().to_vec());
            forms.push(encoded.into_bytes());
        }
    }
    for upper in [true, false] {
        let percent = secret.iter().map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) => char::from(*byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        });
        forms.push(percent.collect::<String>().into_bytes());
    }
    forms.into_iter().map(zeroize::Zeroizing::new).collect()
}

/// The text without secrets.
pub fn redact(text: &str) -> String {
    let mut hidden = vec![false; text.len()];
    {
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        if !known.parts.is_empty() {
            for (at, part) in text.as_bytes().windows(PART).enumerate() {
                if known.parts.contains(&known.key.hash_one(part)) {
                    hidden.iter_mut().skip(at).take(PART).for_each(|hidden| *hidden = true);
                }
            }
        }
    }
    for (start, word) in words(text) {
        if word.len() >= KEY_CHARS_MIN && PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
            hidden.iter_mut().skip(start).take(word.len()).for_each(|hidden| *hidden = true);
        }
    }
    let mut shown = String::with_capacity(text.len());
    let mut within = false;
    for (at, letter) in text.char_indices() {
        let hide = hidden.iter().skip(at).take(letter.len_utf8()).any(|hidden| *hidden);
        match (hide, within) {
            (true, false) => shown.push_str(SHOWN),
            (true, true) => {}
            (false, _) => shown.push(letter),
        }
        within = hide;
    }
    shown
}

/// Whether bytes hold a known secret, or a part of one that is not there by chance: [`PART`] bytes, of hexadecimal digits
/// 12, of decimal ones 16, and of a shorter secret all.
pub fn holds_a_secret(bytes: &[u8]) -> bool {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if known.parts.is_empty() {
        return false;
    }
    // Bytes of the part that goes on, and whether all of them are decimal digits.
    let (mut length, mut decimal) = (0, true);
    for part in bytes.windows(PART) {
        if !known.parts.contains(&known.key.hash_one(part)) {
            (length, decimal) = (0, true);
            continue;
        }
        length = if length == 0 { PART } else { length + 1 };
        decimal &= part.iter().all(u8::is_ascii_digit);
        let least = match part.iter().all(u8::is_ascii_hexdigit) {
            true if decimal => DIGITS_MIN.min(known.shortest_hex),
            true => HEX_MIN.min(known.shortest_hex),
            false => PART,
        };
        if length >= least {
            return true;
        }
    }
    false
}

/// Words of the letters that keys are made of, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_key = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let mut at = 0;
    text.split(move |letter| !is_key(letter)).map(move |word| {
        let start = at;
        // One byte or more lies between; the split tells only the words.
        at = start + word.len() + text.get(start + word.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        (start, word)
    })
}

/// Lets a panic say what it has to say without secrets, with a backtrace where `RUST_BACKTRACE` asks for one.
pub fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let traced = trace.status() == std::backtrace::BacktraceStatus::Captured;
        let trace = if traced { format!("\n{trace}") } else { String::new() };
        // Nobody is there to tell when stderr is gone.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), redact(&format!("{panic}{trace}\n")).as_bytes());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    #[test]
    fn no_form_of_a_secret_is_shown() {
        let secret = "zQ7/x+Vw9~Lm2#Tr5";
        learn(secret);
        for before in ["", "a", "ab", "user:"] {
            let joined = format!("{before}{secret}:rest");
            for text in [
                joined.clone(),
                STANDARD.encode(&joined),
                URL_SAFE.encode(&joined),
                joined.bytes().map(|byte| format!("{byte:02x}")).collect(),
                joined.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>().replace("%3A", ":"),
                format!("{before}{}", secret.replace('/', "%2F").replace('+', "%2B").replace('#', "%23")),
                format!("{before}{}", &secret[3..11]),
            ] {
                let shown = redact(&format!("it said {text}."));
                let percent_all = text.contains("%7A");
                assert!(shown.starts_with("it said ") && (shown.contains(SHOWN) || percent_all), "{text}: {shown}");
                for part in secret.as_bytes().windows(PART) {
                    assert!(!shown.contains(std::str::from_utf8(part).unwrap()), "{shown}");
                }
            }
        }
        assert!(holds_a_secret(b"{\"name\":\"zQ7/x+Vw9\"}") && !holds_a_secret(b"zQ7/x+V"));
        assert_eq!(redact("grün und zQ7/x+V"), "grün und zQ7/x+V");
    }

    #[test]
    fn digits_that_a_key_has_by_chance_are_no_part_of_it() {
        learn("5d41402abc4b2a76b9719d911017c592-zZ90817263549081726354zZ");
        for (text, held) in [
            // A part of eight that no id or number has.
            ("{\"name\":\"c592-zZ9\"}", true),
            ("5d41402a-77aa-4d55", false),
            ("{\"id\":\"5d41402abc4\"}", false),
            ("{\"id\":\"5d41402abc4b\"}", true),
            ("{\"at\":1729081726354000}", false),
            ("{\"at\":908172635490817}", false),
            ("{\"at\":9081726354908172}", true),
        ] {
            assert_eq!(holds_a_secret(text.as_bytes()), held, "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_key_is_not_shown_either() {
        let said = redact("key “sk-proj-abcdefghijklmnop123”, then gsk_0123456789abcdefghij and sk-short");
        assert_eq!(said, "key “[redacted]”, then [redacted] and sk-short");
    }
}
