//! [`Redeemer`]: what stands behind a ticket that comes with a handshake.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    TicketHash, TicketOffice, TicketRecord,
    office::{Office, Repeated, origin},
};
use crate::{
    BearerToken, CryptoBackend, HeadRef, Rejection, RejectionKind, VerifiedToken, Verifier,
    http_util::ClientAddress,
    request::Found,
    verify::{Authenticate, Authenticated, Authentication},
};

/// Answers for the tickets of one layer, by the rules of its verifiers.
#[derive(Debug)]
pub(crate) struct Redeemer {
    office: TicketOffice,
    verifiers: Arc<[Verifier]>,
}

impl Redeemer {
    /// The first of the verifiers that would have let the token in decides.
    pub(crate) fn new(office: TicketOffice, verifiers: Arc<[Verifier]>) -> Self {
        Self { office, verifiers }
    }
}

impl Authenticate for Redeemer {
    fn authenticate(
        &self,
        token: &BearerToken<'_>,
        head: HeadRef<'_>,
        _: &ClientAddress,
    ) -> Authentication {
        let office = Arc::clone(&self.office.0);
        let Some(shown) = Shown::read(&office, token, head) else {
            return Authentication::Now(Err(RejectionKind::TicketInvalid.into()));
        };
        let verifiers = Arc::clone(&self.verifiers);
        let mut answer = Box::pin(async move { redeem(&office, &verifiers, shown).await });
        // A store in memory answers at once; the first poll by whoever waits registers its waker for all others.
        match answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => Authentication::Now(answer),
            Poll::Pending => Authentication::Later(answer),
        }
    }

    /// A ticket is good for one handshake: what renews the connection is a token, for the first verifier that lets it
    /// in; else what the first one says.
    fn verify_renewal(&self, token: &BearerToken<'_>) -> Authentication {
        let mut refused = None;
        let mut later = Vec::new();
        for verifier in &*self.verifiers {
            match verifier.verify_renewal(token) {
                Authentication::Now(Ok(token)) => return Authentication::Now(Ok(token)),
                Authentication::Now(Err(rejection)) => _ = refused.get_or_insert(rejection),
                Authentication::Later(answer) => later.push(answer),
            }
        }
        let unknown = RejectionKind::Misconfigured;
        if later.is_empty() {
            return Authentication::Now(Err(refused.unwrap_or(unknown.into())));
        }
        Authentication::Later(Box::pin(async move {
            for answer in later {
                match answer.await {
                    Ok(token) => return Ok(token),
                    Err(rejection) => _ = refused.get_or_insert(rejection),
                }
            }
            Err(refused.unwrap_or(unknown.into()))
        }))
    }

    fn now(&self) -> Duration {
        self.office.0.clock.now()
    }

    /// By the strictest of the verifiers: which of them let the token in is not remembered.
    fn accepts_until(&self, token: &VerifiedToken) -> Option<Duration> {
        self.verifiers
            .iter()
            .filter_map(|verifier| verifier.accepts_until(token))
            .min()
    }
}

/// A ticket, and what of the handshake it has to fit.
struct Shown {
    ticket: BearerToken<'static>,
    hash: TicketHash,
    client: Option<String>,
    /// `None` for a path that names no resource, or none for sure.
    resource: Option<BTreeMap<String, String>>,
    origin: Result<Option<String>, Repeated>,
}

impl Shown {
    fn read(office: &Office, ticket: &BearerToken<'_>, head: HeadRef<'_>) -> Option<Self> {
        let hash = TicketHash::of(ticket, office.backend)?;
        let names = office.template.names();
        let resource = match office.template.find(head.requested.path()) {
            Found::Here(values) => {
                let names = names.iter().map(ToString::to_string);
                Some(names.zip(values.into_iter().map(Into::into)).collect())
            }
            Found::Elsewhere | Found::Doubtful => None,
        };
        Some(Self {
            ticket: ticket.clone().into_owned(),
            hash,
            client: office.client_of(head.uri.query()).map(Into::into),
            resource,
            origin: origin(head.headers),
        })
    }

    /// Whether the handshake is the one that the ticket was drawn for.
    fn fits(&self, record: &TicketRecord) -> Result<(), RejectionKind> {
        match (&record.origin, &self.origin) {
            (Some(drawn), Ok(Some(shown))) if drawn == shown => {}
            (None, _) => {}
            _ => return Err(RejectionKind::OriginForeign),
        }
        match &self.resource {
            Some(resource) if *resource == record.resource => Ok(()),
            _ => Err(RejectionKind::ResourceMismatch),
        }
    }
}

async fn redeem(office: &Office, verifiers: &[Verifier], shown: Shown) -> Authenticated {
    let now = office.clock.now();
    let client = shown.client.as_deref();
    let taken = office.store.take(shown.hash, client, now).await;
    let taken = taken
        .map_err(|error| Rejection::new(RejectionKind::StoreUnavailable).with_source(error))?;
    // A store may be late to drop what has expired.
    let record = taken
        .filter(|record| now < record.expires_at())
        .ok_or(RejectionKind::TicketInvalid)?;
    shown.fits(&record)?;
    let recalled = recall(office.backend, verifiers, &record, &shown.ticket)?;
    Ok(Arc::new(recalled))
}

/// Returns the token behind the ticket, by a verifier that has the key which verified it; else what the first one says.
fn recall(
    backend: CryptoBackend,
    verifiers: &[Verifier],
    record: &TicketRecord,
    ticket: &BearerToken<'_>,
) -> Result<VerifiedToken, Rejection> {
    let mut refused = None;
    let is_it = |fingerprint| {
        let authority = TicketRecord::authority(ticket, fingerprint, backend);
        authority.is_some_and(|authority| authority == record.authority)
    };
    for verifier in verifiers {
        match verifier.recall(&record.token, ticket, is_it) {
            Ok(token) => return Ok(token),
            Err(rejection) => _ = refused.get_or_insert(rejection),
        }
    }
    Err(refused.unwrap_or(RejectionKind::Misconfigured.into()))
}
