//! Auth layers for [`tower`](https://docs.rs/tower) services that host AI agents.
//!
//! A warden stands at the gate of a tower: it decides who may enter, over HTTP, SSE and WebSocket alike. Two layers wrap
//! any `Service<http::Request<B>>`: [`JwtAuthLayer`] for bearer tokens, [`CookieAuthLayer`] for browser sessions.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{JwtAuthLayer, Paths, Principal, SigningKey, TokenIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = "0123456789abcdef0123456789abcdef";
//! let auth = JwtAuthLayer::hs256(secret)?
//!     .with_paths(Paths::all().exempt("/auth/*").exempt("/health"))
//!     .build()?;
//! let service = auth.layer(service_fn(async |request: Request<String>| {
//!     let principal = request.extensions().get::<Principal>();
//!     let greeting = format!("hello {}", principal.map_or("nobody", Principal::subject));
//!     Ok::<_, std::convert::Infallible>(Response::new(greeting))
//! }));
//!
//! let refused = Request::post("/chat").body(String::new())?;
//! assert_eq!(service.clone().oneshot(refused).await?.status(), 401);
//!
//! let token = TokenIssuer::builder(SigningKey::hs256(secret)?).build()?.mint("alice").sign()?;
//! let accepted = Request::post("/chat")
//!     .header("authorization", format!("Bearer {}", token.expose()))
//!     .body(String::new())?;
//! assert_eq!(service.oneshot(accepted).await?.into_body(), "hello alice");
//! # Ok(())
//! # }
//! ```
//!
//! # The house
//!
//! A request walks through the rooms in this order; each is a folder of `src`.
//!
//! ```text
//! request ─► layer ─► request/path ─► request/source ─► verify ◄─ keys ─► authorize ─► Principal ─► inner service
//!              │            │               └──────────────┴── refuse ───────┴─► response 400 401 403 500 503
//!              │            └─ exempt ──────────────────────────────────────────────────► inner service
//!              └─ connection: the lease watches the accepted request until it ends
//! ```
//!
//! | room | what it is for |
//! | --- | --- |
//! | `layer` | what an application mounts, the one decision, the one state machine |
//! | `request` | what a request shows: [`Paths`], [`TokenSource`], [`BearerToken`], its origin |
//! | `verify` | [`BearerToken`] → [`VerifiedToken`]: form, key, signature, claims |
//! | `keys` | where keys come from, and what each must prove at load |
//! | `authorize` | may they? scopes, the application's own conditions, and [whose it is](OwnershipLayer) |
//! | `connection` | after yes: [`Lease`], renewal, [`Revocations`], streams, sockets, [`TicketOffice`] |
//! | `refuse` | [`RejectionKind`] → status, challenge, body |
//! | `issue` | [`TokenIssuer`]: mint, rotate, publish; [`TokenCookie`] |
//! | `api_key` | [`ApiKeys`]: credentials for programs, kept as keyed hashes |
//! | `link` | how a node keeps up with a store that others share, and what it does [when it cannot](CutOffPolicy) |
//! | [`accounts`] | registration, login, sessions: for a service that is its own identity provider (feature `accounts`) |
//! | `store` | the engines behind [`OwnerStore`], [`ApiKeyStore`], [`TicketStore`], [`RevocationStore`] and `AccountStore` |
//! | `userinfo` | what a provider says about the user behind a token |
//! | `telemetry` | one event for each refusal, [`RedactUri`] |
//!
//! # Invariants
//!
//! 1. **Imports follow the flow.** No room knows its caller.
//! 2. **Decisions are pure.** Only `keys` touches a disk, only `store` a database, only `accounts` other threads; time arrives through [`Clock`].
//! 3. **Doubt is a refusal.** Two tokens, a path that can be read in two ways, an unknown `crit`: refused, with the
//!    right status, and the inner service is not called.
//! 4. **Each stage has its own type.** [`BearerToken`] → [`VerifiedToken`] → [`Principal`]; nothing later accepts
//!    something earlier.
//! 5. **The verified path is synchronous.** With the key at hand the token is verified in place: no boxed future, no
//!    clone of the inner service, no lock.
//! 6. **Identity lives in typed extensions only.** No header of the client names anybody.
//!
//! # Defaults and why
//!
//! | setting | default | why |
//! | --- | --- | --- |
//! | paths | all are guarded | a route that was forgotten is shut, not open |
//! | sources | header; query and subprotocol on upgrades only | URLs end in logs and histories; a WebSocket of a browser has no other way |
//! | two tokens | refused | whichever is chosen, somebody else may have sent the other ([RFC 6750 §2]) |
//! | `exp`, `sub` | required | a token that never ends cannot be lost safely; nobody owns nothing |
//! | `aud` | refused if it is there and nobody named one | it was meant for somebody else ([RFC 7519 §4.1.3]) |
//! | issuer, audience | required once named | an expectation that absence fulfils is none |
//! | leeway | 30 s | clocks differ by seconds; 5 min at most |
//! | token size | 8 KiB | more than header limits leave room for, little enough to read for nothing |
//! | verified tokens | remembered, in 16 MiB per verifier | a page asks many times with one token; time, revocation and conditions are asked anew ([`CacheConfig`]) |
//! | ticket | 30 s, once | it is drawn right before the handshake, and ends in logs spent |
//! | secrets | as long as the hash, at least | [RFC 7518 §3.2] |
//! | fetches for unknown keys | one in vain per 30 s | anybody can make up a key ID, but only the provider can publish one: a fetch that brings a new key does not count |
//! | origin of cookie requests | the service's own | a browser attaches cookies for every page ([RFC 6455 §10.2]) |
//! | upgrade by cookie without `Origin` | refused | every browser sends one |
//! | a node cut off from its store | 503, and open connections end after 30 s | nobody is let in by what may no longer be true; [`CutOffPolicy`] says otherwise |
//! | resources that first use claims for one subject | 10 000 | a program cannot fill the store with rooms; [`OwnershipLayer::with_claim_limit`] |
//! | what nobody owns | refused | whoever comes first is not always whose it is; [`OwnershipLayer::claim_on_first_use`] says that they are |
//! | role for a WebSocket | writer | its handshake is a `GET`, and what follows writes |
//! | a transfer | ends all grants | a chat does not come with the old owner's guests |
//! | scopes of a new API key | none | a key is for one purpose, and its maker knows which |
//! | life of a new API key | 90 days | a lost key ends by itself; [`NewApiKey::without_expiry`] is for the application only |
//! | uses of a ticket | one | the URL that holds it may be logged; [`TicketOfficeBuilder::with_client_parameter`] allows one repeat |
//! | renewals where [`require`](AuthLayerBuilder::require) asks | refused | a renewal has no request; [`AuthLayerBuilder::require_renewal`] says what to ask |
//! | preflight | guarded | the CORS layer outside answers it |
//! | refusals | `application/problem+json`, `no-store` | [RFC 9457]; a refusal is nobody's to keep |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `aws-lc-rs` | yes | signatures by aws-lc-rs, each key prepared once |
//! | `rust-crypto` | no | signatures in pure Rust; with both on, aws-lc-rs is used unless [`CryptoBackend`] says else |
//! | `jwks` | yes | keys that a provider publishes and changes: [`JwtAuthLayer::discover`] and its kin |
//! | `introspection` | no | opaque tokens, looked up at their provider; what the provider says about a user |
//! | `axum` | no | extractors for [`Principal`], `Claims` and [`Credentials`], axum's body, matching on the URI and `OriginalUri` |
//! | `sqlite` | no | [`SqliteStore`]: every store in one file, for the processes of one machine |
//! | `postgres` | no | [`PostgresStore`]: every store in PostgreSQL, for many nodes |
//! | `ws` | no | refusals of handshakes by close frame, guarded WebSockets |
//! | `redis` | no | `RedisStore`: owners, API keys, tickets and revocations for many nodes |
//! | `accounts` | no | [`accounts`]: passwords, sessions and their cookies; limits; axum's routes for it |
//! | `testing` | no | a clock, tokens and a layer for the tests of applications |
//! | `full` | no | all of it |
//!
//! [RFC 6455 §10.2]: https://www.rfc-editor.org/rfc/rfc6455#section-10.2
//! [RFC 6750 §2]: https://www.rfc-editor.org/rfc/rfc6750#section-2
//! [RFC 7518 §3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
//! [RFC 7519 §4.1.3]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
#![cfg_attr(docsrs, feature(doc_cfg))]

