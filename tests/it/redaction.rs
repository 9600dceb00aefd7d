//! No token on a log line of another layer: everything that tracing captures is searched for it.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use tower_warden::{RedactUri, redacted_uri};
use tracing::{Level, instrument::WithSubscriber};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

const SECRET: &str = "s3cret.t0ken.sign4ture";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// As talkative as tower-http gets: every header of request and response is logged.
macro_rules! talkative {
    () => {
        TraceLayer::new_for_http()
            .make_span_with(
                DefaultMakeSpan::new()
                    .level(Level::INFO)
                    .include_headers(true),
            )
            .on_request(DefaultOnRequest::new().level(Level::INFO))
            .on_response(
                DefaultOnResponse::new()
                    .level(Level::INFO)
                    .include_headers(true),
            )
    };
}

/// Sends the request through the layer, and tells what was logged and which URI and token arrived.
async fn logged<L, S>(layer: L, request: Request<String>) -> (String, String)
where
    L: Layer<
            tower::util::BoxCloneService<Request<String>, Response<String>, Infallible>,
            Service = S,
        >,
    S: tower::Service<Request<String>>,
    S::Error: std::fmt::Debug,
{
    let arrived = Arc::new(Mutex::new(String::new()));
    let seen = arrived.clone();
    let inner = service_fn(move |request: Request<String>| {
        let mut line = request.uri().to_string();
        for value in request.headers().values() {
            line.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        *seen.lock().unwrap() = line;
        async {
            let response = Response::builder().header("set-cookie", format!("jwt_token={SECRET}"));
            Ok(response.body(String::new()).unwrap())
        }
    });
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    let service = layer.layer(tower::util::BoxCloneService::new(inner));
    async {
        service.oneshot(request).await.unwrap();
    }
    .with_subscriber(subscriber)
    .await;
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let arrived = arrived.lock().unwrap().clone();
    (log, arrived)
}

fn requests() -> Vec<Request<String>> {
    let request = |uri: &str, header: Option<(&str, String)>| {
        let mut request = Request::get(uri);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.body(String::new()).unwrap()
    };
    let mut requests = vec![
        request(&format!("/a?access_token={SECRET}"), None),
        request(&format!("/a?room=1&token={SECRET}&b=2"), None),
        request(&format!("/a?access%5Ftoken={SECRET}"), None),
        request(&format!("/a?TICKET={SECRET}"), None),
        request(&format!("http://user:{SECRET}@h/a?code={SECRET}"), None),
    ];
    for (name, value) in [
        ("authorization", format!("Bearer {SECRET}")),
        ("proxy-authorization", format!("Bearer {SECRET}")),
        ("cookie", format!("a=b; jwt_token={SECRET}")),
        ("sec-websocket-protocol", format!("bearer, {SECRET}")),
        ("x-api-key", SECRET.to_owned()),
        ("x-id-token", SECRET.to_owned()),
        ("x-refresh-token", SECRET.to_owned()),
        ("referer", format!("https://h/a?access_token={SECRET}")),
    ] {
        requests.push(request("/a", Some((name, value))));
    }
    requests
}

#[tokio::test]
async fn a_trace_layer_inside_sees_no_token_and_the_service_gets_it_whole() {
    for request in requests() {
        let plain = request.uri().to_string();
        let (log, arrived) = logged(RedactUri::around(talkative!()), request).await;
        assert!(log.contains("started processing request"), "{log}");
        assert!(log.contains("finished processing request"), "{log}");
        assert!(!log.contains(SECRET), "{log}");
        assert!(
            arrived.starts_with(&plain) && arrived.contains(SECRET),
            "{arrived}"
        );
    }
}

#[tokio::test]
async fn a_trace_layer_alone_tells_every_token() {
    // The test above is worth something only while this one holds.
    for request in requests() {
        let (log, _) = logged(talkative!(), request).await;
        assert!(log.contains(SECRET), "{log}");
    }
}

#[tokio::test]
async fn headers_without_secrets_stay_readable() {
    let request = Request::get("/a?room=1")
        .header("referer", "https://h/page?tab=2")
        .header("user-agent", "curl")
        .body(String::new())
        .unwrap();
    let (log, _) = logged(RedactUri::around(talkative!()), request).await;
    for readable in ["/a?room=1", "https://h/page?tab=2", "curl"] {
        assert!(log.contains(readable), "{log}");
    }
}

#[tokio::test]
async fn a_span_made_by_hand_and_a_parameter_of_ones_own_are_hidden_too() {
    let by_hand = TraceLayer::new_for_http().make_span_with(|request: &Request<String>| {
        tracing::info_span!("request", uri = %redacted_uri(request.uri()))
    });
    let request = || {
        Request::get(format!("/a?session={SECRET}&access_token={SECRET}"))
            .body(String::new())
            .unwrap()
    };
    let (log, arrived) = logged(
        RedactUri::around(by_hand).and_parameter("session"),
        request(),
    )
    .await;
    assert!(
        log.contains("/a?session=REDACTED&access_token=REDACTED"),
        "{log}"
    );
    assert!(!log.contains(SECRET), "{log}");
    assert_eq!(arrived.matches(SECRET).count(), 2);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn the_original_uri_of_axum_is_hidden_and_given_back() {
    use axum::{Router, extract::OriginalUri, routing::get};

    let trace = TraceLayer::new_for_http().make_span_with(|request: &axum::extract::Request| {
        let OriginalUri(uri) = request.extensions().get().unwrap();
        tracing::info_span!("request", %uri)
    });
    let inner = Router::new()
        .route(
            "/a",
            get(|OriginalUri(uri): OriginalUri| async move { uri.to_string() }),
        )
        .layer(RedactUri::around(trace));
    let app = Router::new().nest("/nest", inner);

    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    let target = format!("/nest/a?access_token={SECRET}");
    let request = Request::get(&target)
        .body(axum::body::Body::empty())
        .unwrap();
    let response = app
        .oneshot(request)
        .with_subscriber(subscriber)
        .await
        .unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1024)
        .await
        .unwrap();

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/nest/a?access_token=REDACTED"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    assert_eq!(body, target.as_bytes());
}
