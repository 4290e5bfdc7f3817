//! What rows that say the same come to, so that a row like an earlier one costs one look-up in place of one for each
//! name in it: a ledger has millions of rows and some thousand combinations of key, model, team and day.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// Stands behind each text of a row. No UTF-8 has this byte, so rows are equal as their texts are.
const END: u8 = 0xff;

/// Numbers by what a row says: its texts, the empty one for none, and the rest of what decides.
#[derive(Clone)]
pub struct Alike<R> {
    hasher: DefaultHashBuilder,
    table: HashTable<Said<R>>,
    /// The texts and the day of the row that was looked up last, and their hash.
    row: Vec<u8>,
    hash: u64,
}

#[derive(Clone)]
struct Said<R> {
    hash: u64,
    row: Box<[u8]>,
    rest: R,
    number: u32,
}

impl<R> Default for Alike<R> {
    fn default() -> Self {
        Alike { hasher: DefaultHashBuilder::default(), table: HashTable::new(), row: Vec::new(), hash: 0 }
    }
}

impl<R: Copy + Eq> Alike<R> {
    /// The number that [`Self::keep`] gave to an equal row. Rows of other days are told apart by their hash, whatever
    /// else is not alike when they are compared.
    pub fn find<const N: usize>(&mut self, words: &[&str; N], day: i32, rest: &R) -> Option<u32> {
        self.row.clear();
        for word in words {
            self.row.extend_from_slice(word.as_bytes());
            self.row.push(END);
        }
        self.row.extend_from_slice(&day.to_le_bytes());
        self.hash = self.hasher.hash_one(self.row.as_slice());
        let is_same = |said: &Said<R>| said.hash == self.hash && said.rest == *rest && *said.row == *self.row;
        self.table.find(self.hash, is_same).map(|said| said.number)
    }

    /// The hash of the texts and the day that were looked up last.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Keeps the number of the row that was looked up last and not found.
    pub fn keep(&mut self, rest: R, number: u32) {
        let said = Said { hash: self.hash, row: self.row.as_slice().into(), rest, number };
        self.table.insert_unique(self.hash, said, |said| said.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_equal_row_is_found() {
        let mut alike = Alike::<i32>::default();
        for (words, number) in [(["fal", ""], 7), (["", "fal"], 8)] {
            assert_eq!(alike.find(&words, 20_000, &1), None);
            alike.keep(1, number);
        }
        assert_eq!(alike.find(&["fal", ""], 20_000, &1), Some(7));
        assert_eq!(alike.find(&["", "fal"], 20_000, &1), Some(8));
        for (words, rest) in [(["fal", ""], 2), (["fal", "fal"], 1), (["fa", "l"], 1), (["", ""], 1)] {
            assert_eq!(alike.find(&words, 20_000, &rest), None);
        }
        assert_eq!(alike.find(&["fal", ""], 20_001, &1), None);
    }
}
