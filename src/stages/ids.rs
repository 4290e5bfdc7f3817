//! Ids of requests. Nearly every one is seen once on each side, so none is looked up while rows stream by: they are
//! kept as they come, and equal ones are found at the end, by sorting their hashes. This is also the hash phase of the
//! request match, so that the join itself works on integers.

use super::texts::{NONE, Sym, Texts};
use crate::domain::beside::beside;
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// The same on both sides of the match.
static HASHES: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// Texts that may repeat, numbered from 1 in the order in which they came. Once they are settled, equal texts have the
/// number of the first of them. Numbers depend on the order of reading, so nothing that is published may be sorted by them.
#[derive(Clone, Default)]
pub struct Ids {
    texts: Texts,
    /// Of each text that came since the last [`Ids::settle`]; after it, ascending.
    marks: Vec<Mark>,
}

/// Half of a text's hash above its number: one number to sort by. Of a million texts some hundred share their half with
/// another, so equal halves are compared as texts.
type Mark = u64;

fn mark(text: &str, number: Sym) -> Mark {
    HASHES.hash_one(text) >> 32 << 32 | u64::from(number)
}

fn hash_of(mark: Mark) -> u64 {
    mark >> 32
}

fn number_of(mark: Mark) -> Sym {
    mark as Sym
}

/// Numbers of texts that an earlier one equals, with the number of that: ascending by number.
#[derive(Clone)]
pub struct Repeats(Vec<(Sym, Sym)>);

impl Repeats {
    /// The number of the first text that is equal to the one of this number.
    pub fn first(&self, number: Sym) -> Sym {
        self.0
            .binary_search_by_key(&number, |(repeat, _)| *repeat)
            .ok()
            .and_then(|at| self.0.get(at))
            .map_or(number, |(_, first)| *first)
    }

    /// Every text came once.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Ids {
    /// Makes room for so many more: nothing is moved while they come.
    pub fn expect(&mut self, ids: usize) {
        self.texts.expect(ids);
        self.marks.reserve(ids);
    }

    /// Takes the next one; its number. The empty text is [`NONE`].
    pub fn push(&mut self, id: &str) -> Sym {
        if id.is_empty() {
            return NONE;
        }
        let number = self.texts.push(id);
        self.marks.push(mark(id, number));
        number
    }

    /// Finds equal ones.
    pub fn settle(&mut self) -> Repeats {
        self.marks.sort_unstable();
        let mut repeats = Vec::new();
        for alike in self.marks.chunk_by(|a, b| hash_of(*a) == hash_of(*b)).filter(|alike| alike.len() > 1) {
            let numbers: Vec<Sym> = alike.iter().copied().map(number_of).collect();
            for (place, number) in numbers.iter().enumerate() {
                let text = self.texts.text(*number);
                let before = numbers.get(..place).unwrap_or_default();
                if let Some(first) = before.iter().find(|other| self.texts.text(**other) == text) {
                    repeats.push((*number, *first));
                }
            }
        }
        repeats.sort_unstable();
        Repeats(repeats)
    }

