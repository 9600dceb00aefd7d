//! [`Ended`]: the future that resolves when a connection has to end.

use std::{
    fmt,
    future::Future,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
};

use super::{Lease, LeaseEnd};

/// Resolves when the connection has to end, with the reason. Made by [`Lease::ended`].
///
/// It owns a clone of its lease, and is entered with the timer at the first poll. If it is dropped nothing happens.
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended {
    lease: Lease,
    /// Under which the lease knows the task to wake.
    number: Option<NonZeroU32>,
    /// The same for a second task, where two share one: the halves of a socket.
    second: Option<NonZeroU32>,
}

impl Ended {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            lease,
            number: None,
            second: None,
        }
    }

    /// Resolves as the future does, for a second task.
    #[cfg(feature = "ws")]
    pub(super) fn poll_second(&mut self, cx: &Context<'_>) -> Poll<LeaseEnd> {
        poll(&self.lease, &mut self.second, cx)
    }

    /// The second task waits no longer.
    #[cfg(feature = "ws")]
    pub(super) fn rest_second(&mut self) {
        if let Some(number) = self.second.take() {
            self.lease.open().unwatch(number);
        }
    }

    /// The lease that it watches.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Future for Ended {
    type Output = LeaseEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LeaseEnd> {
        let Self { lease, number, .. } = &mut *self;
        poll(lease, number, cx)
    }
}

fn poll(lease: &Lease, number: &mut Option<NonZeroU32>, cx: &Context<'_>) -> Poll<LeaseEnd> {
    let open = lease.open();
    let number = *number.get_or_insert_with(|| open.number());
    open.poll_ended(number, cx.waker())
}

impl Drop for Ended {
    fn drop(&mut self) {
        for number in [self.number, self.second].into_iter().flatten() {
            self.lease.open().unwatch(number);
        }
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended")
            .field("lease", self.lease())
            .finish_non_exhaustive()
    }
}
