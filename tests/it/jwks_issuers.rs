//! Several issuers: each with its own keys, audiences, algorithms and types, and nothing of the others'.

use std::time::Duration;

use tower_warden::{
    Algorithm, BearerToken, ConfigError, Keys, RejectionKind, RemoteKeys, SigningKey, TokenIssuer,
    TokenType, Verifier,
};

use crate::provider::{Provider, Reply, StillClock, key, on_the_spot, signer, token, verdict};

const A: &str = "https://a.example";
const B: &str = "https://b.example";
const LOCAL: &str = "a secret of at least thirty-two bytes";

fn minted(key: SigningKey, issuer: &str, audience: &str, clock: &StillClock) -> TokenIssuer {
    TokenIssuer::builder(key)
        .with_issuer(issuer)
        .with_audience(audience)
        .with_clock(clock.clone())
        .build()
        .unwrap()
}

fn trusting(signer: &TokenIssuer, issuer: &str, audience: &str, clock: &StillClock) -> Verifier {
    Verifier::builder(signer.verification_keys())
        .with_issuer(issuer)
        .with_audience(audience)
        .with_clock(clock.clone())
        .build()
        .unwrap()
}

#[tokio::test]
async fn two_issuers_with_the_same_key_id_never_mix() {
    let clock = StillClock::new();
    let (key_a, key_b) = (key("same"), key("same"));
    let a = minted(key_a.clone(), A, "api-a", &clock);
    let b = minted(key_b.clone(), B, "api-b", &clock);
    let verifier = Verifier::issuers([
        trusting(&a, A, "api-a", &clock),
        trusting(&b, B, "api-b", &clock),
    ])
    .unwrap();
    let forged =
        |key: &SigningKey, issuer, audience| token(&minted(key.clone(), issuer, audience, &clock));
    for (token, wanted) in [
        (token(&a), Ok(())),
        (token(&b), Ok(())),
        // The key of one issuer under the name of the other.
        (
            forged(&key_a, B, "api-b"),
            Err(RejectionKind::SignatureInvalid),
        ),
        (
            forged(&key_b, A, "api-a"),
            Err(RejectionKind::SignatureInvalid),
        ),
        // The audience of one issuer with a token of the other.
        (
            forged(&key_a, A, "api-b"),
            Err(RejectionKind::AudienceMismatch),
        ),
        (
            forged(&key_b, B, "api-a"),
            Err(RejectionKind::AudienceMismatch),
        ),
        // Whoever is not in the list, byte by byte.
        (
            forged(&key_a, "https://c.example", "api-a"),
            Err(RejectionKind::IssuerMismatch),
        ),
        (
            forged(&key_a, "https://a.example/", "api-a"),
            Err(RejectionKind::IssuerMismatch),
        ),
        (
            forged(&key_a, "https://A.example", "api-a"),
            Err(RejectionKind::IssuerMismatch),
        ),
        (
            BearerToken::new("a.b.c"),
            Err(RejectionKind::TokenMalformed),
        ),
        (BearerToken::new(""), Err(RejectionKind::TokenMalformed)),
    ] {
        assert_eq!(verdict(&verifier, &token).await, wanted);
        let sync = verifier.verify(&token).map(drop);
        assert_eq!(sync.map_err(|rejection| rejection.kind()), wanted);
    }
}

