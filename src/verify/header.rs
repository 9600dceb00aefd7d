//! The header of a token: what it says of itself, and what it must not say ([RFC 7515 §4]).
//!
//! [RFC 7515 §4]: https://www.rfc-editor.org/rfc/rfc7515#section-4

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use jsonwebtoken::Algorithm;

use super::json;
use crate::RejectionKind;

/// The longest key ID that is looked up, in bytes.
const MAX_KEY_ID: usize = 256;

/// What verification reads of a header. The algorithm only chooses among keys that were prepared for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header<'h> {
    pub(super) algorithm: Algorithm,
    /// An opaque text, compared byte by byte.
    pub(super) key_id: Option<Cow<'h, str>>,
    /// `typ`, as it was written.
    pub(super) media_type: Option<Cow<'h, str>>,
}

impl<'h> Header<'h> {
    /// Reads a decoded header.
    ///
    /// A token that needs an extension to be understood (`crit`, `b64`, `zip`) or is encrypted (`enc`) is refused.
    /// Keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) are not looked at.
    pub(super) fn parse(text: &'h str) -> Result<Self, RejectionKind> {
        let (mut algorithm, mut key_id, mut media_type, mut foreign) = (None, None, None, false);
        json::scan(text, |name, value| match name {
            b"alg" => algorithm = Some(value),
            b"kid" => key_id = Some(value),
            b"typ" => media_type = Some(value),
            b"crit" | b"b64" | b"zip" | b"enc" => foreign = true,
            _ => {}
        })
        .map_err(|json::Invalid| RejectionKind::TokenMalformed)?;
        if foreign {
            return Err(RejectionKind::TokenMalformed);
        }
        let string = |value: json::Value| value.string(text).ok_or(RejectionKind::TokenMalformed);
        let name = string(algorithm.ok_or(RejectionKind::TokenMalformed)?)?;
        let key_id = key_id.map(string).transpose()?;
        if key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID) {
            return Err(RejectionKind::TokenMalformed);
        }
        Ok(Self {
            media_type: media_type.map(string).transpose()?,
            algorithm: algorithm_named(&name).ok_or(RejectionKind::AlgorithmNotAllowed)?,
            key_id,
        })
    }

    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let text = |text: &Option<Cow<'_, str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Self>() + text(&self.key_id) + text(&self.media_type)
    }

    fn into_owned(self) -> Header<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Header {
            algorithm: self.algorithm,
            key_id: own(self.key_id),
            media_type: own(self.media_type),
        }
    }
}

/// The algorithm with exactly this name ([RFC 7518 §3.1], [RFC 8037 §3.1]); `none` in no spelling is one.
///
/// [RFC 7518 §3.1]: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
/// [RFC 8037 §3.1]: https://www.rfc-editor.org/rfc/rfc8037#section-3.1
/// `Ed25519` is the name that [RFC 9864 §2.2] gives to `EdDSA` on that curve, the only one here.
///
/// [RFC 9864 §2.2]: https://www.rfc-editor.org/rfc/rfc9864#section-2.2
fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "HS256" => Algorithm::HS256,
        "HS384" => Algorithm::HS384,
        "HS512" => Algorithm::HS512,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// The headers of tokens that were verified with one key set, found again by their encoded text.
///
/// An issuer signs thousands of tokens under one header, so it is decoded once. Only a verified token adds to the few
/// slots, so an outsider can neither fill nor empty them.
#[derive(Default)]
pub(super) struct HeaderMemo {
    slots: [OnceLock<Slot>; 8],
}

