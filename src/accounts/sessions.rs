//! Sessions: how one begins, who asks, and how it goes on.

use std::{sync::Arc, time::Duration};

use base64_simd::URL_SAFE_NO_PAD;
use http::{HeaderValue, header, request::Parts};

use super::{
    SessionRecord, UserRecord,
    handle::Shared,
    limits::Client,
    refresh::{Place, RefreshToken},
};
use crate::{
    NumericDate, Rejection, RejectionKind, StoreError, VerifiedToken,
    refuse::{Claim, Found},
};

/// How many sessions a user has at once; a login beyond ends the one that was not heard of for longest.
pub(super) const MOST_SESSIONS: usize = 50;

/// For so long a refresh token may come again, because its answer was lost, or two tabs asked at once.
const REPEATS: u64 = 10;

/// The most cookies of one name that are looked at: a browser of ours sends one, the others were planted.
pub(super) const MOST_COOKIES: usize = 8;

/// So often the store is told that a session was heard of.
const SEEN: u64 = 5 * 60;

/// The longest name of a client that is kept, in characters.
const LONGEST_AGENT: usize = 256;

/// Whoever asks: the token that came, its session and its user.
pub(super) struct Asking {
    pub(super) token: Arc<VerifiedToken>,
    pub(super) session: SessionRecord,
    pub(super) user: UserRecord,
}

/// What the browser is given.
pub(super) struct Granted {
    pub(super) user: UserRecord,
    /// When the token expires that it has from now on.
    pub(super) expires_at: NumericDate,
    pub(super) cookies: Vec<HeaderValue>,
}

impl Shared {
    /// A new session of that user, and its first refresh token. Nothing of an earlier session is part of it.
    pub(super) fn draft(
        &self,
        user_id: &str,
        head: &Parts,
    ) -> Result<(SessionRecord, RefreshToken), Rejection> {
        let refresh = self.refresher.begin().ok_or(RejectionKind::Misconfigured)?;
        let hash = self.refresher.hash(&refresh);
        let now = self.now();
        let session = SessionRecord {
            id: refresh.session(),
            user_id: user_id.to_owned(),
            created_at: now,
            seen_at: now,
            expires_at: after(now, self.lifetimes.idle),
            user_agent: user_agent(head),
            refresh_hash: hash.ok_or(RejectionKind::Misconfigured)?,
            refreshed_at: None,
            refreshes: 0,
        };
        Ok((session, refresh))
    }

    /// What the browser is given for a session that the store has kept.
    pub(super) fn grant(
        &self,
        user: UserRecord,
        session: &SessionRecord,
        refresh: Option<&RefreshToken>,
    ) -> Result<Granted, Rejection> {
        let now = self.now();
        let left = Duration::from_secs(session.expires_at.as_secs().saturating_sub(now.as_secs()));
        let lifetime = self.lifetimes.token.min(left);
        let token = self
            .issuer
            .mint(&user.id)
            .with_claim("username", &user.username)
            .with_claim("sid", &session.id)
            .with_lifetime(lifetime)
            .sign();
        let token = token
            .map_err(|error| Rejection::new(RejectionKind::Misconfigured).with_source(error))?;
        let mut cookies = vec![self.cookies.set_session(&token, lifetime)?];
        if let Some(refresh) = refresh {
            cookies.extend(self.cookies.set_refresh(refresh, left)?);
        }
        Ok(Granted {
            user,
            expires_at: after(now, lifetime),
            cookies,
        })
    }

