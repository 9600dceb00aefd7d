//! Keys that rotate: who waits, who does not, and how often the provider is asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::errors::ErrorKind;
use jwks_client_rs::{
    JsonWebKeySet, JwksClient, JwksClientError,
    source::{JwksSource, WebSource},
};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};
use tower_warden::{
    Algorithm, BearerToken, JwtAuthLayer, RejectionKind, RemoteKeys, SigningKey, TokenIssuer,
    Verification, Verifier,
};

use crate::{
    log_lines::LogLines,
    provider::{Provider, Reply, StillClock, key, on_the_spot, settle, signer, token, verdict},
    support::{Inner, get},
};

const ISSUER: &str = "https://id.example";
const UNKNOWN: Result<(), RejectionKind> = Err(RejectionKind::KeyUnknown);
const UNAVAILABLE: Result<(), RejectionKind> = Err(RejectionKind::KeysUnavailable);

async fn verifier(keys: RemoteKeys, clock: &StillClock) -> Verifier {
    Verifier::remote(keys)
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone())
        .build()
        .await
        .unwrap()
}

/// A provider that publishes the keys of the signer, whatever they are at the moment.
async fn publishing(signer: &TokenIssuer) -> Provider {
    let signer = signer.clone();
    Provider::start(move |_| Reply::json(signer.jwk_set())).await
}

/// A token of nobody's, with a key ID of its own.
fn stray(number: usize, clock: &StillClock) -> BearerToken<'static> {
    token(&signer(ISSUER, &format!("stray-{number}"), clock))
}

fn held(gate: &Arc<Semaphore>, set: impl Into<String>) -> Reply {
    Reply::Held(Arc::clone(gate), Box::new(Reply::json(set)))
}

/// Lets everything run that can.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = Duration::from_secs(20);
    assert!(
        tokio::time::timeout(limit, waiting).await.is_ok(),
        "it never happened"
    );
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_one_fetch_and_delays_nobody() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    // Patience for slow machines; nobody here is meant to run out of it.
    let keys = RemoteKeys::jwks(&provider.url)
        .with_patience(Duration::from_secs(10))
        .with_timeout(Duration::from_secs(30));
    let log = LogLines::capture();
    let verifier = verifier(keys, &clock).await;
    let valid = token(&signer);

    let gate = Arc::new(Semaphore::new(0));
    provider.reply(held(&gate, signer.jwk_set()));
    let strays: Vec<_> = (0..2).map(|number| stray(number, &clock)).collect();
    let mut waits = Vec::new();
    for number in 0..1_000 {
        // Each with an ID of its own: the claims and the signature do not matter, for nobody looks at them.
        let Verification::KeyMissing(wait) = verifier.check(&forged(&strays[0], number)) else {
            panic!("{number}: the provider has to be asked first");
        };
        waits.push(tokio::spawn(wait));
        // The answer for a valid token comes within the call, while the provider does not answer at all.
        if number % 50 == 0 {
            assert!(on_the_spot(&verifier, &valid), "{number}");
        }
    }
    gate.add_permits(10);
    for (number, wait) in waits.into_iter().enumerate() {
        // One was asked for. The others came while that was under way, and the next fetch may not begin yet.
        let kind = wait.await.unwrap().unwrap_err().kind();
        let wanted = match number {
            0 => RejectionKind::KeyUnknown,
            _ => RejectionKind::KeysUnavailable,
        };
        assert_eq!(kind, wanted, "{number}");
    }
    assert_eq!(
        provider.hits(),
        2,
        "one at the start, one for a thousand strays"
    );

    // For the next 30 s nobody is asked, and nobody waits.
    for number in 2_000..2_100 {
        let forged = forged(&strays[0], number);
        assert!(matches!(verifier.check(&forged), Verification::Rejected(_)));
    }
    clock.advance(29);
    assert_eq!(verdict(&verifier, &strays[1]).await, UNAVAILABLE);
    assert_eq!(provider.hits(), 2);
    clock.advance(1);
    assert_eq!(verdict(&verifier, &strays[1]).await, UNKNOWN);
    assert_eq!(provider.hits(), 3);
    // The one that was asked for is remembered as soon as the next may be asked for again.
    clock.advance(29);
    assert_eq!(verdict(&verifier, &strays[1]).await, UNKNOWN);
    assert_eq!(provider.hits(), 3);
    let lines = log.take();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("keys fetched, the set is new"), "{lines}");
}

