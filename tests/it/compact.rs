//! The form of a token: what is refused before anything in it is believed.

use proptest::prelude::*;
use tower_warden::{Algorithm, RejectionKind, Verifier};

use super::tokens::{
    ALGORITHMS, TestClock, base64, hs256, keys, refusal, signed, token, verifier, verify,
};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const CLAIMS: &str = r#"{"sub":"alice","exp":2000}"#;

#[test]
fn every_algorithm_is_verified_and_no_other_key_answers_for_it() {
    for algorithm in ALGORITHMS {
        let clock = TestClock::at(1_000);
        let verifier = Verifier::builder(keys(algorithm))
            .with_clock(clock)
            .build()
            .unwrap();
        let header = format!(r#"{{"alg":"{algorithm:?}"}}"#);
        // The second time the header is remembered.
        for claims in [CLAIMS, r#"{"sub":"bob","exp":2000}"#] {
            let verified = verify(&verifier, &token(&header, claims, algorithm)).unwrap();
            assert_eq!(verified.algorithm(), Some(algorithm));
            assert_eq!(verified.claims_text(), claims);
        }
        for other in ALGORITHMS.into_iter().filter(|&other| other != algorithm) {
            let claimed = format!(r#"{{"alg":"{other:?}"}}"#);
            let kind = refusal(&verifier, &token(&claimed, CLAIMS, other));
            assert_eq!(
                kind,
                RejectionKind::AlgorithmNotAllowed,
                "{other:?} for {algorithm:?}"
            );
            let kind = refusal(&verifier, &token(&header, CLAIMS, other));
            assert_eq!(
                kind,
                RejectionKind::SignatureInvalid,
                "{other:?} as {algorithm:?}"
            );
        }
    }
}

#[test]
fn a_token_is_three_canonical_parts() {
    let verifier = verifier().build().unwrap();
    let good = hs256(CLAIMS);
    assert!(verify(&verifier, &good).is_ok());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}="),
        format!("{good}AA"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}\r\n.{payload}.{signature}"),
        format!("{message}.+/{}", &signature[2..]),
        format!("Bearer {good}"),
        format!("{{\"payload\":\"{payload}\",\"signatures\":[{{\"signature\":\"{signature}\"}}]}}"),
        format!("{good}é"),
        "é.é.é".to_owned(),
        "\0.\0.\0".to_owned(),
    ] {
        assert_eq!(
            refusal(&verifier, &token),
            RejectionKind::TokenMalformed,
            "{token}"
        );
    }
}

#[test]
fn one_signature_has_one_text() {
    // 32 bytes leave two unused bits in the last character, so four texts decode to them where decoding is lax.
    let verifier = verifier().build().unwrap();
    let good = hs256(CLAIMS);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let accepted = alphabet.chars().filter(|&last| {
        let mut text = good.clone();
        text.pop();
        text.push(last);
        verify(&verifier, &text).is_ok()
    });
    assert_eq!(accepted.count(), 1);
}

