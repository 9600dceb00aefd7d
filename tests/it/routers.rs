//! No path leads a real router around the layer: random paths are sent to axum, `matchit` and `actix-router`, and the
//! handler of a guarded route never runs without a token, nor the handler of a scoped route without the scope.

use std::sync::{Arc, LazyLock, Mutex};

use actix_router::{Path, ResourceDef};
use axum::{Router, body::Body, routing::any};
use http::{Method, Request, Uri};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt};
use tower_warden::{Access, CompiledPaths, JwtAuthLayer, Paths, Rule, SigningKey, TokenIssuer};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The guarded routes, in the dialect of axum and `matchit`, and the scope that each needs.
const GUARDED: [(&str, &str); 7] = [
    ("/chat", "chat"),
    ("/users/{id}/secrets", "secrets"),
    ("/users/{id}", "users"),
    ("/agents/{agent}/{room}", "rooms"),
    ("/agents/{agent}/{room}/sub/{class}/{name}", "rooms"),
    ("/files/{*rest}", "files"),
    ("/t/{tenant}/admin", "admin"),
];
const OPEN: [&str; 4] = ["/", "/login", "/help/{page}", "/users"];

/// Only the guarded routes are protected, each with its scope.
fn only() -> Paths {
    let pattern = |route: &str| route.replace("{*rest}", ":rest+");
    let rules = GUARDED.map(|(route, scope)| Rule::required(pattern(route)).with_scopes([scope]));
    let first = Paths::only(Vec::<String>::new());
    rules.into_iter().fold(first, Paths::rule)
}

/// Everything is protected but the open routes.
fn all() -> Paths {
    let rules = GUARDED.map(|(route, scope)| {
        Rule::required(route.replace("{*rest}", ":rest+")).with_scopes([scope])
    });
    let open = OPEN.into_iter().fold(Paths::all(), Paths::exempt);
    rules.into_iter().fold(open, Paths::rule)
}

fn compiled() -> [CompiledPaths; 2] {
    [only(), all()].map(|paths| paths.compile().unwrap())
}

/// Paths near to the routes, with all that makes routers differ.
fn path() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "chat", "users", "secrets", "agents", "a", "r", "sub", "files", "t", "admin", "login",
    ]);
    let odd = prop::sample::select(vec![
        "",
        ".",
        "..",
        "...",
        "%2e",
        "%20",
        "%2f",
        "%2F..",
        ";x",
        "%3b",
        "%",
        "%25",
        "%c0%af",
        "\\",
        "%00",
        "a.",
        "chat%20",
        "%63hat",
        "%2563hat",
        "Chat",
        "admin.",
        "%5c",
        "caf%C3%A9",
    ]);
    let segment = prop_oneof![5 => word, 3 => odd];
    let end = prop::sample::select(vec!["", "", "/", "//", ".", "%20"]);
    (prop::collection::vec(segment, 0..7), end)
        .prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")))
}

/// What servers make of a path before they route it.
fn spellings(path: &str) -> Vec<String> {
    let decode = |path: &str| percent_decode_str(path).decode_utf8_lossy().into_owned();
    let once = decode(path);
    let mut spellings = vec![path.to_owned(), decode(&once), once];
    for at in 0..spellings.len() {
        let merged = spellings[at].split('/').filter(|it| !it.is_empty());
        spellings.push(format!("/{}", merged.collect::<Vec<_>>().join("/")));
    }
    spellings
}

/// The decision lets no request in without a token, nor with a token that lacks the scope.
#[track_caller]
fn assert_guarded(paths: &[CompiledPaths], path: &str, scope: &str, router: &str) {
    for paths in paths {
        let decision = paths.decide(&Method::GET, path);
        assert_eq!(decision.access(), Access::Required, "{router}: {path}");
        let scopes = decision.scopes();
        assert!(
            scopes.iter().any(|it| **it == *scope),
            "{router}: {path}: {scopes:?}"
        );
    }
}

/// The guarded route whose handler ran last.
type Ran = Arc<Mutex<Option<&'static str>>>;

