//! Who gets in, and which pages may ask.

use std::error::Error;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_warden::{
    ConfigError, CookieToken, JwtAuthLayer, Keys, Paths, StrippedHeaders, Verifier,
};

use crate::config::Config;

/// Bearer tokens as the issuer mints them, and session cookies of our own, behind one layer.
pub(crate) fn auth(config: &Config) -> Result<JwtAuthLayer, ConfigError> {
    let keys = Keys::hs256([&config.secret])?;
    // A session is minted by ourselves and names no audience; a bearer token for somebody else is none either way.
    let mut sessions = Verifier::builder(keys.clone())
        .with_leeway(config.leeway)
        .dangerous_without_audience();
    if let Some(audience) = &config.audience {
        sessions = sessions.with_audience(audience);
    }
    let mut auth = JwtAuthLayer::keys(keys)
        .with_leeway(config.leeway)
        .with_verified_source(CookieToken::new("jwt_token")?, sessions.build()?)
        .with_allowed_origins(config.allowed_origins.clone())
        .with_stripped_headers(StrippedHeaders::identity())
        .with_paths(Paths::all().exempt("/").exempt("/health").exempt("/auth/*"));
    if let Some(issuer) = &config.issuer {
        auth = auth.with_issuer(issuer);
    }
    if let Some(audience) = &config.audience {
        auth = auth.with_audience(audience);
    }
    auth.build()
}

/// Lets the pages of the allowed origins read our answers, refusals included.
pub(crate) fn cors(config: &Config) -> Result<CorsLayer, Box<dyn Error>> {
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
