//! [`TicketOffice`]: who may have a ticket, for what, and for how long.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use base64_simd::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use zeroize::Zeroizing;

use super::{
    TicketHash, TicketRecord, TicketService, TicketStore,
    source::{self, EventStreams, TicketSource},
};
use crate::{
    BearerToken, Clock, ConfigError, CredentialKind, CryptoBackend, Principal, QueryParameter,
    Rejection, RejectionKind, SystemClock,
    request::{PathTemplate, source::pairs},
};

/// The longest life of a ticket: between two lines of a page's script.
const LONGEST_LIFETIME: Duration = Duration::from_secs(60);
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);

/// Gives out tickets, and knows whom they stand for.
///
/// A ticket is 256 random bits, good once, for seconds, for the resource it was drawn for, and for pages of the origin
/// that drew it. It never reaches further than the token behind it: same claims, same scopes, no later end. The store
/// has its hash only.
///
/// [`service`](Self::service) stands inside the auth layer and hands tickets out;
/// [`with_tickets`](crate::AuthLayerBuilder::with_tickets) makes a layer take them. A clone shares the store.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::BodyExt;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{JwtAuthLayer, MemoryTickets, Principal, SigningKey, TicketOffice, TokenIssuer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "0123456789abcdef0123456789abcdef";
/// let office = TicketOffice::builder(MemoryTickets::default())
///     .with_resource_path("/agents/{agent}/{room}")
///     .build()?;
/// let auth = JwtAuthLayer::hs256(secret)?.with_tickets(office.clone()).build()?;
///
/// // The page draws a ticket with its token …
/// let token = TokenIssuer::builder(SigningKey::hs256(secret)?).build()?.mint("alice").sign()?;
/// let request = Request::post("/auth/ticket")
///     .header("authorization", format!("Bearer {}", token.expose()))
///     .body(String::from(r#"{"agent":"helper","room":"r1"}"#))?;
/// let response = auth.layer(office.service()).oneshot(request).await?;
/// assert_eq!(response.status(), 200);
/// let body = response.into_body().collect().await?.to_bytes();
/// let answer: serde_json::Value = serde_json::from_slice(&body)?;
/// assert_eq!(answer["expires_in"], 30);
///
/// // … and opens its socket with it: once, and nowhere else.
/// let sockets = auth.layer(service_fn(async |request: Request<()>| {
///     assert_eq!(request.uri(), "/agents/helper/r1", "nobody behind the layer sees the ticket");
///     let principal = request.extensions().get::<Principal>().map(|it| it.subject().to_owned());
///     assert_eq!(principal.as_deref(), Some("alice"));
///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// }));
/// let handshake = || {
///     Request::get(format!("/agents/helper/r1?ticket={}", answer["ticket"].as_str().unwrap_or_default()))
///         .header("connection", "Upgrade")
///         .header("upgrade", "websocket")
///         .body(())
/// };
/// assert_eq!(sockets.clone().oneshot(handshake()?).await?.status(), 200);
/// assert_eq!(sockets.oneshot(handshake()?).await?.status(), 401);
/// # Ok(())
/// # }
/// ```
///
/// # Security
///
/// The layer that takes a ticket asks all its rules again (issuer, audience, type, age), and its requirements and
/// [bindings](crate::ResourceBinding) hold as for any token. The record names the authority and the key that verified the
/// token, and only a layer that trusts this key takes the ticket: another layer of the same office does not. A ticket that is shown for another resource or from
/// another origin is refused, and spent by that.
///
/// A browser sends its session cookie along with every handshake to its own site. A ticket is explicit and was drawn for
/// exactly this handshake, so beside a cookie it decides, whatever the [`ConflictPolicy`](crate::ConflictPolicy): the
/// cookie is not read, and does not rescue a bad ticket. The check of origins for cookies does not concern it, as it has
/// one of its own. Beside any other credentials a ticket is the second one.
#[derive(Clone)]
pub struct TicketOffice(pub(super) Arc<Office>);

#[derive(Debug)]
pub(super) struct Office {
    pub(super) store: Arc<dyn TicketStore>,
    pub(super) template: PathTemplate,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) backend: CryptoBackend,
    lifetime: Duration,
    repeats: Repeats,
    parameter: QueryParameter,
    streams: EventStreams,
}

