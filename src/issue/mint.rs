//! [`Mint`]: what one token says, and its signature.

use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{TokenIssuer, issuer::LONGEST_LIFETIME};
use crate::{BearerToken, ClaimPath, CredentialKind, NumericDate, VerifiedToken};

/// The claims that the issuer answers for: each is set by its own method or by none.
const RESERVED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"];

/// A token in the making, by [`TokenIssuer::mint`].
///
/// Faults are kept until [`sign`](Self::sign), so that the calls chain.
#[must_use = "a token exists once it is signed"]
#[derive(Debug)]
pub struct Mint<'i> {
    issuer: &'i TokenIssuer,
    subject: String,
    lifetime: Duration,
    /// An end that no lifetime goes beyond.
    end: Option<NumericDate>,
    not_before: Option<NumericDate>,
    scopes: Vec<String>,
    /// In place of the issuer's own.
    audiences: Option<Vec<String>>,
    claims: Map<String, Value>,
    kind: CredentialKind,
    fault: Option<IssueError>,
}

/// A token that was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A claim that the issuer sets itself, or that has a method of its own.
    #[error("the claim `{name}` is not set by with_claim")]
    ClaimReserved {
        /// The claim.
        name: String,
    },
    /// A claim given twice.
    #[error("the claim `{name}` was given twice")]
    ClaimRepeated {
        /// The claim.
        name: String,
    },
    /// A claim whose value cannot be written as JSON.
    #[error("the claim `{name}` cannot be written as JSON")]
    ClaimUnwritable {
        /// The claim.
        name: String,
        /// What serde answered.
        source: serde_json::Error,
    },
    /// A scope outside the alphabet of [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
    #[error(
        "the scope {scope:?} is empty, or holds a space, quote, backslash, control or non-ASCII character"
    )]
    ScopeMalformed {
        /// The scope as it was given.
        scope: String,
    },
    /// An empty subject: it would be nobody, or everybody.
    #[error("the subject is empty")]
    SubjectEmpty,
    /// A lifetime under a second or over a year (5 min for connection tokens), or a token that expires before it
    /// becomes valid.
    #[error("the token would live for less than a second, or for too long")]
    LifetimeOutOfRange,
    /// A principal of another issuer, whose subject is somebody else here.
    #[error("the principal's token has another issuer")]
    IssuerForeign,
    /// A connection token for a resource that the principal's own token is not for.
    #[error("the principal's token is not for this `{name}`")]
    ResourceForeign {
        /// The parameter of the resource.
        name: &'static str,
    },
    /// A connection token for no resource, or for one without a name.
    #[error("the resource is empty")]
    ResourceMissing,
    /// The system gave no random bytes for the token ID.
    #[error("the system has no randomness")]
    NoRandomness,
    /// The crypto backend failed.
    #[error("the crypto backend did not sign")]
    SigningFailed,
}

impl<'i> Mint<'i> {
    pub(super) fn new(issuer: &'i TokenIssuer, subject: String, lifetime: Duration) -> Self {
        Self {
            issuer,
            subject,
            lifetime,
            end: None,
            not_before: None,
            scopes: Vec::new(),
            audiences: None,
            claims: Map::new(),
            kind: CredentialKind::Token,
            fault: None,
        }
    }

    /// Adds a claim of the application; the registered ones (`sub`, `exp`, …) and `scope` have their own ways.
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        if RESERVED.contains(&name.as_str()) {
            return self.with_fault(IssueError::ClaimReserved { name });
        }
        match serde_json::to_value(value) {
            Ok(value) => {
                if self.claims.contains_key(&name) {
                    return self.with_fault(IssueError::ClaimRepeated { name });
                }
                self.claims.insert(name, value);
                self
            }
            Err(source) => self.with_fault(IssueError::ClaimUnwritable { name, source }),
        }
    }

    /// Adds scopes, written as one string with spaces between them ([RFC 8693 §4.2]).
    ///
    /// [RFC 8693 §4.2]: https://www.rfc-editor.org/rfc/rfc8693#section-4.2
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        for scope in scopes {
            let scope = scope.into();
            let token = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            if scope.is_empty() || !scope.bytes().all(token) {
                return self.with_fault(IssueError::ScopeMalformed { scope });
            }
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        self
    }

    /// Sets how long this token lives, from a second to a year: by default as long as its issuer says.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Lets the token end no later than this.
    pub(super) fn with_end(mut self, end: NumericDate) -> Self {
        self.end = Some(end);
        self
    }

    /// Names these audiences, or none, in place of the issuer's own.
    pub(super) fn with_audiences<'a>(mut self, audiences: impl Iterator<Item = &'a str>) -> Self {
        self.audiences = Some(audiences.map(str::to_owned).collect());
        self
    }

    /// Takes over a claim of another token, if it has one.
    pub(super) fn with_copy(self, token: &VerifiedToken, name: &str) -> Self {
        match token.claim_value(&ClaimPath::new([name])) {
            // The issuer answers for it, or it has been copied by a method of its own.
            Some(_) if RESERVED.contains(&name) => self,
            Some(value) => self.with_claim(name, value),
            None => self,
        }
    }

    /// Signs it as a connection token, by its `typ`.
    pub(super) fn for_connection(mut self) -> Self {
        self.kind = CredentialKind::ConnectionToken;
        self
    }

    /// Sets when this token becomes valid (`nbf`): by default it says nothing and is valid at once.
    pub fn with_not_before(mut self, not_before: NumericDate) -> Self {
        self.not_before = Some(not_before);
        self
    }

    /// Signs the token, with `iat` now, `exp` after its lifetime, and a random `jti` of 128 bits.
    ///
    /// # Errors
    /// The first fault of what was given, or that of the system.
    pub fn sign(self) -> Result<BearerToken<'static>, IssueError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.subject.is_empty() {
            return Err(IssueError::SubjectEmpty);
        }
        let issuer = self.issuer.settings();
        let now = issuer.clock.now().as_secs();
        let expires = now.saturating_add(self.lifetime.as_secs());
        let expires = self.end.map_or(expires, |end| expires.min(end.as_secs()));
        let alive = now.max(self.not_before.map_or(0, NumericDate::as_secs));
        if alive >= expires || self.lifetime > LONGEST_LIFETIME {
            return Err(IssueError::LifetimeOutOfRange);
        }
        let mut token_id = [0; 16];
        getrandom::fill(&mut token_id).map_err(|_| IssueError::NoRandomness)?;

        let mut claims = self.claims;
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        if let Some(name) = &issuer.issuer {
            set("iss", name.as_str().into());
        }
        match self
            .audiences
            .as_ref()
            .unwrap_or(&issuer.audiences)
            .as_slice()
        {
            [] => {}
            [audience] => _ = set("aud", audience.as_str().into()),
            audiences => _ = set("aud", audiences.into()),
        }
        set("sub", self.subject.into());
        set("iat", now.into());
        set("exp", expires.into());
        if let Some(not_before) = self.not_before {
            set("nbf", not_before.as_secs().into());
        }
        set("jti", URL_SAFE_NO_PAD.encode_to_string(token_id).into());
        if !self.scopes.is_empty() {
            set("scope", self.scopes.join(" ").into());
        }
        self.issuer
            .sign(self.kind, &Value::from(claims).to_string())
    }

    fn with_fault(mut self, fault: IssueError) -> Self {
        self.fault.get_or_insert(fault);
        self
    }
}
