//! Who gets in, by which door, and which pages may ask.

use std::error::Error;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_warden::{
    AuthorizationHeader, ConflictPolicy, JwtAuthLayer, MemoryTickets, Paths, QueryParameter,
    StrippedHeaders, SubprotocolToken, TicketOffice, accounts::Accounts,
};

use crate::config::Config;

/// Where Cloudflare's `useAgentChat` sends its token in the query of a plain request, and often in the header too.
const MESSAGES: &str = "/agents/{agent}/{room}/get-messages";

/// The gate, and what the service shares with it.
pub(crate) struct Gate {
    pub(crate) auth: JwtAuthLayer,
    pub(crate) cors: CorsLayer,
    pub(crate) tickets: TicketOffice,
}

impl Gate {
    /// Bearer tokens as the issuer mints them, the session cookies of our accounts, and tickets, behind one layer.
    pub(crate) fn new(config: &Config, accounts: &Accounts) -> Result<Self, Box<dyn Error>> {
        let tickets = TicketOffice::builder(MemoryTickets::default()).build()?;
        let query = QueryParameter::named(["access_token", "token"])?.also_on(MESSAGES)?;
        let mut auth = JwtAuthLayer::hs256(&config.secret)?
            .with_sources([AuthorizationHeader::default()])
            .with_source(query)
            .with_source(SubprotocolToken::default())
            .with_verified_source(accounts.cookie_source(), accounts.verifier())
            .with_tickets(tickets.clone())
            .with_conflict_on(MESSAGES, ConflictPolicy::RejectDifferent)
            .with_leeway(config.leeway)
            // Whoever signs out is signed out here too, and so is what they have open.
            .with_revocations(accounts.revocations().clone())
            .with_allowed_origins(config.allowed_origins.clone())
            .with_stripped_headers(StrippedHeaders::identity())
            .with_paths(
                // The accounts see to it by themselves who is there; these three beside them do not.
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
        })
    }
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
