//! Payloads and claims of a wrong shape (RFC 7519 §4 and §7.2). All are signed well.

use super::{Hostile, header::utf16};
use crate::testing::forge::{Forge, Members, quoted};

pub(super) fn tokens(forge: &Forge<'_>) -> Vec<Hostile> {
    let mut tokens = payloads(forge);
    tokens.extend(
        types()
            .into_iter()
            .map(|(name, claim, json)| (name, forge.claims.clone().with(claim, json)))
            .chain(missing(forge))
            .chain(named(forge))
            .map(|(name, claims)| (name, forge.signed_payload(claims.object()))),
    );
    tokens
}

fn missing(forge: &Forge<'_>) -> Vec<(&'static str, Members)> {
    vec![
        ("claims: exp missing", forge.claims.clone().without("exp")),
        ("claims: sub missing", forge.claims.clone().without("sub")),
        ("claims: sub under a name in upper case", {
            forge
                .claims
                .clone()
                .without("sub")
                .with("SUB", quoted("alice"))
        }),
    ]
}

/// Near misses of the issuer and the audience, where the good token names them.
fn named(forge: &Forge<'_>) -> Vec<(&'static str, Members)> {
    let with = |name: &str, text: String| forge.claims.clone().with(name, quoted(&text));
    let mut tokens = Vec::new();
    if let Some(issuer) = forge.claims.text("iss") {
        tokens.extend([
            ("claims: iss missing", forge.claims.clone().without("iss")),
            ("claims: iss empty", with("iss", String::new())),
            ("claims: iss null", forge.claims.clone().with("iss", "null")),
            (
                "claims: iss of the attacker",
                with("iss", "https://attacker.example".into()),
            ),
            (
                "claims: iss longer at its end",
                with("iss", format!("{issuer}.attacker.example")),
            ),
            (
                "claims: iss longer at its start",
                with("iss", format!("x{issuer}")),
            ),
            (
                "claims: iss cut short",
                with(
                    "iss",
                    issuer.chars().take(issuer.chars().count() / 2).collect(),
                ),
            ),
            ("claims: iss and a slash", with("iss", format!("{issuer}/"))),
            ("claims: iss and a blank", with("iss", format!("{issuer} "))),
            ("claims: iss and a NUL", with("iss", format!("{issuer}\0"))),
            ("claims: iss in an array", {
                forge
                    .claims
                    .clone()
                    .with("iss", format!("[{}]", quoted(&issuer)))
            }),
        ]);
        if issuer.to_ascii_uppercase() != issuer {
            tokens.push((
                "claims: iss in upper case",
                with("iss", issuer.to_ascii_uppercase()),
            ));
        }
    }
    if let Some(audience) = forge.claims.text("aud") {
        tokens.extend([
            ("claims: aud missing", forge.claims.clone().without("aud")),
            ("claims: aud empty", with("aud", String::new())),
            ("claims: aud null", forge.claims.clone().with("aud", "null")),
            (
                "claims: aud of somebody else",
                with("aud", "attacker".into()),
            ),
            (
                "claims: aud longer at its end",
                with("aud", format!("{audience}-attacker")),
            ),
            (
                "claims: aud and a blank",
                with("aud", format!("{audience} ")),
            ),
            (
                "claims: aud among blanks",
                with("aud", format!("attacker {audience}")),
            ),
            (
                "claims: aud an empty array",
                forge.claims.clone().with("aud", "[]"),
            ),
            ("claims: aud an array of others", {
                forge.claims.clone().with("aud", "[\"attacker\",\"\"]")
            }),
            ("claims: aud the right one beside a number", {
                forge
                    .claims
                    .clone()
                    .with("aud", format!("[{},1]", quoted(&audience)))
            }),
        ]);
    }
    tokens
}

