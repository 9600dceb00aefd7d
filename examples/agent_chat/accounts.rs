//! Users of our own: who they are, and the sessions of their browsers.

use tower_warden::{
    ApiKeys, ConfigError, Revocations,
    accounts::{AccountStore, Accounts},
};

use crate::config::Config;

/// Whoever signs out is signed out on every node.
pub(crate) fn accounts(
    store: impl AccountStore,
    config: &Config,
    revocations: &Revocations,
    keys: &ApiKeys,
) -> Result<Accounts, ConfigError> {
    Accounts::builder(store, &config.secret)
        .with_public_origin(&config.public_origin)
        .with_allowed_origins(config.allowed_origins.clone())
        .with_token_lifetime(config.session_token)
        .with_revocations(revocations.clone())
        // A new password ends the user's keys too.
        .with_api_keys(keys.clone())
        .build()
}
