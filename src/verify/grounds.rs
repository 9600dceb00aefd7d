//! [`Grounds`] and [`Standing`]: the key set or the answer by which a token was accepted, and whether it is still valid.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::keys::Fingerprint;

/// The number of a key set. No two key sets of this process have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeySetNumber(u64);

impl KeySetNumber {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The reason for which a token was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grounds {
    /// This key of this set has signed it.
    Keys {
        set: KeySetNumber,
        key: Option<Fingerprint>,
    },
    /// The provider called it active. The answer is valid until then, by the clock of the verifier.
    Answer {
        until: Duration,
        /// The SHA-256 of the token that the provider was asked about.
        token: Arc<[u8; 32]>,
    },
    /// This service vouches for it: an API key.
    Ourselves,
}

/// The validity of the grounds of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They are valid until an event says otherwise.
    Valid,
    /// They are valid until then. After that the token has to be verified again.
    Until(Duration),
    /// They are valid no longer: the token has to be verified again.
    Void,
}
