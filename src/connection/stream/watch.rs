//! [`Watch`]: a lease and what its policy grants beyond it, as one clock.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::StreamPolicy;
use crate::{
    Lease, LeaseEnd,
    connection::{Ended, open::micros},
};

/// Tells when a stream has to end.
pub(super) struct Watch {
    policy: StreamPolicy,
    /// Until it has ended by time.
    lease: Option<Ended>,
    /// What the policy grants: a lease of its own, so that a revocation reaches it too.
    overtime: Option<Ended>,
    /// Why the lease has ended, while the policy grants more.
    end: Option<LeaseEnd>,
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
    pub(super) fn look(&mut self) -> Sight {
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
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Sight> {
        if let Some(ended) = &mut self.lease
            && let Poll::Ready(end) = Pin::new(ended).poll(cx)
        {
            return Poll::Ready(self.leave(end));
        }
        match &mut self.overtime {
            Some(ended) => {
                let polled = Pin::new(ended).poll(cx);
                polled.map(|end| Sight::Over(self.reason(end)))
            }
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
    fn leave(&mut self, end: LeaseEnd) -> Sight {
        let Some(ended) = self.lease.take() else {
            return Sight::Over(end);
        };
        let lease = ended.lease();
        let by_time = matches!(end, LeaseEnd::Expired | LeaseEnd::CapReached);
        match self.policy {
            StreamPolicy::FinishResponse { cap: grace } | StreamPolicy::Grace(grace) if by_time => {
                let deadline = lease.open().deadline().saturating_add(micros(grace));
                let prolonged = lease.prolonged(deadline);
                match prolonged.check() {
                    // The stream slept through all of it, or was revoked a moment ago.
                    Err(LeaseEnd::CapReached) => Sight::Over(end),
                    Err(end) => Sight::Over(end),
                    Ok(()) => {
                        self.end = Some(end);
                        self.overtime = Some(prolonged.ended());
                        Sight::Overtime
                    }
                }
            }
            StreamPolicy::CapOnly(_) if by_time => Sight::Open,
            _ => Sight::Over(end),
        }
    }
}
