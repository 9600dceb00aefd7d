//! Opaque tokens ([RFC 7662]): who is asked, how often, and what is believed.
//!
//! What the endpoint does, and what the client gets:
//!
//! | endpoint | client | log |
//! | --- | --- | --- |
//! | `active: true`, claims as configured | 200 | – |
//! | `active: false` | 401 `token_inactive` | the refusal |
//! | another issuer, audience or subject, expired, wrong types, no access token | 401 | the refusal |
//! | down, slow, 401, 500, redirect, HTML, JWT, too long | 503 `keys_unavailable` | `reason`, once until it answers again |
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};
use tower_warden::{
    Algorithm, BearerToken, ConfigError, CookieToken, Introspection, JwtAuthLayer, MemoryTickets,
    RejectionKind, TicketOffice, TokenType, UserInfo, UserInfoError, Verification, Verifier,
    VerifierBuilder,
};

use crate::{
    log_lines::LogLines,
    provider::{Provider, Reply, START, StillClock, on_the_spot, settle, verdict},
    support::{Inner, get, issuer, refusal, seen, token},
};

const ISSUER: &str = "https://id.example";

fn at(provider: &Provider) -> Introspection {
    Introspection::new(format!("{}/introspect", provider.url), "orders", "se:cret+")
        .with_timeout(Duration::from_millis(500))
}

fn rules(introspection: Introspection, clock: &StillClock) -> VerifierBuilder<Introspection> {
    Verifier::introspect(introspection)
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone())
}

async fn build(introspection: Introspection, clock: &StillClock) -> Verifier {
    rules(introspection, clock).build().await.unwrap()
}

fn active() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": "api", "sub": "alice", "exp": START + 3600,
        "scope": "read write", "client_id": "web", "token_type": "Bearer", "team": "blue",
    })
}

fn with(member: &str, value: Value) -> Value {
    let mut answer = active();
    answer[member] = value;
    answer
}

fn without(member: &str) -> Value {
    let mut answer = active();
    answer.as_object_mut().unwrap().remove(member);
    answer
}

fn inactive() -> Reply {
    Reply::json(r#"{"active":false}"#)
}

fn opaque(text: &str) -> BearerToken<'_> {
    BearerToken::new(text)
}

#[tokio::test]
async fn the_endpoint_is_asked_as_the_rfc_has_it() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::json(active().to_string())).await;
    let verifier = build(at(&provider), &clock).await;
    // What a form would read as something else is encoded.
    let token = opaque("a+b/c=&token=other%41");
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
    let requests = provider.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /introspect HTTP/1.1\r\n"), "{head}");
    // `orders:se%3Acret%2B`
    let basic = "authorization: Basic b3JkZXJzOnNlJTNBY3JldCUyQg==\r\n";
    assert!(head.contains(basic), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"));
    assert!(head.contains("accept: application/json\r\n"));
    assert_eq!(
        body,
        "token_type_hint=access_token&token=a%2Bb%2Fc%3D%26token%3Dother%2541"
    );
}

#[tokio::test]
async fn the_principal_of_an_opaque_token_says_what_the_endpoint_said() {
    let provider = Provider::always(Reply::json(active().to_string())).await;
    let layer = JwtAuthLayer::introspect(at(&provider))
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(StillClock::new())
        .with_roles_claim("team")
        .build()
        .await
        .unwrap();
    let inner = Inner::default();
    let service = layer.layer(inner.clone());
    for _ in 0..3 {
        let response = service.clone().oneshot(get("/", &opaque("t1"))).await;
        let response = response.unwrap();
        let principal = seen(&response).principal.clone().unwrap();
        assert_eq!(principal.subject(), "alice");
        assert_eq!(principal.issuer(), Some(ISSUER));
        assert_eq!(principal.client_id(), Some("web"));
        assert_eq!(principal.scopes().collect::<Vec<_>>(), ["read", "write"]);
        assert!(principal.has_role("blue"));
        assert_eq!(principal.algorithm(), None);
        assert_eq!(principal.token().key_id(), None);
        assert_eq!(principal.token().token().expose(), "t1");
        assert_eq!(principal.claims::<Value>().unwrap()["team"], "blue");
    }
    assert_eq!((inner.calls(), provider.hits()), (3, 1));

    provider.reply(inactive());
    let response = service.oneshot(get("/", &opaque("t2"))).await.unwrap();
    assert_eq!(refusal(&response), Some(RejectionKind::TokenInactive));
    assert_eq!(response.status(), 401);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.contains(r#"error="invalid_token""#),
        "{challenge}"
    );
    assert_eq!(inner.calls(), 3);
}

