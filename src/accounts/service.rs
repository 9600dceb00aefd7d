//! [`AccountService`]: by which requests browsers register, sign in and out, and look after their sessions.

use std::{
    convert::Infallible,
    error::Error,
    pin::pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower_service::Service;
use zeroize::Zeroizing;

use super::{
    Accounts, SessionRecord,
    handle::Shared,
    password::Password,
    sessions::{Asking, Granted},
};
use crate::{
    AnswerFuture, NumericDate, Rejection, RejectionKind,
    endpoint::{self, Answer},
    request::requested,
};

/// The most bytes of a request body that are read.
const BODY_LIMIT: usize = 16 * 1024;

/// Registers users, signs them in and out, and lets them look after their sessions, beneath `/auth`.
///
/// | request | answer |
/// | --- | --- |
/// | `POST /auth/register` `{"username":"alice","password":"…"}` | 200 `{"ok":true,"user":{"id":"…","username":"alice"}}` with cookies; 400 `invalid_username`, `invalid_password`; 409 `username_taken` |
/// | `POST /auth/login` `{"username":"alice","password":"…"}` | the same; 401 `invalid_credentials`, whatever is wrong |
/// | `POST /auth/logout` | 200 `{"ok":true}`: every session that the cookies name has ended on every node, and the cookies are cleared; repeated or made-up cookies change nothing about that |
/// | `GET /auth/user` | 200 `{"ok":true,"user":{…},"exp":1700000000}`, with a new cookie when half the token's life is over; 401 |
/// | `POST /auth/session/refresh` | 200 as `GET /auth/user`, with new cookies; 401, and the cookies are cleared |
/// | `POST /auth/password` `{"current_password":"…","new_password":"…"}` | 200 as a login: every other session has ended; 403 if the present one is wrong |
/// | `GET /auth/sessions` | 200 `{"sessions":[{"id":"…","created_at":…,"last_seen_at":…,"expires_at":…,"user_agent":"…","current":true}]}` |
/// | `DELETE /auth/sessions/{id}` | 204; 404 for whatever is no session of this user |
///
/// What is common to them: bodies are JSON objects of at most 16 KiB, sent as `application/json`, where an unknown or
/// repeated member is a 400. Who tries too often is answered 429 `rate_limited`, who comes when too many passwords wait to be
/// hashed 503 `overloaded`, both with `Retry-After`; a store that does not answer is a 503 `store_unavailable`. A page of
/// another origin is answered 403 `origin_foreign`. Nothing is to be cached.
///
/// An access token is renewed at `session/refresh`, since `POST /auth/refresh` is where open connections are
/// ([`RenewalService`](crate::RenewalService)).
#[derive(Debug, Clone)]
pub struct AccountService(Accounts);

impl AccountService {
    pub(super) const fn new(accounts: Accounts) -> Self {
        Self(accounts)
    }
}

impl<B> Service<Request<B>> for AccountService
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let accounts = self.0.clone();
        AnswerFuture::new(async move {
            let shared = &*accounts.0;
            match answer(shared, &head, body).await {
                Ok(answer) => answer,
                Err(rejection) => endpoint::refuse(&rejection, &shared.refusals, None),
            }
        })
    }
}

async fn answer<B>(shared: &Shared, head: &Parts, body: B) -> Result<Answer, Rejection>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let path = requested(&head.extensions, &head.uri).path();
    let Some(place) = path.strip_prefix(&*shared.base) else {
        return Err(RejectionKind::NotFound.into());
    };
    shared.origins.check(head)?;
    match (place, &head.method) {
        ("/register", &Method::POST) => {
            shared.limits.count_address(shared.client_address(head)?)?;
            let Named { username, password } = read(&head.headers, body).await?;
            let granted = shared.register(&username, password, head).await?;
            shared.cookies.warn_of_twins(head);
            signed_in(&granted)
        }
        ("/login", &Method::POST) => {
            shared.limits.count_address(shared.client_address(head)?)?;
            let Named { username, password } = read(&head.headers, body).await?;
            let granted = shared.log_in(&username, password, head).await?;
            shared.cookies.warn_of_twins(head);
            signed_in(&granted)
        }
        ("/logout", &Method::POST) => {
            shared.sign_out(head).await?;
            let mut answer = endpoint::json(StatusCode::OK, &json!({ "ok": true }));
            give(&mut answer, shared.cookies.clear()?);
            Ok(answer)
        }
        ("/user", &Method::GET | &Method::HEAD) => Ok(with_expiry(&shared.user(head).await?)),
        ("/session/refresh", &Method::POST) => refresh(shared, head).await,
        ("/password", &Method::POST) => {
            shared.limits.count_address(shared.client_address(head)?)?;
            let change: Change = read(&head.headers, body).await?;
            let granted =
                shared.change_password(change.current_password, change.new_password, head);
            signed_in(&granted.await?)
        }
        ("/sessions", &Method::GET | &Method::HEAD) => {
            let Asking { session, user, .. } = shared.asking(head).await?;
            let sessions = shared.sessions(&user.id).await?;
            let shown: Vec<_> = sessions.iter().map(|it| shown(it, &session)).collect();
            Ok(endpoint::json(
                StatusCode::OK,
                &json!({ "sessions": shown }),
            ))
        }
        (place, method) => match place.strip_prefix("/sessions/") {
            Some(id) if *method == Method::DELETE => end_session(shared, head, id).await,
            Some(_) => Ok(endpoint::not_allowed("DELETE")),
            None => match place {
                "/register" | "/login" | "/logout" | "/session/refresh" | "/password" => {
                    Ok(endpoint::not_allowed("POST"))
                }
                "/user" | "/sessions" => Ok(endpoint::not_allowed("GET, HEAD")),
                _ => Err(RejectionKind::NotFound.into()),
            },
        },
    }
}

