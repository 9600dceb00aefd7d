//! Owners and grants, in the tables `warden_owners` and `warden_grants`.

use super::{
    engine::{Engine, Row},
    error::SqlError,
    notice,
    store::SqlStore,
};
use crate::{
    Claim, Listing, OwnerAccess, OwnerStore, OwnershipChange, Page, ResourceId, Role, Standing,
    StoreFuture, SubjectId,
};

// That a name is taken is settled by the constraint on it, so of many first claims one gets a row back.
const CLAIM: &str = "
    INSERT INTO warden_owners (resource, issuer, subject) VALUES ($1, $2, $3)
    ON CONFLICT (resource) DO NOTHING RETURNING tenure";

/// Makes a subject (2, 3) the owner of a resource (1), unless it owns so many (4).
pub(super) const CLAIM_WITHIN: &str = "
    INSERT INTO warden_owners (resource, issuer, subject)
    SELECT $1, $2, $3
    WHERE (SELECT COUNT(*) FROM (
        SELECT 1 FROM warden_owners WHERE issuer = $2 AND subject = $3 LIMIT $4) AS owned) < $4
    ON CONFLICT (resource) DO NOTHING RETURNING tenure";

const OWNER: &str = "SELECT issuer, subject FROM warden_owners WHERE resource = $1";

const ACCESS: &str = "
    SELECT o.issuer, o.subject, g.role FROM warden_owners AS o
    LEFT JOIN warden_grants AS g ON g.tenure = o.tenure AND g.issuer = $2 AND g.subject = $3
    WHERE o.resource = $1";

const LIST: &str = "
    SELECT resource FROM warden_owners WHERE issuer = $1 AND subject = $2 AND resource > $3
    ORDER BY resource LIMIT $4";

impl<DB: Engine> OwnerStore for SqlStore<DB> {
    fn claim_within<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        most: u32,
    ) -> StoreFuture<'a, Claim> {
        Box::pin(async move {
            let values = [
                resource.as_str().into(),
                subject.issuer().into(),
                subject.subject().into(),
                i64::from(most).into(),
            ];
            let (names, _) = values.split_at(3);
            // Where nothing is counted, one statement decides. Each gives one row, the last one if the claim succeeded.
            let (statements, values) = match most {
                u32::MAX => (&[CLAIM][..], names),
                _ => (DB::CLAIM_WITHIN, &values[..]),
            };
            let rows = self.0.decide(statements, values).await?;
            if rows.len() == statements.len() {
                return Ok(Claim::Claimed);
            }
            // The present owner owned it when the claim was refused, or was given it since.
            Ok(match self.owner(resource).await? {
                Some(owner) if owner == *subject => Claim::AlreadyYours,
                Some(_) => Claim::Other,
                None => Claim::LimitReached,
            })
        })
    }

    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
        Box::pin(async move {
            let rows = self.0.ask(OWNER, &[resource.as_str().into()]).await?;
            let owner = rows.first().map(|row| subject(row, 0)).transpose()?;
            Ok(owner)
        })
    }

    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>> {
        Box::pin(async move {
            let values = [resource.as_str(), subject.issuer(), subject.subject()];
            let rows = self.0.ask(ACCESS, &values.map(Into::into)).await?;
            let access = rows.first().map(|row| access(row, subject)).transpose()?;
            Ok(access)
        })
    }

    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let notice = notice::<DB>(&OwnershipChange::Transferred {
                resource: resource.clone(),
                to: to.clone(),
            })?;
            let values = [
                resource.as_str(),
                from.issuer(),
                from.subject(),
                to.issuer(),
                to.subject(),
                &notice,
            ];
            let moved = self.0.decide(DB::TRANSFER, &values.map(Into::into)).await?;
            Ok(!moved.is_empty())
        })
    }

    fn grant<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        role: Role,
    ) -> StoreFuture<'a, Option<Standing>> {
        Box::pin(async move {
            let notice = notice::<DB>(&OwnershipChange::Granted {
                resource: resource.clone(),
                subject: subject.clone(),
                role,
            })?;
            let values = [
                resource.as_str(),
                subject.issuer(),
                subject.subject(),
                role.as_str(),
                &notice,
            ];
            let rows = self.0.decide(DB::GRANT, &values.map(Into::into)).await?;
            let owns = rows.first().map(|row| row.number(0)).transpose()?;
            Ok(owns.map(|owns| match owns {
                0 => Standing::Granted(role),
                _ => Standing::Owner,
            }))
        })
    }

    fn revoke<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let notice = notice::<DB>(&OwnershipChange::Revoked {
                resource: resource.clone(),
                subject: subject.clone(),
            })?;
            let values = [
                resource.as_str(),
                subject.issuer(),
                subject.subject(),
                &notice,
            ];
            let ended = self.0.decide(DB::REVOKE, &values.map(Into::into)).await?;
            Ok(!ended.is_empty())
        })
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ResourceId>> {
        Box::pin(async move {
            let values = [
                owner.issuer().into(),
                owner.subject().into(),
                // No name is empty, so every one comes after that.
                page.last_key().unwrap_or_default().into(),
                one_more(page).into(),
            ];
            let rows = self.0.ask(LIST, &values).await?;
            let name = |row: &Row<DB>| ResourceId::new(row.text(0)?).map_err(|_| SqlError::Foreign);
            let found = rows.iter().map(name).collect::<Result<_, _>>()?;
            Ok(Listing::new(found, page, ResourceId::as_str))
        })
    }
}

/// How many rows to read for a page, and to see whether it is the last.
pub(super) fn one_more(page: &Page) -> i64 {
    i64::try_from(page.limit() + 1).unwrap_or(i64::MAX)
}

/// The subject whose issuer is in this column, and whose name is in the next.
pub(super) fn subject<DB: Engine>(row: &Row<DB>, column: usize) -> Result<SubjectId, SqlError> {
    let (issuer, subject) = (row.text(column)?, row.text(column + 1)?);
    SubjectId::new(issuer, subject).map_err(|_| SqlError::Foreign)
}

fn access<DB: Engine>(row: &Row<DB>, who: &SubjectId) -> Result<OwnerAccess, SqlError> {
    let granted = match row.text_or_none(2)? {
        Some(role) => Some(Role::parse(&role).ok_or(SqlError::Foreign)?),
        None => None,
    };
    Ok(OwnerAccess::new(subject(row, 0)?, who, granted))
}

/// Writes a change for other nodes.
fn notice<DB: Engine>(change: &OwnershipChange) -> Result<String, SqlError> {
    notice::write(change, DB::LONGEST_NOTICE)
}
