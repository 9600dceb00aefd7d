//! Sockets in memory and over loopback, and leases to put them under.

use std::{convert::Infallible, time::Duration};

use futures_util::StreamExt;
use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{Clock, Lease, Principal};

use crate::support::get;
pub(crate) use crate::tokio_clock::{TokioClock, lasting, strict};

/// A lease for so many seconds of that clock.
pub(crate) async fn lease(clock: impl Clock + Clone, seconds: u64) -> Lease {
    let inner = service_fn(async |request: Request<String>| {
        let lease = request.extensions().get().map(Principal::lease);
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(lease.unwrap());
        Ok::<_, Infallible>(response)
    });
    let layer = strict(clock.clone()).build().unwrap();
    let request = get("/chat", &lasting(clock, seconds));
    let mut response = layer.layer(inner).oneshot(request).await.unwrap();
    response.extensions_mut().remove().unwrap()
}

pub(crate) type Piped = WebSocketStream<DuplexStream>;

/// Server and client of a WebSocket in memory, with so many bytes of room in each direction.
pub(crate) async fn pair(room: usize) -> (Piped, Piped) {
    let (server, client) = tokio::io::duplex(room);
    (
        WebSocketStream::from_raw_socket(server, Role::Server, None).await,
        WebSocketStream::from_raw_socket(client, Role::Client, None).await,
    )
}

/// The next message, and never a wait for ever.
pub(crate) async fn next<S>(socket: &mut WebSocketStream<S>) -> Option<Message>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let next = timeout(Duration::from_secs(60), socket.next()).await;
    next.expect("a message, or the end, within a minute")
        .map(|message| message.expect("no error of the protocol"))
}

/// Code and reason of the next close frame; what comes before it is thrown away.
pub(crate) async fn closed<S>(socket: &mut WebSocketStream<S>) -> (u16, String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match next(socket).await {
            Some(Message::Close(Some(frame))) => {
                return (frame.code.into(), frame.reason.to_string());
            }
            Some(Message::Close(None)) => panic!("a close frame without a code"),
            Some(_) => {}
            None => panic!("the connection ended without a close frame"),
        }
    }
}
