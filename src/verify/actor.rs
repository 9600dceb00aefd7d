//! [`Actor`]: who acts on the subject's behalf (`act`, [RFC 8693 §4.1]).
//!
//! [RFC 8693 §4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1

use super::json::{self, Kind, Value, WrongType};

/// How many actors may stand behind one another.
const MAX_CHAIN: usize = 8;

/// A party that acts for the subject of a token, such as an agent for its user ([RFC 8693 §4.1], `act`).
///
/// The outermost actor is the present one. Whoever stands in [`prior`](Self::prior) acted before it and is told for
/// the record only: access is decided by the subject and the present actor.
///
/// [RFC 8693 §4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    subject: Option<Box<str>>,
    issuer: Option<Box<str>>,
    prior: Option<Box<Self>>,
}

impl Actor {
    /// `sub` of the actor, never empty.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `iss` of the actor: who vouches for its subject, where that is another one than the token's issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The actor before this one.
    #[must_use]
    pub fn prior(&self) -> Option<&Self> {
        self.prior.as_deref()
    }

    /// How many bytes it takes, those before it included.
    pub(super) fn size(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let prior = self.prior.as_ref().map_or(0, |prior| prior.size());
        size_of::<Self>() + text(&self.subject) + text(&self.issuer) + prior
    }

    /// Reads an `act` claim. Other members than those three are left to the typed claims.
    pub(super) fn take(value: &Value, payload: &str) -> Result<Self, WrongType> {
        Self::take_chain(value, payload, MAX_CHAIN)
    }

    fn take_chain(value: &Value, payload: &str, left: usize) -> Result<Self, WrongType> {
        let left = left.checked_sub(1).ok_or(WrongType)?;
        if value.kind != Kind::Object {
            return Err(WrongType);
        }
        let (mut subject, mut issuer, mut prior) = (None, None, None);
        json::scan_within(payload, value.span, |name, value| match name {
            b"sub" => subject = Some(value),
            // `null` is none, as in the claims of the token itself.
            b"iss" if !value.is_null(payload) => issuer = Some(value),
            b"act" if !value.is_null(payload) => prior = Some(value),
            _ => {}
        })
        .map_err(|json::Invalid| WrongType)?;
        let string = |value: Value| {
            let text = value.string(payload).filter(|text| !text.is_empty());
            text.map(Into::into).ok_or(WrongType)
        };
        Ok(Self {
            subject: subject.map(string).transpose()?,
            issuer: issuer.map(string).transpose()?,
            prior: prior
                .map(|value| Self::take_chain(&value, payload, left).map(Box::new))
                .transpose()?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn actor(act: &str) -> Result<Actor, WrongType> {
        let payload = format!(r#"{{"act":{act}}}"#);
        let mut found = None;
        json::scan(&payload, |_, value| found = Some(value)).unwrap();
        Actor::take(&found.unwrap(), &payload)
    }

    #[test]
    fn the_outermost_actor_is_the_present_one() {
        let agent = actor(
            r#"{"sub":"agent\u002d1","iss":"https://a.example","act":{"sub":"agent-0"},"x":{"sub":1}}"#,
        )
        .unwrap();
        assert_eq!(agent.subject(), Some("agent-1"));
        assert_eq!(agent.issuer(), Some("https://a.example"));
        let prior = agent.prior().unwrap();
        assert_eq!(
            (prior.subject(), prior.issuer(), prior.prior()),
            (Some("agent-0"), None, None)
        );
    }

    #[test]
    fn null_is_no_issuer_and_no_prior_actor() {
        let agent = actor(r#"{"sub":"agent-1","iss":null,"act":null}"#).unwrap();
        assert_eq!((agent.issuer(), agent.prior()), (None, None));
    }

    #[test]
    fn an_actor_that_cannot_be_read_is_refused() {
        for act in [
            "null",
            "\"agent\"",
            "[]",
            "7",
            r#"{"sub":7}"#,
            r#"{"sub":null}"#,
            r#"{"sub":""}"#,
            r#"{"iss":[]}"#,
            r#"{"sub":"a","act":"b"}"#,
            r#"{"sub":"a","act":{"sub":false}}"#,
        ] {
            assert_eq!(actor(act), Err(WrongType), "{act}");
        }
    }

    #[test]
    fn the_chain_is_capped() {
        let chain = |length: usize| {
            format!(
                "{}{{}}{}",
                "{\"act\":".repeat(length - 1),
                "}".repeat(length - 1)
            )
        };
        assert!(actor(&chain(MAX_CHAIN)).is_ok());
        assert!(actor(&chain(MAX_CHAIN + 1)).is_err());
    }
}
