//! [`VerifierBuilder`]: the rules of a [`Verifier`], each with a default that is safe.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
#[cfg(feature = "jwks")]
use jsonwebtoken::AlgorithmFamily;

use super::{
    CryptoBackend, Verifier,
    authority::Authority,
    path::ClaimPath,
    rules::{Audience, Presence, Profile, Rules, TokenType},
};
#[cfg(feature = "introspection")]
use crate::Introspection;
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{Clock, ConfigError, Keys, SystemClock};

/// The most leeway that makes sense between clocks that are set at all.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);
/// No server takes headers of that size anyway.
const MAX_TOKEN_SIZE: usize = 64 * 1024;

/// Builds a [`Verifier`]. Whatever is not set here is as strict as it can be without knowing the application.
#[derive(Debug)]
#[must_use = "a verifier begins with `build`"]
pub struct VerifierBuilder<K = Keys> {
    keys: K,
    rules: Rules,
    /// Whether the check of the audience was given up: at odds with naming one.
    any_audience: bool,
    clock: Arc<dyn Clock>,
    backend: Option<CryptoBackend>,
    /// Whether the check of the issuer was given up where it is demanded.
    #[cfg(feature = "jwks")]
    any_issuer: bool,
    /// Whether building does not wait for the first keys.
    #[cfg(feature = "jwks")]
    lazy: bool,
}

