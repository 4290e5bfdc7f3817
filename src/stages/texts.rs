//! Many texts in one piece of memory, such as the ids of requests: nothing is allocated for each of them.

/// The number of a text; 0 is "none" in every table.
pub type Sym = u32;
/// No text.
pub const NONE: Sym = 0;

/// Texts in the order in which they came, numbered from 1.
#[derive(Clone)]
pub struct Texts {
    /// All texts one after the other; `ends[n]` is where text `n` stops.
    arena: String,
    ends: Vec<usize>,
}

impl Default for Texts {
    fn default() -> Self {
        // Number 0 is the empty text, so that "none" reads as an empty cell.
        Texts { arena: String::new(), ends: vec![0] }
    }
}

impl Texts {
    /// Makes room for so many more texts: nothing is moved while they come.
    pub fn expect(&mut self, texts: usize) {
        // Ids of requests are UUIDs more often than not. Some more come from the other side of the match.
        let texts = texts.saturating_add(texts / 32);
        self.arena.reserve(texts.saturating_mul(36));
        self.ends.reserve(texts);
    }

    /// Adds a text; its number.
    pub fn push(&mut self, text: &str) -> Sym {
        let number = self.ends.len() as Sym;
        self.arena.push_str(text);
        self.ends.push(self.arena.len());
        number
    }

    /// The text of a number; empty for [`NONE`].
    pub fn text(&self, number: Sym) -> &str {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or(0) };
        self.ends.get(at).and_then(|end| self.arena.get(start..*end)).unwrap_or_default()
    }

    /// How many numbers are in use, [`NONE`] included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// No text was added.
    pub fn is_empty(&self) -> bool {
        self.ends.len() == 1
    }
}
