//! [`Watch`]: a lease and what its policy grants beyond it, as one clock.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::StreamPolicy;
use crate::{
    Lease, LeaseEnd,
    connection::{Ended, open::micros},
};

pin_project! {
    /// Tells when a stream has to end.
    pub(super) struct Watch {
        policy: StreamPolicy,
        // Until it has ended by time.
        #[pin]
        lease: Option<Ended>,
        // What the policy grants: a lease of its own, so that a revocation reaches it too.
        #[pin]
        overtime: Option<Ended>,
        // Why the lease has ended, while the policy grants more.
        end: Option<LeaseEnd>,
    }
}

/// What a look at the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing has happened.
    Open,
    /// The lease has just ended, and the stream goes on for a while.
    Overtime,
    /// The stream has to end.
    Over(LeaseEnd),
}

impl Watch {
    pub(super) fn new(lease: &Lease, policy: StreamPolicy) -> Self {
        let overtime = match policy {
            StreamPolicy::CapOnly(cap) => {
                let open = lease.open();
                Some(open.now().saturating_add(micros(cap)))
            }
            _ => None,
        };
        Self {
            policy,
            lease: Some(lease.ended()),
            overtime: overtime.map(|deadline| lease.prolonged(deadline).ended()),
            end: None,
        }
    }

    /// Looks at the clock, without being woken later.
    pub(super) fn look(self: Pin<&mut Self>) -> Sight {
        let lease = self.lease.as_ref().map(|ended| ended.lease().check());
        if let Some(Err(end)) = lease {
            return self.leave(end);
        }
        match self.overtime.as_ref().map(|ended| ended.lease().check()) {
            Some(Err(end)) => Sight::Over(self.reason(end)),
            _ => Sight::Open,
        }
    }

    /// Waits until there is something to see.
    pub(super) fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sight> {
        let this = self.as_mut().project();
        if let Some(ended) = this.lease.as_pin_mut()
            && let Poll::Ready(end) = ended.poll(cx)
        {
            return Poll::Ready(self.leave(end));
        }
        match this.overtime.as_pin_mut() {
            Some(ended) => ended.poll(cx).map(|end| Sight::Over(self.reason(end))),
            None => Poll::Pending,
        }
    }

    /// Why the stream ends, once its overtime does: for what the lease has ended, if it is time that ends both.
    fn reason(&self, overtime: LeaseEnd) -> LeaseEnd {
        match self.end {
            Some(end) if overtime == LeaseEnd::CapReached => end,
            _ => overtime,
        }
    }

    /// What follows from the end of the lease.
    fn leave(self: Pin<&mut Self>, end: LeaseEnd) -> Sight {
        let mut this = self.project();
        let Some(lease) = this
            .lease
            .as_ref()
            .as_pin_ref()
            .map(|ended| ended.lease().clone())
        else {
            return Sight::Over(end);
        };
        this.lease.set(None);
        let by_time = matches!(end, LeaseEnd::Expired | LeaseEnd::CapReached);
        match *this.policy {
            StreamPolicy::FinishResponse { cap: grace } | StreamPolicy::Grace(grace) if by_time => {
                let deadline = lease.open().deadline().saturating_add(micros(grace));
                let prolonged = lease.prolonged(deadline);
                match prolonged.check() {
                    // The stream slept through all of it, or was revoked a moment ago.
                    Err(LeaseEnd::CapReached) => Sight::Over(end),
                    Err(end) => Sight::Over(end),
                    Ok(()) => {
                        *this.end = Some(end);
                        this.overtime.set(Some(prolonged.ended()));
                        Sight::Overtime
                    }
                }
            }
            StreamPolicy::CapOnly(_) if by_time => Sight::Open,
            _ => Sight::Over(end),
        }
    }
}
