//! A newer token for a connection that is open.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_warden::{
    BearerToken, JwtAuthLayer, Lease, LeaseEnd, Principal, Rejection, RejectionKind,
    RenewalMessages, RenewalService, ResourceBinding, Revocation, Revocations, SigningKey,
    TokenIssuer,
    testing::{ManualClock, TestTokens},
};

use crate::{
    lease::{START, admit, clock, expiring, layer},
    support::SECRET,
};

const ISSUER: &str = "https://id.example";

/// A token of Alice's with these claims besides.
fn token(claims: Value) -> BearerToken<'static> {
    let mut tokens = TestTokens::hs256(SECRET)
        .unwrap()
        .with_clock(ManualClock::at(START));
    let claims = claims.as_object().unwrap().clone();
    let without = claims.iter().find(|(_, value)| value.is_null());
    let without = without.map(|(name, _)| name.clone());
    for (name, value) in claims {
        if !value.is_null() {
            tokens = tokens.with_claim(name, value);
        }
    }
    match without {
        Some(name) => tokens.without_claim(&name),
        None => tokens.valid(),
    }
}

#[tokio::test]
async fn a_token_may_follow_if_it_is_newer_and_nobody_elses() {
    use RejectionKind::{
        ClaimInvalid, RenewalNotNewer, RenewalOtherSubject, ScopeInsufficient, TokenExpired,
    };
    let first = json!({"iss": ISSUER, "iat": 900, "exp": 2_000, "scope": "chat"});
    let with = |changes: Value| {
        let mut claims = first.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        token(claims)
    };
    let table = [
        (with(json!({"iat": 901, "exp": 3_000})), Ok(2_030)),
        (with(json!({"iat": 901})), Ok(1_030)),
        (with(json!({"iat": 901, "exp": 1_500})), Ok(530)),
        (with(json!({"exp": 2_001})), Ok(1_031)),
        (with(json!({"iat": null, "exp": 2_001})), Ok(1_031)),
        (with(json!({"iat": 901, "scope": "admin chat"})), Ok(1_030)),
        (with(json!({})), Err(RenewalNotNewer)),
        (with(json!({"exp": 1_999})), Err(RenewalNotNewer)),
        (
            with(json!({"iat": 899, "exp": 3_000})),
            Err(RenewalNotNewer),
        ),
        (with(json!({"iat": null})), Err(RenewalNotNewer)),
        (
            with(json!({"iat": 901, "sub": "Alice"})),
            Err(RenewalOtherSubject),
        ),
        (
            with(json!({"iat": 901, "sub": "bob"})),
            Err(RenewalOtherSubject),
        ),
        (
            with(json!({"iat": 901, "iss": "https://id.example/"})),
            Err(RenewalOtherSubject),
        ),
        (
            with(json!({"iat": 901, "iss": null})),
            Err(RenewalOtherSubject),
        ),
        (
            with(json!({"iat": 901, "scope": "admin"})),
            Err(ScopeInsufficient),
        ),
        (with(json!({"iat": 901, "exp": 500})), Err(TokenExpired)),
        (with(json!({"iat": 901, "sub": ""})), Err(ClaimInvalid)),
        (
            TestTokens::hs256("another secret of at least thirty-two bytes")
                .unwrap()
                .valid(),
            Err(RejectionKind::SignatureInvalid),
        ),
        (
            BearerToken::new("a.b.c"),
            Err(RejectionKind::TokenMalformed),
        ),
    ];
    for (index, (next, expected)) in table.into_iter().enumerate() {
        let layer = layer(&clock()).build().unwrap();
        let lease = admit(&layer, &with(json!({}))).await.lease();
        let before = lease.remaining();
        let renewed = lease.renew(&next).await;
        match expected {
            Ok(left) => {
                assert_eq!(renewed.unwrap().subject(), "alice");
                assert_eq!(lease.remaining().as_secs(), left, "row {index}");
            }
            Err(kind) => {
                let refused = renewed.map(|_| ()).map_err(|rejection| rejection.kind());
                assert_eq!(refused, Err(kind), "row {index}");
                assert_eq!(lease.remaining(), before, "row {index}: kept as it was");
                assert_eq!(lease.check(), Ok(()), "row {index}");
            }
        }
    }
}

