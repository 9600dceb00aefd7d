//! Revocations, in the table `warden_revocations`. How nodes are told of them, each engine says for itself.

use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use tokio::task::yield_now;

use super::{
    engine::{Engine, Row},
    error::SqlError,
    store::Shared,
};
use crate::{CryptoBackend, Revocation, verify::sha256};

const LOAD: &str = "SELECT revocation FROM warden_revocations WHERE expires_at > $1";

const SWEEP: &str = "
    DELETE FROM warden_revocations WHERE digest IN
        (SELECT digest FROM warden_revocations WHERE expires_at < $1 ORDER BY expires_at LIMIT 256)";

/// So many seconds after its end nobody needs a revocation any more, whatever the leeway and the clock.
const GRACE: i64 = 3_600;

/// The number of rows that are read without a pause.
const SLICE: usize = 1_024;

impl<DB: Engine> Shared<DB> {
    pub(super) async fn publish_revocation(
        self: &Arc<Self>,
        revocation: &Revocation,
    ) -> Result<(), SqlError> {
        let text = serde_json::to_string(revocation).map_err(|_| SqlError::Driver)?;
        let backend = CryptoBackend::preferred()?;
        // It may be longer than what an index takes.
        let digest = sha256(text.as_bytes(), backend).ok_or(SqlError::Driver)?;
        let name = URL_SAFE_NO_PAD.encode_to_string(&digest);
        let notice = if text.len() <= DB::LONGEST_NOTICE {
            &text
        } else {
            &name
        };
        let end = i64::try_from(revocation.expires_at().as_secs()).unwrap_or(i64::MAX);
        let values = [
            digest.as_slice().into(),
            text.as_str().into(),
            end.into(),
            notice.as_str().into(),
        ];
        self.decide(DB::PUBLISH, &values).await?;
        self.sweep(&self.revocations, &[SWEEP], self.long_over());
        Ok(())
    }

    pub(super) async fn load_revocations(&self) -> Result<Vec<Revocation>, SqlError> {
        let rows = self.ask(LOAD, &[self.long_over().into()]).await?;
        let now = self.options.clock.now();
        let mut found = Vec::with_capacity(rows.len());
        for (n, row) in rows.into_iter().enumerate() {
            let revocation = revocation(&row, 0)?;
            if !revocation.is_over(now) {
                found.push(revocation);
            }
            // There may be a million.
            if n % SLICE == SLICE - 1 {
                yield_now().await;
            }
        }
        Ok(found)
    }

    fn long_over(&self) -> i64 {
        let now = self.options.clock.now().as_secs();
        i64::try_from(now).unwrap_or(i64::MAX) - GRACE
    }
}

/// The revocation in this column.
pub(super) fn revocation<DB: Engine>(row: &Row<DB>, column: usize) -> Result<Revocation, SqlError> {
    serde_json::from_str(&row.text(column)?).map_err(|_| SqlError::Foreign)
}
