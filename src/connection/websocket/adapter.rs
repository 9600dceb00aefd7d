//! [`MessageSocket`]: what the guard needs of a socket.

use std::error::Error;

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, protocol::CloseFrame},
};

use crate::Closing;

/// A WebSocket whose messages come as a stream and go into a sink.
///
/// It is implemented for `axum::extract::ws::WebSocket` and [`tokio_tungstenite::WebSocketStream`]. The sockets of other
/// libraries can be guarded as well once they implement it.
pub trait MessageSocket:
    Stream<
        Item = Result<
            <Self as MessageSocket>::Message,
            <Self as Sink<<Self as MessageSocket>::Message>>::Error,
        >,
    > + Sink<<Self as MessageSocket>::Message, Error: Error>
    + Unpin
{
    /// One message, control frames included.
    type Message;

    /// The close frame with that code and reason.
    fn close_message(closing: &Closing) -> Self::Message;

    /// A text message.
    fn text_message(text: String) -> Self::Message;

    /// The text of a text message, and nothing for any other.
    fn text_of(message: &Self::Message) -> Option<&str>;

    /// What whoever still sends is told after the end: that the connection is closed.
    fn closed() -> Self::Error;
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageSocket for WebSocketStream<S> {
    type Message = tungstenite::Message;

    fn close_message(closing: &Closing) -> Self::Message {
        tungstenite::Message::Close(Some(CloseFrame {
            code: closing.code().into(),
            reason: closing.reason().to_owned().into(),
        }))
    }

    fn text_message(text: String) -> Self::Message {
        tungstenite::Message::Text(text.into())
    }

    fn text_of(message: &Self::Message) -> Option<&str> {
        match message {
            tungstenite::Message::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    fn closed() -> Self::Error {
        tungstenite::Error::ConnectionClosed
    }
}

#[cfg(feature = "axum")]
mod of_axum {
    use axum::{
        Error,
        extract::ws::{CloseFrame, Message, WebSocket},
    };

    use super::{Closing, MessageSocket, tungstenite};

    impl MessageSocket for WebSocket {
        type Message = Message;

        fn close_message(closing: &Closing) -> Message {
            Message::Close(Some(CloseFrame {
                code: closing.code(),
                reason: closing.reason().to_owned().into(),
            }))
        }

        fn text_message(text: String) -> Message {
            Message::Text(text.into())
        }

        fn text_of(message: &Message) -> Option<&str> {
            match message {
                Message::Text(text) => Some(text.as_str()),
                _ => None,
            }
        }

        fn closed() -> Error {
            Error::new(tungstenite::Error::ConnectionClosed)
        }
    }
}
