//! [`Routes`]: which of several issuers has verified a token, so that its payload is not read to find that out again.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use super::tag;

/// Two bytes each; tokens that share one are read again in turn.
const ROUTES: usize = 8 * 1024;

/// For each token the place of its issuer in a list, counted from one, or zero.
///
/// It is a hint and decides nothing: a token that stands in the cache of an issuer, byte for byte, names that issuer.
pub(in crate::verify) struct Routes(Box<[AtomicU16]>);

impl Routes {
    #[inline]
    pub(in crate::verify) fn find(&self, token: &[u8]) -> Option<usize> {
        usize::from(self.route(token)?.load(Relaxed)).checked_sub(1)
    }

    pub(in crate::verify) fn keep(&self, token: &[u8], issuer: usize) {
        if let Some(route) = self.route(token) {
            // Those beyond the first 65 535 are found by reading the token.
            route.store(u16::try_from(issuer + 1).unwrap_or(0), Relaxed);
        }
    }

    #[inline]
    fn route(&self, token: &[u8]) -> Option<&AtomicU16> {
        let tag = tag(token.last_chunk()?) as usize;
        self.0.get(tag % ROUTES)
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self((0..ROUTES).map(|_| AtomicU16::new(0)).collect())
    }
}
