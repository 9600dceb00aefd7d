//! [`Owners`]: a store that tells whoever watches what changes in it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    Claim, OwnerAccess, OwnerStore, OwnershipFeed, ResourceId, Role, SharedOwnerStore, Standing,
    SubjectId,
};
use crate::{
    Listing, Page, StoreError, StoreFuture,
    watch::{Watch, Watchers},
};

/// The pause after a store did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// An [`OwnerStore`] around another one, that tells whoever watches of each transfer, grant and revocation that went
/// through it.
///
/// So an open connection can end when its right does. All changes have to go through one `Owners`, or its clones; those
/// of other nodes come along where the store [is shared](Self::shared), and else by [`announce`](Self::announce). A change whose outcome the store could not tell is not
/// announced: for that, and for what was missed, a connection asks [`Owned::confirm`](super::Owned::confirm) from time
/// to time.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use tower_warden::{MemoryOwnerStore, OwnerStore, Owners, ResourceId, Role, SubjectId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let owners = Owners::new(MemoryOwnerStore::new());
/// let (sender, changes) = mpsc::channel();
/// let watch = owners.on_change(move |change| drop(sender.send(change.clone())));
///
/// let room = ResourceId::new("/agents/support/r1")?;
/// let alice = SubjectId::new("https://id.example", "alice")?;
/// let bob = alice.with_subject("bob")?;
/// owners.claim(&room, &alice).await?;
/// owners.grant(&room, &bob, Role::Writer).await?;
/// owners.revoke(&room, &bob).await?;
///
/// assert!(!changes.recv()?.shuts_out(&bob, Role::Writer));
/// assert!(changes.recv()?.shuts_out(&bob, Role::Reader));
/// # drop(watch);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Owners {
    store: Arc<dyn OwnerStore>,
    watchers: Arc<Watchers<OwnershipChange>>,
}

/// A right that was given or taken. Its JSON is what travels between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum OwnershipChange {
    /// A resource has another owner, and no grants.
    Transferred {
        /// What was handed over.
        resource: ResourceId,
        /// Whose it is from now on.
        to: SubjectId,
    },
    /// A subject was given a role, in place of any that it had.
    Granted {
        /// What was shared.
        resource: ResourceId,
        /// With whom.
        subject: SubjectId,
        /// As what.
        role: Role,
    },
    /// A subject lost its role.
    Revoked {
        /// What is shared no more.
        resource: ResourceId,
        /// With whom.
        subject: SubjectId,
    },
}

impl OwnershipChange {
    /// What changed hands, or is shared otherwise.
    #[must_use]
    pub const fn resource(&self) -> &ResourceId {
        match self {
            Self::Transferred { resource, .. }
            | Self::Granted { resource, .. }
            | Self::Revoked { resource, .. } => resource,
        }
    }

    /// Whether this change takes from a subject what it needs that role of the [resource](Self::resource) for.
    #[must_use]
    pub fn shuts_out(&self, who: &SubjectId, needed: Role) -> bool {
        match self {
            Self::Transferred { to, .. } => to != who,
            Self::Granted { subject, role, .. } => subject == who && *role < needed,
            Self::Revoked { subject, .. } => subject == who,
        }
    }
}

impl Owners {
    /// Puts itself around a store.
    pub fn new(store: impl OwnerStore) -> Self {
        Self {
            store: Arc::new(store),
            watchers: Arc::default(),
        }
    }

    /// Puts itself around a store that many nodes share, and tells whoever watches here of the changes that they all
    /// make.
    ///
    /// A task follows the store's feed as long as a clone of the returned value is held. A change of this node may be
    /// told twice: at once, and as the store spreads it.
    ///
    /// # Errors
    ///
    /// What the store answers when it cannot be listened to now.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn shared<S: SharedOwnerStore>(store: S) -> Result<Self, StoreError> {
        let store = Arc::new(store);
        let feed = store.subscribe().await?;
        let owners = Self::new(Arc::clone(&store));
        tokio::spawn(follow(store, feed, Arc::downgrade(&owners.watchers)));
        Ok(owners)
    }

    /// Has a function told of each change, at once and in the task that made it: it must be quick, and not block.
    pub fn on_change(&self, watcher: impl Fn(&OwnershipChange) + Send + Sync + 'static) -> Watch {
        self.watchers.add(watcher)
    }

    /// Tells whoever watches here of a change that was made on another node.
    pub fn announce(&self, change: &OwnershipChange) {
        self.watchers.tell(change);
    }
}

