//! [`Rules`]: the decision about one request, by its resource, its principal and the store.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Method, Response, request::Parts};

use super::{
    Claim, Owned, OwnerAccess, OwnerStore, Owners, ResourceId, ResourceKey, Role, Standing,
    SubjectId,
};
use crate::{
    Principal, Refusals, Rejection, RejectionKind, ResponseBody, request::may_open_a_socket,
    telemetry,
};

/// What an [`OwnershipLayer`](super::OwnershipLayer) decides by.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) owners: Owners,
    pub(super) key: ResourceKey,
    pub(super) unowned: Unowned,
    /// The most resources that a subject owns by first use.
    pub(super) most_claims: u32,
    pub(super) concealment: Concealment,
    pub(super) admin_scope: Option<Box<str>>,
    pub(super) needed: Needed,
}

/// What becomes of a request for what nobody owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unowned {
    Refused,
    /// The first who asks owns it.
    Claimed,
}

/// How it is said that a resource is somebody else's.
#[derive(Clone)]
pub(super) enum Concealment {
    /// 403, openly.
    Open,
    /// 404.
    NotFound,
    /// As the application says that something does not exist.
    Like(Arc<dyn Fn() -> Response<Bytes> + Send + Sync>),
}

/// Which role a request needs.
#[derive(Clone)]
pub(super) enum Needed {
    ByMethod,
    By(Arc<dyn Fn(&Parts) -> Role + Send + Sync>),
}

impl Needed {
    fn of(&self, head: &Parts) -> Role {
        match self {
            // A handshake is a `GET`, and what follows it writes.
            Self::ByMethod if may_open_a_socket(head) => Role::Writer,
            Self::ByMethod if [Method::GET, Method::HEAD].contains(&head.method) => Role::Reader,
            Self::ByMethod => Role::Writer,
            Self::By(needed) => needed(head),
        }
    }
}

/// The log text of a claim over the limit.
#[derive(Debug, thiserror::Error)]
#[error("the subject owns {0} resources or more: `with_claim_limit` allows no further claim")]
struct TooManyOwned(u32);

/// What is asked of the store.
pub(super) struct Inquiry {
    pub(super) resource: ResourceId,
    pub(super) subject: SubjectId,
    pub(super) needed: Role,
    overriding: bool,
}

impl Inquiry {
    /// Whether the admin scope opens every resource.
    pub(super) const fn overriding(&self) -> bool {
        self.overriding
    }
}

impl Rules {
    /// Reads from the head of a request what to ask.
    pub(super) fn inquire(
        &self,
        principal: &Principal,
        head: &Parts,
    ) -> Result<Inquiry, Rejection> {
        let stranger = || Rejection::new(RejectionKind::NotOwner);
        let resource = self.key.resource(head);
        let resource = resource.ok_or(RejectionKind::ResourceUnnamed)?;
        // Whoever has no name of their own owns nothing, and never equals an owner.
        let subject =
            SubjectId::of(principal).map_err(|invalid| stranger().with_source(invalid))?;
        let admin_scope = self.admin_scope.as_deref();
        Ok(Inquiry {
            resource,
            subject,
            needed: self.needed.of(head),
            overriding: admin_scope.is_some_and(|scope| principal.has_scope(scope)),
        })
    }

    /// Asks the store.
    pub(super) async fn decide(self: Arc<Self>, inquiry: Inquiry) -> Result<Owned, Rejection> {
        // Whatever changes after this was not seen by the answer.
        let seen = self.owners.ties().changes();
        let access = self.access(&inquiry).await?;
        let standing = access.as_ref().map(OwnerAccess::standing);
        let standing = match standing {
            Some(standing) if standing.allows(inquiry.needed) => standing,
            _ if inquiry.overriding => Standing::Granted(Role::Admin),
            // Whoever may read knows that the resource is there: no need to conceal it.
            Some(Standing::Granted(_)) => return Err(RejectionKind::Forbidden.into()),
            _ => return Err(RejectionKind::NotOwner.into()),
        };
        Ok(Owned::new(self, inquiry, access, standing, seen))
    }

    async fn access(&self, inquiry: &Inquiry) -> Result<Option<OwnerAccess>, Rejection> {
        let Inquiry {
            resource, subject, ..
        } = inquiry;
        let unavailable =
            |error| Rejection::new(RejectionKind::StoreUnavailable).with_source(error);
        let access = self.owners.access(resource, subject).await;
        let access = access.map_err(unavailable)?;
        if access.is_some() || self.unowned == Unowned::Refused {
            return Ok(access);
        }
        let most = self.most_claims;
        let claim = self.owners.claim_within(resource, subject, most).await;
        match claim.map_err(unavailable)? {
            Claim::Claimed | Claim::AlreadyYours => {
                let owner = subject.clone();
                Ok(Some(OwnerAccess::new(owner, subject, None)))
            }
            // Another subject was faster, and may have shared it already.
            Claim::Other => {
                let access = self.owners.access(resource, subject).await;
                access.map_err(unavailable)
            }
            Claim::LimitReached => {
                let reason = TooManyOwned(most);
                Err(Rejection::new(RejectionKind::Forbidden).with_source(reason))
            }
        }
    }

    /// The answer to a request that goes no further.
    pub(super) fn respond<B: ResponseBody>(
        &self,
        head: &mut Parts,
        rejection: Rejection,
        refusals: &Refusals,
    ) -> Response<B> {
        telemetry::refused(&rejection, None);
        // A concealed resource and a path that names none are answered alike.
        let kind = rejection.kind();
        if !matches!(
            kind,
            RejectionKind::NotOwner | RejectionKind::ResourceUnnamed
        ) {
            return refusals.respond_to(head, &rejection);
        }
        match &self.concealment {
            Concealment::Open => refusals.respond_to(head, &rejection),
            Concealment::NotFound => refusals.respond_to(head, &RejectionKind::NotFound.into()),
            Concealment::Like(missing) => {
                let mut response = missing();
                let rejection = Rejection::new(RejectionKind::NotFound);
                response.extensions_mut().insert(rejection);
                response.map(B::from_bytes)
            }
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("key", &self.key)
            .field("unowned", &self.unowned)
            .field("admin_scope", &self.admin_scope)
            .finish_non_exhaustive()
    }
}
