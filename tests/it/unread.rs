//! Clients that do not read: what their answers and sockets cost ends in time all the same.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::SinkExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody as Streamed, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower::{Layer, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    BearerToken, JwtAuthLayer, LeaseEnd, NumericDate, Revocation, Revocations, StreamLeaseLayer,
    StreamPolicy, WebSocketPolicy, testing::ManualClock,
};

use crate::{
    tokio_clock::{TokioClock, lasting, strict},
    websocket_support::lease,
};

type Boxed = UnsyncBoxBody<Bytes, Infallible>;
type Service = BoxCloneSyncService<Request<Incoming>, Response<Boxed>, Infallible>;

/// A model that is paid for by the word, and goes on as long as anybody takes its words.
struct Model {
    /// How many it has said.
    said: watch::Sender<usize>,
    /// When nobody took any more.
    stopped: mpsc::UnboundedSender<Instant>,
}

impl Model {
    async fn answer(self, words: mpsc::Sender<Bytes>) {
        let word = format!("data: {}\n\n", "x".repeat(1_000));
        while words.send(Bytes::from(word.clone())).await.is_ok() {
            self.said.send_modify(|said| *said += 1);
        }
        let _ = self.stopped.send(Instant::now());
    }
}

/// What a test sees of the model.
struct Bill {
    said: watch::Receiver<usize>,
    stopped: mpsc::UnboundedReceiver<Instant>,
}

/// A service that streams a model's answer behind the gate, and the model's bill.
fn service(auth: &JwtAuthLayer, policy: Option<StreamPolicy>) -> (Service, Bill) {
    let (said, heard) = watch::channel(0);
    let (stopped, stop) = mpsc::unbounded_channel();
    let chat = service_fn(move |_: Request<Incoming>| {
        let (words, feed) = mpsc::channel(1);
        let model = Model {
            said: said.clone(),
            stopped: stopped.clone(),
        };
        tokio::spawn(model.answer(words));
        let stream = ReceiverStream::new(feed).map(|word| Ok::<_, Infallible>(Frame::data(word)));
        let mut response = Response::new(Streamed::new(stream).boxed_unsync());
        let events = "text/event-stream".parse().unwrap();
        response.headers_mut().insert("content-type", events);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let service = match policy {
        Some(policy) => {
            BoxCloneSyncService::new(auth.layer(StreamLeaseLayer::new(policy).layer(chat)))
        }
        None => BoxCloneSyncService::new(auth.layer(chat)),
    };
    let bill = Bill {
        said: heard,
        stopped: stop,
    };
    (service, bill)
}

fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Service,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let server = auto::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(service);
        let _ = server.serve_connection(TokioIo::new(io), service).await;
    })
}

fn request(token: &BearerToken<'_>) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        token.expose()
    )
}

impl Bill {
    /// Waits until the model has to wait for its client.
    async fn stuck(&mut self) {
        while timeout(Duration::from_millis(300), self.said.changed())
            .await
            .is_ok()
        {}
    }
}

/// No frame is asked for once the pipe is full, and the model stops at the instant of the policy all the same.
#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_stops_its_model_in_time() {
    let seconds = Duration::from_secs;
    for (policy, instant) in [
        (Some(StreamPolicy::Close), Some(10)),
        (
            Some(StreamPolicy::FinishResponse { cap: seconds(60) }),
            Some(70),
        ),
        (Some(StreamPolicy::Grace(seconds(20))), Some(30)),
        (Some(StreamPolicy::CapOnly(seconds(5))), Some(5)),
        (Some(StreamPolicy::CapOnly(seconds(50))), Some(50)),
        // What the others are compared with.
        (None, None),
    ] {
        let clock = TokioClock::new();
        let begun = Instant::now();
        let auth = strict(clock.clone()).build().unwrap();
        let (service, mut bill) = service(&auth, policy);
        let (server, mut client) = tokio::io::duplex(4_096);
        let server = serve(server, service);
        let token = lasting(clock, 10);
        client.write_all(request(&token).as_bytes()).await.unwrap();
        let stopped = timeout(seconds(86_400), bill.stopped.recv()).await.ok();
        let stopped = stopped.map(|at| (at.unwrap() - begun).as_secs());
        assert_eq!(stopped, instant, "{policy:?}");
        let said = *bill.said.borrow();
        assert!(
            (4..100).contains(&said),
            "{policy:?}: back-pressure stays: {said}"
        );

        // The socket is the server's: it stays open until the client reads, who is then told what has happened.
        assert!(!server.is_finished(), "{policy:?}");
        if policy.is_some() {
            let mut text = String::new();
            client.read_to_string(&mut text).await.unwrap();
            let last = text.rsplit("\n\n").nth(1).unwrap_or_default();
            let code = match policy {
                Some(StreamPolicy::CapOnly(_)) => "connection_cap",
                _ => "token_expired",
            };
            assert!(
                text.contains(&format!("event: auth\ndata: {{\"code\":\"{code}\"}}")),
                "{last}"
            );
            assert!(
                text.ends_with("0\r\n\r\n"),
                "the answer is whole, as HTTP goes"
            );
            server.await.unwrap();
        } else {
            drop(client);
            bill.stopped.recv().await.unwrap();
        }
    }
}

