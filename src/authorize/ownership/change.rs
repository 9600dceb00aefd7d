//! [`OwnershipChange`]: a right that was given or taken, as it travels between nodes.

use serde::{Deserialize, Serialize};

use super::{ResourceId, Role, SubjectId};

/// A right that was given or taken. Its JSON is what travels between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum OwnershipChange {
    /// A resource has another owner, and no grants.
    Transferred {
        /// What was handed over.
        resource: ResourceId,
        /// Whose it is from now on.
        to: SubjectId,
    },
    /// A subject was given a role, in place of any that it had.
    Granted {
        /// What was shared.
        resource: ResourceId,
        /// With whom.
        subject: SubjectId,
        /// As what.
        role: Role,
    },
    /// A subject lost its role.
    Revoked {
        /// What is shared no more.
        resource: ResourceId,
        /// With whom.
        subject: SubjectId,
    },
}

impl OwnershipChange {
    /// What changed hands, or is shared otherwise.
    #[must_use]
    pub const fn resource(&self) -> &ResourceId {
        match self {
            Self::Transferred { resource, .. }
            | Self::Granted { resource, .. }
            | Self::Revoked { resource, .. } => resource,
        }
    }

    /// Whether this change takes from a subject what it needs that role of the [resource](Self::resource) for.
    #[must_use]
    pub fn shuts_out(&self, who: &SubjectId, needed: Role) -> bool {
        match self {
            Self::Transferred { to, .. } => to != who,
            Self::Granted { subject, role, .. } => subject == who && *role < needed,
            Self::Revoked { subject, .. } => subject == who,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_change_shuts_out_whom_it_takes_from() {
        let resource = ResourceId::new("r1").unwrap();
        let [alice, bob] = ["alice", "bob"].map(|name| SubjectId::new("i", name).unwrap());
        let transferred = OwnershipChange::Transferred {
            resource: resource.clone(),
            to: bob.clone(),
        };
        let granted = OwnershipChange::Granted {
            resource: resource.clone(),
            subject: bob.clone(),
            role: Role::Writer,
        };
        let revoked = OwnershipChange::Revoked {
            resource: resource.clone(),
            subject: bob.clone(),
        };
        for (change, who, needed, out) in [
            (&transferred, &alice, Role::Reader, true),
            (&transferred, &bob, Role::Admin, false),
            (&granted, &bob, Role::Reader, false),
            (&granted, &bob, Role::Writer, false),
            (&granted, &bob, Role::Admin, true),
            (&granted, &alice, Role::Admin, false),
            (&revoked, &bob, Role::Reader, true),
            (&revoked, &alice, Role::Reader, false),
        ] {
            assert_eq!(change.shuts_out(who, needed), out, "{change:?} {needed:?}");
            assert_eq!(change.resource(), &resource);
        }
    }

    #[test]
    fn a_change_travels_as_json() {
        let change = OwnershipChange::Granted {
            resource: ResourceId::new("r1").unwrap(),
            subject: SubjectId::new("i", "bob").unwrap(),
            role: Role::Writer,
        };
        let text = serde_json::to_string(&change).unwrap();
        let expected = r#"{"change":"granted","resource":"r1","subject":{"issuer":"i","subject":"bob"},"role":"writer"}"#;
        assert_eq!(text, expected);
        assert_eq!(
            serde_json::from_str::<OwnershipChange>(&text).unwrap(),
            change
        );
    }
}
