//! A WebSocket ends with its lease: in time, said to the client, and whatever the client does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, protocol::Role},
};
use tower_warden::{
    Clock, Closing, LeaseEnd, RenewalMessages, WebSocketPolicy, testing::ManualClock,
};

use crate::websocket_support::{TokioClock, closed, lasting, lease, next, pair};

fn text(message: &Message) -> &str {
    message.to_text().unwrap()
}

#[tokio::test]
async fn a_guarded_socket_behaves_as_the_socket_did() {
    let lease = lease(ManualClock::at(1_000), 60).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lease.guard(server);
    client.send(Message::text("one")).await.unwrap();
    client.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(text(&server.recv().await.unwrap().unwrap()), "one");
    let second = server.recv().await.unwrap().unwrap();
    assert_eq!(second, Message::binary(vec![1, 2]));
    server.send(Message::text("two")).await.unwrap();
    assert_eq!(text(&next(&mut client).await.unwrap()), "two");
    client.close(None).await.unwrap();
    assert!(matches!(server.recv().await, Some(Ok(Message::Close(_)))));
    assert!(server.recv().await.is_none());
    assert_eq!(server.end(), None, "it was the client that closed");
    assert!(server.get_ref().is_some());
}

/// The token has two seconds left, and the client sends as fast as it can.
#[tokio::test]
async fn under_a_flood_no_message_is_handled_after_the_deadline() {
    let clock = ManualClock::at(1_000);
    let lease = lease(clock.clone(), 2).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, _) = listener.accept().await.unwrap();

    let server = tokio::spawn(async move {
        let socket = WebSocketStream::from_raw_socket(accepted, Role::Server, None).await;
        let mut socket = lease.guard(socket);
        let mut handled = 0;
        while let Some(message) = socket.recv().await {
            message.unwrap();
            let now = clock.now();
            assert!(now < Duration::from_secs(1_002), "handled at {now:?}");
            handled += 1;
            if handled % 100 == 0 {
                clock.advance(Duration::from_millis(100));
            }
        }
        assert!(socket.get_ref().is_none(), "the connection is dropped");
        (handled, socket.end())
    });

    let client = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    let (mut sink, mut stream) = client.split();
    let flood =
        tokio::spawn(async move { while sink.send(Message::text("more")).await.is_ok() {} });
    let close = timeout(Duration::from_secs(60), async {
        loop {
            if let Message::Close(frame) = stream.next().await.unwrap().unwrap() {
                break frame.unwrap();
            }
        }
    });
    let close = close.await.unwrap();
    assert_eq!(u16::from(close.code), 3000);
    assert_eq!(close.reason.as_str(), "token expired");
    let (handled, end) = server.await.unwrap();
    // 20 steps of 100 ms; what came after the last of them was thrown away.
    assert_eq!((handled, end), (2_000, Some(LeaseEnd::Expired)));
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_end_closes_an_idle_socket_with_its_code() {
    let unauthorized = "Unauthorized";
    let presets = [
        WebSocketPolicy::default(),
        WebSocketPolicy::mixin(),
        WebSocketPolicy::cloudflare(),
    ];
    for (end, codes) in [
        (
            None,
            [
                (3000, "token expired"),
                (1008, unauthorized),
                (4001, unauthorized),
            ],
        ),
        (
            Some(LeaseEnd::Revoked),
            [
                (1008, "revoked"),
                (1008, unauthorized),
                (4001, unauthorized),
            ],
        ),
        (
            Some(LeaseEnd::NotOwner),
            [
                (1008, "not_owner"),
                (1008, "This chat is not yours."),
                (4001, unauthorized),
            ],
        ),
        (
            Some(LeaseEnd::Closed),
            [(1000, "closed"), (1000, "closed"), (1000, "closed")],
        ),
    ] {
        for (policy, (code, reason)) in presets.iter().zip(codes) {
            let begun = Instant::now();
            let lease = lease(TokioClock::new(), 50).await;
            let (server, mut client) = pair(1 << 16).await;
            let mut server = lease.guard(server).with_policy(policy.clone());
            let handler = tokio::spawn(async move {
                let message = server.recv().await;
                (message.is_none(), server.end())
            });
            if let Some(end) = end {
                tokio::time::sleep(Duration::from_secs(20)).await;
                lease.end(end);
            }
            assert_eq!(closed(&mut client).await, (code, reason.to_owned()));
            let expected = if end.is_some() { 20 } else { 50 };
            assert_eq!(begun.elapsed().as_secs(), expected, "{end:?}");
            assert!(next(&mut client).await.is_none(), "the closing handshake");
            let end = end.unwrap_or(LeaseEnd::Expired);
            assert_eq!(handler.await.unwrap(), (true, Some(end)));
        }
    }
}

