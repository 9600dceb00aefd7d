//! [`Remembered`]: what a verified token said, kept while the token itself is not.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "introspection")]
use super::{attempt::Doubt, authenticate::Authentication};
use super::{
    claims::Members,
    grounds::Grounds,
    header::Header,
    rules::{CONNECTION_TYPE, is_media_type},
    strings::Strings,
    token::{CredentialKind, VerifiedToken, Vouched},
    verifier::Verifier,
};
use crate::{BearerToken, Rejection, RejectionKind, keys::Fingerprint};

/// The header and the claims of a token that was verified, without the signature: nobody can sign in with them.
///
/// Scopes and roles are kept as they were read, so that they never widen, whatever another verifier would read.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Only what was signed has one.
    alg: Option<Algorithm>,
    kid: Option<String>,
    typ: Option<String>,
    claims: String,
    scopes: Vec<String>,
    roles: Vec<String>,
    /// Only what its provider was asked about has one.
    answer: Option<Answer>,
}

/// The provider's answer that a token rests on.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Answer {
    /// The end of the answer, in milliseconds since the Unix epoch.
    until: u64,
    /// The SHA-256 of the token.
    token: [u8; 32],
}

impl Answer {
    fn grounds(&self) -> Grounds {
        Grounds::Answer {
            until: Duration::from_millis(self.until),
            token: Arc::new(self.token),
        }
    }
}

impl VerifiedToken {
    /// What this token says, to be [recalled](Verifier::recall).
    pub(crate) fn remember(&self) -> Remembered {
        let answer = match &self.grounds {
            Grounds::Answer { until, token } => Some(Answer {
                until: u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
                token: **token,
            }),
            Grounds::Keys { .. } | Grounds::Ourselves => None,
        };
        Remembered {
            answer,
            alg: self.algorithm(),
            kid: self.key_id().map(str::to_owned),
            typ: self.media_type().map(str::to_owned),
            claims: self.claims_text().to_owned(),
            scopes: self.scopes().map(str::to_owned).collect(),
            roles: self.roles().map(str::to_owned).collect(),
        }
    }
}

#[cfg(feature = "introspection")]
impl Remembered {
    /// Returns true where the provider was asked about the token.
    pub(crate) const fn rests_on_an_answer(&self) -> bool {
        self.answer.is_some()
    }

    /// Takes over until when a newer answer of the provider is valid. Nothing else changes, so that nothing widens.
    pub(crate) fn renewed_by(mut self, newer: &VerifiedToken) -> Self {
        self.answer = newer.remember().answer;
        self
    }
}

impl Verifier {
    /// Verifies again what was remembered, and asks the provider where an answer of it is valid no longer. `None` if this
    /// verifier cannot ask about the token.
    #[cfg(feature = "introspection")]
    pub(crate) fn ask_again(&self, remembered: &Remembered) -> Option<Authentication> {
        let token = &remembered.answer.as_ref()?.token;
        let asked = self
            .all()
            .find_map(|authority| authority.ask_again(token))?;
        Some(match asked {
            Ok(token) => Authentication::Now(Ok(token)),
            Err(Doubt::Asked(question)) => Authentication::Later(Box::pin(question.settle())),
            Err(doubt) => Authentication::Now(Err(doubt.rejection())),
        })
    }