/// A router with the routes under a prefix, whose handlers say that they ran.
fn router(prefix: &str, ran: &Ran) -> Router {
    let open = OPEN.into_iter().fold(Router::new(), |router, route| {
        router.route(&format!("{prefix}{route}"), any(async || "open"))
    });
    GUARDED.into_iter().fold(open, |router, (route, _)| {
        let ran = Arc::clone(ran);
        let handler = any(async move || *ran.lock().unwrap() = Some(route));
        router.route(&format!("{prefix}{route}"), handler)
    })
}

/// The layer around the router, inside of it, and inside a `nest`, under `only` and `all`.
fn apps(ran: &Ran) -> Vec<(&'static str, Router)> {
    let mut apps = Vec::new();
    for paths in [only(), all()] {
        let auth = JwtAuthLayer::hs256(SECRET).unwrap().with_paths(paths);
        let auth = auth.build().unwrap();
        let around = auth.layer(router("", ran));
        apps.push(("around", Router::new().fallback_service(around)));
        apps.push(("inside", router("", ran).layer(auth.clone())));
        let nested = router("", ran).layer(auth);
        apps.push(("nested", Router::new().nest("/api", nested)));
    }
    apps
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Sends a request, and returns the guarded route whose handler ran.
fn send(app: &Router, ran: &Ran, path: &Uri, token: Option<&str>) -> Option<&'static str> {
    let mut request = Request::get(path.clone());
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).unwrap();
    *ran.lock().unwrap() = None;
    RUNTIME.block_on(app.clone().oneshot(request)).unwrap();
    ran.lock().unwrap().take()
}

#[test]
fn each_guarded_handler_runs_with_the_scope_and_an_empty_segment_is_no_way_around_it() {
    let ran = Ran::default();
    let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .build()
        .unwrap();
    let bare = issuer.mint("alice").sign().unwrap();
    for (place, app) in apps(&ran) {
        let prefix = if place == "nested" { "/api" } else { "" };
        let uri = |path: &str| format!("{prefix}{path}").parse::<Uri>().unwrap();
        for (route, scope) in GUARDED {
            let path = uri(&route.replace(['{', '}', '*'], ""));
            let token = issuer.mint("alice").with_scopes([scope]).sign().unwrap();
            let found = send(&app, &ran, &path, Some(token.expose()));
            assert_eq!(found, Some(route), "{place}: {path}");
        }
        // axum gives the handler an empty `id`.
        for path in [
            "/users//secrets",
            "/users/",
            "/agents//",
            "/agents/a/",
            "/files//",
            "/t//admin",
        ] {
            for token in [None, Some(bare.expose())] {
                assert_eq!(send(&app, &ran, &uri(path), token), None, "{place}: {path}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_path_leads_axum_around_the_layer(path in path()) {
        let ran = Ran::default();
        let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap()).build().unwrap();
        let bare = issuer.mint("alice").sign().unwrap();
        for (place, app) in apps(&ran) {
            for prefix in ["", "/api", "/api/"] {
                let Ok(uri) = format!("{prefix}{path}").parse::<Uri>() else {
                    continue;
                };
                for token in [None, Some(bare.expose())] {
                    prop_assert_eq!(send(&app, &ran, &uri, token), None, "{}: {}", place, uri);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_path_leads_matchit_around_the_rules(path in path()) {
        let mut router = matchit::Router::new();
        for (route, scope) in GUARDED {
            router.insert(route, Some(scope)).unwrap();
        }
        for route in OPEN {
            router.insert(route, None).unwrap();
        }
        let paths = compiled();
        for spelling in spellings(&path) {
            if let Ok(matchit::Match { value: Some(scope), .. }) = router.at(&spelling) {
                assert_guarded(&paths, &path, scope, "matchit");
            }
        }
    }

    #[test]
    fn no_path_leads_actix_around_the_rules(path in path()) {
        let paths = compiled();
        let routes = GUARDED.map(|(route, scope)| (ResourceDef::new(route.replace("{*rest}", "{rest:.+}")), scope));
        for spelling in spellings(&path) {
            // The first route that matches runs.
            let mut captured = Path::new(spelling.as_str());
            let found = routes.iter().find(|(route, _)| route.capture_match_info(&mut captured));
            if let Some((_, scope)) = found {
                assert_guarded(&paths, &path, scope, "actix-router");
            }
        }
    }
}
