//! What outlives a request: a database for users, owners and API keys, and Redis, if there is one, for tickets and revocations.
//!
//! Several processes that are given the same of both are one service: what is revoked, shared or handed over on one of
//! them ends what is open on all.

use std::error::Error;

use tower_warden::{
    ApiKeyStore, ApiKeys, Owners, PostgresStore, RedisStore, RevocationStore, Revocations,
    SharedOwnerStore, SqliteStore, TicketOffice, TicketStore,
    accounts::{AccountStore, Accounts},
};

use crate::{accounts::accounts, config::Config};

pub(crate) struct Stores {
    pub(crate) accounts: Accounts,
    pub(crate) owners: Owners,
    pub(crate) keys: ApiKeys,
    pub(crate) tickets: TicketOffice,
    pub(crate) revocations: Revocations,
}

impl Stores {
    /// Opens what `DATABASE_URL` and `REDIS_URL` name.
    pub(crate) async fn open(config: &Config) -> Result<Self, Box<dyn Error>> {
        let url = &config.database_url;
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let database = PostgresStore::connect(url).await?;
            Self::over(database.with_accounts().await?, config).await
        } else {
            let database = SqliteStore::connect(url).await?;
            Self::over(database.with_accounts().await?, config).await
        }
    }

    async fn over<D>(database: D, config: &Config) -> Result<Self, Box<dyn Error>>
    where
        D: AccountStore + SharedOwnerStore + ApiKeyStore + TicketStore + RevocationStore + Clone,
    {
        let (tickets, revocations) = match &config.redis_url {
            Some(url) => passing(RedisStore::connect(url).await?).await?,
            None => passing(database.clone()).await?,
        };
        let keys = ApiKeys::builder(database.clone(), &config.pepper);
        let keys = keys.with_revocations(revocations.clone()).build()?;
        Ok(Self {
            accounts: accounts(database.clone(), config, &revocations, &keys)?,
            owners: Owners::shared(database).await?,
            keys,
            tickets,
            revocations,
        })
    }
}

/// What is over within minutes, or once a token has expired.
async fn passing<S>(store: S) -> Result<(TicketOffice, Revocations), Box<dyn Error>>
where
    S: TicketStore + RevocationStore + Clone,
{
    let tickets = TicketOffice::builder(store.clone()).build()?;
    Ok((tickets, Revocations::shared(store).await?))
}