    /// Who asks, by the session cookie. The session has to be there still, and so has its user.
    pub(super) async fn asking(&self, head: &Parts) -> Result<Asking, Rejection> {
        let token = self.cookies.session(head)?;
        let token = token.ok_or(RejectionKind::TokenMissing)?;
        let token = self.verifier.verify(&token)?;
        self.revocations.judge(&token)?;
        let id = token.session_id().ok_or_else(|| absent(Claim::SessionId))?;
        let found = self.store.find_session(id).await.map_err(unavailable)?;
        let (session, user) = found.ok_or(RejectionKind::Revoked)?;
        if token.subject() != Some(&*user.id) {
            return Err(RejectionKind::Revoked.into());
        }
        if self.is_over(&session) {
            return Err(RejectionKind::TokenExpired.into());
        }
        Ok(Asking {
            token,
            session,
            user,
        })
    }

    /// Who is signed in. When half the life of the token is over they are given another, and the session goes on.
    pub(super) async fn user(&self, head: &Parts) -> Result<Granted, Rejection> {
        let Asking {
            token,
            mut session,
            user,
        } = self.asking(head).await?;
        let now = self.now();
        if now.as_secs().saturating_sub(session.seen_at.as_secs()) >= SEEN {
            session.seen_at = now;
            session.expires_at = self.extended(&session, now);
            let touched = self.store.touch(&session.id, now, session.expires_at);
            touched.await.map_err(unavailable)?;
        }
        let expires_at = token.expires_at().ok_or_else(|| absent(Claim::ExpiresAt))?;
        let left = expires_at.as_secs().saturating_sub(now.as_secs());
        // A token that ends with its session cannot be given a longer life.
        if left > self.lifetimes.token.as_secs() / 2 || expires_at >= session.expires_at {
            return Ok(Granted {
                user,
                expires_at,
                cookies: Vec::new(),
            });
        }
        self.grant(user, &session, None)
    }

    /// Exchanges a refresh token for the next one and a token. A token that was exchanged before ends the session, as a
    /// second client has a copy of it, unless it comes again at once.
    ///
    /// A refresh token counts only beside the ID of its session: what a neighbouring host has planted is passed over.
    pub(super) async fn refresh(&self, head: &Parts) -> Result<Granted, Rejection> {
        if !self.cookies.has_refresh(head) {
            return Err(RejectionKind::TokenMissing.into());
        }
        let id = self.cookies.session_id(head);
        let own = |token: &RefreshToken| {
            let id = id.as_ref();
            id.is_some_and(|id| id.expose() == token.session())
        };
        let mut tokens = self.cookies.all_refreshes(head).filter(own);
        let (Some(token), None) = (tokens.next(), tokens.next()) else {
            // None of this session, or several: in a browser that is ours there is one.
            self.limits.count_address(self.client_address(head)?)?;
            return Err(RejectionKind::TokenInactive.into());
        };
        // Another node may have exchanged it between the read and the write; what it is then is found out by a new read.
        for _ in 0..2 {
            let found = self.recognise(&token, head).await?;
            let Some((place, mut session, user)) = found else {
                return Err(RejectionKind::TokenInactive.into());
            };
            // A session that ended may be in the store still: whoever ended it told the gates first.
            self.revocations
                .judge_session(self.issuer_name.as_deref(), &session.id)?;
            let now = self.now();
            if self.is_over(&session) {
                return Err(RejectionKind::TokenExpired.into());
            }
            match place {
                Place::Present(next) => {
                    let hash = self.refresher.hash(&next);
                    let hash = hash.ok_or(RejectionKind::Misconfigured)?;
                    let present = session.refresh_hash;
                    session.expires_at = self.extended(&session, now);
                    let kept =
                        self.store
                            .refresh(&session.id, present, hash, now, session.expires_at);
                    if kept.await.map_err(unavailable)? {
                        return self.grant(user, &session, Some(&next));
                    }
                }
                Place::Previous(present) if is_repeat(&session, now) => {
                    return self.grant(user, &session, Some(&present));
                }
                Place::Previous(_) | Place::Earlier => {
                    tracing::warn!(
                        target: "tower_warden",
                        "a refresh token came a second time: its session ends, as somebody has a copy",
                    );
                    self.end(&user.id, &session.id).await?;
                    return Err(RejectionKind::Revoked.into());
                }
                // Recognised tokens have a place.
                Place::Nowhere => return Err(RejectionKind::TokenInactive.into()),
            }
        }
        Err(RejectionKind::TokenInactive.into())
    }

