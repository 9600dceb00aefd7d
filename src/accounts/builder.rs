//! [`AccountsBuilder`]: every setting of [`Accounts`], checked at `build()`.

use std::{
    borrow::Cow, fmt, net::IpAddr, ops::RangeInclusive, sync::Arc, thread::available_parallelism,
    time::Duration,
};

use http::{Extensions, HeaderMap};
use zeroize::Zeroizing;

use super::{
    AccountStore, Accounts, PasswordHashing,
    cookies::{Cookies, Scheme},
    handle::{Lifetimes, Shared},
    hasher::Hasher,
    limits::{Limits, RateLimit},
    refresh::Refresher,
};
use crate::{
    ApiKeys, Clock, ConfigError, CryptoBackend, Keys, Refusals, Revocations, SigningKey,
    SystemClock, TokenIssuer, Verifier, http_util::ClientAddress, request::AllowedOrigins,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Collects what [`Accounts`] need, by [`Accounts::builder`].
///
/// | setting | default | why |
/// | --- | --- | --- |
/// | origin | https | then the cookie is `__Host-jwt_token`, which no neighbouring host can plant |
/// | password hashing | bcrypt, cost 12 | what stored hashes of other systems are in; a quarter of a second |
/// | hashing threads | one less than there are cores | a core is left for whoever is not signing in |
/// | waiting for them | 128 | more would give up before their turn: 503 |
/// | a token lives | 3 days | as EdgeOne's; it is renewed when half of that is over, and ends with its session |
/// | a session lives | 30 days unheard of, 90 at most | a lost device is forgotten, a stolen cookie is not good for ever |
/// | tries for an account from an address | 10, then 1 in 30 s | nobody mistypes more often, and nobody guesses by so few |
/// | requests from an address | 60, then 1 in 2 s | an office behind one address signs in; a script does not |
/// | usernames | 3 to 32 characters | shorter ones are taken, longer ones nobody reads |
#[must_use = "accounts exist once they are built"]
pub struct AccountsBuilder {
    store: Arc<dyn AccountStore>,
    /// The present one first.
    secrets: Vec<Zeroizing<Vec<u8>>>,
    issuer: Option<String>,
    audience: Option<String>,
    lifetimes: Lifetimes,
    public_origin: Option<String>,
    cookie_name: Option<Cow<'static, str>>,
    base: Cow<'static, str>,
    origins: Vec<String>,
    revocations: Revocations,
    api_keys: Option<ApiKeys>,
    refusals: Refusals,
    hashing: PasswordHashing,
    threads: usize,
    waiting: usize,
    username_lengths: RangeInclusive<usize>,
    account_limit: RateLimit,
    address_limit: RateLimit,
    clients: ClientAddress,
    clock: Arc<dyn Clock>,
    failure: Option<ConfigError>,
}

impl AccountsBuilder {
    pub(super) fn new(store: impl AccountStore, secret: &[u8]) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            store: Arc::new(store),
            secrets: vec![secret.to_vec().into()],
            issuer: None,
            audience: None,
            lifetimes: Lifetimes {
                token: 3 * DAY,
                idle: 30 * DAY,
                session: 90 * DAY,
            },
            public_origin: None,
            cookie_name: None,
            base: Cow::Borrowed("/auth"),
            origins: Vec::new(),
            revocations: Revocations::new(),
            api_keys: None,
            refusals: Refusals::default(),
            hashing: PasswordHashing::default(),
            threads: cores.saturating_sub(1).max(1),
            waiting: 128,
            username_lengths: 3..=32,
            account_limit: RateLimit {
                burst: 10,
                refill: Duration::from_secs(30),
            },
            address_limit: RateLimit {
                burst: 60,
                refill: Duration::from_secs(2),
            },
            clients: ClientAddress::default(),
            clock: Arc::new(SystemClock),
            failure: None,
        }
    }

    /// Goes on taking tokens that this secret has signed, while new ones are signed with the present one.
    ///
    /// Refresh tokens that were given out before stay good; only that an older one comes again is not noticed across the
    /// change.
    pub fn with_previous_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.push(secret.as_ref().to_vec().into());
        self
    }

    /// Names these accounts as issuer (`iss`) of their tokens, and demands it: none by default. Name one where a layer takes
    /// tokens of others too.
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Names an audience (`aud`) in the tokens, and demands it: none by default.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets how long a token lives: from a minute to 30 days, 3 days by default, and never longer than its session.
    pub fn with_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetimes.token = lifetime;
        self
    }

    /// Sets how long a session lasts that nobody hears of, 30 days by default, and how long at most, 90 by default: no less
    /// than a token, and no more than a year.
    pub fn with_session_lifetime(mut self, unheard_of: Duration, at_most: Duration) -> Self {
        self.lifetimes.idle = unheard_of;
        self.lifetimes.session = at_most;
        self
    }

    /// Sets the origin at which browsers find the service, such as `https://app.example`; some origin of https by default.
    ///
    /// `http://localhost`, `http://127.0.0.1` and `http://[::1]`, with any port, are for development: the cookies are then
    /// named `jwt_token`, `refresh_token` and `refresh_session`, and lack `Secure`, and the log says so.
    pub fn with_public_origin(mut self, origin: impl Into<String>) -> Self {
        self.public_origin = Some(origin.into());
        self
    }

    /// Sets the name of the session's cookie: `__Host-jwt_token` by default, `jwt_token` over plain http. EdgeOne's is
    /// `jwt_token`.
    ///
    /// # Security
    ///
    /// A neighbouring host can plant a cookie whose name lacks `__Host-`. It can sign the browser in to an account of its
    /// own, or add a second cookie of the name, whereupon the gate refuses every request with 400. The log names such twins
    /// at login.
    pub fn with_cookie_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.cookie_name = Some(name.into());
        self
    }

    /// Sets the path beneath which the service stands, as browsers see it: `/auth` by default.
    pub fn with_base_path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.base = path.into();
        self
    }

    /// Sets the origins, beside the service's own, whose pages may sign in and out: `https://app.example`. None by default.
    pub fn with_allowed_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Sets where ended sessions are told; by default revocations of their own, that this process alone knows and forgets
    /// when it ends. Many nodes share one store by [`Revocations::shared`].
    ///
    /// # Security
    ///
    /// A process that forgets takes the tokens of ended sessions again after a restart, until they expire: keep revocations
    /// where they outlive it, or let tokens live for minutes.
    pub fn with_revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = revocations;
        self
    }

    /// Sets the API keys of these users: a change of the password and
    /// [`sign_out_everywhere`](Accounts::sign_out_everywhere) revoke all keys of the user. Without it the keys stay good.
    ///
    /// The owner of a key is the user's ID under the [issuer](Self::with_issuer) of these accounts.
    pub fn with_api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys = Some(keys);
        self
    }

    /// Sets how refusals are answered, as `application/problem+json` by default; [`Refusals::edgeone`] speaks as EdgeOne's
    /// template does.
    pub fn with_refusals(mut self, refusals: Refusals) -> Self {
        self.refusals = refusals;
        self
    }

    /// Sets how passwords are hashed from now on: bcrypt of cost 12 by default.
    pub fn with_password_hashing(mut self, hashing: PasswordHashing) -> Self {
        self.hashing = hashing;
        self
    }

    /// Sets how many passwords are hashed at once, by default one less than there are cores, and how many may wait for it,
    /// 128 by default. Who comes when as many wait is answered 503 with `Retry-After`.
    ///
    /// Clients take turns, by address or IPv6 network: many logins of one client delay the login of another by about one
    /// password.
    pub fn with_hashing_threads(mut self, threads: usize, waiting: usize) -> Self {
        self.threads = threads;
        self.waiting = waiting;
        self
    }

    /// Sets how many characters a new username has: 3 to 32 by default, within 1 to 64. No name has more than 64 bytes.
    pub fn with_username_length(mut self, characters: RangeInclusive<usize>) -> Self {
        self.username_lengths = characters;
        self
    }

    /// Sets how often one address may try the password of one account: `burst` times at once, 10 by default, and once more
    /// each `refill`, 30 s by default. The right password clears the count.
    ///
    /// The account alone is not counted, so that strangers cannot lock out whose it is: they are refused, at their address.
    pub fn with_account_limit(mut self, burst: u32, refill: Duration) -> Self {
        self.account_limit = RateLimit { burst, refill };
        self
    }

    /// Sets how often one address may register, sign in or change a password, whoever it says it is: `burst` times at once,
    /// 60 by default, and once more each `refill`, 2 s by default. An IPv6 address counts as its network (`/64`).
    pub fn with_address_limit(mut self, burst: u32, refill: Duration) -> Self {
        self.address_limit = RateLimit { burst, refill };
        self
    }

    /// Sets the proxies whose `X-Forwarded-For` is believed, by address or network: `10.0.0.7`, `10.0.0.0/8`. None by
    /// default: then the client is the peer of the connection.
    ///
    /// An entry that is no IP address counts as the address of the trusted proxy that passed it on; the log says so once.
    pub fn with_trusted_proxies<'p>(mut self, proxies: impl IntoIterator<Item = &'p str>) -> Self {
        for proxy in proxies {
            if let Err(error) = self.clients.trust(proxy) {
                self.failure.get_or_insert(error);
            }
        }
        self
    }

    /// Sets how the address of a connection is found: by default as a `SocketAddr` in the extensions, or with axum as its
    /// `ConnectInfo<SocketAddr>`. A request without one is answered 500, and the log says what to do.
    pub fn with_client_address(
        mut self,
        address: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.clients.set_peer(address);
        self
    }

    /// Looks at no addresses: for a service whose proxy limits them already.
    ///
    /// # Security
    ///
    /// Passwords are then counted for the account alone: a stranger who tries often keeps whose it is from signing in.
    pub fn dangerous_without_client_address(mut self) -> Self {
        self.clients.ignore();
        self
    }

    /// Sets the clock: [`SystemClock`] by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first setting that cannot be served safely: a secret under 32 bytes, an origin of plain http
    /// beyond loopback, a lifetime, a length, a limit or a path out of its range, a proxy or an origin that cannot be read.
    pub fn build(mut self) -> Result<Accounts, ConfigError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.check()?;
        let scheme = match &self.public_origin {
            Some(origin) => Scheme::of(origin)?,
            None => Scheme::Https,
        };
        let cookies = Cookies::new(scheme, self.cookie_name.take(), &self.base)?;
        let backend = CryptoBackend::preferred()?;
        let secret = self.secrets.first().map(|secret| secret.as_slice());
        let key = SigningKey::hs256(secret.unwrap_or_default())?;
        let verifier = self.verifier()?;
        let refresher = Refresher::new(&key, backend)?;
        let issuer = self.issuer(key)?;
        if scheme == Scheme::PlainOnLoopback {
            tracing::warn!(
                target: "tower_warden",
                "sessions travel over plain http: this is for development on this machine only",
            );
        }
        Ok(Accounts(Arc::new(Shared {
            limits: Limits::new(self.address_limit, self.account_limit, &self.clock),
            hasher: Hasher::new(self.hashing, self.threads, self.waiting),
            origins: AllowedOrigins::new(&self.origins)?,
            listed_origins: self.origins,
            store: self.store,
            clients: self.clients,
            username_lengths: self.username_lengths,
            issuer,
            issuer_name: self.issuer,
            verifier,
            refresher: Arc::new(refresher),
            revocations: self.revocations,
            api_keys: self.api_keys,
            lifetimes: self.lifetimes,
            cookies,
            base: self.base,
            refusals: self.refusals,
            clock: self.clock,
        })))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let setting = |name, value: String, problem| {
            Err(ConfigError::Setting {
                name,
                value,
                problem,
            })
        };
        let Lifetimes {
            token,
            idle,
            session,
        } = self.lifetimes;
        if !(Duration::from_secs(60)..=30 * DAY).contains(&token) {
            let problem = "a token lives for at least a minute and at most 30 days";
            return setting("with_token_lifetime", format!("{token:?}"), problem);
        }
        if token > idle || idle > session || session > 365 * DAY {
            let value = format!("{idle:?}, {session:?}");
            let problem = "a session lives no shorter than its tokens, and for a year at most; unheard of no longer than at most";
            return setting("with_session_lifetime", value, problem);
        }
        let (least, most) = (*self.username_lengths.start(), *self.username_lengths.end());
        if least == 0 || least > most || most > 64 {
            let problem = "a username has at least 1 and at most 64 characters";
            return setting(
                "with_username_length",
                format!("{least} to {most}"),
                problem,
            );
        }
        if !(1..=1_024).contains(&self.threads) || self.waiting > 1_000_000 {
            let value = format!("{}, {}", self.threads, self.waiting);
            let problem = "hash on 1 to 1024 threads, while a million wait at most";
            return setting("with_hashing_threads", value, problem);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if !self.base.starts_with('/')
            || self.base.ends_with('/')
            || self.base.contains("//")
            || !self.base.bytes().all(plain)
        {
            let problem = "the path begins with a slash and ends with a segment: `/auth`";
            return setting("with_base_path", self.base.to_string(), problem);
        }
        self.account_limit.check("with_account_limit")?;
        self.address_limit.check("with_address_limit")?;
        self.refusals.check()
    }

    fn verifier(&self) -> Result<Verifier, ConfigError> {
        let mut verifier = Verifier::builder(Keys::hs256(&self.secrets)?)
            .with_clock(Arc::clone(&self.clock))
            .with_leeway(Duration::ZERO);
        if let Some(issuer) = &self.issuer {
            verifier = verifier.with_issuer(issuer);
        }
        if let Some(audience) = &self.audience {
            verifier = verifier.with_audience(audience);
        }
        verifier.build()
    }

    fn issuer(&self, key: SigningKey) -> Result<TokenIssuer, ConfigError> {
        let mut issuer = TokenIssuer::builder(key)
            .with_lifetime(self.lifetimes.token)
            .with_clock(Arc::clone(&self.clock));
        if let Some(name) = &self.issuer {
            issuer = issuer.with_issuer(name);
        }
        if let Some(audience) = &self.audience {
            issuer = issuer.with_audience(audience);
        }
        issuer.build()
    }
}

impl fmt::Debug for AccountsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountsBuilder")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