#[tokio::test]
async fn what_is_required_of_a_jwt_is_required_here() {
    let clock = StillClock::new();
    let provider = Provider::always(inactive()).await;
    // Each answer is another token's, so each is asked for.
    for (number, (answer, wanted)) in [
        (active(), Ok(())),
        (with("aud", json!(["other", "api"])), Ok(())),
        (without("scope"), Ok(())),
        (without("token_type"), Ok(())),
        (
            json!({ "active": false }),
            Err(RejectionKind::TokenInactive),
        ),
        (
            with("active", json!(false)),
            Err(RejectionKind::TokenInactive),
        ),
        (
            with("iss", json!("https://other.example")),
            Err(RejectionKind::IssuerMismatch),
        ),
        (
            with("iss", json!("https://id.example/")),
            Err(RejectionKind::IssuerMismatch),
        ),
        (without("iss"), Err(RejectionKind::IssuerMismatch)),
        (
            with("iss", json!([ISSUER])),
            Err(RejectionKind::ClaimInvalid),
        ),
        (
            with("aud", json!("other")),
            Err(RejectionKind::AudienceMismatch),
        ),
        (without("aud"), Err(RejectionKind::AudienceMismatch)),
        (with("aud", json!(7)), Err(RejectionKind::ClaimInvalid)),
        (without("sub"), Err(RejectionKind::ClaimInvalid)),
        (with("sub", json!("")), Err(RejectionKind::ClaimInvalid)),
        (with("sub", json!(7)), Err(RejectionKind::ClaimInvalid)),
        (with("sub", Value::Null), Err(RejectionKind::ClaimInvalid)),
        (without("exp"), Err(RejectionKind::ClaimInvalid)),
        (
            with("exp", json!((START + 60).to_string())),
            Err(RejectionKind::ClaimInvalid),
        ),
        (with("exp", json!(START - 29)), Ok(())),
        (
            with("exp", json!(START - 30)),
            Err(RejectionKind::TokenExpired),
        ),
        (
            with("nbf", json!(START + 31)),
            Err(RejectionKind::TokenNotYetValid),
        ),
        (with("nbf", json!("now")), Err(RejectionKind::ClaimInvalid)),
        (with("scope", json!(7)), Err(RejectionKind::ClaimInvalid)),
        (
            with("client_id", json!(7)),
            Err(RejectionKind::ClaimInvalid),
        ),
        (
            with("token_use", json!("refresh_token")),
            Err(RejectionKind::TypeMismatch),
        ),
        (
            with("typ", json!("Refresh")),
            Err(RejectionKind::TypeMismatch),
        ),
        (
            with("token_type", json!("DPoP")),
            Err(RejectionKind::TypeMismatch),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let verifier = build(at(&provider), &clock).await;
        provider.reply(Reply::json(answer.to_string()));
        let token = format!("t{number}");
        let found = verdict(&verifier, &opaque(&token)).await;
        assert_eq!(found, wanted, "{answer}");
        assert_eq!(provider.hits(), number + 1);
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_a_503_and_never_a_401() {
    let clock = StillClock::new();
    let canary = Provider::always(Reply::json(active().to_string())).await;
    let provider = Provider::always(Reply::json(active().to_string())).await;
    let verifier = build(at(&provider), &clock).await;
    assert_eq!(verdict(&verifier, &opaque("known")).await, Ok(()));
    let redirect = format!("location: {}/introspect\r\n", canary.url);
    let jwt = "content-type: application/token-introspection+jwt\r\n";
    let good = active().to_string();
    for (name, reply) in [
        ("slow drip", Reply::Drip),
        ("1 GB", Reply::Flood(1 << 30)),
        ("hangs up", Reply::HangUp),
        (
            "never answers",
            Reply::Held(Arc::new(Semaphore::new(0)), Box::new(inactive())),
        ),
        ("500", Reply::status(500)),
        ("204", Reply::status(204)),
        ("404", Reply::status(404)),
        (
            "our secret is wrong",
            Reply::Answer(401, String::new(), b"{\"active\":false}".into()),
        ),
        ("redirect", Reply::Answer(307, redirect.clone(), Vec::new())),
        (
            "redirect to a GET",
            Reply::Answer(302, redirect, Vec::new()),
        ),
        ("page", Reply::json("<!doctype html>")),
        ("empty", Reply::json("")),
        ("truncated", Reply::json(&good[..good.len() - 1])),
        ("array", Reply::json(format!("[{good}]"))),
        ("no active", Reply::json(without("active").to_string())),
        (
            "active as text",
            Reply::json(with("active", json!("true")).to_string()),
        ),
        (
            "active twice",
            Reply::json(r#"{"active":false,"active":true}"#),
        ),
        ("deep", Reply::json("{\"a\":".repeat(100_000))),
        (
            "not UTF-8",
            Reply::Answer(
                200,
                String::new(),
                b"{\"active\":true,\"sub\":\"\xff\"}".into(),
            ),
        ),
        (
            "signed",
            Reply::Answer(200, jwt.to_owned(), good.clone().into_bytes()),
        ),
    ] {
        provider.reply(reply);
        let found = verdict(&verifier, &opaque("fresh")).await;
        assert_eq!(found, Err(RejectionKind::KeysUnavailable), "{name}");
        // What is known goes on, and waits for nobody.
        assert!(on_the_spot(&verifier, &opaque("known")), "{name}");
    }
    assert_eq!(canary.hits(), 0);
    // A failure is not remembered.
    provider.reply(Reply::json(active().to_string()));
    assert_eq!(verdict(&verifier, &opaque("fresh")).await, Ok(()));
    assert!(verifier.ready() && verifier.keys_age().is_none());
}

/// Why such a client is warned of: the answer is not believed, but the token is gone.
#[tokio::test]
async fn a_client_that_follows_redirects_shows_the_token_elsewhere() {
    let clock = StillClock::new();
    let canary = Provider::always(Reply::json(active().to_string())).await;
    let redirect = format!("location: {}/introspect\r\n", canary.url);
    let provider = Provider::always(Reply::Answer(307, redirect, Vec::new())).await;
    let following = at(&provider).with_client(reqwest::Client::new());
    for (introspection, shown) in [(at(&provider), false), (following, true)] {
        let verifier = build(introspection, &clock).await;
        let found = verdict(&verifier, &opaque("secret-token")).await;
        assert_eq!(found, Err(RejectionKind::KeysUnavailable));
        let requests = canary.requests();
        let seen = requests.iter().any(|text| text.contains("secret-token"));
        assert_eq!(seen, shown);
        // Who we are stays between the provider and us.
        assert!(!requests.iter().any(|text| text.contains("authorization:")));
    }
}

#[tokio::test]
async fn nobody_listens() {
    let clock = StillClock::new();
    let provider = Provider::always(inactive()).await;
    let layer = JwtAuthLayer::introspect(at(&provider))
        .with_clock(clock)
        .build()
        .await
        .unwrap();
    provider.stop().await;
    let inner = Inner::default();
    let response = layer
        .layer(inner.clone())
        .oneshot(get("/", &opaque("t")))
        .await;
    let response = response.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!(!response.headers().contains_key("www-authenticate"));
    assert_eq!(inner.calls(), 0);
}

#[tokio::test]
async fn an_answer_counts_for_a_minute_and_never_beyond_exp() {
    for (exp, lifetime, first_asked_again) in [
        (START + 3600, None, 60),
        (START + 3600, Some(10), 10),
        (START + 3600, Some(600), 600),
        (START + 20, None, 20),
        (START + 1, None, 1),
        // Within the leeway the token is good still, but nothing of it is kept.
        (START, None, 0),
        (START - 10, None, 0),
        (START + 3600, Some(0), 0),
    ] {
        let clock = StillClock::new();
        let provider = Provider::always(Reply::json(with("exp", json!(exp)).to_string())).await;
        let introspection = match lifetime {
            Some(seconds) => at(&provider).with_lifetime(Duration::from_secs(seconds)),
            None => at(&provider),
        };
        let verifier = build(introspection, &clock).await;
        assert_eq!(verdict(&verifier, &opaque("t")).await, Ok(()));
        if first_asked_again > 0 {
            clock.advance(first_asked_again - 1);
            assert!(on_the_spot(&verifier, &opaque("t")), "{exp} {lifetime:?}");
            assert_eq!(provider.hits(), 1);
            clock.advance(1);
        }
        assert!(!on_the_spot(&verifier, &opaque("t")), "{exp} {lifetime:?}");
        // The provider has revoked it in the meantime.
        provider.reply(inactive());
        let _ = verdict(&verifier, &opaque("t")).await;
        clock.advance(10);
        let found = verdict(&verifier, &opaque("t")).await;
        assert_eq!(found, Err(RejectionKind::TokenInactive));
    }
}

#[tokio::test]
async fn a_token_that_grows_too_old_is_not_kept_beyond_that() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::json(with("iat", json!(START)).to_string())).await;
    let verifier = rules(at(&provider), &clock)
        .with_leeway(Duration::ZERO)
        .with_max_age(Duration::from_secs(20))
        .build()
        .await
        .unwrap();
    assert_eq!(verdict(&verifier, &opaque("t")).await, Ok(()));
    clock.advance(19);
    assert!(on_the_spot(&verifier, &opaque("t")));
    clock.advance(1);
    let found = verdict(&verifier, &opaque("t")).await;
    assert_eq!(found, Err(RejectionKind::TokenTooOld));
}

#[tokio::test]
async fn a_refusal_counts_for_ten_seconds() {
    let clock = StillClock::new();
    let provider = Provider::always(inactive()).await;
    let verifier = build(at(&provider), &clock).await;
    for _ in 0..5 {
        let found = verdict(&verifier, &opaque("t")).await;
        assert_eq!(found, Err(RejectionKind::TokenInactive));
    }
    clock.advance(9);
    let answered = verifier.verify(&opaque("t")).unwrap_err();
    assert_eq!(answered.kind(), RejectionKind::TokenInactive);
    assert_eq!(provider.hits(), 1);
    clock.advance(1);
    provider.reply(Reply::json(active().to_string()));
    assert_eq!(verdict(&verifier, &opaque("t")).await, Ok(()));
    assert_eq!(provider.hits(), 2);
}

#[tokio::test]
async fn two_hundred_requests_with_one_token_are_one_question_that_no_disconnect_cancels() {
    let clock = StillClock::new();
    let gate = Arc::new(Semaphore::new(0));
    let held = Reply::Held(gate.clone(), Box::new(Reply::json(active().to_string())));
    let provider = Provider::always(held).await;
    let introspection = at(&provider).with_timeout(Duration::from_secs(30));
    let verifier = build(introspection, &clock).await;
    // The first client leaves before the answer comes.
    drop(verifier.check(&opaque("t")));
    let waiting: Vec<Verification> = (0..199).map(|_| verifier.check(&opaque("t"))).collect();
    // Whoever cannot wait is told to come again.
    let sync = verifier.verify(&opaque("t")).unwrap_err();
    assert_eq!(sync.kind(), RejectionKind::KeysUnavailable);
    gate.add_permits(1);
    for verification in waiting {
        assert!(matches!(verification, Verification::KeyMissing(_)));
        assert_eq!(settle(verification).await, Ok(()));
    }
    assert_eq!(provider.hits(), 1);
    assert!(on_the_spot(&verifier, &opaque("t")));
    // Another token is another question, however alike it is.
    drop(verifier.check(&opaque("t ")));
    assert!(!on_the_spot(&verifier, &opaque("T")));
}

#[tokio::test]
async fn junk_pushes_no_good_token_out_and_takes_up_no_more_than_its_share() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::json(active().to_string())).await;
    let verifier = build(at(&provider), &clock).await;
    assert_eq!(verdict(&verifier, &opaque("good")).await, Ok(()));

    // More than can be open at a time, while the endpoint does not answer.
    let gate = Arc::new(Semaphore::new(0));
    provider.reply(Reply::Held(gate.clone(), Box::new(inactive())));
    let junk: Vec<Verification> = (0..1_000)
        .map(|number| verifier.check(&opaque(&format!("junk-{number}"))))
        .collect();
    let refused = junk
        .iter()
        .filter(|verification| matches!(verification, Verification::Rejected(_)))
        .count();
    // Those that find no place wait a moment for one, as far as there is room to wait.
    assert_eq!(refused, 1_000 - 96 - 32 - 256);
    assert!(on_the_spot(&verifier, &opaque("good")));
    gate.add_permits(1_000);
    for verification in junk {
        let kind = settle(verification).await.unwrap_err();
        assert!(matches!(
            kind,
            RejectionKind::TokenInactive | RejectionKind::KeysUnavailable
        ));
    }
    assert!(provider.hits() <= 1 + 96 + 32 + 256, "{}", provider.hits());

    // And one after the other.
    provider.reply(inactive());
    for number in 0..1_000 {
        let token = format!("more-{number}");
        let found = verdict(&verifier, &opaque(&token)).await;
        assert_eq!(found, Err(RejectionKind::TokenInactive));
    }
    assert!(on_the_spot(&verifier, &opaque("good")));
}

