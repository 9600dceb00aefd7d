//! The short way of a known token: what comes of a request does not depend on whether its token was met before.

use std::{collections::BTreeSet, iter};

use http::{HeaderMap, Request, Uri};
use tower_warden::{
    AuthLayerBuilder, AuthorizationHeader, Bearer, BearerToken, ConflictPolicy, CookieToken,
    JwtAuthLayer, NumericDate, Paths, QueryParameter, RejectionKind, Revocation, Revocations, Rule,
    StrippedHeaders, SubprotocolToken,
};

use crate::support::{SECRET, issuer, refusal, seen, send, upgrade};

/// A token for the subject, who may `read`.
fn token(subject: &str) -> BearerToken<'static> {
    let issuer = issuer();
    issuer.mint(subject).with_scopes(["read"]).sign().unwrap()
}

fn builder() -> AuthLayerBuilder<Bearer> {
    let revocations = Revocations::new();
    let end = NumericDate::from_secs(u64::MAX);
    let bob = Revocation::subject(None, "bob", end, end);
    revocations.apply(&bob).unwrap();
    let paths = Paths::all()
        .optional("/public")
        .rule(Rule::required("/written").with_scopes(["write"]));
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_sources([AuthorizationHeader::new()])
        .with_source(CookieToken::new("jwt_token").unwrap())
        .with_source(QueryParameter::access_token())
        .with_source(SubprotocolToken::bearer())
        .with_stripped_headers(StrippedHeaders::identity())
        .with_revocations(revocations)
        .with_allowed_origins(["https://app.example"])
        .with_paths(paths)
}

/// Every way of carrying these tokens, and whatever else may stand beside one.
fn requests(alice: &str, bob: &str) -> Vec<Request<String>> {
    let line = |name: &'static str, value: String| vec![(name, value)];
    let credentials = [
        vec![],
        line("authorization", format!("Bearer {alice}")),
        line("authorization", format!("bearer  {alice}")),
        line("authorization", format!("Bearer {alice} ")),
        line("authorization", format!("Bearer {alice}x")),
        line("authorization", format!("Basic {alice}")),
        line("authorization", String::from("Bearer")),
        line("authorization", format!("Bearer {bob}")),
        line("cookie", format!("jwt_token={alice}")),
        line("cookie", format!("lang=en; jwt_token={alice}")),
        line("cookie", format!("jwt_token={alice}; jwt_token={alice}")),
        line("cookie", format!("jwt_token={bob}")),
        line("cookie", String::from("lang=en")),
        line("sec-websocket-protocol", format!("chat, bearer, {alice}")),
    ];
    let origins = [
        None,
        Some("https://app.example"),
        Some("https://evil.example"),
    ];
    let targets = [
        String::from("/chat"),
        String::from("/public"),
        String::from("/written"),
        format!("/chat?access_token={alice}"),
    ];
    let mut requests = Vec::new();
    for (first, one) in credentials.iter().enumerate() {
        for other in iter::once(&vec![]).chain(&credentials[first..]) {
            for origin in origins {
                for target in &targets {
                    for (method, is_handshake) in [("GET", false), ("GET", true), ("POST", false)] {
                        let mut request = Request::builder()
                            .method(method)
                            .uri(target)
                            .header("host", "api.example")
                            .header("x-user-id", "root");
                        let origin = origin.map(|origin| ("origin", origin.to_owned()));
                        let handshake = upgrade().into_iter().filter(|_| is_handshake);
                        let lines = one.iter().chain(other).cloned();
                        for (name, value) in lines.chain(origin).chain(handshake) {
                            request = request.header(name, value);
                        }
                        requests.push(request.body(String::new()).unwrap());
                    }
                }
            }
        }
    }
    requests
}

/// What came of a request.
#[derive(Debug, PartialEq)]
struct Outcome {
    refused: Option<RejectionKind>,
    admitted: Option<Admitted>,
    answer: HeaderMap,
}

/// What the inner service saw.
#[derive(Debug, PartialEq)]
struct Admitted {
    uri: Uri,
    headers: HeaderMap,
    /// Subject and source.
    who: Option<(String, &'static str)>,
}

fn outcome(layer: &JwtAuthLayer, request: &Request<String>) -> Outcome {
    // `send` has made sure that the inner service was not called for what is refused.
    let response = send(layer, request.clone());
    let refused = refusal(&response);
    let admitted = refused.is_none().then(|| {
        let seen = seen(&response);
        let principal = seen.principal.as_ref();
        Admitted {
            uri: seen.uri.clone(),
            headers: seen.headers.clone(),
            who: principal.map(|who| (who.subject().to_owned(), who.source())),
        }
    });
    Outcome {
        refused,
        admitted,
        answer: response.headers().clone(),
    }
}

#[test]
fn a_known_token_is_treated_as_a_new_one_wherever_it_stands() {
    let (alice, bob) = (token("alice"), token("bob"));
    let requests = requests(alice.expose(), bob.expose());
    let mut met = BTreeSet::new();
    for policy in [
        ConflictPolicy::RejectAny,
        ConflictPolicy::RejectDifferent,
        ConflictPolicy::First,
    ] {
        for is_asked in [false, true] {
            let layer = || {
                let builder = builder().with_conflict(policy);
                if is_asked {
                    builder.require(|_, head| {
                        head.method == "GET" && !head.headers.contains_key("x-user-id")
                    })
                } else {
                    builder
                }
            };
            let forgets = layer().without_cache().build().unwrap();
            let knows = layer().build().unwrap();
            for token in [&alice, &bob] {
                let line = format!("Bearer {}", token.expose());
                let first = Request::get("/chat").header("authorization", line);
                send(&knows, first.body(String::new()).unwrap());
            }
            for request in &requests {
                let expected = outcome(&forgets, request);
                assert_eq!(outcome(&knows, request), expected, "{policy:?} {request:?}");
                met.insert(format!("{:?}", expected.refused));
            }
        }
    }
    // All that the table was made for has come about.
    let kinds = [
        "None",
        "Some(CredentialsAmbiguous)",
        "Some(CredentialsMalformed)",
        "Some(Forbidden)",
        "Some(OriginForeign)",
        "Some(Revoked)",
        "Some(ScopeInsufficient)",
        "Some(SignatureInvalid)",
        "Some(TokenMissing)",
    ];
    for kind in kinds {
        assert!(met.contains(kind), "{kind}: {met:?}");
    }
}
