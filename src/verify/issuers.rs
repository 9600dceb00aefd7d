//! [`Issuers`]: who may issue tokens, each with keys and rules of its own.

use std::{collections::HashMap, sync::Arc};

#[cfg(feature = "jwks")]
use super::missing::MissingKey;
use super::{
    attempt::{Asking, Client, Doubt},
    authority::Authority,
    cache::Routes,
    compact::{Compact, Room},
    json,
};
use crate::{
    BearerToken, ConfigError, Rejection, RejectionKind, VerifiedToken,
    refuse::{Claim, Found},
};

/// An allow-list of issuers. What a token says of its issuer chooses the keys that then have to prove it.
#[derive(Default)]
pub(super) struct Issuers {
    /// The places in `list` of the key sets of an issuer: one at least.
    by_name: HashMap<Box<str>, Vec<usize>>,
    list: Vec<Arc<Authority>>,
    routes: Routes,
    /// The longest token that any of them reads.
    max_token_size: usize,
}

impl Issuers {
    pub(super) fn add(&mut self, authority: Arc<Authority>) -> Result<(), ConfigError> {
        let issuer = authority.rules.issuer.as_deref();
        let issuer = issuer.ok_or(ConfigError::Missing {
            name: "with_issuer",
            problem: "among several issuers each needs its name",
        })?;
        let wrong = |problem| {
            Err(ConfigError::Setting {
                name: "issuers",
                value: issuer.to_owned(),
                problem,
            })
        };
        for other in self.named(issuer) {
            if other.shares_a_key_with(&authority) {
                return wrong(
                    "is named twice with the same key or provider: its tokens cannot have two sets of rules",
                );
            }
            if other.introspects() || authority.introspects() {
                return wrong(
                    "has an introspection endpoint beside another verifier: only one of them can know its tokens",
                );
            }
        }
        self.max_token_size = self.max_token_size.max(authority.rules.max_token_size);
        let places = self.by_name.entry(issuer.into()).or_default();
        places.push(self.list.len());
        self.list.push(authority);
        Ok(())
    }

    pub(super) fn checked(self) -> Result<Self, ConfigError> {
        if self.by_name.is_empty() {
            return Err(ConfigError::Missing {
                name: "issuers",
                problem: "without an issuer no token can be verified",
            });
        }
        Ok(self)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Authority>> {
        self.list.iter()
    }

    /// The key sets of the issuer of that name, each with its rules.
    pub(super) fn named(&self, issuer: &str) -> impl Iterator<Item = &Arc<Authority>> {
        let places = self.by_name.get(issuer).into_iter().flatten();
        places.filter_map(|place| self.list.get(*place))
    }

    /// A token that one of them has verified before, if it is remembered whose it was.
    #[inline]
    pub(super) fn known(&self, bytes: &[u8]) -> Option<Arc<VerifiedToken>> {
        let authority = self.list.get(self.routes.find(bytes)?)?;
        authority.known(bytes)
    }

    /// Verifies with the keys of this moment: with those of the issuer that the token names.
    pub(super) fn attempt(
        &self,
        token: &BearerToken<'_>,
        client: Client<'_>,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        if let Some(known) = self.known(token.bytes()) {
            return Ok(known);
        }
        match *self.choose(token)? {
            [place] => self.attempt_at(place, token, Asking::Allowed, client),
            ref places => self.attempt_each(places, token, client),
        }
    }

    /// Verifies with the key set at this place, and notes it if that succeeds.
    fn attempt_at(
        &self,
        place: usize,
        token: &BearerToken<'_>,
        asking: Asking,
        client: Client<'_>,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        let authority = self.list.get(place).ok_or(RejectionKind::IssuerMismatch)?;
        let verified = authority.attempt(token, asking, client)?;
        self.routes.keep(token.bytes(), place);
        Ok(verified)
    }