/// A client that makes up tokens, as many as it likes, leaves the places of the others alone.
#[tokio::test]
async fn made_up_tokens_of_one_address_keep_no_good_token_out() {
    let provider = Provider::always(inactive()).await;
    let layer = JwtAuthLayer::introspect(at(&provider).with_timeout(Duration::from_secs(30)))
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(StillClock::new())
        .with_trusted_proxies(["10.0.0.1"])
        .with_client_address(|_, _| Some("10.0.0.1".parse().unwrap()));
    let layer = layer.build().await.unwrap();
    let inner = Inner::default();
    let service = layer.layer(inner.clone());
    let send = |token: String, client: &str| {
        let mut request = get("/", &BearerToken::new(token));
        let client = client.parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", client);
        tokio::spawn(service.clone().oneshot(request))
    };
    let gate = Arc::new(Semaphore::new(0));
    let held = Reply::Held(gate.clone(), Box::new(inactive()));
    provider.reply(held);
    let junk: Vec<_> = (0..200)
        .map(|number| send(format!("junk-{number}"), "192.0.2.1"))
        .collect();
    while provider.hits() < 8 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    provider.reply(Reply::json(active().to_string()));
    for client in ["192.0.2.2", "192.0.2.3"] {
        let response = send(format!("good-{client}"), client).await.unwrap();
        assert_eq!(refusal(&response.unwrap()), None, "{client}");
    }
    assert_eq!((inner.calls(), provider.hits()), (2, 8 + 2));
    // The others are told to come again, after a moment; nobody of them has come through.
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.add_permits(200);
    for answer in junk {
        let response = answer.await.unwrap().unwrap();
        assert!([401, 503].contains(&response.status().as_u16()));
    }
    assert_eq!((inner.calls(), provider.hits()), (2, 8 + 2));
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_asked_for() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::json(active().to_string())).await;
    let verifier = build(at(&provider), &clock).await;
    for (token, wanted) in [
        (String::new(), RejectionKind::TokenMalformed),
        ("x".repeat(8 * 1024 + 1), RejectionKind::TokenTooLarge),
    ] {
        let found = verdict(&verifier, &opaque(&token)).await;
        assert_eq!(found, Err(wanted));
    }
    assert_eq!(provider.hits(), 0);
    assert_eq!(
        verdict(&verifier, &opaque(&"x".repeat(8 * 1024))).await,
        Ok(())
    );
}