/// The token with another key ID, and so with a signature that is worth nothing.
fn forged(token: &BearerToken<'_>, number: usize) -> BearerToken<'static> {
    let (_, rest) = token.expose().split_once('.').unwrap();
    let header = format!(r#"{{"alg":"EdDSA","kid":"random-{number}"}}"#);
    let header = base64_simd::URL_SAFE_NO_PAD.encode_to_string(header);
    BearerToken::new(format!("{header}.{rest}"))
}

#[tokio::test]
async fn two_hundred_first_requests_cost_one_fetch() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let gate = Arc::new(Semaphore::new(0));
    let provider = Provider::always(held(&gate, signer.jwk_set())).await;
    let verifier = Verifier::jwks(&provider.url)
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone())
        .with_lazy_keys()
        .build()
        .await
        .unwrap();
    let log = LogLines::capture();
    assert!(!verifier.ready());
    assert_eq!(verifier.keys_age(), None);
    let valid = token(&signer);
    let waits: Vec<_> = (0..200)
        .map(|_| tokio::spawn(settle(verifier.check(&valid))))
        .collect();
    assert_eq!(
        verifier.verify(&valid).unwrap_err().kind(),
        RejectionKind::KeysUnavailable
    );
    // What is no token is none, whether there are keys or not.
    let junk = BearerToken::new("a.b.c");
    assert_eq!(
        verdict(&verifier, &junk).await,
        Err(RejectionKind::TokenMalformed)
    );
    gate.add_permits(10);
    for wait in waits {
        assert_eq!(wait.await.unwrap(), Ok(()));
    }
    assert_eq!(provider.hits(), 1);
    let lines = log.take();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("keys fetched, the set is new"), "{lines}");
    assert!(verifier.ready());
    clock.advance(7);
    assert_eq!(verifier.keys_age(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn lazy_keys_answer_503_until_the_provider_is_there() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = Provider::always(Reply::status(500)).await;
    let verifier = Verifier::jwks(&provider.url)
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone())
        .with_lazy_keys()
        .build()
        .await
        .unwrap();
    let valid = token(&signer);
    assert_eq!(verdict(&verifier, &valid).await, UNAVAILABLE);
    provider.reply(Reply::json(signer.jwk_set()));
    clock.advance(30);
    assert_eq!(verdict(&verifier, &valid).await, Ok(()));
}

#[tokio::test]
async fn a_request_that_goes_away_cancels_no_fetch() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    signer.rotate(key("b")).unwrap();
    let gate = Arc::new(Semaphore::new(0));
    provider.reply(held(&gate, signer.jwk_set()));
    let fresh = token(&signer);
    let Verification::KeyMissing(wait) = verifier.check(&fresh) else {
        panic!("the key is not there yet");
    };
    drop(wait);
    gate.add_permits(1);
    until(|| on_the_spot(&verifier, &fresh)).await;
    assert_eq!(provider.hits(), 2);
}

#[tokio::test]
async fn patience_ends_with_503() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let keys = RemoteKeys::jwks(&provider.url).with_patience(Duration::from_millis(20));
    let verifier = verifier(keys, &clock).await;
    provider.reply(held(&Arc::new(Semaphore::new(0)), ""));
    assert_eq!(verdict(&verifier, &stray(0, &clock)).await, UNAVAILABLE);
    assert!(on_the_spot(&verifier, &token(&signer)));
}