impl<K> VerifierBuilder<K> {
    pub(super) fn new(keys: K) -> Self {
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
    /// A token is accepted while `nbf - leeway <= now < exp + leeway`.
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
    pub fn with_max_token_size(mut self, bytes: usize) -> Self {
        self.rules.max_token_size = bytes;
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

    /// Reads the roles from this claim, an array of strings or one string: `realm_access.roles` of Keycloak,
    /// `permissions` of Auth0. By default tokens have no roles.
    ///
    /// A token without the claim has no roles; one whose claim is of another type is refused.
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

    /// Checks the rules against each other, and settles what was left open.
    fn settle(&mut self) -> Result<CryptoBackend, ConfigError> {
        self.check()?;
        if self.any_audience {
            self.rules.audience = Audience::Anybody;
        }
        self.backend.map_or_else(CryptoBackend::preferred, Ok)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let rules = &self.rules;
        let wrong = |name, value: String, problem| {
            Err(ConfigError::Setting {
                name,
                value,
                problem,
            })
        };
        if rules.issuer.as_deref() == Some("") {
            return wrong(
                "with_issuer",
                String::new(),
                "an issuer has a name: leave it out to accept any",
            );
        }
        if let Audience::OneOf(names) = &rules.audience {
            if names.iter().any(String::is_empty) {
                return wrong(
                    "with_audience",
                    String::new(),
                    "an audience has a name: leave it out if there is none",
                );
            }
            if self.any_audience {
                return wrong(
                    "with_audience",
                    names.join(", "),
                    "is at odds with `dangerous_any_audience`: choose one of them",
                );
            }
        }
        if rules.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return wrong(
                "with_algorithms",
                "[]".to_owned(),
                "name one at least, or leave it to the keys",
            );
        }
        if rules.leeway > MAX_LEEWAY {
            return wrong(
                "with_leeway",
                format!("{:?}", rules.leeway),
                "set the clocks: 5 min is the most",
            );
        }
        if rules.max_age.is_some_and(|age| age.is_zero()) {
            return wrong(
                "with_max_age",
                "0ns".to_owned(),
                "no token is that young: leave it out to let `exp` decide",
            );
        }
        if !(1..=MAX_TOKEN_SIZE).contains(&rules.max_token_size) {
            return wrong(
                "with_max_token_size",
                rules.max_token_size.to_string(),
                "choose between 1 byte and 64 KiB",
            );
        }
        if rules.profile == Profile::AccessToken {
            self.check_profile()?;
        }
        for (name, path) in [
            ("with_scope_claim", &rules.scopes),
            ("with_roles_claim", &rules.roles),
        ] {
            if let Some(path) = path.as_ref().filter(|path| !path.is_complete()) {
                return wrong(
                    name,
                    format!("{path:?}"),
                    "each step of the path needs a name",
                );
            }
        }
        Ok(())
    }

    /// The profile of access tokens demands what could be left out, or waived, elsewhere.
    fn check_profile(&self) -> Result<(), ConfigError> {
        let rules = &self.rules;
        if rules.issuer.is_none() {
            return Err(ConfigError::Missing {
                name: "with_issuer",
                problem: "an access token has to come from a known issuer (RFC 9068 §4)",
            });
        }
        if !self.any_audience && rules.audience == Audience::Unnamed {
            return Err(ConfigError::Missing {
                name: "with_audience",
                problem: "an access token has to be meant for this service (RFC 9068 §4)",
            });
        }
        let at_odds = [
            (self.any_audience, "dangerous_any_audience"),
            (rules.expiry == Presence::Waived, "dangerous_without_expiry"),
            (
                rules.subject == Presence::Waived,
                "dangerous_without_subject",
            ),
            (
                rules.token_type != TokenType::AccessToken,
                "with_token_type",
            ),
        ];
        match at_odds.into_iter().find(|(set, _)| *set) {
            None => Ok(()),
            Some((_, name)) => Err(ConfigError::Setting {
                name,
                value: String::from("(with the profile of access tokens)"),
                problem: "is at odds with `with_access_token_profile`: choose one of them",
            }),
        }
    }
}

#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
impl VerifierBuilder<Introspection> {
    /// Checks the rules against each other, and finds the endpoint if it has to be discovered.
    ///
    /// It has to be awaited in a tokio runtime, as tokens have to be verified in one. No token is asked for yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Keys`] for an address that a secret must not be sent to, or if the issuer names none;
    /// [`ConfigError::Missing`] without client ID or secret; [`ConfigError::Setting`] for what only a signed token has:
    /// a type or an algorithm; otherwise as for keys that are given.
    pub async fn build(mut self) -> Result<Verifier, ConfigError> {
        let backend = self.settle()?;
        let rules = &self.rules;
        for (set, name) in [
            (rules.profile != Profile::Any, "with_access_token_profile"),
            (rules.token_type != TokenType::Any, "with_token_type"),
            (rules.algorithms.is_some(), "with_algorithms"),
        ] {
            if set {
                return Err(ConfigError::Setting {
                    name,
                    value: String::from("(with introspection)"),
                    problem: "an opaque token has no header that could say so: leave it out",
                });
            }
        }
        if let (Some(discovered), Some(named)) = (self.keys.issuer(), &rules.issuer)
            && discovered != named
        {
            return Err(ConfigError::Setting {
                name: "with_issuer",
                value: named.clone(),
                problem: "is not the issuer who is asked: name it once, where it is discovered",
            });
        }
        let introspector = self.keys.open(backend).await?;
        let authority = Authority::introspecting(introspector, self.rules, self.clock, backend);
        Ok(Verifier::of(authority))
    }
}

impl VerifierBuilder {
    /// Checks the rules against each other and prepares the keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for an empty name, a leeway or size out of range, an audience beside
    /// [`dangerous_any_audience`](Self::dangerous_any_audience), or algorithms that no key serves;
    /// [`ConfigError::Key`] if the backend cannot use a key; [`ConfigError::NoCryptoBackend`] if there is none.
    pub fn build(mut self) -> Result<Verifier, ConfigError> {
        let backend = self.settle()?;
        Authority::given(&self.keys, self.rules, self.clock, backend).map(Verifier::of)
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

    /// Checks the rules against each other, and fetches the keys.
    ///
    /// It has to be awaited in a tokio runtime. What keeps the keys fresh ends with the last clone of the verifier.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Keys`] if the provider does not answer with keys that can be used here;
    /// [`ConfigError::Missing`] without an issuer; otherwise as for keys that are given.
    pub async fn build(mut self) -> Result<Verifier, ConfigError> {
        let backend = self.settle()?;
        self.check_remote()?;
        let rules = match self.keys.tenants() {
            None => vec![self.rules],
            Some(tenants) => {
                let template: Arc<str> = tenants.template().into();
                let issuers = tenants.issuers()?.into_iter();
                let rules = issuers.map(|issuer| Rules {
                    issuer: Some(issuer),
                    issuer_template: Some(Arc::clone(&template)),
                    ..self.rules.clone()
                });
                rules.collect()
            }
        };
        let shared = self.keys.tenants().is_some();
        let authorities = Authority::remote(self.keys, rules, &self.clock, backend)?;
        let mut verifiers = authorities.into_iter().map(Verifier::of);
        let verifier = match verifiers.next() {
            Some(only) if !shared => only,
            first => Verifier::issuers(first.into_iter().chain(verifiers))?,
        };
        if self.lazy {
            // Looking for keys is what makes somebody ask for them.
            let _ = verifier.ready();
        } else {
            verifier.refresh().await?;
        }
        Ok(verifier)
    }

    fn check_remote(&self) -> Result<(), ConfigError> {
        let issuer = self.rules.issuer.as_deref();
        match (self.keys.issuer(), issuer) {
            (Some(discovered), Some(named)) if discovered != named => Err(ConfigError::Setting {
                name: "with_issuer",
                value: named.to_owned(),
                problem: "is not the issuer whose keys are used: name it once, where it is discovered",
            }),
            (_, Some(named)) if self.any_issuer => Err(ConfigError::Setting {
                name: "with_issuer",
                value: named.to_owned(),
                problem: "is at odds with `dangerous_any_issuer`: choose one of them",
            }),
            (_, None) if !self.any_issuer => Err(ConfigError::Missing {
                name: "with_issuer",
                problem: "a provider may sign for others with the same keys",
            }),
            _ => Ok(()),
        }?;
        let secret = |algorithm: &Algorithm| algorithm.family() == AlgorithmFamily::Hmac;
        match &self.rules.algorithms {
            Some(allowed) if allowed.iter().any(secret) => Err(ConfigError::Setting {
                name: "with_algorithms",
                value: format!("{allowed:?}"),
                problem: "the keys that a provider publishes are never secrets: leave out HS256, HS384 and HS512",
            }),
            _ => Ok(()),
        }
    }
}
