//! `POST /auth/revoke`: a token that shall open nothing any more, on no connection either.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{Json, http::StatusCode};
use serde_json::{Value, json};
use tower_warden::{NumericDate, Principal, Revocation, Revocations};

/// Revokes the caller's own token; one without an ID takes all older tokens of its subject along.
pub(crate) async fn revoke(
    revocations: Revocations,
    principal: Principal,
) -> Result<Json<Value>, (StatusCode, &'static str)> {
    let revocation = Revocation::of(&principal).unwrap_or_else(|| everything(&principal));
    match revocations.revoke(revocation).await {
        Ok(()) => Ok(Json(json!({ "revoked": true }))),
        Err(_) => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "the token could not be revoked",
        )),
    }
}

fn everything(principal: &Principal) -> Revocation {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // What was issued in this very second is meant too.
    let before = NumericDate::from_secs(now.as_secs() + 1);
    // Another token of the subject may outlive the caller's.
    let over = NumericDate::from_secs(u64::MAX);
    Revocation::subject(principal.issuer(), principal.subject(), before, over)
}