mod http_util;

mod layer;

mod request;

mod verify;

mod keys;

mod authorize;

mod connection;

mod refuse;

mod issue;

mod api_key;

mod store;

#[cfg(feature = "accounts")]
#[cfg_attr(docsrs, doc(cfg(feature = "accounts")))]
pub mod accounts;

#[cfg(feature = "axum")]
mod axum;
mod clock;
mod endpoint;
mod error;
mod link;
mod page;
mod principal;
mod telemetry;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(feature = "introspection")]
mod userinfo;
mod watch;

pub use api_key::{
    ApiKeyError, ApiKeyHeader, ApiKeyRecord, ApiKeyService, ApiKeyStore, ApiKeys, ApiKeysBuilder,
    CreatedApiKey, Inserted, KeyHash, NewApiKey,
};
pub use authorize::{
    Claim, InvalidId, Owned, OwnerAccess, OwnerStore, Owners, OwnersBuilder, Ownership,
    OwnershipChange, OwnershipFeed, OwnershipFuture, OwnershipLayer, RequireScope,
    RequireScopeFuture, RequireScopeLayer, ResourceBinding, ResourceId, ResourceKey, Role,
    SharedOwnerStore, Standing, SubjectId, Verdict,
};
#[cfg(feature = "axum")]
pub use axum::Claims;
pub use clock::{Clock, NumericDate, SystemClock};
pub use connection::{
    ConnectionId, Ended, Lease, LeaseEnd, LeasedBody, MalformedConnectionId, MemoryRevocationFeed,
    MemoryRevocationStore, MemoryTickets, RenewalMessages, RenewalService, Revocation,
    RevocationError, RevocationFeed, RevocationStore, RevocationTarget, Revocations,
    RevocationsBuilder, StreamBody, StreamBound, StreamEnded, StreamLease, StreamLeaseFuture,
    StreamLeaseLayer, StreamPolicy, Ticket, TicketHash, TicketOffice, TicketOfficeBuilder,
    TicketRecord, TicketService, TicketStore,
};
#[cfg(feature = "ws")]
#[cfg_attr(docsrs, doc(cfg(feature = "ws")))]
pub use connection::{GuardedSocket, MessageSocket, WebSocketPolicy};
pub use endpoint::AnswerFuture;
pub use error::{ConfigError, StoreError, StoreFuture};
pub use issue::{
    IssueError, JwkSetService, Mint, SigningKey, TokenCookie, TokenIssuer, TokenIssuerBuilder,
};
pub use jsonwebtoken::Algorithm;
#[cfg(feature = "jwks")]
pub use keys::{HttpJwksSource, KeyFetchError, RemoteKeys};
pub use keys::{Key, Keys, KeysFromEnv};
pub use layer::{
    ApiKeyAuth, ApiKeyFace, ApiKeyLayer, Auth, AuthLayer, AuthLayerBuilder, Bearer, CookieAuth,
    CookieAuthLayer, Face, JwtAuth, JwtAuthLayer, ResponseFuture, SessionCookie,
};
pub use link::{CutOff, CutOffPolicy};
pub use page::{Cursor, InvalidCursor, Listing, Page};
pub use principal::{Credentials, Principal};
pub use refuse::{
    Challenge, Refusals, Rejection, RejectionKind, ResourceMetadata, ResourceMetadataBuilder,
    ResourceMetadataService, Responder, ResponseBody,
};
#[cfg(feature = "ws")]
#[cfg_attr(docsrs, doc(cfg(feature = "ws")))]
pub use refuse::{CloseMap, Closing, WebSocketRefusal};
pub use request::{
    Access, AuthorizationHeader, BearerToken, Carrier, CompiledPaths, ConflictPolicy, CookieToken,
    Explanation, Glance, HeadRef, MalformedCredentials, MissingOrigin, PathDecision, Paths,
    Preflight, QueryParameter, Rule, StrippedHeaders, SubprotocolToken, TokenSource,
};
#[cfg(feature = "accounts")]
#[cfg_attr(docsrs, doc(cfg(feature = "accounts")))]
pub use store::MemoryAccountStore;
pub use store::{MemoryApiKeyStore, MemoryOwnerStore, MemoryOwnershipFeed};
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use store::{PostgresFeed, PostgresStore};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use store::{RedisOptions, RedisOwnershipFeed, RedisRevocationFeed, RedisStore};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "postgres", feature = "sqlite"))))]
pub use store::{SqlOptions, SqlStore};
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use store::{SqliteFeed, SqliteStore};
pub use telemetry::{
    RedactUri, RedactUriService, RedactedUri, RestoreUriFuture, RestoreUriService, redacted_uri,
};
#[cfg(feature = "introspection")]
pub use userinfo::{UserInfo, UserInfoBuilder, UserInfoError, UserProfile};
#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
pub use verify::Introspection;
pub use verify::{
    Actor, CacheConfig, ClaimPath, CredentialKind, CryptoBackend, KeyWait, TokenType, Verification,
    VerifiedToken, Verifier, VerifierBuilder,
};
pub use watch::Watch;

/// The README, whose blocks are compiled as tests.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct Readme;
