//! A provider that misbehaves, each fault done for real on loopback.
//!
//! What a client gets is the same for every fault of a whole answer: tokens whose key is at hand are accepted as before,
//! tokens whose key is not are refused with 503. `build` fails with [`ConfigError::Keys`]. The log says so once, with
//! this `reason`:
//!
//! | fault | reason |
//! | --- | --- |
//! | body that drips | `timeout` |
//! | body of 1 GB, announced or not; gzip bomb for a client that unpacks it | `too_long` |
//! | gzip that nobody asked for | `compressed` |
//! | redirect to another host, or to http: not followed | `redirected` |
//! | HTML with 200, truncated JSON, an array, an empty body | `malformed` |
//! | 500, 404, 204 | `status` |
//! | empty set, no usable key | `no_usable_key` |
//! | more than 100 keys | `too_many_keys` |
//! | unknown certificate authority, unknown name, nobody listens | `connect` |
//! | connection closed without an answer | `exchange` |
//!
//! A single key that is odd is left out; the log says "some keys of the set are unusable", and which:
//!
//! | key | its tokens | the others |
//! | --- | --- | --- |
//! | `use: enc`, `oct`, X25519, RSA 1024, unknown `kty`, no object, a member twice | 401 | accepted |
//! | `kid` twice | 401 | accepted |
//! | without `kid` | accepted if they have none either | accepted |
//! | without `alg` | accepted with the algorithm of its type | accepted |

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tower_warden::{
    Algorithm, BearerToken, ConfigError, RejectionKind, RemoteKeys, SigningKey, TokenIssuer,
    Verifier,
};

use crate::{
    log_lines::LogLines,
    provider::{Provider, Reply, START, StillClock, key, on_the_spot, signer, token, verdict},
};

const ISSUER: &str = "https://id.example";

fn keys_at(url: &str) -> RemoteKeys {
    RemoteKeys::jwks(url).with_timeout(Duration::from_millis(500))
}

async fn build(keys: RemoteKeys, clock: &StillClock) -> Result<Verifier, ConfigError> {
    Verifier::remote(keys)
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone())
        .build()
        .await
}

