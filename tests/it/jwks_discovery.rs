//! From the name of an issuer to its keys.

use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_warden::{
    Algorithm, ConfigError, HttpJwksSource, JwtAuthLayer, RejectionKind, RemoteKeys, SigningKey,
    TokenIssuer, Verifier,
};

use crate::{
    log_lines::LogLines,
    provider::{Provider, Reply, StillClock, on_the_spot, signer, token, verdict},
    support::{Inner, get, refusal},
};

/// The document of an issuer whose keys stand at `/keys` of the provider.
fn document(issuer: &str, provider: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{provider}/keys"),
        "userinfo_endpoint": format!("{provider}/userinfo"),
        "id_token_signing_alg_values_supported": ["RS256", "EdDSA", "ES512"],
    })
}

async fn build(issuer: &str, clock: &StillClock) -> Result<Verifier, ConfigError> {
    Verifier::discover(issuer)
        .with_audience("api")
        .with_clock(clock.clone())
        .build()
        .await
}

#[tokio::test]
async fn the_document_is_found_in_each_of_its_three_places() {
    let clock = StillClock::new();
    for (path, place, wanted) in [
        ("", "/.well-known/openid-configuration", 1),
        ("/", "/.well-known/openid-configuration", 1),
        ("", "/.well-known/oauth-authorization-server", 2),
        (
            "/realms/acme",
            "/realms/acme/.well-known/openid-configuration",
            1,
        ),
        (
            "/oauth2/default/",
            "/oauth2/default/.well-known/openid-configuration",
            1,
        ),
        (
            "/tenant",
            "/.well-known/oauth-authorization-server/tenant",
            2,
        ),
        ("/tenant", "/.well-known/openid-configuration/tenant", 3),
    ] {
        let provider = Provider::always(Reply::status(404)).await;
        let issuer = format!("{}{path}", provider.url);
        let signer = signer(&issuer, "a", &clock);
        let (document, set) = (document(&issuer, &provider.url), signer.jwk_set());
        provider.script(move |path| match path {
            "/keys" => Reply::json(set.clone()),
            path if path == place => Reply::json(document.to_string()),
            // What servers of single-page applications say to everything.
            _ => Reply::json("<!doctype html>"),
        });
        let verifier = build(&issuer, &clock).await.unwrap();
        assert!(on_the_spot(&verifier, &token(&signer)), "{issuer} {place}");
        assert_eq!(provider.hits(), wanted + 1, "{:?}", provider.paths());

        // The document is believed for a while: the next fetch goes straight to the keys.
        verifier.refresh().await.unwrap();
        assert_eq!(provider.paths().last().unwrap(), "/keys");
        assert_eq!(provider.hits(), wanted + 2);
    }
}

