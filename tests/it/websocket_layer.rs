//! Handshakes at the gate: what travels in them, and how they are refused.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message as AxumMessage, WebSocket},
    },
    response::Response,
    routing::any,
};
use futures_util::SinkExt;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::Role},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    AuthLayerBuilder, Bearer, CloseMap, Closing, CookieToken, JwtAuthLayer, Lease, LeaseEnd, Paths,
    Principal, Rejection, RejectionKind, RenewalMessages, RequireScopeLayer, Revocations, Rule,
    SubprotocolToken, WebSocketRefusal, testing::ManualClock,
};

use crate::{
    support::{SECRET, issuer, token, upgrade},
    websocket_support::{closed, lasting, next, strict},
};

/// How often a handler was reached.
type Calls = Arc<AtomicUsize>;

/// Serves over loopback what the layers let through, and counts what reaches a handler.
async fn serve(layer: JwtAuthLayer) -> (SocketAddr, Calls) {
    let calls = Calls::default();
    let counted = Arc::clone(&calls);
    let greet = async move |upgrade: WebSocketUpgrade,
                            principal: Principal,
                            uri: Uri,
                            headers: HeaderMap| {
        counted.fetch_add(1, Ordering::SeqCst);
        let offer = headers.get_all("sec-websocket-protocol");
        let seen = format!("{uri} {:?}", offer.iter().collect::<Vec<_>>());
        assert!(!seen.contains("eyJ"), "a token came through");
        let upgrade = upgrade.protocols(["chat", "v2"]);
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            let greeting = AxumMessage::text(principal.subject());
            let _ = socket.send(greeting).await;
        })
    };
    let writers = RequireScopeLayer::all(["write"]).unwrap();
    let app = Router::new()
        .route("/agents/{agent}", any(greet.clone()))
        .route("/scoped", any(greet.clone()))
        .route("/inner", any(greet).layer(writers))
        .layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, calls)
}

fn guarded() -> AuthLayerBuilder<Bearer> {
    let scoped = Rule::required("/scoped").with_scopes(["write"]);
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().rule(scoped))
        .require(|principal: &Principal, _: &http::request::Parts| principal.subject() != "banned")
}

type Opened = (WebSocketStream<TcpStream>, HeaderMap);

/// Opens a WebSocket with these headers, or gives the status of the refusal.
async fn open(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, String)],
) -> Result<Opened, StatusCode> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match timeout(Duration::from_secs(60), client_async(request, stream))
        .await
        .expect("an answer within a minute")
    {
        Ok((socket, response)) => Ok((socket, response.headers().clone())),
        Err(Error::Http(response)) => Err(response.status()),
        Err(error) => panic!("{error}"),
    }
}