#[tokio::test]
async fn the_cap_outlasts_every_renewal() {
    let clock = clock();
    let layer = layer(&clock)
        .with_connection_cap(Duration::from_secs(1_500))
        .build()
        .unwrap();
    let lease = admit(&layer, &expiring(&clock, 2_000)).await.lease();
    clock.advance(Duration::from_secs(900));
    lease.renew(&expiring(&clock, 9_000)).await.unwrap();
    assert_eq!(lease.remaining(), Duration::from_secs(600));
    clock.advance(Duration::from_secs(600));
    assert_eq!(lease.check(), Err(LeaseEnd::CapReached));
}

#[tokio::test]
async fn a_token_that_has_lost_a_role_does_not_follow() {
    let with = |iat: u64, roles: Value| token(json!({"iat": iat, "roles": roles}));
    for (roles, verdict) in [
        (json!(["editor", "reader"]), Ok(())),
        (json!(["owner", "reader", "editor"]), Ok(())),
        (json!(["editor"]), Err(RejectionKind::Forbidden)),
        (json!(["Editor", "reader"]), Err(RejectionKind::Forbidden)),
        (json!([]), Err(RejectionKind::Forbidden)),
        (json!(null), Err(RejectionKind::Forbidden)),
    ] {
        let layer = layer(&clock()).with_roles_claim("roles").build().unwrap();
        let first = with(900, json!(["editor", "reader"]));
        let lease = admit(&layer, &first).await.lease();
        let renewed = lease.renew(&with(901, roles.clone())).await;
        let renewed = renewed.map(drop).map_err(|rejection| rejection.kind());
        assert_eq!(renewed, verdict, "{roles}");
        assert_eq!(lease.check(), Ok(()), "{roles}");
    }
}

#[tokio::test]
async fn a_renewal_that_takes_longer_than_the_token_revives_nothing() {
    // The token is accepted until 2 030, and the cap lies beyond that or before it.
    for (seconds, cap, end) in [
        (1_029, 9_000, None),
        (1_030, 9_000, Some(LeaseEnd::Expired)),
        (500, 500, Some(LeaseEnd::CapReached)),
    ] {
        let clock = clock();
        let passing = clock.clone();
        let layer = layer(&clock)
            .with_connection_cap(Duration::from_secs(cap))
            .require_renewal(move |_, _| {
                passing.advance(Duration::from_secs(seconds));
                true
            })
            .build()
            .unwrap();
        let lease = admit(&layer, &expiring(&clock, 2_000)).await.lease();
        let renewed = lease.renew(&expiring(&clock, 9_000)).await;
        let renewed = renewed.map(drop).map_err(|rejection| rejection.kind());
        let refused = end.map_or(Ok(()), |_| Err(RejectionKind::ConnectionEnded));
        assert_eq!(renewed, refused, "after {seconds} s");
        assert_eq!(lease.check(), end.map_or(Ok(()), Err), "after {seconds} s");
    }
}

#[tokio::test]
async fn what_has_ended_is_not_renewed() {
    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let lease = admit(&layer, &expiring(&clock, 2_000)).await.lease();
    clock.set(2_030);
    let refused = lease.renew(&expiring(&clock, 9_000)).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::ConnectionEnded);
    assert_eq!(lease.check(), Err(LeaseEnd::Expired));
}

#[tokio::test]
async fn a_revoked_token_renews_nothing_and_a_renewal_can_be_revoked() {
    let clock = clock();
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let layer = layer(&clock)
        .with_revocations(revocations.clone())
        .build()
        .unwrap();
    let first = token(json!({"jti": "1", "exp": 2_000}));
    let [second, third] = ["2", "3"].map(|id| token(json!({"jti": id, "exp": 3_000})));
    let lease = admit(&layer, &first).await.lease();
    let expiry = tower_warden::NumericDate::from_secs(3_000);
    revocations
        .revoke(Revocation::token_id("2", expiry))
        .await
        .unwrap();
    let refused = lease.renew(&second).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Revoked);
    assert_eq!(lease.check(), Ok(()));

    lease.renew(&third).await.unwrap();
    // The rotation of the first token does not concern the connection any more.
    revocations
        .revoke(Revocation::token_id("1", expiry))
        .await
        .unwrap();
    assert_eq!(lease.check(), Ok(()));
    revocations
        .revoke(Revocation::token_id("3", expiry))
        .await
        .unwrap();
    assert_eq!(lease.check(), Err(LeaseEnd::Revoked));
}

