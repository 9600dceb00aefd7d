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

use std::borrow::Cow;

use super::names::{Names, mark};

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
    /// The text at this place of the text that was scanned, or of a copy of it.
    pub(super) fn of(self, text: &str) -> &str {
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
            (Kind::String, true) => unescape(self.span.of(text)).map(Cow::Owned).ok(),
            _ => None,
        }
    }
}

/// Shows every member of the object that is the whole text to `visit`, its name unescaped.
pub(super) fn scan(text: &str, visit: impl FnMut(&str, Value)) -> Result<(), Invalid> {
    let end = u32::try_from(text.len()).map_err(|_| Invalid)?;
    scan_within(text, Span { start: 0, end }, visit)
}

/// The value of this member of the object that is the whole text, if it is there and a string.
#[cfg(feature = "introspection")]
pub(crate) fn string_member<'t>(
    text: &'t str,
    wanted: &str,
) -> Result<Option<Cow<'t, str>>, Invalid> {
    let mut found = None;
    scan(text, |name, value| {
        if name == wanted {
            found = Some(value);
        }
    })?;
    Ok(found.and_then(|value| value.string(text)))
}

/// The same for an object within the text. The places that `visit` sees count from the beginning of the text.
pub(super) fn scan_within(
    text: &str,
    object: Span,
    mut visit: impl FnMut(&str, Value),
) -> Result<(), Invalid> {
    let text = text.get(..object.end as usize).ok_or(Invalid)?;
    let mut scanner = Scanner {
        text,
        at: object.start as usize,
        escapes: 0,
    };
    scanner.skip_blanks();
    scanner.object(MAX_DEPTH, &mut visit)?;
    scanner.skip_blanks();
    if scanner.at == text.len() {
        Ok(())
    } else {
        Err(Invalid)
    }
}

/// The value of a JSON string that has escapes: rare enough to be left to `serde_json`.
fn unescape(quoted: &str) -> Result<String, Invalid> {
    serde_json::from_str(quoted).map_err(|_| Invalid)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Escapes met so far.
    escapes: usize,
}

impl<'a> Scanner<'a> {
    fn object(&mut self, depth: usize, visit: &mut impl FnMut(&str, Value)) -> Result<(), Invalid> {
        self.expect(b'{')?;
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        let mut names = Names::new();
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name(&mut names)?;
            self.skip_blanks();
            self.expect(b':')?;
            self.skip_blanks();
            let value = self.value(depth)?;
            visit(&name, value);
            self.skip_blanks();
            if !self.take(b',') {
                return self.expect(b'}');
            }
            self.skip_blanks();
        }
    }

    /// A member's name, noted in `names`.
    #[inline(always)]
    fn name(&mut self, names: &mut Names<'a>) -> Result<Cow<'a, str>, Invalid> {
        let (start, escapes) = (self.at, self.escapes);
        self.string()?;
        let quoted = self.text.get(start..self.at).ok_or(Invalid)?;
        if self.escapes != escapes {
            let name = Cow::Owned(unescape(quoted)?);
            names.note_unescaped(&name).ok_or(Invalid)?;
            return Ok(name);
        }
        let name = self.text.get(start + 1..self.at - 1).ok_or(Invalid)?;
        // Near the end of the text no word can be read: all marks have the name compared with every other.
        let word = self.word(start + 1);
        let mark = word.map_or(u64::MAX, |word| mark(word, name.len()));
        names.note(name, mark).ok_or(Invalid)?;
        Ok(Cow::Borrowed(name))
    }

    // Inlined, as `name` and `string` are: a result handed over in memory stalls its reader for longer than a short
    // string takes to scan. Together they take a fifth off the scan.
    #[inline(always)]
    fn value(&mut self, depth: usize) -> Result<Value, Invalid> {
        let (start, escapes) = (self.at, self.escapes);
        let kind = match self.peek() {
            Some(b'"') => self.string().map(|()| Kind::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b'{') => self.object(depth, &mut |_, _| ()).map(|()| Kind::Object),
            Some(b'[') => self.array(depth),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(Invalid),
        }?;
        Ok(Value {
            kind,
            // The whole text ends within `u32`, as `scan` has seen.
            span: Span {
                start: start as u32,
                end: self.at as u32,
            },
            escaped: self.escapes != escapes,
        })
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Invalid> {
        self.expect(b'[')?;
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        let mut kind = Kind::Strings;
        self.skip_blanks();
        if self.take(b']') {
            return Ok(kind);
        }
        loop {
            if self.value(depth)?.kind != Kind::String {
                kind = Kind::Array;
            }
            self.skip_blanks();
            if !self.take(b',') {
                return self.expect(b']').map(|()| kind);
            }
            self.skip_blanks();
        }
    }

    fn literal(&mut self, word: &str) -> Result<Kind, Invalid> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(Invalid)?;
        if !rest.starts_with(word.as_bytes()) {
            return Err(Invalid);
        }
        self.at += word.len();
        Ok(Kind::Literal)
    }

    fn number(&mut self) -> Result<(), Invalid> {
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
            serde_json::from_str::<f64>(number).map_err(|_| Invalid)?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// A string with its quotes. The text is UTF-8 already.
    #[inline(always)]
    fn string(&mut self) -> Result<(), Invalid> {
        self.expect(b'"')?;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                // A control character, or the end of the text.
                _ => return Err(Invalid),
            }
        }
    }

    /// Goes to the next quote, backslash or control character, eight bytes at a step.
    fn skip_plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let (words, tail) = rest.as_chunks();
        for &word in words {
            let special = special_bytes(u64::from_le_bytes(word));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        let plain = |byte: &&u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..);
        self.at += tail.iter().take_while(plain).count();
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

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The eight bytes from `at`, the first one lowest.
    fn word(&self, at: usize) -> Option<u64> {
        let bytes = self.text.as_bytes().get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }
}