#[tokio::test]
async fn a_document_of_somebody_else_is_refused_with_both_names() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    for (configured, stated) in [
        ("", "/"),
        ("/", ""),
        ("/realms/acme", "/realms/acme/"),
        ("/realms/acme", "/realms/Acme"),
        ("/realms/acme", "/realms/other"),
        ("/{tenantid}/v2.0", "/common/v2.0"),
    ] {
        let (configured, stated) = (
            format!("{}{configured}", provider.url),
            format!("{}{stated}", provider.url),
        );
        let document = document(&stated, &provider.url).to_string();
        provider.reply(Reply::json(document));
        let error = build(&configured, &clock).await.unwrap_err();
        let ConfigError::Keys { source, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(source.code(), "issuer_mismatch");
        let text = error.to_string();
        assert!(
            text.contains(&format!("`{configured}`")) && text.contains(&format!("`{stated}`")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_address_of_the_keys_is_checked_as_if_it_were_configured() {
    let clock = StillClock::new();
    let canary = Provider::always(Reply::json("{}")).await;
    let provider = Provider::always(Reply::status(404)).await;
    for (jwks_uri, wanted) in [
        (json!("http://id.example/keys"), "address"),
        (json!("file:///etc/keys"), "address"),
        (json!("/keys"), "address"),
        (json!(format!("http://x@localhost:{}/", 1)), "address"),
        (json!(7), "malformed"),
        (Value::Null, "malformed"),
        (json!(provider.url), "malformed"),
    ] {
        let mut document = document(&provider.url, &provider.url);
        document["jwks_uri"] = jwks_uri.clone();
        provider.reply(Reply::json(document.to_string()));
        let error = build(&provider.url, &clock).await.unwrap_err();
        let ConfigError::Keys { source, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(source.code(), wanted, "{jwks_uri}: {error}");
    }
    assert_eq!(canary.hits(), 0);
}

#[tokio::test]
async fn what_a_provider_writes_reaches_errors_cut_and_escaped() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    let long = format!("a\r\nINFO all is well\u{1b}[2J{}", "x".repeat(400 * 1024));
    let good = document(&provider.url, &provider.url);
    for (member, value, wanted) in [
        ("issuer", long.clone(), "issuer_mismatch"),
        ("jwks_uri", long.clone(), "address"),
        ("jwks_uri", format!("ftp://{long}"), "address"),
        ("kid", long, "no_usable_key"),
    ] {
        let mut document = good.clone();
        let set = json!({ "keys": [{ "kty": "RSA", "kid": value }] }).to_string();
        document[member] = json!(value);
        if member == "kid" {
            document = good.clone();
        }
        provider.script(move |path| match path {
            "/keys" => Reply::json(set.clone()),
            _ => Reply::json(document.to_string()),
        });
        let error = build(&provider.url, &clock).await.unwrap_err();
        let ConfigError::Keys { source, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(source.code(), wanted);
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(text.contains("INFO all is well"), "{text}");
            assert!(text.len() < 1_000, "{member}: {} bytes", text.len());
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

#[tokio::test]
async fn a_key_without_algorithm_serves_those_that_the_document_states() {
    use Algorithm::{ES256, PS256, PS384, RS256};
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    let signer = |algorithm| {
        let pem = include_str!("../keys/rsa2048.pem");
        let key = SigningKey::pem(pem, algorithm).unwrap().with_id("a");
        TokenIssuer::builder(key)
            .with_issuer(&provider.url)
            .with_audience("api")
            .with_clock(clock.clone())
            .build()
            .unwrap()
    };
    let published = |stated: &[&str], alg: Option<&str>| {
        let mut set: Value = serde_json::from_str(&signer(RS256).jwk_set()).unwrap();
        let jwk = set["keys"][0].as_object_mut().unwrap();
        jwk.remove("alg");
        jwk.extend(alg.map(|alg| ("alg".to_owned(), json!(alg))));
        let mut document = document(&provider.url, &provider.url);
        document["id_token_signing_alg_values_supported"] = json!(stated);
        provider.script(move |path| match path {
            "/keys" => Reply::json(set.to_string()),
            _ => Reply::json(document.to_string()),
        });
    };
    for (stated, alg, allowed, accepted) in [
        (&["PS256"][..], None, None, &[PS256][..]),
        (
            &["HS256", "none", "PS384", "PS256"],
            None,
            None,
            &[PS256, PS384],
        ),
        (&["PS256"], Some("RS256"), None, &[RS256]),
        (
            &["PS256", "RS256"],
            None,
            Some(vec![PS256, PS384]),
            &[PS256],
        ),
        // What is stated leaves nothing, so that it does not count.
        (&["ES256", "HS256"], None, None, &[RS256]),
        (&["PS384"], None, Some(vec![RS256, ES256]), &[RS256]),
        (&[], None, None, &[RS256]),
    ] {
        published(stated, alg);
        let mut builder = Verifier::discover(&provider.url)
            .with_audience("api")
            .with_clock(clock.clone());
        if let Some(allowed) = allowed {
            builder = builder.with_algorithms(allowed);
        }
        let verifier = builder.build().await.unwrap();
        for algorithm in [RS256, PS256, PS384] {
            assert_eq!(
                verdict(&verifier, &token(&signer(algorithm))).await.is_ok(),
                accepted.contains(&algorithm),
                "{algorithm:?} of {stated:?}, key for {alg:?}"
            );
        }
    }
}

#[tokio::test]
async fn keys_that_move_are_found_again() {
    for left_behind in [
        Reply::status(404),
        Reply::json("<!doctype html>"),
        Reply::json(r#"{"keys":[]}"#),
    ] {
        are_found_again_behind(left_behind).await;
    }
}

async fn are_found_again_behind(left_behind: Reply) {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    let signer = signer(&provider.url, "a", &clock);
    let (issuer, set) = (provider.url.clone(), signer.jwk_set());
    let at = move |place: &'static str| {
        let (issuer, set, left_behind) = (issuer.clone(), set.clone(), left_behind.clone());
        move |path: &str| match path {
            "/.well-known/openid-configuration" => {
                let mut document = document(&issuer, &issuer);
                document["jwks_uri"] = json!(format!("{issuer}{place}"));
                Reply::json(document.to_string())
            }
            path if path == place => Reply::json(set.clone()),
            _ => left_behind.clone(),
        }
    };
    provider.script(at("/old"));
    let verifier = build(&provider.url, &clock).await.unwrap();
    provider.script(at("/new"));
    assert!(verifier.refresh().await.is_err(), "the old place is empty");
    assert!(on_the_spot(&verifier, &token(&signer)));
    verifier.refresh().await.unwrap();
    assert_eq!(provider.paths().last().unwrap(), "/new");
}

#[tokio::test]
async fn what_the_provider_could_never_satisfy_fails_at_build() {
    for (built, wanted) in [
        (
            Verifier::discover("http://id.example").build().await,
            "http is for loopback only",
        ),
        (
            Verifier::discover("https://id.example")
                .with_issuer("https://other.example")
                .build()
                .await,
            "with_issuer",
        ),
        (
            Verifier::jwks("https://id.example/keys").build().await,
            "with_issuer",
        ),
        (
            Verifier::jwks("https://id.example/keys")
                .with_issuer("https://id.example")
                .dangerous_any_issuer()
                .build()
                .await,
            "dangerous_any_issuer",
        ),
        (
            Verifier::discover("https://id.example")
                .with_algorithms([Algorithm::RS256, Algorithm::HS256])
                .build()
                .await,
            "with_algorithms",
        ),
    ] {
        let text = built.unwrap_err().to_string();
        assert!(text.contains(wanted), "{text}");
    }
}

/// Why the document of an issuer could not be found, as the operator is told it.
async fn told(issuer: &str) -> String {
    let error = build(issuer, &StillClock::new()).await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn an_error_names_each_address_with_its_answer_and_the_telling_one_first() {
    let provider = Provider::always(Reply::status(404)).await;
    let issuer = format!("{}/acme", provider.url);
    let [first, second, third] = [
        "/acme/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/acme",
        "/.well-known/openid-configuration/acme",
    ]
    .map(|path| format!("{}{path}: ", provider.url));
    let text = told(&issuer).await;
    let places = [&first, &second, &third].map(|place| text.find(place.as_str()).unwrap());
    assert!(places.is_sorted(), "{text}");
    assert_eq!(text.matches("status 404").count(), 3, "{text}");

    for (reply, telling) in [
        (Reply::status(403), "status 403"),
        (Reply::json("{}"), "found an empty object"),
        (Reply::json(r#"{"keys":[]}"#), "found a JWK Set"),
        (
            Reply::json(r#"{"kty":"OKP","crv":"Ed25519"}"#),
            "found a single JWK",
        ),
        (Reply::json("\u{feff}{}"), "found a byte-order mark"),
        (Reply::json("<!doctype html>"), "found a page of HTML"),
        (
            Reply::json(json!({ "issuer": issuer }).to_string()),
            "found one without `jwks_uri`",
        ),
        (
            Reply::json(document("https://other.example", "x").to_string()),
            "configured as",
        ),
    ] {
        provider.script(move |path| match path {
            "/.well-known/oauth-authorization-server/acme" => reply.clone(),
            _ => Reply::status(404),
        });
        let text = told(&issuer).await;
        let (of_second, of_first) = (text.find(&second).unwrap(), text.find(&first).unwrap());
        assert!(of_second < of_first, "{text}");
        assert!(
            text[of_second..of_first].contains(telling),
            "{telling}: {text}"
        );
    }
}

#[tokio::test]
async fn the_address_of_a_document_is_no_issuer() {
    let provider = Provider::always(Reply::status(404)).await;
    let text = told(&format!(
        "{}/.well-known/openid-configuration",
        provider.url
    ))
    .await;
    assert!(text.contains("give the issuer"), "{text}");
    assert_eq!(provider.hits(), 0);
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_set_is_named() {
    let provider = Provider::always(Reply::status(404)).await;
    let stray = document(&provider.url, &provider.url).to_string();
    for (body, named) in [
        ("{}", "expected a JWK Set, found an empty object"),
        (r#"{"keys":[]}"#, "the set is empty"),
        (r#"{"kty":"OKP"}"#, "found a single JWK"),
        ("\u{feff}{\"keys\":[]}", "found a byte-order mark"),
        (&stray, "found a discovery document"),
        ("[]", "found JSON that is no object"),
        ("", "found an empty body"),
    ] {
        provider.reply(Reply::json(body));
        let keys = RemoteKeys::jwks(&provider.url);
        let built = Verifier::remote(keys).with_issuer("i").build().await;
        let text = built.unwrap_err().to_string();
        assert!(text.contains(named), "{body}: {text}");
    }
}

/// Hosts of a private network are asked over http where that is allowed, and only they.
#[tokio::test]
async fn http_is_for_the_hosts_that_are_named() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(404)).await;
    let port = provider.url.rsplit_once(':').unwrap().1.to_owned();
    // A name that is not `localhost`. Most machines give their own one an address of loopback.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    let found = tokio::net::lookup_host((name.as_str(), 0)).await;
    let found: Vec<_> = found.into_iter().flatten().map(|it| it.ip()).collect();
    if !found.contains(&std::net::Ipv4Addr::LOCALHOST.into()) || name == "localhost" {
        eprintln!("skipped: no name of this machine leads to 127.0.0.1");
        return;
    }
    let issuer = format!("http://{name}:{port}");
    let signer = signer(&issuer, "a", &clock);
    let (document, set) = (document(&issuer, &issuer), signer.jwk_set());
    provider.script(move |path| match path {
        "/keys" => Reply::json(set.clone()),
        _ => Reply::json(document.to_string()),
    });
    let discover = |hosts: &[&str]| {
        let keys = RemoteKeys::discover(&issuer).dangerous_http_from(hosts.to_vec());
        Verifier::remote(keys)
            .with_audience("api")
            .with_clock(clock.clone())
    };
    for (hosts, wanted) in [
        (&[][..], "dangerous_http_from"),
        (&["10.0.0.0/8", "keycloak"], "dangerous_http_from"),
        (
            &["169.254.0.0/16"],
            "dangerous_http_from = `169.254.0.0/16`",
        ),
        (&["http://keycloak"], "without scheme and port"),
    ] {
        let text = discover(hosts).build().await.unwrap_err().to_string();
        assert!(text.contains(wanted), "{text}");
    }
    assert_eq!(provider.hits(), 0);
    // It covers the address of the keys that the document names.
    let verifier = discover(&["keycloak", &name]).build().await.unwrap();
    assert!(on_the_spot(&verifier, &token(&signer)));
    assert_eq!(
        provider.paths(),
        ["/.well-known/openid-configuration", "/keys"]
    );
}

/// Passwords and keys stand in addresses more often than one thinks; what is built of them shows none.
#[tokio::test]
async fn no_error_shows_a_secret_of_an_address() {
    let provider = Provider::always(Reply::status(500)).await;
    let log = LogLines::capture();
    let mut errors = Vec::new();
    for url in [
        String::from("https://user:hush@id.example/keys"),
        String::from("ftp://user:hush@id.example/keys?key=hush"),
        String::from("user:hush@id.example"),
        format!("{}/keys?api_key=hush&hush", provider.url),
        format!("{}/keys#hush", provider.url),
    ] {
        errors.push(HttpJwksSource::new(&url).map(drop));
        let keys = RemoteKeys::jwks(&url);
        assert!(!format!("{keys:?}").contains("hush"));
        errors.push(
            Verifier::remote(keys)
                .with_issuer("i")
                .build()
                .await
                .map(drop),
        );
        errors.push(Verifier::discover(&url).build().await.map(drop));
        let keys = RemoteKeys::jwks("https://id.example/keys").with_tenants(&url, ["a"]);
        errors.push(Verifier::remote(keys).build().await.map(drop));
    }
    let mut named = document(&provider.url, &provider.url);
    for uri in ["https://user:hush@id.example", "ftp://x?key=hush"] {
        named["jwks_uri"] = json!(uri);
        provider.reply(Reply::json(named.to_string()));
        errors.push(Verifier::discover(&provider.url).build().await.map(drop));
    }
    named["issuer"] = json!("https://user:hush@id.example?key=hush");
    provider.reply(Reply::json(named.to_string()));
    errors.push(Verifier::discover(&provider.url).build().await.map(drop));
    let source = HttpJwksSource::new(format!("{}/keys?api_key=hush", provider.url)).unwrap();
    assert!(!format!("{source:?}").contains("hush"));
    let mut failed = 0;
    for error in errors.into_iter().filter_map(Result::err) {
        failed += 1;
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hush"), "{text}");
        }
    }
    assert_eq!(failed, 22);
    let lines = log.take();
    assert!(!lines.contains("hush"), "{lines}");
}

#[tokio::test]
async fn a_layer_finds_its_keys_by_the_name_of_the_issuer() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::status(503)).await;
    let signer = signer(&provider.url, "a", &clock);
    let strict = JwtAuthLayer::discover(&provider.url).build().await;
    assert!(matches!(strict, Err(ConfigError::Keys { .. })));

    let lazy = JwtAuthLayer::discover(&provider.url)
        .with_audience("api")
        .with_clock(clock.clone())
        .with_lazy_keys()
        .build()
        .await
        .unwrap();
    let service = lazy.layer(Inner::default());
    let send = async || {
        let request = get("/chat", &token(&signer));
        refusal(&service.clone().oneshot(request).await.unwrap())
    };
    assert_eq!(send().await, Some(RejectionKind::KeysUnavailable));

    let (document, set) = (document(&provider.url, &provider.url), signer.jwk_set());
    provider.script(move |path| match path {
        "/keys" => Reply::json(set.clone()),
        _ => Reply::json(document.to_string()),
    });
    clock.advance(31);
    assert_eq!(send().await, None);
    let strict = JwtAuthLayer::discover(&provider.url).build().await;
    assert!(strict.is_ok());
}
