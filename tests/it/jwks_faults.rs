//! A provider that misbehaves, each fault done for real on loopback.
//!
//! What befalls a whole answer befalls a running service as `a_faulty_answer_changes_nothing` has it: clients whose key is
//! at hand get their 200 as before; those whose key is not get 503 with `Retry-After`, and no challenge. The log says
//! "keys cannot be fetched, the former ones stay in use", once and at WARN until the provider is well again, with this
//! `reason`. A service that starts gets [`ConfigError::Keys`] instead, and the log one ERROR.
//!
//! | fault | reason |
//! | --- | --- |
//! | slow drip | `timeout` |
//! | 1 GB body, announced or not; gzip bomb for a client that unpacks it | `too_long` |
//! | gzip bomb, or any gzip that nobody asked for | `compressed` |
//! | redirect to another host, or 302 to http: not followed, zero hits there | `redirected` |
//! | HTML with 200, truncated JSON, an array, an empty body | `malformed` |
//! | 500, 404, 206 | `status` |
//! | empty set, no usable key | `no_usable_key` |
//! | more than 100 keys | `too_many_keys` |
//! | TLS with an unknown CA, DNS failure, connection refused | `connect` |
//! | connection closed without an answer | `exchange` |
//!
//! A single key that is odd is left out, as `one_odd_key_harms_nobody_else` has it; the log says once for each set "some
//! keys of the set are unusable" at WARN, with the key and what is wrong with it:
//!
//! | key | its tokens | the others' | the log says |
//! | --- | --- | --- | --- |
//! | `use: enc` | 401 | 200 | `use` is not `sig` |
//! | `oct` | 401 | 200 | a shared secret does not belong into a JWK Set |
//! | X25519 | 401 | 200 | it agrees on keys, it does not sign |
//! | RSA 1024 | 401 | 200 | 1024 bits |
//! | unknown `kty` or `alg`, no object, a member twice | 401 | 200 | which |
//! | `kid` twice | 401 | 200 | two keys share the ID |
//! | missing `kid` | 200 if they have none either and no other key fits, else 401 | 200 | nothing |
//! | no `alg` | 200 with the algorithm of its type | 200 | nothing |
//!
//! What time and numbers do is told in `jwks_refresh` and `jwks_rotation`:
//!
//! | fault | what the client gets | what the log says |
//! | --- | --- | --- |
//! | endpoint down for longer than the lifetime | 200 | one WARN, as above |
//! | endpoint down for longer than the stale limit | 503 with `Retry-After` | an ERROR for each failed fetch: "there are none to go on with" |
//! | rotation under load | 200; 401 for keys that are gone | INFO for each new set |
//! | 1 000 random kids | 401, and 200 for valid tokens without waiting; one fetch | INFO for the first set, else nothing |
//! | 200 first requests at once | 200, after the wait for one fetch | INFO for the first set |

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::{Value, json};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tower::{Layer, ServiceExt};
use tower_warden::{
    Algorithm, BearerToken, ConfigError, JwtAuthLayer, RejectionKind, RemoteKeys, SigningKey,
    TokenIssuer, Verifier,
};

use crate::{
    log_lines::LogLines,
    provider::{Provider, Reply, START, StillClock, key, on_the_spot, signer, token, verdict},
    support::{Inner, get},
};

const ISSUER: &str = "https://id.example";

