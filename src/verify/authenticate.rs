//! [`Authenticate`]: whoever can say what stands behind a token that a request carries.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{Verification, VerifiedToken, Verifier, grounds::Standing};
use crate::{
    BearerToken, HeadRef, Rejection, http_util::ClientAddress, keys::Fingerprint, watch::Watch,
};

/// The answer to the question who sent a token.
pub(crate) type Authenticated = Result<Arc<VerifiedToken>, Rejection>;

/// An answer at once, or one that somebody else has to be asked for.
pub(crate) enum Authentication {
    /// Nothing had to be awaited: the way of a verifier with the key at hand.
    Now(Authenticated),
    /// The key, or a store, has to be asked first.
    Later(Pin<Box<dyn Future<Output = Authenticated> + Send>>),
}

/// The function that is called after a change of keys.
pub(crate) type Changed = Arc<dyn Fn() + Send + Sync>;

/// Tells what stands behind a token, each kind of token its own way.
pub(crate) trait Authenticate: fmt::Debug + Send + Sync + 'static {
    /// Says who sent this token.
    ///
    /// `clients` finds the address of the client in `head`, for authenticators that ration work by address. Most need no
    /// address, so it is not looked for ahead of time.
    fn authenticate(
        &self,
        token: &BearerToken<'_>,
        head: HeadRef<'_>,
        clients: &ClientAddress,
    ) -> Authentication;

    /// What stands behind bytes that nobody has looked at, if they are those of a token that was verified before and is
    /// still good. Who has to be asked each time knows nothing.
    fn recall(&self, bytes: &[u8]) -> Option<Arc<VerifiedToken>> {
        let _ = bytes;
        None
    }

    /// Verifies a newer token for a connection that a token of this source has opened: there is no request it came with.
    fn verify_renewal(&self, token: &BearerToken<'_>) -> Authentication;

    /// Returns the fingerprint of the authority and of the key that this token was verified by.
    ///
    /// It is `None` where they are not trusted any more, and for credentials that no authority verifies.
    fn authority_of(&self, token: &VerifiedToken) -> Option<Fingerprint> {
        let _ = token;
        None
    }

    /// Returns whether the grounds on which this token was accepted are still valid.
    fn standing(&self, token: &VerifiedToken) -> Standing {
        let _ = token;
        Standing::Valid
    }

    /// Verifies a token of an open connection again, after its grounds have become void.
    fn verify_again(&self, token: &VerifiedToken) -> Authentication {
        self.verify_renewal(token.token())
    }

    /// Has a function called after each change that may have made grounds void, as long as the watches are held.
    ///
    /// It is called in the task that makes the change: it must be quick, and not block.
    fn watch(&self, changed: &Changed) -> Vec<Watch> {
        let _ = changed;
        Vec::new()
    }

    /// The time by which it judges.
    fn now(&self) -> Duration;

    /// The time from which on it would refuse this token for its age; `None` if there is none.
    fn accepts_until(&self, token: &VerifiedToken) -> Option<Duration>;
}

impl Authenticate for Verifier {
    fn authenticate(
        &self,
        token: &BearerToken<'_>,
        head: HeadRef<'_>,
        clients: &ClientAddress,
    ) -> Authentication {
        settled(self.check_for_layer(token, &|| clients.find(head.headers, head.extensions)))
    }

    fn recall(&self, bytes: &[u8]) -> Option<Arc<VerifiedToken>> {
        self.known(bytes)
    }

    fn verify_renewal(&self, token: &BearerToken<'_>) -> Authentication {
        settled(self.check_for_layer(token, &|| None))
    }

    fn standing(&self, token: &VerifiedToken) -> Standing {
        self.standing(token)
    }

    fn watch(&self, changed: &Changed) -> Vec<Watch> {
        self.watch(changed)
    }

    fn authority_of(&self, token: &VerifiedToken) -> Option<Fingerprint> {
        self.all()
            .find_map(|authority| authority.fingerprint_of(token))
    }

    fn now(&self) -> Duration {
        self.now()
    }

    fn accepts_until(&self, token: &VerifiedToken) -> Option<Duration> {
        self.accepts_until(token)
    }
}

fn settled(verification: Verification) -> Authentication {
    match verification {
        Verification::Verified(token) => Authentication::Now(Ok(token)),
        Verification::Rejected(rejection) => Authentication::Now(Err(rejection)),
        Verification::KeyMissing(wait) => Authentication::Later(wait.into_inner()),
    }
}
