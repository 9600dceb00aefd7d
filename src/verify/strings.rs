//! Strings of the payload, kept as places in its text so that a verified token owns them without copying each.

use std::{iter, slice, str};

use super::json::{self, Kind, Span, Value, WrongType};

/// A string of the payload.
#[derive(Debug)]
pub(super) enum Text {
    /// As it stands between its quotes.
    Plain(Span),
    /// One with escapes, unescaped.
    Unescaped(Box<str>),
}

impl Text {
    /// Takes a string, and refuses every other kind of value.
    pub(super) fn take(value: &Value, payload: &str) -> Result<Self, WrongType> {
        if value.kind == Kind::String {
            return Ok(Self::Plain(value.unquoted()));
        }
        let string = value.string(payload).ok_or(WrongType)?;
        Ok(Self::Unescaped(string.into()))
    }

    pub(super) fn of<'a>(&'a self, payload: &'a str) -> &'a str {
        match self {
            Self::Plain(span) => span.of(payload),
            Self::Unescaped(text) => text,
        }
    }

    /// How many bytes it takes beside the payload and itself.
    pub(super) fn heap_size(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Unescaped(text) => text.len(),
        }
    }
}

/// Some strings of the payload: none, one, or a list.
#[derive(Debug, Default)]
pub(super) enum Strings {
    #[default]
    None,
    One(Text),
    /// The words of one string, separated by blanks, as in `scope` ([RFC 6749 §3.3]).
    ///
    /// [RFC 6749 §3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
    Words(Text),
    /// An array of strings without escapes.
    Plain(Span),
    Unescaped(Box<[Box<str>]>),
}

impl Strings {
    /// Takes a string, or an array of nothing but strings; `one` says how a single string is read.
    pub(super) fn take(
        value: &Value,
        payload: &str,
        one: fn(Text) -> Self,
    ) -> Result<Self, WrongType> {
        match value.kind {
            Kind::String | Kind::EscapedString => Text::take(value, payload).map(one),
            Kind::Strings => Ok(Self::Plain(value.span)),
            Kind::EscapedStrings => serde_json::from_str(value.span.of(payload))
                .map(Self::Unescaped)
                .map_err(|_| WrongType),
            _ => Err(WrongType),
        }
    }

    /// Takes roles: a string, an array of strings, or the names of an object's members, as Zitadel writes roles. A member
    /// that is `false` or `null` denies its role.
    pub(super) fn take_roles(value: &Value, payload: &str) -> Result<Self, WrongType> {
        if value.kind != Kind::Object {
            return Self::take(value, payload, Self::One);
        }
        let mut names = Vec::new();
        json::scan_within(payload, value.span, |name, value| {
            let denied = value.kind == Kind::Literal && value.span.of(payload) != "true";
            if !denied {
                names.push(String::from_utf8_lossy(name).into());
            }
        })
        .map_err(|json::Invalid| WrongType)?;
        Ok(Self::Unescaped(names.into()))
    }

    /// How many bytes they take beside the payload and themselves.
    pub(super) fn heap_size(&self) -> usize {
        match self {
            Self::None | Self::Plain(_) => 0,
            Self::One(text) | Self::Words(text) => text.heap_size(),
            Self::Unescaped(list) => list.iter().map(|text| size_of_val(text) + text.len()).sum(),
        }
    }

    pub(super) fn of<'a>(&'a self, payload: &'a str) -> StringsIter<'a> {
        match self {
            Self::None => StringsIter::One(None),
            Self::One(text) => StringsIter::One(Some(text.of(payload))),
            Self::Words(text) => StringsIter::Words(text.of(payload).split(' ')),
            // The array was scanned: without escapes, every second piece between two quotes is one of its strings.
            Self::Plain(span) => StringsIter::Plain(span.of(payload).split('"').skip(1).step_by(2)),
            Self::Unescaped(list) => StringsIter::Unescaped(list.iter()),
        }
    }
}

/// Walks through [`Strings`].
#[derive(Debug, Clone)]
pub(super) enum StringsIter<'a> {
    One(Option<&'a str>),
    Words(str::Split<'a, char>),
    Plain(iter::StepBy<iter::Skip<str::Split<'a, char>>>),
    Unescaped(slice::Iter<'a, Box<str>>),
}

impl<'a> Iterator for StringsIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::One(text) => text.take(),
            Self::Words(words) => words.find(|word| !word.is_empty()),
            Self::Plain(pieces) => pieces.next(),
            Self::Unescaped(list) => list.next().map(|text| &**text),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::verify::json;

    #[track_caller]
    fn strings(value: &str, one: fn(Text) -> Strings) -> Option<Vec<String>> {
        let payload = format!(r#"{{"before":"x","it":{value}}}"#);
        let mut found = None;
        json::scan(&payload, |name, value| {
            if name == b"it" {
                found = Some(value);
            }
        })
        .unwrap();
        let strings = Strings::take(&found.unwrap(), &payload, one).ok()?;
        Some(strings.of(&payload).map(str::to_owned).collect())
    }

    #[test]
    fn one_or_many_strings_are_taken_and_nothing_else() {
        for (value, expected) in [
            (r#""a b""#, Some(vec!["a b"])),
            (r#""a\u0062""#, Some(vec!["ab"])),
            (r#""""#, Some(vec![""])),
            ("[]", Some(vec![])),
            (r#"["a"]"#, Some(vec!["a"])),
            (
                r#"[ "a" , "" , "b, c" ,"]"]"#,
                Some(vec!["a", "", "b, c", "]"]),
            ),
            (r#"["a\"b","c\\"]"#, Some(vec!["a\"b", "c\\"])),
            ("7", None),
            ("null", None),
            ("true", None),
            (r#"{"a":"b"}"#, None),
            (r#"["a",7]"#, None),
            (r#"["a",["b"]]"#, None),
            (r#"["a",null]"#, None),
        ] {
            let found = strings(value, Strings::One);
            let found = found
                .as_ref()
                .map(|list| list.iter().map(String::as_str).collect());
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn words_are_separated_by_blanks() {
        for (value, expected) in [
            (r#""a b""#, vec!["a", "b"]),
            (r#""  a   b ""#, vec!["a", "b"]),
            (r#""""#, vec![]),
            (r#""a\u0020b""#, vec!["a", "b"]),
            (r#""a\tb""#, vec!["a\tb"]),
            (r#"["a b","c"]"#, vec!["a b", "c"]),
        ] {
            assert_eq!(strings(value, Strings::Words).unwrap(), expected, "{value}");
        }
    }
}