#[tokio::test]
async fn null_in_an_optional_member_is_its_absence() {
    let clock = StillClock::new();
    for member in [
        "nbf",
        "iat",
        "jti",
        "sid",
        "client_id",
        "act",
        "scope",
        "scp",
        "token_type",
        "typ",
    ] {
        let mut answer = active();
        answer[member] = Value::Null;
        let provider = Provider::always(Reply::json(answer.to_string())).await;
        let verifier = build(at(&provider), &clock).await;
        assert_eq!(verdict(&verifier, &opaque("a")).await, Ok(()), "{member}");
    }
    for (member, wanted) in [
        ("sub", RejectionKind::ClaimInvalid),
        ("exp", RejectionKind::ClaimInvalid),
        ("aud", RejectionKind::AudienceMismatch),
        ("iss", RejectionKind::IssuerMismatch),
        ("active", RejectionKind::KeysUnavailable),
    ] {
        let mut answer = active();
        answer[member] = Value::Null;
        let provider = Provider::always(Reply::json(answer.to_string())).await;
        let verifier = build(at(&provider), &clock).await;
        let refused = verdict(&verifier, &opaque("a")).await;
        assert_eq!(refused, Err(wanted), "{member}");
        if member != "active" {
            // The second time the answer is remembered, and so is the claim.
            let refused = verifier.verify(&opaque("a")).unwrap_err();
            assert_eq!(refused.claim(), Some(member));
        }
    }
}

