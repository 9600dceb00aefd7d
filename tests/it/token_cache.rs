//! What a token that was verified before is spared, and what it is not.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde::Deserialize;
use tower_warden::{
    Algorithm, BearerToken, CacheConfig, ConfigError, JwtAuthLayer, Keys, NumericDate,
    RejectionKind, Revocation, Revocations, VerifiedToken, Verifier,
};

use crate::{
    support::{self, get, send},
    tokens::{
        SECRET, TestClock, hs256, key, keys, refusal, secret, signed, token, verifier, verify,
    },
};

/// A token that is good from 1 000 s to 2 000 s after the epoch.
fn good(number: usize) -> String {
    hs256(format!(
        r#"{{"sub":"alice-{number}","jti":"{number}","iat":1000,"nbf":1000,"exp":2000}}"#
    ))
}

/// Whether the token is known, instead of being verified anew.
#[track_caller]
fn is_known(verifier: &Verifier, token: &str) -> bool {
    let first = verify(verifier, token).unwrap();
    let second = verify(verifier, token).unwrap();
    Arc::ptr_eq(&first, &second)
}

#[test]
fn a_token_that_comes_again_is_known_unless_that_was_switched_off() {
    assert!(is_known(&verifier().build().unwrap(), &good(1)));
    let large = CacheConfig::new().with_max_bytes(1 << 30);
    assert!(is_known(
        &verifier().with_cache(large).build().unwrap(),
        &good(1)
    ));
    assert!(!is_known(
        &verifier().without_cache().build().unwrap(),
        &good(1)
    ));
    // Clones are one verifier.
    let verifier = verifier().build().unwrap();
    let first = verify(&verifier.clone(), &good(1)).unwrap();
    assert!(Arc::ptr_eq(&first, &verify(&verifier, &good(1)).unwrap()));
}

#[test]
fn what_an_application_reads_of_a_known_token_is_read_once() {
    #[derive(Deserialize)]
    struct Mine {
        jti: String,
    }
    let verifier = verifier().build().unwrap();
    let first = verify(&verifier, &good(7)).unwrap().claims::<Mine>();
    let second = verify(&verifier, &good(7)).unwrap().claims::<Mine>();
    let first = first.unwrap();
    assert_eq!(first.jti, "7");
    assert!(Arc::ptr_eq(&first, &second.unwrap()));
}

