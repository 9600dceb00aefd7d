//! [`Owned`]: what the inner service finds of a resource that the principal may use.

use std::{fmt, sync::Arc};

use super::{
    OwnerAccess, OwnerStore, ResourceId, Role, Standing, SubjectId,
    rules::{Inquiry, Rules},
    ties::Tied,
};
use crate::{Rejection, RejectionKind, StoreError};

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
    /// How many changes there had been when the store was asked.
    seen: u64,
}

impl Owned {
    pub(super) fn new(
        rules: Arc<Rules>,
        inquiry: Inquiry,
        access: Option<OwnerAccess>,
        standing: Standing,
        seen: u64,
    ) -> Self {
        Self(Arc::new(Found {
            rules,
            inquiry,
            access,
            standing,
            seen,
        }))
    }

    pub(super) fn seen(&self) -> u64 {
        self.0.seen
    }

    /// Ends a connection once the right has gone.
    pub(crate) fn tie(&self, connection: &Arc<dyn Tied>) {
        // Nothing that anybody owns decides about whoever may use everything.
        if !self.0.inquiry.overriding() {
            self.0.rules.owners.tie(connection, self);
        }
    }

    /// Forgets a connection that is over.
    pub(crate) fn untie(&self, connection: *const ()) {
        if !self.0.inquiry.overriding() {
            self.0
                .rules
                .owners
                .ties()
                .untie(self.resource(), connection);
        }
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
    /// For what lasts longer than a request and has no [`Lease`](crate::Lease): a lease that is opened behind the layer
    /// ends by itself when the right goes.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::NotOwner`] when the right has gone, [`RejectionKind::StoreUnavailable`] when nobody knows.
    pub async fn confirm(&self) -> Result<(), Rejection> {
        match self.holds().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(RejectionKind::NotOwner.into()),
            Err(error) => Err(Rejection::new(RejectionKind::StoreUnavailable).with_source(error)),
        }
    }

    /// Whether the right is still there.
    pub(super) async fn holds(&self) -> Result<bool, StoreError> {
        let Found { rules, inquiry, .. } = &*self.0;
        let access = rules.owners.access(&inquiry.resource, &inquiry.subject);
        let access = access.await?;
        let holds = access.is_some_and(|access| access.standing().allows(inquiry.needed));
        Ok(holds || inquiry.overriding())
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
