//! [`SubprotocolToken`]: `Sec-WebSocket-Protocol: chat, bearer, <token>`, the one header that a browser lets a page set.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL, request::Parts};

use super::{BearerToken, Glance, MalformedCredentials, TokenSource, header::is_tchar};
use crate::{HeadRef, error::ConfigError, request::upgrade::is_websocket_handshake};

/// The token among the subprotocols of a WebSocket handshake ([RFC 6455 §4.1]).
///
/// `new WebSocket(url, ["chat", "bearer", token])` offers three protocols, and the one behind `bearer` is the token.
/// Marker and token are taken out of the header before the inner service sees it, so that it negotiates among the
/// rest and can never echo a token. The rest must not be empty, as a browser fails a handshake whose offer is answered
/// with nothing; Kubernetes asks the same of its own clients.
///
/// Two markers are refused, and so is a second entry that looks like a token: `bearer` stands before the wrong one.
/// Anything but `bearer, <token>` beside at least one protocol cannot be read. A plain request that offers subprotocols
/// is treated as one without a token.
///
/// ```
/// use http::Request;
/// use tower_warden::{HeadRef, MalformedCredentials, SubprotocolToken, TokenSource};
///
/// let source = SubprotocolToken::bearer();
/// let handshake = |offer| {
///     let request = Request::get("/agents/poet/1")
///         .header("connection", "upgrade")
///         .header("upgrade", "websocket")
///         .header("sec-websocket-protocol", offer);
///     request.body(()).map(|request| request.into_parts().0)
/// };
///
/// let mut good = handshake("chat, bearer, a.b.c")?;
/// assert_eq!(source.extract(HeadRef::from(&good)).unwrap().unwrap().expose(), "a.b.c");
/// source.conceal(&mut good);
/// assert_eq!(good.headers["sec-websocket-protocol"], "chat");
///
/// let alone = handshake("bearer, a.b.c")?;
/// assert_eq!(source.extract(HeadRef::from(&alone)).unwrap_err(), MalformedCredentials::Unreadable);
/// # Ok::<(), http::Error>(())
/// ```
///
/// [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
#[derive(Debug, Clone)]
pub struct SubprotocolToken {
    marker: Cow<'static, str>,
}

impl SubprotocolToken {
    /// The token behind the marker `bearer`.
    #[must_use]
    pub fn bearer() -> Self {
        Self {
            marker: Cow::Borrowed("bearer"),
        }
    }

    /// The token behind a marker of that name, which is compared without regard to case.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a name that cannot be a subprotocol's.
    pub fn new(marker: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        let marker = marker.into();
        if !is_protocol(marker.as_bytes()) {
            return Err(ConfigError::Setting {
                name: "SubprotocolToken",
                value: marker.into_owned(),
                problem: "a subprotocol's name consists of letters, digits and !#$%&'*+-.^_`|~",
            });
        }
        Ok(Self { marker })
    }

    fn is_marker(&self, entry: &[u8]) -> bool {
        entry.eq_ignore_ascii_case(self.marker.as_bytes())
    }

    /// The protocols of the offer without marker and token, or `None` if there is no marker.
    fn without_token(&self, head: &Parts) -> Option<Vec<u8>> {
        let mut left = Vec::new();
        let mut found = false;
        let mut entries = entries(&head.headers);
        while let Some(entry) = entries.next() {
            if self.is_marker(entry) {
                found = true;
                entries.next();
            } else if is_protocol(entry) && !looks_like_a_token(entry) {
                if !left.is_empty() {
                    left.extend_from_slice(b", ");
                }
                left.extend_from_slice(entry);
            }
        }
        found.then_some(left)
    }
}

impl Default for SubprotocolToken {
    fn default() -> Self {
        Self::bearer()
    }
}

