//! The schema of a database: made, brought up to date, or refused.

use std::time::Duration;

use sqlx::Pool;
use tokio::time::timeout;

use super::{
    engine::{Engine, Row},
    error::SqlError,
};

/// How long it may take to bring a database up to date, with all that is in it.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Brings the schema up to date, in one transaction; of several nodes that do so at once, one does it and the others wait.
///
/// A database that is up to date is only read, so a role that may not create tables will do for it.
///
/// # Errors
///
/// [`SqlError::Newer`] for a schema that only later versions of this crate know.
pub(super) async fn migrate<DB: Engine>(pool: Pool<DB>) -> Result<(), SqlError> {
    let mut connection = pool.acquire().await?;
    match timeout(LONGEST, migrate_on::<DB>(&mut connection)).await {
        Ok(done) => done,
        Err(_) => {
            connection.close_on_drop();
            Err(SqlError::TimedOut)
        }
    }
}

async fn migrate_on<DB: Engine>(connection: &mut DB::Connection) -> Result<(), SqlError> {
    if missing::<DB>(connection).await?.is_empty() {
        return Ok(());
    }
    let mut transaction = DB::begin(connection).await?;
    if let Some(lock) = DB::LOCK_SCHEMA {
        DB::run_all(&mut transaction, lock).await?;
    }
    // Another node may have done it meanwhile.
    for migration in missing::<DB>(&mut transaction).await? {
        DB::run_all(&mut transaction, migration).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The migrations that this database lacks.
async fn missing<DB: Engine>(
    connection: &mut DB::Connection,
) -> Result<&'static [&'static str], SqlError> {
    let found = if number::<DB>(connection, DB::HAS_SCHEMA).await? == 0 {
        0
    } else {
        let latest = "SELECT COALESCE(MAX(version), 0) FROM warden_schema";
        number::<DB>(connection, latest).await?
    };
    let place = usize::try_from(found).map_err(|_| SqlError::Foreign)?;
    DB::MIGRATIONS.get(place..).ok_or(SqlError::Newer {
        found,
        known: i64::try_from(DB::MIGRATIONS.len()).unwrap_or(i64::MAX),
    })
}

/// The number that is the answer to a question.
pub(super) async fn number<DB: Engine>(
    connection: &mut DB::Connection,
    question: &'static str,
) -> Result<i64, SqlError> {
    let rows = DB::run(connection, question, DB::arguments(&[])?).await?;
    let row = rows.into_iter().next().ok_or(SqlError::Foreign)?;
    Row::<DB>(row).number(0)
}
