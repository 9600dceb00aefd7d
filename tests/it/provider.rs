//! A provider of keys on loopback that misbehaves on demand: raw TCP, so that every fault is a real one.

use std::{
    future::Future,
    io,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tower_warden::{
    Algorithm, BearerToken, Clock, RejectionKind, SigningKey, TokenIssuer, Verification, Verifier,
};

pub(crate) const START: u64 = 1_900_000_000;

/// What the provider does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers with that status, these header lines (`\r\n` after each) and that body.
    Answer(u16, String, Vec<u8>),
    /// Announces a body, and sends a byte of it every 20 ms.
    Drip,
    /// Sends a body of that many bytes, as long as somebody reads it.
    Flood(usize),
    /// The same, and says beforehand how many.
    Announced(usize),
    /// Closes the connection.
    HangUp,
    /// Goes on only when the test lets it.
    Held(Arc<Semaphore>, Box<Self>),
}

impl Reply {
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::Answer(
            200,
            String::from("content-type: application/json\r\n"),
            body.into().into_bytes(),
        )
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, String::new(), Vec::new())
    }
}

type Script = dyn Fn(&str) -> Reply + Send + Sync;

/// The provider, and what it has seen.
pub(crate) struct Provider {
    pub(crate) url: String,
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    script: Mutex<Arc<Script>>,
    tls: Mutex<Option<TlsAcceptor>>,
    paths: Mutex<Vec<String>>,
    requests: Mutex<Vec<String>>,
    sent: AtomicUsize,
}

impl Provider {
    pub(crate) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(script, None).await
    }

    /// Whatever is asked, it gives the same reply.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(crate) async fn with_tls(
        script: impl Fn(&str) -> Reply + Send + Sync + 'static,
        tls: TlsAcceptor,
    ) -> Self {
        Self::serve(script, Some(tls)).await
    }

    async fn serve(
        script: impl Fn(&str) -> Reply + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = Arc::new(State {
            script: Mutex::new(Arc::new(script)),
            tls: Mutex::new(tls),
            paths: Mutex::default(),
            requests: Mutex::default(),
            sent: AtomicUsize::new(0),
        });
        Self {
            url: format!("{scheme}://localhost:{port}"),
            port,
            task: tokio::spawn(listen(listener, Arc::clone(&state))),
            state,
        }
    }

    /// From now on it shows another certificate.
    pub(crate) fn certify(&self, tls: TlsAcceptor) {
        *self.state.tls.lock().unwrap() = Some(tls);
    }

    pub(crate) fn script(&self, script: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(script);
    }

    /// From now on it gives the same reply, whatever is asked.
    pub(crate) fn reply(&self, reply: Reply) {
        self.script(move |_| reply.clone());
    }

    /// How many requests it has seen.
    pub(crate) fn hits(&self) -> usize {
        self.state.paths.lock().unwrap().len()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.state.paths.lock().unwrap().clone()
    }

    /// All that was sent to it: heads and bodies.
    #[cfg(feature = "introspection")]
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    /// How many bytes of bodies its clients took.
    pub(crate) fn sent(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// Nobody listens any more.
    pub(crate) async fn stop(mut self) -> String {
        self.close().await;
        self.url
    }

    /// Nobody listens, until it is opened again.
    pub(crate) async fn close(&mut self) {
        self.task.abort();
        // With the task its listener ends.
        let _ = (&mut self.task).await;
    }

    /// Listens at the same place as before.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await;
        self.task = tokio::spawn(listen(listener.unwrap(), Arc::clone(&self.state)));
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = state.tls.lock().unwrap().clone();
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // What a client does to us is its own affair.
            let _ = match tls {
                None => converse(stream, &state).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => converse(stream, &state).await,
                    Err(error) => Err(error),
                },
            };
        });
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    state: &State,
) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let length = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await?;
    let whole = request + &String::from_utf8_lossy(&body);
    state.requests.lock().unwrap().push(whole);
    state.paths.lock().unwrap().push(path.clone());
    let script = Arc::clone(&state.script.lock().unwrap());
    let reply = script(&path);
    perform(&mut stream, reply, &state.sent).await?;
    stream.shutdown().await
}

fn perform<'s, S: AsyncWrite + Unpin + Send>(
    stream: &'s mut S,
    reply: Reply,
    sent: &'s AtomicUsize,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 's>> {
    Box::pin(async move {
        match reply {
            Reply::Answer(status, headers, body) => {
                let head = format!(
                    "HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await?;
                sent.fetch_add(body.len(), Ordering::SeqCst);
            }
            Reply::Drip => {
                let head = "HTTP/1.1 200 x\r\ncontent-length: 100000\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                for _ in 0..100_000 {
                    stream.write_all(b" ").await?;
                    sent.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Reply::Flood(bytes) | Reply::Announced(bytes) => {
                let length = match reply {
                    Reply::Announced(_) => format!("content-length: {bytes}\r\n"),
                    _ => String::new(),
                };
                let head = format!("HTTP/1.1 200 x\r\n{length}connection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(b"{\"keys\":[").await?;
                let chunk = [b' '; 64 * 1024];
                for _ in 0..bytes / chunk.len() {
                    stream.write_all(&chunk).await?;
                    sent.fetch_add(chunk.len(), Ordering::SeqCst);
                }
            }
            Reply::HangUp => {}
            Reply::Held(gate, reply) => {
                gate.acquire().await.unwrap().forget();
                perform(stream, *reply, sent).await?;
            }
        }
        Ok(())
    })
}

/// Time that stands still until it is moved.
#[derive(Debug, Clone)]
pub(crate) struct StillClock(Arc<AtomicU64>);

impl StillClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// Who signs tokens that are good for a week.
pub(crate) fn signer(issuer: &str, key_id: &str, clock: &StillClock) -> TokenIssuer {
    TokenIssuer::builder(key(key_id))
        .with_issuer(issuer)
        .with_audience("api")
        .with_lifetime(Duration::from_secs(7 * 24 * 60 * 60))
        .with_clock(clock.clone())
        .build()
        .unwrap()
}

pub(crate) fn key(key_id: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA)
        .unwrap()
        .with_id(key_id)
}

pub(crate) fn token(signer: &TokenIssuer) -> BearerToken<'static> {
    signer.mint("alice").sign().unwrap()
}

/// The kind of the refusal, waiting for the key where it is missing.
pub(crate) async fn verdict(
    verifier: &Verifier,
    token: &BearerToken<'_>,
) -> Result<(), RejectionKind> {
    settle(verifier.check(token)).await
}

pub(crate) async fn settle(verification: Verification) -> Result<(), RejectionKind> {
    let answer = verification.settled().await;
    answer.map(drop).map_err(|rejection| rejection.kind())
}

/// Whether the answer came without waiting for anybody.
pub(crate) fn on_the_spot(verifier: &Verifier, token: &BearerToken<'_>) -> bool {
    matches!(verifier.check(token), Verification::Verified(_))
}
