//! [`Names`]: the members that an object has named so far, so that none is named twice.

use std::{borrow::Cow, collections::HashSet};

/// The names of one object, to find a second one of a kind: few without allocation, many in a hashed set, so that an
/// object made of names costs no more than its length.
pub(super) struct Names<'a> {
    /// The marks of the few: a name whose mark is new is new, and is compared with none.
    marks: u64,
    few: [&'a str; Names::FEW],
    count: usize,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    const FEW: usize = 16;

    pub(super) fn new() -> Self {
        Self {
            marks: 0,
            few: [""; Self::FEW],
            count: 0,
            many: HashSet::new(),
        }
    }

    /// Notes a name without escapes; `None` if the object has one already.
    pub(super) fn note(&mut self, name: &'a str, mark: u64) -> Option<()> {
        if self.marks & mark != 0 && self.few().contains(&name) {
            return None;
        }
        match self.few.get_mut(self.count) {
            Some(free) if self.many.is_empty() => {
                *free = name;
                self.marks |= mark;
                self.count += 1;
                Some(())
            }
            _ => self.note_many(Cow::Borrowed(name)),
        }
    }

    /// The same for a name that was unescaped.
    pub(super) fn note_unescaped(&mut self, name: &str) -> Option<()> {
        if self.few().contains(&name) {
            return None;
        }
        self.note_many(Cow::Owned(name.to_owned()))
    }

    fn note_many(&mut self, name: Cow<'a, str>) -> Option<()> {
        self.many.insert(name).then_some(())
    }

    fn few(&self) -> &[&'a str] {
        self.few.get(..self.count).unwrap_or_default()
    }
}

/// One of 64 bits, by the length of a name and its first bytes: the same for equal names, mostly another for others.
pub(super) const fn mark(word: u64, length: usize) -> u64 {
    // Only bytes of the name count, of which the word at its beginning holds eight at most.
    let word = match length {
        0..8 => word & ((1 << (8 * length)) - 1),
        _ => word,
    };
    let mixed = (word ^ (length as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1 << (mixed >> 58)
}
