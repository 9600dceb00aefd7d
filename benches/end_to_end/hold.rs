//! The client that holds WebSockets open, in a process of its own.

use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

/// How many are being opened at a time.
const OPENING: usize = 64;

/// Opens so many sockets each time a line with a number comes, and says when they are open; until the lines end.
///
/// The tokens are lines of a file, which take turns.
pub(crate) async fn hold(url: &str, tokens: &str) {
    let tokens = std::fs::read_to_string(tokens).unwrap();
    let tokens: Vec<&str> = tokens.lines().collect();
    let mut held = Vec::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let first = held.len();
        let count: usize = line.parse().unwrap();
        let opened = stream::iter(first..first + count)
            .map(|number| open(url, number, tokens[number % tokens.len()]))
            .buffer_unordered(OPENING)
            .try_collect::<Vec<_>>();
        held.extend(opened.await.unwrap());
        println!("{}", held.len());
    }
}

/// Opens one, and waits until the other side has answered a message, so that its handler is at work.
async fn open(
    url: &str,
    number: usize,
    token: &str,
) -> Result<WebSocketStream<TcpStream>, Box<Error>> {
    let mut request = format!("ws://{url}/{number}")
        .into_client_request()
        .map_err(Box::new)?;
    let bearer = format!("Bearer {token}")
        .parse()
        .expect("a token fits into a header");
    request.headers_mut().insert("authorization", bearer);
    let address = request
        .uri()
        .authority()
        .expect("the URL has a host")
        .to_string();
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| Box::new(error.into()))?;
    let (mut socket, _) = client_async(request, stream).await.map_err(Box::new)?;
    socket
        .send(Message::text("hello"))
        .await
        .map_err(Box::new)?;
    // A client that renews is told first how long its token will do.
    while let Some(message) = socket.next().await {
        if message.map_err(Box::new)? == Message::text("hello") {
            return Ok(socket);
        }
    }
    Err(Box::new(Error::ConnectionClosed))
}
