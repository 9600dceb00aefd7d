//! [`MemoryOwnerStore`]: owners and grants within one process.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use tokio::sync::broadcast;

use super::shelf::{ByOwner, Shelf};
use crate::{
    Claim, Listing, OwnerAccess, OwnerStore, OwnershipChange, OwnershipFeed, Page, ResourceId,
    Role, SharedOwnerStore, Standing, StoreError, StoreFuture, SubjectId,
};

/// So many changes a node may lag behind before it has to ask about all its connections.
const FEED: usize = 1_024;

/// Keeps owners in the memory of one process.
///
/// Each decision is one step under one lock, never held across an `.await`. Nothing outlives the process and nothing is
/// forgotten before: it grows with every resource that is claimed, so where strangers may claim, bound how many they
/// can name. Several processes need an engine that they share; several [`Owners`](crate::Owners) of one process, as in
/// tests of many nodes, may share this one in an `Arc`.
///
/// # Examples
///
/// ```
/// use tower_warden::{Claim, MemoryOwnerStore, OwnerStore, ResourceId, SubjectId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryOwnerStore::new();
/// let room = ResourceId::new("/agents/support/r1")?;
/// let alice = SubjectId::new("https://id.example", "alice")?;
/// let mallory = SubjectId::new("https://id.example", "mallory")?;
/// assert_eq!(store.claim(&room, &alice).await?, Claim::Claimed);
/// assert_eq!(store.claim(&room, &mallory).await?, Claim::Other);
/// # Ok(())
/// # }
/// ```
pub struct MemoryOwnerStore {
    state: Shelf<State>,
    changes: broadcast::Sender<OwnershipChange>,
}

#[derive(Default)]
struct State {
    resources: HashMap<ResourceId, Resource>,
    /// The same owners, by name.
    owned: ByOwner<ResourceId>,
}

struct Resource {
    owner: SubjectId,
    grants: HashMap<SubjectId, Role>,
}

impl MemoryOwnerStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Shelf::default(),
            changes: broadcast::Sender::new(FEED),
        }
    }

    /// Tells whoever listens. It is done under the lock, so that changes are told in the order in which they were made.
    fn tell(&self, change: OwnershipChange) {
        // Without listeners there is nobody to tell.
        let _ = self.changes.send(change);
    }
}

impl Default for MemoryOwnerStore {
    fn default() -> Self {
        Self::new()
    }
}

impl OwnerStore for MemoryOwnerStore {
    fn claim_within<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        most: u32,
    ) -> StoreFuture<'a, Claim> {
        Box::pin(async move {
            let mut state = self.state.write();
            let State { resources, owned } = &mut *state;
            Ok(match resources.entry(resource.clone()) {
                Entry::Occupied(taken) if taken.get().owner == *subject => Claim::AlreadyYours,
                Entry::Occupied(_) => Claim::Other,
                Entry::Vacant(_) if owned.count(subject) >= most as usize => Claim::LimitReached,
                Entry::Vacant(free) => {
                    free.insert(Resource {
                        owner: subject.clone(),
                        grants: HashMap::new(),
                    });
                    owned.insert(subject, resource.clone());
                    Claim::Claimed
                }
            })
        })
    }

    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
        Box::pin(async move {
            let state = self.state.read();
            let found = state.resources.get(resource);
            Ok(found.map(|found| found.owner.clone()))
        })
    }

    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>> {
        Box::pin(async move {
            let state = self.state.read();
            Ok(state.resources.get(resource).map(|found| {
                let granted = found.grants.get(subject).copied();
                OwnerAccess::new(found.owner.clone(), subject, granted)
            }))
        })
    }

    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.state.write();
            let State { resources, owned } = &mut *state;
            let Some(found) = resources.get_mut(resource) else {
                return Ok(false);
            };
            if found.owner != *from {
                return Ok(false);
            }
            found.owner = to.clone();
            found.grants.clear();
            owned.remove(from, resource.as_str());
            owned.insert(to, resource.clone());
            self.tell(OwnershipChange::Transferred {
                resource: resource.clone(),
                to: to.clone(),
            });
            Ok(true)
        })
    }

    fn grant<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        role: Role,
    ) -> StoreFuture<'a, Option<Standing>> {
        Box::pin(async move {
            let mut state = self.state.write();
            let Some(found) = state.resources.get_mut(resource) else {
                return Ok(None);
            };
            if found.owner == *subject {
                return Ok(Some(Standing::Owner));
            }
            found.grants.insert(subject.clone(), role);
            self.tell(OwnershipChange::Granted {
                resource: resource.clone(),
                subject: subject.clone(),
                role,
            });
            Ok(Some(Standing::Granted(role)))
        })
    }

    fn revoke<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.state.write();
            let found = state.resources.get_mut(resource);
            let done = found.is_some_and(|found| found.grants.remove(subject).is_some());
            if done {
                self.tell(OwnershipChange::Revoked {
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
        Box::pin(async move {
            let state = self.state.read();
            let found = state.owned.page(owner, page).cloned().collect();
            Ok(Listing::new(found, page, ResourceId::as_str))
        })
    }
}

impl SharedOwnerStore for MemoryOwnerStore {
    type Feed = MemoryOwnershipFeed;

    async fn subscribe(&self) -> Result<MemoryOwnershipFeed, StoreError> {
        Ok(MemoryOwnershipFeed(self.changes.subscribe()))
    }
}

impl fmt::Debug for MemoryOwnerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOwnerStore")
            .field("resources", &self.state.read().resources.len())
            .finish_non_exhaustive()
    }
}

/// The feed of a [`MemoryOwnerStore`].
#[derive(Debug)]
pub struct MemoryOwnershipFeed(broadcast::Receiver<OwnershipChange>);

impl OwnershipFeed for MemoryOwnershipFeed {
    async fn next(&mut self) -> Option<OwnershipChange> {
        self.0.recv().await.ok()
    }
}
