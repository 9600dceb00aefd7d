//! The presets of [`Refusals`](super::Refusals): what is said to each kind, in our words and in those of the systems that
//! this crate replaces.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{Rejection, RejectionKind};

pub(super) fn problem(rejection: &Rejection) -> Response<Bytes> {
    let kind = rejection.kind();
    let status = kind.status();
    let body = Problem {
        code: kind.code(),
        detail: rejection.detail(),
        status: status.as_u16(),
        title: status.canonical_reason(),
        r#type: "about:blank",
    };
    answer(status, "application/problem+json", json(&body))
}

pub(super) fn edgeone(rejection: &Rejection) -> Response<Bytes> {
    let kind = rejection.kind();
    // The words of the template's own services.
    let reason = match kind {
        RejectionKind::CredentialsInvalid | RejectionKind::UsernameTaken => None,
        RejectionKind::TokenMissing => Some("no auth cookie"),
        RejectionKind::TokenMalformed | RejectionKind::TokenTooLarge => Some("malformed token"),
        RejectionKind::AlgorithmNotAllowed => Some("unsupported alg"),
        RejectionKind::SignatureInvalid | RejectionKind::KeyUnknown => Some("signature mismatch"),
        RejectionKind::TokenExpired => Some("expired"),
        _ if kind.status() == StatusCode::UNAUTHORIZED => Some("verify failed"),
        _ => Some(rejection.detail()),
    };
    let error = match kind.status() {
        _ if matches!(
            kind,
            RejectionKind::CredentialsInvalid
                | RejectionKind::UsernameInvalid
                | RejectionKind::UsernameTaken
                | RejectionKind::PasswordInvalid
        ) =>
        {
            kind.code()
        }
        StatusCode::TOO_MANY_REQUESTS => kind.code(),
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::BAD_REQUEST => "bad_request",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "server_misconfigured",
    };
    let body = json(&EdgeOne { error, reason });
    answer(kind.status(), "application/json", body)
}

pub(super) fn mixin(rejection: &Rejection) -> Response<Bytes> {
    let kind = rejection.kind();
    let text = match kind {
        RejectionKind::CredentialsAmbiguous => "More than one method used for authentication",
        RejectionKind::NotOwner | RejectionKind::ResourceUnnamed => rejection.detail(),
        _ => kind.status().canonical_reason().unwrap_or("Error"),
    };
    answer(kind.status(), "text/plain; charset=utf-8", text.to_owned())
}

/// The members in the order in which clients have always seen them, whatever serde_json's features are.
#[derive(Serialize)]
struct Problem<'a> {
    code: &'a str,
    detail: &'a str,
    status: u16,
    title: Option<&'a str>,
    r#type: &'a str,
}

#[derive(Serialize)]
struct EdgeOne<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("words and numbers are always JSON")
}

/// A response with that status, type and body.
fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
