//! What an application mounts: [`JwtAuthLayer`] for bearer tokens, [`CookieAuthLayer`] for browser sessions,
//! [`ApiKeyLayer`] for programs.
//!
//! They are faces of one [`AuthLayer`] over one gate, and differ in their default sources only:
//!
//! 1. [`jwt`], [`cookie`], [`api_key`]: the faces.
//! 2. [`builder`], [`places`], [`verification`]: every setting of theirs; [`build`]: the checks, and the gate they make.
//! 3. [`gate`]: the one decision, over the request head; [`identify`]: who is asking, as far as a look at it tells.
//! 4. [`service`]: the middleware, which asks the gate and calls the inner service.
//! 5. [`future`]: the one state machine behind every response, [`passage`]: what caches are told;
//!    [`https`]: what plain http is answered.

mod api_key;
mod build;
mod builder;
mod cookie;
mod from_env;
mod future;
mod gate;
mod https;
mod identify;
mod jwt;
mod passage;
mod places;
mod service;
mod verification;

pub use api_key::{ApiKeyAuth, ApiKeyFace, ApiKeyLayer};
pub use builder::AuthLayerBuilder;
pub use cookie::{CookieAuth, CookieAuthLayer, SessionCookie};
pub use future::ResponseFuture;
pub use jwt::{Bearer, JwtAuth, JwtAuthLayer};
pub use service::{Auth, AuthLayer};

use std::sync::Arc;

use crate::{ConfigError, TokenSource};

/// What makes a [`JwtAuthLayer`] of an [`AuthLayer`], or a [`CookieAuthLayer`]: where it looks for tokens by default.
pub trait Face {
    /// The sources of a layer that was told of none.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a source cannot be made; [`build`](AuthLayerBuilder::build) passes it on.
    fn default_sources() -> Result<Vec<Arc<dyn TokenSource>>, ConfigError>;
}
