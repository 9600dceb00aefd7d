//! [`ApiKeyService`]: principals make, list and revoke their own keys.

use std::{
    convert::Infallible,
    error::Error,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_service::Service;

use super::{ApiKeyError, ApiKeyRecord, ApiKeys, NewApiKey};
use crate::{
    AnswerFuture, CredentialKind, NumericDate, Page, Principal, Rejection, RejectionKind,
    StoreError, SubjectId,
    endpoint::{self, Answer},
};

/// The most bytes of a request body that are read.
const BODY_LIMIT: usize = 16 * 1024;

/// Lets principals make, list and revoke their own API keys. It stands inside an auth layer, at `/keys` and `/keys/{id}`.
///
/// | request | answer |
/// | --- | --- |
/// | `POST /keys` `{"label":"laptop","scopes":["chat:read"],"expires_in":7776000}` | 201 with the key in `key`, this once |
/// | `GET /keys?limit=50&cursor=…` | 200 `{"keys":[…],"next":"…"}`, never a key itself |
/// | `DELETE /keys/{id}` | 204; 404 for whatever is no key of this principal |
///
/// Each member of the body may be left out: a key without scopes allows nothing that needs one, a key without
/// `expires_in` (seconds) lives for the [default](super::ApiKeysBuilder::with_default_lifetime), 90 days. A request cannot
/// ask for a key without end. `expires_at` in the answer is in seconds since the Unix epoch. The body is a JSON object of at most 16 KiB, sent as `application/json`; an unknown
/// member or a cursor that is none is a 400, another method a 405, a store that does not answer a 503.
///
/// A key is never wider than who makes it: scopes that the principal lacks are a 403 `insufficient_scope`. It is made and
/// revoked by the owner's own token or session only. The service answers 403 `forbidden` to a principal that used an API
/// key, a ticket or a connection token, that has an [actor](Principal::actor), or whose token a
/// [`ResourceBinding`](crate::ResourceBinding) of the layer ties to a resource. A stolen key makes no second one.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt};
/// use tower_warden::{ApiKeys, JwtAuthLayer, MemoryApiKeyStore, SigningKey, TokenIssuer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "0123456789abcdef0123456789abcdef";
/// let keys = ApiKeys::new(MemoryApiKeyStore::new(), "a pepper of at least thirty-two bytes")?;
/// let service = JwtAuthLayer::hs256(secret)?.build()?.layer(keys.service());
///
/// let token = TokenIssuer::builder(SigningKey::hs256(secret)?).build()?.mint("alice").sign()?;
/// for (body, status) in [(r#"{"label":"laptop"}"#, 201), (r#"{"scopes":["admin"]}"#, 403)] {
///     let request = Request::post("/keys")
///         .header("authorization", format!("Bearer {}", token.expose()))
///         .header("content-type", "application/json")
///         .body(Full::<bytes::Bytes>::from(body))?;
///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeyService(ApiKeys);

impl ApiKeyService {
    pub(super) fn new(keys: ApiKeys) -> Self {
        Self(keys)
    }
}

impl<B> Service<Request<B>> for ApiKeyService
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
        let keys = self.0.clone();
        AnswerFuture::new(async move {
            let outcome = answer(&keys, &head, body).await;
            endpoint::settle(outcome, &head, "ApiKeyService")
        })
    }
}

async fn answer<B>(keys: &ApiKeys, head: &Parts, body: B) -> Result<Answer, Rejection>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
{
    let principal = endpoint::principal(head)?;
    let owner = SubjectId::of(principal)
        .map_err(|invalid| Rejection::new(RejectionKind::Forbidden).with_source(invalid))?;
    match head.method {
        Method::GET => list(keys, &owner, head.uri.query().unwrap_or_default()).await,
        Method::POST => {
            check_in_person(principal)?;
            create(keys, principal, owner, &head.headers, body).await
        }
        Method::DELETE => {
            check_in_person(principal)?;
            let id = head.uri.path().rsplit('/').next().unwrap_or_default();
            match keys.revoke(&owner, id).await.map_err(unavailable)? {
                true => Ok(endpoint::empty(StatusCode::NO_CONTENT)),
                false => Err(RejectionKind::NotFound.into()),
            }
        }
        _ => Ok(endpoint::not_allowed("GET, POST, DELETE")),
    }
}

