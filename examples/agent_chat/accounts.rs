//! Users of our own: who they are, and the sessions of their browsers.

use tower_warden::{ConfigError, MemoryAccountStore, accounts::Accounts};

use crate::config::Config;

pub(crate) fn accounts(config: &Config) -> Result<Accounts, ConfigError> {
    Accounts::builder(MemoryAccountStore::new(), &config.secret)
        .with_public_origin(&config.public_origin)
        .with_allowed_origins(config.allowed_origins.clone())
        .with_token_lifetime(config.session_token)
        .build()
}
