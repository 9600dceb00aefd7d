//! tower-oauth2-resource-server: a layer over one tenant, whose JWK Set is at hand.

use tower_oauth2_resource_server::{
    server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};

use super::{routes, through};
use crate::{
    case::{AUDIENCE, Case, Claims, ISSUER},
    harness::Subject,
};

pub(crate) async fn subject(case: &Case) -> Subject {
    let claims = ClaimsValidationSpec::new()
        .exp(true)
        .iss(ISSUER)
        .aud(&vec![AUDIENCE.to_owned()]);
    let tenant = TenantConfiguration::static_builder(&case.jwk_set)
        .claims_validation(claims)
        .allowed_algorithms(&[case.algorithm])
        .build();
    let server = OAuth2ResourceServer::<Claims>::builder()
        .add_tenant(tenant.unwrap())
        .build()
        .await;
    through(routes().layer(server.unwrap().into_layer()), case)
}
