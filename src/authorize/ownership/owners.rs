//! [`Owners`]: a store, and the connections that last as long as what it says.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    Claim, Owned, OwnerAccess, OwnerStore, OwnershipChange, ResourceId, Role, SharedOwnerStore,
    Standing, SubjectId,
    follow::{Alone, Following, Listen},
    ties::{Tied, Ties},
};
use crate::{
    CutOff, CutOffPolicy, Listing, Page, StoreError, StoreFuture,
    link::{HEALING, Link, follow},
    watch::{Watch, Watchers},
};

/// An [`OwnerStore`] around another one, that ends connections whose right has gone.
///
/// A [`Lease`](crate::Lease) that was opened behind an [`OwnershipLayer`](super::OwnershipLayer) lasts as long as the
/// right that its request was let in by. When a transfer, a grant or the end of one takes that right, the lease ends
/// with [`LeaseEnd::NotOwner`](crate::LeaseEnd::NotOwner); only the leases of that one resource are looked at. What was
/// missed is found out by asking the store about every such lease from time to time.
///
/// - [`new`](Self::new) is for one process: all changes have to go through it, or its clones.
/// - [`shared`](Self::shared) is for many nodes: changes of all nodes are heard.
///
/// Hand it to the layer, and make changes through it. Clones are the same.
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
#[derive(Clone)]
pub struct Owners(Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Arc<dyn OwnerStore>,
    watchers: Watchers<OwnershipChange>,
    pub(super) ties: Ties,
    link: Arc<Link>,
    /// Whether a task asks about the connections that are open.
    is_followed: AtomicBool,
}

impl Owners {
    /// Puts itself around a store of which this process alone makes changes, or that tells nobody of them.
    pub fn new(store: impl OwnerStore) -> Self {
        Self::builder().around(store)
    }

    /// Puts itself around a store that many nodes share: see [`OwnersBuilder::share`].
    ///
    /// # Errors
    ///
    /// What the store answers when it cannot be listened to now.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn shared<S: SharedOwnerStore>(store: S) -> Result<Self, StoreError> {
        Self::builder().share(store).await
    }

    /// Begins owners with settings of their own.
    pub fn builder() -> OwnersBuilder {
        OwnersBuilder {
            policy: CutOffPolicy::default(),
            healing: HEALING,
        }
    }

    /// The owners that stand in a store, or around it from now on.
    pub(super) fn of(store: impl OwnerStore) -> Self {
        match store.as_owners() {
            Some(owners) => owners.clone(),
            None => Self::new(store),
        }
    }

    /// Has a function told of each change, at once and in the task that made it or heard of it: it must be quick, and
    /// not block.
    ///
    /// Over a store that is [shared](Self::shared) a change of this node may be told twice: at once, and as the store
    /// spreads it.
    pub fn on_change(&self, watcher: impl Fn(&OwnershipChange) + Send + Sync + 'static) -> Watch {
        self.0.watchers.add(watcher)
    }

    /// Tells of a change that was made elsewhere, and ends the connections that it shuts out here.
    ///
    /// Only for changes that come by ways of your own: those of a store that is [shared](Self::shared) come by
    /// themselves.
    pub fn announce(&self, change: &OwnershipChange) {
        self.0.announce(change);
    }

    /// Whether this node hears of changes, and could ask the store about the connections that are open: for the health
    /// check of a service.
    ///
    /// # Errors
    ///
    /// [`CutOff`], while that is not so.
    pub fn ready(&self) -> Result<(), CutOff> {
        self.0.link.ready()
    }

    pub(super) fn ties(&self) -> &Ties {
        &self.0.ties
    }

    /// Ends the connection when its right goes from now on, or has gone since its request was decided.
    pub(super) fn tie(&self, connection: &Arc<dyn Tied>, owned: &Owned) {
        self.0.ties.tie(owned.resource(), connection);
        self.ask_from_time_to_time();
        // Whoever is told from now on finds the connection; whoever was told a moment ago has not.
        if owned.seen() != self.0.ties.changes() {
            super::follow::confirm_soon(Arc::clone(connection));
        }
    }

    /// Sees to it that somebody asks about the connections of a store that tells nobody of changes.
    fn ask_from_time_to_time(&self) {
        if self.0.is_followed.load(Ordering::Relaxed) {
            return;
        }
        // Outside a runtime nobody can; the next connection may be inside one.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if !self.0.is_followed.swap(true, Ordering::Relaxed) {
            runtime.spawn(self.follow(Alone, ()));
        }
    }

    fn follow<L: Listen>(&self, store: L, feed: L::Feed) -> impl Future<Output = ()> + use<L> {
        let following = Following {
            store,
            node: Arc::downgrade(&self.0),
        };
        follow(following, feed, Arc::downgrade(&self.0.link))
    }
}