#[tokio::test]
async fn one_layer_takes_jwts_and_opaque_tokens_each_in_its_place() {
    let provider = Provider::always(Reply::json(active().to_string())).await;
    let opaque_ones = build(at(&provider), &StillClock::new()).await;
    let layer = JwtAuthLayer::hs256(crate::support::SECRET)
        .unwrap()
        .with_verified_source(CookieToken::new("session").unwrap(), opaque_ones)
        .build()
        .unwrap();
    let inner = Inner::default();
    let service = layer.layer(inner.clone());
    let jwt = service
        .clone()
        .oneshot(get("/", &token("bob")))
        .await
        .unwrap();
    assert_eq!(seen(&jwt).principal.as_ref().unwrap().subject(), "bob");
    assert_eq!(provider.hits(), 0);
    let cookie = [("cookie", String::from("session=abc"))];
    let request = crate::support::get_with("/", cookie);
    let session = service.clone().oneshot(request).await.unwrap();
    assert_eq!(
        seen(&session).principal.as_ref().unwrap().subject(),
        "alice"
    );
    // In the header an opaque token is no JWT, and nobody is asked.
    let response = service.oneshot(get("/", &opaque("abc"))).await.unwrap();
    assert_eq!(refusal(&response), Some(RejectionKind::TokenMalformed));
    assert_eq!((inner.calls(), provider.hits()), (2, 1));
    drop(issuer());
}

