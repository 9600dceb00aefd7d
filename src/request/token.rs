//! [`BearerToken`]: a token as it came with a request, not verified by anybody.

use std::{borrow::Cow, fmt};

/// A token as a request carries it, before anything is known about it ([RFC 6750 §2.1], `b64token`).
///
/// It borrows from the request where it can. It never prints itself, is wiped from memory when it owned its bytes,
/// and gives its text only to [`expose`](Self::expose), so one search finds every place that reads it.
///
/// [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
#[derive(Clone)]
pub struct BearerToken<'r>(Cow<'r, [u8]>);

impl<'r> BearerToken<'r> {
    /// Takes the token's text; whether it is a token at all is for the verifier to say.
    #[must_use]
    pub fn new(text: impl Into<Cow<'r, str>>) -> Self {
        Self(match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// Takes bytes that somebody has seen to be ASCII.
    #[inline]
    pub(crate) const fn ascii(bytes: &'r [u8]) -> Self {
        debug_assert!(bytes.is_ascii());
        Self(Cow::Borrowed(bytes))
    }

    /// The token's text. Whoever calls this must neither log nor store it.
    #[must_use]
    pub fn expose(&self) -> &str {
        // It was made of a text, or of ASCII. Told so here, where somebody wants one, and not for every request.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes of the token's text. The same holds for them.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A copy of the token, which may outlive the request.
    #[inline]
    pub(crate) fn copied(&self) -> BearerToken<'static> {
        BearerToken(Cow::Owned(self.0.to_vec()))
    }

    /// The same token, freed from the request that it came with.
    #[must_use]
    pub fn into_owned(mut self) -> BearerToken<'static> {
        BearerToken(Cow::Owned(std::mem::take(&mut self.0).into_owned()))
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([REDACTED])")
    }
}

impl Drop for BearerToken<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(bytes) = &mut self.0 {
            // Wiped at once instead of byte by byte, which would take a fifth of verifying an HMAC; the barrier keeps
            // the compiler from leaving it out.
            bytes.resize(bytes.capacity(), 0);
            bytes.fill(0);
            zeroize::optimization_barrier(&bytes[..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_prints_itself() {
        for token in [
            BearerToken::new("s3cret"),
            BearerToken::new(String::from("s3cret")),
        ] {
            assert_eq!(format!("{token:?}"), "BearerToken([REDACTED])");
        }
    }
}