/// Who may come twice with one ticket.
#[derive(Debug, Clone)]
enum Repeats {
    /// Who names the same client in this query parameter.
    SameClient(Cow<'static, str>),
    Nobody,
}

/// A fresh ticket.
#[derive(Debug)]
pub struct Ticket {
    /// The text that goes to the client, and to nobody else.
    pub text: BearerToken<'static>,
    /// How long it is good for.
    pub expires_in: Duration,
}

impl TicketOffice {
    /// Starts from the store; [`TicketOfficeBuilder::build`] ends it.
    pub fn builder(store: impl TicketStore) -> TicketOfficeBuilder {
        TicketOfficeBuilder {
            store: Arc::new(store),
            resource_path: Cow::Borrowed("/agents/{agent}/{room}"),
            lifetime: Duration::from_secs(30),
            repeats: Repeats::Nobody,
            streams: EventStreams::Without,
            clock: Arc::new(SystemClock),
        }
    }

    /// A service that hands out tickets, to be mounted at `POST /auth/ticket` inside an auth layer.
    #[must_use]
    pub fn service(&self) -> TicketService {
        TicketService::new(self.clone())
    }

    /// Draws a ticket for a principal and a resource: a value for each parameter of the resource path, and no other.
    ///
    /// `headers` are those of the request that asks for it: a ticket that a page draws, which names its `Origin`, is good
    /// for pages of that origin only.
    ///
    /// # Errors
    ///
    /// [`RequestMalformed`](RejectionKind::RequestMalformed) for another set of parameters, an empty value or two
    /// origins; [`Forbidden`](RejectionKind::Forbidden) for a principal that used a ticket, a connection token or an
    /// API key; [`KeyUnknown`](RejectionKind::KeyUnknown) if the key that verified its token was withdrawn since; [`TokenExpired`](RejectionKind::TokenExpired) if the token ends within a
    /// second; [`StoreUnavailable`](RejectionKind::StoreUnavailable).
    pub async fn mint(
        &self,
        principal: &Principal,
        resource: impl IntoIterator<Item = (String, String)>,
        headers: &HeaderMap,
    ) -> Result<Ticket, Rejection> {
        let origin = origin(headers).map_err(|Repeated| RejectionKind::RequestMalformed)?;
        let minting = self.prepare(principal, resource.into_iter().collect(), origin)?;
        self.keep(minting).await
    }

    /// Decides about a ticket, before anybody is asked.
    pub(super) fn prepare(
        &self,
        principal: &Principal,
        resource: BTreeMap<String, String>,
        origin: Option<String>,
    ) -> Result<Minting, Rejection> {
        let office = &*self.0;
        let names = office.template.names();
        let whole = names.len() == resource.len()
            && names
                .iter()
                .all(|name| resource.get(&**name).is_some_and(|value| !value.is_empty()));
        if !whole {
            return Err(RejectionKind::RequestMalformed.into());
        }
        // A ticket and a connection token keep to their resource. A program that holds an API key sends it along with the
        // handshake.
        if !matches!(
            principal.credential_kind(),
            CredentialKind::Token | CredentialKind::Session
        ) {
            return Err(RejectionKind::Forbidden.into());
        }
        let now = office.clock.now();
        let end = now.saturating_add(office.lifetime);
        let end = match principal.expires_at() {
            Some(expiry) => end.min(Duration::from_secs(expiry.as_secs())),
            None => end,
        };
        let expires_in = end.saturating_sub(now);
        if expires_in < SHORTEST_LIFETIME {
            return Err(RejectionKind::TokenExpired.into());
        }
        // Its key was withdrawn since it was verified, or nothing verified it.
        let (context, token) = principal.parts();
        let fingerprint = context.authenticator.authority_of(token);
        let fingerprint = fingerprint.ok_or(RejectionKind::KeyUnknown)?;
        let text = draw().ok_or(RejectionKind::StoreUnavailable)?;
        let hash = TicketHash::of(&text, office.backend).ok_or(RejectionKind::StoreUnavailable)?;
        let authority = TicketRecord::authority(&text, fingerprint, office.backend);
        let authority = authority.ok_or(RejectionKind::StoreUnavailable)?;
        Ok(Minting {
            ticket: Ticket { text, expires_in },
            hash,
            record: TicketRecord::new(token, resource, origin, authority, end),
            now,
        })
    }

    pub(super) async fn keep(&self, minting: Minting) -> Result<Ticket, Rejection> {
        let Minting {
            ticket,
            hash,
            record,
            now,
        } = minting;
        let kept = self.0.store.put(hash, record, now).await;
        kept.map_err(|error| Rejection::new(RejectionKind::StoreUnavailable).with_source(error))?;
        Ok(ticket)
    }

    /// Where layers look for tickets.
    pub(crate) fn source(&self) -> impl crate::TokenSource {
        TicketSource::new(&self.0.parameter, self.0.streams)
    }
}

impl Office {
    /// The client ID of a handshake, if repeats are allowed and it can be read in one way.
    pub(super) fn client_of<'r>(&self, query: Option<&'r str>) -> Option<Cow<'r, str>> {
        let Repeats::SameClient(name) = &self.repeats else {
            return None;
        };
        let id = pairs::single(query, name).ok().flatten()?;
        (1..=MAX_CLIENT_ID).contains(&id.len()).then_some(id)
    }
}

