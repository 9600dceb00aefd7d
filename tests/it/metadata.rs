//! Protected resource metadata ([RFC 9728]): named in every challenge, and readable where challenges say it is.
//!
//! [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt};
use tower_warden::{
    ConfigError, JwtAuthLayer, Paths, Refusals, ResourceMetadata, Rule, StrippedHeaders,
};

use crate::support::{SECRET, get, refusal, send, token};

const RESOURCE: &str = "https://api.example/mcp";
const ROOT: &str = "/.well-known/oauth-protected-resource";
const OWN: &str = "/.well-known/oauth-protected-resource/mcp";

fn metadata() -> ResourceMetadata {
    ResourceMetadata::builder(RESOURCE)
        .with_authorization_server("https://id.example")
        .with_scopes(["mcp:read"])
        .build()
        .unwrap()
}

async fn ask<S>(service: S, method: &str, path: &str) -> (StatusCode, HeaderMap, Bytes)
where
    S: Service<Request<String>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("origin", "https://app.example")
        .body(String::new())
        .unwrap();
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, body)
}

#[tokio::test]
async fn the_document_is_served_at_both_forms_and_nowhere_else() {
    let service = metadata().service();
    for path in [ROOT, OWN] {
        let (status, headers, body) = ask(service.clone(), "GET", path).await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["cache-control"], "public, max-age=300");
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            document,
            json!({
                "resource": RESOURCE,
                "authorization_servers": ["https://id.example"],
                "scopes_supported": ["mcp:read"],
                "bearer_methods_supported": ["header"],
            })
        );

        let (status, head, nothing) = ask(service.clone(), "HEAD", path).await;
        assert_eq!((status.as_u16(), nothing.len()), (200, 0));
        assert_eq!(head["content-length"], body.len().to_string());

        let (status, headers, body) = ask(service.clone(), "OPTIONS", path).await;
        assert_eq!((status.as_u16(), body.len()), (204, 0));
        assert_eq!(headers["access-control-allow-headers"], "*");

        for method in ["POST", "PUT", "DELETE", "PATCH", "CONNECT"] {
            let (status, headers, body) = ask(service.clone(), method, path).await;
            assert_eq!((status.as_u16(), body.len()), (405, 0), "{method}");
            assert_eq!(headers["allow"], "GET, HEAD, OPTIONS");
        }
    }
    for path in [
        "/",
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource/MCP",
        "/.well-known//oauth-protected-resource",
        "/mcp",
    ] {
        assert_eq!(ask(service.clone(), "GET", path).await.0, 404, "{path}");
    }
}

#[test]
fn every_challenge_names_the_document_whatever_is_set_around_it() {
    let url = format!(r#"resource_metadata="https://api.example{OWN}""#);
    let builder = || JwtAuthLayer::hs256(SECRET).unwrap();
    for (name, layer) in [
        ("alone", builder().with_resource_metadata(&metadata())),
        (
            "before other refusals",
            builder()
                .with_resource_metadata(&metadata())
                .with_refusals(Refusals::mixin().with_realm("r")),
        ),
        (
            "after other refusals",
            builder()
                .with_refusals(Refusals::edgeone())
                .with_resource_metadata(&metadata()),
        ),
    ] {
        let paths = Paths::all().rule(Rule::required("/admin").with_scopes(["admin"]));
        let layer = layer.with_paths(paths).build().unwrap();
        let good = token("alice");
        for (path, header, status) in [
            ("/", None, 401),
            ("/", Some(String::from("Bearer a.b.c")), 401),
            ("/", Some(String::from("Bearer")), 400),
            ("/admin", Some(format!("Bearer {}", good.expose())), 403),
        ] {
            let headers = header.map(|value| ("authorization", value));
            let response = send(&layer, crate::support::get_with(path, headers));
            assert_eq!(response.status(), status, "{name} {path}");
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains(&url), "{name}: {challenge}");
        }
    }
}

#[test]
fn the_document_can_be_read_without_a_token_and_nothing_else_can() {
    for paths in [
        Paths::all(),
        Paths::all().protect("/.well-known"),
        Paths::only(["/mcp", "/.well-known/**"]),
    ] {
        let layer = JwtAuthLayer::hs256(SECRET)
            .unwrap()
            .with_resource_metadata(&metadata())
            .with_paths(paths)
            .with_stripped_headers(StrippedHeaders::default())
            .build()
            .unwrap();
        for (method, path, passes) in [
            ("GET", ROOT, true),
            ("GET", OWN, true),
            ("HEAD", OWN, true),
            ("OPTIONS", OWN, true),
            ("POST", OWN, false),
            ("GET", "/.well-known/oauth-protected-resource/", false),
            ("GET", "/.well-known/oauth-protected-resource/other", false),
            ("GET", "/.well-known/oauth-protected-resource/mcp/", false),
            (
                "GET",
                "/.well-known/oauth-protected-resource/../jwks.json",
                false,
            ),
            (
                "GET",
                "/.well-known/oauth-protected-resource/mcp/../../../mcp",
                false,
            ),
            ("GET", "/.well-known/oauth-protected-resource/%6dcp", false),
            ("GET", "/.well-known/jwks.json", false),
            ("GET", "/mcp", false),
        ] {
            let request = Request::builder().method(method).uri(path);
            let response = send(&layer, request.body(String::new()).unwrap());
            assert_eq!(refusal(&response).is_none(), passes, "{method} {path}");
        }
        assert_eq!(send(&layer, get("/mcp", &token("alice"))).status(), 200);
    }
}

#[test]
fn an_exemption_against_an_explicit_protection_loses() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_resource_metadata(&metadata())
        .with_paths(Paths::all().protect(OWN))
        .build()
        .unwrap();
    let request = |path: &str| Request::get(path).body(String::new()).unwrap();
    assert_eq!(send(&layer, request(OWN)).status(), 401);
    assert_eq!(send(&layer, request(ROOT)).status(), 200);
}

#[tokio::test]
async fn behind_the_layer_the_service_answers() {
    let metadata = metadata();
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_resource_metadata(&metadata)
        .build()
        .unwrap();
    let service = layer.layer(metadata.service());
    let (status, _, body) = ask(service.clone(), "GET", OWN).await;
    assert_eq!(
        (status.as_u16(), &body[..]),
        (200, metadata.json().as_bytes())
    );
    let (status, _, _) = ask(service, "GET", "/mcp").await;
    assert_eq!(status, 401);
}

#[test]
fn a_resource_that_is_no_address_fails_with_the_address() {
    for resource in ["http://api.example/mcp", "https://api.example/mcp#a", "mcp"] {
        match ResourceMetadata::builder(resource).build() {
            Err(ConfigError::Setting {
                name: "resource",
                value,
                ..
            }) => {
                assert_eq!(value, resource);
            }
            other => panic!("{other:?}"),
        }
    }
}
