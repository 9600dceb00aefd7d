//! A strict scan of one JSON object, in one pass and without allocation.
//!
//! It accepts what `serde_json` accepts as an object ([RFC 8259]), minus two things that make a token ambiguous or
//! costly: **duplicate members**, at any level, their names compared after unescaping ([RFC 7515 §4], [RFC 7519 §4]),
//! and objects or arrays nested more than [`MAX_DEPTH`] deep. What it hands out are places in the text, so that the
//! text may move to the heap once the token is believed.
//!
//! This is the one parser that we write ourselves for bytes that anybody may send, so all of it stands here: what it hands
//! out, the ways in, the [`Scanner`], and the [`Names`] that an object has named so far.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259
//! [RFC 7515 §4]: https://www.rfc-editor.org/rfc/rfc7515#section-4
//! [RFC 7519 §4]: https://www.rfc-editor.org/rfc/rfc7519#section-4

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashSet};

/// How deep objects and arrays may stand in one another, the outermost included.
pub(super) const MAX_DEPTH: usize = 32;

/// The text is no JSON object, names a member twice, or nests too deep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// The value is not of the type that its claim has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongType;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string whose text is its value.
    String,
    /// A string with an escape, so that its text is not its value.
    EscapedString,
    Number,
    /// An array of nothing but strings without escapes, or an empty one.
    Strings,
    /// An array of nothing but strings, of which one at least has an escape.
    EscapedStrings,
    Array,
    Object,
    /// `true`, `false` or `null`.
    Literal,
}

/// A place in the scanned text. Two halves of a word, so that a [`Value`] travels in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// From `start` up to `end`, both of a text that ends within `u32`, as [`scan`] has seen.
    const fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The text at this place of the text that was scanned, or of a copy of it.
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    fn bytes_of(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// One value of an object: what it is, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) kind: Kind,
    /// The whole value, the quotes of a string included.
    pub(super) span: Span,
}

impl Value {
    /// The place between the quotes of a string.
    pub(super) fn unquoted(&self) -> Span {
        Span {
            start: self.span.start + 1,
            end: self.span.end - 1,
        }
    }

    /// Checks whether this is `null`.
    pub(super) fn is_null(&self, text: &str) -> bool {
        self.kind == Kind::Literal && self.span.of(text) == "null"
    }

    /// The value of a string, or `None` if this is something else.
    pub(super) fn string<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::String => Some(Cow::Borrowed(self.unquoted().of(text))),
            Kind::EscapedString => unescape(self.span.of(text).as_bytes()).map(Cow::Owned).ok(),
            _ => None,
        }
    }
}

/// Shows every member of the object that is the whole text to `visit`, its name unescaped, and in bytes: names are compared
/// and nothing else.
pub(super) fn scan(text: &str, visit: impl FnMut(&[u8], Value)) -> Result<(), Invalid> {
    scan_within(text, whole(text)?, visit)
}

/// The same for an object within the text. The places that `visit` sees count from the beginning of the text.
pub(super) fn scan_within(
    text: &str,
    object: Span,
    mut visit: impl FnMut(&[u8], Value),
) -> Result<(), Invalid> {
    scan_object(text, object, |name, value| {
        visit(name, value);
        true
    })
}

/// The same for the whole text as long as `visit` says so. If it does not, the rest is left unread, and might be anything:
/// the text counts as invalid.
pub(super) fn scan_while(
    text: &str,
    visit: impl FnMut(&[u8], Value) -> bool,
) -> Result<(), Invalid> {
    scan_object(text, whole(text)?, visit)
}

#[inline(always)]
fn scan_object(
    text: &str,
    object: Span,
    mut visit: impl FnMut(&[u8], Value) -> bool,
) -> Result<(), Invalid> {
    let text = text.as_bytes().get(..object.end as usize);
    let scanner = Scanner::new(text.ok_or(Invalid)?, object.start as usize);
    scanner.object(MAX_DEPTH, &mut visit)?.end()
}

fn whole(text: &str) -> Result<Span, Invalid> {
    let end = u32::try_from(text.len()).map_err(|_| Invalid)?;
    Ok(Span { start: 0, end })
}

/// The value of this member of the object that is the whole text, if it is there and a string.
#[cfg(feature = "introspection")]
pub(crate) fn string_member<'t>(
    text: &'t str,
    wanted: &str,
) -> Result<Option<Cow<'t, str>>, Invalid> {
    let mut found = None;
    scan(text, |name, value| {
        if name == wanted.as_bytes() {
            found = Some(value);
        }
    })?;
    Ok(found.and_then(|value| value.string(text)))
}

/// The value of a JSON string that has escapes: rare enough to be left to `serde_json`.
fn unescape(quoted: &[u8]) -> Result<String, Invalid> {
    serde_json::from_slice(quoted).map_err(|_| Invalid)
}

