//! axum-jose: a layer over a JWK Set, here a local one.

use axum_jose::AuthorizationLayer;

use super::{routes, through};
use crate::{
    case::{AUDIENCE, Case, ISSUER},
    harness::Subject,
};

pub(crate) fn subject(case: &Case) -> Subject {
    let layer = AuthorizationLayer::with_local_jwk_set(
        serde_json::from_str(&case.jwk_set).unwrap(),
        ISSUER.parse().unwrap(),
        AUDIENCE.to_owned(),
    );
    through(routes().layer(layer), case)
}
