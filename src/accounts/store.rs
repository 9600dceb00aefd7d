//! [`AccountStore`]: where users and their sessions are kept.

use std::{fmt, sync::Arc};

use super::{RefreshHash, SessionRecord, UserRecord};
use crate::{NumericDate, StoreFuture};

/// Keeps users and their sessions.
///
/// Engines come with this crate; your own is held to the same rules by `testing::conformance::account_store`.
///
/// # What every store promises
///
/// - Each method is **one atomic step** over all nodes: of many registrations of one name exactly one wins.
/// - A username is kept as it comes, and compared by [`UserRecord::folded_username`]: of `Alice` and `ALICE` one can be
///   kept, and both are found as `alice`. A row `Alice` of another system is found as `alice` too. Everything else is
///   compared byte by byte.
/// - A session ends for good: nothing brings it back, [`touch`](Self::touch) and [`refresh`](Self::refresh) least of all.
/// - Doubt is a [`StoreError`](crate::StoreError), never `None` or `false`.
/// - A future that was dropped may have done its work or not, but never half of it. Waiting is bounded by the store itself.
pub trait AccountStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps a new user with their first session; `false` if the name or the ID is taken, and then nothing changes.
    fn register<'a>(
        &'a self,
        user: &'a UserRecord,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, bool>;

    /// The user of that folded name.
    fn find_user<'a>(&'a self, username: &'a str) -> StoreFuture<'a, Option<UserRecord>>;

    /// Replaces a password hash, if it is still the one that was read; says whether that was so.
    fn replace_hash<'a>(
        &'a self,
        user_id: &'a str,
        present: &'a str,
        next: &'a str,
    ) -> StoreFuture<'a, bool>;

    /// Replaces the password: sets the hash if it is still the one that was read, ends every session of the user, and
    /// begins this one. Answers with the IDs of the sessions that ended; `None` if the hash was another, and then nothing
    /// changes.
    fn change_password<'a>(
        &'a self,
        present: &'a str,
        next: &'a str,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, Option<Vec<String>>>;

    /// Begins a session, if its user has that password hash still; says whether that was so. Sessions of the user that are
    /// over by the time this one was made may be forgotten.
    fn open_session<'a>(
        &'a self,
        session: &'a SessionRecord,
        password_hash: &'a str,
    ) -> StoreFuture<'a, bool>;

    /// The session of that ID with its user, whether it is over or not; `None` once it has ended.
    fn find_session<'a>(
        &'a self,
        id: &'a str,
    ) -> StoreFuture<'a, Option<(SessionRecord, UserRecord)>>;

    /// The sessions of a user that are not over at that time, the latest login first, at most 500.
    fn list_sessions<'a>(
        &'a self,
        user_id: &'a str,
        now: NumericDate,
    ) -> StoreFuture<'a, Vec<SessionRecord>>;

    /// Puts the next refresh token in the place of the present one, counts it, and notes the time as that of the exchange
    /// and as when the session was seen; `false` if the present one is another, and then nothing changes.
    fn refresh<'a>(
        &'a self,
        id: &'a str,
        present: RefreshHash,
        next: RefreshHash,
        now: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, bool>;

    /// Notes that a session was seen, and until when it lasts. An unknown ID is no failure; neither date goes back.
    fn touch<'a>(
        &'a self,
        id: &'a str,
        seen_at: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, ()>;

    /// Ends a session, if it belongs to this user; says whether there was one.
    fn end_session<'a>(&'a self, user_id: &'a str, id: &'a str) -> StoreFuture<'a, bool>;

    /// Ends every session of a user, and answers with their IDs.
    fn end_sessions<'a>(&'a self, user_id: &'a str) -> StoreFuture<'a, Vec<String>>;

    /// Forgets all sessions that are over at that time, and answers how many those were.
    fn sweep_sessions(&self, now: NumericDate) -> StoreFuture<'_, u64>;
}

impl<S: AccountStore + ?Sized> AccountStore for Arc<S> {
    fn register<'a>(
        &'a self,
        user: &'a UserRecord,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, bool> {
        (**self).register(user, session)
    }

    fn find_user<'a>(&'a self, username: &'a str) -> StoreFuture<'a, Option<UserRecord>> {
        (**self).find_user(username)
    }

    fn replace_hash<'a>(
        &'a self,
        user_id: &'a str,
        present: &'a str,
        next: &'a str,
    ) -> StoreFuture<'a, bool> {
        (**self).replace_hash(user_id, present, next)
    }

    fn change_password<'a>(
        &'a self,
        present: &'a str,
        next: &'a str,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, Option<Vec<String>>> {
        (**self).change_password(present, next, session)
    }

    fn open_session<'a>(
        &'a self,
        session: &'a SessionRecord,
        password_hash: &'a str,
    ) -> StoreFuture<'a, bool> {
        (**self).open_session(session, password_hash)
    }

    fn find_session<'a>(
        &'a self,
        id: &'a str,
    ) -> StoreFuture<'a, Option<(SessionRecord, UserRecord)>> {
        (**self).find_session(id)
    }

    fn list_sessions<'a>(
        &'a self,
        user_id: &'a str,
        now: NumericDate,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        (**self).list_sessions(user_id, now)
    }

    fn refresh<'a>(
        &'a self,
        id: &'a str,
        present: RefreshHash,
        next: RefreshHash,
        now: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, bool> {
        (**self).refresh(id, present, next, now, expires_at)
    }

    fn touch<'a>(
        &'a self,
        id: &'a str,
        seen_at: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, ()> {
        (**self).touch(id, seen_at, expires_at)
    }

    fn end_session<'a>(&'a self, user_id: &'a str, id: &'a str) -> StoreFuture<'a, bool> {
        (**self).end_session(user_id, id)
    }

    fn end_sessions<'a>(&'a self, user_id: &'a str) -> StoreFuture<'a, Vec<String>> {
        (**self).end_sessions(user_id)
    }

    fn sweep_sessions(&self, now: NumericDate) -> StoreFuture<'_, u64> {
        (**self).sweep_sessions(now)
    }
}
