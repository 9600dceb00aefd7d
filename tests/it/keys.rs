#![allow(clippy::unwrap_used)]
//! What a key must prove when it is loaded, from outside.

use std::path::{Path, PathBuf};

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use tower_warden::{Algorithm, ConfigError, Key, Keys};

use super::tokens::secret;

const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/keys")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn der(name: &str) -> Vec<u8> {
    let text = text(name);
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    STANDARD.decode_to_vec(body).unwrap()
}

#[track_caller]
fn problem<T>(result: Result<T, ConfigError>) -> String {
    match result {
        Ok(_) => panic!("the configuration was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn public_keys_load_from_pem_der_and_certificates() {
    for (name, algorithm) in [
        ("rsa2048.pub.pem", Algorithm::RS256),
        ("rsa2048.pub.pem", Algorithm::PS512),
        ("rsa2048.pub.pkcs1.pem", Algorithm::RS384),
        ("rsa2048.cert.pem", Algorithm::RS256),
        ("ec256.pub.pem", Algorithm::ES256),
        ("ec256.cert.pem", Algorithm::ES256),
        ("ec384.pub.pem", Algorithm::ES384),
        ("ed25519.pub.pem", Algorithm::EdDSA),
        ("ed25519.cert.pem", Algorithm::EdDSA),
    ] {
        Key::pem(text(name), algorithm).unwrap_or_else(|error| panic!("{name}: {error}"));
        Keys::pem_file(file(name), algorithm).unwrap();
        if !name.contains("cert") {
            Key::der(der(name), algorithm).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    // The raw forms are the tail of SubjectPublicKeyInfo.
    for (name, algorithm, length) in [
        ("ec256.pub.pem", Algorithm::ES256, 65),
        ("ec384.pub.pem", Algorithm::ES384, 97),
        ("ed25519.pub.pem", Algorithm::EdDSA, 32),
    ] {
        let der = der(name);
        Key::der(&der[der.len() - length..], algorithm).unwrap();
        assert!(Key::der(&der[der.len() - length + 1..], algorithm).is_err());
    }
}

#[test]
fn a_key_that_must_not_verify_is_refused_with_its_reason() {
    let pem = |name: &str, algorithm| problem(Key::pem(text(name), algorithm));
    for (told, reason) in [
        (
            pem("rsa1024.pub.pem", Algorithm::RS256),
            "2048 to 8192 bits, this one has 1024",
        ),
        (
            pem("rsa2048.pub.pem", Algorithm::ES256),
            "ES256 does not fit an RSA key",
        ),
        (
            pem("rsa2048.pub.pem", Algorithm::HS256),
            "HS256 does not fit an RSA key",
        ),
        (
            pem("ec256.pub.pem", Algorithm::ES384),
            "ES384 does not fit a key on P-256",
        ),
        (
            pem("ec384.pub.pem", Algorithm::ES256),
            "ES256 does not fit a key on P-384",
        ),
        (
            pem("ec256k1.pub.pem", Algorithm::ES256),
            "neither RSA nor ECDSA on P-256 or P-384",
        ),
        (
            pem("ed25519.pub.pem", Algorithm::RS256),
            "RS256 does not fit an Ed25519 key",
        ),
        (pem("x25519.pub.pem", Algorithm::EdDSA), "X25519"),
        (pem("rsa2048.pem", Algorithm::RS256), "private key"),
        (pem("rsa2048.pkcs1.pem", Algorithm::RS256), "private key"),
        (pem("ec256.pem", Algorithm::ES256), "private key"),
        (pem("ec256.sec1.pem", Algorithm::ES256), "private key"),
        (pem("ed25519.pem", Algorithm::EdDSA), "private key"),
        (
            problem(Key::der(der("ed25519.pem"), Algorithm::EdDSA)),
            "private key",
        ),
        (
            problem(Key::der(der("rsa2048.pkcs1.pem"), Algorithm::RS256)),
            "private key",
        ),
        (
            problem(Key::der([], Algorithm::RS256)),
            "neither SubjectPublicKeyInfo nor PKCS#1",
        ),
        (
            problem(Key::der([7; 32], Algorithm::HS256)),
            "does not use a public key",
        ),
        (
            problem(Key::der([7; 31], Algorithm::EdDSA)),
            "exactly 32 bytes, this one has 31",
        ),
        (
            problem(Key::der([&[4][..], &[1; 64]].concat(), Algorithm::ES256)),
            "curve",
        ),
        (problem(Key::pem("", Algorithm::RS256)), "no PEM"),
        (
            problem(Key::pem(
                text("rsa2048.pub.pem").repeat(2),
                Algorithm::RS256,
            )),
            "more than one",
        ),
    ] {
        assert!(told.contains(reason), "{told}\nshould say: {reason}");
    }
}

#[test]
fn a_point_off_its_curve_is_refused_in_a_jwk() {
    let good = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    assert!(Key::jwk(good).is_ok());
    let told = problem(Key::jwk(good.replace("x_FEz", "x_FEy")));
    assert!(told.contains("does not lie on its curve"), "{told}");
    // P-384 coordinates under the name of P-256, and the reverse.
    assert!(problem(Key::jwk(good.replace("P-256", "P-384"))).contains("48 bytes"));
}

#[test]
fn a_jwk_is_bound_to_what_it_states_or_to_the_list_of_its_loader() {
    let jwk = |members: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}"{members}}}"#);
    assert!(Key::jwk_for(jwk(""), [Algorithm::EdDSA]).is_ok());
    assert!(Key::jwk_for(jwk(r#","alg":"EdDSA""#), [Algorithm::EdDSA]).is_ok());
    for algorithms in [
        vec![],
        vec![Algorithm::RS256],
        vec![Algorithm::EdDSA, Algorithm::HS256],
    ] {
        assert!(
            Key::jwk_for(jwk(""), algorithms.clone()).is_err(),
            "{algorithms:?}"
        );
    }
    let n = URL_SAFE_NO_PAD.encode_to_string([0xff; 256]);
    let rsa = format!(r#"{{"kty":"RSA","alg":"RS256","e":"AQAB","n":"{n}"}}"#);
    // RFC 8725 §3.1: a key that states RS256 never serves PS256.
    assert!(Key::jwk_for(&rsa, [Algorithm::RS256, Algorithm::PS256]).is_ok());
    assert!(Key::jwk_for(&rsa, [Algorithm::PS256]).is_err());
}

#[test]
fn a_secret_in_a_jwk_keeps_the_rules_of_secrets() {
    let jwk = |secret: &[u8], alg: &str| {
        let k = URL_SAFE_NO_PAD.encode_to_string(secret);
        format!(r#"{{"kty":"oct","k":"{k}"{alg}}}"#)
    };
    assert!(
        Key::jwk(jwk(
            b"0123456789abcdef0123456789abcdef",
            r#","alg":"HS256""#
        ))
        .is_ok()
    );
    assert!(matches!(
        Key::jwk(jwk(&[], r#","alg":"HS256""#)),
        Err(ConfigError::SecretTooShort {
            length: 0,
            minimum: 32,
            ..
        })
    ));
    assert!(matches!(
        Key::jwk(jwk(
            b"0123456789abcdef0123456789abcdef",
            r#","alg":"HS384""#
        )),
        Err(ConfigError::SecretTooShort {
            length: 32,
            minimum: 48,
            ..
        })
    ));
    assert!(matches!(
        Key::jwk(jwk(text("ed25519.pub.pem").as_bytes(), r#","alg":"HS256""#)),
        Err(ConfigError::SecretIsKey { format: "PEM" })
    ));
    assert!(problem(Key::jwk(jwk(b"0123456789abcdef0123456789abcdef", ""))).contains("`alg`"));
    assert!(
        problem(Key::jwk(jwk(
            b"0123456789abcdef0123456789abcdef",
            r#","alg":"RS256""#
        )))
        .contains("a shared secret")
    );
}

#[test]
fn a_set_given_by_hand_is_used_whole_or_refused() {
    let good = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{ED_X}"}}"#);
    assert!(Keys::jwk_set(format!(r#"{{"keys":[{good}],"next":1}}"#)).is_ok());
    // The same key, byte for byte, is one key.
    assert!(Keys::jwk_set(format!(r#"{{"keys":[{good},{good}]}}"#)).is_ok());
    let bad = |more: &str| problem(Keys::jwk_set(format!(r#"{{"keys":[{good},{more}]}}"#)));
    for (told, reason) in [
        (
            bad(
                r#"{"kty":"oct","alg":"HS256","kid":"s","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}"#,
            ),
            "key `s`: a shared secret does not belong",
        ),
        (
            bad(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#),
            "key `keys[1]`: an RSA key needs",
        ),
        (bad("7"), "key `keys[1]`: is no JSON object"),
        (
            bad(&good.replace(r#""kid":"a""#, r#""kid":"a","alg":"EdDSA""#)),
            "key `a`: another key for EdDSA has the same ID",
        ),
        (
            bad(&good.replace(r#""kid":"a""#, r#""kid":"""#)),
            "an empty key ID",
        ),
        (
            bad(&good.replace(r#""kid":"a""#, &format!(r#""kid":"{}""#, "é".repeat(129)))),
            "at most 256 bytes",
        ),
        (
            bad(&good.replace(r#""kid":"a""#, r#""kid":"b","kid":"c""#)),
            "twice",
        ),
        (problem(Keys::jwk_set(r#"{"keys":[]}"#)), "at least one key"),
        (
            problem(Keys::jwk_set(r#"{"keys":[],"keys":[]}"#)),
            "not the JSON wanted",
        ),
        (
            problem(Keys::jwk_set(r#"{"keys":{}}"#)),
            "not the JSON wanted",
        ),
        (problem(Keys::jwk_set(&good)), "not the JSON wanted"),
        (problem(Keys::jwk_set("<html>")), "line 1, column 1"),
        (problem(Keys::jwk_set("")), "not the JSON wanted"),
    ] {
        assert!(told.contains(reason), "{told}\nshould say: {reason}");
    }
}

#[test]
fn keys_that_tokens_cannot_tell_apart_are_refused() {
    let rsa = || Key::pem(text("rsa2048.pub.pem"), Algorithm::RS256).unwrap();
    let secret = |number| Key::secret(secret::<32>(number), Algorithm::HS256).unwrap();
    assert!(problem(Keys::new([rsa(), rsa()])).contains("give each an ID"));
    assert!(problem(Keys::new([rsa().with_id("a"), rsa().with_id("a")])).contains("same ID"));
    assert!(
        problem(Keys::new([secret(1).with_id("a"), secret(2).with_id("a")])).contains("same ID")
    );
    assert!(problem(Keys::new([])).contains("at least one key"));
    assert!(problem(Keys::new([rsa().with_id("")])).contains("empty key ID"));
    for keys in [
        vec![rsa().with_id("a"), rsa().with_id("b")],
        vec![rsa().with_id("a"), rsa()],
        vec![
            rsa(),
            Key::pem(text("rsa2048.pub.pem"), Algorithm::PS256).unwrap(),
        ],
        vec![rsa().with_id("a"), secret(1).with_id("a")],
        vec![secret(1), secret(2), secret(3)],
    ] {
        Keys::new(keys.clone()).unwrap_or_else(|error| panic!("{keys:?}: {error}"));
    }
}

#[test]
fn secrets_rotate_by_standing_side_by_side() {
    assert!(
        Keys::hs256([
            "0123456789abcdef0123456789abcdef",
            "fedcba9876543210fedcba9876543210"
        ])
        .is_ok()
    );
    assert!(Keys::hs384([secret::<48>(7)]).is_ok());
    assert!(Keys::hs512([secret::<64>(7)]).is_ok());
    assert!(matches!(
        Keys::hs384([[7; 32]]),
        Err(ConfigError::SecretTooShort { minimum: 48, .. })
    ));
    assert!(matches!(
        Keys::hs256::<[&str; 0]>([]),
        Err(ConfigError::Missing { .. })
    ));
    assert!(matches!(
        Keys::hs256([text("rsa2048.pub.pem")]),
        Err(ConfigError::SecretIsKey { format: "PEM" })
    ));
}

#[test]
fn files_are_named_by_their_errors() {
    assert!(matches!(
        Keys::jwk_set_file("no/such/file"),
        Err(ConfigError::File { path, .. }) if path == Path::new("no/such/file")
    ));
    assert!(matches!(
        Keys::pem_file("no/such/file", Algorithm::RS256),
        Err(ConfigError::File { .. })
    ));
    let told = problem(Keys::pem_file(file("rsa1024.pub.pem"), Algorithm::RS256));
    assert!(told.contains("rsa1024.pub.pem"), "{told}");
    let set = std::env::temp_dir().join(format!("tower-warden-{}.json", std::process::id()));
    std::fs::write(
        &set,
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}"}}]}}"#),
    )
    .unwrap();
    let keys = Keys::jwk_set_file(&set);
    std::fs::remove_file(&set).unwrap();
    assert!(keys.is_ok());
}

#[test]
fn no_key_prints_its_secret() {
    let secret = "correct-horse-battery-staple-0123";
    let key = Key::secret(secret, Algorithm::HS256).unwrap().with_id("a");
    let keys = Keys::new([key.clone()]).unwrap();
    let printed = format!("{key:?} {keys:?} {keys:#?}");
    assert!(
        printed.contains("HS256") && printed.contains('a'),
        "{printed}"
    );
    assert!(
        !printed.contains("horse") && !printed.contains("99, 111, 114"),
        "{printed}"
    );
    // Errors do not repeat it either.
    let jwk = format!(r#"{{"kty":"oct","alg":"HS256","use":"enc","k":"{secret}"}}"#);
    let error = Key::jwk(jwk).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("horse"));
    let error = Key::secret("horse", Algorithm::HS256).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("horse"));
    let error = Key::jwk(r#""horse horse"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("horse"));
}
