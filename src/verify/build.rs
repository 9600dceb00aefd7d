//! The end of a [`VerifierBuilder`]: its rules checked against each other, and its keys made ready.

#[cfg(feature = "jwks")]
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "jwks")]
use jsonwebtoken::{Algorithm, AlgorithmFamily};

#[cfg(feature = "jwks")]
use super::rules::Rules;
use super::{
    CryptoBackend, Verifier, VerifierBuilder,
    authority::Authority,
    rules::{Audience, Presence, Profile, TokenType},
};
#[cfg(feature = "introspection")]
use crate::Introspection;
use crate::{ConfigError, KeysFromEnv, keys::Named};
#[cfg(feature = "jwks")]
use crate::{RemoteKeys, telemetry::shown_url};

/// The most leeway that makes sense between clocks that are set at all.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);
/// No server takes headers of that size anyway.
const MAX_TOKEN_SIZE: usize = 64 * 1024;

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

impl VerifierBuilder<KeysFromEnv> {
    /// Checks the rules against each other, and prepares the keys or fetches them.
    ///
    /// # Errors
    ///
    /// As for keys that are given, or for those of a provider.
    pub async fn build(self) -> Result<Verifier, ConfigError> {
        let (keys, rules) = self.split();
        match keys.0 {
            Named::Secret(keys) => rules.with_keys(keys).build(),
            #[cfg(feature = "jwks")]
            Named::Provider(keys) => rules.with_keys(*keys).build().await,
        }
    }
}

#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
impl VerifierBuilder<RemoteKeys> {
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
        let rules = match self.keys.tenants()? {
            None => vec![self.rules],
            Some((template, issuers)) => {
                let template: Arc<str> = template.into();
                let rules = issuers.into_iter().map(|issuer| Rules {
                    issuer: Some(issuer),
                    issuer_template: Some(Arc::clone(&template)),
                    ..self.rules.clone()
                });
                rules.collect()
            }
        };
        let shared = self.keys.has_tenants();
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
                value: shown_url(named),
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
        if rules.cache != Some(crate::CacheConfig::new()) {
            return Err(ConfigError::Setting {
                name: match rules.cache {
                    Some(_) => "with_cache",
                    None => "without_cache",
                },
                value: String::from("(with introspection)"),
                problem: "answers about opaque tokens have a cache of their own: see `Introspection`",
            });
        }
        if let (Some(discovered), Some(named)) = (self.keys.issuer(), &rules.issuer)
            && discovered != named
        {
            return Err(ConfigError::Setting {
                name: "with_issuer",
                value: shown_url(named),
                problem: "is not the issuer who is asked: name it once, where it is discovered",
            });
        }
        let introspector = self.keys.open(backend).await?;
        let authority = Authority::introspecting(introspector, self.rules, self.clock, backend);
        Ok(Verifier::of(authority))
    }
}

impl<K> VerifierBuilder<K> {
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
        if let Some(cache) = &rules.cache {
            cache.check()?;
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