#[tokio::test]
async fn the_application_may_ask_for_more() {
    let layer = layer(&clock())
        .require_renewal(|present, next| present.token_id() == next.token_id())
        .build()
        .unwrap();
    let lease = admit(&layer, &token(json!({"jti": "agent-7", "exp": 2_000})))
        .await
        .lease();
    let other = token(json!({"jti": "agent-8", "exp": 3_000}));
    let refused = lease.renew(&other).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Forbidden);
    let same = token(json!({"jti": "agent-7", "exp": 3_000}));
    lease.renew(&same).await.unwrap();
}

/// A condition of `require` was asked at the handshake, and no renewal asked it again.
#[tokio::test]
async fn a_condition_over_requests_is_not_skipped_by_a_renewal() {
    let editor =
        |principal: &Principal| principal.subject() == "alice" && principal.has_scope("edit");
    let conditions = || layer(&clock()).require(move |principal, _| editor(principal));
    let first = token(json!({"scope": "edit", "exp": 2_000}));
    let second = token(json!({"scope": "edit", "exp": 3_000}));
    let by = |layer: JwtAuthLayer| {
        let (first, second) = (first.clone(), second.clone());
        async move {
            let lease = admit(&layer, &first).await.lease();
            let renewed = lease.renew(&second).await;
            assert_eq!(
                lease.check(),
                Ok(()),
                "a refusal leaves the connection as it was"
            );
            renewed.err().map(|rejection| rejection.kind())
        }
    };
    let forbidden = Some(RejectionKind::Forbidden);
    assert_eq!(by(conditions().build().unwrap()).await, forbidden);
    let deferred = layer(&clock()).require_async(|_, _| std::future::ready(true));
    assert_eq!(by(deferred.build().unwrap()).await, forbidden);
    // A binding compares the tokens by itself, and asks nothing in the place of the condition.
    let bound = || {
        ResourceBinding::path("/{agent}")
            .claim("agent", "agent")
            .when_present()
    };
    let both = conditions().with_resource_binding(bound());
    assert_eq!(by(both.build().unwrap()).await, forbidden);
    let only = layer(&clock()).with_resource_binding(bound());
    assert_eq!(by(only.build().unwrap()).await, None);
    let told = conditions().require_renewal(move |_, next| editor(next));
    assert_eq!(by(told.build().unwrap()).await, None);
    let told = conditions().require_renewal(|_, _| false);
    assert_eq!(by(told.build().unwrap()).await, forbidden);
}

/// A connection token is no renewal where no binding compares its claims.
#[tokio::test]
async fn a_connection_token_renews_within_its_binding_only() {
    let clock = clock();
    let layer = |binding: Option<ResourceBinding>| {
        let layer = layer(&clock);
        let layer = match binding {
            Some(binding) => layer.with_resource_binding(binding),
            None => layer,
        };
        layer.build().unwrap()
    };
    let binding = |claim: &str| ResourceBinding::path("/{agent}").claim(claim, "agent");
    let first = token(json!({"agent": "chat", "iat": 900, "exp": 1_010}));
    let lease = |layer: JwtAuthLayer| {
        let first = first.clone();
        async move { admit(&layer, &first).await.lease() }
    };
    let long = token(json!({"agent": "chat", "iat": 950, "exp": 3_000}));
    let source = admit(&layer(None), &long).await;
    let mut issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap());
    if let Some(name) = source.issuer() {
        issuer = issuer.with_issuer(name);
    }
    let issuer = issuer.with_clock(clock.clone()).build().unwrap();
    let minute = TokenIssuer::CONNECTION_LIFETIME;
    let next = issuer
        .connection_token(&source, [("agent", "chat")], minute)
        .unwrap();
    let renewed = lease(layer(Some(binding("agent"))))
        .await
        .renew(&next)
        .await;
    assert!(renewed.is_ok(), "{renewed:?}");
    let refused = lease(layer(None)).await.renew(&next).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::TypeMismatch);
    let other = lease(layer(Some(binding("room").when_present()))).await;
    let refused = other.renew(&next).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::ResourceMismatch);
}

