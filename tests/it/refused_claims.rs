//! Which claim a token was refused for: told to the log and to the application, never to the client.

use http::Request;
use tower_warden::{Algorithm, BearerToken, JwtAuthLayer, Rejection, RejectionKind, Verifier};

use super::{
    log_lines::LogLines,
    support::send,
    tokens::{SECRET, TestClock, base64, hs256, keys, signature, token, verifier},
};

fn layer() -> JwtAuthLayer {
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_clock(TestClock::at(1_000))
        .with_issuer("https://id.example")
        .with_audience("orders")
        .with_roles_claim("realm_access.roles")
        .with_max_age(std::time::Duration::from_secs(600))
        .build()
        .unwrap()
}

/// Sends a token through the layer: the claim, the body, and what was logged.
#[track_caller]
fn refused(token: &str) -> (RejectionKind, Option<&'static str>, String, String) {
    let layer = layer();
    let lines = LogLines::capture();
    let request = Request::get("/chat").header("authorization", format!("Bearer {token}"));
    let response = send(&layer, request.body(String::new()).unwrap());
    let rejection = response.extensions().get::<Rejection>().unwrap();
    let told = format!("{:?} {}", response.headers(), response.body());
    (rejection.kind(), rejection.claim(), told, lines.take())
}

const GOOD: &str =
    r#"{"iss":"https://id.example","aud":"orders","sub":"alice","exp":2000,"iat":1000,"x":1}"#;

#[test]
fn a_refused_claim_is_named_in_the_log_with_what_was_found() {
    for (claim, json, found) in [
        ("sub", "", "absent"),
        ("sub", "\"\"", ""),
        ("sub", "null", "null"),
        ("sub", "7", "7"),
        ("exp", "", "absent"),
        ("exp", "\"soon\"", "soon"),
        ("exp", "253402300800", "253402300800"),
        ("nbf", "1999", "1999"),
        ("nbf", "\"today\"", "today"),
        ("iat", "", "absent"),
        ("iat", "1999", "1999"),
        ("iat", "100", "100"),
        ("iss", "", "absent"),
        ("iss", "\"https://other.example\"", "https://other.example"),
        (
            "iss",
            "[\"https://id.example\"]",
            r#"[\"https://id.example\"]"#,
        ),
        ("aud", "", "absent"),
        ("aud", "\"bills\"", "bills"),
        ("aud", "[\"bills\"]", r#"[\"bills\"]"#),
        ("aud", "{}", "{}"),
        ("jti", "7", "7"),
        ("sid", "[]", "[]"),
        ("client_id", "true", "true"),
        ("act", "\"agent\"", "agent"),
        ("scope", "7", "7"),
        ("scp", "{}", "{}"),
    ] {
        let mut claims: serde_json::Value = serde_json::from_str(GOOD).unwrap();
        let members = claims.as_object_mut().unwrap();
        match json {
            "" => members.remove(claim),
            json => members.insert(claim.to_owned(), serde_json::from_str(json).unwrap()),
        };
        let (_, named, told, log) = refused(&hs256(claims.to_string()));
        assert_eq!(named, Some(claim), "{claim} = {json}");
        assert!(log.contains(&format!("claim=\"{claim}\"")), "{log}");
        assert!(log.contains(&format!("found=\"{found}\"")), "{json}: {log}");
        // The client is told the fixed sentence of the kind.
        assert!(!told.contains(&format!("`{claim}`")), "{told}");
        assert!(
            !told.contains("other.example") && !told.contains("bills"),
            "{told}"
        );
    }
    let roles = GOOD.replace("\"x\":1", "\"realm_access\":{\"roles\":[7]}");
    let (kind, named, _, log) = refused(&hs256(roles));
    assert_eq!((kind, named), (RejectionKind::ClaimInvalid, Some("roles")));
    assert!(log.contains("claim=\"roles\" found=\"[7]\""), "{log}");
}

#[test]
fn a_value_that_is_logged_is_short_and_moves_no_cursor() {
    let long = "x".repeat(65);
    let claims = GOOD.replace("\"orders\"", &format!("\"{long}\""));
    let (.., log) = refused(&hs256(claims));
    assert!(
        log.contains(&format!("found=\"{}…\"", "x".repeat(64))),
        "{log}"
    );
    let claims = GOOD.replace(
        "\"orders\"",
        "\"a\\n\\u001b[2J\\u202eb\\\" source=\\\"cookie\"",
    );
    let (.., log) = refused(&hs256(claims));
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        !log.contains('\u{1b}') && !log.contains('\u{202e}'),
        "{log}"
    );
    assert!(!log.contains(" source=\"cookie"), "{log}");
}

