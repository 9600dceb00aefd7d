//! [`ResourceId`] and [`SubjectId`]: what is owned, and who owns it, compared byte by byte.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Principal;

/// The longest resource, issuer or subject, in bytes.
const MAX_ID_LENGTH: usize = 1024;

/// A name that cannot be an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// Nothing stands there. Whoever has no name owns nothing: else nobody would equal nobody.
    #[error("an ID is never empty")]
    Empty,
    /// More than 1024 bytes.
    #[error("an ID has at most {MAX_ID_LENGTH} bytes")]
    TooLong,
    /// A NUL, which not every engine can keep apart from the end of the text.
    #[error("an ID holds no NUL")]
    Nul,
    /// A control character in a subject, such as a line feed.
    #[error("a subject holds no control character")]
    Control,
}

fn check(text: &str) -> Result<(), InvalidId> {
    if text.len() > MAX_ID_LENGTH {
        return Err(InvalidId::TooLong);
    }
    if text.contains('\0') {
        return Err(InvalidId::Nul);
    }
    Ok(())
}

fn check_present(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    check(text)
}

/// What is owned: a room, a chat, an agent. 1 to 1024 bytes of UTF-8 without NUL, compared byte by byte.
///
/// Nothing is folded, trimmed or normalised: `Room` and `room` are two resources, and so are two spellings of `é`.
/// Cloning it copies a pointer.
///
/// ```
/// use tower_warden::{InvalidId, ResourceId};
///
/// let room = ResourceId::new("/agents/support/r1")?;
/// assert_eq!(room.as_str(), "/agents/support/r1");
/// assert_eq!(ResourceId::new(""), Err(InvalidId::Empty));
/// # Ok::<(), InvalidId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId(Arc<str>);

impl ResourceId {
    /// Takes the name of a resource.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when it is empty, too long, or holds a NUL.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
        let name = name.into();
        check_present(&name)?;
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ResourceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ResourceId {
    type Error = InvalidId;

    fn try_from(name: String) -> Result<Self, InvalidId> {
        Self::new(name)
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        (*id.0).to_owned()
    }
}

impl fmt::Debug for ResourceId {
    /// Names may be personal, so they stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceId(..)")
    }
}

/// Who owns, or may use, a resource: a subject together with its issuer, compared byte by byte.
///
/// The subject alone says nothing: another issuer may call somebody else `alice`. The subject is never empty, so nobody
/// without a name ever equals another one. The issuer is empty where tokens name none, as in a service that issues its
/// own. Both have at most 1024 bytes and no NUL, and the subject has no control character. Cloning it copies two
/// pointers.
///
/// ```
/// use tower_warden::{InvalidId, SubjectId};
///
/// let alice = SubjectId::new("https://id.example", "alice")?;
/// assert_ne!(alice, SubjectId::new("https://evil.example", "alice")?);
/// assert_ne!(alice, SubjectId::new("https://id.example", "Alice")?);
/// assert_eq!(SubjectId::new("https://id.example", ""), Err(InvalidId::Empty));
/// # Ok::<(), InvalidId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Names", into = "Names")]
pub struct SubjectId {
    issuer: Arc<str>,
    subject: Arc<str>,
}

impl SubjectId {
    /// Takes an issuer, which may be empty, and a subject, which may not.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when the subject is empty or holds a control character, or when either is too long or holds a NUL.
    pub fn new(
        issuer: impl Into<Arc<str>>,
        subject: impl Into<Arc<str>>,
    ) -> Result<Self, InvalidId> {
        let (issuer, subject) = (issuer.into(), subject.into());
        check(&issuer)?;
        check_present(&subject)?;
        if subject.contains(char::is_control) {
            return Err(InvalidId::Control);
        }
        Ok(Self { issuer, subject })
    }

    /// Takes issuer and subject of a principal.
    ///
    /// # Errors
    ///
    /// [`InvalidId`], as where
    /// [`dangerous_without_subject`](crate::AuthLayerBuilder::dangerous_without_subject) let one in without a subject.
    pub fn of(principal: &Principal) -> Result<Self, InvalidId> {
        Self::new(principal.issuer().unwrap_or_default(), principal.subject())
    }

