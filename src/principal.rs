//! [`Principal`]: who is asking, as the inner service finds it; [`Credentials`]: what they sent along.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderName, request::Parts};
use serde::de::DeserializeOwned;

use crate::{
    Actor, Algorithm, BearerToken, CredentialKind, NumericDate, Refusals, Rejection, RejectionKind,
    ResourceBinding, Revocations, VerifiedToken,
    connection::{Renewal, Reviewer, Timer},
    http_util::ClientAddress,
    verify::{Authenticate, Changed},
    watch::Watch,
};

/// Who is asking: the subject of a verified token, with all that the token says about it.
///
/// A layer puts it into the extensions of each request that it accepts. Only verification makes one, so whoever holds
/// a principal holds the proof. Cloning it copies a pointer.
///
/// # Examples
///
/// ```
/// use tower_warden::Principal;
///
/// fn greet<B>(request: &http::Request<B>) -> String {
///     match request.extensions().get::<Principal>() {
///         Some(principal) => format!("hello {}", principal.subject()),
///         None => String::from("hello stranger"),
///     }
/// }
/// # assert_eq!(greet(&http::Request::new(())), "hello stranger");
/// ```
#[derive(Clone)]
pub struct Principal {
    token: Arc<VerifiedToken>,
    context: Arc<Context>,
}

/// What the source of a token leaves to those who meet its principal later.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where the token travelled: for logs, never for a decision.
    pub(crate) source: &'static str,
    /// The kind of a token that says no other.
    pub(crate) token_kind: CredentialKind,
    /// Who answered for the token.
    pub(crate) authenticator: Arc<dyn Authenticate>,
    pub(crate) layer: Arc<LayerContext>,
    /// Ends the connections that such tokens keep open.
    pub(crate) timer: Timer,
    /// Verifies their tokens again when keys change.
    pub(crate) reviewer: Reviewer,
    /// Tells the reviewer of changes.
    watches: OnceLock<Vec<Watch>>,
}

/// What a layer leaves to those who meet its requests later.
#[derive(Debug)]
pub(crate) struct LayerContext {
    /// How it answers a refusal.
    pub(crate) refusals: Refusals,
    /// The longest life of a connection, however often it is renewed.
    pub(crate) connection_cap: Option<Duration>,
    /// What a newer token of a connection has to fulfil besides.
    pub(crate) renewal: Renewal,
    /// What ties a token to the resource that a request names.
    pub(crate) bindings: Vec<Arc<ResourceBinding>>,
    /// What holds no longer, and the connections that it ends.
    pub(crate) revocations: Revocations,
    /// Finds the address of a client.
    pub(crate) clients: ClientAddress,
}

impl LayerContext {
    /// Checks that a connection token comes only where bindings compare all claims that it is bound by.
    ///
    /// `concerns` selects the bindings that count.
    ///
    /// # Errors
    ///
    /// `TypeMismatch` where the layer has no binding at all, `ResourceMismatch` where a claim is compared by none.
    pub(crate) fn check_bound(
        &self,
        token: &VerifiedToken,
        concerns: impl Fn(&ResourceBinding) -> bool,
    ) -> Result<(), RejectionKind> {
        if token.kind() != CredentialKind::ConnectionToken {
            return Ok(());
        }
        if self.bindings.is_empty() {
            return Err(RejectionKind::TypeMismatch);
        }
        let names = token.bound_claims();
        let compared = |name: &String| {
            let mut bindings = self.bindings.iter();
            bindings.any(|binding| binding.compares(name) && concerns(binding))
        };
        if names.is_empty() || !names.iter().all(compared) {
            return Err(RejectionKind::ResourceMismatch);
        }
        Ok(())
    }
}