#[test]
fn before_the_signature_held_no_value_is_logged() {
    let forged = |claims: &str| {
        let message = format!("{}.{}", base64(r#"{"alg":"HS256"}"#), base64(claims));
        format!(
            "{message}.{}",
            base64(signature(b"other", Algorithm::HS256))
        )
    };
    let (kind, claim, _, log) = refused(&forged(r#"{"sub":"mallory","exp":900}"#));
    assert_eq!((kind, claim), (RejectionKind::TokenExpired, Some("exp")));
    assert!(log.contains("claim=\"exp\" found=\"other value\""), "{log}");
    assert!(!log.contains("900") && !log.contains("mallory"), "{log}");
    let (kind, claim, _, log) = refused(&forged(r#"{"sub":7,"exp":2000}"#));
    assert_eq!((kind, claim), (RejectionKind::SignatureInvalid, None));
    assert!(!log.contains("claim="), "{log}");

    // Several issuers: the name chooses the keys before they have said anything.
    let named = |issuer: &str| {
        let verifier = Verifier::builder(keys(Algorithm::HS256)).with_issuer(issuer);
        verifier.build().unwrap()
    };
    let verifier = Verifier::issuers([named("a"), named("b")]).unwrap();
    for (claims, found) in [
        (r#"{"iss":"mallory"}"#, "other value"),
        (r#"{"iss":["a"]}"#, "wrong type"),
        (r#"{"iss":null}"#, "absent"),
        ("{}", "absent"),
    ] {
        let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
        let lines = LogLines::capture();
        let request =
            Request::get("/").header("authorization", format!("Bearer {}", forged(claims)));
        let response = send(&layer, request.body(String::new()).unwrap());
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.claim(), Some("iss"), "{claims}");
        let log = lines.take();
        assert!(
            log.contains(&format!("claim=\"iss\" found=\"{found}\"")),
            "{log}"
        );
        assert!(!log.contains("mallory"), "{log}");
    }
}

#[test]
fn the_declared_type_is_named_too() {
    let verifier = verifier()
        .with_token_type(tower_warden::TokenType::AccessToken)
        .build()
        .unwrap();
    let text = token(r#"{"alg":"HS256","typ":"JWT"}"#, GOOD, Algorithm::HS256);
    let refused = verifier.verify(&BearerToken::new(text)).unwrap_err();
    assert_eq!(refused.claim(), Some("aud"));
    let text = token(
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"sub":"alice","exp":2000}"#,
        Algorithm::HS256,
    );
    let refused = verifier.verify(&BearerToken::new(text)).unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::TypeMismatch);
    assert_eq!(refused.claim(), Some("typ"));
    assert_eq!(Rejection::new(RejectionKind::ClaimInvalid).claim(), None);
}

#[test]
fn a_token_over_the_limit_is_named_so_wherever_it_travels() {
    use tower_warden::{AuthorizationHeader, CookieToken, QueryParameter, SubprotocolToken};
    let layer = |limit: Option<usize>| {
        let layer = JwtAuthLayer::hs256(SECRET)
            .unwrap()
            .with_clock(TestClock::at(1_000))
            .with_sources([AuthorizationHeader::new()])
            .with_source(QueryParameter::access_token().everywhere())
            .with_source(SubprotocolToken::bearer())
            .with_source(CookieToken::new("jwt_token").unwrap());
        match limit {
            Some(limit) => layer.with_max_token_size(limit).build().unwrap(),
            None => layer.build().unwrap(),
        }
    };
    // As many groups as Entra puts into a token at most.
    let groups: Vec<String> = (0..200)
        .map(|group| format!("6e74172b-be56-4843-9ff4-e66a39bb{group:04}"))
        .collect();
    let claims = serde_json::json!({ "sub": "alice", "exp": 2000, "groups": groups });
    let token = hs256(claims.to_string());
    assert!(token.len() > 8 * 1024);
    let requests = || {
        let handshake = crate::support::upgrade();
        let mut subprotocol = Request::get("/chat");
        for (name, value) in handshake {
            subprotocol = subprotocol.header(name, value);
        }
        [
            Request::get("/chat").header("authorization", format!("Bearer {token}")),
            Request::get(format!("/chat?access_token={token}")),
            Request::get("/chat").header("cookie", format!("jwt_token={token}")),
            subprotocol.header("sec-websocket-protocol", format!("chat, bearer, {token}")),
        ]
    };
    for request in requests() {
        let refusing = layer(None);
        let lines = LogLines::capture();
        let response = send(&refusing, request.body(String::new()).unwrap());
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), RejectionKind::TokenTooLarge);
        assert_eq!(response.status(), 401);
        assert!(!response.body().contains("8192"), "{}", response.body());
        let log = lines.take();
        let told = format!(
            "the token has {} bytes, the limit is 8192: raise it by `with_max_token_size`",
            token.len()
        );
        assert!(log.contains(&told), "{log}");
    }
    for request in requests() {
        let response = send(
            &layer(Some(32 * 1024)),
            request.body(String::new()).unwrap(),
        );
        assert_eq!(crate::support::refusal(&response), None);
    }
}

#[test]
fn claims_of_another_shape_are_logged_without_their_values() {
    #[derive(Debug, serde::Deserialize)]
    struct Account {
        #[expect(dead_code)]
        number: u64,
    }
    let verifier = verifier().build().unwrap();
    let text = hs256(r#"{"sub":"alice","exp":2000,"number":"DE89 hush"}"#);
    let token = verifier.verify(&BearerToken::new(text)).unwrap();
    let refused = token.claims::<Account>().unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::ClaimInvalid);
    let source = std::error::Error::source(&refused).unwrap();
    let shown = format!("{refused} {refused:?} {source} {source:?}");
    assert!(
        !shown.contains("hush") && !shown.contains("DE89"),
        "{shown}"
    );
    assert!(source.to_string().contains("Account"), "{source}");
    assert!(source.to_string().contains("column"), "{source}");
}
