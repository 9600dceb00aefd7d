//! [`Owned`]: what the inner service finds of a resource that the principal may use.

use std::{fmt, sync::Arc};

use super::{
    OwnerAccess, ResourceId, Role, Standing, SubjectId,
    rules::{Inquiry, Rules},
};
use crate::{Rejection, RejectionKind};

/// A resource that the principal of a request may use, and as what.
///
/// An [`OwnershipLayer`](super::OwnershipLayer) puts it into the extensions of each request that it lets through; with
/// the feature `axum` it is an extractor too. Cloning it copies a pointer.
///
/// ```
/// use tower_warden::{Owned, Role};
///
/// fn may_share<B>(request: &http::Request<B>) -> bool {
///     let owned = request.extensions().get::<Owned>();
///     owned.is_some_and(|owned| owned.allows(Role::Admin))
/// }
/// # assert!(!may_share(&http::Request::new(())));
/// ```
#[derive(Clone)]
pub struct Owned(Arc<Found>);

struct Found {
    rules: Arc<Rules>,
    inquiry: Inquiry,
    access: Option<OwnerAccess>,
    standing: Standing,
}

impl Owned {
    pub(super) fn new(
        rules: Arc<Rules>,
        inquiry: Inquiry,
        access: Option<OwnerAccess>,
        standing: Standing,
    ) -> Self {
        Self(Arc::new(Found {
            rules,
            inquiry,
            access,
            standing,
        }))
    }

    /// The resource: what the handler has to act on.
    #[must_use]
    pub fn resource(&self) -> &ResourceId {
        &self.0.inquiry.resource
    }

    /// Who is asking.
    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.0.inquiry.subject
    }

    /// The owner; `None` only where the [admin scope](super::OwnershipLayer::with_admin_scope) opened what nobody owns.
    #[must_use]
    pub fn owner(&self) -> Option<&SubjectId> {
        self.0.access.as_ref().map(OwnerAccess::owner)
    }

    /// What who is asking is to the resource. By the admin scope it is [`Role::Admin`].
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.standing
    }

    /// Whether that is enough for what needs this role.
    #[must_use]
    pub fn allows(&self, needed: Role) -> bool {
        self.0.standing.allows(needed)
    }

    /// Whether who is asking owns the resource: to hand it over, for one.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.0.standing == Standing::Owner
    }

    /// The role that the request needed, and that a connection has to keep.
    #[must_use]
    pub fn needed(&self) -> Role {
        self.0.inquiry.needed
    }

    /// Asks the store again whether all this still holds, by the rules of the layer; nothing is ever claimed by that.
    ///
    /// For what lasts longer than a request: a connection asks once it watches for
    /// [changes](super::Owners::on_change), so that none slips through in between, and from time to time.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::NotOwner`] when the right has gone, [`RejectionKind::StoreUnavailable`] when nobody knows.
    pub async fn confirm(&self) -> Result<(), Rejection> {
        let Found { rules, inquiry, .. } = &*self.0;
        let access = rules.store.access(&inquiry.resource, &inquiry.subject);
        let access = access
            .await
            .map_err(|error| Rejection::new(RejectionKind::StoreUnavailable).with_source(error))?;
        let holds = access.is_some_and(|access| access.standing().allows(inquiry.needed));
        if holds || inquiry.overriding() {
            Ok(())
        } else {
            Err(RejectionKind::NotOwner.into())
        }
    }
}

impl fmt::Debug for Owned {
    /// Names neither the resource nor anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned")
            .field("standing", &self.0.standing)
            .finish_non_exhaustive()
    }
}
