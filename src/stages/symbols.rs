//! Texts as small numbers: every distinct text is kept once, and rows carry its number.

use super::texts::Texts;
pub use super::texts::{NONE, Sym};
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Distinct texts, numbered from 1 in the order in which they were first seen. Numbers depend on that
/// order, so nothing that is published may be sorted by them.
#[derive(Clone, Default)]
pub struct Symbols {
    hasher: hashbrown::DefaultHashBuilder,
    /// Each number with its text's hash, so that neither growing nor most lookups touch the texts.
    table: HashTable<(u32, Sym)>,
    texts: Texts,
}

impl Symbols {
    /// The number of a text, given it now if it is new. The empty text is [`NONE`].
    pub fn number(&mut self, text: &str) -> Sym {
        if text.is_empty() {
            return NONE;
        }
        let hash = self.hash(text);
        if let Some(found) = self.find_hashed(hash, text) {
            return found;
        }
        let number = self.texts.push(text);
        self.table.insert_unique(spread(hash), (hash, number), |(hash, _)| spread(*hash));
        number
    }

    /// [`NONE`] for no text.
    pub fn optional(&mut self, text: Option<&str>) -> Sym {
        text.map_or(NONE, |text| self.number(text))
    }

    /// The number of a text that was seen before.
    pub fn find(&self, text: &str) -> Option<Sym> {
        self.find_hashed(self.hash(text), text)
    }

    fn find_hashed(&self, hash: u32, text: &str) -> Option<Sym> {
        let is_same = |(other, number): &(u32, Sym)| *other == hash && self.text(*number) == text;
        self.table.find(spread(hash), is_same).map(|(_, number)| *number)
    }

    fn hash(&self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        (hash ^ (hash >> 32)) as u32
    }

    /// The text of a number; empty for [`NONE`].
    pub fn text(&self, number: Sym) -> &str {
        self.texts.text(number)
    }

    /// How many numbers are in use, [`NONE`] included.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// There is no text but the empty one.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// The bits of a hash over the whole width: the table takes its places from one end and its marks from the other.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number() {
        let mut symbols = Symbols::default();
        let numbers: Vec<Sym> = (0..5_000).map(|n| symbols.number(&format!("request-{n}"))).collect();
        for (n, number) in numbers.iter().enumerate() {
            assert_eq!(symbols.number(&format!("request-{n}")), *number);
            assert_eq!(symbols.text(*number), format!("request-{n}"));
        }
        assert_eq!((symbols.number(""), symbols.text(NONE)), (NONE, ""));
        assert_eq!(symbols.find("request-4999"), Some(5_000));
        assert_eq!(symbols.find("other"), None);
    }
}