    /// Makes a verified token of what one said that was verified before; `token` is what came in its place.
    ///
    /// Only an authority that has the key recalls it; `is_it` knows the fingerprint. All rules but the signature are asked
    /// again, so a token that this verifier would have refused, because of its issuer, audience, type or age, is refused
    /// now.
    ///
    /// # Errors
    ///
    /// The rejection by the rule that is broken: of the last issuer, if there are several.
    pub(crate) fn recall(
        &self,
        remembered: &Remembered,
        token: &BearerToken<'_>,
        is_it: impl Fn(Fingerprint) -> bool,
    ) -> Result<VerifiedToken, Rejection> {
        let payload = remembered.claims.as_str();
        let header = remembered.alg.map(|algorithm| Header {
            algorithm,
            key_id: remembered.kid.clone().map(Cow::Owned),
            media_type: remembered.typ.clone().map(Cow::Owned),
        });
        let media_type = remembered.typ.as_deref();
        let mut found = Err(RejectionKind::AlgorithmNotAllowed.into());
        for authority in self.all() {
            let rules = &authority.rules;
            // What an endpoint vouched for is recalled by whoever would ask one, and what was signed by whoever has keys.
            let allowed = match &remembered.alg {
                None => authority.introspects(),
                Some(alg) => {
                    let listed = rules.algorithms.as_ref();
                    !authority.introspects() && listed.is_none_or(|listed| listed.contains(alg))
                }
            };
            if !allowed {
                continue;
            }
            let mut members = Members::default();
            let now = authority.clock.now();
            let claims = members
                .find(payload, rules, now)
                .and_then(|()| members.judge(payload, rules, now));
            found = claims.and_then(|claims| {
                rules.token_type.check(media_type)?;
                // A ticket is not drawn with a connection token, whose binding it would not have to keep to.
                if is_media_type(media_type, CONNECTION_TYPE) {
                    return Err(RejectionKind::TypeMismatch.into());
                }
                let answered = remembered.answer.as_ref().map(Answer::grounds);
                match authority.grounds_of(header.as_ref(), answered, &is_it) {
                    Some(grounds) => Ok((claims, grounds)),
                    None => Err(RejectionKind::KeyUnknown.into()),
                }
            });
            if found.is_ok() {
                break;
            }
        }
        let (mut claims, grounds) = found?;
        claims.scopes = listed(&remembered.scopes);
        claims.roles = listed(&remembered.roles);
        Ok(VerifiedToken {
            token: token.clone().into_owned(),
            // Whoever vouched for the token that was remembered has never seen the text that came in its place.
            vouched: Vouched::Ourselves,
            kind: CredentialKind::Ticket,
            grounds,
            header: header.map(Arc::new),
            payload: payload.into(),
            claims,
            typed: Default::default(),
        })
    }
}

fn listed(texts: &[String]) -> Strings {
    Strings::Unescaped(texts.iter().map(|text| text.as_str().into()).collect())
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Keys, SigningKey, TokenIssuer, TokenType};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn verifier() -> crate::VerifierBuilder {
        Verifier::builder(Keys::hs256([SECRET]).unwrap())
    }

    fn remembered(audience: &str) -> Remembered {
        let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
            .with_issuer("us")
            .with_audience(audience)
            .build()
            .unwrap();
        let token = issuer
            .mint("alice")
            .with_claim("roles", ["reader"])
            .with_claim("admin_roles", ["root"])
            .with_claim("admin_scopes", ["everything"])
            .with_claim("sid", "s1")
            .with_scopes(["a", "b"])
            .sign()
            .unwrap();
        let verifier = verifier()
            .with_audience(audience)
            .with_roles_claim("roles")
            .build()
            .unwrap();
        verifier.verify(&token).unwrap().remember()
    }

    #[test]
    fn what_was_verified_is_recalled_as_it_was_and_never_wider() {
        let ticket = BearerToken::new("ticket");
        let remembered = remembered("orders");
        let text = serde_json::to_string(&remembered).unwrap();
        let remembered: Remembered = serde_json::from_str(&text).unwrap();
        let verifier = verifier()
            .with_audience("orders")
            .with_issuer("us")
            .with_roles_claim("admin_roles")
            .with_scope_claim("admin_scopes")
            .build()
            .unwrap();
        let token = verifier.recall(&remembered, &ticket, |_| true).unwrap();
        assert_eq!(token.subject(), Some("alice"));
        assert_eq!(token.issuer(), Some("us"));
        assert_eq!(token.scopes().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(token.roles().collect::<Vec<_>>(), ["reader"]);
        assert_eq!(token.token().expose(), "ticket");
        assert_eq!(token.claims::<serde_json::Value>().unwrap()["sid"], "s1");
        assert!(token.expires_at().is_some() && token.token_id().is_some());
    }

    #[test]
    fn a_verifier_recalls_only_what_it_would_have_let_in() {
        let ticket = BearerToken::new("ticket");
        for (builder, kind) in [
            (
                verifier().with_audience("payments"),
                RejectionKind::AudienceMismatch,
            ),
            (verifier(), RejectionKind::AudienceMismatch),
            (
                verifier().with_audience("orders").with_issuer("them"),
                RejectionKind::IssuerMismatch,
            ),
            (
                verifier()
                    .with_audience("orders")
                    .with_token_type(TokenType::AccessToken),
                RejectionKind::TypeMismatch,
            ),
        ] {
            let verifier = builder.build().unwrap();
            let refused = verifier
                .recall(&remembered("orders"), &ticket, |_| true)
                .unwrap_err();
            assert_eq!(refused.kind(), kind);
        }
    }
}
