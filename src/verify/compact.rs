//! The compact form of a JWS: three base64url parts between two dots ([RFC 7515 §7.1]).
//!
//! [RFC 7515 §7.1]: https://www.rfc-editor.org/rfc/rfc7515#section-7.1

use std::mem::MaybeUninit;

use base64_simd::{AsOut, Out, URL_SAFE_NO_PAD};

use crate::{Rejection, RejectionKind};

/// The parts of a token, still encoded. None of them is empty.
#[derive(Clone, Copy)]
pub(super) struct Compact<'t> {
    pub(super) header: &'t [u8],
    pub(super) payload: &'t [u8],
    pub(super) signature: &'t [u8],
    /// Header, dot and payload: the bytes that were signed.
    pub(super) signed: &'t [u8],
}

impl<'t> Compact<'t> {
    /// Cuts a token of at most `limit` bytes at its two dots.
    ///
    /// The alphabet is not looked at here: every part goes through the strict decoding of a [`Room`], or equals a part
    /// that did, before the token is believed.
    pub(super) fn split(token: &'t [u8], limit: usize) -> Result<Self, Rejection> {
        check_size(token, limit)?;
        let parts = || {
            let first = memchr::memchr(b'.', token)?;
            let last = memchr::memrchr(b'.', token)?;
            let parts = Self {
                header: token.get(..first)?,
                payload: token.get(first + 1..last)?,
                signature: token.get(last + 1..)?,
                signed: token.get(..last)?,
            };
            // A JWE has five parts, and a JWS whose payload is detached has an empty one.
            let whole = [parts.header, parts.payload, parts.signature];
            let whole = !whole.iter().any(|part| part.is_empty());
            let single = memchr::memchr(b'.', parts.payload).is_none();
            (whole && single).then_some(parts)
        };
        parts().ok_or(RejectionKind::TokenMalformed.into())
    }
}

/// Checks that a token is no longer than the limit, which is one for every place that a token may travel in.
#[inline]
pub(super) fn check_size(token: &[u8], limit: usize) -> Result<(), Rejection> {
    if token.len() <= limit {
        return Ok(());
    }
    let length = token.len();
    Err(Rejection::new(RejectionKind::TokenTooLarge).with_source(TooLarge { length, limit }))
}

/// The log text of a token over the limit.
#[derive(Debug, thiserror::Error)]
#[error(
    "the token has {length} bytes, the limit is {limit}: raise it by `with_max_token_size`, up to 64 KiB"
)]
struct TooLarge {
    length: usize,
    limit: usize,
}

/// Room for one decoded part: `N` bytes on the stack, and the heap for what is larger.
pub(super) struct Room<const N: usize> {
    stack: [MaybeUninit<u8>; N],
    heap: Vec<u8>,
}

impl<const N: usize> Room<N> {
    pub(super) const fn new() -> Self {
        Self {
            stack: [const { MaybeUninit::uninit() }; N],
            heap: Vec::new(),
        }
    }

    /// Decodes base64url as [RFC 7515 §2] and [RFC 4648 §3.5] want it: without padding, line breaks, foreign
    /// characters or stray bits in the last one, so that one value has one text.
    ///
    /// [RFC 7515 §2]: https://www.rfc-editor.org/rfc/rfc7515#section-2
    /// [RFC 4648 §3.5]: https://www.rfc-editor.org/rfc/rfc4648#section-3.5
    pub(super) fn decode(&mut self, part: &[u8]) -> Result<&[u8], RejectionKind> {
        let most = URL_SAFE_NO_PAD.estimated_decoded_length(part.len());
        let room: Out<'_, [u8]> = if most <= N {
            self.stack.as_mut_slice().as_out()
        } else {
            self.heap.resize(most, 0);
            self.heap.as_mut_slice().as_out()
        };
        URL_SAFE_NO_PAD
            .decode(part, room)
            .map(|bytes| &*bytes)
            .map_err(|_| RejectionKind::TokenMalformed)
    }

    /// Decodes a part that is UTF-8 text.
    pub(super) fn decode_text(&mut self, part: &[u8]) -> Result<&str, RejectionKind> {
        simdutf8::basic::from_utf8(self.decode(part)?).map_err(|_| RejectionKind::TokenMalformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_exactly_three_parts_and_a_bounded_size() {
        assert!(Compact::split(b"aa.bb.cc", 8).is_ok());
        for token in [
            "",
            ".",
            "..",
            "aa",
            "aa.bb",
            "aa.bb.",
            "aa..cc",
            ".bb.cc",
            "aa.bb.cc.",
            ".aa.bb.cc",
            "aa.bb.cc.dd",
            "aa.bb.cc.dd.ee",
            "aa.bb.ccc",
        ] {
            assert!(Compact::split(token.as_bytes(), 8).is_err(), "{token}");
        }
        assert!(Compact::split(&b".".repeat(60_000), 8 * 1024).is_err());
    }

    #[test]
    fn base64url_is_canonical_wherever_it_is_decoded() {
        // Three whole groups in front reach the vectorised path of the decoder as well.
        for front in ["", "QUJDREVGR0hJ", &"QUJD".repeat(40)] {
            for (tail, good) in [
                ("QUJD", true),
                ("QQ", true),
                ("QUI", true),
                ("-_-_", true),
                // Stray bits, length 1 mod 4, padding, the other alphabet, blanks and line breaks.
                ("QR", false),
                ("QUJ", false),
                ("Q", false),
                ("QQ==", false),
                ("QUI=", false),
                ("QQ=", false),
                ("+/+/", false),
                ("QU D", false),
                ("QUJD\n", false),
                ("\r\nQUJD", false),
                ("QU\0D", false),
                ("QUé", false),
                ("QU.D", false),
            ] {
                let part = format!("{front}{tail}");
                assert_eq!(
                    Room::<16>::new().decode(part.as_bytes()).is_ok(),
                    good,
                    "heap: {part}"
                );
                assert_eq!(
                    Room::<256>::new().decode(part.as_bytes()).is_ok(),
                    good,
                    "stack: {part}"
                );
            }
        }
    }

    #[test]
    fn stack_and_heap_hold_the_same_bytes() {
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).collect();
            let part = URL_SAFE_NO_PAD.encode_to_string(&bytes);
            assert_eq!(Room::<0>::new().decode(part.as_bytes()), Ok(&*bytes));
            assert_eq!(Room::<256>::new().decode(part.as_bytes()), Ok(&*bytes));
        }
    }
}