/// Cloudflare's words, or the application's, for clients that read messages and no close codes.
#[tokio::test(start_paused = true)]
async fn a_last_message_may_come_before_the_close_frame() {
    let policy = WebSocketPolicy::cloudflare()
        .with_last_message(LeaseEnd::Expired, "replaced")
        .with_last_message(LeaseEnd::Expired, WebSocketPolicy::NOT_AUTHENTICATED)
        .with_last_message(LeaseEnd::Revoked, "signed out");
    for (end, last) in [
        (None, Some(r#"{"error":"Not authenticated"}"#)),
        (Some(LeaseEnd::Revoked), Some("signed out")),
        (Some(LeaseEnd::NotOwner), None),
    ] {
        for speaks in [false, true] {
            let clock = TokioClock::new();
            let lease = lease(clock, 50).await;
            let (server, mut client) = pair(1 << 16).await;
            let mut server = lease.guard(server).with_policy(policy.clone());
            match end {
                Some(end) => lease.end(end),
                None => tokio::time::advance(Duration::from_secs(50)).await,
            }
            if speaks {
                client.send(Message::text("too late")).await.unwrap();
            }
            let handler = tokio::spawn(async move {
                let message = server.recv().await;
                (message.is_none(), server.end())
            });
            if let Some(last) = last {
                let message = next(&mut client).await.unwrap();
                assert_eq!(text(&message), last);
            }
            assert_eq!(closed(&mut client).await, (4001, "Unauthorized".to_owned()));
            assert!(
                next(&mut client).await.is_none(),
                "nothing after the close frame"
            );
            let end = end.unwrap_or(LeaseEnd::Expired);
            assert_eq!(
                handler.await.unwrap(),
                (true, Some(end)),
                "no message is handled"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_answers_the_close_is_dropped() {
    let lease = lease(TokioClock::new(), 10).await;
    let (server, client) = tokio::io::duplex(1 << 16);
    let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    let policy = WebSocketPolicy::default().with_close_timeout(Duration::from_secs(5));
    let mut server = lease.guard(server).with_policy(policy);
    let begun = Instant::now();
    let handler = tokio::spawn(async move { (server.recv().await.is_none(), server) });
    // Bare bytes: this client reads, and never writes.
    let (mut reader, _writer) = tokio::io::split(client);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes[..4], [0x88, 15, 0x0b, 0xb8], "close frame 3000");
    assert_eq!(&bytes[4..], b"token expired");
    assert_eq!(begun.elapsed().as_secs(), 15);
    let (over, server) = handler.await.unwrap();
    assert!(
        over && server.get_ref().is_none(),
        "though the guard lives on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_holds_nobody_up() {
    let lease = lease(TokioClock::new(), 10).await;
    let (server, client) = tokio::io::duplex(256);
    let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    let begun = Instant::now();
    let mut server = lease.guard(server);
    let mut sent = 0;
    let error = loop {
        match server.send(Message::text("x".repeat(100))).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(sent, 2, "back-pressure: what the pipe has room for");
    assert!(matches!(error, Error::ConnectionClosed), "{error}");
    assert_eq!(
        begun.elapsed().as_secs(),
        12,
        "ten, and two for the goodbye"
    );
    assert_eq!(server.end(), Some(LeaseEnd::Expired));
    assert!(server.get_ref().is_none());
    assert!(server.recv().await.is_none());
    let again = server.send(Message::text("y")).await;
    assert!(matches!(again, Err(Error::ConnectionClosed)));
    server.close().await.unwrap();
    drop(client);
}

/// A client that writes everything before it reads anything still learns why it was closed.
#[tokio::test(start_paused = true)]
async fn what_still_comes_is_read_until_the_client_has_answered() {
    let lease = lease(TokioClock::new(), 10).await;
    let (server, mut client) = pair(256).await;
    let mut server = lease.guard(server);
    lease.end(LeaseEnd::Revoked);
    let handler = tokio::spawn(async move { server.recv().await.is_none() });
    for _ in 0..100 {
        client.send(Message::text("x".repeat(100))).await.unwrap();
    }
    assert_eq!(closed(&mut client).await, (1008, "revoked".to_owned()));
    assert!(next(&mut client).await.is_none());
    assert!(handler.await.unwrap(), "none of a hundred messages");
}

#[tokio::test(start_paused = true)]
async fn both_halves_of_a_split_socket_end() {
    for dropped in ["neither", "reader", "writer"] {
        let lease = lease(TokioClock::new(), 10).await;
        let (server, client) = tokio::io::duplex(256);
        let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let (mut sink, mut stream) = lease.guard(server).split();
        let reader = tokio::spawn(async move {
            if dropped == "reader" {
                let a_while = Duration::from_secs(11);
                return timeout(a_while, stream.next()).await.is_err();
            }
            stream.next().await.is_none()
        });
        let writer = tokio::spawn(async move {
            let flood = async { while sink.send(Message::text("x")).await.is_ok() {} };
            match dropped {
                "writer" => timeout(Duration::from_secs(11), flood).await.is_err(),
                _ => timeout(Duration::from_secs(60), flood).await.is_ok(),
            }
        });
        // Nobody reads, and nobody answers.
        let (reader, writer) = tokio::join!(
            timeout(Duration::from_secs(60), reader),
            timeout(Duration::from_secs(60), writer)
        );
        assert!(reader.unwrap().unwrap(), "{dropped} is dropped");
        assert!(writer.unwrap().unwrap(), "{dropped} is dropped");
        drop(client);
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_the_handler_waits() {
    let lease = lease(TokioClock::new(), 10).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lease.guard(server);
    let handler = tokio::spawn(async move {
        while let Some(Ok(message)) = server.recv().await {
            assert!(message.is_ping(), "{message}");
        }
        server.end()
    });
    for beat in 0..5_u8 {
        client.send(Message::Ping(vec![beat].into())).await.unwrap();
        let pong = next(&mut client).await.unwrap();
        assert_eq!(pong, Message::Pong(vec![beat].into()));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(closed(&mut client).await.0, 3000);
    assert!(next(&mut client).await.is_none());
    assert_eq!(handler.await.unwrap(), Some(LeaseEnd::Expired));
}

/// The clock of a virtual machine is set forwards, then back.
#[tokio::test]
async fn a_clock_that_is_set_back_reopens_nothing() {
    let clock = ManualClock::at(1_000);
    let lease = lease(clock.clone(), 60).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lease.guard(server);
    client.send(Message::text("early")).await.unwrap();
    clock.set(2);
    assert!(
        server.recv().await.is_some(),
        "an earlier clock ends nothing"
    );
    clock.set(1_060);
    client.send(Message::text("late")).await.unwrap();
    let handler = tokio::spawn(async move {
        let over = server.recv().await.is_none();
        clock.set(1_000);
        (over, server.recv().await.is_none(), server.end())
    });
    assert_eq!(closed(&mut client).await.0, 3000);
    assert!(next(&mut client).await.is_none());
    let expected = (true, true, Some(LeaseEnd::Expired));
    assert_eq!(handler.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn grace_is_for_the_answer_that_is_being_sent() {
    let policy = || {
        WebSocketPolicy::default()
            .with_grace(Duration::from_secs(5))
            .with_closing(
                LeaseEnd::Expired,
                Closing::new(4100, "again, please").unwrap(),
            )
    };
    // An answer of a word each second, begun before the end at ten seconds.
    let lasting = lease(TokioClock::new(), 10).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lasting.guard(server).with_policy(policy());
    let begun = Instant::now();
    let handler = tokio::spawn(async move {
        let mut words = 0;
        while server.send(Message::text("word")).await.is_ok() {
            words += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        words
    });
    assert_eq!(
        closed(&mut client).await,
        (4100, "again, please".to_owned())
    );
    assert_eq!(begun.elapsed().as_secs(), 15);
    assert!(next(&mut client).await.is_none());
    assert_eq!(handler.await.unwrap(), 15);

    // Whoever asks for the next message has finished its answer; and the message is not handed out.
    let lasting = lease(TokioClock::new(), 10).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lasting.guard(server).with_policy(policy());
    client.send(Message::text("late")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    server.send(Message::text("the end")).await.unwrap();
    let handler = tokio::spawn(async move { server.recv().await.is_none() });
    assert_eq!(text(&next(&mut client).await.unwrap()), "the end");
    assert_eq!(closed(&mut client).await.0, 4100);
    assert!(next(&mut client).await.is_none());
    assert!(handler.await.unwrap());

    // A revocation knows no grace.
    let lasting = lease(TokioClock::new(), 10).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lasting.guard(server).with_policy(policy());
    lasting.end(LeaseEnd::Revoked);
    let handler = tokio::spawn(async move { server.send(Message::text("no")).await.is_err() });
    assert_eq!(closed(&mut client).await.0, 1008);
    assert!(next(&mut client).await.is_none());
    assert!(handler.await.unwrap());
}

/// A clock that may be asked by the handler, and moves by itself each time: no two looks are alike.
#[derive(Debug, Clone, Default)]
struct Restless(Arc<AtomicU64>);

impl Clock for Restless {
    fn now(&self) -> Duration {
        Duration::from_secs(1_000) + Duration::from_millis(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn the_clock_is_asked_about_each_message() {
    let clock = Restless::default();
    let lease = lease(clock.clone(), 2).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lease.guard(server);
    for _ in 0..3_000 {
        client.feed(Message::text("x")).await.unwrap();
    }
    let flush = tokio::spawn(async move {
        let _ = client.flush().await;
        closed(&mut client).await.0
    });
    let mut handled = 0;
    while server.recv().await.is_some() {
        handled += 1;
    }
    assert!((1_900..2_000).contains(&handled), "{handled}");
    assert_eq!(server.end(), Some(LeaseEnd::Expired));
    assert_eq!(flush.await.unwrap(), 3000);
}

fn json(message: &Message) -> serde_json::Value {
    serde_json::from_str(text(message)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_newer_token_in_a_message_keeps_the_connection() {
    let clock = TokioClock::new();
    let lease = lease(clock.clone(), 10).await;
    let id = lease.id().to_string();
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lease.guard(server).with_renewal(RenewalMessages::default());
    let handler = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(Ok(message)) = server.recv().await {
            if let Message::Text(text) = message {
                heard.push(text.to_string());
            }
        }
        (heard, server.end())
    });
    let greeting = json(&next(&mut client).await.unwrap());
    let expected = serde_json::json!({"type": "auth_ok", "ttl": 10, "connection_id": id});
    assert_eq!(greeting, expected);

    tokio::time::sleep(Duration::from_secs(5)).await;
    let newer = lasting(clock.clone(), 20);
    let older = {
        let past = ManualClock::at(900);
        lasting(past, 1_000)
    };
    let auth = |token: &str| Message::text(format!(r#"{{"type":"auth","token":"{token}"}}"#));
    let accepted = serde_json::json!({"type": "auth_ok", "ttl": 20, "connection_id": id});
    let refused = |code: &str| serde_json::json!({"type": "auth_error", "code": code});
    for (message, answer) in [
        (auth(newer.expose()), accepted),
        (auth(older.expose()), refused("renewal_not_newer")),
        (auth("junk"), refused("token_malformed")),
        (
            Message::text(r#"{"type":"auth"}"#),
            refused("request_malformed"),
        ),
    ] {
        client.send(message).await.unwrap();
        assert_eq!(json(&next(&mut client).await.unwrap()), answer);
    }
    client.send(Message::text("hello")).await.unwrap();

    // Beyond the first token's end, to that of the second.
    let begun = Instant::now();
    assert_eq!(
        closed(&mut client).await,
        (3000, "token expired".to_owned())
    );
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert!(next(&mut client).await.is_none());
    let expected = (vec!["hello".to_owned()], Some(LeaseEnd::Expired));
    assert_eq!(handler.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_after_the_end_renews_nothing() {
    let clock = ManualClock::at(1_000);
    let lease = lease(clock.clone(), 10).await;
    let (server, mut client) = pair(1 << 16).await;
    let mut server = lease.guard(server).with_renewal(RenewalMessages::default());
    clock.advance(Duration::from_secs(10));
    let token = lasting(clock, 60);
    let message = format!(r#"{{"type":"auth","token":"{}"}}"#, token.expose());
    client.send(Message::text(message)).await.unwrap();
    let handler = tokio::spawn(async move { server.recv().await.is_none() });
    assert_eq!(closed(&mut client).await.0, 3000);
    assert!(next(&mut client).await.is_none());
    assert!(handler.await.unwrap());
}

/// A client that floods with renewals and reads none of the answers waits for itself, and ends with its lease.
#[tokio::test(start_paused = true)]
async fn answers_to_renewals_know_back_pressure() {
    let lease = lease(TokioClock::new(), 10).await;
    let (server, client) = tokio::io::duplex(256);
    let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    let mut server = lease.guard(server).with_renewal(RenewalMessages::default());
    let (reader, mut writer) = tokio::io::split(client);
    let flood = tokio::spawn(async move {
        // A masked text frame, by hand, so that nothing is ever read.
        let text = br#"{"type":"auth","token":"junk"}"#;
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text);
        // More than there is room for the answers to, and an end: tokio's clock stands still while somebody is busy.
        for _ in 0..10_000 {
            writer.write_all(&frame).await.unwrap();
        }
        writer
    });
    let begun = Instant::now();
    assert!(server.recv().await.is_none());
    assert_eq!(begun.elapsed().as_secs(), 12);
    flood.await.unwrap();
    drop(reader);
}