/// Marks the first quote, backslash or control character of a word by the high bit of its byte.
///
/// A byte is zero, or below `n`, where subtracting 1, or `n`, borrows into a high bit that was not set. The borrow runs
/// on into later bytes, so only the lowest mark is exact, and only the lowest is asked for.
const fn special_bytes(word: u64) -> u64 {
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(each(limit)) & !word
    }
    let quote = below(word ^ each(b'"'), 1);
    let backslash = below(word ^ each(b'\\'), 1);
    (quote | backslash | below(word, 0x20)) & each(0x80)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        scan(text, |_, _| ()).is_ok()
    }

    fn serde_accepts(text: &str) -> bool {
        serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok()
    }

    #[test]
    fn the_payload_is_one_object_and_nothing_else() {
        for text in [
            "",
            " ",
            "[]",
            "\"a\"",
            "1",
            "null",
            "true",
            "{",
            "}",
            "{}{}",
            "{} x",
            "{},",
            "\u{feff}{}",
            "{}\0",
            "{'a':1}",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":[1,]}",
            "{\"a\":[,]}",
            "{\"a\":[1}",
            "{\"a\":tru}",
            "{\"a\":nul}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":-Infinity}",
            "{/**/}",
            "{\u{a0}}",
            "{\u{b}}",
        ] {
            assert!(!accepts(text), "{text}");
            assert!(!serde_accepts(text), "{text}");
        }
        for text in [
            "{}",
            " \t\r\n{ } \n",
            "{\"\":{}}",
            r#"{"a":[[],{},"",0,true,false,null]}"#,
        ] {
            assert!(accepts(text), "{text}");
            assert!(serde_accepts(text), "{text}");
        }
    }

    #[test]
    fn strings_and_numbers_follow_the_grammar() {
        for value in [
            r#""\"""#,
            r#""\\""#,
            r#""\/\b\f\n\r\t""#,
            r#""\u0000""#,
            r#""\uD834\udd1e""#,
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\ud800""#,
            r#""\ud800x""#,
            r#""\ud800\n""#,
            r#""\u12g4""#,
            r#""\u+123""#,
            r#""\u123""#,
            r#""\x""#,
            r#""\"#,
            r#"""#,
            "\"a\nb\"",
            "\"a\0b\"",
            "\"12345678\u{1f}\"",
            "\"\u{7f}\u{80}é𝄞\"",
            "\"1234567é\"",
            "\"123456789012345678901234567890\"",
            "0",
            "-0",
            "-",
            "+1",
            "01",
            "-01",
            "00",
            "1.",
            ".5",
            "1.5",
            "-1.5",
            "1e5",
            "1E+5",
            "1e-5",
            "1e",
            "1e+",
            "1.e5",
            "0x10",
            "1_000",
            "1e308",
            "1e309",
            "-1e309",
            "1e400",
            "0e999",
            "1e-999",
            "1.7976931348623157e308",
            "1.7976931348623159e308",
            "123456789012345678",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "1e99999999999999999999",
            "0.0000000000000000000000000001",
            &"9".repeat(308),
            &"9".repeat(309),
            &"9".repeat(400),
            &format!("0.{}", "0".repeat(400)),
        ] {
            for text in [
                format!("{{\"a\":{value}}}"),
                format!("{{\"a\":[{value} ,1]}}"),
            ] {
                assert_eq!(accepts(&text), serde_accepts(&text), "{text}");
            }
        }
    }

    #[test]
    fn duplicate_members_are_refused_at_any_level_and_after_unescaping() {
        let many: String = (0..40).map(|n| format!("\"n{n}\":{n},")).collect();
        for text in [
            r#"{"a":1,"a":1}"#.to_owned(),
            r#"{"a":1,"b":2,"a":3}"#.to_owned(),
            r#"{"sub":"a","sub":"b","more":"so that no name ends the text"}"#.to_owned(),
            r#"{"":1,"":2}"#.to_owned(),
            r#"{"a":{"b":1,"b":2}}"#.to_owned(),
            r#"{"a":[{"b":1,"b":2}]}"#.to_owned(),
            r#"{"a":1,"\u0061":2}"#.to_owned(),
            r#"{"\u0061":1,"a":2}"#.to_owned(),
            r#"{"\u0061":1,"\u0061":2}"#.to_owned(),
            r#"{"long-name-1":1,"long-name-2":2,"long-name-1":3}"#.to_owned(),
            format!("{{{many}\"n0\":0}}"),
            format!("{{{many}\"n39\":0}}"),
            format!("{{{many}\"\\u006e39\":0}}"),
            format!("{{\"\\u006e39\":0,{many}\"z\":0}}"),
        ] {
            assert!(!accepts(&text), "{text}");
            assert!(serde_accepts(&text), "{text}");
        }
        for text in [
            r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#.to_owned(),
            r#"{"a":1,"A":2,"aa":3}"#.to_owned(),
            r#"{"long-name-1":1,"long-name-2":2}"#.to_owned(),
            r#"{"a\u0000":1,"a":2}"#.to_owned(),
            format!("{{{many}\"n40\":0}}"),
        ] {
            assert!(accepts(&text), "{text}");
        }
    }

    #[test]
    fn nesting_is_capped() {
        let nested = |depth: usize| {
            let inner = depth - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        assert!(accepts(&nested(MAX_DEPTH)));
        assert!(!accepts(&nested(MAX_DEPTH + 1)));
        assert!(!accepts(&nested(100_000)));
        assert!(!accepts(&"{\"a\":".repeat(100_000)));
    }

    #[test]
    fn members_are_shown_with_their_kind_and_place() {
        let text = r#" { "a" : "x\n" , "\u0062":-1.5e3,"c":["x","y"],"d":[],"e":[1],"f":{"g":1},"h":null } "#;
        let mut seen = Vec::new();
        scan(text, |name, value| {
            seen.push((
                name.to_owned(),
                value.kind,
                value.span.of(text),
                value.escaped,
            ));
        })
        .unwrap();
        let expected = [
            ("a", Kind::String, r#""x\n""#, true),
            ("b", Kind::Number, "-1.5e3", false),
            ("c", Kind::Strings, r#"["x","y"]"#, false),
            ("d", Kind::Strings, "[]", false),
            ("e", Kind::Array, "[1]", false),
            ("f", Kind::Object, r#"{"g":1}"#, false),
            ("h", Kind::Literal, "null", false),
        ];
        let seen: Vec<_> = seen
            .iter()
            .map(|(n, k, s, e)| (n.as_str(), *k, *s, *e))
            .collect();
        assert_eq!(seen, expected);
    }

    /// The same tree as `serde_json` would build, by scanning level by level.
    fn agrees(text: &str, expected: &serde_json::Map<String, serde_json::Value>) {
        let mut seen = 0;
        scan(text, |name, value| {
            seen += 1;
            let span = value.span.of(text);
            let parsed: serde_json::Value = serde_json::from_str(span).unwrap();
            assert_eq!(Some(&parsed), expected.get(name), "{text}");
            assert_eq!(value.string(text).as_deref(), parsed.as_str());
            if let Some(inner) = parsed.as_object() {
                agrees(span, inner);
            }
        })
        .unwrap();
        assert_eq!(seen, expected.len(), "{text}");
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,24}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 48, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::btree_map(".{0,12}", inner, 0..24)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_alike(value in json(), pretty: bool) {
            let object = serde_json::Map::from_iter([("v".to_owned(), value)]);
            let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
            let text = text.unwrap();
            // Read back, since `serde_json` reads some doubles one bit off.
            agrees(&text, &serde_json::from_str(&text).unwrap());
        }

        #[test]
        fn no_text_panics_and_none_passes_that_serde_json_refuses(
            text in r#"[{}\[\]",:\\u0-9a-fD.eE+\- tn\n]{0,40}"#, any in ".{0,40}"
        ) {
            for text in [format!("{{\"a\":{text}}}"), format!("{{\"{text}}}"), text, any] {
                if accepts(&text) {
                    prop_assert!(serde_accepts(&text), "{}", text);
                }
            }
        }

        #[test]
        fn a_changed_byte_is_judged_as_serde_json_judges_it(value in json(), at: prop::sample::Index, byte in 0x20u8..0x7f) {
            let object = serde_json::Map::from_iter([("v".to_owned(), value)]);
            let mut bytes = serde_json::to_vec(&object).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                let unique = serde_json::from_str::<serde_json::Map<_, _>>(&text)
                    .is_ok_and(|read| read.values().map(members).sum::<usize>() + read.len()
                        == text_members(&text));
                prop_assert_eq!(accepts(&text), unique, "{}", text);
            }
        }
    }

    /// How many members stand in a value that `serde_json` read, where a duplicate is lost.
    fn members(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Array(values) => values.iter().map(members).sum(),
            serde_json::Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
            _ => 0,
        }
    }

    /// How many members stand in a text that is JSON: the colons outside strings.
    fn text_members(text: &str) -> usize {
        let (mut count, mut inside, mut bytes) = (0, false, text.bytes());
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => inside = !inside,
                b'\\' => drop(bytes.next()),
                b':' if !inside => count += 1,
                _ => {}
            }
        }
        count
    }
}
