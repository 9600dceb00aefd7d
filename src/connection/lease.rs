//! [`Lease`]: how long an accepted request may go on.

use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;

use super::{ConnectionId, Ended, LeaseEnd, open::Open};
use crate::{Owned, Principal};

/// How long an accepted request may go on: a WebSocket, a streamed answer, a long job.
///
/// A request was let in because its token was good at that moment. A lease watches over the time after: it ends when
/// the token would be refused (`exp` and leeway), when the layer's
/// [cap](crate::AuthLayerBuilder::with_connection_cap) is reached, when token, session or subject are
/// [revoked](crate::Revocations), when the [resource](crate::OwnershipLayer) that it is about is shared no more, or when
/// the application [says so](Self::end). A newer token [renews](Self::renew) it.
///
/// The token is verified again after each change of keys, and when the provider's answer about it expires. The lease ends
/// if that fails.
///
/// Nothing is done for a lease until one is asked for: [`Principal::lease`], [`Lease::from_head`], or as an argument of
/// an axum handler. Each of these opens a connection of its own, so ask once for each connection and clone what you
/// got: clones are the same connection, and the connection is over when the last of them is dropped.
///
/// # Examples
///
/// No message is handled after the end:
///
/// ```
/// use tower_warden::{Lease, LeaseEnd};
///
/// async fn converse(lease: Lease, mut messages: impl FnMut() -> Option<String>) -> Option<LeaseEnd> {
///     while let Some(message) = messages() {
///         if let Err(end) = lease.check() {
///             return Some(end);
///         }
///         println!("{message}, heard {:?} before the end", lease.remaining());
///     }
///     None
/// }
/// ```
#[derive(Clone)]
pub struct Lease {
    open: Arc<Open>,
}

impl Lease {
    /// Opens a connection for the principal of this request; `None` where no layer has let one in.
    ///
    /// Behind an [`OwnershipLayer`](crate::OwnershipLayer) it lasts as long as the right to what the request is about.
    #[must_use]
    pub fn from_head(head: &Parts) -> Option<Self> {
        let principal = head.extensions.get::<Principal>()?;
        Some(Self::new(principal, head.extensions.get::<Owned>()))
    }

    pub(super) fn new(principal: &Principal, owned: Option<&Owned>) -> Self {
        Self::begin(Open::new(principal, owned.cloned()))
    }

    fn begin(open: Open) -> Self {
        let open = Arc::new(open);
        open.enter();
        Self { open }
    }

    /// Another connection for the same, until then, in microseconds since the epoch.
    pub(super) fn prolonged(&self, deadline: u64) -> Self {
        Self::begin(self.open.until(deadline))
    }

    pub(super) fn open(&self) -> &Arc<Open> {
        &self.open
    }

    pub(super) fn from_open(open: Arc<Open>) -> Self {
        Self { open }
    }

    /// Who is connected, by the token that keeps the connection open now.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.open.principal()
    }

    /// The name of the connection, which the client may be told.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.open.id()
    }

    /// How long the connection may last if nothing happens; zero once it has ended.
    ///
    /// It is [`Duration::MAX`] and less for tokens that say so: nothing is promised about its size.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.open.remaining().unwrap_or_default()
    }

    /// Whether the connection may go on, by the clock of this very moment: to be asked before each message is handled.
    ///
    /// It costs a look at the clock.
    ///
    /// # Errors
    ///
    /// The reason why the connection has ended.
    pub fn check(&self) -> Result<(), LeaseEnd> {
        self.open.remaining().map(|_| ())
    }

    /// Resolves when the connection has to end.
    ///
    /// It wakes its task at the end and at each renewal. One task of the layer looks at the clock for all of them, every
    /// 15 s at least, so that a clock that is set is noticed. It serves to wake up whoever waits for a message: that a
    /// message may be handled is for [`check`](Self::check) to say.
    ///
    /// # Panics
    ///
    /// When it is polled outside a tokio runtime that has its timer enabled.
    pub fn ended(&self) -> Ended {
        Ended::new(self.clone())
    }

    /// Ends the connection. If it has ended already the first reason stays.
    pub fn end(&self, end: LeaseEnd) {
        self.open.end(end);
    }
}

impl Principal {
    /// Opens a connection for this principal, which may last as long as its [`Lease`].
    ///
    /// The layer's [cap](crate::AuthLayerBuilder::with_connection_cap) counts from now. Each call opens another
    /// connection: for the same one clone the lease. What it is about is not known here, so the loss of an
    /// [owned](crate::Owned) resource does not end it: for that there is [`Lease::from_head`].
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease::new(self, None)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.open.fmt(f)
    }
}
