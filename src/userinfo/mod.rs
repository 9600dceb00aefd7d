//! [`UserInfo`]: what a provider says about the user behind a verified token ([OpenID Connect Core §5.3]).
//!
//! [OpenID Connect Core §5.3]: https://openid.net/specs/openid-connect-core-1_0.html#UserInfo

mod error;
mod profile;

pub use error::UserInfoError;
pub use profile::UserProfile;

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderValue;

use crate::{
    BearerToken, Clock, ConfigError, CryptoBackend, KeyFetchError, NumericDate, Principal,
    SystemClock,
    keys::{
        Asked, Asker, Kept, Lookup, LookupSettings, Place, Questions, Repute, Span, Unanswered,
        Wanted,
    },
    telemetry::shown_url,
    verify::{Vouched, sha256},
};

/// The most time that an answer may be kept.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Room for answers: some four thousand of them.
const BYTES: usize = 8 * 1024 * 1024;
const TYPICAL_BYTES: usize = 2 * 1024;

type Answer = Result<Arc<UserProfile>, UserInfoError>;

/// Asks a provider about the user behind a verified token: name, mail address, whatever the token does not say.
///
/// The answer has to be about the token's own subject, and is kept for 5 min, never beyond the token's `exp`, within
/// 8 MiB. Each token is asked for once at a time, however many requests carry it. Cloning it copies a pointer.
///
/// # Examples
///
/// ```no_run
/// use tower_warden::{Principal, UserInfo, UserInfoError};
///
/// # async fn build() -> Result<(), tower_warden::ConfigError> {
/// let userinfo = UserInfo::discover("https://id.example").build().await?;
///
/// // The token goes there, so nobody on the way may read it.
/// assert!(UserInfo::at("http://id.example/userinfo").build().await.is_err());
/// # Ok(())
/// # }
///
/// async fn greet(principal: &Principal, userinfo: &UserInfo) -> Result<String, UserInfoError> {
///     #[derive(serde::Deserialize)]
///     struct User {
///         name: String,
///     }
///     let user: User = userinfo.get(principal).await?.claims()?;
///     Ok(format!("hello {}", user.name))
/// }
/// ```
///
/// # Security
///
/// The token itself is sent to the provider. So it is sent to nobody but the issuer it names: the discovered one, or the
/// one of [`with_issuer`](UserInfoBuilder::with_issuer). An API key and a ticket are sent to nobody: their principal has the
/// name of that issuer, but their text is a secret of this service.
#[derive(Clone)]
pub struct UserInfo(Arc<Desk>);

struct Desk {
    lookup: Lookup,
    issuer: Option<String>,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
    backend: CryptoBackend,
    kept: Kept<Arc<UserProfile>>,
    questions: Questions<Answer>,
}

impl UserInfo {
    /// Begins with the address of the endpoint: https, or http on loopback.
    pub fn at(endpoint: impl Into<String>) -> UserInfoBuilder {
        UserInfoBuilder::new(Place::Address(endpoint.into()), None)
    }

    /// Begins with an issuer, whose discovery document names the endpoint; only its own tokens are sent there.
    pub fn discover(issuer: impl Into<String>) -> UserInfoBuilder {
        let issuer = issuer.into();
        UserInfoBuilder::new(Place::Issuer(issuer.clone()), Some(issuer))
    }

    /// What the provider says about this user, or said within the last minutes.
    ///
    /// # Errors
    ///
    /// [`UserInfoError`]; what failed is not remembered.
    pub async fn get(&self, principal: &Principal) -> Answer {
        self.look_up(principal, Freshness::Kept).await
    }

    /// What the provider says about this user now, also if an answer is at hand.
    ///
    /// # Errors
    ///
    /// [`UserInfoError`]; an answer that is at hand stays there for [`get`](Self::get).
    pub async fn refresh(&self, principal: &Principal) -> Answer {
        self.look_up(principal, Freshness::Now).await
    }

    async fn look_up(&self, principal: &Principal, freshness: Freshness) -> Answer {
        let desk = &self.0;
        if desk.issuer.is_some() && principal.issuer() != desk.issuer.as_deref() {
            return Err(UserInfoError::OtherIssuer);
        }
        let subject = principal.subject();
        if subject.is_empty() {
            return Err(UserInfoError::SubjectMissing);
        }
        if principal.token().voucher() == Vouched::Ourselves {
            return Err(UserInfoError::TokenAbsent);
        }
        let token = principal.token().token();
        let hash = sha256(token.expose().as_bytes(), desk.backend)
            .and_then(|hash| hash.try_into().ok())
            .ok_or(UserInfoError::Overloaded)?;
        let known = || match freshness {
            Freshness::Kept => desk.kept.get(&hash, desk.clock.now()),
            Freshness::Now => None,
        };
        if let Some(profile) = known() {
            return Ok(profile);
        }
        // Only verified tokens come this far, so it is by subject that the places are shared out.
        let issuer = principal.issuer().unwrap_or_default();
        let asker = Asker::Subject(issuer.into(), subject.into());
        let asked = desk.questions.ask(
            hash,
            Some(asker),
            Repute::Unknown,
            || known().map(Ok),
            || {
                let (desk, token) = (Arc::clone(desk), token.clone());
                let (subject, expiry) = (subject.to_owned(), principal.expires_at());
                async move {
                    let asked_at = desk.clock.now();
                    let profile = Arc::new(desk.ask(&token, &subject).await?);
                    let expiry = expiry.map(NumericDate::as_secs).map(Duration::from_secs);
                    let latest = asked_at.saturating_add(desk.lifetime);
                    let holds = Span {
                        from: asked_at,
                        until: expiry.map_or(latest, |expiry| expiry.min(latest)),
                    };
                    let bytes = profile.text().len();
                    desk.kept.keep(hash, Arc::clone(&profile), bytes, holds);
                    Ok(profile)
                }
            },
        );
        match asked {
            Asked::Known(answer) => answer,
            Asked::Wait(awaited) => match awaited.answer().await {
                Ok(answer) => answer,
                Err(Unanswered::Overloaded) => Err(UserInfoError::Overloaded),
                Err(Unanswered::Interrupted) => {
                    Err(UserInfoError::Unavailable(KeyFetchError::Interrupted))
                }
            },
            Asked::Overloaded => Err(UserInfoError::Overloaded),
        }
    }
}