#[tokio::test]
async fn a_key_that_signs_before_it_is_published_is_refused_no_longer_than_the_floor() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = Provider::always(Reply::json(signer.jwk_set())).await;
    let keys = RemoteKeys::jwks(&provider.url).with_refetch_floor(Duration::from_secs(1));
    let verifier = verifier(keys, &clock).await;
    signer.rotate(key("b")).unwrap();
    let early = token(&signer);
    assert_eq!(verdict(&verifier, &early).await, UNKNOWN);
    provider.reply(Reply::json(signer.jwk_set()));
    assert_eq!(verdict(&verifier, &early).await, UNKNOWN);
    clock.advance(2);
    assert_eq!(verdict(&verifier, &early).await, Ok(()));
    assert_eq!(provider.hits(), 3);
}

#[tokio::test]
async fn a_fetch_older_than_the_token_does_not_convict_it() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let keys = RemoteKeys::jwks(&provider.url).with_patience(Duration::from_secs(10));
    let verifier = verifier(keys, &clock).await;
    let gate = Arc::new(Semaphore::new(0));

    // Twice: once behind a fetch that was due, once behind one that another token has just caused.
    for (id, forced) in [("b", false), ("c", true)] {
        clock.advance(if forced { 60 } else { 481 });
        let hits = provider.hits();
        provider.reply(held(&gate, signer.jwk_set()));
        let stray = stray(0, &clock);
        let other = forced.then(|| verifier.check(&stray));
        assert!(on_the_spot(&verifier, &token(&signer)));
        until(|| provider.hits() == hits + 1).await;

        // The answer that is on its way was written before the rotation.
        signer.rotate(key(id)).unwrap();
        let fresh = token(&signer);
        let requests: Vec<_> = (0..10)
            .map(|_| tokio::spawn(settle(verifier.check(&fresh))))
            .collect();
        provider.reply(Reply::json(signer.jwk_set()));
        gate.add_permits(1);
        // Where the floor forbids another question, nobody can tell yet.
        let wanted = if forced { UNAVAILABLE } else { Ok(()) };
        for request in requests {
            assert_eq!(request.await.unwrap(), wanted, "{id}");
        }
        if let Some(other) = other {
            assert_eq!(settle(other).await, UNKNOWN);
        }
        assert_eq!(provider.hits(), hits + if forced { 1 } else { 2 });
    }
    clock.advance(30);
    assert_eq!(verdict(&verifier, &token(&signer)).await, Ok(()));
}

#[tokio::test]
async fn an_hour_without_provider_is_not_noticed_and_a_day_is() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let valid = token(&signer);
    provider.reply(Reply::HangUp);
    for minute in 0..60 {
        assert!(on_the_spot(&verifier, &valid), "minute {minute}");
        let hits = provider.hits();
        clock.advance(60);
        // A fetch is due in some of these minutes, and fails.
        let _ = verifier.refresh().await;
        assert!(provider.hits() > hits);
    }
    assert!(on_the_spot(&verifier, &valid));
    assert_eq!(verifier.keys_age(), Some(Duration::from_secs(3_600)));

    clock.advance(23 * 3_600 - 1);
    assert!(on_the_spot(&verifier, &valid));
    assert!(verifier.ready());
    clock.advance(1);
    assert_eq!(verdict(&verifier, &valid).await, UNAVAILABLE);
    assert!(!verifier.ready());
    for _ in 0..10 {
        clock.advance(31);
        assert_eq!(verdict(&verifier, &valid).await, UNAVAILABLE);
    }

    // The first request after the floor finds the provider well again.
    let signer = signer.clone();
    provider.script(move |_| Reply::json(signer.jwk_set()));
    clock.advance(31);
    assert_eq!(verdict(&verifier, &valid).await, Ok(()));
    assert!(verifier.ready());
}