impl Shared {
    pub(super) fn announce(&self, change: &OwnershipChange) {
        for connection in self.ties.changed(change.resource()) {
            let is_shut_out = connection
                .owned()
                .is_some_and(|owned| change.shuts_out(owned.subject(), owned.needed()));
            if is_shut_out {
                connection.lose();
            }
        }
        self.watchers.tell(change);
    }

    /// The task has ended that asked about connections.
    pub(super) fn note_unfollowed(&self) {
        self.is_followed.store(false, Ordering::Relaxed);
    }

    /// Asks about the connections of a resource of which nobody knows whether it has changed.
    fn doubt(&self, resource: &ResourceId) {
        for connection in self.ties.changed(resource) {
            super::follow::confirm_soon(connection);
        }
    }
}

/// Configures [`Owners`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is given a store"]
pub struct OwnersBuilder {
    policy: CutOffPolicy,
    healing: Duration,
}

impl OwnersBuilder {
    /// Sets what becomes of open connections while the store cannot be asked about them, or its changes are not heard.
    ///
    /// Requests always ask the store, whatever the policy: while it does not answer they are refused with 503.
    pub fn with_cut_off_policy(mut self, policy: CutOffPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how often the store is asked about every connection that is open, for changes that were missed; 30 s by
    /// default, 100 ms to a day.
    pub fn with_healing(mut self, interval: Duration) -> Self {
        self.healing = interval;
        self
    }

    /// Puts owners around a store of which this process alone makes changes, or that tells nobody of them.
    pub fn around(self, store: impl OwnerStore) -> Owners {
        Owners(Arc::new(Shared {
            store: Arc::new(store),
            watchers: Watchers::default(),
            ties: Ties::default(),
            link: Arc::new(Link::new("owners", self.policy, self.healing)),
            is_followed: AtomicBool::new(false),
        }))
    }

    /// Puts owners around a store that many nodes share, whose changes all of them hear.
    ///
    /// A task follows the store's feed as long as a clone of the returned value is held. While it cannot, the node is
    /// [cut off](CutOffPolicy): the log says so once, and [`ready`](Owners::ready) does.
    ///
    /// # Errors
    ///
    /// What the store answers when it cannot be listened to now.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn share<S: SharedOwnerStore>(self, store: S) -> Result<Owners, StoreError> {
        let store = Arc::new(store);
        let feed = store.subscribe().await?;
        let owners = self.around(Arc::clone(&store));
        owners.0.is_followed.store(true, Ordering::Relaxed);
        tokio::spawn(owners.follow(store, feed));
        Ok(owners)
    }
}

impl OwnerStore for Owners {
    fn as_owners(&self) -> Option<&Owners> {
        Some(self)
    }

    fn claim_within<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        most: u32,
    ) -> StoreFuture<'a, Claim> {
        // A first claim takes from nobody.
        self.0.store.claim_within(resource, subject, most)
    }

    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
        self.0.store.owner(resource)
    }

    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>> {
        self.0.store.access(resource, subject)
    }

    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let done = self.made(resource, self.0.store.transfer(resource, from, to).await)?;
            if done {
                self.0.announce(&OwnershipChange::Transferred {
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
            let standing =
                self.made(resource, self.0.store.grant(resource, subject, role).await)?;
            if let Some(Standing::Granted(role)) = standing {
                self.0.announce(&OwnershipChange::Granted {
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
            let done = self.made(resource, self.0.store.revoke(resource, subject).await)?;
            if done {
                self.0.announce(&OwnershipChange::Revoked {
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
        self.0.store.list(owner, page)
    }
}

impl Owners {
    /// What the store answered about a change. If it did not, the change may have been made.
    fn made<T>(
        &self,
        resource: &ResourceId,
        answer: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if answer.is_err() {
            self.0.doubt(resource);
        }
        answer
    }
}

impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owners")
            .field("store", &self.0.store)
            .field("ties", &self.0.ties)
            .field("link", &self.0.link)
            .finish_non_exhaustive()
    }
}
