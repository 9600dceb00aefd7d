//! What refusals and ends tell the operator: one event each with a bounded reason, never a credential.

use crate::{Rejection, RejectionKind};

/// Logs the end of a connection once: its reason, and where its token had travelled.
pub(crate) fn connection_ended(reason: &'static str, source: &'static str) {
    tracing::info!(target: "tower_warden", reason, source, "connection ended");
}

/// Tells the operator which layer or service stands where no auth layer has looked at the request.
pub(crate) fn mounted_outside(name: &'static str, path: &str) {
    tracing::error!(
        target: "tower_warden",
        path,
        "`{name}` stands outside the auth layer: mount it inside, and do not exempt its path",
    );
}

/// Logs a refusal once, under the target `tower_warden`.
///
/// Our own faults are errors and warnings; what a client did wrong is information. A refused claim is named, with what
/// was found in its place.
pub(crate) fn refused(rejection: &Rejection, source: Option<&'static str>) {
    let kind = rejection.kind();
    let reason = kind.code();
    let source = source.unwrap_or("none");
    let error = std::error::Error::source(rejection);
    match kind {
        RejectionKind::Misconfigured => {
            tracing::error!(target: "tower_warden", reason, source, error, "request refused");
        }
        RejectionKind::KeysUnavailable
        | RejectionKind::StoreUnavailable
        | RejectionKind::Overloaded => {
            tracing::warn!(target: "tower_warden", reason, source, error, "request refused");
        }
        _ => {
            let (claim, found) = (rejection.claim(), rejection.found());
            tracing::info!(
                target: "tower_warden",
                reason, source, claim, found, error, "request refused"
            );
        }
    }
}
