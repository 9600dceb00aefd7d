//! What a header may not say, or may not decide (RFC 7515 §4, RFC 7797, RFC 8725 §2 and §3). All are signed well.

use super::Hostile;
use crate::testing::forge::{Forge, base64url, quoted};

pub(super) fn tokens(forge: &Forge<'_>) -> Vec<Hostile> {
    let mut tokens = algorithms(forge);
    tokens.extend(extensions(forge));
    tokens.extend(shapes(forge));
    tokens
}

fn algorithms(forge: &Forge<'_>) -> Vec<Hostile> {
    let with = |json: &str| forge.header().with("alg", json).object();
    let mut tokens = Vec::new();
    for (unsigned, signed, spelling) in [
        (
            "header: alg none, unsigned",
            "header: alg none, signed",
            "none",
        ),
        (
            "header: alg None, unsigned",
            "header: alg None, signed",
            "None",
        ),
        (
            "header: alg NONE, unsigned",
            "header: alg NONE, signed",
            "NONE",
        ),
        (
            "header: alg nOnE, unsigned",
            "header: alg nOnE, signed",
            "nOnE",
        ),
        (
            "header: alg none and a blank, unsigned",
            "header: alg none and a blank, signed",
            "none ",
        ),
        (
            "header: alg none and a NUL, unsigned",
            "header: alg none and a NUL, signed",
            "none\0",
        ),
        (
            "header: alg n\u{3bf}ne in Greek, unsigned",
            "header: alg n\u{3bf}ne in Greek, signed",
            "n\u{3bf}ne",
        ),
        (
            "header: alg empty, unsigned",
            "header: alg empty, signed",
            "",
        ),
    ] {
        let token = forge.signed_header(with(&quoted(spelling)));
        let input = token.rsplit_once('.').map_or("", |(input, _)| input);
        tokens.push((unsigned, format!("{input}.")));
        tokens.push((signed, token));
    }
    let other_family = if forge.algorithm.starts_with("HS") {
        "RS256"
    } else {
        "HS256"
    };
    let lower = forge.algorithm.to_ascii_lowercase();
    for (name, json) in [
        ("header: alg in lower case", quoted(&lower)),
        (
            "header: alg and a blank",
            quoted(&format!("{} ", forge.algorithm)),
        ),
        ("header: alg of the other family", quoted(other_family)),
        ("header: alg unknown", quoted("HS257")),
        (
            "header: alg a URI",
            quoted("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        ),
        ("header: alg null", "null".into()),
        ("header: alg a number", "256".into()),
        ("header: alg true", "true".into()),
        (
            "header: alg an array",
            format!("[{}]", quoted(forge.algorithm)),
        ),
        (
            "header: alg an object",
            format!("{{{0}:{0}}}", quoted(forge.algorithm)),
        ),
    ] {
        tokens.push((name, forge.signed_header(with(&json))));
    }
    tokens.push((
        "header: alg missing",
        forge.signed_header(forge.header().without("alg").object()),
    ));
    tokens.push(("header: alg under a name in upper case", {
        forge.signed_header(
            forge
                .header()
                .without("alg")
                .with("ALG", quoted(forge.algorithm))
                .object(),
        )
    }));
    tokens
}

fn extensions(forge: &Forge<'_>) -> Vec<Hostile> {
    let header = |members: &[(&str, &str)]| {
        let mut header = forge.header();
        for (name, json) in members {
            header = header.with(name, *json);
        }
        header
    };
    let mut tokens: Vec<Hostile> = [
        (
            "header: crit names a known claim",
            header(&[("crit", r#"["exp"]"#)]),
        ),
        (
            "header: crit names something unknown",
            header(&[("crit", r#"["x"]"#), ("x", "1")]),
        ),
        ("header: crit names alg", header(&[("crit", r#"["alg"]"#)])),
        ("header: crit empty", header(&[("crit", "[]")])),
        ("header: crit null", header(&[("crit", "null")])),
        ("header: crit a string", header(&[("crit", r#""exp""#)])),
        ("header: crit a number", header(&[("crit", "1")])),
        (
            "header: b64 true and critical",
            header(&[("b64", "true"), ("crit", r#"["b64"]"#)]),
        ),
        ("header: b64 false", header(&[("b64", "false")])),
        (
            "header: b64 false and critical",
            header(&[("b64", "false"), ("crit", r#"["b64"]"#)]),
        ),
        ("header: zip", header(&[("zip", r#""DEF""#)])),
        ("header: typ a number", header(&[("typ", "1")])),
        ("header: typ an array", header(&[("typ", r#"["JWT"]"#)])),
        ("header: kid a number", header(&[("kid", "1")])),
        ("header: kid an array", header(&[("kid", r#"["1"]"#)])),
        ("header: kid an object", header(&[("kid", r#"{"$ne":""}"#)])),
    ]
    .into_iter()
    .map(|(name, header)| (name, forge.signed_header(header.object())))
    .collect();
    // RFC 7797 §3: with `b64` false the payload is signed as it stands, and may be left out of the token.
    let unencoded = header(&[("b64", "false"), ("crit", r#"["b64"]"#)]).object();
    let unencoded = base64url(unencoded);
    let token = forge.signed_input(&format!("{unencoded}.{}", forge.claims.object()));
    let signature = token.rsplit('.').next().unwrap_or_default();
    tokens.push((
        "header: b64 false, payload detached",
        format!("{unencoded}..{signature}"),
    ));
    tokens.push(("header: b64 false, payload unencoded", token));
    tokens
}

fn shapes(forge: &Forge<'_>) -> Vec<Hostile> {
    let alg = quoted(forge.algorithm);
    let object = forge.header().object();
    let deep = format!("{}{}", "[".repeat(1_500), "]".repeat(1_500));
    [
        (
            "header: alg twice, the same",
            forge.header().with_another("alg", alg.clone()).object(),
        ),
        (
            "header: alg twice, none first",
            format!(r#"{{"alg":"none","alg":{alg}}}"#),
        ),
        (
            "header: alg twice, none last",
            format!(r#"{{"alg":{alg},"alg":"none"}}"#),
        ),
        (
            "header: alg twice, once escaped",
            forge
                .header()
                .with_another(r"\u0061lg", alg.clone())
                .object(),
        ),
        (
            "header: typ twice",
            forge
                .header()
                .with("typ", quoted("JWT"))
                .with_another("typ", quoted("JWT"))
                .object(),
        ),
        (
            "header: kid twice",
            forge
                .header()
                .without("kid")
                .with_another("kid", "\"a\"")
                .with_another("kid", "\"b\"")
                .object(),
        ),
        (
            "header: unknown member twice",
            forge
                .header()
                .with_another("x", "1")
                .with_another("x", "2")
                .object(),
        ),
        ("header: array", format!("[{object}]")),
        ("header: array of values", format!("[{alg},\"JWT\"]")),
        ("header: string", alg.clone()),
        ("header: string of JSON", quoted(&object)),
        ("header: number", "1".into()),
        ("header: null", "null".into()),
        ("header: empty object", "{}".into()),
        ("header: two objects", format!("{object}{object}")),
        ("header: garbage behind", format!("{object}x")),
        ("header: cut short", object.trim_end_matches('}').into()),
        (
            "header: trailing comma",
            format!("{},}}", object.trim_end_matches('}')),
        ),
        ("header: comment", format!("/**/{object}")),
        ("header: single quotes", object.replace('"', "'")),
        ("header: byte order mark", format!("\u{feff}{object}")),
        ("header: NUL behind", format!("{object}\0")),
        ("header: deep", forge.header().with("x", deep).object()),
    ]
    .into_iter()
    .map(|(name, header)| (name, forge.signed_header(header)))
    .chain([
        ("header: UTF-16", forge.signed_header(utf16(&object))),
        (
            "header: invalid UTF-8",
            forge.signed_header(
                [object.trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat(),
            ),
        ),
    ])
    .collect()
}

pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
