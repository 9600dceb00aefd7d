//! [`OwnerStore`]: who owns what, and who may use it, as one atomic step for each decision.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Owners, ResourceId, SubjectId};
use crate::{Listing, Page, StoreFuture};

/// Keeps who owns a resource and with whom it is shared.
///
/// Engines come with this crate; your own is held to the same rules by `testing::conformance::owner_store`.
///
/// # What every store promises
///
/// - Each method is **one atomic step** over all nodes: of many first claims exactly one wins.
/// - Names are compared **byte by byte**: no folding, no trimming, no collation.
/// - An owner is never lost: there is no way to make a resource nobody's again, so no name is ever claimed twice.
/// - Doubt is a [`StoreError`](crate::StoreError), never `None`: that would stand for "nobody owns it".
/// - A future that was dropped may have done its work or not, but never half of it. Waiting is bounded by the store
///   itself.
pub trait OwnerStore: fmt::Debug + Send + Sync + 'static {
    /// Makes the subject the owner, unless the resource has one or the subject owns `most` resources already.
    ///
    /// It counts and claims in one atomic step: many claims at the same instant never go over the limit.
    fn claim_within<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        most: u32,
    ) -> StoreFuture<'a, Claim>;

    /// Makes the subject the owner, unless the resource has one, however many resources the subject owns.
    fn claim<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Claim> {
        self.claim_within(resource, subject, u32::MAX)
    }

    /// The owner, or `None` where nobody is.
    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>>;

    /// The owner and what the subject is to the resource, in one read; `None` where nobody owns it.
    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>>;

    /// Hands a resource over, if `from` is its owner; says whether that was so.
    ///
    /// Every grant ends with it: a chat does not come with the old owner's guests.
    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool>;

    /// Shares a resource, in place of an earlier grant to the same subject.
    ///
    /// It answers what the subject is from now on: `None` where nobody owns the resource, and [`Standing::Owner`] where
    /// the subject does; nothing is granted then.
    fn grant<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        role: Role,
    ) -> StoreFuture<'a, Option<Standing>>;

    /// Ends a grant; says whether there was one.
    fn revoke<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, bool>;

    /// What a subject owns, in the order of the bytes of the names; what was shared with it is not part of that.
    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ResourceId>>;

    /// The [`Owners`] that this store is, or stands around: whoever wraps one passes it on, so that connections end when
    /// their right goes. An engine leaves it as it is.
    fn as_owners(&self) -> Option<&Owners> {
        None
    }
}

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// Nobody owned it; from now on the subject does.
    Claimed,
    /// The subject owned it already.
    AlreadyYours,
    /// Another subject owns it.
    Other,
    /// It has no owner, and the subject owns too many resources.
    LimitReached,
}

/// What an owner may let somebody else do; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May read.
    Reader,
    /// May also write.
    Writer,
    /// May also share.
    Admin,
}

impl Role {
    /// The word for it: `reader`, `writer`, `admin`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }

    /// The role of that word, if it is one: for stores that keep roles as text.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Reader, Self::Writer, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// What a subject is to a resource that somebody owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing: somebody else owns it, and has not shared it.
    Stranger,
    /// The owner has shared it.
    Granted(Role),
    /// The owner, who may do everything.
    Owner,
}

impl Standing {
    /// Whether that is enough for what needs this role.
    #[must_use]
    pub fn allows(self, needed: Role) -> bool {
        match self {
            Self::Stranger => false,
            Self::Granted(role) => role >= needed,
            Self::Owner => true,
        }
    }
}

/// Who owns a resource, and what somebody is to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerAccess {
    owner: SubjectId,
    standing: Standing,
}

impl OwnerAccess {
    /// Concludes from the owner and from what was granted to a subject what that subject is. For stores.
    #[must_use]
    pub fn new(owner: SubjectId, subject: &SubjectId, granted: Option<Role>) -> Self {
        let standing = if owner == *subject {
            Standing::Owner
        } else {
            granted.map_or(Standing::Stranger, Standing::Granted)
        };
        Self { owner, standing }
    }

    /// The owner.
    #[must_use]
    pub const fn owner(&self) -> &SubjectId {
        &self.owner
    }

    /// What the subject is to the resource.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }
}

impl<S: OwnerStore + ?Sized> OwnerStore for Arc<S> {
    fn claim_within<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        most: u32,
    ) -> StoreFuture<'a, Claim> {
        (**self).claim_within(resource, subject, most)
    }

    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
        (**self).owner(resource)
    }

    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>> {
        (**self).access(resource, subject)
    }

    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        (**self).transfer(resource, from, to)
    }

    fn grant<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        role: Role,
    ) -> StoreFuture<'a, Option<Standing>> {
        (**self).grant(resource, subject, role)
    }

    fn revoke<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        (**self).revoke(resource, subject)
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ResourceId>> {
        (**self).list(owner, page)
    }

    fn as_owners(&self) -> Option<&Owners> {
        (**self).as_owners()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_role_includes_those_before_it() {
        let standings = [
            (Standing::Stranger, [false, false, false]),
            (Standing::Granted(Role::Reader), [true, false, false]),
            (Standing::Granted(Role::Writer), [true, true, false]),
            (Standing::Granted(Role::Admin), [true, true, true]),
            (Standing::Owner, [true, true, true]),
        ];
        for (standing, allowed) in standings {
            let found = [Role::Reader, Role::Writer, Role::Admin].map(|role| standing.allows(role));
            assert_eq!(found, allowed, "{standing:?}");
        }
    }

    #[test]
    fn a_role_is_one_word_everywhere() {
        for role in [Role::Reader, Role::Writer, Role::Admin] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            let json = serde_json::to_value(role).unwrap();
            assert_eq!(json, role.as_str());
        }
        for word in ["", "owner", "Reader", "reader "] {
            assert_eq!(Role::parse(word), None);
        }
    }

    #[test]
    fn the_owner_needs_no_grant_and_a_grant_makes_no_owner() {
        let [alice, bob] = ["alice", "bob"].map(|name| SubjectId::new("", name).unwrap());
        let standing = |subject: &SubjectId, granted| {
            OwnerAccess::new(alice.clone(), subject, granted).standing()
        };
        assert_eq!(standing(&alice, Some(Role::Reader)), Standing::Owner);
        assert_eq!(standing(&bob, None), Standing::Stranger);
        let admin = Some(Role::Admin);
        assert_eq!(standing(&bob, admin), Standing::Granted(Role::Admin));
    }
}
