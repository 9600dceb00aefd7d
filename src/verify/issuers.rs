//! [`Issuers`]: who may issue tokens, each with keys and rules of its own.

use std::{collections::HashMap, sync::Arc};

use super::{
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
    by_name: HashMap<Box<str>, usize>,
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
        let name: Box<str> = issuer.into();
        self.max_token_size = self.max_token_size.max(authority.rules.max_token_size);
        if self.by_name.insert(name.clone(), self.list.len()).is_some() {
            return Err(ConfigError::Setting {
                name: "issuers",
                value: name.into(),
                problem: "is named twice: its tokens cannot have two sets of rules",
            });
        }
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

    /// The keys and rules of the issuer of that name.
    pub(super) fn named(&self, issuer: &str) -> Option<&Arc<Authority>> {
        self.list.get(*self.by_name.get(issuer)?)
    }

    /// A token that one of them has verified before, if it is remembered whose it was.
    #[inline]
    pub(super) fn known(&self, bytes: &[u8]) -> Option<Arc<VerifiedToken>> {
        let authority = self.list.get(self.routes.find(bytes)?)?;
        authority.known(bytes)
    }

    /// Notes which of them has verified a token.
    pub(super) fn keep_route(&self, token: &VerifiedToken) {
        let index = token.issuer().and_then(|name| self.by_name.get(name));
        if let Some(index) = index {
            self.routes.keep(token.token().bytes(), *index);
        }
    }

    /// The keys and rules of the issuer that a token names. Nothing else of the token is believed by that, or even read
    /// beyond the name, which is looked at again with all other claims.
    pub(super) fn choose(&self, token: &BearerToken<'_>) -> Result<&Arc<Authority>, Rejection> {
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
        self.named(&issuer)
            .ok_or_else(|| refused(RejectionKind::IssuerMismatch, Found::OtherValue))
    }
}