#[tokio::test]
async fn a_ticket_for_an_opaque_token_is_taken_by_those_who_would_have_asked() {
    let provider = Provider::always(Reply::json(active().to_string())).await;
    let opaque_ones = build(at(&provider), &StillClock::new()).await;
    let office = TicketOffice::builder(MemoryTickets::default())
        .with_clock(StillClock::new())
        .build()
        .unwrap();
    let asking = JwtAuthLayer::verifier(opaque_ones)
        .with_tickets(office.clone())
        .build()
        .unwrap();
    // Its rules would let these claims in, but it has keys, and nobody signed them.
    let signed_only = JwtAuthLayer::keys(issuer().verification_keys())
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(StillClock::new())
        .with_tickets(office.clone())
        .build()
        .unwrap();
    let response = asking
        .layer(Inner::default())
        .oneshot(get("/", &opaque("t")))
        .await;
    let principal = seen(&response.unwrap()).principal.clone().unwrap();
    for (layer, wanted) in [
        (&asking, None),
        (&signed_only, Some(RejectionKind::AlgorithmNotAllowed)),
    ] {
        let resource = [("agent", "a"), ("room", "r")];
        let resource = resource.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let ticket = office
            .mint(&principal, resource, &http::HeaderMap::new())
            .await;
        let path = format!("/agents/a/r?ticket={}", ticket.unwrap().text.expose());
        let request = crate::support::get_with(&path, crate::support::upgrade());
        let response = layer
            .layer(Inner::default())
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(refusal(&response), wanted);
        if wanted.is_none() {
            let principal = seen(&response).principal.clone().unwrap();
            assert_eq!(
                (principal.subject(), principal.algorithm()),
                ("alice", None)
            );
            // A ticket is no token that a provider would know.
            let userinfo = UserInfo::at(&provider.url).build().await.unwrap();
            let error = userinfo.get(&principal).await.unwrap_err();
            assert_eq!(error, UserInfoError::TokenAbsent);
        }
    }
    assert_eq!(provider.hits(), 1);
}

