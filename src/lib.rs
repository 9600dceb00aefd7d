//! tower-warden
#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;

mod request;

mod verify;

mod keys;

mod authorize;

mod refuse;

#[cfg(feature = "axum")]
mod axum;
mod clock;
mod error;
mod principal;
mod telemetry;

pub use authorize::{RequireScope, RequireScopeFuture, RequireScopeLayer, Verdict};
#[cfg(feature = "axum")]
pub use axum::Claims;
pub use clock::{Clock, NumericDate, SystemClock};
pub use error::ConfigError;
pub use jsonwebtoken::Algorithm;
pub use keys::{Key, Keys};
pub use layer::{
    Auth, AuthLayer, AuthLayerBuilder, Bearer, CookieAuth, CookieAuthLayer, Face, JwtAuth,
    JwtAuthLayer, ResponseFuture, SessionCookie,
};
pub use principal::{Credentials, Principal};
pub use refuse::{Challenge, Refusals, Rejection, RejectionKind, Responder, ResponseBody};
pub use request::{
    Access, AuthorizationHeader, BearerToken, CompiledPaths, ConflictPolicy, CookieToken,
    Explanation, MalformedCredentials, MissingOrigin, PathDecision, Paths, Preflight,
    QueryParameter, Rule, StrippedHeaders, TokenSource,
};
pub use telemetry::{
    RedactUri, RedactUriService, RedactedUri, RestoreUriFuture, RestoreUriService, redacted_uri,
};
pub use verify::{
    Actor, ClaimPath, CryptoBackend, TokenType, VerifiedToken, Verifier, VerifierBuilder,
};

/// The README, whose blocks are compiled as tests.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct Readme;