/// One pass over an object: where it stands.
///
/// It travels by value: what stands deeper, and what is rare, takes a copy and gives back where it ended, so that the place
/// in the outermost object, whose members are asked for, need not leave the registers.
#[derive(Clone, Copy)]
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Escapes met so far.
    escapes: usize,
    /// The bytes of the present block of 64 that a string cannot hold as they are, and where it begins.
    special: u64,
    block: usize,
}

impl<'a> Scanner<'a> {
    #[inline(always)]
    fn new(text: &'a [u8], at: usize) -> Self {
        Self {
            text,
            at,
            escapes: 0,
            special: special_bytes(text, at),
            block: at,
        }
    }

    /// Goes over blanks to the end of the text, beyond which there is nothing.
    fn end(mut self) -> Result<(), Invalid> {
        self.skip_blanks();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// Goes over an object that nests no deeper than `depth`, and shows its members as long as they are asked for.
    #[inline]
    fn object(
        mut self,
        depth: usize,
        visit: &mut impl FnMut(&[u8], Value) -> bool,
    ) -> Result<Self, Invalid> {
        self.skip_blanks();
        self.expect(b'{')?;
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        let mut names = Names::new(self.text);
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(self);
        }
        loop {
            let name = self.name(&mut names)?;
            self.skip_blanks();
            self.expect(b':')?;
            self.skip_blanks();
            let value = self.value(depth)?;
            if !visit(&name, value) {
                return Err(Invalid);
            }
            self.skip_blanks();
            if !self.take(b',') {
                self.expect(b'}')?;
                return Ok(self);
            }
            self.skip_blanks();
        }
    }

    fn array(mut self, depth: usize) -> Result<(Self, Kind), Invalid> {
        self.expect(b'[')?;
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        let mut kind = Kind::Strings;
        self.skip_blanks();
        if self.take(b']') {
            return Ok((self, kind));
        }
        loop {
            kind = match (kind, self.value(depth)?.kind) {
                (Kind::Strings, Kind::String) => Kind::Strings,
                (Kind::Strings, Kind::EscapedString) => Kind::EscapedStrings,
                (Kind::EscapedStrings, Kind::String | Kind::EscapedString) => Kind::EscapedStrings,
                _ => Kind::Array,
            };
            self.skip_blanks();
            if !self.take(b',') {
                self.expect(b']')?;
                return Ok((self, kind));
            }
            self.skip_blanks();
        }
    }

    /// A member's name, noted in `names`.
    #[inline(always)]
    fn name(&mut self, names: &mut Names<'a>) -> Result<Cow<'a, [u8]>, Invalid> {
        let (start, escapes) = (self.at, self.escapes);
        self.string()?;
        if self.escapes != escapes {
            let quoted = self.text.get(start..self.at).ok_or(Invalid)?;
            let name = Cow::Owned(unescape(quoted)?.into_bytes());
            names.note_unescaped(&name).ok_or(Invalid)?;
            return Ok(name);
        }
        let place = Span::new(start + 1, self.at - 1);
        let name = self.text.get(start + 1..self.at - 1).ok_or(Invalid)?;
        let word = self.word(start + 1);
        // Near the end of the text no whole word can be read.
        let word = word.unwrap_or_else(|| short_word(name));
        let key = key(word, name.len());
        names.note(name, place, key).ok_or(Invalid)?;
        Ok(Cow::Borrowed(name))
    }

    #[inline(always)]
    fn value(&mut self, depth: usize) -> Result<Value, Invalid> {
        let (start, escapes) = (self.at, self.escapes);
        let kind = match self.peek() {
            Some(b'"') => {
                self.string()?;
                if self.escapes == escapes {
                    Kind::String
                } else {
                    Kind::EscapedString
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Number
            }
            Some(b'{') => {
                *self = self.object(depth, &mut |_, _| true)?;
                Kind::Object
            }
            Some(b'[') => {
                let (after, kind) = self.array(depth)?;
                *self = after;
                kind
            }
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => return Err(Invalid),
        };
        Ok(Value {
            kind,
            span: Span::new(start, self.at),
        })
    }

    #[inline(always)]
    fn literal(&mut self, word: &str) -> Result<Kind, Invalid> {
        let rest = self.text.get(self.at..).ok_or(Invalid)?;
        if !rest.starts_with(word.as_bytes()) {
            return Err(Invalid);
        }
        self.at += word.len();
        Ok(Kind::Literal)
    }

    /// A number; what is not simply some digits, as dates are, is left to the whole grammar.
    #[inline(always)]
    fn number(&mut self) -> Result<(), Invalid> {
        let start = *self;
        if self.peek() != Some(b'0') {
            self.skip_digits();
            let whole = !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
            if whole && (1..=18).contains(&(self.at - start.at)) {
                return Ok(());
            }
        }
        *self = start.any_number()?;
        Ok(())
    }

    fn any_number(mut self) -> Result<Self, Invalid> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        let exponent = self.take(b'e') || self.take(b'E');
        if exponent {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        // Up to 18 digits cannot leave the range of a double; what might is judged by `serde_json` itself.
        if exponent || self.at - start > 18 {
            let number = self.text.get(start..self.at).ok_or(Invalid)?;
            serde_json::from_slice::<f64>(number).map_err(|_| Invalid)?;
        }
        Ok(self)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        self.skip_digits();
        if self.at > start {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    #[inline(always)]
    fn skip_digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// A string with its quotes. The text is UTF-8 already.
    #[inline(always)]
    fn string(&mut self) -> Result<(), Invalid> {
        self.expect(b'"')?;
        self.skip_plain();
        if !self.take(b'"') {
            *self = self.escaped_string()?;
        }
        Ok(())
    }

    /// The rest of a string, where it is not plain to its end.
    fn escaped_string(mut self) -> Result<Self, Invalid> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self);
                }
                Some(b'\\') => self.escape()?,
                // A control character, or the end of the text.
                _ => return Err(Invalid),
            }
            self.skip_plain();
        }
    }

    /// Goes to the next quote, backslash or control character, or to the end of the text.
    #[inline(always)]
    fn skip_plain(&mut self) {
        loop {
            let passed = self.at - self.block;
            let ahead = self.special.checked_shr(passed as u32).unwrap_or(0);
            if ahead != 0 {
                self.at += ahead.trailing_zeros() as usize;
                return;
            }
            // None of them is left up to the end of the block, or another value went on beyond it. The search ends with
            // the text.
            self.block = self.at.max(self.block + 64);
            self.at = self.block;
            self.special = special_bytes(self.text, self.block);
        }
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        self.at += 1;
        self.escapes += 1;
        let kind = self.peek().ok_or(Invalid)?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.code_unit()? {
                // A leading surrogate needs its trailing one; alone, neither is a character.
                0xd800..=0xdbff => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.code_unit()? {
                        0xdc00..=0xdfff => Ok(()),
                        _ => Err(Invalid),
                    }
                }
                0xdc00..=0xdfff => Err(Invalid),
                _ => Ok(()),
            },
            _ => Err(Invalid),
        }
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, Invalid> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().map(char::from).and_then(|c| c.to_digit(16));
            unit = unit << 4 | digit.ok_or(Invalid)?;
            self.at += 1;
        }
        Ok(unit)
    }

    #[inline(always)]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> bool {
        if self.peek() == Some(byte) {
            self.at += 1;
            return true;
        }
        false
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The eight bytes from `at`, the first one lowest.
    #[inline(always)]
    fn word(&self, at: usize) -> Option<u64> {
        let bytes = self.text.get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }
}

