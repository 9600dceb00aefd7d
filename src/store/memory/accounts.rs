//! [`MemoryAccountStore`]: users and their sessions within one process.

use std::{collections::HashMap, fmt};

use super::shelf::Shelf;
use crate::{
    NumericDate, StoreFuture,
    accounts::{AccountStore, RefreshHash, SessionRecord, UserRecord},
};

/// How many sessions a list has at most.
const LONGEST_LIST: usize = 500;

/// Keeps users and their sessions in the memory of one process, and forgets all at its end.
///
/// Each decision is one step under one lock, never held across an `.await`.
#[derive(Default)]
pub struct MemoryAccountStore(Shelf<State>);

#[derive(Default)]
struct State {
    users: HashMap<String, UserRecord>,
    /// The ID of the user of each name, by the folded name.
    names: HashMap<String, String>,
    sessions: HashMap<String, SessionRecord>,
}

impl MemoryAccountStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over a user that another system has made, as from its table; `false` if the name or the ID is taken.
    pub fn import(&self, user: UserRecord) -> bool {
        self.0.write().insert(user)
    }
}

impl State {
    fn insert(&mut self, user: UserRecord) -> bool {
        let name = user.folded_username();
        if self.users.contains_key(&user.id) || self.names.contains_key(&name) {
            return false;
        }
        self.names.insert(name, user.id.clone());
        self.users.insert(user.id.clone(), user);
        true
    }

    /// The user of that ID, if the password hash is this one still.
    fn unchanged(&mut self, user_id: &str, hash: &str) -> Option<&mut UserRecord> {
        let user = self.users.get_mut(user_id)?;
        (user.password_hash == hash).then_some(user)
    }

    fn end_sessions(&mut self, user_id: &str) -> Vec<String> {
        let ended = self.sessions.extract_if(|_, it| it.user_id == user_id);
        ended.map(|(id, _)| id).collect()
    }

    fn open(&mut self, session: &SessionRecord) {
        self.sessions.insert(session.id.clone(), session.clone());
    }
}

impl AccountStore for MemoryAccountStore {
    fn register<'a>(
        &'a self,
        user: &'a UserRecord,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.0.write();
            let new = state.insert(user.clone());
            if new {
                state.open(session);
            }
            Ok(new)
        })
    }

    fn find_user<'a>(&'a self, username: &'a str) -> StoreFuture<'a, Option<UserRecord>> {
        Box::pin(async move {
            let state = self.0.read();
            let id = state.names.get(username);
            Ok(id.and_then(|id| state.users.get(id)).cloned())
        })
    }

    fn replace_hash<'a>(
        &'a self,
        user_id: &'a str,
        present: &'a str,
        next: &'a str,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.0.write();
            let user = state.unchanged(user_id, present);
            Ok(user
                .map(|user| next.clone_into(&mut user.password_hash))
                .is_some())
        })
    }

    fn change_password<'a>(
        &'a self,
        present: &'a str,
        next: &'a str,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, Option<Vec<String>>> {
        Box::pin(async move {
            let mut state = self.0.write();
            let Some(user) = state.unchanged(&session.user_id, present) else {
                return Ok(None);
            };
            next.clone_into(&mut user.password_hash);
            let ended = state.end_sessions(&session.user_id);
            state.open(session);
            Ok(Some(ended))
        })
    }

    fn open_session<'a>(
        &'a self,
        session: &'a SessionRecord,
        password_hash: &'a str,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.0.write();
            if state.unchanged(&session.user_id, password_hash).is_none() {
                return Ok(false);
            }
            let now = session.created_at;
            state
                .sessions
                .retain(|_, it| it.user_id != session.user_id || it.expires_at > now);
            state.open(session);
            Ok(true)
        })
    }

    fn find_session<'a>(
        &'a self,
        id: &'a str,
    ) -> StoreFuture<'a, Option<(SessionRecord, UserRecord)>> {
        Box::pin(async move {
            let state = self.0.read();
            let session = state.sessions.get(id);
            Ok(session.and_then(|session| {
                let user = state.users.get(&session.user_id)?;
                Some((session.clone(), user.clone()))
            }))
        })
    }

    fn list_sessions<'a>(
        &'a self,
        user_id: &'a str,
        now: NumericDate,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        Box::pin(async move {
            let state = self.0.read();
            let sessions = state.sessions.values();
            let mut found: Vec<_> = sessions
                .filter(|it| it.user_id == user_id && it.expires_at > now)
                .cloned()
                .collect();
            found.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
            found.truncate(LONGEST_LIST);
            Ok(found)
        })
    }

    fn refresh<'a>(
        &'a self,
        id: &'a str,
        present: RefreshHash,
        next: RefreshHash,
        now: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.0.write();
            let session = state.sessions.get_mut(id);
            let Some(session) = session.filter(|it| it.refresh_hash == present) else {
                return Ok(false);
            };
            session.refresh_hash = next;
            session.refreshed_at = Some(now);
            session.refreshes = session.refreshes.saturating_add(1);
            session.seen_at = session.seen_at.max(now);
            session.expires_at = session.expires_at.max(expires_at);
            Ok(true)
        })
    }

    fn touch<'a>(
        &'a self,
        id: &'a str,
        seen_at: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if let Some(session) = self.0.write().sessions.get_mut(id) {
                session.seen_at = session.seen_at.max(seen_at);
                session.expires_at = session.expires_at.max(expires_at);
            }
            Ok(())
        })
    }

    fn end_session<'a>(&'a self, user_id: &'a str, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.0.write();
            let own = state
                .sessions
                .get(id)
                .is_some_and(|it| it.user_id == user_id);
            if own {
                state.sessions.remove(id);
            }
            Ok(own)
        })
    }

    fn end_sessions<'a>(&'a self, user_id: &'a str) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move { Ok(self.0.write().end_sessions(user_id)) })
    }

    fn sweep_sessions(&self, now: NumericDate) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut state = self.0.write();
            let before = state.sessions.len();
            state.sessions.retain(|_, it| it.expires_at > now);
            Ok((before - state.sessions.len()) as u64)
        })
    }
}

impl fmt::Debug for MemoryAccountStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.read();
        f.debug_struct("MemoryAccountStore")
            .field("users", &state.users.len())
            .field("sessions", &state.sessions.len())
            .finish_non_exhaustive()
    }
}