impl TokenSource for SubprotocolToken {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let mut offer = Offer::default();
        let mut entries = entries(head.headers);
        while let Some(entry) = entries.next() {
            if self.is_marker(entry) {
                offer.markers += 1;
                offer.token = entries.next();
            } else {
                offer.beside += 1;
                offer.strays += usize::from(looks_like_a_token(entry));
                offer.broken |= !is_protocol(entry);
            }
        }
        match (offer.markers, offer.strays) {
            (0, _) => return Ok(None),
            (1, 0) => {}
            _ => return Err(MalformedCredentials::Repeated),
        }
        if !is_websocket_handshake(head) {
            return Err(MalformedCredentials::Misplaced);
        }
        match offer.token.map(str::from_utf8) {
            Some(Ok(token))
                if is_protocol(token.as_bytes()) && offer.beside > 0 && !offer.broken =>
            {
                Ok(Some(BearerToken::new(token)))
            }
            _ => Err(MalformedCredentials::Unreadable),
        }
    }

    fn glance<'r>(&self, head: HeadRef<'r>) -> Glance<'r> {
        if head.headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            Glance::Unclear
        } else {
            Glance::Nothing
        }
    }

    fn places(&self) -> Vec<String> {
        // The marker is compared without regard to case.
        vec![format!("subprotocol {}", self.marker.to_ascii_lowercase())]
    }

    fn name(&self) -> &'static str {
        "subprotocol"
    }

    /// Leaves the protocols beside the token, in their order and on one line; the header goes if there are none.
    fn conceal(&self, head: &mut Parts) {
        let Some(left) = self.without_token(head) else {
            return;
        };
        match HeaderValue::from_maybe_shared(Bytes::from(left)) {
            Ok(value) if !value.is_empty() => head.headers.insert(SEC_WEBSOCKET_PROTOCOL, value),
            _ => head.headers.remove(SEC_WEBSOCKET_PROTOCOL),
        };
    }
}

/// What the subprotocols of a handshake hold.
#[derive(Default)]
struct Offer<'r> {
    markers: usize,
    /// What stands behind the last marker.
    token: Option<&'r [u8]>,
    beside: usize,
    /// Those beside that look like a token.
    strays: usize,
    /// Whether one of those beside is no protocol at all.
    broken: bool,
}