/// The reason why no verifier could be built.
#[track_caller]
fn reason(result: Result<Verifier, ConfigError>) -> &'static str {
    match result {
        Err(ConfigError::Keys { source, .. }) => source.code(),
        other => panic!("{other:?}"),
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

const GZIP: &str = "content-encoding: gzip\r\n";

#[tokio::test]
async fn a_faulty_answer_changes_nothing() {
    let clock = StillClock::new();
    let good = signer(ISSUER, "a", &clock);
    let other = signer(ISSUER, "b", &clock);
    let set = good.jwk_set();
    let page = "<!doctype html><title>Sign in</title>";
    let many: Vec<Value> = (0..101).map(|_| json!({ "kty": "oct" })).collect();
    let oct = json!({ "keys": [{ "kty": "oct", "kid": "a", "k": "c2VjcmV0" }] });
    for (name, fault, wanted) in [
        ("slow drip", Reply::Drip, "timeout"),
        ("1 GB", Reply::Flood(1 << 30), "too_long"),
        (
            "1 MB, announced",
            Reply::json(" ".repeat(1 << 20)),
            "too_long",
        ),
        (
            "one byte too many",
            Reply::json(set.clone() + &" ".repeat(512 * 1024 + 1 - set.len())),
            "too_long",
        ),
        (
            "gzip",
            Reply::Answer(200, GZIP.into(), gzip(set.as_bytes())),
            "compressed",
        ),
        ("HTML with 200", Reply::json(page), "malformed"),
        ("empty body", Reply::json(""), "malformed"),
        (
            "truncated JSON",
            Reply::json(&set[..set.len() - 1]),
            "malformed",
        ),
        ("an array", Reply::json("[]"), "malformed"),
        ("no keys member", Reply::json("{}"), "malformed"),
        (
            "keys is no array",
            Reply::json(r#"{"keys":{}}"#),
            "malformed",
        ),
        ("deep JSON", Reply::json("[".repeat(100_000)), "malformed"),
        ("500", Reply::status(500), "status"),
        (
            "500 with keys",
            Reply::Answer(500, String::new(), set.clone().into_bytes()),
            "status",
        ),
        ("404", Reply::status(404), "status"),
        (
            "206 with keys",
            Reply::Answer(206, String::new(), set.clone().into_bytes()),
            "status",
        ),
        ("empty set", Reply::json(r#"{"keys":[]}"#), "no_usable_key"),
        ("oct only", Reply::json(oct.to_string()), "no_usable_key"),
        (
            "101 keys",
            Reply::json(json!({ "keys": many }).to_string()),
            "too_many_keys",
        ),
        ("hang-up", Reply::HangUp, "exchange"),
    ] {
        let provider = Provider::always(Reply::json(set.clone())).await;
        let log = LogLines::capture();
        let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
        let lines = log.take();
        assert!(lines.contains("keys fetched"), "{name}: {lines}");

        provider.reply(fault);
        assert_eq!(
            reason(build(keys_at(&provider.url), &clock).await),
            wanted,
            "{name}"
        );
        let lines = log.take();
        assert_eq!(lines.matches("ERROR").count(), 1, "{name}: {lines}");

        // The first fetch that a token asks for fails, and so does the one that an operator asks for.
        let missing = verdict(&verifier, &token(&other)).await;
        assert_eq!(missing, Err(RejectionKind::KeysUnavailable), "{name}");
        assert!(verifier.refresh().await.is_err(), "{name}");
        assert!(on_the_spot(&verifier, &token(&good)), "{name}");
        assert!(verifier.ready(), "{name}");
        let lines = log.take();
        assert_eq!(lines.matches("WARN").count(), 1, "{name}: {lines}");
        assert!(
            lines.contains(&format!("reason=\"{wanted}\"")) && lines.contains("stay in use"),
            "{name}: {lines}"
        );
        assert!(provider.sent() < 16 << 20, "{name}: {}", provider.sent());

        // Once the provider is well again, the next fetch brings what it has.
        provider.reply(Reply::json(other.jwk_set()));
        clock.advance(31);
        assert_eq!(verdict(&verifier, &token(&other)).await, Ok(()), "{name}");
        assert_eq!(
            verdict(&verifier, &token(&good)).await,
            Err(RejectionKind::KeyUnknown),
            "{name}"
        );
        assert!(log.take().contains("keys can be fetched again"), "{name}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_whoever_asks() {
    let clock = StillClock::new();
    let good = signer(ISSUER, "a", &clock);
    let canary = Provider::always(Reply::json(good.jwk_set())).await;
    for status in [301, 302, 303, 307, 308] {
        for place in [
            canary.url.clone(),
            canary.url.replace("localhost", "127.0.0.1"),
            String::from("http://169.254.169.254/latest/meta-data"),
            String::from("file:///etc/passwd"),
            String::from("/elsewhere"),
        ] {
            let provider = Provider::always(Reply::Answer(
                status,
                format!("location: {place}\r\n"),
                good.jwk_set().into_bytes(),
            ))
            .await;
            let built = build(keys_at(&provider.url), &clock).await;
            assert_eq!(reason(built), "redirected", "{status} {place}");
            assert_eq!(provider.hits(), 1, "{status} {place}");
        }
    }
    assert_eq!(canary.hits(), 0);

    // A client of the application that follows redirects does so, but its answer is refused.
    let provider = Provider::always(Reply::Answer(
        302,
        format!("location: {}\r\n", canary.url),
        Vec::new(),
    ))
    .await;
    let keys = keys_at(&provider.url).with_client(reqwest::Client::new());
    assert_eq!(reason(build(keys, &clock).await), "redirected");
}

#[tokio::test]
async fn a_gzip_bomb_goes_off_nowhere() {
    let clock = StillClock::new();
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 512 * 1024, "it has to pass as it comes");
    let provider = Provider::always(Reply::Answer(200, GZIP.into(), bomb)).await;
    assert_eq!(
        reason(build(keys_at(&provider.url), &clock).await),
        "compressed"
    );
    let unpacking = keys_at(&provider.url).with_client(reqwest::Client::new());
    assert_eq!(reason(build(unpacking, &clock).await), "too_long");

    // What such a client unpacks within the limit is read as any other answer.
    let good = signer(ISSUER, "a", &clock);
    provider.reply(Reply::Answer(
        200,
        GZIP.into(),
        gzip(good.jwk_set().as_bytes()),
    ));
    let unpacking = keys_at(&provider.url).with_client(reqwest::Client::new());
    let verifier = build(unpacking, &clock).await.unwrap();
    assert!(on_the_spot(&verifier, &token(&good)));
}

#[tokio::test]
async fn a_body_of_512_kib_is_read() {
    let clock = StillClock::new();
    let good = signer(ISSUER, "a", &clock);
    let set = good.jwk_set();
    let padded = set.clone() + &" ".repeat(512 * 1024 - set.len());
    let provider = Provider::always(Reply::json(padded)).await;
    let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
    assert!(on_the_spot(&verifier, &token(&good)));
}

#[cfg(feature = "aws-lc-rs")]
#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_no_certificate() {
    use std::sync::Arc;

    use tokio_rustls::rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    };

    let clock = StillClock::new();
    let good = signer(ISSUER, "a", &clock);
    let set = good.jwk_set();
    let own = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![own.cert.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der())),
        )
        .unwrap();
    let provider =
        Provider::with_tls(move |_| Reply::json(set.clone()), Arc::new(tls).into()).await;
    let built = build(keys_at(&provider.url), &clock).await;
    assert!(
        built
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("certificate"),
        "{built:?}"
    );
    assert_eq!(reason(built), "connect");
    assert_eq!(provider.hits(), 0);

    // With a client that knows the authority the same provider is as good as any.
    let authority = reqwest::Certificate::from_der(own.cert.der()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    let keys = keys_at(&provider.url).with_client(client);
    let verifier = build(keys, &clock).await.unwrap();
    assert!(on_the_spot(&verifier, &token(&good)));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_no_connection() {
    let clock = StillClock::new();
    let gone = Provider::always(Reply::HangUp).await.stop().await;
    assert_eq!(reason(build(keys_at(&gone), &clock).await), "connect");
    #[cfg(feature = "aws-lc-rs")]
    {
        let nowhere = RemoteKeys::jwks("https://provider.invalid/keys");
        assert_eq!(reason(build(nowhere, &clock).await), "connect");
    }
}

#[tokio::test]
async fn an_address_that_is_not_https_is_never_asked() {
    for url in [
        "http://id.example/keys",
        "ftp://id.example/keys",
        "https://u:p@id.example/keys",
        "keys.json",
    ] {
        let built = build(RemoteKeys::jwks(url), &StillClock::new()).await;
        assert_eq!(reason(built), "address", "{url}");
    }
}

/// A public key as JSON, with these members beside or instead of its own.
fn jwk(key: &SigningKey, members: Value) -> Value {
    let mut jwk: Value = serde_json::from_str(&key.public_jwk().unwrap()).unwrap();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => jwk.as_object_mut().unwrap().remove(name),
            value => jwk
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    jwk
}

#[tokio::test]
async fn one_odd_key_harms_nobody_else() {
    let clock = StillClock::new();
    let good = key("good");
    let odd = || SigningKey::generate(Algorithm::EdDSA).unwrap();
    let issued_by = |key: SigningKey| {
        TokenIssuer::builder(key)
            .with_issuer(ISSUER)
            .with_audience("api")
            .with_clock(clock.clone())
            .build()
            .unwrap()
    };
    let unknown = Err(RejectionKind::KeyUnknown);
    let twice = key("good");
    for (name, signing, entry, wanted, warned) in [
        (
            "use enc",
            odd().with_id("odd"),
            json!({ "use": "enc" }),
            unknown,
            true,
        ),
        (
            "key_ops without verify",
            odd().with_id("odd"),
            json!({ "use": null, "key_ops": ["sign"] }),
            unknown,
            true,
        ),
        (
            "X25519",
            odd().with_id("odd"),
            json!({ "crv": "X25519" }),
            unknown,
            true,
        ),
        (
            "oct",
            odd().with_id("odd"),
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            unknown,
            true,
        ),
        (
            "unknown kty",
            odd().with_id("odd"),
            json!({ "kty": "AKP", "pub": "AAAA" }),
            unknown,
            true,
        ),
        (
            "alg of another type",
            odd().with_id("odd"),
            json!({ "alg": "RS256" }),
            unknown,
            true,
        ),
        (
            "short x",
            odd().with_id("odd"),
            json!({ "x": "AAAA" }),
            unknown,
            true,
        ),
        (
            "private member",
            odd().with_id("odd"),
            json!({ "d": "AAAA" }),
            unknown,
            true,
        ),
        (
            "kid is a number",
            odd().with_id("odd"),
            json!({ "kid": 7 }),
            unknown,
            true,
        ),
        (
            "no alg",
            odd().with_id("odd"),
            json!({ "alg": null }),
            Ok(()),
            false,
        ),
        (
            "no use",
            odd().with_id("odd"),
            json!({ "use": null, "x5c": ["AAAA"], "x5t": 1 }),
            Ok(()),
            false,
        ),
        // A token that names a key is not verified by one without name.
        (
            "no kid",
            odd().with_id("odd"),
            json!({ "kid": null }),
            unknown,
            false,
        ),
    ] {
        let set = json!({ "keys": [jwk(&signing, entry), jwk(&good, json!({}))] });
        let provider = Provider::always(Reply::json(set.to_string())).await;
        let log = LogLines::capture();
        let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
        let lines = log.take();
        assert_eq!(lines.contains("unusable"), warned, "{name}: {lines}");
        let good = issued_by(good.clone());
        assert!(on_the_spot(&verifier, &token(&good)), "{name}");
        let odd = token(&issued_by(signing));
        assert_eq!(verdict(&verifier, &odd).await, wanted, "{name}");
    }

    // Two keys of one name verify nothing, and there is nothing to be asked for either.
    let set = json!({ "keys": [
        jwk(&good, json!({})), jwk(&twice, json!({})), jwk(&key("other"), json!({})),
        { "kty": "RSA", "kid": "weak", "e": "AQAB", "n": "x".repeat(171) + "w" }, 7, null,
    ] });
    let provider = Provider::always(Reply::json(set.to_string())).await;
    let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
    for key in [good, twice] {
        let token = token(&issued_by(key));
        assert_eq!(verdict(&verifier, &token).await, unknown);
    }
    assert_eq!(provider.hits(), 1);
}

#[tokio::test]
async fn a_token_without_key_id_needs_the_only_key() {
    let clock = StillClock::new();
    let pem = include_str!("../keys/ed25519.pem");
    let nameless = SigningKey::pem(pem, Algorithm::EdDSA).unwrap();
    let token = {
        let key = jsonwebtoken::EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        let signer = (provider.signer_factory)(&Algorithm::EdDSA, &key).unwrap();
        let claims = json!({ "iss": ISSUER, "aud": "api", "sub": "alice", "exp": START + 60 });
        let [header, claims] = [json!({ "alg": "EdDSA" }), claims]
            .map(|part| base64_simd::URL_SAFE_NO_PAD.encode_to_string(part.to_string()));
        let signature = signer.sign(format!("{header}.{claims}").as_bytes());
        let signature = base64_simd::URL_SAFE_NO_PAD.encode_to_string(signature);
        BearerToken::new(format!("{header}.{claims}.{signature}"))
    };
    let only = json!({ "keys": [jwk(&nameless, json!({ "kid": null }))] });
    let two =
        json!({ "keys": [jwk(&nameless, json!({ "kid": null })), jwk(&key("b"), json!({}))] });
    for (set, wanted) in [(only, Ok(())), (two, Err(RejectionKind::KeyUnknown))] {
        let provider = Provider::always(Reply::json(set.to_string())).await;
        let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
        assert_eq!(verdict(&verifier, &token).await, wanted);
        assert_eq!(provider.hits(), 1, "nobody is asked for a key without name");
    }
}