/// Whether an answer that is at hand will do.
#[derive(Debug, Clone, Copy)]
enum Freshness {
    Kept,
    Now,
}

impl Desk {
    async fn ask(
        &self,
        token: &BearerToken<'_>,
        subject: &str,
    ) -> Result<UserProfile, UserInfoError> {
        let credentials = bearer(token).ok_or(UserInfoError::Refused { status: 401 })?;
        let answer = match self.lookup.get_as(credentials).await {
            Ok(answer) => answer,
            Err(KeyFetchError::Status {
                status: status @ (401 | 403),
            }) => {
                self.lookup.answered();
                return Err(UserInfoError::Refused { status });
            }
            Err(error) => {
                self.lookup.failed(&error);
                return Err(UserInfoError::Unavailable(error));
            }
        };
        self.lookup.answered();
        if answer.signed {
            return Err(UserInfoError::Signed);
        }
        UserProfile::read(answer.text, subject)
    }
}

/// The token as a header, if it can stand in one.
fn bearer(token: &BearerToken<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserInfo")
            .field("lookup", &self.0.lookup)
            .field("issuer", &self.0.issuer)
            .finish_non_exhaustive()
    }
}

/// Builds a [`UserInfo`].
#[derive(Debug)]
#[must_use = "nobody is asked before `build`"]
pub struct UserInfoBuilder {
    place: Place,
    issuer: Option<String>,
    settings: LookupSettings,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
}

impl UserInfoBuilder {
    fn new(place: Place, issuer: Option<String>) -> Self {
        Self {
            place,
            issuer,
            settings: LookupSettings::default(),
            lifetime: Duration::from_secs(5 * 60),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sends only tokens of this issuer. With an address alone every verified token is sent there, which is right where
    /// all of them are of one issuer.
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Asks with this HTTP client: see [`RemoteKeys::with_client`](crate::RemoteKeys::with_client).
    ///
    /// # Security
    ///
    /// Give it a client that follows no redirects: an answer that was led elsewhere is refused, but only after the other
    /// place was asked. Another path of the same host and port is sent the token again; reqwest withholds it from others.
    pub fn with_client(mut self, client: reqwest::Client) -> Self {
        self.settings.client = Some(client);
        self
    }

    /// Asks these hosts over http: see
    /// [`RemoteKeys::dangerous_http_from`](crate::RemoteKeys::dangerous_http_from).
    ///
    /// # Security
    ///
    /// Tokens travel to such a host in the clear.
    pub fn dangerous_http_from<H: Into<String>>(
        mut self,
        hosts: impl IntoIterator<Item = H>,
    ) -> Self {
        self.settings.http_from = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how long the provider may take for one answer, to its last byte: 100 ms to 30 s, 5 s by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how long an answer is kept: 1 h at most, 5 min by default, never beyond the token's `exp`. Zero keeps none.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Takes the time from this clock; by default from the [system's](SystemClock).
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings, and finds the endpoint if it has to be discovered. It has to be awaited in a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Keys`] for an address that a token must not be sent to, or if the issuer names none;
    /// [`ConfigError::Setting`] for a time out of its range, or another issuer than the discovered one.
    pub async fn build(self) -> Result<UserInfo, ConfigError> {
        let wrong = |name, value, problem| ConfigError::Setting {
            name,
            value,
            problem,
        };
        if self.lifetime > LONGEST {
            let value = format!("{:?}", self.lifetime);
            return Err(wrong("with_lifetime", value, "choose 1 h at most"));
        }
        if let (Place::Issuer(discovered), Some(named)) = (&self.place, &self.issuer)
            && discovered != named
        {
            return Err(wrong(
                "with_issuer",
                shown_url(named),
                "is not the issuer who is asked: name it once, where it is discovered",
            ));
        }
        let backend = CryptoBackend::preferred()?;
        let lookup = Lookup::open(&self.place, Wanted::UserInfo, self.settings).await?;
        Ok(UserInfo(Arc::new(Desk {
            lookup,
            issuer: self.issuer,
            lifetime: self.lifetime,
            clock: self.clock,
            backend,
            kept: Kept::new(BYTES, TYPICAL_BYTES),
            questions: Questions::new(),
        })))
    }
}