#[test]
fn a_token_of_more_than_4_kib_is_verified_each_time() {
    let sized = |wanted: usize| {
        let of = |filler: usize| {
            let filler = "x".repeat(filler);
            hs256(format!(r#"{{"sub":"alice","exp":2000,"x":"{filler}"}}"#))
        };
        (0..wanted)
            .map(of)
            .find(|token| token.len() == wanted)
            .unwrap()
    };
    let verifier = verifier().build().unwrap();
    assert!(is_known(&verifier, &sized(4096)));
    assert!(!is_known(&verifier, &sized(4097)));
}

#[test]
fn time_goes_over_known_tokens_as_over_new_ones() {
    let clock = Arc::new(TestClock::at(1_000));
    let builder = || Verifier::builder(keys(Algorithm::HS256)).with_clock(Arc::clone(&clock));
    let (plain, aging) = (
        builder().build().unwrap(),
        builder()
            .with_max_age(std::time::Duration::from_secs(500))
            .build()
            .unwrap(),
    );
    for verifier in [&plain, &aging] {
        assert!(is_known(verifier, &good(1)));
    }
    let (expired, early, old) = (
        Err(RejectionKind::TokenExpired),
        Err(RejectionKind::TokenNotYetValid),
        Err(RejectionKind::TokenTooOld),
    );
    // Leeway is 30 s. The clock goes back as well, as clocks do.
    for (now, by_plain, by_aging) in [
        (2_029, Ok(()), old),
        (2_030, expired, expired),
        (1_529, Ok(()), Ok(())),
        (1_530, Ok(()), old),
        (970, Ok(()), Ok(())),
        (969, early, early),
        (1_000, Ok(()), Ok(())),
    ] {
        clock.set(now);
        for (verifier, verdict) in [(&plain, by_plain), (&aging, by_aging)] {
            assert_eq!(verify(verifier, &good(1)).map(drop), verdict, "{now}");
            // The same as is said of one that was never met.
            let other = good(now as usize);
            assert_eq!(verify(verifier, &other).map(drop), verdict, "{now}");
        }
    }
}

#[test]
fn a_change_of_keys_empties_the_cache_at_once() {
    let named = |id: &str| key(Algorithm::HS256).with_id(id);
    let kid = |id: &str| {
        let header = format!(r#"{{"alg":"HS256","kid":"{id}"}}"#);
        token(header, r#"{"sub":"alice","exp":2000}"#, Algorithm::HS256)
    };
    let both = || Keys::new([named("a"), named("b")]).unwrap();
    let verifier = Verifier::builder(both())
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap();
    let known: Vec<Weak<VerifiedToken>> = ["a", "b"]
        .map(|id| Arc::downgrade(&verify(&verifier, &kid(id)).unwrap()))
        .into();
    let is_kept = |token: &Weak<VerifiedToken>| token.upgrade().is_some();
    assert!(known.iter().all(is_kept));

    // A key is removed: its tokens go, and those of the others are verified anew.
    verifier.reload(Keys::new([named("b")]).unwrap()).unwrap();
    assert!(!known.iter().any(is_kept), "nobody holds what was verified");
    assert_eq!(refusal(&verifier, &kid("a")), RejectionKind::KeyUnknown);
    assert!(is_known(&verifier, &kid("b")));

    // The same keys loaded again, and another secret under the old name.
    let before = verify(&verifier, &kid("b")).unwrap();
    verifier.reload(Keys::new([named("b")]).unwrap()).unwrap();
    assert!(!Arc::ptr_eq(
        &before,
        &verify(&verifier, &kid("b")).unwrap()
    ));
    let other = tower_warden::Key::secret(secret::<32>(0x33), Algorithm::HS256).unwrap();
    verifier
        .reload(Keys::new([other.with_id("b")]).unwrap())
        .unwrap();
    assert_eq!(
        refusal(&verifier, &kid("b")),
        RejectionKind::SignatureInvalid
    );

    // Keys that cannot be used change nothing.
    verifier.reload(both()).unwrap();
    let before = verify(&verifier, &kid("b")).unwrap();
    let strict = Verifier::builder(both())
        .with_algorithms([Algorithm::HS256])
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap();
    let kept = verify(&strict, &kid("b")).unwrap();
    assert!(strict.reload(keys(Algorithm::RS256)).is_err());
    assert!(Arc::ptr_eq(&kept, &verify(&strict, &kid("b")).unwrap()));
    assert!(Arc::ptr_eq(&before, &verify(&verifier, &kid("b")).unwrap()));
}

#[test]
fn what_is_revoked_is_refused_although_it_is_known() {
    let layer = |revocations: &Revocations| {
        JwtAuthLayer::keys(keys(Algorithm::HS256))
            .with_clock(TestClock::at(1_000))
            .with_revocations(revocations.clone())
            .build()
            .unwrap()
    };
    let token = BearerToken::new(good(1));
    let verdict = |layer: &JwtAuthLayer| support::refusal(&send(layer, get("/chat", &token)));
    let date = NumericDate::from_secs;
    for revocation in [
        Revocation::token_id("1", date(3_000)),
        Revocation::subject(None, "alice-1", date(1_001), date(3_000)),
        Revocation::everything(date(1_001), date(3_000)),
    ] {
        let revocations = Revocations::builder()
            .with_clock(TestClock::at(1_000))
            .build();
        let layer = layer(&revocations);
        assert_eq!(verdict(&layer), None);
        assert_eq!(verdict(&layer), None);
        revocations.apply(&revocation).unwrap();
        // `send` has counted the calls of the inner service: there was none.
        assert_eq!(verdict(&layer), Some(RejectionKind::Revoked));
    }
}

#[test]
fn verifiers_with_one_key_know_their_own_tokens_only() {
    let named = |audience: &str| {
        let builder = verifier().with_audience(audience);
        builder.build().unwrap()
    };
    let (orders, bills) = (named("orders"), named("bills"));
    let text = hs256(r#"{"sub":"alice","aud":"orders","exp":2000}"#);
    assert!(is_known(&orders, &text));
    assert_eq!(refusal(&bills, &text), RejectionKind::AudienceMismatch);
    assert!(is_known(&orders, &text));
}

#[test]
fn several_issuers_know_their_own_tokens_only() {
    let named = |issuer: &str, secret: [u8; 64]| {
        let key = tower_warden::Key::secret(secret, Algorithm::HS256).unwrap();
        Verifier::builder(Keys::new([key]).unwrap())
            .with_issuer(format!("https://{issuer}.example"))
            .with_clock(TestClock::at(1_000))
            .build()
            .unwrap()
    };
    // The tokens are signed with the secret of the first.
    let text = |issuer: &str| {
        hs256(format!(
            r#"{{"iss":"https://{issuer}.example","sub":"alice","exp":2000}}"#
        ))
    };
    let one = named("one", SECRET);
    let both = Verifier::issuers([one.clone(), named("two", secret(0x33))]).unwrap();
    assert!(is_known(&both, &text("one")));
    assert_eq!(
        refusal(&both, &text("two")),
        RejectionKind::SignatureInvalid
    );
    assert_eq!(
        refusal(&both, &text("three")),
        RejectionKind::IssuerMismatch
    );
    // What one of them has verified on his own is no news to the others, and a new key of his is none of theirs.
    let known = verify(&one, &text("one")).unwrap();
    assert!(Arc::ptr_eq(&known, &verify(&both, &text("one")).unwrap()));
    one.reload(Keys::hs256([secret::<32>(0x44)]).unwrap())
        .unwrap();
    assert_eq!(
        refusal(&both, &text("one")),
        RejectionKind::SignatureInvalid
    );
    one.reload(keys(Algorithm::HS256)).unwrap();
    assert!(is_known(&both, &text("one")));
}

#[test]
fn no_other_text_is_taken_for_a_known_token() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";
    for algorithm in [Algorithm::HS256, Algorithm::EdDSA] {
        let header = format!(r#"{{"alg":"{algorithm:?}"}}"#);
        let text = token(header, r#"{"sub":"alice","exp":2000}"#, algorithm);
        let verifier = Verifier::builder(keys(algorithm))
            .with_clock(TestClock::at(1_000))
            .build()
            .unwrap();
        assert!(is_known(&verifier, &text));
        // An HMAC is cheap enough to try every character in every place.
        let step = if algorithm == Algorithm::HS256 { 1 } else { 13 };
        for place in 0..text.len() {
            for &other in ALPHABET.iter().step_by(step) {
                let mut altered = text.clone().into_bytes();
                if altered[place] == other {
                    continue;
                }
                altered[place] = other;
                let altered = String::from_utf8(altered).unwrap();
                assert!(verify(&verifier, &altered).is_err(), "{place}: {altered}");
            }
        }
        for (from, to) in [(0, text.len() - 1), (1, text.len())] {
            assert!(verify(&verifier, &text[from..to]).is_err());
        }
        assert!(is_known(&verifier, &text));
    }
}

#[test]
fn junk_takes_nobody_elses_place() {
    let small = CacheConfig::new().with_max_bytes(64 * 1024);
    let verifier = verifier().with_cache(small).build().unwrap();
    let text = good(1);
    let before = verify(&verifier, &text).unwrap();
    let (message, signature) = text.rsplit_once('.').unwrap();
    for number in 0..5_000 {
        let other = format!(r#"{{"sub":"alice-{number}","exp":2000}}"#);
        let header = message.split_once('.').unwrap().0;
        let junk = [
            // Somebody else's signature, and its end, which is what is looked up.
            format!("{header}.{}.{signature}", crate::tokens::base64(&other)),
            hs256(format!(r#"{{"sub":"alice-{number}","exp":900}}"#)),
            hs256(format!(r#"{{"sub":"alice-{number}"}}"#)),
            signed("e30", "e30", Algorithm::HS256),
        ];
        for junk in junk {
            assert!(verify(&verifier, &junk).is_err());
        }
    }
    assert!(Arc::ptr_eq(&before, &verify(&verifier, &text).unwrap()));
}

#[test]
fn a_token_in_use_outlives_a_flood_of_good_ones() {
    let small = CacheConfig::new().with_max_bytes(64 * 1024);
    let verifier = verifier().with_cache(small).build().unwrap();
    let before = verify(&verifier, &good(0)).unwrap();
    let flood: Vec<_> = (1..5_000)
        .map(|number| {
            let seen = verify(&verifier, &good(number)).unwrap();
            let again = verify(&verifier, &good(0)).unwrap();
            assert!(Arc::ptr_eq(&before, &again), "gone after {number}");
            Arc::downgrade(&seen)
        })
        .collect();
    // What had to go is not held any more, and its text was wiped as it went.
    let kept = flood.iter().filter(|token| token.upgrade().is_some());
    assert!((10..200).contains(&kept.count()));
}

#[test]
fn threads_that_share_a_small_cache_get_their_own_tokens_and_never_a_dead_one() {
    const THREADS: usize = 4;
    let named = |secret: [u8; 64]| {
        let key = tower_warden::Key::secret(secret, Algorithm::HS256).unwrap();
        Keys::new([key]).unwrap()
    };
    let small = CacheConfig::new().with_max_bytes(64 * 1024);
    let verifier = verifier().with_cache(small).build().unwrap();
    let tokens: Vec<_> = (0..300).map(good).collect();
    let (done, void) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let checks: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (verifier, tokens, void) = (&verifier, &tokens, &void);
                scope.spawn(move || {
                    for round in 0..20_000 {
                        // A few that everybody wants, and many that nobody does.
                        let wanted =
                            (round * (thread + 1) * 7) % if round % 3 == 0 { 300 } else { 9 };
                        let reloads = void.load(Ordering::SeqCst);
                        match verify(verifier, &tokens[wanted]) {
                            Ok(token) => {
                                let subject = format!("alice-{wanted}");
                                assert_eq!(token.subject(), Some(&*subject));
                                // Even numbers: the key is there. Odd ones: it has been taken away.
                                let still = void.load(Ordering::SeqCst) == reloads;
                                assert!(!(still && reloads % 2 == 1), "a key that is gone");
                            }
                            Err(kind) => assert_eq!(kind, RejectionKind::SignatureInvalid),
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                verifier.reload(named(secret(0x33))).unwrap();
                void.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
                // Counted before it is there: in between, both verdicts are right.
                void.fetch_add(1, Ordering::SeqCst);
                verifier.reload(keys(Algorithm::HS256)).unwrap();
                thread::yield_now();
            }
        });
        for check in checks {
            check.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(void.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_cache_that_cannot_serve_is_refused_where_it_is_configured() {
    let tiny = CacheConfig::new().with_max_bytes(65_535);
    let error = verifier().with_cache(tiny).build().unwrap_err();
    assert!(matches!(
        error,
        ConfigError::Setting {
            name: "with_cache",
            ..
        }
    ));
    assert!(error.to_string().contains("65535 bytes"), "{error}");
    let least = CacheConfig::new().with_max_bytes(65_536);
    assert!(verifier().with_cache(least).build().is_ok());
    // Somebody else's verifier has its cache already.
    let shared = JwtAuthLayer::verifier(verifier().build().unwrap()).without_cache();
    let error = shared.build().unwrap_err();
    assert!(error.to_string().contains("without_cache"), "{error}");
}

#[test]
fn nothing_of_a_known_token_is_printed() {
    let verifier = verifier().build().unwrap();
    let text = good(4711);
    assert!(is_known(&verifier, &text));
    let printed = format!("{verifier:?} {:?}", CacheConfig::new());
    for part in text.split('.').chain(["4711", "alice"]) {
        assert!(!printed.contains(part), "{printed}");
    }
}

/// Keys of a provider, which may change them.
#[cfg(feature = "jwks")]
mod of_a_provider {
    use super::*;
    use crate::provider::{Provider, Reply, StillClock, key, signer, token, verdict};
    use tower_warden::RemoteKeys;

    /// Gives a token up, but for a sign that somebody else still holds it.
    fn weak(token: Arc<VerifiedToken>) -> Weak<VerifiedToken> {
        Arc::downgrade(&token)
    }

    #[tokio::test]
    async fn a_fetch_that_changes_the_set_empties_the_cache_and_any_other_does_not() {
        let clock = StillClock::new();
        let signer = signer("https://id.example", "a", &clock);
        let published = signer.clone();
        let provider = Provider::start(move |_| Reply::json(published.jwk_set())).await;
        let verifier = Verifier::remote(RemoteKeys::jwks(&provider.url))
            .with_issuer("https://id.example")
            .with_audience("api")
            .with_clock(clock.clone())
            .build()
            .await
            .unwrap();
        let first = token(&signer);
        let known = verifier.verify(&first).unwrap();
        verifier.refresh().await.unwrap();
        assert!(Arc::ptr_eq(&known, &verifier.verify(&first).unwrap()));

        // A key comes: what the other one signed is verified anew, and still good.
        signer.rotate(key("b")).unwrap();
        verifier.refresh().await.unwrap();
        let anew = verifier.verify(&first).unwrap();
        assert!(!Arc::ptr_eq(&known, &anew));
        let (known, anew) = (weak(known), weak(anew));
        assert!(known.upgrade().is_none() && anew.upgrade().is_some());

        // A key goes.
        signer.retire("a").unwrap();
        verifier.refresh().await.unwrap();
        assert!(anew.upgrade().is_none());
        let gone = Err(RejectionKind::KeyUnknown);
        assert_eq!(verdict(&verifier, &first).await, gone);
        assert_eq!(verdict(&verifier, &token(&signer)).await, Ok(()));

        // Keys that are too old to be believed verify nothing, whatever is known.
        let second = token(&signer);
        assert!(verifier.verify(&second).is_ok());
        provider.reply(Reply::status(500));
        clock.advance(25 * 60 * 60);
        let unavailable = verifier.verify(&second).unwrap_err();
        assert_eq!(unavailable.kind(), RejectionKind::KeysUnavailable);
    }
}

#[cfg(feature = "introspection")]
#[tokio::test]
async fn opaque_tokens_have_a_cache_of_their_own() {
    use tower_warden::Introspection;

    let introspection = Introspection::new("http://127.0.0.1:1/introspect", "api", "secret");
    let builder = Verifier::introspect(introspection);
    let error = builder.without_cache().build().await.unwrap_err();
    assert!(error.to_string().contains("without_cache"), "{error}");
}
