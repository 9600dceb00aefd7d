//! The recipes of the README for identity providers, each against a document, a key set and tokens of that provider's
//! shape, under the provider's own names: their hosts lead to a server on loopback, over TLS.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderName, Request};
use serde_json::{Value, json};
use tokio_rustls::rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tower::{Layer, ServiceExt};
use tower_warden::{
    Algorithm, BearerToken, HeadRef, JwtAuthLayer, MalformedCredentials, RejectionKind, RemoteKeys,
    SigningKey, TokenIssuer, TokenSource, Verifier,
};

use crate::{
    provider::{Provider, Reply, START, StillClock},
    support::{Inner, refusal, seen},
    tokens,
};

const KEY_ID: &str = "2YB0sGnCJq7W7x3T9n1dQ";

/// A client for which these hosts are a provider that serves these documents.
async fn stage(hosts: &[&str], documents: Vec<(&'static str, Value)>) -> (Provider, RemoteClient) {
    let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let crypto = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let tls = ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    let script = move |path: &str| match documents.iter().find(|(place, _)| *place == path) {
        Some((_, document)) => Reply::json(document.to_string()),
        None => Reply::status(404),
    };
    let provider = Provider::with_tls(script, Arc::new(tls).into()).await;
    let port = provider.url.rsplit(':').next().unwrap().parse().unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], port));
    let authority = reqwest::Certificate::from_der(own.cert.der()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let client = hosts
        .iter()
        .fold(client, |client, host| client.resolve(host, loopback));
    (provider, RemoteClient(client.build().unwrap()))
}

struct RemoteClient(reqwest::Client);

impl RemoteClient {
    fn discover(&self, issuer: &str) -> RemoteKeys {
        RemoteKeys::discover(issuer).with_client(self.0.clone())
    }
}

/// The public key of the tests, with what this provider writes beside it.
fn jwk(extra: Value) -> Value {
    let pem = include_str!("../keys/rsa2048.pem");
    let key = SigningKey::pem(pem, Algorithm::RS256).unwrap();
    let set = TokenIssuer::builder(key).build().unwrap().jwk_set();
    let set: Value = serde_json::from_str(&set).unwrap();
    let mut jwk = json!({
        "kty": "RSA", "kid": KEY_ID, "n": set["keys"][0]["n"], "e": set["keys"][0]["e"],
    });
    jwk.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    jwk
}

/// A token as this provider signs it, with some claims changed; `null` takes one away.
fn signed(media_type: &str, claims: &Value, changes: Value) -> String {
    signed_with(KEY_ID, media_type, claims, changes)
}

/// The same under another key ID.
fn signed_with(key_id: &str, media_type: &str, claims: &Value, changes: Value) -> String {
    let header = json!({ "alg": "RS256", "typ": media_type, "kid": key_id });
    let mut claims = claims.clone();
    claims
        .as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    tokens::token(header.to_string(), claims.to_string(), Algorithm::RS256)
}

/// Sends a token in that header, and says why it was refused, or whose it is.
async fn send(layer: &JwtAuthLayer, name: &str, value: &str) -> Result<String, RejectionKind> {
    let inner = Inner::default();
    let request = Request::post("/chat")
        .header(name, value)
        .body(String::new());
    let response = layer
        .layer(inner.clone())
        .oneshot(request.unwrap())
        .await
        .unwrap();
    match refusal(&response) {
        Some(kind) => {
            assert_eq!(inner.calls(), 0);
            Err(kind)
        }
        None => Ok(seen(&response)
            .principal
            .as_ref()
            .unwrap()
            .subject()
            .to_owned()),
    }
}

/// Tries tokens with changed claims as bearer tokens.
async fn try_all<const N: usize>(
    layer: &JwtAuthLayer,
    media_type: &str,
    claims: &Value,
    cases: [(Value, Result<(), RejectionKind>); N],
) {
    for (changes, wanted) in cases {
        let token = signed(media_type, claims, changes.clone());
        let found = send(layer, "authorization", &format!("Bearer {token}")).await;
        assert_eq!(found.map(drop), wanted, "{changes}");
    }
}

