//! What a verified token must say: times, issuer, audience, subject, scopes, roles, actor.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jsonwebtoken::{DecodingKey, Validation};
use proptest::prelude::*;
use tower_warden::{
    Algorithm, BearerToken, ClaimPath, Clock, ConfigError, Keys, RejectionKind, TokenType,
    VerifiedToken, Verifier, VerifierBuilder,
};

use RejectionKind::{
    AudienceMismatch, ClaimInvalid, IssuerMismatch, TokenExpired, TokenNotYetValid, TokenTooOld,
    TypeMismatch,
};

use super::tokens::{
    SECRET, TestClock, hs256, keys, refusal, secret, signature, token, verifier, verify,
};

/// Verifies the claims, which are signed as they stand.
#[track_caller]
fn judge(verifier: VerifierBuilder, claims: &str) -> Result<Arc<VerifiedToken>, RejectionKind> {
    verify(&verifier.build().unwrap(), &hs256(claims))
}

#[test]
fn both_edges_of_both_ends() {
    let clock = Arc::new(TestClock::default());
    let verifier = Verifier::builder(keys(Algorithm::HS256))
        .with_clock(Arc::clone(&clock))
        .with_leeway(Duration::from_secs(30))
        .build()
        .unwrap();
    let token = hs256(r#"{"sub":"alice","nbf":1000,"exp":2000}"#);
    for (now, verdict) in [
        (0, Err(TokenNotYetValid)),
        (969, Err(TokenNotYetValid)),
        (970, Ok(())),
        (1_000, Ok(())),
        (2_000, Ok(())),
        (2_029, Ok(())),
        (2_030, Err(TokenExpired)),
        (u64::MAX, Err(TokenExpired)),
    ] {
        clock.set(now);
        assert_eq!(
            verify(&verifier, &token).map(|_| ()),
            verdict,
            "now = {now}"
        );
    }
}

/// The clock of a system stands still between two ticks.
#[derive(Debug)]
struct Standing(Duration);

impl Clock for Standing {
    fn now(&self) -> Duration {
        self.0
    }
}

#[test]
fn a_token_that_was_issued_beside_us_just_now_is_valid_before_our_clock_has_ticked() {
    for claim in ["iat", "nbf"] {
        let token = hs256(format!(r#"{{"sub":"alice","{claim}":1000,"exp":2000}}"#));
        for (now, verdict) in [
            (1_000_000, Ok(())),
            (999_990, Ok(())),
            (999_950, Ok(())),
            (999_949, Err(TokenNotYetValid)),
            (999_000, Err(TokenNotYetValid)),
        ] {
            let verifier = Verifier::builder(keys(Algorithm::HS256))
                .with_clock(Standing(Duration::from_millis(now)))
                .with_leeway(Duration::ZERO)
                .build()
                .unwrap();
            let found = verify(&verifier, &token).map(|_| ());
            assert_eq!(found, verdict, "{claim} at {now} ms");
        }
    }
}

#[test]
fn times_at_1000() {
    for (leeway, claims, verdict) in [
        // Without leeway, `exp` itself is too late, and `nbf` itself is early enough.
        (0, r#""exp":1000"#, Err(TokenExpired)),
        (0, r#""exp":1001"#, Ok(())),
        (0, r#""exp":1000.9"#, Err(TokenExpired)),
        (0, r#""exp":0"#, Err(TokenExpired)),
        (0, r#""exp":1e3"#, Err(TokenExpired)),
        (0, r#""exp":1.001e3"#, Ok(())),
        (0, r#""exp":2000,"nbf":1000"#, Ok(())),
        (0, r#""exp":2000,"nbf":1000.1"#, Err(TokenNotYetValid)),
        (0, r#""exp":2000,"nbf":1001"#, Err(TokenNotYetValid)),
        (0, r#""exp":2000,"iat":1000"#, Ok(())),
        (0, r#""exp":2000,"iat":1001"#, Err(TokenNotYetValid)),
        (300, r#""exp":701"#, Ok(())),
        (300, r#""exp":700"#, Err(TokenExpired)),
        (300, r#""exp":2000,"iat":1300"#, Ok(())),
        (300, r#""exp":2000,"iat":1301"#, Err(TokenNotYetValid)),
        // The year 9999 has a last second, and no token outlives it.
        (300, r#""exp":253402300799"#, Ok(())),
        (300, r#""exp":253402300799.9"#, Ok(())),
        (300, r#""exp":253402300800"#, Err(ClaimInvalid)),
        (300, r#""exp":2.534023008e11"#, Err(ClaimInvalid)),
        (300, r#""exp":18446744073709551615"#, Err(ClaimInvalid)),
        (300, r#""exp":18446744073709551616"#, Err(ClaimInvalid)),
        (300, r#""exp":9223372036854775808"#, Err(ClaimInvalid)),
        (300, r#""exp":1e300"#, Err(ClaimInvalid)),
        (
            300,
            r#""exp":2000,"nbf":18446744073709551615"#,
            Err(TokenNotYetValid),
        ),
        (300, r#""exp":2000,"nbf":1e300"#, Err(TokenNotYetValid)),
        (300, r#""exp":2000,"iat":1e300"#, Err(TokenNotYetValid)),
    ] {
        let verifier = verifier().with_leeway(Duration::from_secs(leeway));
        let claims = format!(r#"{{"sub":"alice",{claims}}}"#);
        assert_eq!(
            judge(verifier, &claims).map(|_| ()),
            verdict,
            "{claims}, leeway {leeway}"
        );
    }
}

#[test]
fn the_maximum_age_needs_the_time_of_issue() {
    for (iat, verdict) in [
        (r#","iat":1000"#, Ok(())),
        (r#","iat":871"#, Ok(())),
        (r#","iat":870"#, Err(TokenTooOld)),
        (r#","iat":0"#, Err(TokenTooOld)),
        ("", Err(ClaimInvalid)),
    ] {
        let verifier = verifier().with_max_age(Duration::from_secs(100));
        let claims = format!(r#"{{"sub":"alice","exp":2000{iat}}}"#);
        assert_eq!(judge(verifier, &claims).map(|_| ()), verdict, "{iat}");
    }
    let forever = verifier().with_max_age(Duration::MAX);
    assert!(judge(forever, r#"{"sub":"alice","exp":2000,"iat":0}"#).is_ok());
}

#[test]
fn a_named_issuer_is_required_and_equal() {
    for (iss, verdict) in [
        (r#","iss":"https://id.example""#, Ok(())),
        (r#","iss":"https:\/\/id\u002eexample""#, Ok(())),
        ("", Err(IssuerMismatch)),
        (r#","iss":"https://id.example/""#, Err(IssuerMismatch)),
        (r#","iss":"https://id.exampl""#, Err(IssuerMismatch)),
        (r#","iss":"HTTPS://id.example""#, Err(IssuerMismatch)),
        (r#","iss":"https://id.example\u0000""#, Err(IssuerMismatch)),
        (r#","iss":"""#, Err(IssuerMismatch)),
        (r#","iss":["https://id.example"]"#, Err(ClaimInvalid)),
        (r#","iss":null"#, Err(IssuerMismatch)),
        (r#","iss":7"#, Err(ClaimInvalid)),
    ] {
        let verifier = verifier().with_issuer("https://id.example");
        let claims = format!(r#"{{"sub":"alice","exp":2000{iss}}}"#);
        assert_eq!(judge(verifier, &claims).map(|_| ()), verdict, "{iss}");
    }
    assert!(judge(verifier(), r#"{"sub":"alice","exp":2000,"iss":"anybody"}"#).is_ok());
    let array = judge(
        verifier(),
        r#"{"sub":"alice","exp":2000,"iss":["anybody"]}"#,
    );
    assert_eq!(array.unwrap_err(), ClaimInvalid);
}

#[test]
fn a_named_audience_is_required_and_one_match_is_enough() {
    for (aud, named, unnamed, anybody) in [
        ("", Err(AudienceMismatch), Ok(()), Ok(())),
        (r#","aud":"orders""#, Ok(()), Err(AudienceMismatch), Ok(())),
        (r#","aud":"bills""#, Ok(()), Err(AudienceMismatch), Ok(())),
        (
            r#","aud":["x","orders"]"#,
            Ok(()),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":["x","\u006frders"]"#,
            Ok(()),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":"Orders""#,
            Err(AudienceMismatch),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":"orders ""#,
            Err(AudienceMismatch),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":"x orders""#,
            Err(AudienceMismatch),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":["x"]"#,
            Err(AudienceMismatch),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":[]"#,
            Err(AudienceMismatch),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":"""#,
            Err(AudienceMismatch),
            Err(AudienceMismatch),
            Ok(()),
        ),
        (
            r#","aud":["orders",7]"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            r#","aud":[["orders"]]"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            r#","aud":{"orders":1}"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (r#","aud":null"#, Err(AudienceMismatch), Ok(()), Ok(())),
    ] {
        let claims = format!(r#"{{"sub":"alice","exp":2000{aud}}}"#);
        let two = verifier().with_audience("orders").with_audience("bills");
        assert_eq!(judge(two, &claims).map(|_| ()), named, "named: {aud}");
        assert_eq!(
            judge(verifier(), &claims).map(|_| ()),
            unnamed,
            "unnamed: {aud}"
        );
        let any = verifier().dangerous_any_audience();
        assert_eq!(judge(any, &claims).map(|_| ()), anybody, "anybody: {aud}");
    }
}

#[test]
fn an_audience_may_be_left_open_where_that_is_allowed() {
    for (aud, expected) in [
        ("", Ok(())),
        (r#","aud":"orders""#, Ok(())),
        (r#","aud":["bills","orders"]"#, Ok(())),
        (r#","aud":"bills""#, Err(AudienceMismatch)),
        (r#","aud":[]"#, Err(AudienceMismatch)),
        (r#","aud":7"#, Err(ClaimInvalid)),
        (r#","aud":null"#, Ok(())),
    ] {
        let claims = format!(r#"{{"sub":"alice","exp":2000{aud}}}"#);
        let lenient = verifier()
            .with_audience("orders")
            .dangerous_without_audience();
        assert_eq!(judge(lenient, &claims).map(|_| ()), expected, "{aud}");
    }
}

#[test]
fn expiry_and_subject_are_required_unless_waived() {
    for (claims, strict, waived) in [
        (r#"{"sub":"alice","exp":2000}"#, Ok(()), Ok(())),
        (r#"{"sub":"alice"}"#, Err(ClaimInvalid), Ok(())),
        (r#"{"exp":2000}"#, Err(ClaimInvalid), Ok(())),
        (r#"{}"#, Err(ClaimInvalid), Ok(())),
        // What is there is checked all the same.
        (
            r#"{"sub":"alice","exp":900}"#,
            Err(TokenExpired),
            Err(TokenExpired),
        ),
        (
            r#"{"sub":"","exp":2000}"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            r#"{"sub":null,"exp":2000}"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            r#"{"sub":7,"exp":2000}"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            r#"{"sub":["alice"],"exp":2000}"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            r#"{"sub":"alice","exp":null}"#,
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
    ] {
        assert_eq!(judge(verifier(), claims).map(|_| ()), strict, "{claims}");
        let lax = verifier()
            .dangerous_without_expiry()
            .dangerous_without_subject();
        assert_eq!(judge(lax, claims).map(|_| ()), waived, "waived: {claims}");
    }
}

#[test]
fn null_in_an_optional_claim_is_its_absence() {
    for name in [
        "nbf",
        "iat",
        "jti",
        "sid",
        "client_id",
        "act",
        "scope",
        "scp",
        "iss",
        "aud",
    ] {
        let claims = format!(r#"{{"sub":"alice","exp":2000,"{name}":null}}"#);
        let token = judge(verifier(), &claims).unwrap_or_else(|kind| panic!("{name}: {kind:?}"));
        assert_eq!((token.not_before(), token.issued_at()), (None, None));
        assert_eq!((token.issuer(), token.token_id()), (None, None));
        assert_eq!((token.session_id(), token.client_id()), (None, None));
        assert!(token.actor().is_none());
        assert_eq!(token.scopes().count() + token.audiences().count(), 0);
    }
    // A rule that needs the claim refuses its absence.
    let young = || verifier().with_max_age(Duration::from_secs(100));
    let null = r#"{"sub":"alice","exp":2000,"iat":null}"#;
    assert_eq!(judge(young(), null).unwrap_err(), ClaimInvalid);
    for claim in ["jti", "client_id", "iat"] {
        let claims =
            r#""iss":"a","sub":"alice","aud":"b","exp":2000,"client_id":"c","iat":1000,"jti":"d""#;
        let profile = verifier()
            .with_access_token_profile()
            .with_issuer("a")
            .with_audience("b")
            .build()
            .unwrap();
        let header = r#"{"alg":"HS256","typ":"at+jwt"}"#;
        let good = token(header, format!("{{{claims}}}"), Algorithm::HS256);
        assert!(verify(&profile, &good).is_ok());
        let mut members: serde_json::Value =
            serde_json::from_str(&format!("{{{claims}}}")).unwrap();
        members[claim] = serde_json::Value::Null;
        let null = token(header, members.to_string(), Algorithm::HS256);
        assert_eq!(refusal(&profile, &null), ClaimInvalid, "{claim}");
    }
    // Never in `exp` and `sub`, whatever is waived.
    for claims in [
        r#"{"sub":null,"exp":2000}"#,
        r#"{"sub":"alice","exp":null}"#,
    ] {
        let lax = verifier()
            .dangerous_without_expiry()
            .dangerous_without_subject();
        assert_eq!(judge(lax, claims).unwrap_err(), ClaimInvalid, "{claims}");
    }
    // Nor does a header get off by it.
    for name in ["crit", "b64", "zip", "enc", "kid", "typ"] {
        let header = format!(r#"{{"alg":"HS256","{name}":null}}"#);
        let text = token(header, r#"{"sub":"alice","exp":2000}"#, Algorithm::HS256);
        let verifier = verifier().build().unwrap();
        assert_eq!(refusal(&verifier, &text), RejectionKind::TokenMalformed);
    }
}

#[test]
fn the_type_is_demanded_where_asked_for() {
    for (header, any, jwt, access) in [
        (
            r#"{"alg":"HS256"}"#,
            Ok(()),
            Err(TypeMismatch),
            Err(TypeMismatch),
        ),
        (
            r#"{"alg":"HS256","typ":"JWT"}"#,
            Ok(()),
            Ok(()),
            Err(TypeMismatch),
        ),
        (
            r#"{"alg":"HS256","typ":"AT+JWT"}"#,
            Ok(()),
            Err(TypeMismatch),
            Ok(()),
        ),
        (
            r#"{"alg":"HS256","typ":"application/at+jwt"}"#,
            Ok(()),
            Err(TypeMismatch),
            Ok(()),
        ),
        (
            r#"{"alg":"HS256","typ":"logout+jwt"}"#,
            Ok(()),
            Err(TypeMismatch),
            Err(TypeMismatch),
        ),
    ] {
        let text = token(header, r#"{"sub":"alice","exp":2000}"#, Algorithm::HS256);
        for (wanted, verdict) in [
            (TokenType::Any, any),
            (TokenType::Jwt, jwt),
            (TokenType::AccessToken, access),
        ] {
            let verifier = verifier().with_token_type(wanted).build().unwrap();
            assert_eq!(
                verify(&verifier, &text).map(|_| ()),
                verdict,
                "{header} {wanted:?}"
            );
        }
    }
}

#[test]
fn a_verified_token_tells_its_claims() {
    let claims = r#"{"iss":"https://id.example","sub":"al\u0069ce","aud":["orders","bills"],"exp":2000.5,"nbf":900.5,
        "iat":900,"jti":"t-1","scope":"chat  history","realm_access":{"roles":["admin","o\u0070s"]},
        "act":{"sub":"agent-7","act":{"sub":"agent-3"}},"room":"r1"}"#;
    let text = token(
        r#"{"alg":"HS256","kid":"k1","typ":"at+JWT"}"#,
        claims,
        Algorithm::HS256,
    );
    let verifier = verifier()
        .with_audience("orders")
        .with_roles_claim("realm_access.roles")
        .build()
        .unwrap();
    let verified = verify(&verifier, &text).unwrap();
    assert_eq!(verified.algorithm(), Some(Algorithm::HS256));
    assert_eq!(verified.key_id(), Some("k1"));
    assert_eq!(verified.media_type(), Some("at+JWT"));
    assert_eq!(verified.issuer(), Some("https://id.example"));
    assert_eq!(verified.subject(), Some("alice"));
    assert_eq!(
        verified.audiences().collect::<Vec<_>>(),
        ["orders", "bills"]
    );
    let seconds = |date: Option<tower_warden::NumericDate>| date.unwrap().as_secs();
    assert_eq!(seconds(verified.expires_at()), 2_000);
    assert_eq!(seconds(verified.not_before()), 901);
    assert_eq!(seconds(verified.issued_at()), 900);
    assert_eq!(verified.token_id(), Some("t-1"));
    assert_eq!(verified.scopes().collect::<Vec<_>>(), ["chat", "history"]);
    assert!(verified.has_scope("chat") && !verified.has_scope("cha") && !verified.has_scope(""));
    assert_eq!(verified.roles().collect::<Vec<_>>(), ["admin", "ops"]);
    let actor = verified.actor().unwrap();
    assert_eq!(actor.subject(), Some("agent-7"));
    assert_eq!(actor.prior().unwrap().subject(), Some("agent-3"));
    assert_eq!(verified.claims_text(), claims);
    assert_eq!(verified.token().expose(), text);

    #[derive(serde::Deserialize)]
    struct Room {
        room: String,
    }
    let first = verified.claims::<Room>().unwrap();
    assert_eq!(first.room, "r1");
    assert!(Arc::ptr_eq(&first, &verified.claims::<Room>().unwrap()));
    assert_eq!(
        verified.claims::<serde_json::Value>().unwrap()["room"],
        "r1"
    );
    #[derive(Debug, serde::Deserialize)]
    struct Missing {
        #[expect(dead_code)]
        absent: String,
    }
    assert_eq!(
        verified.claims::<Missing>().unwrap_err().kind(),
        ClaimInvalid
    );
}

#[test]
fn scopes_come_from_scope_then_scp_or_the_configured_claim() {
    let read = |verifier: VerifierBuilder, claims: &str| {
        let claims = format!(r#"{{"sub":"alice","exp":2000{claims}}}"#);
        judge(verifier, &claims).map(|token| token.scopes().map(str::to_owned).collect::<Vec<_>>())
    };
    for (claims, expected) in [
        ("", Ok(vec![])),
        (r#","scope":"""#, Ok(vec![])),
        (r#","scope":"a b""#, Ok(vec!["a", "b"])),
        (r#","scope":["a","b"]"#, Ok(vec!["a", "b"])),
        (r#","scp":"a b""#, Ok(vec!["a", "b"])),
        (r#","scp":["a","b"]"#, Ok(vec!["a", "b"])),
        (r#","scp":["a"],"scope":"b""#, Ok(vec!["b"])),
        (r#","scope":7"#, Err(ClaimInvalid)),
        (r#","scope":null"#, Ok(vec![])),
        (r#","scope":null,"scp":null"#, Ok(vec![])),
        (r#","scope":null,"scp":["a"]"#, Ok(vec!["a"])),
        (r#","scope":"b","scp":null"#, Ok(vec!["b"])),
        (r#","scope":{"a":true}"#, Err(ClaimInvalid)),
        (r#","scp":{"a":1}"#, Err(ClaimInvalid)),
        (r#","scp":["a",7]"#, Err(ClaimInvalid)),
    ] {
        let found = read(verifier(), claims);
        let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect());
        assert_eq!(found, expected, "{claims}");
    }
    let configured = || verifier().with_scope_claim("x.allowed");
    let claims = r#","scope":"all","x":{"allowed":"a b"}"#;
    assert_eq!(
        read(configured(), claims),
        Ok(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(read(configured(), r#","scope":"all""#), Ok(vec![]));
    assert_eq!(read(configured(), r#","x":{"allowed":null}"#), Ok(vec![]));
    assert_eq!(read(configured(), r#","x":null,"scp":["a"]"#), Ok(vec![]));
    assert_eq!(
        read(configured(), r#","x":{"allowed":7}"#),
        Err(ClaimInvalid)
    );
}

#[test]
fn roles_come_from_the_configured_claim_only() {
    let read = |path: &ClaimPath, claims: &str| {
        let claims = format!(r#"{{"sub":"alice","exp":2000,{claims}}}"#);
        let token = judge(verifier().with_roles_claim(path.clone()), &claims);
        token.map(|token| token.roles().map(str::to_owned).collect::<Vec<_>>())
    };
    let (keycloak, auth0) = (
        ClaimPath::from("realm_access.roles"),
        ClaimPath::from("permissions"),
    );
    let namespaced = ClaimPath::from("https://acme.example/roles");
    for (path, claims, expected) in [
        (
            &keycloak,
            r#""realm_access":{"roles":["a","b"]}"#,
            Ok(vec!["a", "b"]),
        ),
        (&keycloak, r#""realm_access":{}"#, Ok(vec![])),
        (&keycloak, r#""realm_access":null"#, Ok(vec![])),
        (&keycloak, r#""realm_access":{"roles":null}"#, Ok(vec![])),
        (&keycloak, r#""realm_access":["a"]"#, Ok(vec![])),
        (&keycloak, r#""roles":["a"]"#, Ok(vec![])),
        (&keycloak, r#""realm_access.roles":["a"]"#, Ok(vec![])),
        (
            &keycloak,
            r#""realm_access":{"roles":[1]}"#,
            Err(ClaimInvalid),
        ),
        (&auth0, r#""permissions":["read:x"]"#, Ok(vec!["read:x"])),
        (
            &auth0,
            r#""permissions":"admin now""#,
            Ok(vec!["admin now"]),
        ),
        (&auth0, r#""permissions":true"#, Err(ClaimInvalid)),
        (&auth0, r#""permissions":null"#, Ok(vec![])),
        (&auth0, r#""permissions":{}"#, Ok(vec![])),
        (
            &auth0,
            r#""permissions":{"admin":{"278":"acme.example"},"o\u0070s":{},"x":true,"y":"z","n":0}"#,
            Ok(vec!["admin", "ops", "x", "y", "n"]),
        ),
        // What is denied is no role.
        (
            &auth0,
            r#""permissions":{"admin":false,"owner":null,"reader":true}"#,
            Ok(vec!["reader"]),
        ),
        (
            &ClaimPath::from("urn:zitadel:iam:org:project:roles"),
            r#""urn:zitadel:iam:org:project:roles":{"editor":{"1":"a.example"}}"#,
            Ok(vec!["editor"]),
        ),
        (
            &namespaced,
            r#""https://acme.example/roles":["a"]"#,
            Ok(vec!["a"]),
        ),
    ] {
        let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect());
        assert_eq!(read(path, claims), expected, "{path:?} {claims}");
    }
}

#[test]
fn a_verified_token_and_its_verifier_print_no_secret() {
    let verifier = verifier().build().unwrap();
    let text = hs256(r#"{"sub":"alice-s3cret","exp":2000}"#);
    let verified = verify(&verifier, &text).unwrap();
    let printed = format!("{verified:?} {verified:#?} {verifier:?} {verifier:#?}");
    assert!(printed.contains("HS256"));
    for secret in [
        "s3cret",
        "0123456789",
        "30313233",
        "48, 49",
        text.split('.').next_back().unwrap(),
    ] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}

#[test]
fn what_is_configured_badly_fails_at_build() {
    type Change = fn(VerifierBuilder) -> VerifierBuilder;
    let cases: [(Change, &str, &str); 11] = [
        (|it| it.with_issuer(""), "with_issuer", ""),
        (|it| it.with_audience(""), "with_audience", ""),
        (
            |it| it.with_audience("a").dangerous_any_audience(),
            "with_audience",
            "a",
        ),
        (|it| it.with_algorithms([]), "with_algorithms", "[]"),
        (
            |it| it.with_algorithms([Algorithm::RS256]),
            "with_algorithms",
            "[RS256]",
        ),
        (
            |it| it.with_leeway(Duration::from_secs(301)),
            "with_leeway",
            "301s",
        ),
        (|it| it.with_max_age(Duration::ZERO), "with_max_age", "0ns"),
        (|it| it.with_max_token_size(0), "with_max_token_size", "0"),
        (
            |it| it.with_max_token_size(65_537),
            "with_max_token_size",
            "65537",
        ),
        (
            |it| it.with_roles_claim("a..b"),
            "with_roles_claim",
            r#"ClaimPath(["a", "", "b"])"#,
        ),
        (
            |it| it.with_scope_claim(ClaimPath::new(<[String; 0]>::default())),
            "with_scope_claim",
            "ClaimPath([])",
        ),
    ];
    for (change, expected_name, expected_value) in cases {
        match change(verifier()).build() {
            Err(ConfigError::Setting { name, value, .. }) => {
                assert_eq!((name, value.as_str()), (expected_name, expected_value));
            }
            other => panic!("{expected_name}: {other:?}"),
        }
    }
    for good in [
        verifier().with_leeway(Duration::from_secs(300)),
        verifier().with_max_token_size(65_536),
        verifier().with_algorithms([Algorithm::HS256, Algorithm::RS256]),
    ] {
        assert!(good.build().is_ok());
    }
}

#[test]
fn keys_are_reloaded_for_every_clone() {
    let first = verifier().build().unwrap();
    let second = first.clone();
    let token = hs256(r#"{"sub":"alice","exp":2000}"#);
    assert!(verify(&second, &token).is_ok());

    first
        .reload(Keys::hs256([secret::<32>(1)]).unwrap())
        .unwrap();
    // The header was remembered with the former keys and is of no use any more.
    assert_eq!(refusal(&second, &token), RejectionKind::SignatureInvalid);
    first
        .reload(Keys::hs256([secret(1), SECRET]).unwrap())
        .unwrap();
    assert!(verify(&second, &token).is_ok());

    // What cannot be used leaves the former keys in place.
    let only = verifier()
        .with_algorithms([Algorithm::HS256])
        .build()
        .unwrap();
    assert!(only.reload(keys(Algorithm::RS256)).is_err());
    assert!(verify(&only, &token).is_ok());
}

/// The verdict of jsonwebtoken, as strict as it can be made.
fn oracle(text: &str, issuer: Option<&str>, audience: Option<&str>) -> bool {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "sub"]);
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    crate::support::install_oracle();
    let key = DecodingKey::from_secret(&SECRET);
    jsonwebtoken::decode::<serde_json::Value>(text, &key, &validation).is_ok()
}

fn claim(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let value = prop::sample::select(values);
    prop::option::weighted(0.8, value)
        .prop_map(move |value| value.map_or(String::new(), |value| format!(r#""{name}":{value},"#)))
}

/// Far from now on either side, so that the clock that ticks meanwhile decides nothing.
const DATES: &[&str] = &[
    "1",
    "1000000000",
    "99999999999",
    "99999999999.5",
    "1e11",
    "9.9E12",
    "18446744073709551615",
    "1e400",
    "-1",
    "-1e9",
    "\"99999999999\"",
    "null",
    "true",
    "[]",
    "{}",
    "0",
];
const NAMES: &[&str] = &[
    "\"a\"",
    "\"b\"",
    "\"\"",
    "\"\\u0061\"",
    "[\"a\"]",
    "[\"b\",\"a\"]",
    "[\"b\"]",
    "[]",
    "[1]",
    "null",
    "7",
    "{}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn jsonwebtoken_accepts_what_is_accepted_and_what_it_refuses_is_refused(
        members in [claim("exp", DATES), claim("nbf", DATES), claim("iat", DATES)],
        names in [claim("iss", NAMES), claim("aud", NAMES), claim("sub", NAMES)],
        repeated in prop::option::weighted(0.1, claim("sub", NAMES)),
        named: (bool, bool),
    ) {
        let claims: HashSet<String> = members.into_iter().chain(names).chain(repeated).collect();
        let claims = format!("{{{}\"x\":0}}", claims.into_iter().collect::<String>());
        let (issuer, audience) = (named.0.then_some("a"), named.1.then_some("a"));
        let mut verifier = Verifier::builder(keys(Algorithm::HS256));
        if let Some(issuer) = issuer {
            verifier = verifier.with_issuer(issuer);
        }
        if let Some(audience) = audience {
            verifier = verifier.with_audience(audience);
        }
        let text = hs256(&claims);
        let ours = verifier.build().unwrap().verify(&BearerToken::new(text.as_str()));
        // Where we take `null` for absence, they are shown the absence.
        let shown = ["nbf", "iat", "iss", "aud"]
            .iter()
            .fold(claims.clone(), |claims, name| claims.replace(&format!("\"{name}\":null,"), ""));
        let theirs = oracle(&hs256(&shown), issuer, audience);
        prop_assert!(theirs || ours.is_err(), "we accept, they refuse: {}", claims);
        // Where nothing is in doubt, we agree.
        if theirs && ours.is_err() {
            prop_assert!(is_doubtful(&shown, issuer), "they accept, we refuse: {} {:?}", claims, ours);
        }
    }

    #[test]
    fn arbitrary_claims_never_panic(claims in prop::collection::vec(("[a-z]{3}", "[ -~é]{0,12}"), 0..6)) {
        let list: Vec<String> = claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = hs256(format!("{{{}}}", list.join(",")));
        prop_assert!(verify(&verifier().build().unwrap(), &text).is_err());
    }
}

/// Whether the claims hold one of the things that jsonwebtoken lets pass and we do not.
fn is_doubtful(claims: &str, issuer: Option<&str>) -> bool {
    let claims: serde_json::Value = serde_json::from_str(claims).unwrap();
    let wrong = |name: &str, fits: fn(&serde_json::Value) -> bool| {
        claims.get(name).is_some_and(|value| !fits(value))
    };
    let name = |value: &serde_json::Value| value.is_string();
    let date = |value: &serde_json::Value| {
        let date = value.as_f64();
        date.is_some_and(|date| (0.0..253_402_300_800.0).contains(&date))
    };
    // An issuer in a list, a claim of another type that is not asked for, an empty subject, `iat` in the future.
    wrong("iss", name)
        || wrong("sub", |value| {
            value.as_str().is_some_and(|text| !text.is_empty())
        })
        || wrong("aud", |value| {
            value.is_string()
                || value
                    .as_array()
                    .is_some_and(|list| list.iter().all(serde_json::Value::is_string))
        })
        || wrong("aud", |value| {
            value.as_array().is_none_or(|list| !list.is_empty())
        })
        || wrong("iat", |value| {
            value
                .as_f64()
                .is_some_and(|date| (0.0..=2e9).contains(&date))
        })
        || wrong("exp", date)
        || wrong("nbf", date)
        || issuer.is_some() && claims["iss"].is_array()
}

#[test]
fn what_has_expired_is_refused_whoever_signed_it() {
    // The expiry is read before the signature, so that old junk is cheap; nothing else is.
    let verifier = verifier().with_issuer("a").build().unwrap();
    let forged = |claims: &str| {
        let good = hs256(claims);
        let (message, _) = good.rsplit_once('.').unwrap();
        let other = super::tokens::base64(signature(b"other", Algorithm::HS256));
        format!("{message}.{other}")
    };
    for (claims, kind) in [
        (r#"{"sub":"alice","exp":900}"#, TokenExpired),
        (
            r#"{"sub":"alice","exp":"900"}"#,
            RejectionKind::SignatureInvalid,
        ),
        (r#"{"sub":"alice"}"#, RejectionKind::SignatureInvalid),
        (
            r#"{"sub":"alice","exp":2000,"iss":"b"}"#,
            RejectionKind::SignatureInvalid,
        ),
        (
            r#"{"sub":"alice","exp":2000,"nbf":1999}"#,
            RejectionKind::SignatureInvalid,
        ),
    ] {
        assert_eq!(refusal(&verifier, &forged(claims)), kind, "{claims}");
    }
}
