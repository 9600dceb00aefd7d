//! Who gets in, by which door, and which pages may ask.

use std::error::Error;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_warden::{
    AuthorizationHeader, ConflictPolicy, CookieToken, JwtAuthLayer, Keys, MemoryTickets, Paths,
    QueryParameter, Revocations, StrippedHeaders, SubprotocolToken, TicketOffice, Verifier,
};

use crate::config::Config;

/// Where Cloudflare's `useAgentChat` sends its token in the query of a plain request, and often in the header too.
const MESSAGES: &str = "/agents/{agent}/{room}/get-messages";

/// The gate, and what the service shares with it.
pub(crate) struct Gate {
    pub(crate) auth: JwtAuthLayer,
    pub(crate) cors: CorsLayer,
    pub(crate) tickets: TicketOffice,
    pub(crate) revocations: Revocations,
}

impl Gate {
    /// Bearer tokens as the issuer mints them, session cookies of our own, and tickets, behind one layer.
    pub(crate) fn new(config: &Config) -> Result<Self, Box<dyn Error>> {
        let tickets = TicketOffice::builder(MemoryTickets::default()).build()?;
        let revocations = Revocations::new();
        let query = QueryParameter::named(["access_token", "token"])?.also_on(MESSAGES)?;
        let mut auth = JwtAuthLayer::hs256(&config.secret)?
            .with_sources([AuthorizationHeader::default()])
            .with_source(query)
            .with_source(SubprotocolToken::default())
            .with_verified_source(CookieToken::new("jwt_token")?, sessions(config)?)
            .with_tickets(tickets.clone())
            .with_conflict_on(MESSAGES, ConflictPolicy::RejectDifferent)
            .with_leeway(config.leeway)
            .with_revocations(revocations.clone())
            .with_allowed_origins(config.allowed_origins.clone())
            .with_stripped_headers(StrippedHeaders::identity())
            .with_paths(
                // These three stand under `/auth/` and still ask who is there.
                ["/auth/ticket", "/auth/refresh", "/auth/revoke"]
                    .into_iter()
                    .fold(Paths::all(), Paths::protect)
                    .exempt("/")
                    .exempt("/health")
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
            tickets,
            revocations,
        })
    }
}

/// Verifies sessions, which we mint ourselves: they name no audience, and one for somebody else is none of ours.
fn sessions(config: &Config) -> Result<Verifier, Box<dyn Error>> {
    let mut sessions = Verifier::builder(Keys::hs256([&config.secret])?)
        .with_leeway(config.leeway)
        .dangerous_without_audience();
    if let Some(audience) = &config.audience {
        sessions = sessions.with_audience(audience);
    }
    Ok(sessions.build()?)
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
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("retry-after"),
        ]))
}