    /// Verifies with each key set of one issuer, first with the keys at hand. A provider is asked only where none of them
    /// verifies the token.
    #[cold]
    fn attempt_each(
        &self,
        places: &[usize],
        token: &BearerToken<'_>,
        client: Client<'_>,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        let mut refused = Rejection::new(RejectionKind::AlgorithmNotAllowed);
        let mut keyless = Vec::new();
        for place in places {
            match self.attempt_at(*place, token, Asking::Over, client) {
                Ok(verified) => return Ok(verified),
                Err(doubt) => {
                    let rejection = doubt.rejection();
                    if rank(rejection.kind()) != SIGNATURE_INVALID {
                        keyless.push(*place);
                    }
                    refused = more_telling(refused, rejection);
                }
            }
        }
        if rank(refused.kind()) == KEY_FOUND {
            return Err(refused.into());
        }
        #[cfg(feature = "jwks")]
        let mut missing: Option<MissingKey> = None;
        for place in keyless {
            match self.attempt_at(place, token, Asking::Allowed, client) {
                Ok(verified) => return Ok(verified),
                #[cfg(feature = "jwks")]
                Err(Doubt::KeyMissing(key)) => {
                    missing = Some(match missing {
                        Some(first) => first.or(key),
                        None => key,
                    });
                }
                Err(doubt) => refused = more_telling(refused, doubt.rejection()),
            }
        }
        #[cfg(feature = "jwks")]
        if let Some(missing) = missing {
            return Err(Doubt::KeyMissing(missing));
        }
        Err(refused.into())
    }

    /// The key sets of the issuer that a token names. Nothing else of the token is believed by that, or even read
    /// beyond the name, which is looked at again with all other claims.
    fn choose(&self, token: &BearerToken<'_>) -> Result<&[usize], Rejection> {
        let compact = Compact::split(token.bytes(), self.max_token_size)?;
        let mut room = Room::<2048>::new();
        let payload = room.decode_text(compact.payload)?;
        let mut issuer = None;
        let end = json::scan_while(payload, |name, value| {
            if name == b"iss" {
                issuer = Some(value);
            }
            issuer.is_none()
        });
        // The signature has not been checked, so the value is not shown.
        let refused = |kind, found| Rejection::of_claim(kind, Claim::Issuer, found);
        let absent = || refused(RejectionKind::IssuerMismatch, Found::Absent);
        let issuer = match (issuer, end) {
            (Some(value), _) if value.is_null(payload) => return Err(absent()),
            (Some(value), _) => value
                .string(payload)
                .ok_or_else(|| refused(RejectionKind::ClaimInvalid, Found::WrongType))?,
            (None, Ok(())) => return Err(absent()),
            (None, Err(json::Invalid)) => return Err(RejectionKind::TokenMalformed.into()),
        };
        self.by_name
            .get(&*issuer)
            .map(Vec::as_slice)
            .ok_or_else(|| refused(RejectionKind::IssuerMismatch, Found::OtherValue))
    }
}

/// Ranks of what several key sets of one issuer say of a token; the highest is the most telling.
const SIGNATURE_INVALID: u8 = 2;
const KEY_FOUND: u8 = 4;

/// Ranks a refusal of one key set by how much it tells about a token that another one may have signed.
const fn rank(kind: RejectionKind) -> u8 {
    match kind {
        RejectionKind::AlgorithmNotAllowed => 0,
        RejectionKind::KeyUnknown => 1,
        RejectionKind::SignatureInvalid => SIGNATURE_INVALID,
        // A key that cannot be had may be the right one: our trouble comes before the token's.
        RejectionKind::KeysUnavailable => 3,
        _ => KEY_FOUND,
    }
}

/// The more telling one of two refusals by key sets of one issuer; the first one where they tell as much.
pub(super) fn more_telling(first: Rejection, second: Rejection) -> Rejection {
    if rank(second.kind()) > rank(first.kind()) {
        second
    } else {
        first
    }
}
