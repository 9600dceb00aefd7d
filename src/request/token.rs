//! [`BearerToken`]: a token as it came with a request, not verified by anybody.

use std::{borrow::Cow, fmt, mem};

/// A token as a request carries it, before anything is known about it ([RFC 6750 §2.1], `b64token`).
///
/// It borrows from the request where it can. It never prints itself, is wiped from memory when it owned its bytes,
/// and gives its text only to [`expose`](Self::expose), so one search finds every place that reads it.
///
/// [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
#[derive(Clone)]
pub struct BearerToken<'r>(Text<'r>);

#[derive(Clone)]
enum Text<'r> {
    Str(Cow<'r, str>),
    /// Seen to be a text, and looked at as one again only for whoever asks for it.
    Bytes(Cow<'r, [u8]>),
}

impl<'r> BearerToken<'r> {
    /// Takes the token's text; whether it is a token at all is for the verifier to say.
    #[must_use]
    pub fn new(text: impl Into<Cow<'r, str>>) -> Self {
        Self(Text::Str(text.into()))
    }

    /// Takes bytes that somebody has seen to be ASCII.
    #[inline]
    pub(crate) const fn ascii(bytes: &'r [u8]) -> Self {
        debug_assert!(bytes.is_ascii());
        Self(Text::Bytes(Cow::Borrowed(bytes)))
    }

    /// The token's text. Whoever calls this must neither log nor store it.
    #[must_use]
    pub fn expose(&self) -> &str {
        match &self.0 {
            Text::Str(text) => text,
            Text::Bytes(bytes) => simdutf8::basic::from_utf8(bytes).unwrap_or_default(),
        }
    }

    /// The bytes of the token's text. The same holds for them.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Str(text) => text.as_bytes(),
            Text::Bytes(bytes) => bytes,
        }
    }

    /// A copy of the token, which may outlive the request.
    #[inline]
    pub(crate) fn copied(&self) -> BearerToken<'static> {
        BearerToken(Text::Bytes(Cow::Owned(self.bytes().to_vec())))
    }

    /// The same token, freed from the request that it came with.
    #[must_use]
    pub fn into_owned(mut self) -> BearerToken<'static> {
        let text = mem::replace(&mut self.0, Text::Str(Cow::Borrowed("")));
        BearerToken(match text {
            Text::Str(text) => Text::Str(Cow::Owned(text.into_owned())),
            Text::Bytes(bytes) => Text::Bytes(Cow::Owned(bytes.into_owned())),
        })
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([REDACTED])")
    }
}

impl Drop for BearerToken<'_> {
    fn drop(&mut self) {
        let mut bytes = match &mut self.0 {
            Text::Str(Cow::Owned(text)) => mem::take(text).into_bytes(),
            Text::Bytes(Cow::Owned(bytes)) => mem::take(bytes),
            _ => return,
        };
        // Wiped at once instead of byte by byte, which would take a fifth of verifying an HMAC; the barrier keeps the
        // compiler from leaving it out.
        bytes.resize(bytes.capacity(), 0);
        bytes.fill(0);
        zeroize::optimization_barrier(&bytes[..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_held_a_token_tells_the_same_text() {
        for token in [
            BearerToken::new("s3cret"),
            BearerToken::new(String::from("s3cret")),
            BearerToken::ascii(b"s3cret"),
        ] {
            let same = [token.clone(), token.copied(), token.into_owned()];
            for token in same {
                assert_eq!(token.expose(), "s3cret");
                assert_eq!(token.bytes(), b"s3cret");
            }
        }
        assert_eq!(BearerToken::new("s€cret").copied().expose(), "s€cret");
    }

    #[test]
    fn a_token_never_prints_itself() {
        for token in [
            BearerToken::ascii(b"s3cret"),
            BearerToken::new("s3cret"),
            BearerToken::new(String::from("s3cret")),
        ] {
            assert_eq!(format!("{token:?}"), "BearerToken([REDACTED])");
        }
    }
}