/// Who wants in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    username: String,
    password: Password,
}

/// The present password and the next.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    current_password: Password,
    new_password: Password,
}

async fn refresh(shared: &Shared, head: &Parts) -> Result<Answer, Rejection> {
    let rejection = match shared.refresh(head).await {
        Ok(granted) => return Ok(with_expiry(&granted)),
        Err(rejection) => rejection,
    };
    // What leads nowhere any more is taken back.
    let over = matches!(
        rejection.kind(),
        RejectionKind::TokenInactive | RejectionKind::TokenExpired | RejectionKind::Revoked
    );
    if !over {
        return Err(rejection);
    }
    let mut answer = endpoint::refuse(&rejection, &shared.refusals, None);
    give(&mut answer, shared.cookies.clear()?);
    Ok(answer)
}

async fn end_session(shared: &Shared, head: &Parts, id: &str) -> Result<Answer, Rejection> {
    let Asking { session, user, .. } = shared.asking(head).await?;
    shared.end_own(&user.id, id).await?;
    let mut answer = endpoint::empty(StatusCode::NO_CONTENT);
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    if session.id == id {
        give(&mut answer, shared.cookies.clear()?);
    }
    Ok(answer)
}

/// What a user sees of a session.
fn shown(session: &SessionRecord, current: &SessionRecord) -> Value {
    json!({
        "id": session.id,
        "created_at": session.created_at.as_secs(),
        "last_seen_at": session.seen_at.as_secs(),
        "expires_at": session.expires_at.as_secs(),
        "user_agent": session.user_agent,
        "current": session.id == current.id,
    })
}

fn signed_in(granted: &Granted) -> Result<Answer, Rejection> {
    Ok(granted_answer(granted, None))
}

fn with_expiry(granted: &Granted) -> Answer {
    granted_answer(granted, Some(granted.expires_at))
}

fn granted_answer(granted: &Granted, expires_at: Option<NumericDate>) -> Answer {
    let user = json!({ "id": granted.user.id, "username": granted.user.username });
    let mut body = json!({ "ok": true, "user": user });
    if let (Some(members), Some(expires_at)) = (body.as_object_mut(), expires_at) {
        members.insert("exp".into(), expires_at.as_secs().into());
    }
    let mut answer = endpoint::json(StatusCode::OK, &body);
    give(&mut answer, granted.cookies.iter().cloned());
    answer
}

fn give(answer: &mut Answer, cookies: impl IntoIterator<Item = HeaderValue>) {
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// Reads a body that is one JSON object, into memory that is wiped afterwards.
async fn read<T, B>(headers: &HeaderMap, body: B) -> Result<T, Rejection>
where
    T: DeserializeOwned,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    // A page cannot make a browser send this type elsewhere unasked.
    if !endpoint::is_json(headers) {
        return Err(Rejection::new(RejectionKind::RequestMalformed)
            .with_detail("the body is a JSON object, sent as application/json"));
    }
    let malformed = || {
        Rejection::new(RejectionKind::RequestMalformed)
            .with_detail("the body is no JSON object of these members and no others")
    };
    // Of its final size at once: a buffer that had to grow would leave a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(BODY_LIMIT));
    let mut body = pin!(Limited::new(body, BODY_LIMIT));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed())?;
        if let Ok(mut data) = frame.into_data() {
            while data.has_remaining() {
                let chunk = data.chunk();
                let length = chunk.len();
                text.extend_from_slice(chunk);
                data.advance(length);
            }
        }
    }
    // An array would be read as the members in their order.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed());
    }
    serde_json::from_slice(&text).map_err(|_| malformed())
}