    /// Another subject of the same issuer, such as the one to share with.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_subject(&self, subject: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
        Self::new(Arc::clone(&self.issuer), subject)
    }

    /// The issuer; empty where tokens name none.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject, never empty.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Debug for SubjectId {
    /// Names nobody: an ID ends in logs sooner than one thinks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectId(..)")
    }
}

/// How a [`SubjectId`] travels between nodes.
#[derive(Serialize, Deserialize)]
struct Names {
    issuer: String,
    subject: String,
}

impl TryFrom<Names> for SubjectId {
    type Error = InvalidId;

    fn try_from(names: Names) -> Result<Self, InvalidId> {
        Self::new(names.issuer, names.subject)
    }
}

impl From<SubjectId> for Names {
    fn from(id: SubjectId) -> Self {
        Self {
            issuer: (*id.issuer).to_owned(),
            subject: (*id.subject).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn hostile_names_are_refused_or_kept_byte_for_byte() {
        let long = "x".repeat(10 * 1024);
        let longest = "x".repeat(MAX_ID_LENGTH);
        for (name, verdict) in [
            ("", Err(InvalidId::Empty)),
            ("a\0", Err(InvalidId::Nul)),
            ("\0", Err(InvalidId::Nul)),
            (&*long, Err(InvalidId::TooLong)),
            (&*longest, Ok(())),
            ("' OR 1=1; --", Ok(())),
            ("a\"b\\c{}:*", Ok(())),
            (" alice ", Ok(())),
            ("\u{212a}elvin", Ok(())),
        ] {
            assert_eq!(ResourceId::new(name).map(drop), verdict, "{name:.20}");
            assert_eq!(SubjectId::new("i", name).map(drop), verdict, "{name:.20}");
            let issuer = match verdict {
                Err(InvalidId::Empty) => Ok(()),
                other => other,
            };
            assert_eq!(SubjectId::new(name, "s").map(drop), issuer, "{name:.20}");
            if verdict.is_ok() {
                assert_eq!(ResourceId::new(name).unwrap().as_str(), name);
                assert_eq!(SubjectId::new("i", name).unwrap().subject(), name);
            }
        }
    }

    #[test]
    fn a_subject_holds_no_control_character() {
        for name in [
            "a\nb",
            "\r\n",
            "\u{1}",
            "a\tb",
            "\u{7f}",
            "\u{85}",
            &"\u{1}".repeat(1024),
        ] {
            let alice = SubjectId::new("i", "alice").unwrap();
            assert_eq!(
                SubjectId::new("i", name),
                Err(InvalidId::Control),
                "{name:?}"
            );
            assert_eq!(
                alice.with_subject(name),
                Err(InvalidId::Control),
                "{name:?}"
            );
            // A resource is named by a path, which may hold any byte.
            assert_eq!(ResourceId::new(name).unwrap().as_str(), name);
        }
        assert_eq!(SubjectId::new("i", "\0"), Err(InvalidId::Nul));
    }

    #[test]
    fn issuer_and_subject_never_run_into_each_other() {
        assert_ne!(
            SubjectId::new("a", "bc").unwrap(),
            SubjectId::new("ab", "c").unwrap()
        );
        assert_ne!(
            SubjectId::new("", "a").unwrap(),
            SubjectId::new("a", "a").unwrap()
        );
    }

    #[test]
    fn what_travels_is_checked_again() {
        let alice = SubjectId::new("https://id.example", "alice").unwrap();
        let text = serde_json::to_string(&alice).unwrap();
        assert_eq!(serde_json::from_str::<SubjectId>(&text).unwrap(), alice);
        let nobody = r#"{"issuer":"https://id.example","subject":""}"#;
        assert!(serde_json::from_str::<SubjectId>(nobody).is_err());
        assert!(serde_json::from_str::<ResourceId>(r#""""#).is_err());
    }

    #[test]
    fn ids_name_nobody_in_logs() {
        let alice = SubjectId::new("issuer", "alice").unwrap();
        let room = ResourceId::new("room").unwrap();
        let text = format!("{alice:?} {room:?}");
        assert_eq!(text, "SubjectId(..) ResourceId(..)");
    }
}
