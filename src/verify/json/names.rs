//! [`Names`]: the members that an object has named so far, so that none is named twice.

use std::{borrow::Cow, collections::HashSet};

use super::Span;

/// The names of one object, to find a second one of a kind: few without allocation, many in a hashed set, so that an
/// object made of names costs no more than its length.
pub(super) struct Names<'a> {
    text: &'a [u8],
    /// The marks of the few: a name whose mark is new is new, and is compared with none.
    marks: u64,
    keys: [u64; Names::FEW],
    few: [Span; Names::FEW],
    count: usize,
    many: Option<HashSet<Cow<'a, [u8]>>>,
}

impl<'a> Names<'a> {
    const FEW: usize = 16;

    /// No names yet of an object in that text.
    #[inline(always)]
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            marks: 0,
            keys: [0; Self::FEW],
            few: [Span::new(0, 0); Self::FEW],
            count: 0,
            many: None,
        }
    }

    /// Notes a name without escapes, and where it stands; `None` if the object has one already.
    #[inline(always)]
    pub(super) fn note(&mut self, name: &'a [u8], place: Span, key: u64) -> Option<()> {
        // One of 64 bits.
        let mark = 1 << (key >> 58);
        if self.marks & mark != 0 && self.keys.contains(&key) && self.among_few(name) {
            return None;
        }
        match (self.keys.get_mut(self.count), self.few.get_mut(self.count)) {
            (Some(free_key), Some(free)) if self.many.is_none() => {
                *free_key = key;
                *free = place;
                self.marks |= mark;
                self.count += 1;
                Some(())
            }
            _ => self.note_many(Cow::Borrowed(name)),
        }
    }

    /// The same for a name that was unescaped.
    pub(super) fn note_unescaped(&mut self, name: &[u8]) -> Option<()> {
        if self.among_few(name) {
            return None;
        }
        self.note_many(Cow::Owned(name.to_owned()))
    }

    fn note_many(&mut self, name: Cow<'a, [u8]>) -> Option<()> {
        let many = self.many.get_or_insert_default();
        many.insert(name).then_some(())
    }

    fn among_few(&self, name: &[u8]) -> bool {
        let few = self.few.get(..self.count).unwrap_or_default();
        few.iter().any(|place| place.bytes_of(self.text) == name)
    }
}

/// A number for a name, of its length and the word at its beginning: the same for equal names, mostly another for others.
#[inline(always)]
pub(super) const fn key(word: u64, length: usize) -> u64 {
    // Only bytes of the name count, of which the word holds eight at most.
    let word = match length {
        0..8 => word & ((1 << (8 * length)) - 1),
        _ => word,
    };
    (word ^ (length as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
