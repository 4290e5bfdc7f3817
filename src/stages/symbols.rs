//! Texts as small numbers: every distinct text is kept once, and rows carry its number. This is also
//! the hash phase of the request match, so that the join itself works on integers.

use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The number of a text in a [`Symbols`]; 0 is "none" in every table.
pub type Sym = u32;
/// No text.
pub const NONE: Sym = 0;

/// Distinct texts, numbered from 1 in the order in which they were first seen. Numbers depend on that
/// order, so nothing that is published may be sorted by them.
pub struct Symbols {
    hasher: hashbrown::DefaultHashBuilder,
    table: HashTable<Sym>,
    /// All texts one after the other; `ends[n]` is where text `n` stops.
    arena: String,
    ends: Vec<usize>,
}

impl Default for Symbols {
    fn default() -> Self {
        // Number 0 is the empty text, so that "none" reads as an empty cell.
        Symbols { hasher: Default::default(), table: HashTable::new(), arena: String::new(), ends: vec![0] }
    }
}

impl Symbols {
    /// The number of a text, given it now if it is new. The empty text is [`NONE`].
    pub fn number(&mut self, text: &str) -> Sym {
        if text.is_empty() {
            return NONE;
        }
        let hash = self.hasher.hash_one(text);
        let (arena, ends) = (&self.arena, &self.ends);
        if let Some(found) = self.table.find(hash, |&number| stored(arena, ends, number) == text) {
            return *found;
        }
        let number = self.ends.len() as Sym;
        self.arena.push_str(text);
        self.ends.push(self.arena.len());
        let (hasher, arena, ends) = (&self.hasher, &self.arena, &self.ends);
        self.table.insert_unique(hash, number, |&number| hasher.hash_one(stored(arena, ends, number)));
        number
    }

    /// [`NONE`] for no text.
    pub fn optional(&mut self, text: Option<&str>) -> Sym {
        text.map_or(NONE, |text| self.number(text))
    }

    /// The number of a text that was seen before.
    pub fn find(&self, text: &str) -> Option<Sym> {
        let hash = self.hasher.hash_one(text);
        self.table.find(hash, |&number| stored(&self.arena, &self.ends, number) == text).copied()
    }

    /// The text of a number; empty for [`NONE`].
    pub fn text(&self, number: Sym) -> &str {
        stored(&self.arena, &self.ends, number)
    }

    /// How many numbers are in use, [`NONE`] included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.len() == 1
    }
}

fn stored<'a>(arena: &'a str, ends: &[usize], number: Sym) -> &'a str {
    let at = number as usize;
    let start = if at == 0 { 0 } else { ends.get(at - 1).copied().unwrap_or(0) };
    ends.get(at).and_then(|end| arena.get(start..*end)).unwrap_or_default()
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