#[tokio::test]
async fn auth0() {
    const ISSUER: &str = "https://acme.eu.auth0.com/";
    let keys = json!({ "keys": [jwk(json!({ "alg": "RS256", "use": "sig", "x5t": "abc", "x5c": ["MIIC"] }))] });
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://acme.eu.auth0.com/authorize",
        "userinfo_endpoint": "https://acme.eu.auth0.com/userinfo",
        "jwks_uri": "https://acme.eu.auth0.com/.well-known/jwks.json",
        "id_token_signing_alg_values_supported": ["HS256", "RS256", "PS256"],
    });
    let documents = vec![
        ("/.well-known/openid-configuration", document),
        ("/.well-known/jwks.json", keys),
    ];
    let (_provider, client) = stage(&["acme.eu.auth0.com"], documents).await;
    let layer = || {
        JwtAuthLayer::remote(client.discover(ISSUER))
            .with_audience("https://api.example")
            .with_roles_claim("permissions")
            .with_clock(StillClock::new())
    };
    let claims = json!({
        "iss": ISSUER, "sub": "auth0|6553da60a54af58e29493993",
        "aud": ["https://api.example", "https://acme.eu.auth0.com/userinfo"],
        "iat": START, "exp": START + 86_400, "scope": "openid profile read:chats",
        "azp": "my_client_id", "permissions": ["read:chats"],
    });
    let plain = layer().build().await.unwrap();
    try_all(
        &plain,
        "JWT",
        &claims,
        [
            (json!({}), Ok(())),
            (
                json!({ "iss": "https://acme.eu.auth0.com" }),
                Err(RejectionKind::IssuerMismatch),
            ),
            (
                json!({ "iss": "https://other.eu.auth0.com/" }),
                Err(RejectionKind::IssuerMismatch),
            ),
            // An ID token, for the client.
            (
                json!({ "aud": "my_client_id" }),
                Err(RejectionKind::AudienceMismatch),
            ),
            (
                json!({ "aud": "https://acme.eu.auth0.com/userinfo" }),
                Err(RejectionKind::AudienceMismatch),
            ),
        ],
    )
    .await;
    let profiled = layer().with_access_token_profile().build().await.unwrap();
    let rfc9068 =
        json!({ "azp": null, "client_id": "my_client_id", "jti": "73WakrfVbNJBaAmhQtEeDv" });
    try_all(
        &profiled,
        "at+jwt",
        &claims,
        [
            (rfc9068.clone(), Ok(())),
            (json!({}), Err(RejectionKind::ClaimInvalid)),
        ],
    )
    .await;
    try_all(
        &profiled,
        "JWT",
        &claims,
        [(rfc9068, Err(RejectionKind::TypeMismatch))],
    )
    .await;
    // Without the slash it is somebody else, and that is said when it is built.
    let nobody = JwtAuthLayer::remote(client.discover("https://acme.eu.auth0.com"));
    let error = nobody.with_audience("a").build().await.unwrap_err();
    assert!(
        error.to_string().contains("`https://acme.eu.auth0.com/`"),
        "{error}"
    );
}

