//! axum-jwt-auth: an extractor, with the one key at hand.

use std::sync::Arc;

use axum::{Router, extract::FromRef, routing::get};
use axum_jwt_auth::{Decoder, LocalDecoder};
use jsonwebtoken_10::{Algorithm, DecodingKey, Validation, jwk::JwkSet};

use super::through;
use crate::{
    case::{AUDIENCE, Case, Claims, ISSUER, PATH},
    harness::Subject,
};

#[derive(Clone, FromRef)]
struct State {
    decoder: Decoder<Claims>,
}

pub(crate) fn subject(case: &Case) -> Subject {
    let set: JwkSet = serde_json::from_str(&case.jwk_set).unwrap();
    let algorithm: Algorithm = case.realm().parse().unwrap();
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let decoder = LocalDecoder::builder()
        .keys(vec![DecodingKey::from_jwk(&set.keys[0]).unwrap()])
        .validation(validation)
        .build();
    let handler = async |_: axum_jwt_auth::Claims<Claims>| "ok";
    let router = Router::new().route(PATH, get(handler)).with_state(State {
        decoder: Arc::new(decoder.unwrap()),
    });
    through(router, case)
}
