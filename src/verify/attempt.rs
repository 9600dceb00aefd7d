//! One attempt to verify a token with the keys of this moment: by what is remembered, or by all doubts in their order.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

#[cfg(feature = "introspection")]
use super::introspection::Question;
#[cfg(feature = "jwks")]
use super::missing::MissingKey;
use super::{
    authority::{Authority, KeySource},
    cache::Place,
    claims::Members,
    compact::{Compact, Room},
    grounds::Grounds,
    header::Header,
    rules::{CONNECTION_TYPE, is_media_type},
    snapshot::{HeaderOnce, Snapshot},
    token::{CredentialKind, VerifiedToken, Vouched},
};
#[cfg(feature = "jwks")]
use crate::keys::Refresher;
use crate::{BearerToken, Rejection, RejectionKind};

/// Finds the address of the client, where it can be known. Few tokens need it, so it is not looked for ahead of time.
pub(crate) type Client<'c> = &'c dyn Fn() -> Option<IpAddr>;

/// Why a token is not verified, or not yet.
pub(super) enum Doubt {
    /// It will not do.
    Rejected(Rejection),
    /// Its key may be on the way.
    #[cfg(feature = "jwks")]
    KeyMissing(MissingKey),
    /// Its provider is being asked about it.
    #[cfg(feature = "introspection")]
    Asked(Question),
}

/// Whether a provider may be asked for a key that is not at hand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asking {
    Allowed,
    /// It was being asked when the token came: its answer may be older than the token.
    #[cfg_attr(not(feature = "jwks"), allow(dead_code))]
    Again,
    /// It has just been asked.
    #[cfg_attr(not(feature = "jwks"), allow(dead_code))]
    Over,
}

/// A token on its way through the doubts.
struct Candidate<'a, 't> {
    token: &'a BearerToken<'t>,
    compact: Compact<'a>,
    now: Duration,
    met: Option<Met<'a>>,
}

/// What the keys of this moment have made known of a token that comes under a header which one of them has signed.
struct Met<'a> {
    header: &'a Arc<Header<'static>>,
    place: Option<Place<'a>>,
}

impl<'a> Candidate<'a, '_> {
    fn bytes(&self) -> &'a [u8] {
        self.token.bytes()
    }

    /// Its header, which is read in this room if it was not met.
    fn header<'h, const N: usize>(
        &self,
        room: &'h mut Room<N>,
    ) -> Result<HeaderOnce<'a, 'h>, RejectionKind> {
        Ok(match &self.met {
            Some(met) => HeaderOnce::Known(met.header),
            None => HeaderOnce::Fresh(Header::parse(room.decode_text(self.compact.header)?)?),
        })
    }

    /// Looks whether its header was met. If it was not, the token is not looked for: none of the keys may have signed it.
    fn meet(&mut self, snapshot: &'a Snapshot) {
        let header = snapshot.headers.find(self.compact.header);
        self.met = header.map(|header| Met {
            header,
            place: snapshot.place(self.bytes()),
        });
    }
}

