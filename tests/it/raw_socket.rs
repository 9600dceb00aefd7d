//! Exact bytes over a real socket, through hyper: HTTP/1.1 as no client would write it, and HTTP/2.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{ServiceBuilder, service_fn};
use tower_warden::{CookieToken, JwtAuthLayer, Paths, Principal};

use crate::support::{SECRET, token};

/// A plain hyper service behind the layer; gives its address.
async fn serve() -> std::net::SocketAddr {
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_source(CookieToken::new("jwt_token").unwrap())
        .with_paths(Paths::all().exempt("/health").exempt("/auth/*"))
        .build()
        .unwrap();
    let greet = async |request: Request<Incoming>| {
        let name = request
            .extensions()
            .get::<Principal>()
            .map_or("nobody", Principal::subject);
        let body = format!("{name} {}", request.uri());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body)))
    };
    let service = ServiceBuilder::new().layer(auth).service(service_fn(greet));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                // What a test closes in the middle is an error here, and none of the service's.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Writes these bytes and reads the answer to its end.
async fn exchange(bytes: &str) -> String {
    let mut stream = TcpStream::connect(serve().await).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of the answer to a request of these lines.
async fn status(target: &str, lines: &str) -> u16 {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n{lines}\r\n");
    let answer = exchange(&request).await;
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("an HTTP answer")
}

#[tokio::test]
async fn header_lines_as_they_come() {
    let good = token("alice");
    let good = good.expose();
    let table = [
        (String::new(), 401),
        (format!("Authorization: Bearer {good}\r\n"), 200),
        (format!("AUTHORIZATION: bEaReR {good}\r\n"), 200),
        (
            format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n"),
            400,
        ),
        (
            format!("Authorization: Basic YTpi\r\nAuthorization: Bearer {good}\r\n"),
            400,
        ),
        (
            format!("Authorization: Bearer {good}\r\nCookie: jwt_token={good}\r\n"),
            400,
        ),
        (format!("Authorization: Bearer {good},\r\n"), 400),
        (String::from("Authorization: Bearer\r\n"), 400),
        (String::from("Authorization: Bearer \u{e9}\r\n"), 400),
        (format!("Cookie: jwt_token={good}\r\n"), 200),
        (
            format!("Cookie: jwt_token={good}\r\nCookie: jwt_token={good}\r\n"),
            400,
        ),
        (format!("Cookie: a=b\r\nCookie: jwt_token={good}\r\n"), 200),
        (String::from("Cookie: jwt_token=\u{e9}\r\n"), 401),
    ];
    for (lines, expected) in table {
        assert_eq!(
            status("/chat", &lines).await,
            expected,
            "{}",
            lines.replace(good, "…")
        );
    }
}

/// Hazards 6, as bytes on the wire: no way of writing a path talks around the gate.
#[tokio::test]
async fn targets_as_they_come() {
    let refused = [
        "/chat",
        "//chat",
        "/./chat",
        "/auth/../chat",
        "/auth/%2e%2e/chat",
        "/auth/..%2fchat",
        "/auth/%252e%252e/chat",
        "/auth/..;/chat",
        "/auth;/../chat",
        "/health;x",
        "/health/",
        "/Health",
        "/health%00",
        "/health%2f",
        "/%68ealth",
        "/auth/x\\..\\chat",
        "http://api.example/chat",
        "http://api.example",
        "/health%",
        "/auth//login",
    ];
    for target in refused {
        let status = status(target, "").await;
        assert!(status == 401 || status == 400, "{target}: {status}");
    }
    for target in [
        "/health",
        "/health?x=/chat",
        "/auth/login",
        "http://api.example/health",
        "http://other.example/auth/a",
    ] {
        assert_eq!(status(target, "").await, 200, "{target}");
    }
}

#[tokio::test]
async fn other_forms_of_targets_are_guarded() {
    for line in [
        "OPTIONS * HTTP/1.1",
        "CONNECT api.example:443 HTTP/1.1",
        "HEAD /chat HTTP/1.1",
    ] {
        let answer = exchange(&format!(
            "{line}\r\nHost: api.example\r\nConnection: close\r\n\r\n"
        ))
        .await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{line}: {answer}");
    }
}

/// Hazards 3: credentials do not survive on the connection.
#[tokio::test]
async fn each_request_of_a_connection_proves_itself() {
    let good = token("alice");
    let first = format!(
        "GET /chat HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
        good.expose()
    );
    let answer = exchange(&format!(
        "{first}GET /chat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let statuses: Vec<_> = answer
        .matches("HTTP/1.1 ")
        .count()
        .to_string()
        .chars()
        .collect();
    assert_eq!(statuses, ['2'], "{answer}");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("HTTP/1.1 401"),
        "{answer}"
    );
}

/// Hazards 3: the answer comes before the body is read.
#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    let mut stream = TcpStream::connect(serve().await).await.unwrap();
    let head = "POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_junk_token_of_any_size_is_refused() {
    for length in [1, 100, 8 * 1024, 60_000] {
        for fill in ["a", ".", "eyJ"] {
            let junk = fill.repeat(length / fill.len() + 1);
            let status = status("/chat", &format!("Authorization: Bearer {junk}\r\n")).await;
            assert!(
                matches!(status, 400 | 401 | 431),
                "{fill} × {length}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let stream = TcpStream::connect(serve().await).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let good = token("alice");
    let bearer = format!("Bearer {}", good.expose());
    let half = format!("jwt_token={}", good.expose());
    type Headers<'a> = Vec<(&'a str, &'a str)>;
    let table: [(&str, Headers<'_>, u16); 6] = [
        ("/chat", vec![], 401),
        ("/chat", vec![("authorization", &bearer)], 200),
        (
            "/chat",
            vec![("authorization", &bearer), ("authorization", &bearer)],
            400,
        ),
        // HTTP/2 may split the Cookie header into one line for each cookie.
        ("/chat", vec![("cookie", "a=b"), ("cookie", &half)], 200),
        ("/chat", vec![("cookie", &half), ("cookie", &half)], 400),
        ("/health", vec![], 200),
    ];
    for (path, headers, expected) in table {
        let mut request = Request::get(format!("http://api.example{path}"));
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(
            response.status().as_u16(),
            expected,
            "{path} {}",
            headers.len()
        );
        response.into_body().collect().await.unwrap();
    }
}
