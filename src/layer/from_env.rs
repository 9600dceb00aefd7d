//! `from_env`: a layer's keys and rules, as environment variables name them.

use std::{env, ffi::OsString};

use super::{AuthLayer, AuthLayerBuilder, Bearer, Face, SessionCookie, verification::Verification};
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{ConfigError, Keys, KeysFromEnv, keys::Named, telemetry::shown_url};

impl AuthLayer<Bearer> {
    /// Verifies as the environment says: with a secret, or with the keys of a provider.
    ///
    /// | variables | what follows |
    /// | --- | --- |
    /// | `JWT_SECRET`, and `JWT_ISSUER`, `JWT_AUDIENCE` where set | as [`hs256`](Self::hs256), with that issuer and audience demanded |
    /// | `OIDC_ISSUER_URL`, and `OIDC_AUDIENCE` where set | as [`discover`](Self::discover), with that audience demanded |
    ///
    /// An empty variable counts as not set.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] if neither `JWT_SECRET` nor `OIDC_ISSUER_URL` is set. [`ConfigError::Setting`] if
    /// variables of both rows are set, or if one is not UTF-8. [`ConfigError`] as for [`hs256`](Self::hs256).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_warden::{ConfigError, JwtAuthLayer, Paths};
    ///
    /// # async fn build() -> Result<(), ConfigError> {
    /// let auth = JwtAuthLayer::from_env()?
    ///     .with_paths(Paths::all().exempt("/health"))
    ///     .build()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_env() -> Result<AuthLayerBuilder<Bearer, KeysFromEnv>, ConfigError> {
        AuthLayerBuilder::of_bearer(|name| env::var_os(name))
    }
}

impl AuthLayer<SessionCookie> {
    /// Verifies with the secret in the environment variable `JWT_SECRET`, and demands what `JWT_ISSUER` and
    /// `JWT_AUDIENCE` name where they are set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `JWT_SECRET` is missing or too short, or a variable is not UTF-8.
    pub fn from_env() -> Result<AuthLayerBuilder<SessionCookie>, ConfigError> {
        let variables = Variables::read(|name| env::var_os(name))?;
        let keys = variables.secret()?;
        Ok(variables.demands(AuthLayerBuilder::with_keys(keys)))
    }
}

impl AuthLayerBuilder<Bearer, KeysFromEnv> {
    fn of_bearer(value: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let variables = Variables::read(value)?;
        variables.check_sets()?;
        let Some(issuer) = &variables.oidc_issuer else {
            let keys = KeysFromEnv(Named::Secret(variables.secret()?));
            return Ok(variables.demands(Self::new(Verification::from_env(keys, None))));
        };
        let builder = Self::discovered(issuer)?;
        Ok(match variables.oidc_audience {
            Some(audience) => builder.with_audience(audience),
            None => builder,
        })
    }

    #[cfg(feature = "jwks")]
    fn discovered(issuer: &str) -> Result<Self, ConfigError> {
        let keys = Named::Provider(Box::new(RemoteKeys::discover(issuer)));
        let verification = Verification::from_env(KeysFromEnv(keys), Some(issuer));
        Ok(Self::new(verification))
    }

    #[cfg(not(feature = "jwks"))]
    fn discovered(issuer: &str) -> Result<Self, ConfigError> {
        Err(ConfigError::Setting {
            name: "OIDC_ISSUER_URL",
            value: shown_url(issuer),
            problem: "this build cannot discover keys: switch on the feature `jwks`",
        })
    }
}

/// The environment variables of the layers.
struct Variables {
    secret: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    oidc_issuer: Option<String>,
    oidc_audience: Option<String>,
}

impl Variables {
    fn read(value: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let variable = |name| variable(name, value(name));
        Ok(Self {
            secret: variable("JWT_SECRET")?,
            issuer: variable("JWT_ISSUER")?,
            audience: variable("JWT_AUDIENCE")?,
            oidc_issuer: variable("OIDC_ISSUER_URL")?,
            oidc_audience: variable("OIDC_AUDIENCE")?,
        })
    }

    /// Refuses variables of both sets, and an audience without its provider.
    fn check_sets(&self) -> Result<(), ConfigError> {
        let ours = [&self.secret, &self.issuer, &self.audience];
        let oidc = match (&self.oidc_issuer, &self.oidc_audience) {
            (Some(issuer), _) => ("OIDC_ISSUER_URL", shown_url(issuer)),
            (None, Some(audience)) => ("OIDC_AUDIENCE", audience.clone()),
            (None, None) => return Ok(()),
        };
        if ours.into_iter().any(Option::is_some) {
            return Err(ConfigError::Setting {
                name: oidc.0,
                value: oidc.1,
                problem: "is set beside `JWT_SECRET`, `JWT_ISSUER` or `JWT_AUDIENCE`: unset one of the two sets; for both \
                          kinds of tokens, give `JwtAuthLayer::verifier` a `Verifier::issuers` of both",
            });
        }
        if self.oidc_issuer.is_none() {
            return Err(ConfigError::Missing {
                name: "OIDC_ISSUER_URL",
                problem: "`OIDC_AUDIENCE` is set, and the keys are found by the issuer",
            });
        }
        Ok(())
    }

