//! axum-keycloak-auth: a layer over the keys of a realm, which it discovers. It never looks at the issuer.

use std::time::Duration;

use axum_keycloak_auth::{
    PassthroughMode,
    instance::{KeycloakAuthInstance, KeycloakConfig},
    layer::KeycloakAuthLayer,
};
use tower_warden::Algorithm;

use super::{routes, through};
use crate::{
    case::{AUDIENCE, Case},
    harness::Subject,
    provider::Provider,
};

pub(crate) async fn subject(case: &Case, provider: &Provider) -> Result<Subject, &'static str> {
    if case.algorithm == Algorithm::HS256 {
        return Err("its keys are those that a provider publishes, which no secret is among");
    }
    let config = KeycloakConfig::builder()
        .server(provider.url().parse().unwrap())
        .realm(case.realm())
        .build();
    let instance = KeycloakAuthInstance::new(config);
    while !instance.is_operational().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let layer = KeycloakAuthLayer::<String, Scope>::builder()
        .instance(instance)
        .passthrough_mode(PassthroughMode::Block)
        .expected_audiences(vec![AUDIENCE.to_owned()])
        .build();
    Ok(through(routes().layer(layer), case))
}

/// What is read beyond the claims that it always reads.
#[derive(Clone, serde::Deserialize)]
#[allow(dead_code)]
struct Scope {
    scope: String,
}
