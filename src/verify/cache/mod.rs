//! [`TokenCache`]: tokens that were verified, so that the next request with one of them costs a look-up.
//!
//! What makes it safe:
//!
//! | rule | where it holds |
//! | --- | --- |
//! | only what was verified in full gets in | `Authority::verify` fills it with what it returns |
//! | a change of keys empties it | it is a part of the [`Snapshot`](super::snapshot::Snapshot) of those keys, and goes with it; what is still verified with the former keys can only get into the former cache |
//! | one set of rules each | a snapshot belongs to one verifier; its tenants differ by issuer, which the token names |
//! | no token for another | the hash of its end says where a token would stand; all its bytes, compared in constant time, say whether it does |
//! | time goes on | a hit is judged by the same function as a new token: `Claims::check_times` |
//! | revocation | the layer asks, however the token came to be believed |
//! | nobody can fill it with junk, or aim at a place | refusals are not kept; the hash is keyed by a secret of this process |
//! | bounded | `table` counts bytes, and gives up the tokens that nobody asked for; when it is full, only what comes twice gets in |
//!
//! A token that is longer than [`MAX_LENGTH`] is not kept: a few of them would take the places of many.

mod config;
mod routes;
mod table;

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

pub use config::CacheConfig;
pub(super) use routes::Routes;
use table::{Footprint, Table};

use super::token::VerifiedToken;

/// The longest token that is kept, in bytes.
const MAX_LENGTH: usize = 4 * 1024;
/// So much of a token's end is hashed: 96 bits of its signature. What is shorter was never signed.
const TAIL: usize = 16;

/// The tokens that were verified by one set of rules with the keys of one moment.
pub(super) struct TokenCache(Table<VerifiedToken>);

/// The place of one token in a cache, whether it stands there or not.
#[derive(Clone, Copy)]
pub(super) struct Place<'c> {
    table: &'c Table<VerifiedToken>,
    tag: u64,
}

impl TokenCache {
    pub(super) fn new(config: &CacheConfig) -> Self {
        Self(Table::new(config.max_bytes))
    }

    /// The place of this token, if it may have one.
    #[inline]
    pub(super) fn place(&self, token: &[u8]) -> Option<Place<'_>> {
        let tail = token.last_chunk()?;
        (token.len() <= MAX_LENGTH).then(|| Place {
            table: &self.0,
            tag: tag(tail),
        })
    }
}

impl Place<'_> {
    /// The same token as it was verified, if it is known.
    #[inline]
    pub(super) fn find(&self, token: &[u8]) -> Option<Arc<VerifiedToken>> {
        let is_meant = |known: &VerifiedToken| same(known.token.bytes(), token);
        self.table.find(self.tag, is_meant)
    }

    /// Keeps a token that was verified.
    pub(super) fn keep(&self, verified: &Arc<VerifiedToken>) {
        self.table.keep(self.tag, Arc::clone(verified));
    }
}

impl Footprint for VerifiedToken {
    fn bytes(&self) -> usize {
        self.size()
    }
}

/// Where a token stands: a hash of its end, which nobody outside of this process can foretell.
#[inline]
fn tag(tail: &[u8; TAIL]) -> u64 {
    // SipHash-1-3, keyed at random.
    static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut hasher = SECRET.build_hasher();
    hasher.write(tail);
    // Zero is the hash of no token.
    hasher.finish().max(1)
}

/// Whether two texts are the same; how long that takes says nothing about where they differ.
#[inline]
fn same(known: &[u8], text: &[u8]) -> bool {
    constant_time_eq::constant_time_eq(known, text)
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("bytes", &self.0.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::BearerToken;

    fn verified(text: &str) -> Arc<VerifiedToken> {
        let token = BearerToken::new(text.to_owned());
        let claims = String::from(r#"{"sub":"alice"}"#);
        Arc::new(
            VerifiedToken::from_claims(crate::CredentialKind::Token, token, claims, Duration::ZERO)
                .unwrap(),
        )
    }

    #[test]
    fn a_text_with_the_same_hash_is_not_the_same_text() {
        let cache = TokenCache::new(&CacheConfig::new());
        let text = format!("{}.{}.{}", "a".repeat(40), "b".repeat(200), "c".repeat(43));
        let token = text.as_bytes();
        let place = cache.place(token).unwrap();
        place.keep(&verified(&text));
        assert!(place.find(token).is_some());
        for at in 0..text.len() - TAIL {
            let mut altered = text.clone();
            altered.replace_range(at..=at, "x");
            let other = cache.place(altered.as_bytes()).unwrap();
            assert_eq!(other.tag, place.tag, "the end is what is hashed");
            assert!(other.find(altered.as_bytes()).is_none(), "{at}");
        }
        let longer = format!("a{text}");
        assert!(place.find(longer.as_bytes()).is_none());
        // Another end is looked for elsewhere.
        let other = text.replace('c', "d");
        assert_ne!(cache.place(other.as_bytes()).unwrap().tag, place.tag);
        assert!(place.find(other.as_bytes()).is_none());
    }

    #[test]
    fn what_may_be_a_token_of_usual_length_has_a_place() {
        let cache = TokenCache::new(&CacheConfig::new());
        for (length, has_place) in [
            (0, false),
            (15, false),
            (16, true),
            (4096, true),
            (4097, false),
        ] {
            let token = vec![b'x'; length];
            assert_eq!(cache.place(&token).is_some(), has_place, "{length}");
        }
    }

    #[test]
    fn a_token_counts_what_it_holds() {
        let (short, long) = (verified("a.b.c"), verified(&"a".repeat(1_005)));
        assert_eq!(long.bytes() - short.bytes(), 1_000);
        assert!(short.bytes() > size_of::<VerifiedToken>());
    }
}
