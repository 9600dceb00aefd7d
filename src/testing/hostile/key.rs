//! Signatures under a key that the token, or nobody, chose (RFC 8725 §2.1, §2.7 and §3.10).

use super::Hostile;
use crate::testing::forge::{Forge, Members, base64url, quoted};

/// A secret that only the attacker knows, and would like to be asked for.
const ATTACKER: &[u8] = b"the attacker's own secret, 32 bytes or more of it";

pub(super) fn tokens(forge: &Forge<'_>) -> Vec<Hostile> {
    let plain = header(forge, "HS256");
    let mut tokens = vec![
        ("key: the attacker's secret", forge.hs256(&plain, ATTACKER)),
        // HMAC fills short secrets up with zeros, so this is every secret of zero bytes at once.
        ("key: empty secret", forge.hs256(&plain, b"")),
        ("key: secret `secret`", forge.hs256(&plain, b"secret")),
        ("key: secret `null`", forge.hs256(&plain, b"null")),
        ("key: secret `undefined`", forge.hs256(&plain, b"undefined")),
        (
            "key: kid of an empty file, empty secret",
            forge.hs256(
                &plain
                    .clone()
                    .with("kid", quoted("../../../../../../dev/null")),
                b"",
            ),
        ),
        (
            "key: kid that selects the secret by SQL",
            forge.hs256(
                &plain
                    .clone()
                    .with("kid", quoted("' UNION SELECT 'secret' --")),
                b"secret",
            ),
        ),
        (
            "key: kid a URL",
            forge.hs256(
                &plain
                    .clone()
                    .with("kid", quoted("https://attacker.example/key")),
                ATTACKER,
            ),
        ),
        ("key: the key ID as the secret", {
            let id = forge.key_id.unwrap_or("1");
            forge.hs256(&plain.clone().with("kid", quoted(id)), id.as_bytes())
        }),
    ];
    tokens.extend(embedded(forge, &plain));
    tokens.extend(confused(forge));
    tokens
}

fn header(forge: &Forge<'_>, algorithm: &str) -> Members {
    forge.header().with("alg", quoted(algorithm))
}

/// The token brings, or names, the key that verifies it.
fn embedded(forge: &Forge<'_>, plain: &Members) -> Vec<Hostile> {
    let jwk = format!(
        r#"{{"kty":"oct","alg":"HS256","k":"{}"}}"#,
        base64url(ATTACKER)
    );
    let set = quoted("https://attacker.example/jwks.json");
    [
        (
            "key: jwk in the header",
            plain.clone().with("jwk", jwk.clone()),
        ),
        (
            "key: jwk in the header, with its kid",
            plain
                .clone()
                .with("kid", quoted("attacker"))
                .with("jwk", jwk),
        ),
        (
            "key: jku in the header",
            plain.clone().with("jku", set.clone()),
        ),
        (
            "key: jku of the attacker's set on loopback",
            plain
                .clone()
                .with("jku", quoted("http://127.0.0.1:1/jwks.json")),
        ),
        ("key: x5u in the header", plain.clone().with("x5u", set)),
        (
            "key: x5c in the header",
            plain.clone().with("x5c", format!("[{}]", quoted("MIIB"))),
        ),
        (
            "key: x5t in the header",
            plain.clone().with("x5t", quoted("AAAA")),
        ),
    ]
    .into_iter()
    .map(|(name, header)| (name, forge.hs256(&header, ATTACKER)))
    .collect()
}

/// CVE-2016-10555 and its children: what is published to verify signatures serves as an HMAC secret.
fn confused(forge: &Forge<'_>) -> Vec<Hostile> {
    let plain = header(forge, "HS256");
    let mut headers = vec![("key: the public key as a secret", plain.clone())];
    if forge.key_id.is_some() {
        headers.push((
            "key: the public key as a secret, no kid",
            plain.without("kid"),
        ));
    }
    if forge.algorithm != "HS256" {
        headers.push((
            "key: the public key as a secret, its own alg",
            forge.header(),
        ));
    }
    forge
        .published
        .iter()
        .flat_map(|public| {
            headers
                .iter()
                .map(|(name, header)| (*name, forge.hs256(header, public)))
        })
        .collect()
}
