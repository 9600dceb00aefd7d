//! Whose a room is: shared by those who may, handed over by its owner.
//!
//! | request | who may | answer |
//! | --- | --- | --- |
//! | `POST {room}/share`, `{"subject": …, "role": "reader" \| "writer" \| "admin"}` | `admin` | 204; `"role": null` takes it back |
//! | `DELETE {room}/share/{subject}` | `admin` | 204; 404 if nothing was shared with them |
//! | `POST {room}/transfer`, `{"subject": …}` | the owner | 204 |
//!
//! A subject is one of the caller's own issuer. The layer outside has let nobody through who may not write.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, post},
};
use serde::Deserialize;
use tower_warden::{
    Owned, OwnerStore, Owners, Refusals, Rejection, RejectionKind, Role, Standing, StoreError,
    SubjectId,
};

pub(crate) fn routes<S>(owners: Owners) -> Router<S> {
    Router::new()
        .route("/agents/{agent}/{room}/share", post(share))
        .route("/agents/{agent}/{room}/share/{subject}", delete(unshare))
        .route("/agents/{agent}/{room}/transfer", post(transfer))
        .with_state(owners)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    subject: String,
    /// `null` takes back what was shared; whoever left it out meant something else.
    #[serde(deserialize_with = "Option::deserialize")]
    role: Option<Role>,
}

async fn share(
    State(owners): State<Owners>,
    owned: Owned,
    Json(share): Json<Share>,
) -> Result<StatusCode, Refused> {
    let Some(role) = share.role else {
        return end(&owners, &owned, share.subject).await;
    };
    let guest = guest(&owned, share.subject)?;
    let granted = owners.grant(owned.resource(), &guest, role).await;
    match granted.map_err(unavailable)? {
        Some(Standing::Granted(_)) => Ok(StatusCode::NO_CONTENT),
        // The owner may do everything already.
        _ => Ok(StatusCode::CONFLICT),
    }
}

async fn unshare(
    State(owners): State<Owners>,
    owned: Owned,
    Path((_, _, subject)): Path<(String, String, String)>,
) -> Result<StatusCode, Refused> {
    end(&owners, &owned, subject).await
}

async fn end(owners: &Owners, owned: &Owned, subject: String) -> Result<StatusCode, Refused> {
    let guest = guest(owned, subject)?;
    let ended = owners.revoke(owned.resource(), &guest).await;
    if ended.map_err(unavailable)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(RejectionKind::NotFound.into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    subject: String,
}

async fn transfer(
    State(owners): State<Owners>,
    owned: Owned,
    Json(transfer): Json<Transfer>,
) -> Result<StatusCode, Refused> {
    if !owned.is_owner() {
        return Err(RejectionKind::Forbidden.into());
    }
    let next = subject(&owned, transfer.subject)?;
    let transferred = owners.transfer(owned.resource(), owned.subject(), &next);
    if transferred.await.map_err(unavailable)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        // Another request of the owner was faster.
        Ok(StatusCode::CONFLICT)
    }
}

/// Somebody to share with, if who asks may share.
fn guest(owned: &Owned, name: String) -> Result<SubjectId, Refused> {
    if !owned.allows(Role::Admin) {
        return Err(RejectionKind::Forbidden.into());
    }
    subject(owned, name)
}

fn subject(owned: &Owned, name: String) -> Result<SubjectId, Refused> {
    let subject = owned.subject().with_subject(name);
    subject.map_err(|_| RejectionKind::RequestMalformed.into())
}

fn unavailable(error: StoreError) -> Refused {
    Refused(Rejection::new(RejectionKind::StoreUnavailable).with_source(error))
}

/// What is refused here is answered as the gate answers.
struct Refused(Rejection);

impl From<RejectionKind> for Refused {
    fn from(kind: RejectionKind) -> Self {
        Self(kind.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        Refusals::default().respond(&self.0)
    }
}
