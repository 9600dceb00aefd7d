//! What a provider says about the user behind a token ([OpenID Connect Core §5.3]).
//!
//! [OpenID Connect Core §5.3]: https://openid.net/specs/openid-connect-core-1_0.html#UserInfo

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};
use tower_warden::{
    ApiKeyLayer, ApiKeys, ConfigError, JwtAuthLayer, KeyFetchError, MemoryApiKeyStore, NewApiKey,
    Principal, SubjectId, UserInfo, UserInfoBuilder, UserInfoError,
};

use crate::{
    provider::{Provider, Reply, START, StillClock, key},
    support::{Inner, get, get_with, seen},
};

const ISSUER: &str = "https://id.example";

/// A principal whose token expires that many seconds from now on.
async fn principal(subject: &str, lifetime: u64, clock: &StillClock) -> Principal {
    let issuer = tower_warden::TokenIssuer::builder(key("a"))
        .with_issuer(ISSUER)
        .with_lifetime(Duration::from_secs(lifetime))
        .with_clock(clock.clone())
        .build()
        .unwrap();
    let layer = JwtAuthLayer::keys(issuer.verification_keys())
        .with_clock(clock.clone())
        .build()
        .unwrap();
    let token = issuer.mint(subject).sign().unwrap();
    let response = layer
        .layer(Inner::default())
        .oneshot(get("/", &token))
        .await;
    seen(&response.unwrap()).principal.clone().unwrap()
}

fn at(provider: &Provider, clock: &StillClock) -> UserInfoBuilder {
    UserInfo::at(format!("{}/userinfo", provider.url))
        .with_timeout(Duration::from_millis(500))
        .with_clock(clock.clone())
}

