//! [`Ended`]: the future that resolves when a connection has to end.

use std::{
    fmt,
    future::Future,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::{Lease, LeaseEnd};

/// The longest sleep. The system's clock may be set meanwhile, which no timer notices; and no timer takes the distance
/// to an absurd `exp`.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

pin_project! {
    /// Resolves when the connection has to end, with the reason. Made by [`Lease::ended`].
    ///
    /// It owns a clone of its lease, and sets its timer at the first poll. If it is dropped nothing happens.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Ended {
        watch: Watch,
        #[pin]
        sleep: Option<Sleep>,
    }
}

/// A lease, and the number under which it knows the task to wake.
struct Watch {
    lease: Lease,
    number: Option<NonZeroU32>,
}

impl Ended {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            watch: Watch {
                lease,
                number: None,
            },
            sleep: None,
        }
    }

    /// The lease that it watches.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.watch.lease
    }
}

impl Future for Ended {
    type Output = LeaseEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LeaseEnd> {
        let this = self.project();
        let mut sleeping = this.sleep;
        // First to be woken, then to look: what happens in between is not missed.
        this.watch.enrol(cx);
        loop {
            let left = match this.watch.lease.open().remaining() {
                Ok(left) => left.min(LONGEST_SLEEP),
                Err(end) => return Poll::Ready(end),
            };
            match sleeping.as_mut().as_pin_mut() {
                None => sleeping.set(Some(sleep(left))),
                // A renewal may have moved the deadline, or somebody the clock.
                Some(sleep) if sleep.is_elapsed() || is_late(sleep.deadline(), left) => {
                    sleep.reset(Instant::now() + left);
                }
                Some(_) => {}
            }
            match sleeping.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                // The sleep is over: it is the clock that says whether the lease is.
                Some(Poll::Ready(())) | None => {}
            }
        }
    }
}

/// Whether a timer goes off noticeably after the time that is left.
fn is_late(timer: Instant, left: Duration) -> bool {
    timer.saturating_duration_since(Instant::now()) > left + Duration::from_millis(1)
}

impl Watch {
    fn enrol(&mut self, cx: &Context<'_>) {
        self.number = Some(self.lease.open().watch(self.number, cx.waker()));
    }
}

impl Drop for Watch {
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