impl Authority {
    /// Verifies with the keys of this moment.
    #[cfg_attr(not(feature = "introspection"), allow(unused_variables))]
    pub(super) fn attempt(
        self: &Arc<Self>,
        token: &BearerToken<'_>,
        asking: Asking,
        client: Client<'_>,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        #[cfg(feature = "introspection")]
        if let KeySource::None(introspector) = &self.keys {
            return introspector.attempt(self, token, client);
        }
        let mut candidate = Candidate {
            token,
            compact: Compact::split(token.bytes(), self.rules.max_token_size)?,
            now: self.clock.now(),
            met: None,
        };
        match &self.keys {
            KeySource::Given { snapshot, .. } => {
                let snapshot = snapshot.load();
                candidate.meet(&snapshot);
                if let Some(known) = self.recall_met(&candidate) {
                    return Ok(known?);
                }
                Ok(self.doubt(&snapshot, &candidate)?)
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => {
                let current = refresher.current(candidate.now);
                let keys = current.get().map(|keys| (&*keys.value, keys.epoch()));
                if let Some((snapshot, _)) = keys {
                    candidate.meet(snapshot);
                }
                if let Some(known) = self.recall_met(&candidate) {
                    return Ok(known?);
                }
                self.doubt_or_ask(refresher, keys, &candidate, asking)
            }
            #[cfg(feature = "introspection")]
            KeySource::None(_) => Err(RejectionKind::KeysUnavailable.into()),
        }
    }

    /// The token as it was verified before, with these keys and rules, or what time has made of it.
    #[inline]
    fn recall(
        &self,
        place: Option<Place<'_>>,
        token: &[u8],
        now: impl FnOnce() -> Duration,
    ) -> Option<Result<Arc<VerifiedToken>, Rejection>> {
        let known = place?.find(token)?;
        let still = known.claims.check_times(&self.rules, now());
        Some(still.map(|()| known))
    }

    /// The same for a token under a header that was met.
    #[inline]
    fn recall_met(
        &self,
        candidate: &Candidate<'_, '_>,
    ) -> Option<Result<Arc<VerifiedToken>, Rejection>> {
        let place = candidate.met.as_ref()?.place;
        self.recall(place, candidate.bytes(), || candidate.now)
    }

    /// The token of these bytes, whatever they are, if it was verified before and is still good.
    #[inline]
    pub(super) fn known(&self, token: &[u8]) -> Option<Arc<VerifiedToken>> {
        // Where nothing is remembered, the keys need not be held for that.
        self.rules.cache.as_ref()?;
        let known = match &self.keys {
            KeySource::Given { snapshot, .. } => {
                self.recall(snapshot.load().place(token), token, || self.clock.now())
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => {
                let now = self.clock.now();
                let current = refresher.current(now);
                self.recall(current.get()?.value.place(token), token, || now)
            }
            #[cfg(feature = "introspection")]
            KeySource::None(_) => None,
        };
        known?.ok()
    }

    /// Doubts a token with keys that were given.
    fn doubt(
        &self,
        snapshot: &Snapshot,
        candidate: &Candidate<'_, '_>,
    ) -> Result<Arc<VerifiedToken>, Rejection> {
        let mut room = Room::<512>::new();
        let header = candidate.header(&mut room)?;
        self.verify(snapshot, candidate, &header)
    }

    /// Doubts a token with the keys of a provider, who is asked if none of them will do.
    #[cfg(feature = "jwks")]
    fn doubt_or_ask(
        self: &Arc<Self>,
        refresher: &Refresher<Snapshot>,
        keys: Option<(&Snapshot, u64)>,
        candidate: &Candidate<'_, '_>,
        asking: Asking,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        let snapshot = keys.map(|(snapshot, _)| snapshot);
        let mut room = Room::<512>::new();
        let header = candidate.header(&mut room)?;
        let rejection = match snapshot {
            None => RejectionKind::KeysUnavailable.into(),
            Some(snapshot) => match self.verify(snapshot, candidate, &header) {
                Ok(verified) => return Ok(verified),
                Err(rejection) => rejection,
            },
        };
        let keyless = matches!(
            rejection.kind(),
            RejectionKind::KeysUnavailable
                | RejectionKind::KeyUnknown
                | RejectionKind::AlgorithmNotAllowed
        );
        if !keyless {
            return Err(rejection.into());
        }
        Err(self.ask(refresher, header.get(), keys, candidate.now, asking))
    }

    fn verify(
        &self,
        snapshot: &Snapshot,
        candidate: &Candidate<'_, '_>,
        header: &HeaderOnce<'_, '_>,
    ) -> Result<Arc<VerifiedToken>, Rejection> {
        let Candidate {
            token,
            compact,
            now,
            ..
        } = *candidate;
        let rules = &self.rules;
        let mut keys = snapshot.keys_for(header.get(), rules)?;
        let place = match &candidate.met {
            Some(met) => met.place,
            // More headers are in use than are noted, or this is the first token under its own.
            None => {
                let place = snapshot.place(candidate.bytes());
                if let Some(known) = self.recall(place, candidate.bytes(), || now) {
                    return known;
                }
                place
            }
        };

        let mut room = Room::<2048>::new();
        let payload = room.decode_text(compact.payload)?;
        let mut members = Members::default();
        members.find(payload, rules, now)?;

        let mut room = Room::<1024>::new();
        let signature = room.decode(compact.signature)?;
        let key = keys
            .find(|key| key.verifies(compact.signed, signature))
            .ok_or(RejectionKind::SignatureInvalid)?;
        let claims = members.judge(payload, rules, now)?;
        let media_type = header.get().media_type.as_deref();
        // A connection token has a type of its own, in place of the one that is configured: the layer decides about it.
        let kind = match is_media_type(media_type, CONNECTION_TYPE) {
            true => CredentialKind::ConnectionToken,
            false => CredentialKind::Token,
        };
        if kind == CredentialKind::Token {
            rules.token_type.check(media_type)?;
        }
        let verified = Arc::new(VerifiedToken {
            token: token.copied(),
            vouched: Vouched::Issuer,
            kind,
            grounds: Grounds::Keys {
                set: snapshot.number,
                key: key.fingerprint(),
            },
            header: Some(match header {
                HeaderOnce::Known(known) => Arc::clone(known),
                HeaderOnce::Fresh(fresh) => snapshot.headers.keep(compact.header, fresh.clone()),
            }),
            payload: payload.into(),
            claims,
            typed: OnceLock::new(),
        });
        // No doubt is left: this alone is remembered.
        if let Some(place) = place {
            place.keep(&verified);
        }
        Ok(verified)
    }
}

impl Doubt {
    /// What it comes to if nobody waits.
    pub(super) fn rejection(self) -> Rejection {
        match self {
            Self::Rejected(rejection) => rejection,
            #[cfg(feature = "jwks")]
            Self::KeyMissing(_) => RejectionKind::KeysUnavailable.into(),
            #[cfg(feature = "introspection")]
            Self::Asked(_) => RejectionKind::KeysUnavailable.into(),
        }
    }
}

impl From<RejectionKind> for Doubt {
    fn from(kind: RejectionKind) -> Self {
        Self::Rejected(kind.into())
    }
}

impl From<Rejection> for Doubt {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}
