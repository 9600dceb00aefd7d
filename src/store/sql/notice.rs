//! Changes of ownership as PostgreSQL carries them between nodes: JSON, and a shorter form where that is too long.
//!
//! JSON writes some bytes as six. The short form writes each name in base64url, so the longest change, of three names of
//! 1024 bytes, has less than 4,200 bytes. No change is too long to be sent.

use base64_simd::URL_SAFE_NO_PAD;

use super::error::SqlError;
use crate::OwnershipChange;
#[cfg(feature = "postgres")]
use crate::{ResourceId, Role, SubjectId};

/// Writes a change in at most `longest` bytes, or in the short form.
pub(super) fn write(change: &OwnershipChange, longest: usize) -> Result<String, SqlError> {
    let json = serde_json::to_string(change).map_err(|_| SqlError::Driver)?;
    if json.len() <= longest {
        return Ok(json);
    }
    let (kind, subject) = match change {
        OwnershipChange::Transferred { to, .. } => ("transferred", to),
        OwnershipChange::Granted { subject, role, .. } => (role.as_str(), subject),
        OwnershipChange::Revoked { subject, .. } => ("revoked", subject),
    };
    let resource = change.resource().as_str();
    let names = [resource, subject.issuer(), subject.subject()];
    let [resource, issuer, subject] = names.map(|name| URL_SAFE_NO_PAD.encode_to_string(name));
    Ok(format!("{kind} {resource} {issuer} {subject}"))
}

/// Reads a change in either form.
#[cfg(feature = "postgres")]
pub(super) fn read(text: &str) -> Option<OwnershipChange> {
    if text.starts_with('{') {
        return serde_json::from_str(text).ok();
    }
    let mut parts = text.split(' ');
    let kind = parts.next()?;
    let mut name = || {
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(parts.next()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    let resource = ResourceId::new(name()?).ok()?;
    let subject = SubjectId::new(name()?, name()?).ok()?;
    if parts.next().is_some() {
        return None;
    }
    Some(match kind {
        "transferred" => OwnershipChange::Transferred {
            resource,
            to: subject,
        },
        "revoked" => OwnershipChange::Revoked { resource, subject },
        role => OwnershipChange::Granted {
            resource,
            subject,
            role: Role::parse(role)?,
        },
    })
}

#[cfg(all(test, feature = "postgres"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_change_fits_and_is_read_as_it_was_written() {
        let resource = ResourceId::new("\u{1}".repeat(1024)).unwrap();
        let subject = SubjectId::new("\u{1}".repeat(1024), "\"".repeat(1024)).unwrap();
        for change in [
            OwnershipChange::Transferred {
                resource: resource.clone(),
                to: subject.clone(),
            },
            OwnershipChange::Granted {
                resource: resource.clone(),
                subject: subject.clone(),
                role: Role::Writer,
            },
            OwnershipChange::Revoked { resource, subject },
        ] {
            let short = write(&change, 7_999).unwrap();
            assert!(
                !short.starts_with('{') && short.len() < 4_200,
                "{}",
                short.len()
            );
            assert_eq!(read(&short), Some(change.clone()));
            let long = write(&change, usize::MAX).unwrap();
            assert!(long.starts_with('{') && long.len() > 7_999);
            assert_eq!(read(&long), Some(change));
        }
    }

    #[test]
    fn a_text_that_is_no_change_is_none() {
        for text in [
            "",
            "{",
            "{}",
            "revoked",
            "revoked YQ YQ",
            "revoked YQ YQ YQ YQ",
            "revoked YQ YQ !!",
            "revoked YQ YQ gA",
            "revoked  YQ YQ",
            "owner YQ YQ YQ",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read("reader YQ  YQ").is_some(), "an issuer may be empty");
    }
}
