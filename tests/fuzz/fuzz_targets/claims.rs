//! Any text as the value of a claim, signed well: it is accepted and refused as `serde_json` would, and read as the same
//! value, but for members that are named twice and for what nests too deep.
#![no_main]

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, LazyLock},
    time::SystemTime,
};

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto::rust_crypto::DEFAULT_PROVIDER};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tower_warden::{Algorithm, BearerToken, Keys, VerifiedToken, Verifier};

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

/// How deep the value of a claim may nest: the claims around it are one object more.
const MAX_DEPTH: usize = 31;

/// 9999-12-31T23:59:59Z.
const LAST_EXPIRY: u64 = 253_402_300_799;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = Keys::hs256([SECRET]).expect("the secret is long");
    Verifier::builder(keys)
        .dangerous_any_audience()
        .dangerous_without_expiry()
        .dangerous_without_subject()
        .without_cache()
        .build()
        .expect("the settings agree")
});

/// How deep a value nests; reading it fails where a member is named twice.
struct Depth(usize);

impl<'de> Deserialize<'de> for Depth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nested)
    }
}

struct Nested;

impl<'de> Visitor<'de> for Nested {
    type Value = Depth;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Depth, A::Error> {
        let mut deepest = 0;
        while let Some(Depth(depth)) = list.next_element()? {
            deepest = deepest.max(depth);
        }
        Ok(Depth(deepest + 1))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Depth, A::Error> {
        let (mut names, mut deepest) = (HashSet::new(), 0);
        while let Some((name, Depth(depth))) = object.next_entry::<String, _>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member is named twice"));
            }
            deepest = deepest.max(depth);
        }
        Ok(Depth(deepest + 1))
    }
}

/// A token with this one claim, if it is accepted.
fn verified(claim: &str, text: &str) -> Option<Arc<VerifiedToken>> {
    let claims = format!(r#"{{"{claim}":{text}}}"#);
    let input = [r#"{"alg":"HS256"}"#, &claims]
        .map(|part| URL_SAFE_NO_PAD.encode_to_string(part))
        .join(".");
    let key = EncodingKey::from_secret(SECRET);
    let signer =
        (DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key).expect("HMAC takes any key");
    let signature = signer.try_sign(input.as_bytes()).expect("HMAC cannot fail");
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode_to_string(signature));
    VERIFIER.verify(&BearerToken::new(token)).ok()
}

fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        // It may be accepted yet, with claims that it brings along.
        if let Some(found) = verified("foreign", text) {
            let claims = serde_json::from_str::<Value>(found.claims_text());
            assert!(claims.is_ok(), "{text}");
        }
        return;
    };
    let depth = serde_json::from_str::<Depth>(text);
    let fits = depth.is_ok_and(|Depth(depth)| depth <= MAX_DEPTH);
    let found = verified("foreign", text);
    assert_eq!(found.is_some(), fits, "{text}");
    if let Some(found) = found {
        let claims: Value = serde_json::from_str(found.claims_text()).expect("it was accepted");
        assert_eq!(claims["foreign"], value);
    }

    let expected = value.as_str().filter(|subject| !subject.is_empty());
    let found = verified("sub", text);
    assert_eq!(found.as_ref().and_then(|found| found.subject()), expected);
    assert_eq!(found.is_some(), expected.is_some(), "{text}");

    let expected: Option<Vec<&str>> = match &value {
        // `null` is the absence of an audience.
        Value::Null => Some(Vec::new()),
        Value::String(one) => Some(vec![one]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let found = verified("aud", text);
    let found = found.as_ref().map(|found| found.audiences().collect());
    assert_eq!(found, expected, "{text}");

    // Fractions shorten a life.
    let number = text.trim_ascii();
    let expected = value.as_f64().map(|_| {
        if number.contains(['e', 'E']) {
            // `serde_json` reads some doubles one bit off.
            let seconds: f64 = number.parse().expect("it is a number");
            return seconds as u64;
        }
        let whole = number
            .split('.')
            .next()
            .and_then(|whole| whole.parse().ok());
        whole.unwrap_or(u64::MAX)
    });
    if let Some(found) = verified("exp", text) {
        let found = found.expires_at().map(|date| date.as_secs());
        assert_eq!(found, expected, "{text}");
    } else {
        // It has expired, it is no date, or it is beyond the year 9999.
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is later");
        let passed = expected.is_none_or(|expiry| expiry <= now.as_secs() || expiry > LAST_EXPIRY);
        assert!(passed || number.starts_with('-'), "{text}");
    }
});
