//! [`Scanner`]: one pass over an object.

use std::borrow::Cow;

use super::{
    Invalid, Kind, Span, Value,
    names::{Names, key},
    unescape,
};

/// Where a scan stands.
///
/// It travels by value: what stands deeper, and what is rare, takes a copy and gives back where it ended, so that the place
/// in the outermost object, whose members are asked for, need not leave the registers.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'a> {
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
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self {
            text,
            at,
            escapes: 0,
            special: special_bytes(text, at),
            block: at,
        }
    }

    /// Goes over blanks to the end of the text, beyond which there is nothing.
    pub(super) fn end(mut self) -> Result<(), Invalid> {
        self.skip_blanks();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// Goes over an object that nests no deeper than `depth`, and shows its members as long as they are asked for.
    #[inline]
    pub(super) fn object(
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
            if self.value(depth)?.kind != Kind::String {
                kind = Kind::Array;
            }
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
                Kind::String
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
            escaped: self.escapes != escapes,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_of_a_block_has_its_bit() {
        let text: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for end in 0..text.len() {
            for start in 0..=end {
                let found = special_bytes(&text[..end], start);
                for bit in 0..64 {
                    let byte = text[..end].get(start + bit);
                    let is_special = byte.is_none_or(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
                    assert_eq!(found >> bit & 1 == 1, is_special, "{start}..{end} {bit}");
                }
            }
        }
    }
}