impl Context {
    pub(crate) fn new(
        source: &'static str,
        token_kind: CredentialKind,
        authenticator: Arc<dyn Authenticate>,
        layer: Arc<LayerContext>,
    ) -> Arc<Self> {
        let context = Arc::new(Self {
            source,
            token_kind,
            authenticator,
            layer,
            timer: Timer::default(),
            reviewer: Reviewer::default(),
            watches: OnceLock::new(),
        });
        let weak = Arc::downgrade(&context);
        let changed: Changed = Arc::new(move || {
            if let Some(context) = weak.upgrade() {
                Reviewer::keys_changed(&context);
            }
        });
        let watches = context.authenticator.watch(&changed);
        context.watches.get_or_init(|| watches);
        context
    }
}

impl Principal {
    pub(crate) fn new(token: Arc<VerifiedToken>, context: Arc<Context>) -> Self {
        Self { token, context }
    }

    /// How the token was verified, and the token.
    pub(crate) fn parts(&self) -> (&Arc<Context>, &Arc<VerifiedToken>) {
        (&self.context, &self.token)
    }

    /// The subject (`sub`, [RFC 7519 §4.1.2]): unique within its [issuer](Self::issuer), never empty.
    ///
    /// It is empty only where the layer was told
    /// [`dangerous_without_subject`](crate::AuthLayerBuilder::dangerous_without_subject).
    ///
    /// [RFC 7519 §4.1.2]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.2
    #[must_use]
    pub fn subject(&self) -> &str {
        self.token.subject().unwrap_or_default()
    }

    /// Who issued the token (`iss`). It is there whenever the layer names an issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.token.issuer()
    }

    /// Whom the token is meant for (`aud`), in its order.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.token.audiences()
    }

    /// When the token expires (`exp`).
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.token.expires_at()
    }

    /// When the token becomes valid (`nbf`).
    #[must_use]
    pub fn not_before(&self) -> Option<NumericDate> {
        self.token.not_before()
    }

    /// When the token was issued (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.token.issued_at()
    }

    /// The token's own ID (`jti`).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token.token_id()
    }

    /// The session that the token belongs to (`sid`, [OpenID Connect Front-Channel Logout §3]).
    ///
    /// [OpenID Connect Front-Channel Logout §3]: https://openid.net/specs/openid-connect-frontchannel-1_0.html#OPLogout
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.token.session_id()
    }

    /// The client that the token was issued to (`client_id`, [RFC 9068 §2.2]).
    ///
    /// [RFC 9068 §2.2]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.token.client_id()
    }

    /// The algorithm of the token's signature. An opaque token has none.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.token.algorithm()
    }

    /// The scopes of the token ([RFC 9068 §2.2.3]), in its order.
    ///
    /// [RFC 9068 §2.2.3]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.token.scopes()
    }

    /// Whether the token carries that scope; compared byte by byte.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.token.has_scope(scope)
    }

    /// The roles, from the claim that
    /// [`with_roles_claim`](crate::AuthLayerBuilder::with_roles_claim) names.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.token.roles()
    }

    /// Whether the token carries that role; compared byte by byte.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|held| held == role)
    }

    /// Who acts for the subject (`act`, [RFC 8693 §4.1]): the current actor first, earlier ones within.
    ///
    /// [RFC 8693 §4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.token.actor()
    }

    /// All claims, read as a type of the application; once for each token and type.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::ClaimInvalid`] when the token does not have that shape.
    pub fn claims<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, Rejection> {
        self.token.claims()
    }

    /// Returns the kind of credential that the principal authenticated with.
    ///
    /// Decide by this, and not by [`source`](Self::source).
    #[must_use]
    pub fn credential_kind(&self) -> CredentialKind {
        match self.token.kind() {
            CredentialKind::Token => self.context.token_kind,
            kind => kind,
        }
    }

    /// Returns the name of the place where the token travelled, such as `header`, `query` or `cookie`.
    ///
    /// It is for logs. A custom source chooses its name freely, so never decide by it.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.context.source
    }

    /// The verified token itself.
    #[must_use]
    pub fn token(&self) -> &VerifiedToken {
        &self.token
    }

    /// Returns whether the credential is good for one resource only: by its kind, or by a binding of its layer.
    pub(crate) fn is_bound(&self) -> bool {
        let by_kind = matches!(
            self.credential_kind(),
            CredentialKind::ConnectionToken | CredentialKind::Ticket
        );
        let mut bindings = self.context.layer.bindings.iter();
        by_kind || bindings.any(|binding| binding.binds(&self.token))
    }

    /// Returns the bindings of the layer that let this principal in.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = &ResourceBinding> {
        self.context.layer.bindings.iter().map(|binding| &**binding)
    }

    /// How the layer that let this principal in answers a refusal.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.context.layer.refusals
    }
}