    /// Finds the session of a refresh token, and the token's place in it; `None` if it has none.
    ///
    /// A token that is neither in force nor the one before counts against the limit of the client's address. Only then is it
    /// compared with earlier ones, on a blocking thread and in the client's turn, as that costs thousands of hashes.
    pub(super) async fn recognise(
        &self,
        token: &RefreshToken,
        head: &Parts,
    ) -> Result<Option<(Place, SessionRecord, UserRecord)>, Rejection> {
        let id = token.session();
        let found = self.store.find_session(&id).await.map_err(unavailable)?;
        if let Some((session, user)) = &found {
            match self.refresher.place(token, session) {
                Some(Place::Nowhere) => {}
                Some(place) => return Ok(Some((place, session.clone(), user.clone()))),
                None => return Err(RejectionKind::Misconfigured.into()),
            }
        }
        let address = self.client_address(head)?;
        self.limits.count_address(address)?;
        let Some((session, user)) = found.filter(|(session, _)| session.refreshes > 1) else {
            return Ok(None);
        };
        let (refresher, token, record) =
            (Arc::clone(&self.refresher), token.clone(), session.clone());
        let earlier = self.hasher.run(address.map(Client::from), move || {
            refresher.was_earlier(&token, &record)
        });
        match earlier.await? {
            Some(true) => Ok(Some((Place::Earlier, session, user))),
            Some(false) => Ok(None),
            None => Err(RejectionKind::Misconfigured.into()),
        }
    }

    pub(super) fn is_over(&self, session: &SessionRecord) -> bool {
        session.expires_at <= self.now()
    }

    /// Until when a session lasts that is heard of now.
    fn extended(&self, session: &SessionRecord, now: NumericDate) -> NumericDate {
        let end = after(session.created_at, self.lifetimes.session);
        after(now, self.lifetimes.idle)
            .min(end)
            .max(session.expires_at.min(end))
    }
}

/// Whether the exchange was only just now.
fn is_repeat(session: &SessionRecord, now: NumericDate) -> bool {
    let exchanged = session.refreshed_at.map(NumericDate::as_secs);
    exchanged.is_some_and(|exchanged| now.as_secs().saturating_sub(exchanged) <= REPEATS)
}

pub(super) fn after(date: NumericDate, time: Duration) -> NumericDate {
    NumericDate::from_secs(date.as_secs().saturating_add(time.as_secs()))
}

/// The rejection of a session's token that lacks a claim, which our own tokens never do.
fn absent(claim: Claim) -> Rejection {
    Rejection::of_claim(RejectionKind::ClaimInvalid, claim, Found::Absent)
}

pub(super) fn unavailable(error: StoreError) -> Rejection {
    Rejection::new(RejectionKind::StoreUnavailable).with_source(error)
}

/// A random ID of a user, as version 4 of [RFC 9562 §5.4]; `None` without randomness.
///
/// [RFC 9562 §5.4]: https://www.rfc-editor.org/rfc/rfc9562#section-5.4
pub(super) fn user_id() -> Option<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
    Some(uuid.hyphenated().to_string())
}

/// What the client calls itself: for people to recognise their devices, and for nothing else.
fn user_agent(head: &Parts) -> String {
    let line = head.headers.get(header::USER_AGENT);
    let text = String::from_utf8_lossy(line.map_or(&[], HeaderValue::as_bytes));
    let text = text.chars().filter(|c| !c.is_control());
    text.take(LONGEST_AGENT).collect()
}

/// Whether a text can be the ID of a session.
pub(super) fn is_session_id(text: &str) -> bool {
    text.len() == 22 && URL_SAFE_NO_PAD.decode_to_vec(text).is_ok()
}
