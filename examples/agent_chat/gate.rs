//! Who gets in, by which door, and which pages may ask.

use std::error::Error;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_warden::{
    AuthorizationHeader, ConfigError, ConflictPolicy, JwtAuthLayer, Owners, OwnershipLayer, Paths,
    QueryParameter, ResourceId, ResourceKey, StrippedHeaders, SubjectId, SubprotocolToken,
};

use crate::{config::Config, stores::Stores};

/// Where Cloudflare's `useAgentChat` sends its token in the query of a plain request, and often in the header too.
const MESSAGES: &str = "/agents/{agent}/{room}/get-messages";

/// The header that names a chat.
const CONVERSATION: &str = "makers-conversation-id";

/// The gate, and the layers that stand inside it.
pub(crate) struct Gate {
    pub(crate) auth: JwtAuthLayer,
    pub(crate) cors: CorsLayer,
    /// Whose a room is.
    pub(crate) rooms: OwnershipLayer,
    /// Whose a chat is.
    pub(crate) chats: OwnershipLayer,
}

impl Gate {
    /// Bearer tokens as the issuer mints them, the session cookies of our accounts, API keys and tickets, behind one layer.
    pub(crate) fn new(config: &Config, stores: &Stores) -> Result<Self, Box<dyn Error>> {
        let accounts = &stores.accounts;
        let query = QueryParameter::named(["access_token", "token"])?.also_on(MESSAGES)?;
        let mut auth = JwtAuthLayer::hs256(&config.secret)?
            .with_sources([AuthorizationHeader::default()])
            .with_source(query)
            .with_source(SubprotocolToken::default())
            .with_verified_source(accounts.cookie_source(), accounts.verifier())
            .with_api_keys(stores.keys.clone())
            .with_tickets(stores.tickets.clone())
            .with_conflict_on(MESSAGES, ConflictPolicy::RejectDifferent)
            .with_leeway(config.leeway)
            // Whoever signs out is signed out here too, and so is what they have open.
            .with_revocations(stores.revocations.clone())
            .with_allowed_origins(config.allowed_origins.clone())
            .with_stripped_headers(StrippedHeaders::identity())
            .with_paths(
                // The accounts see to it by themselves who is there; these three beside them do not.
                ["/auth/ticket", "/auth/refresh", "/auth/revoke"]
                    .into_iter()
                    .fold(Paths::all(), Paths::protect)
                    .exempt("/")
                    .exempt("/health")
                    .exempt("/ready")
                    .exempt("/auth/*"),
            );
        if let Some(issuer) = &config.issuer {
            auth = auth.with_issuer(issuer);
        }
        if let Some(audience) = &config.audience {
            auth = auth.with_audience(audience);
        }
        Ok(Self {
            auth: auth.build()?,
            cors: cors(config)?,
            rooms: rooms(&stores.owners)?,
            chats: chats(&stores.owners),
        })
    }
}

/// A room belongs to whoever enters it first, with everything below its path.
fn rooms(owners: &Owners) -> Result<OwnershipLayer, ConfigError> {
    let key = ResourceKey::path("/agents/{agent}/{room}")?;
    Ok(OwnershipLayer::new(owners.clone(), key).claim_on_first_use())
}

/// A chat has a name in a header, as in EdgeOne's template; without one it is the caller's own.
fn chats(owners: &Owners) -> OwnershipLayer {
    let key = ResourceKey::by(|head| {
        let mut named = head.headers.get_all(CONVERSATION).iter();
        let name = match (named.next(), named.next()) {
            (Some(name), None) => format!("/chats/named/{}", name.to_str().ok()?),
            (None, _) => {
                let subject = SubjectId::of(head.extensions.get()?).ok()?;
                let (issuer, subject) = (subject.issuer(), subject.subject());
                // The length tells where the issuer ends, whatever stands in it.
                format!("/chats/of/{}/{issuer}/{subject}", issuer.len())
            }
            (Some(_), Some(_)) => return None,
        };
        ResourceId::new(name).ok()
    });
    OwnershipLayer::new(owners.clone(), key).claim_on_first_use()
}

/// Lets the pages of the allowed origins read our answers, refusals included.
fn cors(config: &Config) -> Result<CorsLayer, Box<dyn Error>> {
    let origins: Vec<HeaderValue> = config
        .allowed_origins
        .iter()
        .map(|origin| origin.parse())
        .collect::<Result<_, _>>()?;
    Ok(CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static(CONVERSATION),
        ])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("retry-after"),
        ]))
}
