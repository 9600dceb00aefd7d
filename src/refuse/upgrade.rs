//! A refusal by close frame: the upgrade is completed here, for the frame's sake and for nothing else.

use std::{future::poll_fn, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header, request::Parts};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{runtime::Handle, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use super::{Closing, ResponseBody};
use crate::request::{first_protocol, is_websocket_handshake};

/// How long the client's own close frame is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Accepts the handshake and closes; `None` if this request cannot be upgraded by us.
///
/// The subprotocol that is echoed is the first of the offer, since a browser fails a handshake whose offer is answered
/// with nothing, and then never sees the close frame. The caller has taken tokens out of the offer.
pub(super) fn accept_and_close<B: ResponseBody>(
    head: &mut Parts,
    closing: &Closing,
) -> Option<Response<B>> {
    let runtime = Handle::try_current().ok()?;
    let mut response = accept(head)?;
    if let Some(protocol) = first_protocol(head) {
        let name = header::SEC_WEBSOCKET_PROTOCOL;
        response.headers_mut().insert(name, protocol);
    }
    let upgrade = head.extensions.remove::<OnUpgrade>()?;
    let frame = CloseFrame {
        code: closing.code().into(),
        reason: closing.reason().to_owned().into(),
    };
    runtime.spawn(say_goodbye(upgrade, frame));
    Some(response.map(B::from_bytes))
}

/// The response that completes a handshake in the version that we speak; `None` for any other request.
fn accept(head: &Parts) -> Option<Response<Bytes>> {
    if !is_websocket_handshake(head)
        || only(&head.headers, &header::SEC_WEBSOCKET_VERSION)?.as_bytes() != b"13"
    {
        return None;
    }
    let mut response = Response::new(Bytes::new());
    if head.version == Version::HTTP_11 {
        let key = only(&head.headers, &header::SEC_WEBSOCKET_KEY)?.as_bytes();
        // 16 random bytes (RFC 6455 §4.1): a cache or a form in disguise does not come upon them by chance.
        if base64_simd::STANDARD.decode_to_vec(key).ok()?.len() != 16 {
            return None;
        }
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let accept = HeaderValue::try_from(derive_accept_key(key)).ok()?;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    } else if head.extensions.get::<Protocol>()?.as_str() != "websocket" {
        return None;
    }
    Some(response)
}

fn only<'r>(headers: &'r HeaderMap, name: &header::HeaderName) -> Option<&'r HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// Sends the frame, and reads what still comes until the client's own one does.
///
/// A connection that is dropped with unread bytes is reset, and then the client may never see our frame.
async fn say_goodbye(upgrade: OnUpgrade, frame: CloseFrame) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    // Nothing that a refused client sends is of interest, so there is little room for it.
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .max_frame_size(Some(64 * 1024))
        .max_message_size(Some(64 * 1024));
    let upgraded = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
    let goodbye = async {
        socket.close(Some(frame)).await?;
        while let Some(message) = poll_fn(|cx| Pin::new(&mut socket).poll_next(cx)).await {
            message?;
        }
        Ok::<_, tokio_tungstenite::tungstenite::Error>(())
    };
    if let Ok(Err(error)) = timeout(PATIENCE, goodbye).await {
        tracing::debug!(target: "tower_warden", %error, "a refused client left before it was told why");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::Request;

    fn head(version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("https://h/a").version(version);
        if version == Version::HTTP_2 {
            request = request.method("CONNECT");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const HANDSHAKE: [(&str, &str); 4] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_handshake_of_rfc_6455_is_accepted_as_it_says() {
        let response = accept(&head(Version::HTTP_11, &HANDSHAKE)).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["connection"], "upgrade");
        assert_eq!(response.headers()["upgrade"], "websocket");
        // The example of RFC 6455 §1.3.
        let accept = &response.headers()["sec-websocket-accept"];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn half_a_handshake_is_never_accepted() {
        for (missing, line) in HANDSHAKE.iter().enumerate() {
            let mut headers = HANDSHAKE.to_vec();
            headers.remove(missing);
            let head = head(Version::HTTP_11, &headers);
            assert!(accept(&head).is_none(), "{line:?}");
        }
        for (place, value) in [
            (2, "12"),
            (2, "13, 13"),
            (3, ""),
            (3, "short"),
            (3, "dGhlIHNhbXBsZSBub25jZQ"),
            (3, "dGhlIHNhbXBsZSBub25jZWRkZA=="),
            (3, "dGhlIHNhbXBsZSBub25jZQ==, x"),
        ] {
            let mut headers = HANDSHAKE.to_vec();
            headers[place].1 = value;
            assert!(
                accept(&head(Version::HTTP_11, &headers)).is_none(),
                "{value}"
            );
            let mut headers = HANDSHAKE.to_vec();
            headers.push((HANDSHAKE[place].0, value));
            assert!(
                accept(&head(Version::HTTP_11, &headers)).is_none(),
                "two: {value}"
            );
        }
        assert!(accept(&head(Version::HTTP_10, &HANDSHAKE)).is_none());
    }

    #[test]
    fn over_http_2_the_protocol_has_to_be_websocket() {
        let version = [("sec-websocket-version", "13")];
        let mut request = head(Version::HTTP_2, &version);
        assert!(accept(&request).is_none(), "no :protocol");
        request
            .extensions
            .insert(Protocol::from_static("connect-udp"));
        assert!(accept(&request).is_none());
        request
            .extensions
            .insert(Protocol::from_static("websocket"));
        let response = accept(&request).unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().is_empty());
    }

    #[tokio::test]
    async fn without_an_upgrade_of_the_server_nothing_is_accepted() {
        let mut request = head(Version::HTTP_11, &HANDSHAKE);
        let closing = Closing::fixed(1008, "forbidden");
        assert!(accept_and_close::<String>(&mut request, &closing).is_none());
    }
}
