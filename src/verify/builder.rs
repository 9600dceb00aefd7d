//! [`VerifierBuilder`]: the rules of a [`Verifier`](crate::Verifier), each with a default that is safe; `build` ends it.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;

use super::{
    CacheConfig, CryptoBackend,
    path::ClaimPath,
    rules::{Audience, Presence, Profile, Rules, TokenType},
};
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{Clock, Keys, SystemClock};

/// Builds a [`Verifier`](crate::Verifier). Whatever is not set here is as strict as it can be without knowing the application.
#[derive(Debug)]
#[must_use = "a verifier begins with `build`"]
pub struct VerifierBuilder<K = Keys> {
    pub(super) keys: K,
    pub(super) rules: Rules,
    /// Whether the check of the audience was given up: at odds with naming one.
    pub(super) any_audience: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) backend: Option<CryptoBackend>,
    /// Whether the check of the issuer was given up where it is demanded.
    #[cfg(feature = "jwks")]
    pub(super) any_issuer: bool,
    /// Whether building does not wait for the first keys.
    #[cfg(feature = "jwks")]
    pub(super) lazy: bool,
}

impl VerifierBuilder<()> {
    /// Gives the rules keys again.
    pub(super) fn with_keys<K>(self, keys: K) -> VerifierBuilder<K> {
        VerifierBuilder {
            keys,
            rules: self.rules,
            any_audience: self.any_audience,
            clock: self.clock,
            backend: self.backend,
            #[cfg(feature = "jwks")]
            any_issuer: self.any_issuer,
            #[cfg(feature = "jwks")]
            lazy: self.lazy,
        }
    }
}

impl<K> VerifierBuilder<K> {
    pub(crate) fn new(keys: K) -> Self {
        Self {
            keys,
            rules: Rules::default(),
            any_audience: false,
            clock: Arc::new(SystemClock),
            backend: None,
            #[cfg(feature = "jwks")]
            any_issuer: false,
            #[cfg(feature = "jwks")]
            lazy: false,
        }
    }

    /// Takes the keys from the rules.
    pub(super) fn split(self) -> (K, VerifierBuilder<()>) {
        let rules = VerifierBuilder {
            keys: (),
            rules: self.rules,
            any_audience: self.any_audience,
            clock: self.clock,
            backend: self.backend,
            #[cfg(feature = "jwks")]
            any_issuer: self.any_issuer,
            #[cfg(feature = "jwks")]
            lazy: self.lazy,
        };
        (self.keys, rules)
    }