#[tokio::test]
async fn keycloak() {
    const ISSUER: &str = "https://id.example/realms/acme";
    // It publishes its key for encryption too.
    let encryption = json!({ "kid": "enc", "alg": "RSA-OAEP", "use": "enc" });
    let keys = json!({ "keys": [jwk(encryption), jwk(json!({ "alg": "RS256", "use": "sig" }))] });
    let at = "https://id.example/realms/acme/protocol/openid-connect";
    let document = json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{at}/certs"),
        "userinfo_endpoint": format!("{at}/userinfo"),
        "introspection_endpoint": format!("{at}/token/introspect"),
        "id_token_signing_alg_values_supported": ["PS384", "RS384", "EdDSA", "ES384", "HS256", "RS256", "ES512"],
    });
    let documents = vec![
        ("/realms/acme/.well-known/openid-configuration", document),
        ("/realms/acme/protocol/openid-connect/certs", keys),
    ];
    let (_provider, client) = stage(&["id.example"], documents).await;
    let layer = JwtAuthLayer::remote(client.discover(ISSUER))
        .with_audience("orders")
        .with_roles_claim("realm_access.roles")
        .require(|principal, _| principal.has_role("clerk"))
        .with_clock(StillClock::new())
        .build()
        .await
        .unwrap();
    let claims = json!({
        "iss": ISSUER, "sub": "9b2f6b3e-0f0d-4c7e-9d57-1f6f7e1a2b3c", "aud": ["orders", "account"],
        "iat": START, "auth_time": START - 10, "exp": START + 300, "jti": "onrtac:1", "typ": "Bearer",
        "azp": "web", "sid": "s1", "acr": "1", "scope": "openid email profile",
        "realm_access": { "roles": ["offline_access", "clerk"] },
        "resource_access": { "account": { "roles": ["view-profile"] } },
    });
    try_all(
        &layer,
        "JWT",
        &claims,
        [
            (json!({}), Ok(())),
            // Without an audience mapper.
            (
                json!({ "aud": "account" }),
                Err(RejectionKind::AudienceMismatch),
            ),
            (
                json!({ "aud": "web", "typ": "ID" }),
                Err(RejectionKind::AudienceMismatch),
            ),
            (
                json!({ "iss": "https://id.example/realms/other" }),
                Err(RejectionKind::IssuerMismatch),
            ),
            (
                json!({ "realm_access": { "roles": ["viewer"] } }),
                Err(RejectionKind::Forbidden),
            ),
            (
                json!({ "realm_access": null }),
                Err(RejectionKind::Forbidden),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn entra() {
    const TENANTS: [&str; 2] = [
        "8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c",
        "f2f8b6f0-91a5-4a3f-8d0e-6c2a7b9d1e4f",
    ];
    const API: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";
    let issuer = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    // Its keys name no algorithm, but the issuer they are for.
    let keys = |tenant: &str| {
        json!({ "keys": [jwk(json!({
            "use": "sig", "x5t": KEY_ID, "x5c": ["MIIC"], "issuer": issuer(tenant),
            "cloud_instance_name": "microsoftonline.com",
        }))] })
    };
    let document = |issuer: String, tenant: &str| {
        json!({
            "issuer": issuer,
            "jwks_uri": format!("https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"),
            "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    };
    let documents = vec![
        (
            "/8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c/v2.0/.well-known/openid-configuration",
            document(issuer(TENANTS[0]), TENANTS[0]),
        ),
        (
            "/8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c/discovery/v2.0/keys",
            keys(TENANTS[0]),
        ),
        (
            "/f2f8b6f0-91a5-4a3f-8d0e-6c2a7b9d1e4f/v2.0/.well-known/openid-configuration",
            document(issuer(TENANTS[1]), TENANTS[1]),
        ),
        (
            "/f2f8b6f0-91a5-4a3f-8d0e-6c2a7b9d1e4f/discovery/v2.0/keys",
            keys(TENANTS[1]),
        ),
        (
            "/common/v2.0/.well-known/openid-configuration",
            document(issuer("{tenantid}"), "common"),
        ),
    ];
    let (_provider, client) = stage(&["login.microsoftonline.com"], documents).await;
    let mut verifiers = Vec::new();
    for tenant in TENANTS {
        let verifier = Verifier::remote(client.discover(&issuer(tenant)))
            .with_audience(API)
            .with_roles_claim("roles")
            .with_clock(StillClock::new());
        verifiers.push(verifier.build().await.unwrap());
    }
    let verifier = Verifier::issuers(verifiers).unwrap();
    let layer = JwtAuthLayer::verifier(verifier)
        .require(|principal, _| principal.has_scope("Chat.Read"))
        .build()
        .unwrap();
    let claims = json!({
        "aud": API, "iss": issuer(TENANTS[0]), "iat": START, "nbf": START, "exp": START + 4_000,
        "aio": "AXQAi/8", "azp": "b2a5", "azpacr": "0", "name": "Alice", "oid": "690222be",
        "preferred_username": "alice@acme.example", "rh": "0.AX", "scp": "Chat.Read Chat.Write",
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": TENANTS[0], "uti": "fqiBqX",
        "ver": "2.0", "roles": ["Admin"],
    });
    let stranger = "11111111-2222-3333-4444-555555555555";
    try_all(
        &layer,
        "JWT",
        &claims,
        [
            (json!({}), Ok(())),
            (
                json!({ "iss": issuer(TENANTS[1]), "tid": TENANTS[1] }),
                Ok(()),
            ),
            (
                json!({ "iss": issuer(stranger), "tid": stranger }),
                Err(RejectionKind::IssuerMismatch),
            ),
            (
                json!({ "iss": issuer("{tenantid}") }),
                Err(RejectionKind::IssuerMismatch),
            ),
            (
                json!({ "iss": issuer("common") }),
                Err(RejectionKind::IssuerMismatch),
            ),
            // Version 1.
            (
                json!({ "iss": format!("https://sts.windows.net/{}/", TENANTS[0]), "ver": "1.0" }),
                Err(RejectionKind::IssuerMismatch),
            ),
            (
                json!({ "aud": format!("api://{API}") }),
                Err(RejectionKind::AudienceMismatch),
            ),
            // Microsoft Graph's.
            (
                json!({ "aud": "00000003-0000-0000-c000-000000000000" }),
                Err(RejectionKind::AudienceMismatch),
            ),
            (json!({ "scp": "User.Read" }), Err(RejectionKind::Forbidden)),
        ],
    )
    .await;
    let common = Verifier::remote(client.discover(&issuer("common"))).with_audience(API);
    let error = common.build().await.unwrap_err();
    assert!(error.to_string().contains("{tenantid}"), "{error}");
}

/// The document that Entra publishes for all tenants, and its keys, each with whose tokens it signs.
#[tokio::test]
async fn entra_for_several_tenants() {
    const TEMPLATE: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
    const TENANTS: [&str; 2] = [
        "8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c",
        "f2f8b6f0-91a5-4a3f-8d0e-6c2a7b9d1e4f",
    ];
    // Those of accounts that belong to no company.
    const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    const STRANGER: &str = "11111111-2222-3333-4444-555555555555";
    const API: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";
    let issuer = |tenant: &str| TEMPLATE.replace("{tenantid}", tenant);
    let at = "https://login.microsoftonline.com/common";
    let document = |issuer: &str| {
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{at}/discovery/v2.0/keys"),
            "authorization_endpoint": format!("{at}/oauth2/v2.0/authorize"),
            "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "tenant_region_scope": null,
            "cloud_instance_name": "microsoftonline.com",
        })
    };
    // One pair of numbers under several names: nothing but `issuer` tells whose tokens a key verifies.
    let key = |id: &str, issuer: Value| {
        jwk(json!({
            "kid": id, "use": "sig", "x5t": id, "x5c": ["MIIC"], "issuer": issuer,
            "cloud_instance_name": "microsoftonline.com",
        }))
    };
    let keys = json!({ "keys": [
        key("shared", json!(TEMPLATE)),
        key("consumers", json!(issuer(CONSUMERS))),
        key("second", json!(issuer(TENANTS[1]))),
        key("odd", json!([issuer(TENANTS[0])])),
        key("pattern", json!("https://login.microsoftonline.com/{tenant}/v2.0")),
        jwk(json!({ "kid": "open", "use": "sig" })),
    ] });
    let place = "/common/v2.0/.well-known/openid-configuration";
    let documents = vec![
        (place, document(TEMPLATE)),
        ("/common/discovery/v2.0/keys", keys.clone()),
    ];
    let (provider, client) = stage(&["login.microsoftonline.com"], documents).await;
    let remote = || client.discover("https://login.microsoftonline.com/common/v2.0");
    let verifier = Verifier::remote(remote().with_tenants(TEMPLATE, TENANTS))
        .with_audience(API)
        .with_roles_claim("roles")
        .with_clock(StillClock::new())
        .build()
        .await
        .unwrap();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let claims = json!({
        "aud": API, "iat": START, "nbf": START, "exp": START + 4_000, "azp": "b2a5", "azpacr": "0",
        "oid": "690222be", "scp": "Chat.Read", "sub": "HKZpfaHyWadeOouYlitjrI", "ver": "2.0",
    });
    let (unknown, mismatch) = (
        Err(RejectionKind::KeyUnknown),
        Err(RejectionKind::IssuerMismatch),
    );
    for (key_id, named, wanted) in [
        ("shared", issuer(TENANTS[0]), Ok(())),
        ("shared", issuer(TENANTS[1]), Ok(())),
        // A key that names nobody is everybody's.
        ("open", issuer(TENANTS[0]), Ok(())),
        // A key that names one issuer is that one's alone.
        ("second", issuer(TENANTS[1]), Ok(())),
        ("second", issuer(TENANTS[0]), unknown),
        ("consumers", issuer(TENANTS[0]), unknown),
        ("consumers", issuer(TENANTS[1]), unknown),
        // Neither a list of names nor another template is the template.
        ("odd", issuer(TENANTS[0]), unknown),
        ("pattern", issuer(TENANTS[0]), unknown),
        // Whoever is not named is refused, whatever key stands behind it.
        ("consumers", issuer(CONSUMERS), mismatch),
        ("shared", issuer(STRANGER), mismatch),
        ("shared", issuer("{tenantid}"), mismatch),
        ("shared", issuer("*"), mismatch),
        ("shared", issuer("common"), mismatch),
        ("shared", issuer("organizations"), mismatch),
        ("shared", issuer(""), mismatch),
        ("shared", issuer(&TENANTS[0].to_uppercase()), mismatch),
        ("shared", issuer(TENANTS[0]) + "/", mismatch),
        ("shared", issuer(&format!("{}/x", TENANTS[0])), mismatch),
        (
            "shared",
            format!("https://sts.windows.net/{}/", TENANTS[0]),
            mismatch,
        ),
    ] {
        let token = signed_with(key_id, "JWT", &claims, json!({ "iss": named }));
        let found = send(&layer, "authorization", &format!("Bearer {token}")).await;
        assert_eq!(found.map(drop), wanted, "{key_id} {named}");
    }
    // A key that is in none of its sets, of an issuer who is not named: nobody is asked.
    let token = signed_with("new", "JWT", &claims, json!({ "iss": issuer(STRANGER) }));
    let found = send(&layer, "authorization", &format!("Bearer {token}")).await;
    assert_eq!(found.map(drop), mismatch);
    let asked = |times: usize| {
        let paths = provider.paths();
        let of = |wanted: &str| paths.iter().filter(|path| *path == wanted).count();
        assert_eq!(of("/common/discovery/v2.0/keys"), times, "{paths:?}");
        assert_eq!(of(place), 1, "one document for all: {paths:?}");
    };
    // "odd" could not be read, so that it was asked for once.
    asked(2);
    verifier.refresh().await.unwrap();
    asked(3);
    assert!(verifier.ready() && verifier.keys_age().is_some());

    // The document has to state the very template.
    for stated in [issuer("common"), issuer("{tenant}"), issuer(TENANTS[0])] {
        let documents = vec![
            (place, document(&stated)),
            ("/common/discovery/v2.0/keys", keys.clone()),
        ];
        let (_provider, client) = stage(&["login.microsoftonline.com"], documents).await;
        let remote = client.discover("https://login.microsoftonline.com/common/v2.0");
        let keys = remote.with_tenants(TEMPLATE, TENANTS);
        let built = JwtAuthLayer::remote(keys).with_audience(API).build().await;
        let error = built.unwrap_err().to_string();
        assert!(
            error.contains(&format!("`{TEMPLATE}`")) && error.contains(&format!("`{stated}`")),
            "{error}"
        );
    }
    // What is at odds with the tenants, or leaves none, fails before anybody is asked.
    let tenants = |names: &[&str]| {
        let keys = remote().with_tenants(TEMPLATE, names.iter().copied());
        Verifier::remote(keys).with_audience(API)
    };
    let hits = provider.hits();
    for (builder, wanted) in [
        (tenants(&[]), "with_tenants"),
        (tenants(&[TENANTS[0], TENANTS[0]]), "named twice"),
        (tenants(&["{tenantid}"]), "with_tenants"),
        (
            tenants(&TENANTS).with_issuer(issuer(TENANTS[0])),
            "with_issuer",
        ),
        (
            tenants(&TENANTS).dangerous_any_issuer(),
            "dangerous_any_issuer",
        ),
    ] {
        let error = builder.build().await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert_eq!(provider.hits(), hits);
}

/// Where one issuer is named, a key of somebody else is none of its own either.
#[tokio::test]
async fn a_key_of_another_issuer_is_no_key_of_this_one() {
    const ISSUER: &str = "https://id.example/acme";
    let key = |id: &str, issuer: &str| jwk(json!({ "kid": id, "issuer": issuer }));
    let document = json!({ "issuer": ISSUER, "jwks_uri": "https://id.example/keys" });
    let place = "/acme/.well-known/openid-configuration";
    let claims = json!({ "iss": ISSUER, "aud": "api", "sub": "alice", "exp": START + 60 });
    let both = json!({ "keys": [key("own", ISSUER), key("other", "https://id.example/other")] });
    let documents = vec![(place, document.clone()), ("/keys", both)];
    let (provider, client) = stage(&["id.example"], documents).await;
    let layer = JwtAuthLayer::remote(client.discover(ISSUER))
        .with_audience("api")
        .with_clock(StillClock::new())
        .build()
        .await
        .unwrap();
    for (id, wanted) in [("own", Ok(())), ("other", Err(RejectionKind::KeyUnknown))] {
        let token = signed_with(id, "JWT", &claims, json!({}));
        let found = send(&layer, "authorization", &format!("Bearer {token}")).await;
        assert_eq!(found.map(drop), wanted, "{id}");
    }
    assert_eq!(provider.hits(), 2, "there is nothing to be asked for");

    let other = json!({ "keys": [key("other", "https://id.example/{tenantid}")] });
    let documents = vec![(place, document), ("/keys", other)];
    let (_provider, client) = stage(&["id.example"], documents).await;
    let built = Verifier::remote(client.discover(ISSUER)).build().await;
    let error = built.unwrap_err().to_string();
    assert!(error.contains("none of the 1 keys"), "{error}");
}

#[tokio::test]
async fn google() {
    #[derive(serde::Deserialize)]
    struct Account {
        hd: Option<String>,
    }
    const ISSUER: &str = "https://accounts.google.com";
    const CLIENT: &str = "1234567890-abc.apps.googleusercontent.com";
    let keys = json!({ "keys": [jwk(json!({ "alg": "RS256", "use": "sig" }))] });
    let document = json!({
        "issuer": ISSUER,
        // On another host than the issuer.
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
        "userinfo_endpoint": "https://openidconnect.googleapis.com/v1/userinfo",
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    let documents = vec![
        ("/.well-known/openid-configuration", document),
        ("/oauth2/v3/certs", keys),
    ];
    let hosts = ["accounts.google.com", "www.googleapis.com"];
    let (_provider, client) = stage(&hosts, documents).await;
    let layer = JwtAuthLayer::remote(client.discover(ISSUER))
        .with_audience(CLIENT)
        .require(|principal, _| {
            let account = principal.claims::<Account>();
            account.is_ok_and(|account| account.hd.as_deref() == Some("acme.example"))
        })
        .with_clock(StillClock::new())
        .build()
        .await
        .unwrap();
    let claims = json!({
        "iss": ISSUER, "azp": CLIENT, "aud": CLIENT, "sub": "110169484474386276334",
        "hd": "acme.example", "email": "alice@acme.example", "email_verified": true,
        "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "iat": START, "exp": START + 3_600,
    });
    try_all(
        &layer,
        "JWT",
        &claims,
        [
            (json!({}), Ok(())),
            (
                json!({ "iss": "accounts.google.com" }),
                Err(RejectionKind::IssuerMismatch),
            ),
            (
                json!({ "aud": "99-other.apps.googleusercontent.com" }),
                Err(RejectionKind::AudienceMismatch),
            ),
            (json!({ "hd": null }), Err(RejectionKind::Forbidden)),
            (
                json!({ "hd": "other.example" }),
                Err(RejectionKind::Forbidden),
            ),
        ],
    )
    .await;
    // An access token of Google is no JWT.
    let found = send(&layer, "authorization", "Bearer ya29.a0AfH6SMBx").await;
    assert_eq!(found, Err(RejectionKind::TokenMalformed));
}

#[derive(Debug)]
struct AccessAssertion;

impl TokenSource for AccessAssertion {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let mut values = head.headers.get_all("cf-access-jwt-assertion").iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                let text = value
                    .to_str()
                    .map_err(|_| MalformedCredentials::Unreadable)?;
                Ok(Some(BearerToken::new(text)))
            }
            (Some(_), Some(_)) => Err(MalformedCredentials::Repeated),
        }
    }

    fn header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("cf-access-jwt-assertion"))
    }

    fn name(&self) -> &'static str {
        "access"
    }
}

#[tokio::test]
async fn cloudflare_access() {
    const ISSUER: &str = "https://acme.cloudflareaccess.com";
    const AUDIENCE: &str = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";
    let signature = json!({ "alg": "RS256", "use": "sig" });
    let certificate = json!({ "kid": KEY_ID, "cert": "-----BEGIN CERTIFICATE-----" });
    let keys = json!({
        "keys": [jwk(signature)],
        "public_cert": certificate,
        "public_certs": [certificate],
    });
    let documents = vec![("/cdn-cgi/access/certs", keys)];
    let (_provider, client) = stage(&["acme.cloudflareaccess.com"], documents).await;
    let keys = RemoteKeys::jwks("https://acme.cloudflareaccess.com/cdn-cgi/access/certs");
    let layer = JwtAuthLayer::remote(keys.with_client(client.0.clone()))
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .with_sources([AccessAssertion])
        .with_clock(StillClock::new())
        .build()
        .await
        .unwrap();
    let claims = json!({
        "aud": [AUDIENCE], "email": "alice@acme.example", "exp": START + 3_600, "iat": START,
        "nbf": START, "iss": ISSUER, "type": "app", "identity_nonce": "6ei69kawdKzMIAPF",
        "sub": "7335d417-61da-459d-899c-0a01c76a2f94", "country": "US",
    });
    for (changes, wanted) in [
        (json!({}), Ok(())),
        (
            json!({ "aud": ["0".repeat(64)] }),
            Err(RejectionKind::AudienceMismatch),
        ),
        (json!({ "aud": null }), Err(RejectionKind::AudienceMismatch)),
        (
            json!({ "iss": "https://other.cloudflareaccess.com" }),
            Err(RejectionKind::IssuerMismatch),
        ),
        // A service token of Access names nobody.
        (
            json!({ "sub": "", "common_name": "e367826f93b8d71185e03fe518aff3b4.access" }),
            Err(RejectionKind::ClaimInvalid),
        ),
    ] {
        // Access writes no `typ`.
        let token = signed("", &claims, changes.clone());
        let found = send(&layer, "Cf-Access-Jwt-Assertion", &token).await;
        assert_eq!(found.map(drop), wanted, "{changes}");
    }
    // Elsewhere nobody looks for it.
    let token = signed("", &claims, json!({}));
    let found = send(&layer, "authorization", &format!("Bearer {token}")).await;
    assert_eq!(found, Err(RejectionKind::TokenMissing));
}
