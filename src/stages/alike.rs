//! What rows that say the same come to, so that a row like an earlier one costs one look-up in place of one for each
//! name in it: a ledger has millions of rows and some thousand combinations of key, model, team and day.

use super::symbols::{Sym, Symbols};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::{BuildHasher, Hash};

/// Numbers by what a row says: `N` texts, the empty one for none, and the rest of what decides.
#[derive(Clone)]
pub struct Alike<const N: usize, R> {
    hasher: DefaultHashBuilder,
    table: HashTable<Said<N, R>>,
}

#[derive(Clone)]
struct Said<const N: usize, R> {
    hash: u64,
    words: [Sym; N],
    rest: R,
    number: u32,
}

impl<const N: usize, R> Default for Alike<N, R> {
    fn default() -> Self {
        Alike { hasher: DefaultHashBuilder::default(), table: HashTable::new() }
    }
}

impl<const N: usize, R: Copy + Eq + Hash> Alike<N, R> {
    /// The number that [`Self::keep`] gave to an equal row.
    pub fn find(&self, symbols: &Symbols, words: &[&str; N], rest: &R) -> Option<u32> {
        let hash = self.hasher.hash_one((words, rest));
        let is_same = |said: &Said<N, R>| {
            said.hash == hash && said.rest == *rest && said.words.iter().zip(words).all(|(sym, word)| symbols.text(*sym) == *word)
        };
        self.table.find(hash, is_same).map(|said| said.number)
    }

    /// Keeps the number of a row that was not found.
    pub fn keep(&mut self, symbols: &mut Symbols, words: &[&str; N], rest: R, number: u32) {
        let hash = self.hasher.hash_one((words, &rest));
        let words = words.map(|word| symbols.number(word));
        self.table.insert_unique(hash, Said { hash, words, rest, number }, |said| said.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_equal_row_is_found() {
        let (mut symbols, mut alike) = (Symbols::default(), Alike::<2, i32>::default());
        alike.keep(&mut symbols, &["fal", ""], 1, 7);
        alike.keep(&mut symbols, &["", "fal"], 1, 8);
        assert_eq!(alike.find(&symbols, &["fal", ""], &1), Some(7));
        assert_eq!(alike.find(&symbols, &["", "fal"], &1), Some(8));
        for (words, rest) in [(["fal", ""], 2), (["fal", "fal"], 1), (["fa", "l"], 1), (["", ""], 1)] {
            assert_eq!(alike.find(&symbols, &words, &rest), None);
        }
    }
}
