//! The peers, each as its documentation mounts it, told the issuer and the audience where it can be.

pub(crate) mod axum_jose;
pub(crate) mod axum_jwt_auth;
pub(crate) mod axum_keycloak;
pub(crate) mod huskarl;
pub(crate) mod jwt_authorizer;
pub(crate) mod tower_oauth2;

use axum::{Router, body::Body, routing::get};

use crate::{
    case::{Case, PATH},
    harness::{Subject, service},
};

/// What is behind a layer, in axum 0.8.
fn routes() -> Router {
    Router::new().route(PATH, get(async || "ok"))
}

/// This router, once it has refused a forged token.
fn through(router: Router, case: &Case) -> Subject {
    let request = case.request(PATH, Some(&case.token));
    let forged = case.request(PATH, Some(&case.forged));
    service::<_, Body, _>(router, request, Some(forged))
}
