//! Tokens that must be refused, one for each hazard that some JWT library has once let through.
//!
//! 1. [`form`]: what is no JWS in compact form, or only nearly.
//! 2. [`header`]: what a header may not say, or may not decide.
//! 3. [`key`]: signatures under a key that the token, or nobody, chose.
//! 4. [`claims`]: payloads and claims of a wrong shape.
//! 5. [`signature`]: signatures bent by a byte or a bit.

mod claims;
mod form;
mod header;
mod key;
mod signature;

use super::forge::Forge;

/// A hazard's name, which starts with the file it comes from, and its token.
pub(super) type Hostile = (&'static str, String);

pub(super) fn all(forge: &Forge<'_>) -> Vec<Hostile> {
    [
        form::tokens(forge),
        header::tokens(forge),
        key::tokens(forge),
        claims::tokens(forge),
        signature::tokens(forge),
    ]
    .concat()
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::{
        forge::{Members, quoted},
        mac::hs256,
    };

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

    fn forge(sign: &dyn Fn(&[u8]) -> Vec<u8>) -> Forge<'_> {
        Forge {
            algorithm: "HS256",
            key_id: None,
            published: vec![b"-----BEGIN PUBLIC KEY-----".to_vec()],
            claims: Members::new()
                .with("sub", quoted("alice"))
                .with("exp", "99999999999")
                .with("iss", quoted("https://id.example"))
                .with("aud", quoted("orders")),
            sign,
        }
    }

    /// Whether the signature is right for the text, whatever the text is.
    fn is_signed_well(token: &str) -> bool {
        let (input, signature) = token.rsplit_once('.').unwrap();
        base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(signature)
            .is_ok_and(|bytes| bytes == hs256(SECRET, input.as_bytes()))
    }

    #[test]
    fn tokens_differ_from_one_another_and_from_the_good_one() {
        let sign = |message: &[u8]| hs256(SECRET, message);
        let forge = forge(&sign);
        let good = forge.signed_input(&forge.good_input());
        assert!(is_signed_well(&good));
        let mut seen = HashSet::from([good]);
        let mut names = HashSet::new();
        for (name, token) in all(&forge) {
            assert!(names.insert(name), "{name}: the name stands twice");
            assert!(seen.insert(token), "{name}: the token stands twice");
        }
        assert!(names.len() > 200, "{}", names.len());
    }

    #[test]
    fn a_hostile_header_or_payload_is_refused_for_itself_and_not_for_its_signature() {
        let sign = |message: &[u8]| hs256(SECRET, message);
        for (name, token) in all(&forge(&sign)) {
            let (room, _) = name.split_once(':').unwrap();
            let meant = match room {
                "header" => !name.ends_with("unsigned") && !name.ends_with("detached"),
                "claims" => true,
                "key" | "signature" => false,
                _ => continue,
            };
            assert_eq!(is_signed_well(&token), meant, "{name}");
        }
    }

    #[test]
    fn each_spelling_shows_its_hazard() {
        let sign = |message: &[u8]| hs256(SECRET, message);
        let tokens = all(&forge(&sign));
        let token = |name: &str| &tokens.iter().find(|(have, _)| *have == name).unwrap().1;
        let standard = token("form: standard alphabet");
        assert!(
            standard.contains('+') && standard.contains('/'),
            "{standard}"
        );
        assert!(token("form: padded payload").contains("==."));
        assert!(token("header: b64 false, payload unencoded").contains('{'));
        assert_eq!(token("form: 60 000 dots").len(), 60_000);
    }
}
