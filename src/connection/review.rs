//! [`Reviewer`]: verifies the tokens of open connections again when their grounds are no longer valid.
//!
//! A token is accepted by a key set, or by an answer of its provider. A key that is withdrawn, a secret that is dropped
//! and a token that is called inactive have to end the connections that were opened by them, as they end the requests.
//! One task looks through the connections of a source: after each change of keys, and when answers expire. Between two
//! looks nothing is done for a connection, and nothing for a message.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};

use super::{LeaseEnd, open::Open};
use crate::{
    NumericDate, RejectionKind, VerifiedToken,
    principal::Context,
    verify::{Authenticated, Authentication, Standing},
};

/// The least time between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest sleep: the clock may be set meanwhile, which no timer notices.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The most questions that one look has in flight at a provider.
const IN_FLIGHT: usize = 32;

/// The longest time that one look waits for answers. Connections without an answer by then end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The number of connections after which a look lets other tasks run.
const SLICE: usize = 64;

/// Verifies the tokens of one source's open connections again.
pub(crate) struct Reviewer {
    state: Mutex<State>,
    /// Rung when a look is due earlier than planned.
    hurried: Notify,
    /// The runtime in which the layer was built, for changes that happen outside of any.
    runtime: Option<Handle>,
}

#[derive(Default)]
struct State {
    /// Set while a task looks through the connections or sleeps until the next look.
    is_running: bool,
    /// Set where another look is due at once.
    is_hurried: bool,
    /// When the next look is planned, by the clock of the source.
    planned: Option<Duration>,
}

impl Default for Reviewer {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            hurried: Notify::new(),
            runtime: Handle::try_current().ok(),
        }
    }
}

impl Reviewer {
    /// Plans the next look for a connection that is registered already.
    pub(super) fn attend(open: &Open) {
        let context = open.context();
        match context.authenticator.standing(&open.token()) {
            Standing::Valid => {}
            Standing::Until(until) => Self::plan(context, Some(until)),
            Standing::Void => Self::plan(context, None),
        }
    }

    /// Looks through all connections of this source, because the keys have changed.
    pub(crate) fn keys_changed(context: &Arc<Context>) {
        Self::plan(context, None);
    }

    /// Has the connections looked through then, or at once.
    fn plan(context: &Arc<Context>, at: Option<Duration>) {
        let reviewer = &context.reviewer;
        let mut state = reviewer.state();
        match at {
            None => state.is_hurried = true,
            // The task looks in time by itself.
            Some(at) if state.planned.is_some_and(|planned| planned <= at) => return,
            Some(at) => state.planned = Some(at),
        }
        if state.is_running {
            drop(state);
            reviewer.hurried.notify_one();
            return;
        }
        let runtime = Handle::try_current().ok();
        let Some(runtime) = runtime.or_else(|| reviewer.runtime.clone()) else {
            state.is_hurried = false;
            drop(state);
            Self::look_at_once(context);
            return;
        };
        state.is_running = true;
        drop(state);
        let running = Running(Arc::clone(context));
        runtime.spawn(running.work());
    }

    /// Looks through all connections where there is no runtime to do it in. Only keys that were given change there.
    fn look_at_once(context: &Arc<Context>) {
        let unavailable = || Err(RejectionKind::KeysUnavailable.into());
        for open in connections(context) {
            let Some((present, answer)) = begin(&open) else {
                continue;
            };
            match answer {
                Authentication::Now(answer) => settle(&open, &present, answer),
                Authentication::Later(_) => settle(&open, &present, unavailable()),
            }
        }
    }