#[tokio::test]
async fn what_is_said_of_the_issuer_is_one_string() {
    let clock = StillClock::new();
    let a = minted(key("a"), A, "api", &clock);
    let verifier = Verifier::issuers([trusting(&a, A, "api", &clock)]).unwrap();
    let good = token(&a);
    let (header, rest) = good.expose().split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    for (payload, wanted) in [
        (r#"{"sub":"alice"}"#, RejectionKind::IssuerMismatch),
        (r#"{"iss":null}"#, RejectionKind::IssuerMismatch),
        (r#"{"iss":7}"#, RejectionKind::ClaimInvalid),
        (
            r#"{"iss":["https://a.example"]}"#,
            RejectionKind::ClaimInvalid,
        ),
        (
            r#"{"iss":"https://a.example","iss":"https://b.example"}"#,
            RejectionKind::TokenMalformed,
        ),
        (r#"["https://a.example"]"#, RejectionKind::TokenMalformed),
        (
            r#"{"iss":"https://a.example"}"#,
            RejectionKind::SignatureInvalid,
        ),
    ] {
        let payload = base64_simd::URL_SAFE_NO_PAD.encode_to_string(payload);
        let token = BearerToken::new(format!("{header}.{payload}.{signature}"));
        assert_eq!(verdict(&verifier, &token).await, Err(wanted));
    }
}

#[tokio::test]
async fn each_issuer_has_its_own_rules_and_provider() {
    let clock = StillClock::new();
    let remote = signer(A, "same", &clock);
    let provider = {
        let remote = remote.clone();
        Provider::start(move |_| Reply::json(remote.jwk_set())).await
    };
    let secret = SigningKey::hs256(LOCAL).unwrap();
    let local = TokenIssuer::builder(secret)
        .with_issuer(B)
        .with_audience("api")
        .with_token_type("at+jwt")
        .with_clock(clock.clone())
        .build()
        .unwrap();
    let of_a = Verifier::remote(RemoteKeys::jwks(&provider.url))
        .with_issuer(A)
        .with_audience("api")
        .with_algorithms([Algorithm::EdDSA])
        .with_clock(clock.clone())
        .build()
        .await
        .unwrap();
    let of_b = Verifier::builder(Keys::hs256([LOCAL]).unwrap())
        .with_issuer(B)
        .with_audience("api")
        .with_token_type(TokenType::AccessToken)
        .with_clock(clock.clone())
        .build()
        .unwrap();
    let verifier = Verifier::issuers([of_a, of_b]).unwrap();
    assert!(on_the_spot(&verifier, &token(&remote)));
    assert!(on_the_spot(&verifier, &token(&local)));
    // What one issuer may declare as the type of its tokens, the other may not.
    let untyped = minted(SigningKey::hs256(LOCAL).unwrap(), B, "api", &clock);
    for (token, wanted) in [
        (token(&remote), Ok(())),
        (token(&untyped), Err(RejectionKind::TypeMismatch)),
    ] {
        let header = token.expose().split('.').next().unwrap();
        let header = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(header).unwrap();
        assert!(
            String::from_utf8(header)
                .unwrap()
                .contains(r#""typ":"JWT""#)
        );
        assert_eq!(verdict(&verifier, &token).await, wanted);
    }
    // The secret of one issuer is no key of the other, and no reason to ask its provider.
    let crossed = minted(SigningKey::hs256(LOCAL).unwrap(), A, "api", &clock);
    assert_eq!(
        verdict(&verifier, &token(&crossed)).await,
        Err(RejectionKind::AlgorithmNotAllowed)
    );
    assert_eq!(provider.hits(), 1);

    // A key that rotates is waited for behind the list as well.
    remote.rotate(key("next")).unwrap();
    assert_eq!(verdict(&verifier, &token(&remote)).await, Ok(()));
    assert_eq!(provider.hits(), 2);
    clock.advance(5);
    assert!(verifier.ready());
    assert_eq!(verifier.keys_age(), Some(Duration::from_secs(5)));
    verifier.refresh().await.unwrap();
    assert_eq!(verifier.keys_age(), Some(Duration::ZERO));
}

/// Each tenant of Entra is an issuer of its own, found at its own address; the template of the common one is none.
#[tokio::test]
async fn tenants_are_listed_one_by_one() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    let tenants = [
        "8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c",
        "f2f8b6f0-91a5-4a3f-8d0e-6c2a7b9d1e4f",
    ];
    let shared = key("microsoft");
    let name = |tenant: &str| format!("{}/{tenant}/v2.0", provider.url);
    let of = |tenant: &str| minted(shared.clone(), &name(tenant), "api", &clock);
    let (base, set) = (provider.url.clone(), of(tenants[0]).jwk_set());
    provider.script(move |path| {
        match path.strip_suffix("/v2.0/.well-known/openid-configuration") {
            Some("/common") => Reply::json(format!(
                r#"{{"issuer":"{base}/{{tenantid}}/v2.0","jwks_uri":"{base}/keys"}}"#
            )),
            Some(tenant) => Reply::json(format!(
                r#"{{"issuer":"{base}{tenant}/v2.0","jwks_uri":"{base}/keys"}}"#
            )),
            None => Reply::json(set.clone()),
        }
    });
    let mut verifiers = Vec::new();
    for tenant in tenants {
        let verifier = Verifier::discover(name(tenant)).with_audience("api");
        verifiers.push(verifier.with_clock(clock.clone()).build().await.unwrap());
    }
    let verifier = Verifier::issuers(verifiers).unwrap();
    for (tenant, wanted) in [
        (tenants[0], Ok(())),
        (tenants[1], Ok(())),
        (
            "00000000-0000-0000-0000-000000000000",
            Err(RejectionKind::IssuerMismatch),
        ),
        ("{tenantid}", Err(RejectionKind::IssuerMismatch)),
        ("common", Err(RejectionKind::IssuerMismatch)),
    ] {
        assert_eq!(
            verdict(&verifier, &token(&of(tenant))).await,
            wanted,
            "{tenant}"
        );
    }
    let common = Verifier::discover(name("common"))
        .with_audience("api")
        .build()
        .await;
    assert!(common.unwrap_err().to_string().contains("{tenantid}"));
}

#[tokio::test]
async fn one_issuer_may_have_several_key_sets() {
    let clock = StillClock::new();
    // It migrates from a secret to a JWK Set.
    let remote = signer(A, "first", &clock);
    let provider = {
        let remote = remote.clone();
        Provider::start(move |_| Reply::json(remote.jwk_set())).await
    };
    let secret = minted(SigningKey::hs256(LOCAL).unwrap(), A, "api", &clock);
    let published = Verifier::remote(RemoteKeys::jwks(&provider.url))
        .with_issuer(A)
        .with_audience("api")
        .with_clock(clock.clone())
        .build()
        .await
        .unwrap();
    let shared = Verifier::builder(Keys::hs256([LOCAL]).unwrap())
        .with_issuer(A)
        .with_audience("api")
        .with_clock(clock.clone())
        .build()
        .unwrap();
    for order in [
        [published.clone(), shared.clone()],
        [shared.clone(), published.clone()],
    ] {
        let verifier = Verifier::issuers(order).unwrap();
        for _ in 0..2 {
            assert!(on_the_spot(&verifier, &token(&remote)));
            assert!(on_the_spot(&verifier, &token(&secret)));
        }
        // Each rule holds for each key set, and the most telling refusal is told.
        let forger = minted(
            SigningKey::hs256("another secret of thirty-two bytes!").unwrap(),
            A,
            "api",
            &clock,
        );
        let elsewhere = minted(SigningKey::hs256(LOCAL).unwrap(), A, "bills", &clock);
        let foreign = minted(key("first"), A, "api", &clock);
        let rsa = include_str!("../keys/rsa2048.pem");
        let rsa = SigningKey::pem(rsa, Algorithm::RS256)
            .unwrap()
            .with_id("first");
        for (issuer, wanted) in [
            (forger, RejectionKind::SignatureInvalid),
            (elsewhere, RejectionKind::AudienceMismatch),
            (foreign, RejectionKind::SignatureInvalid),
            (minted(rsa, A, "api", &clock), RejectionKind::KeyUnknown),
        ] {
            assert_eq!(verdict(&verifier, &token(&issuer)).await, Err(wanted));
        }
        assert_eq!(
            provider.hits(),
            1,
            "a token that a key at hand decides asks nobody"
        );
    }
    // A key that rotates is waited for, whichever set it is in.
    let verifier = Verifier::issuers([shared, published]).unwrap();
    remote.rotate(key("next")).unwrap();
    assert_eq!(verdict(&verifier, &token(&remote)).await, Ok(()));
    assert_eq!(provider.hits(), 2);
    assert!(on_the_spot(&verifier, &token(&secret)));
}

#[tokio::test]
async fn a_key_that_two_providers_of_an_issuer_may_have_is_sought_at_both() {
    let clock = StillClock::new();
    let signers = [signer(A, "one", &clock), signer(A, "two", &clock)];
    let mut verifiers = Vec::new();
    let mut providers = Vec::new();
    for signer in &signers {
        let published = signer.clone();
        let provider = Provider::start(move |_| Reply::json(published.jwk_set())).await;
        let verifier = Verifier::remote(RemoteKeys::jwks(&provider.url))
            .with_issuer(A)
            .with_audience("api")
            .with_clock(clock.clone());
        verifiers.push(verifier.build().await.unwrap());
        providers.push(provider);
    }
    let verifier = Verifier::issuers(verifiers).unwrap();
    for signer in &signers {
        assert!(on_the_spot(&verifier, &token(signer)));
    }
    for signer in signers {
        signer
            .rotate(SigningKey::generate(Algorithm::EdDSA).unwrap())
            .unwrap();
        assert_eq!(verdict(&verifier, &token(&signer)).await, Ok(()));
        clock.advance(31);
    }
}

#[test]
fn a_list_of_issuers_is_checked_when_it_is_made() {
    let clock = StillClock::new();
    let a = minted(key("a"), A, "api", &clock);
    let verifier = || trusting(&a, A, "api", &clock);
    let nameless = Verifier::builder(a.verification_keys()).build().unwrap();
    for (list, wanted) in [
        (vec![], "without an issuer"),
        (vec![verifier(), verifier()], "named twice"),
        (vec![verifier(), nameless], "needs its name"),
    ] {
        let text = Verifier::issuers(list).unwrap_err().to_string();
        assert!(text.contains(wanted), "{text}");
    }
    let list = Verifier::issuers([verifier()]).unwrap();
    assert!(matches!(
        list.reload(a.verification_keys()),
        Err(ConfigError::Setting { name: "reload", .. })
    ));
    // A list within a list is one list.
    let nested = Verifier::issuers([list, trusting(&a, B, "api", &clock)]).unwrap();
    assert!(nested.verify(&token(&a)).is_ok());
}