/// The longest client ID in bytes; a longer one is none.
const MAX_CLIENT_ID: usize = 128;

/// A ticket that has not been kept yet.
pub(super) struct Minting {
    ticket: Ticket,
    hash: TicketHash,
    record: TicketRecord,
    now: Duration,
}

/// 256 bits of the system's randomness, or nothing if it has none.
fn draw() -> Option<BearerToken<'static>> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut_slice()).ok()?;
    let text = URL_SAFE_NO_PAD.encode_to_string(random.as_slice());
    Some(BearerToken::new(text))
}

/// More than one origin, or one that is no text.
pub(super) struct Repeated;

/// The one `Origin` of a request.
pub(super) fn origin(headers: &HeaderMap) -> Result<Option<String>, Repeated> {
    let mut lines = headers.get_all(header::ORIGIN).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => match line.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Repeated),
        },
        (Some(_), Some(_)) => Err(Repeated),
    }
}

/// Configures a [`TicketOffice`].
#[derive(Debug)]
#[must_use = "an office opens with `build`"]
pub struct TicketOfficeBuilder {
    store: Arc<dyn TicketStore>,
    resource_path: Cow<'static, str>,
    lifetime: Duration,
    repeats: Repeats,
    streams: EventStreams,
    clock: Arc<dyn Clock>,
}

impl TicketOfficeBuilder {
    /// Sets how long a ticket is good for: from 1 s to 60 s, 30 s by default; never beyond the `exp` of its token.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the paths that tickets are for, `/agents/{agent}/{room}` by default: a ticket has a value for each
    /// parameter, and is good for the path that has the same ones, and for what lies beneath it.
    ///
    /// It is read in the dialect of [`Paths`](crate::Paths), without wildcards that have no name.
    pub fn with_resource_path(mut self, pattern: impl Into<Cow<'static, str>>) -> Self {
        self.resource_path = pattern.into();
        self
    }

    /// Takes tickets from event streams (`new EventSource(…)`) too, not only from WebSocket handshakes.
    ///
    /// A browser reconnects an `EventSource` with the same URL, whose ticket is then spent: the page has to draw
    /// another.
    pub fn with_event_streams(mut self) -> Self {
        self.streams = EventStreams::WithTicket;
        self
    }

    /// Sets the query parameter in which a client names itself, such as Cloudflare's `_pk`, and allows one repeat of a
    /// handshake with the same value within 2 s. By default a ticket is good once.
    ///
    /// It is for clients that may miss the answer to a handshake.
    ///
    /// # Security
    ///
    /// The URL holds the ticket and the value. A reader of the URL can repeat the handshake within the 2 s.
    pub fn with_client_parameter(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.repeats = Repeats::SameClient(name.into());
        self
    }

    /// Refuses every second use of a ticket, which is the default.
    pub fn without_repeats(mut self) -> Self {
        self.repeats = Repeats::Nobody;
        self
    }

    /// Sets the clock; the system's by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks all settings and opens the office.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a lifetime out of range or a name that cannot be one; [`ConfigError::Pattern`] for
    /// the resource path; [`ConfigError::NoCryptoBackend`].
    pub fn build(self) -> Result<TicketOffice, ConfigError> {
        if !(SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&self.lifetime) {
            return Err(ConfigError::Setting {
                name: "with_lifetime",
                value: format!("{:?}", self.lifetime),
                problem: "a ticket lives for at least 1 s and at most 60 s: draw another for each handshake",
            });
        }
        if let Repeats::SameClient(name) = &self.repeats
            && !pairs::is_plain_name(name)
        {
            return Err(ConfigError::Setting {
                name: "with_client_parameter",
                value: name.to_string(),
                problem: "a parameter's name consists of letters, digits, `-`, `.`, `_` and `~`",
            });
        }
        Ok(TicketOffice(Arc::new(Office {
            store: self.store,
            template: PathTemplate::parse(&self.resource_path)?,
            clock: self.clock,
            backend: CryptoBackend::preferred()?,
            lifetime: self.lifetime,
            repeats: self.repeats,
            parameter: QueryParameter::new(source::NAME)?,
            streams: self.streams,
        })))
    }
}

impl fmt::Debug for TicketOffice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketOffice")
            .field("store", &self.0.store)
            .field("lifetime", &self.0.lifetime)
            .finish_non_exhaustive()
    }
}
