//! [`Proxy`]: a wire to a server that fails when it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire {
    /// It arrives, and so does the answer.
    Sound,
    /// It arrives, and the connection is cut before the answer does.
    CutBeforeAnswer,
    /// It arrives, and the connection is cut in the midst of the answer.
    CutInAnswer,
    /// The connection is cut before it arrives.
    CutBeforeArrival,
    /// Nothing arrives any more, and nobody is told. Connections that are new then are sound.
    Dead,
}

/// How many messages still pass, and what becomes of the one after.
#[derive(Debug, Clone, Copy)]
struct Plan {
    passing: usize,
    wire: Wire,
}

impl Plan {
    /// What becomes of a message; but for that one the wire is sound.
    fn next(&mut self) -> Wire {
        if self.passing > 0 {
            self.passing -= 1;
            return Wire::Sound;
        }
        std::mem::replace(&mut self.wire, Wire::Sound)
    }
}

pub(crate) struct Proxy {
    address: SocketAddr,
    wire: Arc<Mutex<Plan>>,
    /// The port that new connections lead to.
    port: Arc<AtomicU16>,
    /// Counts how often all connections fell silent.
    silences: watch::Sender<u32>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Mutex::new(Plan {
            passing: 0,
            wire: Wire::Sound,
        }));
        let shared = Arc::clone(&wire);
        let port = Arc::new(AtomicU16::new(port));
        let current = Arc::clone(&port);
        let silences = watch::Sender::new(0);
        let silence = silences.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", current.load(Ordering::SeqCst)));
                let Ok(server) = server.await else { continue };
                let wire = Arc::clone(&shared);
                let mut silenced = silence.subscribe();
                tokio::spawn(async move {
                    let (mut client, mut server) = (client, server);
                    tokio::select! {
                        () = carry(&mut client, &mut server, wire) => return,
                        _ = silenced.changed() => {}
                    }
                    // Both ends stay open, and hear nothing.
                    std::future::pending::<()>().await;
                });
            }
        });
        Self {
            address,
            wire,
            port,
            silences,
            accepting,
        }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads the connections that are new from now on to another server. Those that are open stay.
    pub(crate) fn lead_to(&self, port: u16) {
        self.port.store(port, Ordering::SeqCst);
    }

    /// Has every connection fall silent that there is; those that are new then are sound.
    pub(crate) fn silence(&self) {
        self.silences.send_modify(|count| *count += 1);
    }

    /// What becomes of the next message.
    pub(crate) fn set(&self, wire: Wire) {
        self.set_after(0, wire);
    }

    /// Whether nothing more is going to fail.
    pub(crate) fn is_sound(&self) -> bool {
        self.wire.lock().unwrap().wire == Wire::Sound
    }

    /// What becomes of the message after that many.
    pub(crate) fn set_after(&self, passing: usize, wire: Wire) {
        *self.wire.lock().unwrap() = Plan { passing, wire };
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries bytes both ways until one side ends or the wire is cut.
async fn carry(client: &mut TcpStream, server: &mut TcpStream, wire: Arc<Mutex<Plan>>) {
    let (mut request, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let length = read.unwrap_or(0);
                if length == 0 {
                    return;
                }
                let now = wire.lock().unwrap().next();
                match now {
                    Wire::Sound => server.write_all(&request[..length]).await.unwrap(),
                    Wire::Dead => {
                        // Both ends stay open, and hear nothing.
                        std::future::pending::<()>().await;
                    }
                    Wire::CutBeforeArrival => return,
                    Wire::CutBeforeAnswer | Wire::CutInAnswer => {
                        server.write_all(&request[..length]).await.unwrap();
                        // It was done once there is an answer.
                        let length = server.read(&mut answer).await.unwrap();
                        if now == Wire::CutInAnswer {
                            client.write_all(&answer[..length / 2]).await.unwrap();
                        }
                        return;
                    }
                }
            }
            read = server.read(&mut answer) => {
                let length = read.unwrap_or(0);
                if length == 0 || client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