/// The entries of the header over all its lines, trimmed and in order ([RFC 6455 §11.3.4] allows several lines).
///
/// [RFC 6455 §11.3.4]: https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
fn entries(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// The first subprotocol of an offer out of which tokens are taken already: what a server echoes that speaks none.
#[cfg(feature = "ws")]
pub(crate) fn first_protocol(head: &Parts) -> Option<HeaderValue> {
    entries(&head.headers)
        .find(|entry| is_protocol(entry) && !looks_like_a_token(entry))
        .and_then(|entry| HeaderValue::from_bytes(entry).ok())
}

/// A subprotocol's name is a `token` of RFC 9110, and so is every JWT.
fn is_protocol(entry: &[u8]) -> bool {
    !entry.is_empty() && entry.iter().copied().all(is_tchar)
}

/// A compact JWS or JWE: its header is a JSON object, and `{"` reads `eyJ` in base64url.
fn looks_like_a_token(entry: &[u8]) -> bool {
    entry.starts_with(b"eyJ") && entry.iter().filter(|&&byte| byte == b'.').count() >= 2
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use MalformedCredentials::{Misplaced, Repeated, Unreadable};
    use http::Request;

    fn plain(lines: &[&[u8]]) -> Parts {
        let (mut head, ()) = Request::get("/a").body(()).unwrap().into_parts();
        for line in lines {
            let value = HeaderValue::from_bytes(line).unwrap();
            head.headers.append(SEC_WEBSOCKET_PROTOCOL, value);
        }
        head
    }

    fn handshake(lines: &[&[u8]]) -> Parts {
        let mut head = plain(lines);
        for (name, value) in [("connection", "Upgrade"), ("upgrade", "websocket")] {
            head.headers.insert(name, HeaderValue::from_static(value));
        }
        head
    }

    fn extract(head: &Parts) -> Result<Option<String>, MalformedCredentials> {
        let token = SubprotocolToken::bearer().extract(HeadRef::from(head))?;
        Ok(token.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn one_token_beside_a_protocol_and_nothing_else() {
        for (offer, found) in [
            (&b"chat, bearer, a.b.c"[..], Ok(Some("a.b.c"))),
            (b"bearer, a.b.c, chat", Ok(Some("a.b.c"))),
            (b"bearer,a.b.c,chat,v5.channel.k8s.io", Ok(Some("a.b.c"))),
            (b"chat ,\tBearer , a.b.c ", Ok(Some("a.b.c"))),
            (b"chat, BEARER, opaque", Ok(Some("opaque"))),
            (b"bearer, eyJh.eyJz.x, chat", Ok(Some("eyJh.eyJz.x"))),
            // No marker, so nothing of ours.
            (b"chat", Ok(None)),
            (b"chat, a.b.c", Ok(None)),
            (b"", Ok(None)),
            (b",,", Ok(None)),
            (b"bearers, a.b.c", Ok(None)),
            (b"\xff", Ok(None)),
            // No protocol beside, or no token.
            (b"bearer", Err(Unreadable)),
            (b"chat, bearer", Err(Unreadable)),
            (b"bearer, a.b.c", Err(Unreadable)),
            (b"bearer, chat", Err(Unreadable)),
            (b"chat, bearer,", Err(Unreadable)),
            (b"chat, bearer, , a.b.c", Err(Unreadable)),
            (b"bearer, a.b.c,", Err(Unreadable)),
            (b"chat,, bearer, a.b.c", Err(Unreadable)),
            (b"chat, bearer, a b", Err(Unreadable)),
            (b"chat, bearer, a=", Err(Unreadable)),
            (b"chat, bearer, \"a\"", Err(Unreadable)),
            (b"chat, bearer, \xc3\xa9", Err(Unreadable)),
            (b"\xc3\xa9, bearer, a.b.c", Err(Unreadable)),
            (b"cha t, bearer, a.b.c", Err(Unreadable)),
            // More than one token, whichever the marker stands before.
            (b"chat, bearer, a, bearer, b", Err(Repeated)),
            (b"chat, bearer, a, BEARER, a", Err(Repeated)),
            (b"bearer, bearer, bearer, chat", Err(Repeated)),
            (b"chat, bearer, a, bearer", Err(Repeated)),
            (b"bearer, a, eyJh.eyJz.x", Err(Repeated)),
            (b"eyJh.eyJz.x, bearer, chat", Err(Repeated)),
        ] {
            let head = handshake(&[offer]);
            let found = found.map(|token| token.map(str::to_owned));
            let offer = String::from_utf8_lossy(offer);
            assert_eq!(extract(&head), found, "{offer}");
        }
        assert_eq!(extract(&handshake(&[])), Ok(None));
    }

    #[test]
    fn several_lines_are_one_list() {
        let head = handshake(&[b"chat, bearer", b"a.b.c"]);
        assert_eq!(extract(&head), Ok(Some("a.b.c".to_owned())));
        let head = handshake(&[b"bearer, a", b"bearer, b", b"chat"]);
        assert_eq!(extract(&head), Err(Repeated));
    }

    #[test]
    fn only_a_handshake_may_carry_it() {
        assert_eq!(
            extract(&plain(&[b"chat, bearer, a.b.c"])),
            Err(Misplaced),
            "beside another token it is the second one"
        );
        assert_eq!(extract(&plain(&[b"chat"])), Ok(None));
    }

    #[test]
    fn nothing_but_real_protocols_reaches_the_inner_service() {
        let source = SubprotocolToken::bearer();
        for (lines, left) in [
            (&[&b"chat, bearer, a.b.c"[..]][..], Some("chat")),
            (&[b"bearer, a.b.c, chat,v2"], Some("chat, v2")),
            (&[b"chat, bearer", b"a.b.c", b"v2"], Some("chat, v2")),
            (&[b"chat,v2"], Some("chat,v2")),
            // What was refused is concealed too, before a refusal echoes a protocol.
            (&[b"bearer, a"], None),
            (&[b"bearer, a, bearer"], None),
            (&[b"bearer, a, eyJh.eyJz.x"], None),
            (&[b"eyJh.eyJz.x, bearer, a, chat"], Some("chat")),
            (&[b"bearer, a, \xff, chat,"], Some("chat")),
        ] {
            let mut head = handshake(lines);
            source.conceal(&mut head);
            let value = head.headers.get(SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(
                value.map(|value| value.to_str().unwrap()),
                left,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_marker_is_the_name_of_a_protocol() {
        for name in ["", "a b", "a,b", "é", "\"a\""] {
            let error = SubprotocolToken::new(name).unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
        let source = SubprotocolToken::new("x-token").unwrap();
        let head = handshake(&[b"chat, x-token, a, bearer"]);
        assert_eq!(
            source
                .extract(HeadRef::from(&head))
                .unwrap()
                .unwrap()
                .expose(),
            "a"
        );
    }

    #[cfg(feature = "ws")]
    #[test]
    fn a_refusal_echoes_the_first_real_protocol() {
        for (offer, echoed) in [
            (&b"chat, v2"[..], Some("chat")),
            (b"eyJh.eyJz.x, chat", Some("chat")),
            (b" , chat", Some("chat")),
            (b"eyJh.eyJz.x", None),
            (b"", None),
        ] {
            let found = first_protocol(&handshake(&[offer]));
            let found = found.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!(found, echoed);
        }
    }
}