/// The same as its clients have it: nothing changes for them, and when it does they are told to come again.
#[tokio::test]
async fn the_layer_bridges_an_outage_and_says_when_it_cannot() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let inner = Inner::default();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let service = layer.layer(inner.clone());
    let valid = token(&signer);
    let send = async || service.clone().oneshot(get("/chat", &valid)).await.unwrap();
    let log = LogLines::capture();
    provider.reply(Reply::HangUp);
    for minute in 1..=60 {
        assert_eq!(send().await.status(), 200, "minute {minute}");
        assert_eq!(inner.calls(), minute);
        let hits = provider.hits();
        clock.advance(60);
        // A fetch is due in some of these minutes, and fails.
        let _ = verifier.refresh().await;
        assert!(provider.hits() > hits);
    }
    clock.advance(23 * 3_600 - 1);
    assert_eq!(send().await.status(), 200);

    let lines = log.take();
    assert_eq!(lines.matches("stay in use").count(), 1, "{lines}");
    assert!(!lines.contains("ERROR"), "{lines}");

    clock.advance(1);
    let calls = inner.calls();
    for _ in 0..3 {
        let refused = send().await;
        assert_eq!(refused.status(), 503);
        let has = |name| refused.headers().contains_key(name);
        assert!(has("retry-after"));
        assert!(!has("www-authenticate"), "it is no fault of the token");
        clock.advance(31);
    }
    assert_eq!(
        inner.calls(),
        calls,
        "no refused request reaches the service"
    );
    let lines = log.take();
    let errors = lines.matches("ERROR").count();
    assert!((1..=3).contains(&errors), "one for each fetch: {lines}");
    let none = lines.matches("there are none to go on with").count();
    assert_eq!(none, errors, "{lines}");

    let signer = signer.clone();
    provider.script(move |_| Reply::json(signer.jwk_set()));
    assert_eq!(send().await.status(), 200);
    assert_eq!(inner.calls(), calls + 1);
}

#[tokio::test]
async fn unknown_keys_are_503_while_the_provider_fails_and_401_once_it_answers() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let stray = stray(0, &clock);
    provider.reply(Reply::status(500));
    assert_eq!(verdict(&verifier, &stray).await, UNAVAILABLE);
    // Within the floor nobody is asked, and still nobody knows.
    assert_eq!(verdict(&verifier, &stray).await, UNAVAILABLE);
    assert_eq!(provider.hits(), 2);
    provider.reply(Reply::json(signer.jwk_set()));
    clock.advance(30);
    assert_eq!(verdict(&verifier, &stray).await, UNKNOWN);
}

#[tokio::test]
async fn a_set_that_is_due_is_fetched_behind_the_scenes() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let set = signer.jwk_set();
    let header = String::from("cache-control: max-age=1000\r\n");
    let provider = Provider::always(Reply::Answer(200, header, set.into_bytes())).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let valid = token(&signer);
    clock.advance(719);
    assert!(on_the_spot(&verifier, &valid));
    assert_eq!(provider.hits(), 1);
    clock.advance(82);
    assert!(on_the_spot(&verifier, &valid), "nobody waits for it");
    until(|| verifier.keys_age() == Some(Duration::ZERO)).await;
    assert_eq!(provider.hits(), 2);
}

#[tokio::test]
async fn a_stale_limit_under_the_lifetime_leaves_time_for_the_next_fetch() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let header = String::from("cache-control: max-age=86400\r\n");
    let set = signer.jwk_set().into_bytes();
    let provider = Provider::always(Reply::Answer(200, header, set)).await;
    let keys = RemoteKeys::jwks(&provider.url).with_stale_limit(Duration::from_secs(3_600));
    let verifier = verifier(keys, &clock).await;
    for round in 1..=3 {
        clock.advance(50 * 60);
        assert!(verifier.ready(), "round {round}");
        until(|| verifier.keys_age() == Some(Duration::ZERO)).await;
        assert_eq!(provider.hits(), 1 + round);
    }
}

#[tokio::test]
async fn the_last_handle_takes_the_tasks_along() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let clone = verifier.clone();
    // One that waits for its time, and one that waits for the provider.
    provider.reply(held(&Arc::new(Semaphore::new(0)), ""));
    drop(verifier.check(&stray(0, &clock)));
    until(|| provider.hits() == 2).await;
    drop(verifier);
    assert!(on_the_spot(&clone, &token(&signer)));
    assert!(tasks() > before);
    drop(clone);
    provider.reply(Reply::HangUp);
    // What remains is the provider's own side of the connection, until it notices.
    until(|| tasks() <= before + 1).await;
}

