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
}

impl Ended {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            lease,
            number: None,
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
        let Self { lease, number } = &mut *self;
        let open = lease.open();
        let number = *number.get_or_insert_with(|| open.number());
        open.poll_ended(number, cx.waker())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(number) = self.number {
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