    fn secret(&self) -> Result<Keys, ConfigError> {
        let secret = self.secret.as_deref().ok_or(ConfigError::Missing {
            name: "JWT_SECRET",
            problem: "tokens are verified with it; `JwtAuthLayer` takes `OIDC_ISSUER_URL` in its place",
        })?;
        Keys::hs256([secret])
    }

    /// Demands the issuer and the audience that are named beside the secret.
    fn demands<F: Face, K>(self, mut builder: AuthLayerBuilder<F, K>) -> AuthLayerBuilder<F, K> {
        if let Some(issuer) = self.issuer {
            builder = builder.with_issuer(issuer);
        }
        if let Some(audience) = self.audience {
            builder = builder.with_audience(audience);
        }
        builder
    }
}

/// An environment variable as text; an empty one counts as not set.
fn variable(name: &'static str, value: Option<OsString>) -> Result<Option<String>, ConfigError> {
    match value.map(OsString::into_string).transpose() {
        Ok(value) => Ok(value.filter(|value| !value.is_empty())),
        // It may be a secret, so it is not shown.
        Err(_) => Err(ConfigError::Setting {
            name,
            value: String::from("(not UTF-8)"),
            problem: "an environment variable is read as UTF-8",
        }),
    }
}

#[cfg(all(test, feature = "aws-lc-rs"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{convert::Infallible, future::ready};

    use http::{Request, Response};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::{SigningKey, TokenIssuer};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    type Builder = AuthLayerBuilder<Bearer, KeysFromEnv>;

    fn from(variables: &[(&str, &str)]) -> Result<Builder, ConfigError> {
        Builder::of_bearer(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn what_is_missing_or_weak_is_named() {
        for (variables, named) in [
            (&[][..], "JWT_SECRET"),
            (&[("JWT_SECRET", "")], "JWT_SECRET"),
            (&[("JWT_SECRET", "short")], "has 5"),
        ] {
            let error = from(variables).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn variables_of_both_sets_are_refused_with_the_way_out() {
        let secret = ("JWT_SECRET", SECRET);
        let issuer = ("OIDC_ISSUER_URL", "https://user:hush@id.example?key=hush");
        for (variables, named, problem) in [
            (&[secret, issuer][..], "OIDC_ISSUER_URL", "unset one"),
            (
                &[secret, ("OIDC_AUDIENCE", "orders")],
                "OIDC_AUDIENCE",
                "unset one",
            ),
            (
                &[issuer, ("JWT_AUDIENCE", "orders")],
                "OIDC_ISSUER_URL",
                "unset one",
            ),
            (
                &[issuer, ("JWT_ISSUER", "us")],
                "OIDC_ISSUER_URL",
                "unset one",
            ),
            (
                &[("OIDC_AUDIENCE", "orders")],
                "OIDC_ISSUER_URL is not set",
                "found by",
            ),
        ] {
            let error = from(variables).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains(problem), "{error}");
            assert!(
                !error.contains("hush") && !error.contains(SECRET),
                "{error}"
            );
        }
        let empty = ("OIDC_ISSUER_URL", "");
        assert!(from(&[secret, empty]).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_cannot_be_read_is_not_shown() {
        use std::os::unix::ffi::OsStringExt;

        let secret = OsString::from_vec([SECRET.as_bytes(), &[0xff]].concat());
        let builder = Builder::of_bearer(|_| Some(secret.clone()));
        let error = builder.unwrap_err();
        assert!(error.to_string().contains("JWT_SECRET"), "{error}");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("0123456789"), "{text}");
        }
    }

    #[tokio::test]
    async fn issuer_and_audience_are_demanded_where_they_are_named() {
        let issuer = |name: &str, audience: &str| {
            TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
                .with_issuer(name)
                .with_audience(audience)
                .build()
                .unwrap()
        };
        let named = [
            ("JWT_SECRET", SECRET),
            ("JWT_ISSUER", "us"),
            ("JWT_AUDIENCE", "orders"),
        ];
        let layer = from(&named).unwrap().build().await.unwrap();
        for (name, audience, status) in [
            ("us", "orders", 200),
            ("them", "orders", 401),
            ("us", "bills", 401),
        ] {
            let token = issuer(name, audience).mint("alice").sign().unwrap();
            let request = Request::get("/")
                .header("authorization", format!("Bearer {}", token.expose()))
                .body(String::new())
                .unwrap();
            let inner = service_fn(|_| ready(Ok::<_, Infallible>(Response::new(String::new()))));
            let response = layer.layer(inner).oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{name} {audience}");
        }
    }
}
