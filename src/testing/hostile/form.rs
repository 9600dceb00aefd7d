//! What is no JWS in compact form, or only nearly (RFC 7515 §3.1 and §5.2, RFC 7516, RFC 8725 §3).

use base64_simd::STANDARD_NO_PAD;

use super::Hostile;
use crate::testing::forge::{Forge, base64url, quoted};

pub(super) fn tokens(forge: &Forge<'_>) -> Vec<Hostile> {
    let good = forge.signed_input(&forge.good_input());
    let (input, signature) = good.rsplit_once('.').unwrap_or_default();
    let (header, payload) = input.split_once('.').unwrap_or_default();
    let mut tokens = parts(header, payload, signature);
    tokens.extend(blanks(&good, header, payload, signature));
    tokens.extend(json(header, payload, signature));
    tokens.extend(base64(forge));
    tokens.extend(sizes(forge));
    tokens
}

fn parts(header: &str, payload: &str, signature: &str) -> Vec<Hostile> {
    let jwe = |members: &str| base64url(format!("{{{members}}}"));
    vec![
        ("form: empty", String::new()),
        ("form: one dot", ".".into()),
        ("form: two dots", "..".into()),
        ("form: one part", header.into()),
        ("form: two parts", format!("{header}.{payload}")),
        (
            "form: four parts",
            format!("{header}.{payload}.{signature}.{signature}"),
        ),
        (
            "form: dot at the end",
            format!("{header}.{payload}.{signature}."),
        ),
        (
            "form: dot at the start",
            format!(".{header}.{payload}.{signature}"),
        ),
        ("form: empty header", format!(".{payload}.{signature}")),
        (
            "form: empty payload, or a detached one",
            format!("{header}..{signature}"),
        ),
        (
            "form: parts swapped",
            format!("{payload}.{header}.{signature}"),
        ),
        (
            "form: JWE, five parts",
            format!(
                "{}.{payload}.{payload}.{payload}.{signature}",
                jwe(r#""alg":"dir","enc":"A128GCM""#)
            ),
        ),
        (
            "form: JWE, direct, empty key",
            format!(
                "{}..{payload}.{payload}.{signature}",
                jwe(r#""alg":"dir","enc":"A128GCM""#)
            ),
        ),
        (
            "form: JWE, endless PBES2",
            format!(
                "{}.{payload}.{payload}.{payload}.{signature}",
                jwe(r#""alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAA","p2c":2147483647"#)
            ),
        ),
        (
            "form: JWS with a JWE behind it",
            format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        ),
        ("form: 60 000 dots", ".".repeat(60_000)),
        (
            "form: 60 000 dots behind a header",
            format!("{header}{}", ".".repeat(60_000)),
        ),
    ]
}

fn blanks(good: &str, header: &str, payload: &str, signature: &str) -> Vec<Hostile> {
    let (start, end) = payload.split_at_checked(4).unwrap_or_default();
    vec![
        ("form: blank in front", format!(" {good}")),
        ("form: blank behind", format!("{good} ")),
        ("form: tab in front", format!("\t{good}")),
        ("form: line feed behind", format!("{good}\n")),
        ("form: carriage return behind", format!("{good}\r")),
        (
            "form: line feed inside",
            format!("{header}.{start}\n{end}.{signature}"),
        ),
        (
            "form: blank inside",
            format!("{header}.{start} {end}.{signature}"),
        ),
        (
            "form: blank beside a dot",
            format!("{header} .{payload}.{signature}"),
        ),
        ("form: NUL behind", format!("{good}\0")),
        (
            "form: NUL inside",
            format!("{header}.{start}\0{end}.{signature}"),
        ),
        ("form: in quotes", format!("\"{good}\"")),
        ("form: with its scheme", format!("Bearer {good}")),
        ("form: comma list", format!("{good},{good}")),
        ("form: byte order mark in front", format!("\u{feff}{good}")),
        (
            "form: beyond ASCII",
            format!("{header}.{start}é{end}.{signature}"),
        ),
        (
            "form: full-width dot",
            format!("{header}\u{ff0e}{payload}.{signature}"),
        ),
        (
            "form: percent-encoded dot",
            format!("{header}%2e{payload}.{signature}"),
        ),
    ]
}

fn json(header: &str, payload: &str, signature: &str) -> Vec<Hostile> {
    let [h, p, s] = [quoted(header), quoted(payload), quoted(signature)];
    let flattened = format!(r#"{{"protected":{h},"payload":{p},"signature":{s}}}"#);
    vec![
        ("form: JSON, flattened", flattened.clone()),
        (
            "form: JSON, general",
            format!(r#"{{"payload":{p},"signatures":[{{"protected":{h},"signature":{s}}}]}}"#),
        ),
        (
            "form: JSON as a header",
            format!("{flattened}.{payload}.{signature}"),
        ),
        (
            "form: compact within JSON",
            format!(r#"{{"a":"{header}.{payload}.{signature}"}}"#),
        ),
    ]
}

/// Each of these is signed over the odd text itself, so only its spelling is wrong.
fn base64(forge: &Forge<'_>) -> Vec<Hostile> {
    // A claims object whose length leaves unused bits, and padding, at its end: one byte beyond a multiple of three.
    let mut claims = forge.claims.object();
    while claims.len() % 3 != 1 {
        claims.push(' ');
    }
    let header = base64url(forge.header().object());
    let payload = base64url(&claims);
    // Five of each hold a whole aligned triple wherever they stand: `~~~` spells character 62, `???` character 63.
    let telling = forge
        .claims
        .clone()
        .with("x", quoted("~~~~~?????"))
        .object();
    vec![
        (
            "form: padded payload",
            forge.signed_input(&format!("{header}.{payload}==")),
        ),
        (
            "form: padded signature",
            format!("{}=", forge.signed_input(&format!("{header}.{payload}"))),
        ),
        (
            "form: standard alphabet",
            forge.signed_input(&format!(
                "{header}.{}",
                STANDARD_NO_PAD.encode_to_string(&telling)
            )),
        ),
        (
            "form: unused bits of the payload set",
            forge.signed_input(&format!("{header}.{}", bent_tail(&payload))),
        ),
        (
            "form: payload of length 1 mod 4",
            forge.signed_input(&format!("{header}.{}", one_more(&payload))),
        ),
        (
            "form: header of length 1 mod 4",
            forge.signed_input(&format!("{}.{payload}", one_more(&header))),
        ),
        (
            "form: unencoded claims",
            forge.signed_input(&format!("{header}.{}", forge.claims.object())),
        ),
        (
            "form: unencoded header",
            forge.signed_input(&format!("{}.{payload}", forge.header().object())),
        ),
    ]
}

fn sizes(forge: &Forge<'_>) -> Vec<Hostile> {
    let long = quoted(&"x".repeat(100_000));
    vec![
        (
            "form: huge header",
            forge.signed_header(forge.header().with("x", long.clone()).object()),
        ),
        (
            "form: huge payload",
            forge.signed_payload(forge.claims.clone().with("x", long).object()),
        ),
        (
            "form: huge signature",
            format!("{}.{}", forge.good_input(), "A".repeat(100_000)),
        ),
        ("form: huge and shapeless", "A".repeat(1_000_000)),
    ]
}

/// The same bytes to a lenient decoder: the last character's unused bits are no longer zero (RFC 4648 §3.5).
pub(super) fn bent_tail(base64: &str) -> String {
    let mut text = String::from(base64);
    // An encoder leaves a multiple of four or sixteen there, so the next character differs in the lowest bit only, and
    // is the next one of ASCII too.
    if let Some(last) = text.pop().and_then(|last| u8::try_from(last).ok()) {
        text.push(char::from(last.saturating_add(1)));
    }
    text
}

/// Characters are added until the length is one that no bytes encode to.
fn one_more(base64: &str) -> String {
    let mut text = String::from(base64);
    while text.len() % 4 != 1 {
        text.push('A');
    }
    text
}