#[tokio::test]
async fn a_token_for_another_resource_renews_nothing() {
    let binding = || ResourceBinding::path("/chat").audience("agent:one");
    let claims = |agent: &str| ResourceBinding::path("/{agent}").claim("agent", agent);
    let table = [
        (
            claims("agent"),
            json!({"agent": "chat"}),
            json!({"agent": "chat"}),
            true,
        ),
        (
            claims("agent"),
            json!({"agent": "chat"}),
            json!({"agent": "other"}),
            false,
        ),
        (claims("agent"), json!({"agent": "chat"}), json!({}), false),
        (
            claims("agent").when_present(),
            json!({}),
            json!({"agent": "other"}),
            false,
        ),
        (claims("agent").when_present(), json!({}), json!({}), true),
        (
            binding(),
            json!({"aud": ["api", "agent:one"]}),
            json!({"aud": ["agent:one"]}),
            true,
        ),
        (
            binding(),
            json!({"aud": ["api", "agent:one"]}),
            json!({"aud": ["api", "agent:two"]}),
            false,
        ),
        (
            binding(),
            json!({"aud": ["api", "agent:one"]}),
            json!({"aud": ["api"]}),
            false,
        ),
    ];
    for (index, (binding, mut first, mut second, admitted)) in table.into_iter().enumerate() {
        first["exp"] = json!(2_000);
        second["exp"] = json!(3_000);
        let layer = layer(&clock())
            .dangerous_any_audience()
            .with_resource_binding(binding)
            .build()
            .unwrap();
        let lease = admit(&layer, &token(first)).await.lease();
        let renewed = lease.renew(&token(second)).await;
        let refused = renewed.err().map(|rejection| rejection.kind());
        let expected = (!admitted).then_some(RejectionKind::ResourceMismatch);
        assert_eq!(refused, expected, "row {index}");
    }
}