fn alice() -> Reply {
    Reply::json(r#"{"sub":"alice","name":"Alice","email":"alice@example.com"}"#)
}

#[tokio::test]
async fn the_token_is_shown_to_the_provider_and_its_answer_is_about_its_subject() {
    let clock = StillClock::new();
    let provider = Provider::always(alice()).await;
    let userinfo = at(&provider, &clock)
        .with_issuer(ISSUER)
        .build()
        .await
        .unwrap();
    let principal = principal("alice", 3600, &clock).await;
    let profile = userinfo.get(&principal).await.unwrap();
    assert_eq!(profile.subject(), "alice");
    assert_eq!(
        profile.claims::<Value>().unwrap()["email"],
        "alice@example.com"
    );
    let request = &provider.requests()[0];
    assert!(
        request.starts_with("GET /userinfo HTTP/1.1\r\n"),
        "{request}"
    );
    let shown = format!(
        "authorization: Bearer {}\r\n",
        principal.token().token().expose()
    );
    assert!(request.contains(&shown), "{request}");
    let printed = format!("{userinfo:?} {profile:?}");
    assert!(!printed.contains("alice"), "{printed}");
}

#[tokio::test]
async fn answers_that_cannot_be_believed_are_errors_with_a_name() {
    let clock = StillClock::new();
    let provider = Provider::always(alice()).await;
    let canary = Provider::always(alice()).await;
    let userinfo = at(&provider, &clock).build().await.unwrap();
    let alice = principal("alice", 3600, &clock).await;
    let redirect = format!("location: {}/userinfo\r\n", canary.url);
    let jwt = "content-type: Application/JWT; charset=utf-8\r\n".to_owned();
    let body = br#"{"sub":"alice"}"#.to_vec();
    for (reply, wanted) in [
        (Reply::json(r#"{"sub":"mallory"}"#), "SubjectMismatch"),
        (Reply::json(r#"{"name":"Alice"}"#), "SubjectMismatch"),
        (Reply::json(r#"{"sub":7}"#), "SubjectMismatch"),
        (Reply::Answer(200, jwt, body), "Signed"),
        (Reply::status(401), "Refused { status: 401 }"),
        (Reply::status(403), "Refused { status: 403 }"),
        (Reply::status(500), "Unavailable(Status { status: 500 })"),
        (
            Reply::Answer(302, redirect, Vec::new()),
            "Unavailable(Redirected)",
        ),
        (Reply::json("<!doctype html>"), "Unavailable(Malformed"),
        (
            Reply::json(r#"{"sub":"alice","sub":"alice"}"#),
            "Unavailable(Malformed",
        ),
        (Reply::Drip, "Unavailable(Timeout)"),
        (Reply::Flood(1 << 30), "Unavailable(TooLong"),
        (Reply::HangUp, "Unavailable(Exchange"),
    ] {
        provider.reply(reply);
        let error = userinfo.get(&alice).await.unwrap_err();
        assert!(
            format!("{error:?}").starts_with(wanted),
            "{wanted}: {error:?}"
        );
        assert!(error.status().is_client_error() || error.status().is_server_error());
    }
    assert_eq!(canary.hits(), 0);
}

/// Why such a client is warned of: the answer is not believed, but another path has seen the token.
#[tokio::test]
async fn a_client_that_follows_redirects_shows_the_token_elsewhere() {
    let clock = StillClock::new();
    let person = principal("alice", 3600, &clock).await;
    let text = person.token().token().expose();
    let canary = Provider::always(alice()).await;
    let provider = Provider::always(alice()).await;
    let other_host = format!("location: {}/elsewhere\r\n", canary.url);
    for (location, shown) in [("location: /elsewhere\r\n", 2), (&other_host, 3)] {
        let location = location.to_owned();
        provider.script(move |path| match path {
            "/userinfo" => Reply::Answer(307, location.clone(), Vec::new()),
            _ => alice(),
        });
        let builder = at(&provider, &clock).with_client(reqwest::Client::new());
        let error = builder.build().await.unwrap().get(&person).await;
        let wanted = UserInfoError::Unavailable(KeyFetchError::Redirected);
        assert_eq!(error.unwrap_err(), wanted);
        let requests = provider.requests();
        assert_eq!(
            requests.iter().filter(|seen| seen.contains(text)).count(),
            shown
        );
    }
    assert_eq!(canary.hits(), 1);
    assert!(!canary.requests()[0].contains(text));
}

#[tokio::test]
async fn a_token_is_shown_to_nobody_but_its_issuer() {
    let clock = StillClock::new();
    let provider = Provider::always(alice()).await;
    let alice = principal("alice", 3600, &clock).await;
    let elsewhere = at(&provider, &clock).with_issuer("https://other.example");
    let error = elsewhere
        .build()
        .await
        .unwrap()
        .get(&alice)
        .await
        .unwrap_err();
    assert_eq!(error, UserInfoError::OtherIssuer);
    assert_eq!((provider.hits(), error.status().as_u16()), (0, 401));
}

/// A key is its owner's, under the owner's issuer; its text is a secret between the owner and us.
#[tokio::test]
async fn an_api_key_is_shown_to_no_provider() {
    let clock = StillClock::new();
    let provider = Provider::always(alice()).await;
    let keys = ApiKeys::builder(
        MemoryApiKeyStore::new(),
        "a pepper of at least 32 bytes, kept apart",
    )
    .with_clock(clock.clone());
    let keys = keys.build().unwrap();
    let owner = SubjectId::new(ISSUER, "alice").unwrap();
    let created = keys.create(NewApiKey::new(owner)).await.unwrap();
    let layer = ApiKeyLayer::new(keys).build().unwrap();
    let request = get_with("/", [("x-api-key", created.key().expose().to_owned())]);
    let response = layer.layer(Inner::default()).oneshot(request).await;
    let with_key = seen(&response.unwrap()).principal.clone().unwrap();
    assert_eq!(with_key.issuer(), Some(ISSUER));
    let userinfo = at(&provider, &clock).with_issuer(ISSUER).build().await;
    let userinfo = userinfo.unwrap();
    for answer in [
        userinfo.get(&with_key).await,
        userinfo.refresh(&with_key).await,
    ] {
        assert_eq!(answer.unwrap_err(), UserInfoError::TokenAbsent);
    }
    assert_eq!(provider.hits(), 0);

    // The same user with a token of that issuer is asked about.
    let with_token = principal("alice", 3600, &clock).await;
    assert_eq!(userinfo.get(&with_token).await.unwrap().subject(), "alice");
}

#[tokio::test]
async fn an_answer_is_kept_for_five_minutes_and_never_beyond_exp() {
    for (expires_in, lifetime, kept_for) in [
        (3600, None, 300),
        (100, None, 100),
        (3600, Some(60), 60),
        (100, Some(3600), 100),
    ] {
        let clock = StillClock::new();
        let provider = Provider::always(alice()).await;
        let builder = at(&provider, &clock);
        let builder = match lifetime {
            Some(seconds) => builder.with_lifetime(Duration::from_secs(seconds)),
            None => builder,
        };
        let userinfo = builder.build().await.unwrap();
        let alice = principal("alice", expires_in, &clock).await;
        for (seconds, hits) in [(0, 1), (kept_for - 1, 1), (1, 2)] {
            clock.advance(seconds);
            userinfo.get(&alice).await.unwrap();
            assert_eq!(provider.hits(), hits, "{expires_in} {lifetime:?} {seconds}");
        }
    }
}

#[tokio::test]
async fn a_forced_refresh_asks_again_and_its_failure_leaves_what_was_there() {
    let clock = StillClock::new();
    let provider = Provider::always(alice()).await;
    let userinfo = at(&provider, &clock).build().await.unwrap();
    let alice = principal("alice", 3600, &clock).await;
    userinfo.get(&alice).await.unwrap();
    provider.reply(Reply::json(r#"{"sub":"alice","name":"Alicia"}"#));
    let name = |profile: Arc<tower_warden::UserProfile>| {
        profile.claims::<Value>().unwrap()["name"].clone()
    };
    assert_eq!(name(userinfo.get(&alice).await.unwrap()), "Alice");
    assert_eq!(name(userinfo.refresh(&alice).await.unwrap()), "Alicia");
    assert_eq!(name(userinfo.get(&alice).await.unwrap()), "Alicia");
    assert_eq!(provider.hits(), 2);
    provider.reply(Reply::status(500));
    assert!(userinfo.refresh(&alice).await.is_err());
    assert_eq!(name(userinfo.get(&alice).await.unwrap()), "Alicia");
}

#[tokio::test]
async fn each_token_is_one_question_and_another_users_is_another() {
    let clock = StillClock::new();
    let gate = Arc::new(Semaphore::new(0));
    let provider = Provider::always(Reply::Held(gate.clone(), Box::new(alice()))).await;
    let builder = at(&provider, &clock).with_timeout(Duration::from_secs(30));
    let userinfo = builder.build().await.unwrap();
    let alice = principal("alice", 3600, &clock).await;
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let (userinfo, alice) = (userinfo.clone(), alice.clone());
            tokio::spawn(async move { userinfo.get(&alice).await.map(drop) })
        })
        .collect();
    while provider.hits() == 0 {
        tokio::task::yield_now().await;
    }
    // One of them leaves.
    asking[0].abort();
    gate.add_permits(1);
    for task in asking.into_iter().skip(1) {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert_eq!(provider.hits(), 1);
    gate.add_permits(1);
    let bob = principal("bob", 3600, &clock).await;
    let error = userinfo.get(&bob).await.unwrap_err();
    assert_eq!(error, UserInfoError::SubjectMismatch);
    assert_eq!(provider.hits(), 2);
}

#[tokio::test]
async fn the_endpoint_is_found_by_discovery() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    let url = provider.url.clone();
    // It names no keys: they are not asked for.
    let document = json!({ "issuer": url, "userinfo_endpoint": format!("{url}/me") });
    provider.reply(Reply::json(document.to_string()));
    let discovered = UserInfo::discover(&url)
        .with_clock(clock.clone())
        .build()
        .await;
    let alice = principal("alice", 3600, &clock).await;
    // Only for the tokens of that issuer.
    let error = discovered.unwrap().get(&alice).await.unwrap_err();
    assert_eq!(error, UserInfoError::OtherIssuer);
    assert_eq!(provider.paths(), ["/.well-known/openid-configuration"]);

    let without = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
    provider.reply(Reply::json(without.to_string()));
    let error = UserInfo::discover(&url).build().await.unwrap_err();
    assert!(error.to_string().contains("userinfo_endpoint"), "{error}");
    for (builder, name) in [
        (UserInfo::discover(&url).with_issuer(ISSUER), "with_issuer"),
        (
            UserInfo::at(&url).with_lifetime(Duration::from_secs(3601)),
            "with_lifetime",
        ),
        (
            UserInfo::at(&url).with_timeout(Duration::ZERO),
            "with_timeout",
        ),
    ] {
        let error = builder.build().await.unwrap_err();
        assert!(matches!(error, ConfigError::Setting { name: found, .. } if found == name));
    }
    assert!(UserInfo::at("http://id.example/me").build().await.is_err());
    assert_eq!(START, 1_900_000_000);
}