#[test]
fn the_size_is_capped_before_anything_is_read() {
    let padded = |length: usize| {
        let room = length - hs256(r#"{"sub":"alice","exp":2000,"pad":""}"#).len();
        let pad = "x".repeat(room * 3 / 4);
        let mut token = hs256(format!(r#"{{"sub":"alice","exp":2000,"pad":"{pad}"}}"#));
        while token.len() < length {
            token.push('A');
        }
        token
    };
    let small = verifier().with_max_token_size(200).build().unwrap();
    let usual = verifier().build().unwrap();
    let fits = hs256(CLAIMS);
    assert!(fits.len() <= 200 && verify(&small, &fits).is_ok());
    assert_eq!(refusal(&small, &padded(300)), RejectionKind::TokenTooLarge);
    // Beyond the room on the stack, up to the default of 8 KiB, and past it.
    for (pad, good) in [
        (1_000, true),
        (2_000, true),
        (5_900, true),
        (6_100, false),
        (60_000, false),
    ] {
        let token = hs256(format!(
            r#"{{"sub":"alice","exp":2000,"pad":"{}"}}"#,
            "x".repeat(pad)
        ));
        assert_eq!(token.len() <= 8 * 1024, good, "{pad}");
        assert_eq!(verify(&usual, &token).is_ok(), good, "{pad}");
    }
    for (token, kind) in [
        (".".repeat(60_000), RejectionKind::TokenTooLarge),
        ("a.".repeat(4_000), RejectionKind::TokenMalformed),
        ("a".repeat(1_000_000), RejectionKind::TokenTooLarge),
    ] {
        assert_eq!(refusal(&usual, &token), kind);
    }
}

#[test]
fn the_payload_is_one_json_object() {
    let verifier = verifier()
        .dangerous_without_expiry()
        .dangerous_without_subject()
        .build()
        .unwrap();
    assert!(verify(&verifier, &hs256(" {} ")).is_ok());
    for payload in [
        &b"[]"[..],
        b"[{\"sub\":\"alice\"}]",
        b"\"alice\"",
        b"null",
        b"true",
        b"7",
        b"{",
        b"{}{}",
        b"{\"a\":NaN}",
        b"{\"a\":1e400}",
        b"\xef\xbb\xbf{}",
        b"{\0}\0",
        b"\xff\xfe{\0}\0",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"sub\":\"alice\",\"sub\":\"bob\"}",
        b"{\"a\":{\"b\":1,\"b\":2}}",
        b"<xml/>",
    ] {
        let kind = refusal(&verifier, &hs256(payload));
        assert_eq!(kind, RejectionKind::TokenMalformed, "{payload:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_passes(text in ".{0,200}", dotted in r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}") {
        let verifier = verifier().build().unwrap();
        prop_assert!(verify(&verifier, &text).is_err());
        prop_assert!(verify(&verifier, &dotted).is_err());
    }

    #[test]
    fn no_bytes_in_header_or_payload_panic(
        header in prop::collection::vec(any::<u8>(), 1..80), payload in prop::collection::vec(any::<u8>(), 1..200)
    ) {
        let verifier = verifier().build().unwrap();
        prop_assert!(verify(&verifier, &token(&header, CLAIMS, Algorithm::HS256)).is_err());
        prop_assert!(verify(&verifier, &token(HEADER, &payload, Algorithm::HS256)).is_err());
    }

    #[test]
    fn one_flipped_bit_never_verifies(algorithm in 0usize..ALGORITHMS.len(), at: prop::sample::Index, bit in 0u8..8) {
        let algorithm = ALGORITHMS[algorithm];
        let verifier = Verifier::builder(keys(algorithm)).with_clock(TestClock::at(1_000)).build().unwrap();
        let good = token(format!(r#"{{"alg":"{algorithm:?}"}}"#), CLAIMS, algorithm);
        if at.index(2) == 0 {
            prop_assert!(verify(&verifier, &good).is_ok());
        }
        let mut bytes = good.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(verify(&verifier, &text).is_err(), "{}", text);
        }
    }

    #[test]
    fn one_flipped_bit_of_the_decoded_signature_never_verifies(algorithm in 0usize..ALGORITHMS.len(), at: prop::sample::Index, bit in 0u8..8) {
        let algorithm = ALGORITHMS[algorithm];
        let verifier = Verifier::builder(keys(algorithm)).with_clock(TestClock::at(1_000)).build().unwrap();
        let message = format!("{}.{}", base64(format!(r#"{{"alg":"{algorithm:?}"}}"#)), base64(CLAIMS));
        let mut signature = super::tokens::signature(message.as_bytes(), algorithm);
        let at = at.index(signature.len());
        signature[at] ^= 1 << bit;
        let kind = refusal(&verifier, &format!("{message}.{}", base64(signature)));
        prop_assert_eq!(kind, RejectionKind::SignatureInvalid);
    }
}

#[test]
fn parts_of_two_tokens_make_no_third() {
    let verifier = verifier().build().unwrap();
    let (alice, bob) = (hs256(CLAIMS), hs256(r#"{"sub":"bob","exp":2000}"#));
    let signature = alice.rsplit_once('.').unwrap().1;
    let message = bob.rsplit_once('.').unwrap().0;
    assert_eq!(
        refusal(&verifier, &format!("{message}.{signature}")),
        RejectionKind::SignatureInvalid
    );
    // The header is remembered by now; another text of the same header still has to be signed.
    assert!(verify(&verifier, &alice).is_ok());
    let other = signed(
        &base64(r#"{ "alg":"HS256"}"#),
        &base64(CLAIMS),
        Algorithm::HS256,
    );
    assert!(verify(&verifier, &other).is_ok());
    let (_, rest) = other.split_once('.').unwrap();
    assert_eq!(
        refusal(&verifier, &format!("{}.{rest}", base64(HEADER))),
        RejectionKind::SignatureInvalid
    );
}