fn offer(protocols: &str) -> (&'static str, String) {
    ("sec-websocket-protocol", protocols.to_owned())
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_subprotocol_may_carry_the_token_and_is_never_echoed() {
    let (address, calls) = serve(guarded().build().unwrap()).await;
    let token = token("alice");
    let token = token.expose();
    for (protocols, echoed) in [
        (format!("chat, bearer, {token}"), Some("chat")),
        (format!("bearer, {token}, v2, chat"), Some("chat")),
        (format!("v3,Bearer,{token},v2"), Some("v2")),
    ] {
        let (mut socket, headers) = open(address, "/agents/poet", &[offer(&protocols)])
            .await
            .unwrap();
        let echo = headers.get("sec-websocket-protocol");
        assert_eq!(echo.map(|echo| echo.to_str().unwrap()), echoed);
        assert_eq!(next(&mut socket).await, Some(Message::text("alice")));
    }
    assert_eq!(calls.swap(0, Ordering::SeqCst), 3);

    for (headers, status) in [
        (vec![offer(&format!("bearer, {token}"))], 400),
        (vec![offer("chat, bearer")], 400),
        (
            vec![offer(&format!("chat, bearer, {token}, bearer, {token}"))],
            400,
        ),
        (vec![offer(&format!("chat, bearer, {token}, {token}"))], 400),
        (vec![offer("chat, bearer, junk")], 401),
        (vec![offer("chat")], 401),
        (
            vec![offer(&format!("chat, bearer, {token}")), bearer(token)],
            400,
        ),
    ] {
        let refused = open(address, "/agents/poet", &headers).await;
        assert_eq!(refused.unwrap_err(), status, "{headers:?}");
    }
    let both = format!("/agents/poet?access_token={token}");
    let refused = open(address, &both, &[offer(&format!("chat, bearer, {token}"))]).await;
    assert_eq!(refused.unwrap_err(), 400);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_agents_preset_asks_for_another_token_or_says_no_for_good() {
    let (address, calls) = serve(guarded().build().unwrap()).await;
    let good = token("alice");
    let expired = lasting(ManualClock::at(1_000), 10);
    let banned = token("banned");
    for (path, headers, answer) in [
        ("/agents/poet", vec![], Err(401)),
        ("/agents/poet", vec![bearer(expired.expose())], Err(401)),
        ("/agents/poet", vec![bearer("")], Err(400)),
        (
            "/agents/poet",
            vec![bearer(banned.expose())],
            Ok((1008, "forbidden")),
        ),
        (
            "/scoped",
            vec![bearer(good.expose())],
            Ok((1008, "insufficient_scope")),
        ),
        // A layer further in answers alike.
        (
            "/inner",
            vec![bearer(good.expose())],
            Ok((1008, "insufficient_scope")),
        ),
    ] {
        match (open(address, path, &headers).await, answer) {
            (Ok((mut socket, _)), Ok((code, reason))) => {
                assert_eq!(closed(&mut socket).await, (code, reason.to_owned()));
                assert!(next(&mut socket).await.is_none(), "the closing handshake");
            }
            (Err(status), Err(expected)) => assert_eq!(status, expected, "{path}"),
            (got, _) => panic!("{path}: {:?}", got.map(|_| "accepted")),
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert!(
        open(address, "/agents/poet", &[bearer(good.expose())])
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_mixin_preset_accepts_and_closes_with_its_texts() {
    let layer = guarded()
        .with_source(CookieToken::new("jwt_token").unwrap())
        .with_websocket_refusal(WebSocketRefusal::mixin())
        .build()
        .unwrap();
    let (address, calls) = serve(layer).await;
    let good = token("alice");
    let good = good.expose();
    let expired = lasting(ManualClock::at(1_000), 10);
    let expired = expired.expose();
    let cookie = ("cookie", format!("jwt_token={good}"));
    let foreign = ("origin", String::from("https://evil.example"));
    let several = "More than one method used for authentication";
    for (path, headers, reason, echoed) in [
        ("/agents/poet", vec![], "Unauthorized", None),
        ("/agents/poet", vec![bearer(expired)], "Unauthorized", None),
        (
            "/agents/poet",
            vec![bearer(good), cookie.clone()],
            several,
            None,
        ),
        ("/agents/poet", vec![cookie, foreign], "Forbidden", None),
        ("/scoped", vec![bearer(good)], "Forbidden", None),
        // The first real protocol is echoed, or a browser never sees the close frame; a token never is.
        (
            "/agents/poet",
            vec![offer("chat, v2")],
            "Unauthorized",
            Some("chat"),
        ),
        (
            "/agents/poet",
            vec![offer(&format!("bearer, {expired}, v9, chat"))],
            "Unauthorized",
            Some("v9"),
        ),
        (
            "/agents/poet",
            vec![offer(&format!("bearer, {expired}"))],
            "Bad Request",
            None,
        ),
        (
            "/agents/poet",
            vec![offer(&format!("{good}, bearer, {expired}, chat"))],
            several,
            Some("chat"),
        ),
    ] {
        // The client library refuses an offer that is not answered, as a browser does; so bare bytes.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: api.example\r\n");
        for (name, value) in upgrade().into_iter().chain(headers) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{path}: {head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"));
        assert!(!head.contains("eyj"), "a token was echoed: {head}");
        let echo = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(echo, echoed, "{head}");
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        assert_eq!(closed(&mut socket).await, (1008, reason.to_owned()));
        assert!(next(&mut socket).await.is_none());
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_application_chooses_what_is_closed() {
    let banned = token("banned");
    let headers = [bearer(banned.expose())];
    let layer = guarded().with_websocket_refusal(WebSocketRefusal::http());
    let (address, _) = serve(layer.build().unwrap()).await;
    let refused = open(address, "/agents/poet", &headers).await;
    assert_eq!(refused.unwrap_err(), 403);

    let ours = Closing::new(4403, "ask an admin").unwrap();
    let map = CloseMap::new(move |rejection: &Rejection| {
        (rejection.kind() == RejectionKind::Forbidden).then(|| ours.clone())
    });
    let layer = guarded().with_websocket_refusal(WebSocketRefusal::Close(map));
    let (address, _) = serve(layer.build().unwrap()).await;
    let (mut socket, _) = open(address, "/agents/poet", &headers).await.unwrap();
    assert_eq!(closed(&mut socket).await, (4403, "ask an admin".to_owned()));
    assert_eq!(open(address, "/agents/poet", &[]).await.unwrap_err(), 401);
}

#[tokio::test]
async fn half_a_handshake_is_refused_by_its_status() {
    let layer = guarded().with_websocket_refusal(WebSocketRefusal::mixin());
    let (address, calls) = serve(layer.build().unwrap()).await;
    for missing in [
        "connection",
        "upgrade",
        "sec-websocket-version",
        "sec-websocket-key",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request = String::from("GET /agents/poet HTTP/1.1\r\nHost: api.example\r\n");
        for (name, value) in upgrade().into_iter().filter(|(name, _)| *name != missing) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401 ", "without {missing}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

/// Whatever stands between hyper and the layer may have no upgrade to give.
#[tokio::test]
async fn without_an_upgrade_of_the_server_a_refusal_keeps_its_status() {
    let layer = guarded()
        .with_websocket_refusal(WebSocketRefusal::mixin())
        .build()
        .unwrap();
    let request = crate::support::get_with("/agents/poet", upgrade());
    let inner = crate::support::Inner::default();
    let response = layer.layer(inner.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(inner.calls(), 0);
}

/// Hyper over a pipe in memory, where tokio's clock may stand still.
fn piped(layer: JwtAuthLayer, outermost: StatusCode) -> tokio::io::DuplexStream {
    let (server, client) = tokio::io::duplex(1 << 16);
    let inner = service_fn(
        async |request: Request<Body>| -> Result<Response, std::convert::Infallible> {
            let principal = request.extensions().get::<Principal>();
            let _lease = principal.map(Principal::lease);
            // It has the upgrade in its hands and never accepts it.
            std::future::pending().await
        },
    );
    let service = layer.layer(inner);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = service.clone().oneshot(request.map(Body::new));
        async move {
            let mut response = answer.await?;
            if outermost != StatusCode::OK {
                *response.status_mut() = outermost;
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    tokio::spawn(async move {
        let service = hyper_util::service::TowerToHyperService::new(service);
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service)
            .with_upgrades()
            .await
    });
    client
}

const HANDSHAKE: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_never_answers_is_dropped() {
    let layer = guarded().with_websocket_refusal(WebSocketRefusal::mixin());
    let mut client = piped(layer.build().unwrap(), StatusCode::OK);
    let begun = tokio::time::Instant::now();
    client.write_all(HANDSHAKE).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert!(answer.ends_with(b"\x88\x0e\x03\xf0Unauthorized"));
    assert_eq!(begun.elapsed().as_secs(), 2);
    let left = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(left, 0, "neither the connection's task nor the goodbye's");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_somebody_outside_takes_back_leaves_nothing_behind() {
    let layer = guarded().with_websocket_refusal(WebSocketRefusal::mixin());
    let mut client = piped(layer.build().unwrap(), StatusCode::IM_A_TEAPOT);
    client.write_all(HANDSHAKE).await.unwrap();
    let mut answer = [0; 13];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 418 ");
    drop(client);
    while tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        > 0
    {
        tokio::task::yield_now().await;
    }
}

/// The handler keeps the handshake waiting for ever; what was leased ends nevertheless.
#[tokio::test(start_paused = true)]
async fn a_handler_that_never_accepts_holds_nothing_beyond_its_client() {
    let revocations = Revocations::new();
    let layer = guarded().with_revocations(revocations.clone());
    let mut client = piped(layer.build().unwrap(), StatusCode::OK);
    let token = token("alice");
    let bearer = format!("Authorization: Bearer {}\r\n\r\n", token.expose());
    client
        .write_all(HANDSHAKE.strip_suffix(b"\r\n").unwrap())
        .await
        .unwrap();
    client.write_all(bearer.as_bytes()).await.unwrap();
    let answer = timeout(Duration::from_secs(60), client.read_u8()).await;
    assert!(answer.is_err(), "nobody else answers in its place");
    assert_eq!(revocations.open_connections(), 1);
    drop(client);
    while tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        > 0
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(revocations.open_connections(), 0);
}

/// The whole way with axum: handshake, greeting, messages, the end.
#[tokio::test]
async fn axums_socket_is_guarded_alike() {
    let clock = ManualClock::at(1_000);
    let layer = strict(clock.clone()).build().unwrap();
    let handler_clock = clock.clone();
    let (ended, end) = tokio::sync::mpsc::unbounded_channel();
    let connect = async move |upgrade: WebSocketUpgrade, lease: Lease| {
        upgrade.protocols(["chat"]).on_upgrade(async move |socket| {
            let mut socket = lease.guard(socket).with_renewal(RenewalMessages::default());
            assert_eq!(socket.protocol().unwrap(), "chat");
            let mut handled = Vec::new();
            while let Some(Ok(message)) = socket.recv().await {
                let text = message.into_text().unwrap().to_string();
                if text == "wait" {
                    handler_clock.advance(Duration::from_secs(10));
                }
                handled.push(text);
            }
            let close = AxumMessage::Close(Some(CloseFrame {
                code: 1000,
                reason: "never sent".into(),
            }));
            let error = socket.send(close).await.unwrap_err();
            ended
                .send((handled, socket.end(), error.to_string()))
                .unwrap();
        })
    };
    let app = Router::new().route("/chat", any(connect)).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let token = lasting(clock, 10);
    let protocols = offer(&format!("chat, bearer, {}", token.expose()));
    let (mut socket, headers) = open(address, "/chat", &[protocols]).await.unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    let greeting = next(&mut socket).await.unwrap().into_text().unwrap();
    assert!(greeting.contains(r#""ttl":10"#), "{greeting}");
    for text in ["one", "wait", "late", "later"] {
        socket.feed(Message::text(text)).await.unwrap();
    }
    socket.flush().await.unwrap();
    assert_eq!(
        closed(&mut socket).await,
        (3000, "token expired".to_owned())
    );
    assert!(next(&mut socket).await.is_none());
    let mut end = end;
    let (handled, reason, error) = end.recv().await.unwrap();
    assert_eq!(handled, ["one", "wait"]);
    assert_eq!(reason, Some(LeaseEnd::Expired));
    assert!(error.contains("closed"), "{error}");
}

/// Opens a WebSocket by an extended CONNECT (RFC 8441); the status of what is not accepted.
async fn connect(
    address: SocketAddr,
    path: &str,
    protocol: Option<&'static str>,
    headers: &[(&'static str, String)],
) -> Result<
    (
        WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
        HeaderMap,
    ),
    StatusCode,
> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    // The server says in its SETTINGS that it knows extended CONNECT.
    let settings = async {
        while !connection.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), settings).await.unwrap();
    tokio::spawn(connection);
    let mut request =
        Request::connect(format!("http://{address}{path}")).header("sec-websocket-version", "13");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let mut request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    if let Some(protocol) = protocol {
        let protocol = hyper::ext::Protocol::from_static(protocol);
        request.extensions_mut().insert(protocol);
    }
    let answer = timeout(Duration::from_secs(60), sender.send_request(request)).await;
    let mut response = answer.unwrap().unwrap();
    if response.status() != StatusCode::OK {
        return Err(response.status());
    }
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    Ok((socket, response.headers().clone()))
}

#[tokio::test]
async fn an_extended_connect_is_guarded_alike() {
    let (address, calls) = serve(guarded().build().unwrap()).await;
    let good = token("alice");
    let good = good.expose();
    let banned = token("banned");
    let websocket = Some("websocket");

    for (path, headers, echoed) in [
        ("/agents/poet".to_owned(), vec![bearer(good)], None),
        (format!("/agents/poet?access_token={good}"), vec![], None),
        (
            "/agents/poet".to_owned(),
            vec![offer(&format!("bearer, {good}, chat"))],
            Some("chat"),
        ),
    ] {
        let (mut socket, headers) = connect(address, &path, websocket, &headers).await.unwrap();
        let echo = headers.get("sec-websocket-protocol");
        assert_eq!(echo.map(|echo| echo.to_str().unwrap()), echoed);
        assert_eq!(next(&mut socket).await, Some(Message::text("alice")));
    }
    assert_eq!(calls.swap(0, Ordering::SeqCst), 3);

    for (path, headers, answer) in [
        ("/agents/poet", vec![], Err(401)),
        ("/agents/poet", vec![bearer("junk")], Err(401)),
        ("//agents/poet", vec![], Err(401)),
        (
            "/agents/poet",
            vec![bearer(banned.expose()), offer("v9, chat")],
            Ok((1008, "forbidden", Some("v9"))),
        ),
        (
            "/scoped",
            vec![bearer(good)],
            Ok((1008, "insufficient_scope", None)),
        ),
        (
            "/inner",
            vec![bearer(good)],
            Ok((1008, "insufficient_scope", None)),
        ),
    ] {
        match (connect(address, path, websocket, &headers).await, answer) {
            (Ok((mut socket, headers)), Ok((code, reason, echoed))) => {
                let echo = headers.get("sec-websocket-protocol");
                assert_eq!(echo.map(|echo| echo.to_str().unwrap()), echoed);
                assert_eq!(closed(&mut socket).await, (code, reason.to_owned()));
                assert!(next(&mut socket).await.is_none(), "the closing handshake");
            }
            (Err(status), Err(expected)) => assert_eq!(status, expected, "{path}"),
            (got, _) => panic!("{path}: {:?}", got.map(|_| "accepted")),
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

/// Another protocol, or a tunnel, is no WebSocket: it is guarded, and refused by its status.
#[tokio::test]
async fn a_connect_for_something_else_is_refused_by_its_status() {
    let layer = guarded().with_websocket_refusal(WebSocketRefusal::mixin());
    let (address, calls) = serve(layer.build().unwrap()).await;
    let refused = connect(address, "/agents/poet", Some("connect-udp"), &[]).await;
    assert_eq!(refused.unwrap_err(), 401);
    let accepted = connect(address, "/agents/poet", Some("websocket"), &[]).await;
    let (mut socket, _) = accepted.unwrap();
    assert_eq!(closed(&mut socket).await, (1008, "Unauthorized".to_owned()));
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn another_marker_may_stand_before_the_token() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_sources([SubprotocolToken::new("x-ticket").unwrap()])
        .build()
        .unwrap();
    let (address, _) = serve(layer).await;
    let token = issuer().mint("bob").sign().unwrap();
    let protocols = offer(&format!("chat, x-ticket, {}", token.expose()));
    let (mut socket, _) = open(address, "/agents/poet", &[protocols]).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::text("bob")));
}
