//! Caches: what belongs to one user stays out of those that several share.

use std::{convert::Infallible, future::ready};

use http::{HeaderName, Method, Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    ApiKeyHeader, ApiKeys, BearerToken, CookieToken, HeadRef, JwtAuthLayer, Keys,
    MalformedCredentials, MemoryApiKeyStore, NewApiKey, Paths, QueryParameter, Rule, SubjectId,
    TokenSource, Verifier,
};

use crate::support::{SECRET, token};

/// A token in a header of the application's own.
#[derive(Debug)]
struct DeviceToken;

impl TokenSource for DeviceToken {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let value = head.headers.get("x-device-token");
        let text = value.map(|value| value.to_str().unwrap());
        Ok(text.map(BearerToken::new))
    }

    fn header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("x-device-token"))
    }

    fn name(&self) -> &'static str {
        "device"
    }
}

/// `Vary` and `Cache-Control` of the answer to a request with this header, where the handler says so much.
async fn answer(
    layer: &JwtAuthLayer,
    header: Option<(&str, &str)>,
    said: Option<&'static str>,
) -> (Vec<String>, Vec<String>) {
    let inner = service_fn(move |_: Request<String>| {
        let mut response = Response::builder();
        if let Some(said) = said {
            response = response.header("cache-control", said);
        }
        ready(Ok::<_, Infallible>(response.body(String::new()).unwrap()))
    });
    let mut request = Request::builder().method(Method::GET).uri("/chat");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let request = request.body(String::new()).unwrap();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{header:?}");
    let lines = |name| {
        let values = response.headers().get_all(name).iter();
        values.map(|it| it.to_str().unwrap().to_owned()).collect()
    };
    (lines("vary"), lines("cache-control"))
}

#[tokio::test]
async fn what_is_not_said_to_be_public_is_private_and_vary_names_the_sources() {
    let keys = ApiKeys::new(
        MemoryApiKeyStore::new(),
        "a pepper of at least thirty-two bytes",
    )
    .unwrap();
    let alice = SubjectId::new("https://id.example", "alice").unwrap();
    let key = keys.create(NewApiKey::new(alice)).await.unwrap();
    let key = key.key().expose();
    let sessions = Verifier::builder(Keys::hs256([SECRET]).unwrap())
        .build()
        .unwrap();
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_source(DeviceToken)
        .with_source(QueryParameter::new("token").unwrap())
        .with_verified_source(CookieToken::new("jwt_token").unwrap(), sessions)
        .with_api_keys(keys.clone())
        .with_api_keys_in(ApiKeyHeader::named("X-Key").unwrap(), keys)
        .with_paths(Paths::all().rule(Rule::optional("/chat")))
        .build()
        .unwrap();
    let vary = vec!["authorization, x-device-token, cookie, x-api-key, x-key".to_owned()];
    let good = token("alice");
    let bearer = format!("Bearer {}", good.expose());
    let cookie = format!("jwt_token={}", good.expose());
    for header in [
        ("x-api-key", key),
        ("x-key", key),
        ("x-device-token", good.expose()),
        ("cookie", &cookie),
    ] {
        for (said, read) in [
            (None, "private"),
            (Some("max-age=60"), "private, max-age=60"),
            (Some("s-maxage=60"), "private, s-maxage=60"),
            (Some("public, max-age=60"), "public, max-age=60"),
            (Some("no-store"), "no-store"),
        ] {
            let found = answer(&layer, Some(header), said).await;
            assert_eq!(found, (vary.clone(), vec![read.to_owned()]), "{header:?}");
        }
    }
    // Caches keep answers to `Authorization` to themselves, and the answer to nobody is everybody's.
    let said = Some("max-age=60");
    let read = vec!["max-age=60".to_owned()];
    let found = answer(&layer, Some(("authorization", &bearer)), said).await;
    assert_eq!(found, (Vec::new(), read.clone()));
    assert_eq!(answer(&layer, None, said).await, (vary, read));
}
