//! A strict scan of one JSON object, in one pass and without allocation.
//!
//! It accepts what `serde_json` accepts as an object ([RFC 8259]), minus two things that make a token ambiguous or
//! costly: **duplicate members**, at any level, their names compared after unescaping ([RFC 7515 §4], [RFC 7519 §4]),
//! and objects or arrays nested more than [`MAX_DEPTH`] deep. What it hands out are places in the text, so that the
//! text may move to the heap once the token is believed.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259
//! [RFC 7515 §4]: https://www.rfc-editor.org/rfc/rfc7515#section-4
//! [RFC 7519 §4]: https://www.rfc-editor.org/rfc/rfc7519#section-4

mod names;
mod scanner;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use scanner::Scanner;

/// How deep objects and arrays may stand in one another, the outermost included.
pub(super) const MAX_DEPTH: usize = 32;

/// The text is no JSON object, names a member twice, or nests too deep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Number,
    /// An array of nothing but strings, or an empty one.
    Strings,
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
    /// Whether a string in it has an escape, so that its text is not its value.
    pub(super) escaped: bool,
}

impl Value {
    /// The place between the quotes of a string.
    pub(super) fn unquoted(&self) -> Span {
        Span {
            start: self.span.start + 1,
            end: self.span.end - 1,
        }
    }

    /// The value of a string, or `None` if this is something else.
    pub(super) fn string<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        match (self.kind, self.escaped) {
            (Kind::String, false) => Some(Cow::Borrowed(self.unquoted().of(text))),
            (Kind::String, true) => unescape(self.span.of(text).as_bytes()).map(Cow::Owned).ok(),
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