fn types() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        ("claims: exp a string", "exp", r#""99999999999""#),
        ("claims: exp a date", "exp", r#""2999-01-01T00:00:00Z""#),
        ("claims: exp null", "exp", "null"),
        ("claims: exp true", "exp", "true"),
        ("claims: exp an array", "exp", "[99999999999]"),
        ("claims: exp an object", "exp", r#"{"$gt":0}"#),
        ("claims: exp negative", "exp", "-1"),
        (
            "claims: exp negative and beyond 64 bits",
            "exp",
            "-99999999999999999999",
        ),
        ("claims: exp zero", "exp", "0"),
        ("claims: exp beyond a double", "exp", "1e400"),
        ("claims: exp beyond the year 9999", "exp", "253402300800"),
        (
            "claims: exp the largest integer",
            "exp",
            "18446744073709551615",
        ),
        ("claims: exp NaN", "exp", "NaN"),
        ("claims: exp Infinity", "exp", "Infinity"),
        ("claims: exp in hexadecimal", "exp", "0xfffffffff"),
        ("claims: exp with a leading zero", "exp", "099999999999"),
        ("claims: exp with a plus", "exp", "+99999999999"),
        ("claims: nbf a string", "nbf", r#""0""#),
        ("claims: nbf an array", "nbf", "[0]"),
        ("claims: nbf false", "nbf", "false"),
        ("claims: nbf beyond a double", "nbf", "1e400"),
        ("claims: nbf far ahead", "nbf", "99999999999"),
        ("claims: iat a string", "iat", r#""0""#),
        ("claims: iat an object", "iat", "{}"),
        ("claims: sub null", "sub", "null"),
        ("claims: sub a number", "sub", "1"),
        ("claims: sub true", "sub", "true"),
        ("claims: sub an array", "sub", r#"["alice"]"#),
        ("claims: sub an object", "sub", r#"{"id":"alice"}"#),
        ("claims: sub empty", "sub", r#""""#),
        ("claims: sub half a surrogate", "sub", r#""\ud800""#),
        ("claims: iss a number", "iss", "1"),
        ("claims: iss an array", "iss", r#"["a","b"]"#),
        (
            "claims: iss an object",
            "iss",
            r#"{"url":"https://id.example"}"#,
        ),
        ("claims: aud a number", "aud", "1"),
        ("claims: aud an object", "aud", "{}"),
        ("claims: aud an array of numbers", "aud", "[1]"),
        ("claims: aud a nested array", "aud", r#"[["orders"]]"#),
    ]
}

fn payloads(forge: &Forge<'_>) -> Vec<Hostile> {
    let object = forge.claims.object();
    let open = object.trim_end_matches('}');
    let deep = format!("{}{}", "[".repeat(1_500), "]".repeat(1_500));
    // Behind the good one where there is one, so that a reader that takes the first is caught as well as the last.
    let twice = |name: &str, json: &str| {
        let claims = if forge.claims.has(name) {
            forge.claims.clone()
        } else {
            forge.claims.clone().with(name, json)
        };
        claims.with_another(name, json).object()
    };
    [
        ("claims: empty payload", String::new()),
        ("claims: empty object", "{}".into()),
        ("claims: array", format!("[{object}]")),
        ("claims: empty array", "[]".into()),
        ("claims: array of values", r#"["alice",99999999999]"#.into()),
        ("claims: string", quoted("alice")),
        ("claims: string of JSON", quoted(&object)),
        ("claims: number", "99999999999".into()),
        ("claims: null", "null".into()),
        ("claims: true", "true".into()),
        ("claims: NaN", "NaN".into()),
        ("claims: no JSON", "alice".into()),
        ("claims: two objects", format!("{object}{object}")),
        ("claims: garbage behind", format!("{object}x")),
        ("claims: NUL behind", format!("{object}\0")),
        ("claims: cut short", open.into()),
        ("claims: trailing comma", format!("{open},}}")),
        ("claims: comment", format!("/**/{object}")),
        ("claims: single quotes", object.replace('"', "'")),
        ("claims: byte order mark", format!("\u{feff}{object}")),
        ("claims: form encoding", "sub=alice&exp=99999999999".into()),
        ("claims: member NaN", format!("{open},\"x\":NaN}}")),
        (
            "claims: raw line feed in a string",
            format!("{open},\"x\":\"\n\"}}"),
        ),
        ("claims: deep", format!("{open},\"x\":{deep}}}")),
        (
            "claims: deep and never closed",
            format!("{open},\"x\":{}", "[".repeat(3_000)),
        ),
        ("claims: sub twice", twice("sub", "\"mallory\"")),
        (
            "claims: sub twice, once escaped",
            forge
                .claims
                .clone()
                .with_another(r"s\u0075b", "\"mallory\"")
                .object(),
        ),
        ("claims: exp twice", twice("exp", "99999999999")),
        ("claims: iss twice", twice("iss", "\"https://id.example\"")),
        ("claims: aud twice", twice("aud", "\"orders\"")),
        ("claims: unknown member twice", twice("role", "\"admin\"")),
        (
            "claims: nested member twice",
            format!("{open},\"x\":{{\"y\":1,\"y\":2}}}}"),
        ),
    ]
    .into_iter()
    .map(|(name, payload)| (name, forge.signed_payload(payload)))
    .chain([
        ("claims: UTF-16", forge.signed_payload(utf16(&object))),
        (
            "claims: invalid UTF-8",
            forge.signed_payload([open.as_bytes(), b",\"x\":\"\xff\"}"].concat()),
        ),
        (
            "claims: overlong UTF-8",
            forge.signed_payload([open.as_bytes(), b",\"x\":\"\xc0\x80\"}"].concat()),
        ),
    ])
    .collect()
}