#[test]
fn a_verifier_outlives_the_runtime_it_was_built_in() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let serving = runtime();
    let provider = serving.block_on(publishing(&signer));
    let first = runtime();
    let verifier = first.block_on(verifier(RemoteKeys::jwks(&provider.url), &clock));
    drop(first);
    signer.rotate(key("b")).unwrap();
    let fresh = token(&signer);
    // Outside of any runtime nobody can be asked, and nobody panics.
    assert_eq!(
        verifier.verify(&fresh).unwrap_err().kind(),
        RejectionKind::KeysUnavailable
    );
    clock.advance(60);
    assert_eq!(runtime().block_on(verdict(&verifier, &fresh)), Ok(()));
}

#[tokio::test]
async fn a_source_that_panics_is_a_failed_fetch() {
    struct Panicking;

    #[async_trait::async_trait]
    impl JwksSource for Panicking {
        async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
            panic!("a source of another crate")
        }
    }

    let built = Verifier::remote(RemoteKeys::source(Panicking))
        .with_issuer(ISSUER)
        .build()
        .await;
    let text = built.unwrap_err().to_string();
    assert!(text.contains("interrupted"), "{text}");
}

#[tokio::test]
async fn what_a_source_says_of_its_failure_is_cut_and_escaped() {
    struct Talkative;

    #[async_trait::async_trait]
    impl JwksSource for Talkative {
        async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
            let text = format!("a\r\nINFO all is well\u{1b}[2J{}", "x".repeat(1 << 20));
            Err(jsonwebtoken::errors::Error::from(ErrorKind::Provider(text)).into())
        }
    }

    let log = LogLines::capture();
    let built = Verifier::remote(RemoteKeys::source(Talkative))
        .with_issuer(ISSUER)
        .build()
        .await;
    let error = built.unwrap_err();
    for text in [error.to_string(), format!("{error:?}"), log.take()] {
        assert!(text.contains("INFO all is well"), "{text}");
        assert!(text.len() < 1_000, "{} bytes", text.len());
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    }
}

#[tokio::test]
async fn a_source_of_another_crate_plugs_in_and_so_does_ours_elsewhere() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let foreign = WebSource::builder()
        .build(provider.url.parse().unwrap())
        .unwrap();
    let verifier = verifier(RemoteKeys::source(foreign), &clock).await;
    assert!(on_the_spot(&verifier, &token(&signer)));

    let ours = tower_warden::HttpJwksSource::new(&provider.url).unwrap();
    let client = JwksClient::builder().build(ours);
    assert_eq!(client.get("a").await.unwrap().key_id(), "a");
    assert!(client.get("b").await.is_err());
}

/// A source without any network: time alone decides when it is asked.
#[derive(Clone)]
struct Counting {
    asked: Arc<AtomicUsize>,
    answers: Arc<AtomicBool>,
    signer: TokenIssuer,
}

#[async_trait::async_trait]
impl JwksSource for Counting {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.answers.load(Ordering::SeqCst) {
            Ok(serde_json::from_str(&self.signer.jwk_set()).unwrap())
        } else {
            Err(jsonwebtoken::errors::Error::from(ErrorKind::InvalidToken).into())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn time_alone_brings_fresh_keys_ahead_of_need_and_failures_ever_later() {
    let clock = StillClock::new();
    let source = Counting {
        asked: Arc::default(),
        answers: Arc::new(AtomicBool::new(true)),
        signer: signer(ISSUER, "a", &clock),
    };
    let asked = || source.asked.load(Ordering::SeqCst);
    let verifier = verifier(RemoteKeys::source(source.clone()), &clock).await;
    assert_eq!(asked(), 1);
    // 72 to 80 % of ten minutes.
    tokio::time::sleep(Duration::from_secs(431)).await;
    assert_eq!(asked(), 1);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(asked(), 2);

    source.answers.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(481)).await;
    let failing = asked();
    assert!(failing > 2);
    // Pauses of 1 s, 2 s, 4 s … 5 min, each shortened by half at most: how many of the short ones are over already is
    // a matter of chance.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let more = asked() - failing;
    assert!((12..=24 + 16).contains(&more), "{more} fetches in an hour");
    assert!(on_the_spot(&verifier, &token(&source.signer)));

    source.answers.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(301)).await;
    let well = asked();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let more = asked() - well;
    assert!(
        (7..=9).contains(&more),
        "{more} fetches in an hour without trouble"
    );
    let last = asked();

