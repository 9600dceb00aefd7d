//! What the log tells about a refusal, and what no log, `Debug` or error ever tells: a credential.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use http::Request;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::trace::TraceLayer;
use tower_warden::{
    BearerToken, CookieToken, JwtAuthLayer, Keys, Paths, RedactUri, SigningKey, TokenIssuer,
};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Inner, SECRET, get, get_with, issuer, token, upgrade};

/// A log that a test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Runs a future and gives all that was logged meanwhile, at every level and with all spans.
pub(crate) async fn capture<F: Future>(future: F) -> (String, F::Output) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let output = future.with_subscriber(subscriber).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (text, output)
}

fn layer() -> JwtAuthLayer {
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_source(CookieToken::new("jwt_token").unwrap())
        .with_paths(Paths::all().exempt("/health"))
        .build()
        .unwrap()
}

#[tokio::test]
async fn each_refusal_is_one_event_with_a_bounded_reason() {
    let good = token("alice");
    let foreign = [
        ("cookie", format!("jwt_token={}", good.expose())),
        ("origin", String::from("https://evil.example")),
    ];
    let table = [
        (
            get_with("/chat", []),
            "reason=\"token_missing\"",
            "source=\"none\"",
        ),
        (
            get("/chat", &BearerToken::new("garbage")),
            "reason=\"token_malformed\"",
            "source=\"header\"",
        ),
        (
            get_with("/chat", foreign.into_iter().chain(upgrade())),
            "reason=\"origin_foreign\"",
            "source=\"cookie\"",
        ),
    ];
    for (request, reason, source) in table {
        let service = layer().layer(Inner::default());
        let (log, _) = capture(service.oneshot(request)).await;
        assert_eq!(log.matches("request refused").count(), 1, "{log}");
        assert!(log.contains(reason) && log.contains(source), "{log}");
    }
}

#[tokio::test]
async fn an_accepted_request_logs_nothing() {
    let service = layer().layer(Inner::default());
    let (log, _) = capture(service.oneshot(get("/chat", &token("alice")))).await;
    assert_eq!(log, "");
}

/// Every way a token may come, good and bad, with the loudest log there is: no token in any line.
#[tokio::test]
async fn no_log_line_holds_a_token() {
    let good = issuer().mint("alice-the-subject").sign().unwrap();
    let expired = {
        let clock = tower_warden::testing::ManualClock::at(1_000);
        let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap()).with_clock(clock);
        issuer
            .build()
            .unwrap()
            .mint("alice-the-subject")
            .sign()
            .unwrap()
    };
    let bad = BearerToken::new("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl");
    let mut handshakes = 0;
    for token in [&good, &expired, &bad] {
        let text = token.expose();
        let cookie = format!("jwt_token={text}");
        let query = format!("/chat?a=1&access_token={text}");
        let requests: [Request<String>; 6] = [
            get("/chat", token),
            get("/health", token),
            get_with("/chat", [("cookie", cookie.clone())]),
            get_with(&query, upgrade()),
            get_with(&query, []),
            get_with(
                &query,
                [
                    ("cookie", cookie),
                    ("authorization", format!("Bearer {text}")),
                ],
            ),
        ];
        for request in requests {
            let mut service = ServiceBuilder::new()
                .layer(RedactUri::around(
                    TraceLayer::new_for_http().make_span_with(
                        tower_http::trace::DefaultMakeSpan::new().include_headers(true),
                    ),
                ))
                .layer(layer())
                .service(Inner::default());
            let answer = async { service.ready().await.unwrap().call(request).await };
            let (log, response) = capture(answer).await;
            handshakes += usize::from(response.unwrap().status() == 200);
            assert!(log.contains("started processing request"), "{log}");
            for part in text.split('.') {
                assert!(!log.contains(part), "a part of the token in:\n{log}");
            }
            assert!(!log.contains("alice-the-subject"), "{log}");
        }
    }
    // The redaction hides the token from the log, not from the gate: header, cookie and upgrade got through.
    assert_eq!(handshakes, 6);
}

#[test]
fn debug_output_holds_no_secret() {
    let good = token("alice-the-subject");
    let keys = Keys::hs256([SECRET]).unwrap();
    let builder = JwtAuthLayer::hs256(SECRET).unwrap();
    let layer = layer();
    let response = crate::support::send(&layer, get("/chat", &good));
    let principal = crate::support::seen(&response).principal.clone().unwrap();
    let printed = [
        format!("{good:?}"),
        format!("{keys:?}"),
        format!("{builder:?}"),
        format!("{layer:#?}"),
        format!("{principal:#?}"),
        format!("{:#?}", principal.token()),
        format!("{:#?}", issuer()),
        format!("{:#?}", SigningKey::hs256(SECRET).unwrap()),
    ];
    for text in printed {
        for secret in [SECRET, good.expose(), "alice-the-subject"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn the_start_up_table_says_what_is_guarded() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (log, _) = runtime.block_on(capture(async { layer() }));
    assert!(log.contains("/health"), "{log}");
}
