//! [`Redeemer`]: what stands behind a ticket that comes with a handshake.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{TicketHash, TicketOffice, TicketRecord, office::Office};
use crate::{
    BearerToken, HeadRef, Rejection, RejectionKind, VerifiedToken, Verifier,
    http_util::ClientAddress,
    keys::Fingerprint,
    request::{Found, Page},
    verify::{
        Authenticate, Authenticated, Authentication, Changed, CredentialKind, Remembered, Standing,
    },
    watch::Watch,
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

    fn standing(&self, token: &VerifiedToken) -> Standing {
        let standings = self.verifiers.iter().map(|it| it.standing(token));
        let valid = standings.filter(|standing| *standing != Standing::Void);
        valid.into_iter().next().unwrap_or(Standing::Void)
    }

    /// Recalls the record of a ticket once more. Verifies a token that has renewed the connection.
    fn verify_again(&self, token: &VerifiedToken) -> Authentication {
        if token.kind() != CredentialKind::Ticket {
            return self.verify_renewal(token.token());
        }
        let remembered = token.remember();
        #[cfg(feature = "introspection")]
        if remembered.rests_on_an_answer() {
            return self.ask_again(remembered, token.token());
        }
        let key = token.key();
        let is_it = |fingerprint| key == Some(fingerprint);
        let recalled = recall(&self.verifiers, &remembered, token.token(), is_it);
        Authentication::Now(recalled.map(Arc::new))
    }

    fn watch(&self, changed: &Changed) -> Vec<Watch> {
        let watches = self.verifiers.iter().map(|it| it.watch(changed));
        watches.flatten().collect()
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

#[cfg(feature = "introspection")]
impl Redeemer {
    /// Asks the provider again about the token behind a ticket. Where its text is not at hand, the connection has expired.
    fn ask_again(&self, remembered: Remembered, ticket: &BearerToken<'_>) -> Authentication {
        let mut verifiers = self.verifiers.iter();
        let asked = verifiers.find_map(|verifier| verifier.ask_again(&remembered));
        let Some(answer) = asked else {
            return Authentication::Now(Err(RejectionKind::TokenExpired.into()));
        };
        let (verifiers, ticket) = (Arc::clone(&self.verifiers), ticket.clone().into_owned());
        let recalled = move |newer: &VerifiedToken| {
            // The authority that has accepted the token before has just been asked.
            recall(&verifiers, &remembered.renewed_by(newer), &ticket, |_| true).map(Arc::new)
        };
        match answer {
            Authentication::Now(answer) => Authentication::Now(answer.and_then(|it| recalled(&it))),
            Authentication::Later(answer) => {
                Authentication::Later(Box::pin(async move { recalled(&*answer.await?) }))
            }
        }
    }
}

/// A ticket, and what of the handshake it has to fit.
struct Shown {
    ticket: BearerToken<'static>,
    hash: TicketHash,
    client: Option<String>,
    /// `None` for a path that names no resource, or none for sure.
    resource: Option<BTreeMap<String, String>>,
    page: Page,
}

impl Shown {
    fn read(office: &Office, ticket: &BearerToken<'_>, head: HeadRef<'_>) -> Option<Self> {
        let hash = TicketHash::of(ticket, office.backend)?;
        let names = office.template.names();
        let resource = match office.template.find_routed(head.requested, head.uri) {
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
            page: Page::of(head),
        })
    }

    /// Whether the handshake is the one that the ticket was drawn for.
    fn fits(&self, record: &TicketRecord) -> Result<(), RejectionKind> {
        if let Some(drawn) = &record.origin
            && !self.page.is_of(drawn)
        {
            return Err(RejectionKind::OriginForeign);
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
    let is_it = |fingerprint| {
        let authority = TicketRecord::authority(&shown.ticket, fingerprint, office.backend);
        authority.is_some_and(|authority| authority == record.authority)
    };
    let recalled = recall(verifiers, &record.token, &shown.ticket, is_it)?;
    Ok(Arc::new(recalled))
}

/// Returns the token behind the ticket, by a verifier that has the key which verified it; else what the first one says.
fn recall(
    verifiers: &[Verifier],
    remembered: &Remembered,
    ticket: &BearerToken<'_>,
    is_it: impl Fn(Fingerprint) -> bool,
) -> Result<VerifiedToken, Rejection> {
    let mut refused = None;
    for verifier in verifiers {
        match verifier.recall(remembered, ticket, &is_it) {
            Ok(token) => return Ok(token),
            Err(rejection) => _ = refused.get_or_insert(rejection),
        }
    }
    Err(refused.unwrap_or(RejectionKind::Misconfigured.into()))
}
