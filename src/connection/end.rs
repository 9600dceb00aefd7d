//! [`LeaseEnd`]: why a connection has to end.

use std::fmt;

/// Why a connection has to end. An end is final: whichever came first stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseEnd {
    /// The token has expired, and no newer one came.
    Expired,
    /// The connection has lasted as long as
    /// [`with_connection_cap`](crate::AuthLayerBuilder::with_connection_cap) lets any.
    CapReached,
    /// Token, session, subject or key have been [revoked](crate::Revocations), or the token was refused when it was verified
    /// again: its key was withdrawn, or its provider calls it inactive.
    Revoked,
    /// What the connection is about belongs to somebody else now.
    NotOwner,
    /// The node was [cut off](crate::CutOffPolicy) from a store for too long to know whether it may go on, or the provider
    /// of its token could not be asked again.
    StoreUnavailable,
    /// The application ended it.
    Closed,
}

impl LeaseEnd {
    const ALL: [Self; 6] = [
        Self::Expired,
        Self::CapReached,
        Self::Revoked,
        Self::NotOwner,
        Self::StoreUnavailable,
        Self::Closed,
    ];

    /// The stable machine word for it, in last messages, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Expired => "token_expired",
            Self::CapReached => "connection_cap",
            Self::Revoked => "revoked",
            Self::NotOwner => "not_owner",
            Self::StoreUnavailable => "store_unavailable",
            Self::Closed => "closed",
        }
    }

    /// Whether the client may come back with a fresh token, or at once.
    ///
    /// Not after a revocation or for somebody else's resource: whoever tries again anyway is refused anyway.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Expired | Self::CapReached | Self::StoreUnavailable | Self::Closed => true,
            Self::Revoked | Self::NotOwner => false,
        }
    }

    /// As a number above zero, for an atomic.
    pub(super) fn to_byte(self) -> u8 {
        self as u8 + 1
    }

    /// What [`to_byte`](Self::to_byte) made; `None` for zero, which stands for a connection that is open.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        let index = usize::from(byte).checked_sub(1)?;
        Self::ALL.get(index).copied()
    }
}

impl fmt::Display for LeaseEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the token has expired",
            Self::CapReached => "the connection has lasted as long as any may",
            Self::Revoked => "the token has been revoked",
            Self::NotOwner => "this belongs to somebody else now",
            Self::StoreUnavailable => "nobody can tell at the moment whether it may go on",
            Self::Closed => "the service ended the connection",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_survives_its_byte_and_zero_is_none() {
        for end in LeaseEnd::ALL {
            assert_eq!(LeaseEnd::from_byte(end.to_byte()), Some(end));
        }
        assert_eq!(LeaseEnd::from_byte(0), None);
        assert_eq!(LeaseEnd::from_byte(7), None);
    }
}