    /// Names the one issuer whose tokens are accepted: `iss` must be there, as one string, equal byte by byte.
    ///
    /// By default any issuer may sign, since only holders of the keys can.
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into());
        self
    }

    /// Names this service: `aud` must be there, and one of its strings equal this one byte by byte.
    ///
    /// May be called several times; one match is enough. By default the service has no name, and a token that is meant
    /// for somebody is refused ([RFC 7519 §4.1.3]).
    ///
    /// [RFC 7519 §4.1.3]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        match &mut self.rules.audience {
            Audience::OneOf(names) => names.push(audience.into()),
            unnamed => *unnamed = Audience::OneOf(vec![audience.into()]),
        }
        self
    }

    /// Allows these algorithms only. By default each key allows its own.
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.rules.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Sets the clock skew tolerated on `exp`, `nbf`, `iat` and the maximum age: at most 5 min, 30 s by default.
    ///
    /// A token is accepted while `nbf - leeway - 50 ms <= now < exp + leeway`: a clock may lag that much behind the one beside
    /// it that the token was issued by. `iat` is held to the same beginning.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Demands that the header declares this type; by default [any](TokenType::Any) will do.
    pub fn with_token_type(mut self, token_type: TokenType) -> Self {
        self.rules.token_type = token_type;
        self
    }

    /// Demands access tokens as [RFC 9068] has them, so that no other token of the issuer passes for one: the type
    /// `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti`.
    ///
    /// Issuer and audience then have to be named, and nothing of that can be waived.
    ///
    /// [RFC 9068]: https://www.rfc-editor.org/rfc/rfc9068
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{Keys, RejectionKind, SigningKey, TokenIssuer, Verifier};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let secret = "a secret of at least 32 bytes, from a safe place";
    /// let verifier = Verifier::builder(Keys::hs256([secret])?)
    ///     .with_access_token_profile()
    ///     .with_issuer("https://id.example")
    ///     .with_audience("orders")
    ///     .build()?;
    ///
    /// // The same issuer's token of another kind.
    /// let issuer = TokenIssuer::builder(SigningKey::hs256(secret)?)
    ///     .with_issuer("https://id.example")
    ///     .with_audience("orders")
    ///     .build()?;
    /// let refused = verifier.verify(&issuer.mint("alice").sign()?).unwrap_err();
    /// assert_eq!(refused.kind(), RejectionKind::ClaimInvalid);
    ///
    /// // Without an audience anybody's access tokens would do.
    /// assert!(Verifier::builder(Keys::hs256([secret])?).with_access_token_profile().build().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_access_token_profile(mut self) -> Self {
        self.rules.profile = Profile::AccessToken;
        self.with_token_type(TokenType::AccessToken)
    }

    /// Refuses tokens that were issued longer ago than this, whatever their `exp`; `iat` is then required.
    ///
    /// By default `exp` alone ends a token.
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.rules.max_age = Some(max_age);
        self
    }

    /// Sets the size in bytes beyond which a token is not read: at most 64 KiB, 8 KiB by default.
    ///
    /// It holds wherever the token travels: header, cookie, query, subprotocol or message. A longer token is refused as
    /// [`TokenTooLarge`](crate::RejectionKind::TokenTooLarge), and the log names its length, the limit and this setting.
    /// Entra puts up to 200 groups into a token, which then has more than 8 KiB. Servers and proxies limit headers too.
    pub fn with_max_token_size(mut self, bytes: usize) -> Self {
        self.rules.max_token_size = bytes;
        self
    }

    /// Sets how much memory verified tokens may take, so that they are not verified again when they come again: see
    /// [`CacheConfig`]. By default 16 MiB.
    pub fn with_cache(mut self, config: CacheConfig) -> Self {
        self.rules.cache = Some(config);
        self
    }

    /// Remembers no tokens: each is verified anew whenever it comes.
    pub fn without_cache(mut self) -> Self {
        self.rules.cache = None;
        self
    }

    /// Takes the time from this clock; by default from the [system's](SystemClock).
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks signatures with this library; by default with the [preferred](CryptoBackend::preferred) one.
    pub fn with_backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Reads the scopes from this claim, a string of words or an array of strings; by default from `scope`, else `scp`.
    pub fn with_scope_claim(mut self, path: impl Into<ClaimPath>) -> Self {
        self.rules.scopes = Some(path.into());
        self
    }

    /// Reads the roles from this claim: `realm_access.roles` of Keycloak, `permissions` of Auth0,
    /// `urn:zitadel:iam:org:project:roles` of Zitadel. By default tokens have no roles.
    ///
    /// The claim is an array of strings, one string, or an object whose member names are the roles; a member that is `false`
    /// or `null` is none. A token without the claim, or with `null` there, has no roles. A claim of another type is refused.
    pub fn with_roles_claim(mut self, path: impl Into<ClaimPath>) -> Self {
        self.rules.roles = Some(path.into());
        self
    }

    /// Accepts tokens whoever they are meant for.
    ///
    /// # Security
    ///
    /// A token that its holder gave to another service of the same issuer then opens this one too.
    pub fn dangerous_any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// Accepts tokens without `aud` although this service has a name. One that names somebody else is still refused.
    ///
    /// # Security
    ///
    /// A token that its issuer meant for nobody in particular then opens every service of that kind.
    pub fn dangerous_without_audience(mut self) -> Self {
        self.rules.audience_presence = Presence::Waived;
        self
    }

    /// Accepts tokens without `exp`. One that has it still expires.
    ///
    /// # Security
    ///
    /// A token without end that leaks once is good until its key is changed.
    pub fn dangerous_without_expiry(mut self) -> Self {
        self.rules.expiry = Presence::Waived;
        self
    }

    /// Accepts tokens without `sub`. One that has it is still checked.
    ///
    /// # Security
    ///
    /// Whatever belongs to a subject must be refused to such a token: its holders cannot be told apart.
    pub fn dangerous_without_subject(mut self) -> Self {
        self.rules.subject = Presence::Waived;
        self
    }
}

#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
impl VerifierBuilder<RemoteKeys> {
    /// Builds without waiting for the first keys: until they have come, tokens are refused with 503.
    ///
    /// By default a provider that cannot be reached fails the start of the service.
    pub fn with_lazy_keys(mut self) -> Self {
        self.lazy = true;
        self
    }

    /// Accepts tokens of any issuer whom the keys at this address belong to.
    ///
    /// # Security
    ///
    /// Many providers sign for all their customers with the same keys: each of them can then mint tokens for you.
    pub fn dangerous_any_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }
}
