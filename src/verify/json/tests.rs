//! The scan agrees with `serde_json`, but for what it is stricter in.
#![allow(clippy::unwrap_used)]

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
    let text = r#" { "a" : "x\n" , "\u0062":-1.5e3,"c":["x","y"],"d":[],"e":[1],"f":{"g":"\n"},"h":null,"i":"x" } "#;
    let mut seen = Vec::new();
    scan(text, |name, value| {
        let name = String::from_utf8(name.to_vec()).unwrap();
        seen.push((name, value.kind, value.span.of(text)));
    })
    .unwrap();
    let expected = [
        ("a", Kind::EscapedString, r#""x\n""#),
        ("b", Kind::Number, "-1.5e3"),
        ("c", Kind::Strings, r#"["x","y"]"#),
        ("d", Kind::Strings, "[]"),
        ("e", Kind::Array, "[1]"),
        ("f", Kind::Object, r#"{"g":"\n"}"#),
        ("h", Kind::Literal, "null"),
        ("i", Kind::String, r#""x""#),
    ];
    let seen: Vec<_> = seen.iter().map(|(n, k, s)| (n.as_str(), *k, *s)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn an_array_of_strings_tells_whether_one_has_an_escape() {
    for (array, kind) in [
        (r#"["x"]"#, Kind::Strings),
        (r#"["\n"]"#, Kind::EscapedStrings),
        (r#"["x","\n","y"]"#, Kind::EscapedStrings),
        (r#"["\n",1]"#, Kind::Array),
        (r#"[1,"\n"]"#, Kind::Array),
        (r#"["x",["y"]]"#, Kind::Array),
        (r#"[["\n"],"x"]"#, Kind::Array),
    ] {
        let text = format!(r#"{{"a":{array}}}"#);
        let mut seen = None;
        scan(&text, |_, value| seen = Some(value.kind)).unwrap();
        assert_eq!(seen, Some(kind), "{array}");
    }
}

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

/// The same tree as `serde_json` would build, by scanning level by level.
fn agrees(text: &str, expected: &serde_json::Map<String, serde_json::Value>) {
    let mut seen = 0;
    scan(text, |name, value| {
        seen += 1;
        let span = value.span.of(text);
        let parsed: serde_json::Value = serde_json::from_str(span).unwrap();
        assert_eq!(
            Some(&parsed),
            expected.get(std::str::from_utf8(name).unwrap()),
            "{text}"
        );
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
