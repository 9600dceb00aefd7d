//! jwt-authorizer: a layer with the one key at hand, in axum 0.7.

use axum_07::{Router, body::Body, routing::get};
use jwt_authorizer::{IntoLayer, JwtAuthorizer, Validation};
use tower_warden::Algorithm;

use crate::{
    case::{AUDIENCE, Case, Claims, ISSUER, PATH},
    harness::{Subject, service},
    tokens::{SECRET, public_pem},
};

/// A router of axum 0.7 without authentication.
pub(crate) fn router(case: &Case) -> Subject {
    let request = case.request(PATH, Some(&case.token));
    service::<_, Body, _>(routes(), request, None)
}

pub(crate) async fn subject(case: &Case) -> Subject {
    let pem = public_pem(case.algorithm);
    let builder = match case.algorithm {
        Algorithm::RS256 => JwtAuthorizer::<Claims>::from_rsa_pem_text(pem),
        Algorithm::ES256 => JwtAuthorizer::from_ec_pem_text(pem),
        Algorithm::EdDSA => JwtAuthorizer::from_ed_pem_text(pem),
        _ => JwtAuthorizer::from_secret(str::from_utf8(&SECRET).unwrap()),
    };
    let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    let authorizer = builder.validation(validation).build().await.unwrap();
    let router = routes().layer(authorizer.into_layer());
    let request = case.request(PATH, Some(&case.token));
    let forged = case.request(PATH, Some(&case.forged));
    service::<_, Body, _>(router, request, Some(forged))
}

fn routes() -> Router {
    Router::new().route(PATH, get(|| async { "ok" }))
}