    /// Takes in other ids, both settled: at each of their numbers, the number here.
    pub fn absorb(&mut self, other: &Ids, repeats: &Repeats) -> Vec<Sym> {
        let mut numbers = vec![NONE; other.texts.len()];
        let mut known = self.marks.as_slice();
        for (hash, number) in other.marks.iter().map(|mark| (hash_of(*mark), number_of(*mark))) {
            while known.first().is_some_and(|own| hash_of(*own) < hash) {
                known = known.get(1..).unwrap_or_default();
            }
            // Of several here with one hash the first with the same text; mostly there is one, which is verified below, in
            // the order of reading, where the texts of both sides lie side by side.
            let mut alike = known.iter().copied().take_while(|own| hash_of(*own) == hash).map(number_of);
            let same = |own: &Sym| self.texts.text(*own) == other.texts.text(number);
            let found = match known.get(1) {
                Some(next) if hash_of(*next) == hash => alike.find(same),
                _ => alike.next(),
            };
            if let Some((own, slot)) = found.zip(numbers.get_mut(number as usize)) {
                *slot = own;
            }
        }
        // The texts lie all over the memory, so that two look at them sooner than one.
        let half = numbers.len() / 2;
        let (low, high) = numbers.split_at_mut(half);
        let verify = |first: usize, numbers: &mut [Sym]| {
            for (at, own) in (first..).zip(numbers) {
                if *own != NONE && self.texts.text(*own) != other.texts.text(at as Sym) {
                    *own = NONE;
                }
            }
        };
        beside(|| verify(half, high), || verify(0, low));
        for at in 1..numbers.len() {
            if numbers.get(at) != Some(&NONE) {
                continue;
            }
            let first = repeats.first(at as Sym);
            let number = match numbers.get(first as usize) {
                Some(known) if first != at as Sym => *known,
                _ => self.texts.push(other.texts.text(at as Sym)),
            };
            if let Some(slot) = numbers.get_mut(at) {
                *slot = number;
            }
        }
        self.marks = Vec::new();
        numbers
    }

    /// The text of a number; empty for [`NONE`].
    pub fn text(&self, number: Sym) -> &str {
        self.texts.text(number)
    }

    /// One more than the highest number.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<'t>(texts: impl IntoIterator<Item = &'t str>) -> Ids {
        let mut ids = Ids::default();
        texts.into_iter().for_each(|text| {
            ids.push(text);
        });
        ids
    }

    #[test]
    fn equal_ids_have_the_number_of_the_first() {
        let mut ids = ids(["a", "b", "a", "c", "b", "a"]);
        assert_eq!(ids.push(""), NONE);
        let repeats = ids.settle();
        let firsts: Vec<Sym> = (1..=6).map(|number| repeats.first(number)).collect();
        assert_eq!(firsts, [1, 2, 1, 4, 2, 1]);
        assert_eq!((ids.text(4), ids.text(NONE), ids.len()), ("c", "", 7));
        assert!(super::Ids::default().settle().is_empty());
    }

    #[test]
    fn one_side_takes_in_the_other() {
        let names = |from: u32, to: u32| -> Vec<String> { (from..to).map(|n| format!("request-{n}")).collect() };
        let (mine, mut yours) = (names(0, 40_000), names(30_000, 70_000));
        // Twice here and there, known and new.
        yours.extend(["request-39999", "request-69999", "request-69999"].map(String::from));
        let mut one = ids(mine.iter().map(String::as_str));
        let mut other = ids(yours.iter().map(String::as_str));
        assert!(one.settle().is_empty());
        let repeats = other.settle();
        let numbers = one.absorb(&other, &repeats);
        assert_eq!((numbers.len(), one.len()), (40_004, 70_001));
        for (number, text) in numbers.iter().skip(1).zip(&yours) {
            assert_eq!(one.text(*number), text);
        }
        assert_eq!(numbers[40_001], 40_000);
        assert_eq!((numbers[40_002], numbers[40_003]), (numbers[40_000], numbers[40_000]));
    }

    #[test]
    fn a_hash_that_several_share_tells_nothing() {
        let (mut one, mut other) = (ids(["a", "b", "c"]), ids(["b", "d", "c", "d"]));
        for side in [&mut one, &mut other] {
            side.marks.iter_mut().for_each(|mark| *mark = 7 << 32 | u64::from(number_of(*mark)));
        }
        assert!(one.settle().is_empty());
        let repeats = other.settle();
        assert_eq!(repeats.first(4), 2);
        assert_eq!(one.absorb(&other, &repeats), [NONE, 2, 4, 3, 4]);
        // Also where only one here has it.
        let (mut one, mut other) = (ids(["a"]), ids(["b", "a"]));
        for side in [&mut one, &mut other] {
            side.marks.iter_mut().for_each(|mark| *mark = 7 << 32 | u64::from(number_of(*mark)));
        }
        one.settle();
        let repeats = other.settle();
        assert_eq!(one.absorb(&other, &repeats), [NONE, 2, 1]);
    }
}
