//! [`Verification`]: an answer on the spot, or a [`KeyWait`].

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::VerifiedToken;
use crate::Rejection;

/// What [`Verifier::check`](crate::Verifier::check) says about a token.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verification {
    /// The token is good.
    Verified(Arc<VerifiedToken>),
    /// The token will not do, or the keys cannot be had.
    Rejected(Rejection),
    /// The provider is being asked for the key, or about an opaque token. The wait is bounded, and whoever gives it up stops nobody else's.
    KeyMissing(KeyWait),
}

impl Verification {
    /// The answer, after the wait for the key where there is one.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] of the token.
    pub async fn settled(self) -> Result<Arc<VerifiedToken>, Rejection> {
        match self {
            Self::Verified(token) => Ok(token),
            Self::Rejected(rejection) => Err(rejection),
            Self::KeyMissing(wait) => wait.await,
        }
    }
}

type Answer = Result<Arc<VerifiedToken>, Rejection>;

/// The bounded wait for the key of one token; it ends with the token verified or refused.
#[must_use = "nothing is verified until it is awaited"]
pub struct KeyWait(Pin<Box<dyn Future<Output = Answer> + Send>>);

impl KeyWait {
    pub(super) fn new(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Box::pin(answer))
    }

    pub(super) fn into_inner(self) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        self.0
    }
}

impl Future for KeyWait {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for KeyWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyWait").finish_non_exhaustive()
    }
}
