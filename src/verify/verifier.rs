//! [`Verifier`]: who is trusted, and what is said about a token.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    attempt::{Asking, Client, Doubt},
    authenticate::Changed,
    authority::Authority,
    builder::VerifierBuilder,
    grounds::{Grounds, Standing},
    issuers::Issuers,
    token::{CredentialKind, VerifiedToken},
    wait::{KeyWait, Verification},
};
#[cfg(feature = "introspection")]
use crate::Introspection;
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{BearerToken, ConfigError, Rejection, RejectionKind, keys::Keys, watch::Watch};

/// Verifies tokens: one set of keys, one set of rules.
///
/// Cloning it costs a pointer, and every clone sees a [`reload`](Self::reload).
///
/// # Examples
///
/// ```
/// use tower_warden::{BearerToken, Keys, RejectionKind, SigningKey, TokenIssuer, Verifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = Verifier::builder(Keys::hs256(["a secret of at least 32 bytes, from a safe place"])?)
///     .with_issuer("https://id.example")
///     .with_audience("orders")
///     .build()?;
///
/// let issuer = TokenIssuer::builder(SigningKey::hs256("a secret of at least 32 bytes, from a safe place")?)
///     .with_issuer("https://id.example")
///     .with_audience("orders")
///     .build()?;
/// let token = verifier.verify(&issuer.mint("alice").with_scopes(["read"]).sign()?)?;
/// assert_eq!(token.subject(), Some("alice"));
/// assert!(token.has_scope("read"));
///
/// let refused = verifier.verify(&BearerToken::new("a.b.c")).unwrap_err();
/// assert_eq!(refused.kind(), RejectionKind::TokenMalformed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Verifier {
    trust: Trust,
}

#[derive(Clone)]
enum Trust {
    One(Arc<Authority>),
    Many(Arc<Issuers>),
}

impl Verifier {
    /// Begins a verifier that trusts these keys; [`VerifierBuilder::build`] ends it.
    pub fn builder(keys: Keys) -> VerifierBuilder {
        VerifierBuilder::new(keys)
    }