#[tokio::test]
async fn the_log_says_once_that_the_endpoint_fails_and_never_whose_token_it_was() {
    let log = LogLines::capture();
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(500)).await;
    let verifier = build(at(&provider), &clock).await;
    for token in ["hush-1", "hush-2", "hush-3"] {
        assert!(verdict(&verifier, &opaque(token)).await.is_err());
    }
    let lines = log.take();
    assert_eq!(
        lines.matches("does not answer for tokens").count(),
        1,
        "{lines}"
    );
    assert!(lines.contains(r#"reason="status""#), "{lines}");
    provider.reply(Reply::json(active().to_string()));
    for token in ["hush-1", "hush-2"] {
        assert_eq!(verdict(&verifier, &opaque(token)).await, Ok(()));
    }
    provider.reply(Reply::HangUp);
    assert!(verdict(&verifier, &opaque("hush-3")).await.is_err());
    let more = log.take();
    assert_eq!(
        more.matches("answers for tokens again").count(),
        1,
        "{more}"
    );
    assert_eq!(
        more.matches("does not answer for tokens").count(),
        1,
        "{more}"
    );
    assert!(!(lines + &more).contains("hush"));
}

#[tokio::test]
async fn the_endpoint_is_found_by_discovery() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    let url = provider.url.clone();
    let document = |endpoint: Value| {
        // It names no keys: they are not asked for.
        let mut document = json!({ "issuer": url, "jwks_uri": null });
        if !endpoint.is_null() {
            document["introspection_endpoint"] = endpoint;
        }
        document.to_string()
    };
    let discover = || {
        Verifier::introspect(Introspection::discover(&url, "orders", "secret"))
            .with_audience("api")
            .with_clock(clock.clone())
    };
    let answer = with("iss", json!(url)).to_string();
    let found = document(json!(format!("{url}/introspect")));
    provider.script(move |path| match path {
        "/introspect" => Reply::json(answer.clone()),
        _ => Reply::json(found.clone()),
    });
    let verifier = discover().build().await.unwrap();
    assert_eq!(verdict(&verifier, &opaque("t")).await, Ok(()));
    let paths = provider.paths();
    assert_eq!(paths, ["/.well-known/openid-configuration", "/introspect"]);

    // What is known of a token has to name the issuer.
    let found = document(json!(format!("{url}/introspect")));
    let nameless = without("iss").to_string();
    provider.script(move |path| match path {
        "/introspect" => Reply::json(nameless.clone()),
        _ => Reply::json(found.clone()),
    });
    let verifier = discover().build().await.unwrap();
    let refused = verdict(&verifier, &opaque("t")).await;
    assert_eq!(refused, Err(RejectionKind::IssuerMismatch));

    for endpoint in [
        Value::Null,
        json!("http://id.example/introspect"),
        json!("/introspect"),
        json!("https://user:secret@id.example/introspect"),
    ] {
        provider.reply(Reply::json(document(endpoint.clone())));
        let error = discover().build().await.unwrap_err();
        assert!(matches!(error, ConfigError::Keys { .. }), "{endpoint}");
    }
    let other = discover()
        .with_issuer("https://other.example")
        .build()
        .await;
    assert!(matches!(
        other,
        Err(ConfigError::Setting {
            name: "with_issuer",
            ..
        })
    ));
}

#[tokio::test]
async fn what_cannot_be_served_safely_fails_when_it_is_built() {
    type Builder = VerifierBuilder<Introspection>;
    let to = |endpoint: &str| Introspection::new(endpoint, "orders", "secret");
    let good = || to("https://id.example/introspect");
    let same = |builder: Builder| builder;
    let second = Duration::from_secs(1);
    for (introspection, setting, wanted) in [
        (
            to("http://id.example/introspect"),
            same as fn(Builder) -> Builder,
            "http",
        ),
        (to("https://u:p@id.example/introspect"), same, "credentials"),
        (to("introspect"), same, "introspect"),
        (
            Introspection::new("https://id.example", "", "secret"),
            same,
            "client_id",
        ),
        (
            Introspection::new("https://id.example", "orders", ""),
            same,
            "client_secret",
        ),
        (good().with_lifetime(601 * second), same, "with_lifetime"),
        (
            good().with_refused_lifetime(601 * second),
            same,
            "with_refused_lifetime",
        ),
        (good().with_timeout(Duration::ZERO), same, "with_timeout"),
        (
            good(),
            |it| it.with_token_type(TokenType::Jwt),
            "with_token_type",
        ),
        (
            good(),
            |it| it.with_algorithms([Algorithm::RS256]),
            "with_algorithms",
        ),
        (
            good(),
            |it| {
                it.with_issuer("i")
                    .with_audience("a")
                    .with_access_token_profile()
            },
            "with_access_token_profile",
        ),
        (good(), |it| it.with_issuer(""), "with_issuer"),
    ] {
        let error = setting(Verifier::introspect(introspection)).build().await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains(wanted), "{wanted}: {text}");
        assert!(!text.contains("secret\""), "{text}");
    }
    let verifier = Verifier::introspect(good()).build().await.unwrap();
    let keys = issuer().verification_keys();
    assert!(verifier.reload(keys).is_err());
    assert!(!format!("{verifier:?}").contains("secret"));
}