#[tokio::test]
async fn messages_renew_from_within() {
    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let lease = admit(&layer, &expiring(&clock, 2_000)).await.lease();
    let renewals = RenewalMessages::default();
    let id = lease.id().to_string();
    let greeting: Value = serde_json::from_str(&renewals.greeting(&lease)).unwrap();
    assert_eq!(
        greeting,
        json!({"type": "auth_ok", "ttl": 1_030, "connection_id": id})
    );

    let fresh = expiring(&clock, 3_000);
    let message = json!({"type": "auth", "token": fresh.expose()}).to_string();
    let reply = renewals.answer(&lease, &message).await.unwrap();
    let reply: Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(
        reply,
        json!({"type": "auth_ok", "ttl": 2_030, "connection_id": id})
    );

    let again = renewals.answer(&lease, &message).await.unwrap();
    assert_eq!(again, r#"{"type":"auth_error","code":"renewal_not_newer"}"#);
    let broken = renewals.answer(&lease, r#"{"type":"auth"}"#).await.unwrap();
    assert_eq!(
        broken,
        r#"{"type":"auth_error","code":"request_malformed"}"#
    );
    let chat = renewals
        .answer(&lease, r#"{"type":"chat","text":"auth"}"#)
        .await;
    assert_eq!(chat, None);
}

/// Sends `POST /auth/refresh` with that token and body.
async fn refresh(
    layer: &JwtAuthLayer,
    token: &BearerToken<'_>,
    body: &str,
) -> Response<Full<Bytes>> {
    let request = Request::post("/auth/refresh")
        .header("authorization", format!("Bearer {}", token.expose()))
        .body(Full::<Bytes>::from(body.to_owned()))
        .unwrap();
    let service = layer.layer(RenewalService::new());
    service.oneshot(request).await.unwrap()
}

fn kind<B>(response: &Response<B>) -> Option<RejectionKind> {
    response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::kind)
}

async fn text(response: Response<Full<Bytes>>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn naming(lease: &Lease) -> String {
    json!({"connection_id": lease.id().to_string()}).to_string()
}

#[tokio::test]
async fn a_request_renews_with_its_own_token_or_one_in_its_body() {
    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let lease = admit(&layer, &expiring(&clock, 2_000)).await.lease();
    let id = lease.id().to_string();

    let response = refresh(&layer, &expiring(&clock, 3_000), &naming(&lease)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answer, json!({"ttl": 2_030, "connection_id": id}));
    assert_eq!(lease.remaining().as_secs(), 2_030);

    let body = json!({"connection_id": id, "token": expiring(&clock, 4_000).expose()});
    let response = refresh(&layer, &expiring(&clock, 3_000), &body.to_string()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(lease.remaining().as_secs(), 3_030);
}

#[tokio::test]
async fn to_know_the_id_of_a_connection_is_not_enough() {
    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let lease = admit(&layer, &expiring(&clock, 2_000)).await.lease();
    let bob = token(json!({"sub": "bob", "exp": 3_000}));
    let alice = expiring(&clock, 3_000);
    let id = lease.id().to_string();
    let with =
        |token: &BearerToken<'_>| json!({"connection_id": id, "token": token.expose()}).to_string();
    let unknown = json!({"connection_id": "00f067aa0ba902b700f067aa0ba902b7"}).to_string();
    let table = [
        (
            &bob,
            naming(&lease),
            RejectionKind::RenewalOtherSubject,
            403,
        ),
        // Not even with a token of Alice's, which Bob must have stolen.
        (&bob, with(&alice), RejectionKind::RenewalOtherSubject, 403),
        (&alice, with(&bob), RejectionKind::RenewalOtherSubject, 403),
        (&alice, unknown, RejectionKind::ConnectionEnded, 404),
        (
            &alice,
            with(&BearerToken::new("a.b.c")),
            RejectionKind::TokenMalformed,
            401,
        ),
        (
            &alice,
            String::from("{}"),
            RejectionKind::RequestMalformed,
            400,
        ),
        (&alice, String::new(), RejectionKind::RequestMalformed, 400),
        (
            &alice,
            json!([lease.id().to_string()]).to_string(),
            RejectionKind::RequestMalformed,
            400,
        ),
        (
            &alice,
            json!({"connection_id": "1"}).to_string(),
            RejectionKind::RequestMalformed,
            400,
        ),
        (
            &alice,
            " ".repeat(70_000) + &naming(&lease),
            RejectionKind::RequestMalformed,
            400,
        ),
    ];
    for (token, body, expected, status) in table {
        let response = refresh(&layer, token, &body).await;
        assert_eq!(response.status(), status, "{expected:?}");
        assert_eq!(kind(&response), Some(expected));
        let code = format!(r#""code":"{}""#, expected.code());
        assert!(text(response).await.contains(&code));
        assert_eq!(lease.remaining().as_secs(), 1_030, "kept as it was");
    }
    let same = refresh(&layer, &expiring(&clock, 2_000), &naming(&lease)).await;
    assert_eq!(kind(&same), Some(RejectionKind::RenewalNotNewer));
    assert_eq!(same.status(), 409);

    let body = naming(&lease);
    drop(lease);
    let gone = refresh(&layer, &alice, &body).await;
    assert_eq!(kind(&gone), Some(RejectionKind::ConnectionEnded));
}

#[tokio::test]
async fn the_connections_of_another_layer_are_out_of_reach_unless_they_share_revocations() {
    let clock = clock();
    let shared = Revocations::new();
    let stranger = layer(&clock).build().unwrap();
    let [one, two] = [(), ()].map(|()| {
        let builder = layer(&clock).with_revocations(shared.clone());
        builder.build().unwrap()
    });
    let lease = admit(&one, &expiring(&clock, 2_000)).await.lease();
    let fresh = expiring(&clock, 3_000);
    let response = refresh(&stranger, &fresh, &naming(&lease)).await;
    assert_eq!(kind(&response), Some(RejectionKind::ConnectionEnded));
    let response = refresh(&two, &fresh, &naming(&lease)).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn only_post_and_only_inside_an_auth_layer() {
    let get = Request::get("/auth/refresh").body(Full::<Bytes>::default());
    let response = RenewalService::new().oneshot(get.unwrap()).await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "POST");
    let post = Request::post("/auth/refresh").body(Full::<Bytes>::default());
    let response = RenewalService::new().oneshot(post.unwrap()).await.unwrap();
    assert_eq!(kind(&response), Some(RejectionKind::Misconfigured));
}