fn keys_at(url: &str) -> RemoteKeys {
    RemoteKeys::jwks(url).with_timeout(Duration::from_secs(1))
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

/// What goes wrong.
enum Fault {
    Reply(Reply),
    /// The same for a client of the application that unpacks what it gets.
    Unpacked(Reply),
    /// The certificate is one that nobody vouches for.
    UnknownAuthority,
    /// The name of the provider is unknown.
    NoSuchName,
    /// Nobody listens.
    Gone,
}

/// A provider to which one of the faults will happen, and the client that asks it.
struct Stage {
    provider: Provider,
    client: Option<reqwest::Client>,
    timeout: Duration,
    names: Names,
    own: TlsAcceptor,
}

impl Stage {
    async fn before(fault: &Fault, set: &str) -> Self {
        let (names, well) = (Names::default(), Reply::json(set));
        let (own, certificate) = certified();
        let mut provider = Provider::always(well.clone()).await;
        let client = reqwest::Client::builder();
        let client = match fault {
            Fault::Reply(_) | Fault::Gone => None,
            Fault::Unpacked(_) => Some(client),
            Fault::NoSuchName => Some(client.dns_resolver(Arc::new(names.clone()))),
            Fault::UnknownAuthority => {
                let script = move |_: &str| well.clone();
                provider = Provider::with_tls(script, own.clone()).await;
                Some(client.tls_certs_only([certificate]))
            }
        };
        Self {
            provider,
            client: client.map(|client| client.build().unwrap()),
            // A slow machine is no fault of the provider; where slowness is, its end has to be waited for.
            timeout: Duration::from_secs(match fault {
                Fault::Reply(Reply::Drip) => 2,
                _ => 30,
            }),
            names,
            own,
        }
    }

    fn keys(&self) -> RemoteKeys {
        let keys = keys_at(&self.provider.url)
            .with_timeout(self.timeout)
            .with_patience(Duration::from_secs(10));
        match &self.client {
            None => keys,
            Some(client) => keys.with_client(client.clone()),
        }
    }

    async fn suffer(&mut self, fault: &Fault) {
        match fault {
            Fault::Reply(reply) | Fault::Unpacked(reply) => self.provider.reply(reply.clone()),
            Fault::UnknownAuthority => self.provider.certify(certified().0),
            Fault::NoSuchName => self.names.forget(),
            Fault::Gone => self.provider.close().await,
        }
    }

    async fn recover(&mut self, fault: &Fault, set: String) {
        self.provider.reply(Reply::json(set));
        match fault {
            Fault::Reply(_) | Fault::Unpacked(_) => {}
            Fault::UnknownAuthority => self.provider.certify(self.own.clone()),
            Fault::NoSuchName => self.names.learn(),
            Fault::Gone => self.provider.open().await,
        }
    }
}

/// A server of TLS with a certificate of its own, which nobody knows.
fn certified() -> (TlsAcceptor, reqwest::Certificate) {
    let own = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let crypto = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let tls = ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    let certificate = reqwest::Certificate::from_der(own.cert.der()).unwrap();
    (Arc::new(tls).into(), certificate)
}

/// A resolver that asks the system, for a name that nobody has (RFC 6761 §6.4) once it forgot the right one.
#[derive(Clone, Default)]
struct Names(Arc<AtomicBool>);

impl Names {
    fn forget(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn learn(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let forgotten = self.0.load(Ordering::SeqCst);
        let host = if forgotten {
            "provider.invalid"
        } else {
            "127.0.0.1"
        };
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[tokio::test]
async fn a_faulty_answer_changes_nothing() {
    let clock = StillClock::new();
    let good = signer(ISSUER, "a", &clock);
    let other = signer(ISSUER, "b", &clock);
    let set = good.jwk_set();
    let page = "<!doctype html><title>Sign in</title>";
    let many: Vec<Value> = (0..101).map(|_| json!({ "kty": "oct" })).collect();
    let oct = json!({ "keys": [{ "kty": "oct", "kid": "a", "k": "c2VjcmV0" }] });
    let canary = Provider::always(Reply::json(other.jwk_set())).await;
    let elsewhere = |place: &str| {
        let set = other.jwk_set().into_bytes();
        Reply::Answer(302, format!("location: {place}\r\n"), set)
    };
    let bomb = Reply::Answer(200, GZIP.into(), gzip(&vec![b' '; 64 << 20]));
    let answer = |status, body: &str| Reply::Answer(status, String::new(), body.into());
    let padded = set.clone() + &" ".repeat(512 * 1024 + 1 - set.len());
    let faults = [
        ("slow drip", Reply::Drip, "timeout"),
        ("1 GB", Reply::Flood(1 << 30), "too_long"),
        ("1 GB, announced", Reply::Announced(1 << 30), "too_long"),
        ("one byte too many", Reply::json(padded), "too_long"),
        (
            "gzip",
            Reply::Answer(200, GZIP.into(), gzip(set.as_bytes())),
            "compressed",
        ),
        ("gzip bomb", bomb.clone(), "compressed"),
        (
            "redirect to another host",
            elsewhere(&canary.url),
            "redirected",
        ),
        (
            "302 to http",
            elsewhere("http://id.example/keys"),
            "redirected",
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
        ("500 with keys", answer(500, &set), "status"),
        ("404", Reply::status(404), "status"),
        ("206 with keys", answer(206, &set), "status"),
        ("empty set", Reply::json(r#"{"keys":[]}"#), "no_usable_key"),
        ("oct only", Reply::json(oct.to_string()), "no_usable_key"),
        (
            "101 keys",
            Reply::json(json!({ "keys": many }).to_string()),
            "too_many_keys",
        ),
        ("hang-up", Reply::HangUp, "exchange"),
    ]
    .map(|(name, reply, reason)| (name, Fault::Reply(reply), reason));
    for (name, fault, wanted) in faults.into_iter().chain([
        ("gzip bomb, unpacked", Fault::Unpacked(bomb), "too_long"),
        ("unknown CA", Fault::UnknownAuthority, "connect"),
        ("DNS failure", Fault::NoSuchName, "connect"),
        ("connection refused", Fault::Gone, "connect"),
    ]) {
        let mut stage = Stage::before(&fault, &set).await;
        let log = LogLines::capture();
        let verifier = build(stage.keys(), &clock).await.unwrap();
        let lines = log.take();
        assert!(lines.contains("keys fetched"), "{name}: {lines}");
        let inner = Inner::default();
        let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
        let service = layer.layer(inner.clone());
        let send = async |token: &BearerToken<'_>| {
            let response = service.clone().oneshot(get("/chat", token)).await.unwrap();
            let has = |name| response.headers().contains_key(name);
            let told = (has("retry-after"), has("www-authenticate"));
            (response.status().as_u16(), told)
        };
        log.take();

        stage.suffer(&fault).await;
        assert_eq!(reason(build(stage.keys(), &clock).await), wanted, "{name}");
        let lines = log.take();
        assert_eq!(lines.matches("ERROR").count(), 1, "{name}: {lines}");

        // The first fetch that a token asks for fails, and so do those that an operator asks for.
        assert_eq!(send(&token(&other)).await, (503, (true, false)), "{name}");
        for _ in 0..2 {
            assert!(verifier.refresh().await.is_err(), "{name}");
            assert_eq!(send(&token(&good)).await, (200, (false, false)), "{name}");
        }
        assert_eq!(send(&token(&other)).await, (503, (true, false)), "{name}");
        assert_eq!(inner.calls(), 2, "{name}");
        assert!(on_the_spot(&verifier, &token(&good)), "{name}");
        assert!(verifier.ready(), "{name}");
        let lines = log.take();
        let told = format!("reason=\"{wanted}\"");
        assert_eq!(lines.matches(&told).count(), 1, "{name}: {lines}");
        assert_eq!(lines.matches("stay in use").count(), 1, "{name}: {lines}");
        assert!(!lines.contains("ERROR"), "{name}: {lines}");
        // What was read of 1 GB cannot be seen from here: the system takes some megabytes of each answer on its own account.
        let sent = stage.provider.sent();
        assert!(sent < 256 << 20, "{name}: {sent}");

        // Once the provider is well again, the next fetch brings what it has.
        stage.recover(&fault, other.jwk_set()).await;
        clock.advance(31);
        assert_eq!(send(&token(&other)).await, (200, (false, false)), "{name}");
        assert_eq!(send(&token(&good)).await, (401, (false, true)), "{name}");
        assert!(log.take().contains("keys can be fetched again"), "{name}");
    }
    assert_eq!(canary.hits(), 0);
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

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_no_certificate() {
    let clock = StillClock::new();
    let good = signer(ISSUER, "a", &clock);
    let set = good.jwk_set();
    let (tls, authority) = certified();
    let provider = Provider::with_tls(move |_| Reply::json(set.clone()), tls).await;
    let built = build(keys_at(&provider.url), &clock).await;
    let error = built.as_ref().unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(reason(built), "connect");
    assert_eq!(provider.hits(), 0);

    // With a client that knows the authority the same provider is as good as any.
    let client = reqwest::Client::builder().tls_certs_only([authority]);
    let keys = keys_at(&provider.url).with_client(client.build().unwrap());
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
    for (name, signing, entry, wanted, told) in [
        (
            "use enc",
            odd().with_id("odd"),
            json!({ "use": "enc" }),
            unknown,
            Some("`use` is not `sig`"),
        ),
        (
            "key_ops without verify",
            odd().with_id("odd"),
            json!({ "use": null, "key_ops": ["sign"] }),
            unknown,
            Some("`key_ops` does not allow `verify`"),
        ),
        (
            "X25519",
            odd().with_id("odd"),
            json!({ "crv": "X25519" }),
            unknown,
            Some("X25519 agrees on keys"),
        ),
        (
            "oct",
            odd().with_id("odd"),
            json!({ "kty": "oct", "k": "c2VjcmV0", "alg": null }),
            unknown,
            Some("a shared secret does not belong"),
        ),
        (
            "unknown kty",
            odd().with_id("odd"),
            json!({ "kty": "AKP", "pub": "AAAA" }),
            unknown,
            Some("`kty` is none of"),
        ),
        (
            "alg of another type",
            odd().with_id("odd"),
            json!({ "alg": "RS256" }),
            unknown,
            Some("`alg` is RS256"),
        ),
        (
            "short x",
            odd().with_id("odd"),
            json!({ "x": "AAAA" }),
            unknown,
            Some(""),
        ),
        (
            "private member",
            odd().with_id("odd"),
            json!({ "d": "AAAA" }),
            unknown,
            Some("holds a private key"),
        ),
        (
            "kid is a number",
            odd().with_id("odd"),
            json!({ "kid": 7 }),
            unknown,
            Some("`kid` is no string"),
        ),
        // RFC 9864 names it beside `Ed25519`, and no backend has it.
        (
            "alg Ed448",
            odd().with_id("odd"),
            json!({ "alg": "Ed448" }),
            unknown,
            Some("`alg` is none of the algorithms"),
        ),
        (
            "no alg",
            odd().with_id("odd"),
            json!({ "alg": null }),
            Ok(()),
            None,
        ),
        (
            "no use",
            odd().with_id("odd"),
            json!({ "use": null, "x5c": ["AAAA"], "x5t": 1 }),
            Ok(()),
            None,
        ),
        // A token that names a key is not verified by one without name.
        (
            "no kid",
            odd().with_id("odd"),
            json!({ "kid": null }),
            unknown,
            None,
        ),
    ] {
        let set = json!({ "keys": [jwk(&signing, entry), jwk(&good, json!({}))] });
        let provider = Provider::always(Reply::json(set.to_string())).await;
        let log = LogLines::capture();
        let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
        let lines = log.take();
        let warnings = lines.matches("WARN").count();
        assert_eq!(warnings, usize::from(told.is_some()), "{name}: {lines}");
        if let Some(told) = told {
            let unusable = "some keys of the set are unusable";
            assert!(
                lines.contains(unusable) && lines.contains(told),
                "{name}: {lines}"
            );
        }
        let good = issued_by(good.clone());
        assert!(on_the_spot(&verifier, &token(&good)), "{name}");
        let odd = token(&issued_by(signing));
        assert_eq!(verdict(&verifier, &odd).await, wanted, "{name}");
    }

    // Two keys of one name verify nothing, and there is nothing to be asked for either.
    let set = json!({ "keys": [
        jwk(&good, json!({})), jwk(&twice, json!({})), jwk(&key("other"), json!({})), 7, null,
    ] });
    let provider = Provider::always(Reply::json(set.to_string())).await;
    let log = LogLines::capture();
    let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
    let lines = log.take();
    assert_eq!(lines.matches("WARN").count(), 1, "{lines}");
    for told in ["`good`", "is no JSON object"] {
        assert!(lines.contains(told), "{told}: {lines}");
    }
    for key in [good, twice] {
        let token = token(&issued_by(key));
        assert_eq!(verdict(&verifier, &token).await, unknown);
    }
    assert_eq!(provider.hits(), 1);
}

/// A key of 1024 bits, and a token that it has signed for us: made with `openssl genrsa 1024` and `openssl dgst -sha256
/// -sign`.
mod weak {
    pub(super) const MODULUS: &str = "xcOhZKUB1GSZ-CHDIjJrt2k6sFrWd3Qa_T_Ls8Bt7j7zGkrQBdCK1o_n6ToUPmX5lY7blsCqikrSX0WnZFw6C5hHIYnNz8ND2fFWfFCXnKAj9BMesUuht2Ne-foTShLxetoz_v5Bi3QkQd-PsgKHrZkLnM5-C-mPTSGWfH4PORs";
    /// `{"alg":"RS256","kid":"weak","typ":"JWT"}`, and the claims of alice.
    pub(super) const SIGNED: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IndlYWsiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJhcGkiLCJzdWIiOiJhbGljZSIsImV4cCI6MTkwMDAwMDA2MH0";
    pub(super) const SIGNATURE: &str = "saQAXfNxqduceL7ztmSl9rnZ_WDQVTO71OqQMyewYVWztSdy9YQnD5Ar9cVBLK4dKFsQYZYLRHSQB1HPgzHKqUACx7GNC_x01l3EdcNnjFsmZd7jKAtPYlIOUFv0QOPJ_C7z3BiBHU6e3KiMqB9th2FLYcbIT8gIq5Ju12eWTs8";
}

#[tokio::test]
async fn a_token_that_a_key_of_1024_bits_has_really_signed_is_refused() {
    use aws_lc_rs::signature::{
        RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents,
    };
    let decoded = |text| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).unwrap();
    let (n, e) = (decoded(weak::MODULUS), decoded("AQAB"));
    assert_eq!(n.len() * 8, 1024);
    // Nothing else is wrong with it: whoever takes such a key accepts the token.
    let legacy = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    RsaPublicKeyComponents { n, e }
        .verify(legacy, weak::SIGNED.as_bytes(), &decoded(weak::SIGNATURE))
        .unwrap();

    let clock = StillClock::new();
    let good = key("good");
    let entry = json!({ "kty": "RSA", "kid": "weak", "e": "AQAB", "n": weak::MODULUS });
    for alg in [Value::Null, json!("RS256")] {
        let mut entry = entry.clone();
        if alg.is_string() {
            entry["alg"] = alg;
        }
        let set = json!({ "keys": [entry, jwk(&good, json!({}))] });
        let provider = Provider::always(Reply::json(set.to_string())).await;
        let log = LogLines::capture();
        let verifier = build(keys_at(&provider.url), &clock).await.unwrap();
        let lines = log.take();
        assert_eq!(lines.matches("WARN").count(), 1, "{lines}");
        assert!(
            lines.contains("some keys of the set are unusable")
                && lines.contains("`weak`")
                && lines.contains("1024"),
            "{lines}"
        );
        let token = BearerToken::new(format!("{}.{}", weak::SIGNED, weak::SIGNATURE));
        let inner = Inner::default();
        let layer = JwtAuthLayer::verifier(verifier).build().unwrap();
        let response = layer.layer(inner.clone()).oneshot(get("/chat", &token));
        assert_eq!(response.await.unwrap().status(), 401);
        assert_eq!(inner.calls(), 0);
        let signer = TokenIssuer::builder(good.clone())
            .with_issuer(ISSUER)
            .with_audience("api")
            .with_clock(clock.clone());
        let token = self::token(&signer.build().unwrap());
        let response = layer.layer(inner.clone()).oneshot(get("/chat", &token));
        assert_eq!(response.await.unwrap().status(), 200);
    }
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

/// Hazards 1: keys that a token names or brings along are never looked at, not even where keys are fetched.
#[tokio::test]
async fn hazard_keys_named_in_a_token_are_never_fetched() {
    let clock = StillClock::new();
    let ours = signer(ISSUER, "ours", &clock);
    let theirs = signer(ISSUER, "theirs", &clock);
    let provider = Provider::always(Reply::json(ours.jwk_set())).await;
    let canary = Provider::always(Reply::json(theirs.jwk_set())).await;
    let keys = RemoteKeys::jwks(format!("{}/jwks", provider.url));
    let verifier = build(keys, &clock).await.unwrap();
    let good = token(&theirs);
    let (_, rest) = good.expose().split_once('.').unwrap();
    for member in ["jku", "x5u"] {
        for kid in ["ours", "theirs"] {
            let header = format!(
                r#"{{"alg":"EdDSA","kid":"{kid}","{member}":"{}/jwks"}}"#,
                canary.url
            );
            let header = base64_simd::URL_SAFE_NO_PAD.encode_to_string(header);
            let token = BearerToken::new(format!("{header}.{rest}"));
            assert!(verdict(&verifier, &token).await.is_err(), "{member} {kid}");
        }
    }
    assert_eq!(canary.hits(), 0);
    assert!(verdict(&verifier, &token(&ours)).await.is_ok());
}