/// Announces what other nodes change as long as anybody holds the owners.
async fn follow<S: SharedOwnerStore>(
    store: Arc<S>,
    mut feed: S::Feed,
    node: Weak<Watchers<OwnershipChange>>,
) {
    loop {
        while let Some(change) = feed.next().await {
            match node.upgrade() {
                Some(watchers) => watchers.tell(&change),
                None => return,
            }
        }
        feed = loop {
            if node.strong_count() == 0 {
                return;
            }
            match store.subscribe().await {
                Ok(feed) => break feed,
                Err(_) => sleep(PAUSE).await,
            }
        };
    }
}

impl OwnerStore for Owners {
    fn claim<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Claim> {
        // A first claim takes from nobody.
        self.store.claim(resource, subject)
    }

    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
        self.store.owner(resource)
    }

    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>> {
        self.store.access(resource, subject)
    }

    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let done = self.store.transfer(resource, from, to).await?;
            if done {
                self.announce(&OwnershipChange::Transferred {
                    resource: resource.clone(),
                    to: to.clone(),
                });
            }
            Ok(done)
        })
    }

    fn grant<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        role: Role,
    ) -> StoreFuture<'a, Option<Standing>> {
        Box::pin(async move {
            let standing = self.store.grant(resource, subject, role).await?;
            if let Some(Standing::Granted(role)) = standing {
                self.announce(&OwnershipChange::Granted {
                    resource: resource.clone(),
                    subject: subject.clone(),
                    role,
                });
            }
            Ok(standing)
        })
    }

    fn revoke<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let done = self.store.revoke(resource, subject).await?;
            if done {
                self.announce(&OwnershipChange::Revoked {
                    resource: resource.clone(),
                    subject: subject.clone(),
                });
            }
            Ok(done)
        })
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ResourceId>> {
        self.store.list(owner, page)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_change_shuts_out_whom_it_takes_from() {
        let resource = ResourceId::new("r1").unwrap();
        let [alice, bob] = ["alice", "bob"].map(|name| SubjectId::new("i", name).unwrap());
        let transferred = OwnershipChange::Transferred {
            resource: resource.clone(),
            to: bob.clone(),
        };
        let granted = OwnershipChange::Granted {
            resource: resource.clone(),
            subject: bob.clone(),
            role: Role::Writer,
        };
        let revoked = OwnershipChange::Revoked {
            resource: resource.clone(),
            subject: bob.clone(),
        };
        for (change, who, needed, out) in [
            (&transferred, &alice, Role::Reader, true),
            (&transferred, &bob, Role::Admin, false),
            (&granted, &bob, Role::Reader, false),
            (&granted, &bob, Role::Writer, false),
            (&granted, &bob, Role::Admin, true),
            (&granted, &alice, Role::Admin, false),
            (&revoked, &bob, Role::Reader, true),
            (&revoked, &alice, Role::Reader, false),
        ] {
            assert_eq!(change.shuts_out(who, needed), out, "{change:?} {needed:?}");
            assert_eq!(change.resource(), &resource);
        }
    }

    #[test]
    fn a_change_travels_as_json() {
        let change = OwnershipChange::Granted {
            resource: ResourceId::new("r1").unwrap(),
            subject: SubjectId::new("i", "bob").unwrap(),
            role: Role::Writer,
        };
        let text = serde_json::to_string(&change).unwrap();
        let expected = r#"{"change":"granted","resource":"r1","subject":{"issuer":"i","subject":"bob"},"role":"writer"}"#;
        assert_eq!(text, expected);
        assert_eq!(
            serde_json::from_str::<OwnershipChange>(&text).unwrap(),
            change
        );
    }
}
