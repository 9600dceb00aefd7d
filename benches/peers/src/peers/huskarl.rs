//! huskarl-resource-server: a validator of RFC 9068 without a layer of its own. This one is as small as it can be.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use http::Request;
use huskarl_crypto_native::symmetric::SymmetricKey;
use huskarl_reqwest::ReqwestClient;
use huskarl_resource_server::{
    core::{
        EndpointUrl, Error,
        crypto::verifier::{JwsVerifier, JwsVerifierPlatform},
        jwk::{OctKey, SymmetricJwk},
        platform::MaybeSendBoxFuture,
    },
    validator::rfc9068::Rfc9068Validator,
};
use tower::{Service, layer::layer_fn};
use tower_warden::Algorithm;

use super::{routes, through};
use crate::{
    case::{AUDIENCE, Case, ISSUER, KEY_ID},
    harness::Subject,
    provider::Provider,
    tokens::SECRET,
};

pub(crate) async fn subject(case: &Case, provider: &Provider) -> Subject {
    let builder = Rfc9068Validator::<()>::builder()
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .jwks_uri(provider.keys(case).parse().unwrap());
    let validator = match case.algorithm {
        Algorithm::HS256 => builder.jws_verifier_factory(secret).build().await,
        _ => {
            let client = ReqwestClient::builder().build().await.unwrap();
            builder.jwks_source(client).build().await
        }
    };
    let validator = Arc::new(validator.unwrap());
    let layer = layer_fn(move |inner| Guard {
        validator: Arc::clone(&validator),
        inner,
    });
    through(routes().layer(layer), case)
}

/// The secret, in the place of keys that are fetched.
fn secret(
    _: Option<&EndpointUrl>,
    _: Arc<dyn JwsVerifierPlatform>,
) -> MaybeSendBoxFuture<'static, Result<Arc<dyn JwsVerifier>, Error>> {
    Box::pin(async {
        let jwk = SymmetricJwk::builder()
            .key(OctKey::builder().k(SECRET).build())
            .algorithm("HS256")
            .kid(KEY_ID)
            .build();
        Ok(Arc::new(SymmetricKey::from_jwk(jwk)?) as Arc<dyn JwsVerifier>)
    })
}

#[derive(Clone)]
struct Guard<S> {
    validator: Arc<Rfc9068Validator>,
    inner: S,
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let validator = Arc::clone(&self.validator);
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (headers, method, uri) = (request.headers(), request.method(), request.uri());
            let result = validator.validate_request(headers, method, uri, None).await;
            match result.outcome {
                Ok(Some(validated)) => {
                    request.extensions_mut().insert(Arc::new(validated));
                    inner.call(request).await
                }
                _ => {
                    let rejection = result.rejection(&validator.validator_metadata(None), None);
                    let response = rejection.unwrap().apply(http::Response::builder());
                    Ok(response.body(Body::empty()).unwrap())
                }
            }
        })
    }
}
