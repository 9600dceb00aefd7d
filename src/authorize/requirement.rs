//! [`Verdict`] and the hooks that reach one.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{Response, request::Parts};

use crate::{Principal, Rejection, RejectionKind};

/// What a requirement says about a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The request goes on.
    Admit,
    /// The request is refused, answered as the layer answers refusals.
    Refuse(Rejection),
    /// The requirement answers by itself; the inner service never sees the request.
    Answer(Response<Bytes>),
}

impl From<bool> for Verdict {
    /// `true` admits, `false` refuses with [`RejectionKind::Forbidden`].
    fn from(admitted: bool) -> Self {
        if admitted {
            Self::Admit
        } else {
            Self::Refuse(RejectionKind::Forbidden.into())
        }
    }
}

impl<E: Into<Rejection>> From<Result<(), E>> for Verdict {
    fn from(result: Result<(), E>) -> Self {
        result.map_or_else(|error| Self::Refuse(error.into()), |()| Self::Admit)
    }
}

/// A verdict that has to be waited for.
pub(crate) type PendingVerdict = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// A verdict at once, or later.
pub(crate) enum Answer {
    Now(Verdict),
    Later(PendingVerdict),
}

type Hook = dyn Fn(&Principal, &Parts) -> Answer + Send + Sync;

/// One condition of the application, over principal and request head.
pub(crate) struct Requirement(Box<Hook>);

impl Requirement {
    /// A condition that is decided on the spot.
    pub(crate) fn new<F, V>(hook: F) -> Self
    where
        F: Fn(&Principal, &Parts) -> V + Send + Sync + 'static,
        V: Into<Verdict>,
    {
        Self(Box::new(move |principal, head| {
            Answer::Now(hook(principal, head).into())
        }))
    }

    /// A condition that somebody else has to be asked about.
    pub(crate) fn deferred<F, V>(hook: F) -> Self
    where
        F: Fn(&Principal, &Parts) -> V + Send + Sync + 'static,
        V: Future<Output: Into<Verdict>> + Send + 'static,
    {
        Self(Box::new(move |principal, head| {
            let verdict = hook(principal, head);
            Answer::Later(Box::pin(async move { verdict.await.into() }))
        }))
    }

    pub(crate) fn ask(&self, principal: &Principal, head: &Parts) -> Answer {
        self.0(principal, head)
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requirement(..)")
    }
}