/// A client of HTTP/2 that opens no window at all: not even the first frame is asked for.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_never_begun_stops_its_model_in_time() {
    let clock = TokioClock::new();
    let begun = Instant::now();
    let auth = strict(clock.clone()).build().unwrap();
    let (service, mut bill) = service(&auth, Some(StreamPolicy::Close));
    let (server, client) = tokio::io::duplex(4_096);
    let _server = serve(server, service);
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(connection);
    let token = lasting(clock, 10);
    let request = Request::get("http://api.example/chat")
        .header("authorization", format!("Bearer {}", token.expose()))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let stopped = bill.stopped.recv().await.unwrap();
    assert_eq!((stopped - begun).as_secs(), 10);
    let said = *bill.said.borrow();
    assert!(
        (1..=2).contains(&said),
        "no more than the channel holds: {said}"
    );
}

/// Over a real socket, whose buffers are the system's: a revocation stops the model while the client sleeps.
#[tokio::test]
async fn a_revocation_stops_the_model_of_a_client_that_sleeps() {
    let clock = ManualClock::at(1_000);
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let builder = strict(clock.clone()).with_revocations(revocations.clone());
    let auth = builder.build().unwrap();
    let (service, mut bill) = service(&auth, Some(StreamPolicy::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let server = serve(accepted, service);
    let token = lasting(clock, 60);
    client.write_all(request(&token).as_bytes()).await.unwrap();
    bill.stuck().await;
    assert!(
        bill.stopped.try_recv().is_err(),
        "it waits, and would for ever"
    );

    let [before, after] = [1_001, 2_000].map(NumericDate::from_secs);
    let everything = Revocation::everything(before, after);
    assert_eq!(revocations.apply(&everything).unwrap(), 1);
    let minute = Duration::from_secs(60);
    timeout(minute, bill.stopped.recv()).await.unwrap().unwrap();
    assert!(!server.is_finished(), "the socket is the server's");
    let mut text = Vec::new();
    timeout(minute, client.read_to_end(&mut text))
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("event: auth\ndata: {\"code\":\"revoked\"}\n\n"));
    server.await.unwrap();
}

/// The same for a WebSocket: the handler is let go, and the connection is dropped, though no close frame gets through.
#[tokio::test]
async fn a_socket_whose_client_sleeps_is_dropped_at_its_end() {
    for end in [LeaseEnd::Revoked, LeaseEnd::Expired] {
        let clock = ManualClock::at(1_000);
        let lease = lease(clock.clone(), 60).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let (said, mut heard) = watch::channel(0_usize);
        let ends = lease.clone();
        let server = tokio::spawn(async move {
            let socket = WebSocketStream::from_raw_socket(accepted, Role::Server, None).await;
            let policy = WebSocketPolicy::default().with_close_timeout(Duration::from_millis(50));
            let mut socket = lease.guard(socket).with_policy(policy);
            while socket.send(Message::text("x".repeat(10_000))).await.is_ok() {
                said.send_modify(|said| *said += 1);
            }
            (socket.end(), socket.get_ref().is_none())
        });
        while timeout(Duration::from_millis(300), heard.changed())
            .await
            .is_ok()
        {}
        assert!(!server.is_finished(), "it waits, and would for ever");
        match end {
            LeaseEnd::Expired => {
                clock.set(1_060);
                // Whoever looks next notices, as the layer's timer does now and then.
                assert_eq!(ends.check(), Err(end));
            }
            end => ends.end(end),
        }
        let over = timeout(Duration::from_secs(60), server)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(over, (Some(end), true));

        // What was on its way is there to be read, and then nothing more, not even an end of the WebSocket.
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let mut messages = 0;
        while let Some(Ok(message)) = timeout(Duration::from_secs(60), client.next())
            .await
            .unwrap()
        {
            assert!(message.is_text(), "{message}");
            messages += 1;
        }
        assert!(messages > 0);
        assert!(client.send(Message::text("hello?")).await.is_err());
    }
}