    /// Waits until the next look is due; `false` if none is planned.
    async fn rest(&self, context: &Context) -> bool {
        let rested = Instant::now() + SHORTEST_PAUSE;
        loop {
            let planned = {
                let mut state = self.state();
                if mem::take(&mut state.is_hurried) {
                    return true;
                }
                state.is_running = state.planned.is_some();
                state.planned
            };
            let Some(planned) = planned else { return false };
            let left = planned.saturating_sub(context.authenticator.now());
            let left = left.max(rested.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return true;
            }
            let _ = timeout(left.min(LONGEST_PAUSE), self.hurried.notified()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of a reviewer, as long as a look is planned.
struct Running(Arc<Context>);

impl Running {
    async fn work(self) {
        let context = &self.0;
        let reviewer = &context.reviewer;
        loop {
            {
                let mut state = reviewer.state();
                state.is_hurried = false;
                state.planned = None;
            }
            let next = look(context).await;
            {
                let mut state = reviewer.state();
                state.planned = state.planned.into_iter().chain(next).min();
            }
            if !reviewer.rest(context).await {
                return;
            }
        }
    }
}

impl Drop for Running {
    /// If the runtime has stopped, the connections of other runtimes are woken: they start another task.
    fn drop(&mut self) {
        let was_running = {
            let mut state = self.0.reviewer.state();
            state.planned = None;
            mem::take(&mut state.is_running)
        };
        if was_running {
            for open in connections(&self.0) {
                if let Some(open) = open.upgrade() {
                    open.rouse();
                }
            }
        }
    }
}

/// Verifies again what is due, and returns when the next connection will be.
async fn look(context: &Arc<Context>) -> Option<Duration> {
    let began = Instant::now();
    let mut asked = JoinSet::new();
    for (index, open) in connections(context).into_iter().enumerate() {
        match begin(&open) {
            None => {}
            Some((present, Authentication::Now(answer))) => settle(&open, &present, answer),
            Some((present, Authentication::Later(answer))) => {
                if asked.len() >= IN_FLIGHT {
                    asked.join_next().await;
                }
                let patience = PATIENCE.saturating_sub(began.elapsed());
                asked.spawn(async move {
                    let answer = timeout(patience, answer).await;
                    let answer = answer.unwrap_or(Err(RejectionKind::KeysUnavailable.into()));
                    settle(&open, &present, answer);
                });
            }
        }
        if index % SLICE == SLICE - 1 {
            yield_now().await;
        }
    }
    while asked.join_next().await.is_some() {}
    let open = connections(context);
    let standings = open
        .iter()
        .filter_map(Weak::upgrade)
        .map(|it| standing(&it));
    let until = standings.filter_map(|standing| match standing {
        Standing::Until(until) => Some(until),
        Standing::Valid | Standing::Void => None,
    });
    until.min()
}

/// Lists the connections that were opened by tokens of this source. None of them is held open.
fn connections(context: &Arc<Context>) -> Vec<Weak<Open>> {
    let connections = context.layer.revocations.connections();
    connections.all(|open| Arc::ptr_eq(open.context(), context))
}

/// Returns the standing of the connection's token. Where the token has expired, only the deadline counts.
fn standing(open: &Open) -> Standing {
    let (authenticator, token) = (&open.context().authenticator, open.token());
    let expiry = token.expires_at().map(NumericDate::as_secs);
    if expiry.is_some_and(|expiry| Duration::from_secs(expiry) <= authenticator.now()) {
        return Standing::Valid;
    }
    authenticator.standing(&token)
}

/// Begins to verify the token of this connection again, if that is due.
fn begin(open: &Weak<Open>) -> Option<(Arc<VerifiedToken>, Authentication)> {
    let open = open.upgrade()?;
    let authenticator = &open.context().authenticator;
    let is_due = match standing(&open) {
        Standing::Valid => false,
        Standing::Until(until) => until <= authenticator.now(),
        Standing::Void => true,
    };
    is_due.then(|| {
        let present = open.token();
        let answer = authenticator.verify_again(&present);
        (present, answer)
    })
}

/// Keeps the connection open by what its token says now, or ends it.
fn settle(open: &Weak<Open>, present: &Arc<VerifiedToken>, answer: Authenticated) {
    let Some(open) = open.upgrade() else { return };
    match answer {
        Ok(next) => open.confirm(present, &next),
        Err(rejection) => open.doubt(present, end_of(rejection.kind())),
    }
}

/// Returns the end of a connection for a token that was refused when it was verified again.
const fn end_of(kind: RejectionKind) -> LeaseEnd {
    match kind {
        RejectionKind::TokenExpired | RejectionKind::TokenTooOld => LeaseEnd::Expired,
        RejectionKind::KeysUnavailable | RejectionKind::StoreUnavailable => {
            LeaseEnd::StoreUnavailable
        }
        _ => LeaseEnd::Revoked,
    }
}

impl fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviewer")
            .field("planned", &self.state().planned)
            .finish_non_exhaustive()
    }
}
