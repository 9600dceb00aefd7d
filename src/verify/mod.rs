//! From a [`BearerToken`](crate::BearerToken) to a [`VerifiedToken`](crate::VerifiedToken).
