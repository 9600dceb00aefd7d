//! [`Open`]: what all clones of a lease share.

use std::{
    fmt, mem,
    num::NonZeroU32,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use super::{
    ConnectionId, LeaseEnd, Reviewer,
    timer::Timer,
    watchers::{Enrolled, Watchers},
};
use crate::{Owned, Principal, VerifiedToken, authorize::Tied, principal::Context, telemetry};

/// A connection that is open, or has just ended.
pub(super) struct Open {
    id: ConnectionId,
    /// How the token was verified: a renewal is verified alike.
    context: Arc<Context>,
    /// When it ends unless it is renewed, in microseconds since the epoch.
    deadline: AtomicU64,
    /// The latest deadline that any renewal can reach.
    cap: u64,
    /// Zero while the connection is open, then the reason why it ended.
    end: AtomicU8,
    /// Whether the timer ends it at its present deadline. It changes under the lock.
    is_timed: AtomicBool,
    /// How many have ever waited for the end, to number them.
    watchers: AtomicU32,
    state: Mutex<State>,
    /// What it is about, where that is somebody's.
    owned: Option<Owned>,
}

/// What changes seldom.
struct State {
    token: Arc<VerifiedToken>,
    watchers: Watchers,
}

/// What came of a renewal.
pub(super) enum Replaced {
    Done,
    /// Another one came first.
    Overtaken,
}

impl Open {
    /// A connection that lasts as long as its token, and the layer's cap, let it.
    pub(super) fn new(principal: &Principal, owned: Option<Owned>) -> Self {
        let (context, token) = principal.parts();
        let cap = match context.layer.connection_cap {
            Some(cap) => micros(context.authenticator.now().saturating_add(cap)),
            None => u64::MAX,
        };
        Self::with_deadline(principal, deadline_of(context, token, cap), cap, owned)
    }

    /// Another connection for the same, that lasts until then, in microseconds since the epoch, whatever its token says.
    pub(super) fn until(&self, deadline: u64) -> Self {
        let owned = self.owned.clone();
        Self::with_deadline(&self.principal(), deadline, deadline, owned)
    }

    fn with_deadline(principal: &Principal, deadline: u64, cap: u64, owned: Option<Owned>) -> Self {
        let (context, token) = principal.parts();
        Self {
            id: ConnectionId::random(),
            deadline: AtomicU64::new(deadline),
            context: Arc::clone(context),
            cap,
            end: AtomicU8::new(0),
            is_timed: AtomicBool::new(false),
            watchers: AtomicU32::new(1),
            state: Mutex::new(State {
                token: Arc::clone(token),
                watchers: Watchers::default(),
            }),
            owned,
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn token(&self) -> Arc<VerifiedToken> {
        Arc::clone(&self.state().token)
    }

    pub(super) fn principal(&self) -> Principal {
        Principal::new(self.token(), Arc::clone(&self.context))
    }

    /// How long the connection may still last, or why it may not.
    pub(super) fn remaining(&self) -> Result<Duration, LeaseEnd> {
        if let Some(end) = self.ended() {
            return Err(end);
        }
        let now = self.now();
        match self.deadline().checked_sub(now) {
            Some(left) if left > 0 => Ok(Duration::from_micros(left)),
            _ => self.expire(now),
        }
    }

    /// The present time, in microseconds since the epoch.
    pub(super) fn now(&self) -> u64 {
        micros(self.context.authenticator.now())
    }

    /// When the connection ends, or has ended by time, in microseconds since the epoch.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Acquire)
    }

    fn ended(&self) -> Option<LeaseEnd> {
        LeaseEnd::from_byte(self.end.load(Ordering::Acquire))
    }

    /// Ends the connection whose deadline has come, unless a renewal has moved it in the meantime.
    pub(super) fn expire(&self, now: u64) -> Result<Duration, LeaseEnd> {
        let state = self.state();
        let deadline = self.deadline();
        match deadline.checked_sub(now) {
            Some(left) if left > 0 => Ok(Duration::from_micros(left)),
            _ => Err(self.end_by_time(deadline, state)),
        }
    }

    fn end_by_time(&self, deadline: u64, state: MutexGuard<'_, State>) -> LeaseEnd {
        let end = if deadline < self.cap {
            LeaseEnd::Expired
        } else {
            LeaseEnd::CapReached
        };
        self.end_with(end, state)
    }

    /// Ends the connection, unless it has ended already; returns why it did.
    pub(super) fn end(&self, end: LeaseEnd) -> LeaseEnd {
        self.end_with(end, self.state())
    }

    fn end_with(&self, end: LeaseEnd, mut state: MutexGuard<'_, State>) -> LeaseEnd {
        // The end is written under the lock, under which renewals and watchers look at it.
        if let Some(first) = self.ended() {
            return first;
        }
        self.end.store(end.to_byte(), Ordering::Release);
        let watchers = mem::take(&mut state.watchers);
        drop(state);
        telemetry::connection_ended(end.code(), self.context.source);
        self.leave();
        watchers.wake();
        end
    }

    /// Enters the registers by which it is found when it has to end.
    pub(super) fn enter(self: &Arc<Self>) {
        let revocations = &self.context.layer.revocations;
        revocations.connections().remember(self);
        // Whoever revokes from now on finds the connection; whoever did so a moment ago has not.
        if revocations.is_revoked(&self.token()) {
            self.end(LeaseEnd::Revoked);
        }
        if let Some(owned) = &self.owned {
            let tied: Arc<dyn Tied> = Arc::clone(self) as _;
            owned.tie(&tied);
        }
        // Keys that change from now on find the connection; those that changed a moment ago have not.
        Reviewer::attend(self);
        // Whoever ended it meanwhile took it out of registers that it had not entered yet.
        if self.ended().is_some() {
            self.leave();
        }
    }

    /// Leaves the registers.
    fn leave(&self) {
        self.context.layer.revocations.connections().forget(self.id);
        if let Some(owned) = &self.owned {
            owned.untie(ptr::from_ref(self).cast());
        }
    }

    /// Puts the token of `next` in the place of the present one, if that is still `present`, and moves the deadline,
    /// unless that has come.
    pub(super) fn replace(
        &self,
        present: &Principal,
        next: &Principal,
    ) -> Result<Replaced, LeaseEnd> {
        let (_, present) = present.parts();
        let (_, next) = next.parts();
        let mut state = self.state();
        if let Some(end) = self.ended() {
            return Err(end);
        }
        // To verify the next token may have taken until after the deadline, and nobody else may have looked since.
        let deadline = self.deadline();
        if deadline <= self.now() {
            return Err(self.end_by_time(deadline, state));
        }
        if !Arc::ptr_eq(&state.token, present) {
            return Ok(Replaced::Overtaken);
        }
        let deadline = deadline_of(&self.context, next, self.cap);
        self.deadline.store(deadline, Ordering::Release);
        state.token = Arc::clone(next);
        if self.rouse_with(state) {
            self.context.timer.abandon();
        }
        Ok(Replaced::Done)
    }

    /// Puts a token that was verified again in the place of `present`, unless a renewal was quicker.
    pub(super) fn confirm(&self, present: &Arc<VerifiedToken>, next: &Arc<VerifiedToken>) {
        let mut state = self.state();
        if self.ended().is_some() || !Arc::ptr_eq(&state.token, present) {
            return;
        }
        state.token = Arc::clone(next);
        let deadline = deadline_of(&self.context, next, self.cap);
        if self.deadline.swap(deadline, Ordering::AcqRel) != deadline && self.rouse_with(state) {
            self.context.timer.abandon();
        }
    }

    /// Ends the connection because `present` was refused when it was verified again, unless a renewal was quicker.
    pub(super) fn doubt(&self, present: &Arc<VerifiedToken>, end: LeaseEnd) {
        let state = self.state();
        if Arc::ptr_eq(&state.token, present) {
            self.end_with(end, state);
        }
    }

    /// Wakes whoever waits, to have them look at the clock and enter the timer anew.
    pub(super) fn rouse(&self) {
        self.rouse_with(self.state());
    }

    /// The same; says whether the timer had an entry.
    fn rouse_with(&self, mut state: MutexGuard<'_, State>) -> bool {
        let was_timed = self.is_timed.swap(false, Ordering::Relaxed);
        let watchers = mem::take(&mut state.watchers);
        drop(state);
        watchers.wake();
        was_timed
    }

    /// A number for someone who waits for the end.
    pub(super) fn number(&self) -> NonZeroU32 {
        let number = self.watchers.fetch_add(1, Ordering::Relaxed);
        NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
    }

    /// Waits for the end, under this number. The clock is looked at the first time, and when something has happened
    /// since the last; in between the timer looks at it.
    pub(super) fn poll_ended(
        self: &Arc<Self>,
        number: NonZeroU32,
        waker: &Waker,
    ) -> Poll<LeaseEnd> {
        let mut state = self.state();
        if let Some(end) = self.ended() {
            return Poll::Ready(end);
        }
        // First to be woken, then to look: what happens in between is not missed.
        if state.watchers.enrol(number.get(), waker) == Enrolled::Before {
            return Poll::Pending;
        }
        let was_timed = self.is_timed.swap(true, Ordering::Relaxed);
        drop(state);
        if let Err(end) = self.remaining() {
            return Poll::Ready(end);
        }
        if !was_timed {
            Timer::add(self);
            Reviewer::attend(self);
        }
        Poll::Pending
    }

    pub(super) fn unwatch(&self, watcher: NonZeroU32) {
        self.state().watchers.strike(watcher.get());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tied for Open {
    fn owned(&self) -> Option<&Owned> {
        self.owned.as_ref()
    }

    fn lose(&self) {
        self.end(LeaseEnd::NotOwner);
    }

    fn lose_touch(&self) {
        self.end(LeaseEnd::StoreUnavailable);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.ended().is_none() {
            telemetry::connection_ended("finished", self.context.source);
            self.leave();
        }
        if *self.is_timed.get_mut() {
            self.context.timer.abandon();
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("id", &self.id)
            .field("end", &self.ended())
            .finish_non_exhaustive()
    }
}

/// The instant from which on this token keeps no connection open.
fn deadline_of(context: &Context, token: &VerifiedToken, cap: u64) -> u64 {
    let until = context.authenticator.accepts_until(token);
    until.map_or(u64::MAX, micros).min(cap)
}

/// Microseconds; whatever lies beyond half a million years is held there.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