    drop(verifier);
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(asked(), last, "nobody asks for a verifier that is gone");
}

#[tokio::test]
async fn a_provider_may_change_its_algorithm() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let es256 = SigningKey::generate(Algorithm::ES256).unwrap().with_id("b");
    signer.rotate(es256).unwrap();
    assert_eq!(verdict(&verifier, &token(&signer)).await, Ok(()));

    // But a token cannot make anybody look for a key that would not be allowed.
    let secret = TokenIssuer::builder(
        SigningKey::hs256("a secret of at least thirty-two bytes")
            .unwrap()
            .with_id("c"),
    );
    let token = token(&secret.with_clock(clock).build().unwrap());
    assert_eq!(
        verdict(&verifier, &token).await,
        Err(RejectionKind::AlgorithmNotAllowed)
    );
    assert_eq!(provider.hits(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_agree_on_one_fetch() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    for round in 0..10 {
        let before = provider.hits();
        let keys = RemoteKeys::jwks(&provider.url)
            .with_patience(Duration::from_secs(10))
            .with_timeout(Duration::from_secs(30));
        let verifier = Verifier::remote(keys)
            .with_issuer(ISSUER)
            .with_audience("api")
            .with_clock(clock.clone())
            .with_lazy_keys()
            .build()
            .await
            .unwrap();
        let valid = token(&signer);
        let requests: Vec<_> = (0..50)
            .map(|number| {
                let (verifier, valid) = (verifier.clone(), valid.clone());
                tokio::spawn(async move {
                    let stray = verdict(&verifier, &forged(&valid, number)).await;
                    (verdict(&verifier, &valid).await, stray)
                })
            })
            .collect();
        for request in requests {
            let (valid, stray) = request.await.unwrap();
            assert_eq!(valid, Ok(()), "round {round}");
            assert!([UNKNOWN, UNAVAILABLE].contains(&stray), "round {round}");
        }
        let fetches = provider.hits() - before;
        assert!(
            (1..=2).contains(&fetches),
            "round {round}: {fetches} fetches"
        );
    }
}

/// What a client of the layer gets.
#[tokio::test]
async fn the_layer_waits_for_the_key_and_says_whose_fault_it_is() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "a", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let inner = Inner::default();
    let service = JwtAuthLayer::verifier(verifier)
        .build()
        .unwrap()
        .layer(inner.clone());
    let send = async |token: &BearerToken<'_>| {
        let response = service.clone().oneshot(get("/chat", token)).await.unwrap();
        let header = |name| response.headers().get(name).cloned();
        (
            response.status().as_u16(),
            header("retry-after").is_some(),
            header("www-authenticate").is_some(),
        )
    };
    assert_eq!(send(&token(&signer)).await, (200, false, false));
    signer.rotate(key("b")).unwrap();
    assert_eq!(
        send(&token(&signer)).await,
        (200, false, false),
        "it was worth waiting"
    );
    assert_eq!(provider.hits(), 2);
    let stray = stray(0, &clock);
    assert_eq!(send(&stray).await, (401, false, true));
    provider.reply(Reply::status(500));
    clock.advance(30);
    assert_eq!(send(&stray).await, (503, true, false));
    assert_eq!(send(&token(&signer)).await, (200, false, false));
    assert_eq!(inner.calls(), 3);
}
