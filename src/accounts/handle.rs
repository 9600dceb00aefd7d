//! [`Accounts`]: what an application holds, and its parts share.

use std::{borrow::Cow, fmt, net::IpAddr, ops::RangeInclusive, sync::Arc, time::Duration};

use http::request::Parts;

use super::{
    AccountService, AccountStore, AccountsBuilder,
    cookies::Cookies,
    hasher::Hasher,
    limits::{Client, Limits},
    refresh::Refresher,
};
use crate::{
    ApiKeys, AuthLayerBuilder, Clock, CookieAuthLayer, CookieToken, NumericDate, Refusals,
    Rejection, RejectionKind, Revocations, SessionCookie, StoreError, TokenIssuer, Verifier,
    http_util::ClientAddress, request::AllowedOrigins,
};

/// The accounts of a service: who may sign in, and who has.
///
/// [`service`](Self::service) answers the requests of browsers, as [`AccountService`] lists them; with axum
/// [`router`](Self::router) mounts it. [`auth_layer`](Self::auth_layer) begins the gate for everything else, which takes
/// the session cookie, and whose open connections end with their session. Cloning it copies a pointer.
///
/// # Examples
///
/// ```
/// use std::net::SocketAddr;
/// use http::Request;
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{MemoryAccountStore, Principal, accounts::Accounts};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "0123456789abcdef0123456789abcdef";
/// let accounts = Accounts::builder(MemoryAccountStore::new(), secret)
///     .with_public_origin("https://app.example")
///     .build()?;
///
/// // Whoever registers is signed in.
/// let register = |body: &'static str| {
///     Request::post("/auth/register")
///         .header("content-type", "application/json")
///         // What a server puts there: limits are counted for each address.
///         .extension(SocketAddr::from(([192, 0, 2, 1], 4711)))
///         .body(Full::<bytes::Bytes>::from(body))
/// };
/// let alice = r#"{"username":"Alice","password":"correct horse"}"#;
/// let response = accounts.service().oneshot(register(alice)?).await?;
/// assert_eq!(response.status(), 200);
/// let cookie = response.headers()["set-cookie"].to_str()?;
/// assert!(cookie.starts_with("__Host-jwt_token="));
///
/// // The name is taken, however it is written.
/// let again = r#"{"username":"ALICE","password":"another horse"}"#;
/// assert_eq!(accounts.service().oneshot(register(again)?).await?.status(), 409);
///
/// // Behind the gate she is who she is; without her cookie she is nobody.
/// let gate = accounts.auth_layer().build()?;
/// let chat = gate.layer(service_fn(async |request: Request<String>| {
///     assert!(request.extensions().get::<Principal>().is_some());
///     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
/// }));
/// let pair = cookie.split(';').next().unwrap_or_default();
/// let request = Request::get("/chat").header("cookie", pair).body(String::new())?;
/// assert_eq!(chat.clone().oneshot(request).await?.status(), 200);
/// let request = Request::get("/chat").body(String::new())?;
/// assert_eq!(chat.oneshot(request).await?.status(), 401);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Accounts(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn AccountStore>,
    pub(super) hasher: Hasher,
    pub(super) limits: Limits,
    pub(super) clients: ClientAddress,
    pub(super) username_lengths: RangeInclusive<usize>,

    pub(super) issuer: TokenIssuer,
    pub(super) issuer_name: Option<String>,
    pub(super) verifier: Verifier,
    pub(super) refresher: Arc<Refresher>,
    pub(super) revocations: Revocations,
    pub(super) api_keys: Option<ApiKeys>,
    pub(super) lifetimes: Lifetimes,

    pub(super) cookies: Cookies,
    pub(super) base: Cow<'static, str>,
    pub(super) origins: AllowedOrigins,
    pub(super) listed_origins: Vec<String>,
    pub(super) refusals: Refusals,
    pub(super) clock: Arc<dyn Clock>,
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    /// One token.
    pub(super) token: Duration,
    /// A session that nobody hears of.
    pub(super) idle: Duration,
    /// A session, however often it is heard of.
    pub(super) session: Duration,
}

impl Accounts {
    /// Begins with a store and the secret that signs the tokens, of 32 bytes at least; [`AccountsBuilder::build`] ends it.
    pub fn builder(store: impl AccountStore, secret: impl AsRef<[u8]>) -> AccountsBuilder {
        AccountsBuilder::new(store, secret.as_ref())
    }

    /// The service that registers users and signs them in and out. It authenticates by itself and stands **outside** the
    /// gate, or on paths that the gate exempts.
    #[must_use]
    pub fn service(&self) -> AccountService {
        AccountService::new(self.clone())
    }

    /// Begins the gate for the rest of the application: its session cookie, keys, revocations, origins and refusals are
    /// those of these accounts, and so are the trusted proxies.
    pub fn auth_layer(&self) -> AuthLayerBuilder<SessionCookie> {
        CookieAuthLayer::verifier(self.0.verifier.clone())
            .with_cookie_name(self.0.cookies.name().clone())
            .with_revocations(self.0.revocations.clone())
            .with_allowed_origins(self.0.listed_origins.clone())
            .with_refusals(self.0.refusals.clone())
            .with_clients(self.0.clients.clone())
    }

    /// Where a layer of other tokens finds the session cookie: give it with [`verifier`](Self::verifier) to
    /// [`with_verified_source`](AuthLayerBuilder::with_verified_source), and the layer the same
    /// [`revocations`](Self::revocations).
    #[must_use]
    pub fn cookie_source(&self) -> CookieToken {
        self.0.cookies.source().clone()
    }

    /// Verifies the tokens of sessions.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }

    /// What ends with a session: every gate that takes its tokens has to share it.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Forgets the sessions that are over, and answers how many those were. Nothing depends on it but room: call it once a
    /// day or so.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.0.store.sweep_sessions(self.0.now()).await
    }

    /// How many passwords have been hashed or verified since the start, those included that were verified for the sake of
    /// their time: the work that logins are.
    #[must_use]
    pub fn password_operations(&self) -> u64 {
        self.0.hasher.operations()
    }
}

impl Shared {
    /// Returns the client whose turn it is to have passwords hashed; `None` where addresses are not looked at.
    pub(super) fn client(&self, head: &Parts) -> Result<Option<Client>, Rejection> {
        Ok(self.client_address(head)?.map(Client::from))
    }

    pub(super) fn now(&self) -> NumericDate {
        NumericDate::from_secs(self.clock.now().as_secs())
    }

    /// Returns the address that limits are counted for; `None` where addresses are ignored.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::Misconfigured`] where the peer of the connection is unknown.
    pub(super) fn client_address(&self, head: &Parts) -> Result<Option<IpAddr>, Rejection> {
        match self.clients.find(&head.headers, &head.extensions) {
            None if !self.clients.is_ignored() => {
                tracing::error!(
                    target: "tower_warden",
                    "the accounts do not know from where a request comes: with axum serve \
                     `into_make_service_with_connect_info::<SocketAddr>()`, else put the `SocketAddr` into its extensions, \
                     or say `with_client_address`",
                );
                Err(RejectionKind::Misconfigured.into())
            }
            found => Ok(found),
        }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("store", &self.0.store)
            .field("lifetimes", &self.0.lifetimes)
            .finish_non_exhaustive()
    }
}