/// A key outlives what it was made with, so that has to be the owner's own.
fn check_in_person(principal: &Principal) -> Result<(), Rejection> {
    let own = matches!(
        principal.credential_kind(),
        CredentialKind::Token | CredentialKind::Session
    );
    if !own || principal.actor().is_some() || principal.is_bound() {
        return Err(RejectionKind::Forbidden.into());
    }
    Ok(())
}

/// What is wanted of a new key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    label: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

async fn create<B>(
    keys: &ApiKeys,
    principal: &Principal,
    owner: SubjectId,
    headers: &HeaderMap,
    body: B,
) -> Result<Answer, Rejection>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
{
    let malformed = RejectionKind::RequestMalformed;
    if !endpoint::is_json(headers) {
        return Err(malformed.into());
    }
    let wanted: Wanted = endpoint::read(body, BODY_LIMIT).await?;
    let lacking = wanted
        .scopes
        .iter()
        .find(|scope| !principal.has_scope(scope));
    if lacking.is_some() {
        let scopes = NewApiKey::new(owner).with_scopes(wanted.scopes);
        scopes.check().map_err(|_| malformed)?;
        return Err(Rejection::insufficient_scope(scopes.scopes.join(" ")));
    }
    let mut new = NewApiKey::new(owner)
        .with_label(wanted.label)
        .with_scopes(wanted.scopes);
    if let Some(seconds) = wanted.expires_in {
        new = new.with_lifetime(Duration::from_secs(seconds));
    }
    let created = keys.create(new).await.map_err(refusal)?;
    let mut shown = shown(created.record());
    if let Some(members) = shown.as_object_mut() {
        members.insert("key".into(), created.key().expose().into());
    }
    Ok(endpoint::json(StatusCode::CREATED, &shown))
}

async fn list(keys: &ApiKeys, owner: &SubjectId, query: &str) -> Result<Answer, Rejection> {
    let page = page(query).ok_or(RejectionKind::RequestMalformed)?;
    let listing = keys.list(owner, &page).await.map_err(unavailable)?;
    let body = json!({
        "keys": listing.items.iter().map(shown).collect::<Vec<_>>(),
        "next": listing.next.map(|cursor| cursor.to_string()),
    });
    Ok(endpoint::json(StatusCode::OK, &body))
}

/// The page that a query asks for, or `None` if it cannot be read.
fn page(query: &str) -> Option<Page> {
    let (mut cursor, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let twice = match name {
            "cursor" => cursor.replace(value.parse().ok()?).is_some(),
            "limit" => limit.replace(value.parse::<u16>().ok()?).is_some(),
            _ => false,
        };
        if twice {
            return None;
        }
    }
    let page = cursor.map_or_else(Page::first, Page::after);
    Some(match limit {
        Some(limit) => page.with_limit(limit),
        None => page,
    })
}

/// What an owner sees of a key.
fn shown(record: &ApiKeyRecord) -> Value {
    json!({
        "id": record.id,
        "label": record.label,
        "scopes": record.scopes,
        "created_at": record.created_at.as_secs(),
        "expires_at": record.expires_at.map(NumericDate::as_secs),
        "last_used_at": record.last_used_at.map(NumericDate::as_secs),
    })
}

fn unavailable(error: StoreError) -> Rejection {
    Rejection::new(RejectionKind::StoreUnavailable).with_source(error)
}

fn refusal(error: ApiKeyError) -> Rejection {
    let kind = match error {
        ApiKeyError::Label | ApiKeyError::Scopes | ApiKeyError::Lifetime => {
            RejectionKind::RequestMalformed
        }
        ApiKeyError::TooMany => RejectionKind::Forbidden,
        ApiKeyError::Randomness | ApiKeyError::Store(_) => RejectionKind::StoreUnavailable,
    };
    Rejection::new(kind).with_source(error)
}