    /// Begins a verifier that trusts this issuer, whose keys are found by its discovery document and kept fresh; see
    /// [`RemoteKeys::discover`]. Tokens have to name the issuer.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn discover(issuer: impl Into<String>) -> VerifierBuilder<RemoteKeys> {
        Self::remote(RemoteKeys::discover(issuer))
    }

    /// Begins a verifier that trusts the keys of the JWK Set at this address, kept fresh; see [`RemoteKeys::jwks`].
    ///
    /// Whose keys they are has to be said by [`with_issuer`](VerifierBuilder::with_issuer).
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn jwks(url: impl Into<String>) -> VerifierBuilder<RemoteKeys> {
        Self::remote(RemoteKeys::jwks(url))
    }

    /// Begins a verifier that trusts the keys of a provider.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn remote(keys: RemoteKeys) -> VerifierBuilder<RemoteKeys> {
        let issuer = keys.issuer().map(str::to_owned);
        let builder = VerifierBuilder::new(keys);
        match issuer {
            Some(issuer) => builder.with_issuer(issuer),
            None => builder,
        }
    }

    /// Begins a verifier of opaque tokens, which the provider knows and nobody can read; see [`Introspection`]. The rules
    /// are those of JWTs.
    #[cfg(feature = "introspection")]
    #[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
    pub fn introspect(introspection: Introspection) -> VerifierBuilder<Introspection> {
        let issuer = introspection.issuer().map(str::to_owned);
        let builder = VerifierBuilder::new(introspection);
        match issuer {
            Some(issuer) => builder.with_issuer(issuer),
            None => builder,
        }
    }

    /// Trusts several issuers: a token is verified by the one of these verifiers whose issuer it names in `iss`, with
    /// the keys, audiences and rules of that one alone. An issuer that is not in the list is refused.
    ///
    /// One issuer may have several verifiers, such as one of a secret and one of a JWK Set while it migrates. The first one
    /// whose key verifies the token and whose rules accept it decides.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] without any verifier, or for one without [issuer](VerifierBuilder::with_issuer);
    /// [`ConfigError::Setting`] if two of one issuer have the same key or provider, or if one of them asks an
    /// introspection endpoint.
    ///
    /// # Examples
    ///
    /// One issuer that moves from a secret to a JWK Set:
    ///
    /// ```
    /// # #[cfg(feature = "jwks")]
    /// # async fn build() -> Result<(), tower_warden::ConfigError> {
    /// use tower_warden::{JwtAuthLayer, Keys, Verifier};
    ///
    /// let secret = "a secret of at least 32 bytes, from a safe place";
    /// let old = Verifier::builder(Keys::hs256([secret])?).with_issuer("https://id.example");
    /// let new = Verifier::jwks("https://id.example/jwks.json").with_issuer("https://id.example");
    /// let auth = JwtAuthLayer::verifier(Verifier::issuers([old.build()?, new.build().await?])?).build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Two realms, each with an audience of its own; for the tenants of Entra, see
    /// [`RemoteKeys::with_tenants`](crate::RemoteKeys::with_tenants).
    ///
    /// ```
    /// # #[cfg(feature = "jwks")]
    /// # async fn build() -> Result<(), tower_warden::ConfigError> {
    /// use tower_warden::Verifier;
    ///
    /// let staff = Verifier::discover("https://id.example/realms/staff").with_audience("orders");
    /// let partners = Verifier::discover("https://id.example/realms/partners").with_audience("orders-partners");
    /// let verifier = Verifier::issuers([staff.build().await?, partners.build().await?])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn issuers(verifiers: impl IntoIterator<Item = Self>) -> Result<Self, ConfigError> {
        let mut issuers = Issuers::default();
        for verifier in verifiers {
            match verifier.trust {
                Trust::One(authority) => issuers.add(authority)?,
                Trust::Many(others) => {
                    for authority in others.all() {
                        issuers.add(Arc::clone(authority))?;
                    }
                }
            }
        }
        Ok(Self {
            trust: Trust::Many(Arc::new(issuers.checked()?)),
        })
    }

    pub(super) fn of(authority: Authority) -> Self {
        Self {
            trust: Trust::One(Arc::new(authority)),
        }
    }

    /// Verifies a token, cheapest doubt first: size, form, header, algorithm and key, claims that can be read, expiry,
    /// signature, and then what the claims say ([RFC 8725], [RFC 7519 §7.2]). A token that has expired is refused where it
    /// says so, whatever else stands in it.
    ///
    /// A [connection token](crate::TokenIssuer::connection_token) is refused as
    /// [`TypeMismatch`](RejectionKind::TypeMismatch): only a layer with its [binding](crate::ResourceBinding) accepts it.
    ///
    /// It waits for nobody. If a provider has to be asked for the key, that begins in the background, and the token is
    /// refused as [`KeysUnavailable`](RejectionKind::KeysUnavailable) until then: [`check`](Self::check) can wait.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] whose [kind](Rejection::kind) says which doubt remained. It never holds a part of the token.
    ///
    /// [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725
    /// [RFC 7519 §7.2]: https://www.rfc-editor.org/rfc/rfc7519#section-7.2
    pub fn verify(&self, token: &BearerToken<'_>) -> Result<Arc<VerifiedToken>, Rejection> {
        for_any_resource(self.attempt(token, &|| None).map_err(Doubt::rejection)?)
    }

    /// Verifies a token on the spot if its key is at hand, and says so if it has to be waited for.
    ///
    /// A connection token is refused, as by [`verify`](Self::verify).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_warden::{BearerToken, Rejection, Verification, VerifiedToken, Verifier};
    ///
    /// async fn verify(verifier: &Verifier, token: &BearerToken<'_>) -> Result<Arc<VerifiedToken>, Rejection> {
    ///     match verifier.check(token) {
    ///         Verification::Verified(token) => Ok(token),
    ///         // The key may be on its way: 2 s at most by default.
    ///         other => other.settled().await,
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn check(&self, token: &BearerToken<'_>) -> Verification {
        match self.check_for_layer(token, &|| None) {
            Verification::Verified(token) => match for_any_resource(token) {
                Ok(token) => Verification::Verified(token),
                Err(rejection) => Verification::Rejected(rejection),
            },
            Verification::KeyMissing(wait) => {
                Verification::KeyMissing(KeyWait::new(async move { for_any_resource(wait.await?) }))
            }
            rejected @ Verification::Rejected(_) => rejected,
        }
    }

    /// Verifies a token as [`check`](Self::check) does, and connection tokens too: the layer decides about those. It is for
    /// the client at this address.
    pub(super) fn check_for_layer(
        &self,
        token: &BearerToken<'_>,
        client: Client<'_>,
    ) -> Verification {
        match self.attempt(token, client) {
            Ok(verified) => Verification::Verified(verified),
            Err(Doubt::Rejected(rejection)) => Verification::Rejected(rejection),
            #[cfg(feature = "jwks")]
            Err(Doubt::KeyMissing(missing)) => {
                Verification::KeyMissing(KeyWait::new(missing.settle(token.copied())))
            }
            #[cfg(feature = "introspection")]
            Err(Doubt::Asked(question)) => {
                Verification::KeyMissing(KeyWait::new(question.settle()))
            }
        }
    }

    /// Whether tokens can be verified: for the health check of a service. Only keys of a provider can be missing.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.all().all(|authority| authority.ready())
    }

    /// How long ago the keys were fetched, the oldest ones if there are several issuers. `None` as long as there are
    /// none, and for keys that were given.
    #[must_use]
    pub fn keys_age(&self) -> Option<Duration> {
        self.all()
            .filter_map(|authority| authority.keys_age())
            .max()
    }

    /// Fetches the keys of all providers now, one after the other, whenever they would be due. Keys that were given
    /// stay.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Keys`] with the first provider that did not answer as it should; its former keys stay in use.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub async fn refresh(&self) -> Result<(), ConfigError> {
        let (mut answer, mut asked) = (Ok(()), Vec::<&Arc<Authority>>::new());
        for authority in self.all() {
            // Tenants of one provider share its keys.
            if asked.iter().any(|other| authority.shares_keys_with(other)) {
                continue;
            }
            asked.push(authority);
            answer = answer.and(authority.refresh().await);
        }
        answer
    }

    /// Replaces the keys, for this verifier and all its clones, from the next token on. The rules stay.
    ///
    /// Open [leases](crate::Lease) whose tokens the new keys refuse end within moments: in a tokio runtime by a task, outside
    /// of any before this returns.
    ///
    /// # Errors
    ///
    /// As for [`VerifierBuilder::build`]; the former keys then stay in use. [`ConfigError::Setting`] if the keys are a
    /// provider's, or if there are several issuers.
    pub fn reload(&self, keys: Keys) -> Result<(), ConfigError> {
        match &self.trust {
            Trust::One(authority) => authority.reload(&keys),
            Trust::Many(_) => Err(ConfigError::Setting {
                name: "reload",
                value: String::from("(several issuers)"),
                problem: "reload the verifier of the issuer",
            }),
        }
    }

    /// Returns whether the grounds on which a token was accepted are still valid.
    pub(super) fn standing(&self, token: &VerifiedToken) -> Standing {
        match token.grounds {
            Grounds::Keys { set, .. } => {
                let mut authorities = self.all();
                match authorities.any(|authority| authority.key_set() == Some(set)) {
                    true => Standing::Valid,
                    false => Standing::Void,
                }
            }
            Grounds::Answer { until, .. } => Standing::Until(until),
            Grounds::Ourselves => Standing::Valid,
        }
    }

    /// Has a function called after each change of keys.
    pub(super) fn watch(&self, changed: &Changed) -> Vec<Watch> {
        self.all()
            .filter_map(|authority| authority.watch(changed))
            .collect()
    }

    /// The time by which it judges; all its issuers' clocks are taken for one.
    pub(super) fn now(&self) -> Duration {
        self.all()
            .map(|authority| authority.clock.now())
            .next()
            .unwrap_or_default()
    }

    /// The time from which on it would refuse a token of its own for its age.
    pub(super) fn accepts_until(&self, token: &VerifiedToken) -> Option<Duration> {
        let until = |authority: &Arc<Authority>| token.claims.accepted_until(&authority.rules);
        match &self.trust {
            Trust::One(authority) => until(authority),
            // Of several key sets with rules of their own the strictest counts.
            Trust::Many(issuers) => issuers.named(token.issuer()?).filter_map(until).min(),
        }
    }

    /// Verifies with the keys of this moment.
    #[inline]
    fn attempt(
        &self,
        token: &BearerToken<'_>,
        client: Client<'_>,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        match &self.trust {
            Trust::One(authority) => authority.attempt(token, Asking::Allowed, client),
            Trust::Many(issuers) => issuers.attempt(token, client),
        }
    }

    /// The token of these bytes, whatever they are, if it was verified before and is still good.
    #[inline]
    pub(super) fn known(&self, bytes: &[u8]) -> Option<Arc<VerifiedToken>> {
        match &self.trust {
            Trust::One(authority) => authority.known(bytes),
            Trust::Many(issuers) => issuers.known(bytes),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Authority>> {
        let (one, many) = match &self.trust {
            Trust::One(authority) => (Some(authority), None),
            Trust::Many(issuers) => (None, Some(issuers.all())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// Refuses a connection token where no binding compares its resource.
fn for_any_resource(token: Arc<VerifiedToken>) -> Result<Arc<VerifiedToken>, Rejection> {
    match token.kind() {
        CredentialKind::ConnectionToken => Err(RejectionKind::TypeMismatch.into()),
        _ => Ok(token),
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
