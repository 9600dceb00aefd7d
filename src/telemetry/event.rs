//! What a refusal tells the operator: one event with a bounded reason, never a credential.

use crate::{Rejection, RejectionKind};

/// Logs a refusal once, under the target `tower_warden`.
///
/// Our own faults are errors and warnings; what a client did wrong is information.
pub(crate) fn refused(rejection: &Rejection, source: Option<&'static str>) {
    let kind = rejection.kind();
    let reason = kind.code();
    let source = source.unwrap_or("none");
    let error = std::error::Error::source(rejection);
    match kind {
        RejectionKind::Misconfigured => {
            tracing::error!(target: "tower_warden", reason, source, error, "request refused");
        }
        RejectionKind::KeysUnavailable | RejectionKind::StoreUnavailable => {
            tracing::warn!(target: "tower_warden", reason, source, error, "request refused");
        }
        _ => tracing::info!(target: "tower_warden", reason, source, error, "request refused"),
    }
}