impl fmt::Debug for Principal {
    /// Names neither the subject nor any other claim: a principal ends in logs sooner than one thinks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("source", &self.source())
            .field("credential_kind", &self.credential_kind())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// Stands in the extensions where [`Access::Optional`](crate::Access::Optional) let a request pass without a token.
#[derive(Debug, Clone)]
pub(crate) struct Anonymous {
    layer: Arc<LayerContext>,
}

impl Anonymous {
    pub(crate) fn new(layer: Arc<LayerContext>) -> Self {
        Self { layer }
    }
}

/// The principal of this request, or why there is none and how to say so.
///
/// # Errors
///
/// `TokenMissing`, answered as the layer answers, where an optional token did not come; `Misconfigured` where no layer
/// of this crate has looked at the request.
pub(crate) fn require_principal(head: &Parts) -> Result<&Principal, (RejectionKind, Refusals)> {
    if let Some(principal) = head.extensions.get::<Principal>() {
        return Ok(principal);
    }
    match head.extensions.get::<Anonymous>() {
        Some(anonymous) => Err((
            RejectionKind::TokenMissing,
            anonymous.layer.refusals.clone(),
        )),
        None => Err((RejectionKind::Misconfigured, Refusals::default())),
    }
}

/// The tokens that came with an accepted request.
///
/// Only the access token is verified. The other two are what the client put into the headers `x-id-token` and
/// `x-refresh-token`, as clients of `agents-oauth2-jwt-bearer` do: pass them on, never decide by them.
#[derive(Debug, Clone)]
pub struct Credentials {
    access_token: BearerToken<'static>,
    unverified_id_token: Option<BearerToken<'static>>,
    unverified_refresh_token: Option<BearerToken<'static>>,
}

impl Credentials {
    /// Takes the credentials of an accepted request, or nothing where no layer accepted one.
    #[must_use]
    pub fn from_head(head: &Parts) -> Option<Self> {
        let principal = head.extensions.get::<Principal>()?;
        Some(Self {
            access_token: principal.token().token().clone(),
            unverified_id_token: token_header(head, &HeaderName::from_static("x-id-token")),
            unverified_refresh_token: token_header(
                head,
                &HeaderName::from_static("x-refresh-token"),
            ),
        })
    }

    /// The verified access token, or the ticket that came in its place and is spent.
    #[must_use]
    pub fn access_token(&self) -> &BearerToken<'static> {
        &self.access_token
    }

    /// What the client calls its ID token; nobody has verified it.
    #[must_use]
    pub fn unverified_id_token(&self) -> Option<&BearerToken<'static>> {
        self.unverified_id_token.as_ref()
    }

    /// What the client calls its refresh token; nobody has verified it.
    #[must_use]
    pub fn unverified_refresh_token(&self) -> Option<&BearerToken<'static>> {
        self.unverified_refresh_token.as_ref()
    }
}

/// The value of a header that came once and is text.
fn token_header(head: &Parts, name: &HeaderName) -> Option<BearerToken<'static>> {
    let mut values = head.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .ok()
            .map(|text| BearerToken::new(text.to_owned())),
        _ => None,
    }
}
