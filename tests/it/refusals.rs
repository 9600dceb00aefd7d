//! Each refusal, byte by byte: its status, its headers in their order and its body, as `refusals.txt` has them.
//!
//! Clients match on these. After a change that is meant to change them: `REFUSALS=write cargo test --test it refusals`.

use std::{
    env, fmt, fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tower_warden::{
    Challenge, Refusals, Rejection,
    RejectionKind::{self, *},
};

const KINDS: [RejectionKind; 41] = [
    TokenMissing,
    CredentialsMalformed,
    CredentialsAmbiguous,
    TokenMalformed,
    TokenTooLarge,
    AlgorithmNotAllowed,
    KeyUnknown,
    SignatureInvalid,
    TokenInactive,
    TokenExpired,
    TokenNotYetValid,
    TokenTooOld,
    IssuerMismatch,
    AudienceMismatch,
    TypeMismatch,
    ClaimInvalid,
    Revoked,
    TicketInvalid,
    ScopeInsufficient,
    Forbidden,
    ResourceMismatch,
    OriginForeign,
    HttpsRequired,
    RequestMalformed,
    ConnectionEnded,
    RenewalOtherSubject,
    RenewalNotNewer,
    KeysUnavailable,
    StoreUnavailable,
    ApiKeyMalformed,
    ApiKeyUnknown,
    NotOwner,
    ResourceUnnamed,
    NotFound,
    CredentialsInvalid,
    UsernameInvalid,
    PasswordInvalid,
    UsernameTaken,
    RateLimited,
    Overloaded,
    Misconfigured,
];

const EXPECTED: &str = include_str!("refusals.txt");

fn presets() -> [(&'static str, Refusals); 4] {
    [
        ("problem", Refusals::problem()),
        ("edgeone", Refusals::edgeone()),
        ("mixin", Refusals::mixin()),
        ("custom", Refusals::custom(bare)),
    ]
}

/// A responder that leaves everything to be completed.
fn bare(rejection: &Rejection) -> Response<Bytes> {
    Response::new(Bytes::copy_from_slice(rejection.detail().as_bytes()))
}

/// A responder that says all by itself, and for each kind another status.
fn complete(rejection: &Rejection) -> Response<Bytes> {
    Response::builder()
        .status(if rejection.kind() == NotFound {
            200
        } else {
            418
        })
        .header("retry-after", "77")
        .header("x-kind", rejection.kind().code())
        .header("cache-control", "private")
        .header("www-authenticate", "Cookie")
        .header("www-authenticate", "Basic")
        .body(Bytes::from_static(b"short and stout"))
        .unwrap()
}

fn challenge() -> Challenge {
    Challenge::default()
        .with_realm(r#"the "chat" \\ api"#)
        .with_resource_metadata("https://api.example/.well-known/oauth-protected-resource")
}

/// Rejections that say more than their kind does.
fn particular() -> Vec<(&'static str, Rejection)> {
    let after = |kind, millis| Rejection::new(kind).with_retry_after(Duration::from_millis(millis));
    vec![
        (
            "scope",
            Rejection::insufficient_scope("chat:read chat:write"),
        ),
        ("scope, quoted", Rejection::insufficient_scope(r#"a"b\c"#)),
        ("scope, of no header", Rejection::insufficient_scope("a\nb")),
        ("scope, empty", Rejection::insufficient_scope("")),
        ("come again", after(RateLimited, 1_500)),
        ("come again, outdone", after(KeysUnavailable, 61_000)),
        ("come again, at once", after(Overloaded, 0)),
        ("come again, to no avail", after(TokenExpired, 1)),
        (
            "with a source",
            Rejection::new(StoreUnavailable).with_source(fmt::Error),
        ),
    ]
}

/// The answer in one line, which the same refusals, and clones of theirs, have to give each time.
#[track_caller]
fn said(refusals: &Refusals, rejection: &Rejection) -> String {
    let [first, again, clone] = [refusals, refusals, &refusals.clone()].map(|refusals| {
        let (head, body) = refusals.respond::<String>(rejection).into_parts();
        let found = head.extensions.get::<Rejection>().unwrap();
        assert_eq!(format!("{found:?}"), format!("{rejection:?}"));
        format!("{}{} | {body}", head.status.as_u16(), lines(&head.headers))
    });
    assert_eq!(first, again);
    assert_eq!(first, clone);
    first
}

fn lines(headers: &HeaderMap) -> String {
    let line = |(name, value)| format!(" | {name}: {}", HeaderValue::to_str(value).unwrap());
    headers.iter().map(line).collect()
}

/// Everything that is said, a line for each answer.
fn everything() -> String {
    let mut text = String::new();
    let mut add = |name: &str, what: &str, said: String| {
        text.push_str(&format!("{name}, {what}: {said}\n"));
    };
    for (name, refusals) in presets() {
        for kind in KINDS {
            add(name, kind.code(), said(&refusals, &kind.into()));
        }
        for (what, rejection) in particular() {
            add(name, what, said(&refusals, &rejection));
        }
    }
    let told = Refusals::problem()
        .with_challenge(challenge())
        .with_retry_after(Duration::from_millis(8_001));
    for kind in KINDS {
        add("told", kind.code(), said(&told, &kind.into()));
    }
    for (what, rejection) in particular() {
        add("told", what, said(&told, &rejection));
    }
    let complete = Refusals::custom(complete);
    for kind in [TokenMissing, RateLimited, KeysUnavailable, NotFound] {
        add("complete", kind.code(), said(&complete, &kind.into()));
    }
    text
}

#[test]
fn every_refusal_keeps_its_bytes() {
    let found = everything();
    if env::var("REFUSALS").is_ok_and(|what| what == "write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/refusals.txt");
        fs::write(path, &found).unwrap();
        return;
    }
    for (found, expected) in found.lines().zip(EXPECTED.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), EXPECTED.lines().count());
}

/// What has been said before it was told otherwise is not said again.
#[test]
fn refusals_that_are_told_otherwise_say_so_from_then_on() {
    let [missing, unavailable] = [TokenMissing, KeysUnavailable].map(Rejection::new);
    for (name, refusals) in presets() {
        let before = [&missing, &unavailable].map(|rejection| said(&refusals, rejection));
        let told = refusals.clone().with_realm("chat");
        assert!(said(&told, &missing).contains(r#"realm="chat""#), "{name}");
        let told = refusals.clone().with_challenge(challenge());
        assert!(
            said(&told, &missing).contains("resource_metadata="),
            "{name}"
        );
        let told = refusals.clone().with_retry_after(Duration::from_secs(9));
        assert!(
            said(&told, &unavailable).contains("retry-after: 9"),
            "{name}"
        );
        let after = [&missing, &unavailable].map(|rejection| said(&refusals, rejection));
        assert_eq!(before, after, "{name}");
    }
}

/// A responder of the application's is asked each time: it may say something else.
#[test]
fn a_responder_is_asked_for_every_refusal() {
    let asked = AtomicUsize::new(0);
    let refusals = Refusals::custom(move |_: &Rejection| {
        let asked = asked.fetch_add(1, Ordering::Relaxed);
        Response::new(Bytes::from(asked.to_string()))
    });
    for expected in ["0", "1", "2"] {
        let response = refusals.respond::<String>(&TokenMissing.into());
        assert_eq!(response.body(), expected);
    }
}
