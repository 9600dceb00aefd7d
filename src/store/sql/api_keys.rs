//! The records of API keys, in the table `warden_api_keys`.

use super::{
    engine::{Engine, Row},
    error::SqlError,
    owners::{one_more, subject},
    store::SqlStore,
};
use crate::{
    ApiKeyRecord, ApiKeyStore, Inserted, KeyHash, Listing, NumericDate, Page, StoreFuture,
    SubjectId,
};

/// Keeps a record (1 to 9) unless its owner (3, 4) has so many (10).
pub(super) const INSERT: &str = "
    INSERT INTO warden_api_keys
        (id, hash, issuer, subject, label, scopes, created_at, expires_at, last_used_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
    WHERE (SELECT COUNT(*) FROM warden_api_keys WHERE issuer = $3 AND subject = $4) < $10
    ON CONFLICT (id) DO NOTHING RETURNING id";

const FIND: &str = "
    SELECT id, hash, issuer, subject, label, scopes, created_at, expires_at, last_used_at
    FROM warden_api_keys WHERE id = $1";

const LIST: &str = "
    SELECT id, hash, issuer, subject, label, scopes, created_at, expires_at, last_used_at
    FROM warden_api_keys WHERE issuer = $1 AND subject = $2 AND id > $3
    ORDER BY id LIMIT $4";

const REVOKE: &str = "
    DELETE FROM warden_api_keys WHERE id = $1 AND issuer = $2 AND subject = $3 RETURNING id";

const TOUCH: &str = "
    UPDATE warden_api_keys SET last_used_at = $2
    WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

impl<DB: Engine> ApiKeyStore for SqlStore<DB> {
    fn insert<'a>(&'a self, record: &'a ApiKeyRecord, most: u16) -> StoreFuture<'a, Inserted> {
        Box::pin(async move {
            let scopes = serde_json::to_string(&record.scopes).map_err(|_| SqlError::Driver)?;
            let values = [
                record.id.as_str().into(),
                record.hash.as_bytes().as_slice().into(),
                record.owner.issuer().into(),
                record.owner.subject().into(),
                record.label.as_str().into(),
                scopes.as_str().into(),
                seconds(record.created_at)?.into(),
                record.expires_at.map(seconds).transpose()?.into(),
                record.last_used_at.map(seconds).transpose()?.into(),
                i64::from(most).into(),
            ];
            // Each statement gives one row, the last one if the record was kept.
            let rows = self.0.decide(DB::INSERT_API_KEY, &values).await?;
            if rows.len() == DB::INSERT_API_KEY.len() {
                return Ok(Inserted::Kept);
            }
            Ok(match self.find(&record.id).await? {
                Some(_) => Inserted::IdTaken,
                None => Inserted::LimitReached,
            })
        })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(async move {
            let rows = self.0.ask(FIND, &[id.into()]).await?;
            Ok(rows.first().map(record).transpose()?)
        })
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ApiKeyRecord>> {
        Box::pin(async move {
            let values = [
                owner.issuer().into(),
                owner.subject().into(),
                page.last_key().unwrap_or_default().into(),
                one_more(page).into(),
            ];
            let rows = self.0.ask(LIST, &values).await?;
            let found = rows.iter().map(record).collect::<Result<_, _>>()?;
            Ok(Listing::new(found, page, |record| &record.id))
        })
    }

    fn revoke<'a>(&'a self, owner: &'a SubjectId, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let values = [id, owner.issuer(), owner.subject()];
            let gone = self.0.decide(&[REVOKE], &values.map(Into::into)).await?;
            Ok(!gone.is_empty())
        })
    }

    fn touch<'a>(&'a self, id: &'a str, used_at: NumericDate) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let values = [id.into(), seconds(used_at)?.into()];
            self.0.decide(&[TOUCH], &values).await?;
            Ok(())
        })
    }
}

/// Seconds since 1970 as a database counts them. Later than that is no date that a key has.
pub(super) fn seconds(date: NumericDate) -> Result<i64, SqlError> {
    i64::try_from(date.as_secs()).map_err(|_| SqlError::TooGreat)
}

pub(super) fn date(seconds: i64) -> Result<NumericDate, SqlError> {
    let seconds = u64::try_from(seconds).map_err(|_| SqlError::Foreign)?;
    Ok(NumericDate::from_secs(seconds))
}

fn record<DB: Engine>(row: &Row<DB>) -> Result<ApiKeyRecord, SqlError> {
    Ok(ApiKeyRecord {
        id: row.text(0)?,
        hash: KeyHash::from_bytes(&row.bytes(1)?).ok_or(SqlError::Foreign)?,
        owner: subject(row, 2)?,
        label: row.text(4)?,
        scopes: serde_json::from_str(&row.text(5)?).map_err(|_| SqlError::Foreign)?,
        created_at: date(row.number(6)?)?,
        expires_at: row.number_or_none(7)?.map(date).transpose()?,
        last_used_at: row.number_or_none(8)?.map(date).transpose()?,
    })
}