/// The first bytes of a text, eight at most, as a word.
#[cold]
fn short_word(text: &[u8]) -> u64 {
    let bytes = text.iter().take(8).enumerate();
    bytes.fold(0, |word, (at, byte)| word | u64::from(*byte) << (8 * at))
}

/// The bytes that a string cannot hold as they are: a bit for each quote, backslash and control character of the 64 bytes
/// from `start`. What lies beyond the end of the text counts as one of them.
///
/// It has no branch to guess, and the compiler looks at many bytes at once.
fn special_bytes(bytes: &[u8], start: usize) -> u64 {
    let rest = bytes.get(start..).unwrap_or_default();
    if let Some(block) = rest.first_chunk() {
        return special_bytes_of(block);
    }
    let left = rest.len() as u32;
    // A block that ends with the text holds what is left at its end. Only a text of less than a block has to be copied.
    let within = match bytes.last_chunk() {
        Some(block) => special_bytes_of(block).checked_shr(64 - left).unwrap_or(0),
        None => {
            let mut block = [0; 64];
            if let Some(begin) = block.get_mut(..rest.len()) {
                begin.copy_from_slice(rest);
            }
            special_bytes_of(&block)
        }
    };
    within | u64::MAX << left
}

fn special_bytes_of(block: &[u8; 64]) -> u64 {
    let special = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
    let marks = block.map(|byte| if special(byte) { 0xff } else { 0 });
    let (words, _) = marks.as_chunks();
    let mut bits = [0; 8];
    for (bits, word) in bits.iter_mut().zip(words) {
        // Keeps another bit of each of eight bytes, and adds them up in the highest one.
        let marked = u64::from_le_bytes(*word) & 0x8040_2010_0804_0201;
        *bits = (marked.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u8;
    }
    u64::from_le_bytes(bits)
}

/// The names of one object, to find a second one of a kind: few without allocation, many in a hashed set, so that an
/// object made of names costs no more than its length.
struct Names<'a> {
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
    const fn new(text: &'a [u8]) -> Self {
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
    fn note(&mut self, name: &'a [u8], place: Span, key: u64) -> Option<()> {
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
    fn note_unescaped(&mut self, name: &[u8]) -> Option<()> {
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
const fn key(word: u64, length: usize) -> u64 {
    // Only bytes of the name count, of which the word holds eight at most.
    let word = match length {
        0..8 => word & ((1 << (8 * length)) - 1),
        _ => word,
    };
    (word ^ (length as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