/// The encoded text of a header, and what it says.
type Slot = (Box<[u8]>, Arc<Header<'static>>);

impl HeaderMemo {
    /// The longest encoded header that is kept.
    const MAX_LENGTH: usize = 1024;

    /// The header with that encoded text, if one was verified before.
    pub(super) fn find(&self, encoded: &[u8]) -> Option<&Arc<Header<'static>>> {
        self.slots
            .iter()
            .map_while(OnceLock::get)
            .find(|(known, _)| **known == *encoded)
            .map(|(_, header)| header)
    }

    /// Keeps the header of a token that was verified, if there is room.
    pub(super) fn keep(&self, encoded: &[u8], header: Header<'_>) -> Arc<Header<'static>> {
        let header = Arc::new(header.into_owned());
        if encoded.len() <= Self::MAX_LENGTH {
            let mut entry = (Box::from(encoded), Arc::clone(&header));
            for slot in &self.slots {
                match slot.set(entry) {
                    Ok(()) => break,
                    Err(back) => entry = back,
                }
            }
        }
        header
    }
}

impl fmt::Debug for HeaderMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderMemo").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str) -> RejectionKind {
        match Header::parse(text) {
            Ok(header) => panic!("{text} was read as {header:?}"),
            Err(kind) => kind,
        }
    }

    #[test]
    fn a_header_is_read_whatever_else_it_says() {
        let text = r#"{"typ":"at+jwt","alg":"ES256","kid":"a\u0062","jwk":{"kty":"oct"},"jku":"https://evil.example",
            "x5u":1,"x5c":[],"x5t":"x","cty":"JWT","extra":{"alg":"none","crit":[]}}"#;
        let header = Header::parse(text).unwrap();
        assert_eq!(header.algorithm, Algorithm::ES256);
        assert_eq!(header.key_id.as_deref(), Some("ab"));
        assert_eq!(header.media_type.as_deref(), Some("at+jwt"));
    }

    #[test]
    fn only_the_twelve_names_are_algorithms() {
        for name in [
            "none",
            "None",
            "NONE",
            "nOnE",
            "",
            " ",
            "hs256",
            "HS256 ",
            "HS1",
            "HS257",
            "RS1",
            "ES512",
            "ES256K",
            "ed25519",
            "Ed448",
            "Ed448",
            "eddsa",
            "dir",
            "RSA-OAEP",
            "PBES2-HS256+A128KW",
            "HS256\\u0000",
        ] {
            let kind = refused(&format!(r#"{{"alg":"{name}"}}"#));
            assert_eq!(kind, RejectionKind::AlgorithmNotAllowed, "{name}");
        }
        for text in [
            "{}",
            r#"{"alg":null}"#,
            r#"{"alg":1}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"ALG":"HS256"}"#,
        ] {
            assert_eq!(refused(text), RejectionKind::TokenMalformed, "{text}");
        }
        assert_eq!(
            Header::parse(r#"{"alg":"\u0048S256"}"#).unwrap().algorithm,
            Algorithm::HS256
        );
    }

    #[test]
    fn what_asks_to_be_understood_and_is_not_is_refused() {
        for member in [
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""cri\u0074":["b64"]"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""zip":"DEF""#,
            r#""enc":"A256GCM""#,
            r#""alg":"HS256""#,
            r#""kid":7"#,
            r#""kid":null"#,
            r#""typ":["JWT"]"#,
            r#""typ":null"#,
            r#""x":1,"x":2"#,
        ] {
            let kind = refused(&format!(r#"{{"alg":"HS256",{member}}}"#));
            assert_eq!(kind, RejectionKind::TokenMalformed, "{member}");
        }
    }

    #[test]
    fn a_key_id_has_at_most_256_bytes() {
        let header = |length| format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(length));
        assert!(Header::parse(&header(256)).is_ok());
        assert_eq!(refused(&header(257)), RejectionKind::TokenMalformed);
    }

    #[test]
    fn the_memo_is_bounded_and_keeps_the_first() {
        let memo = HeaderMemo::default();
        let header = |id: usize| Header {
            algorithm: Algorithm::HS256,
            key_id: Some(Cow::Owned(id.to_string())),
            media_type: None,
        };
        for id in 0..20 {
            assert_eq!(
                *memo.keep(format!("h{id}").as_bytes(), header(id)),
                header(id)
            );
        }
        for id in 0..20 {
            let found = memo.find(format!("h{id}").as_bytes()).map(|known| &**known);
            assert_eq!(found, (id < 8).then(|| header(id)).as_ref());
        }
        let long = HeaderMemo::default();
        long.keep(&b"h".repeat(1025), header(0));
        assert!(long.find(&b"h".repeat(1025)).is_none());
    }
}
