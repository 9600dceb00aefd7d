//! [`Introspector`]: what is known of opaque tokens, and the way to know more.

use std::{fmt, sync::Arc, time::Duration};

use form_urlencoded::byte_serialize;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::answer;
use crate::{
    BearerToken, KeyFetchError, NumericDate, Rejection, RejectionKind,
    keys::{Asked, Asker, Awaited, Fingerprint, Kept, Lookup, Questions, Repute, Span, TokenHash},
    verify::{
        CryptoBackend,
        attempt::{Client, Doubt},
        authority::Authority,
        compact::check_size,
        grounds::Grounds,
        rules::Rules,
        sha256,
        token::{CredentialKind, VerifiedToken, Vouched},
    },
};

/// Room for good tokens: some ten thousand of them.
const ACCEPTED_BYTES: usize = 16 * 1024 * 1024;
const TYPICAL_BYTES: usize = 1024;
/// Room for what was refused, of which only the hash is kept.
const REFUSED_BYTES: usize = 1024 * 1024;

/// What the endpoint, and then the rules, say of a token.
type Verdict = Result<Arc<VerifiedToken>, Rejection>;

/// A question on its way to the endpoint.
pub(in crate::verify) struct Question(Awaited<Verdict>);

impl Question {
    /// Waits for the answer: as long as the endpoint may take for one.
    pub(in crate::verify) async fn settle(self) -> Result<Arc<VerifiedToken>, Rejection> {
        let verdict = self.0.answer().await;
        verdict.unwrap_or(Err(RejectionKind::KeysUnavailable.into()))
    }
}

/// Asks an endpoint about tokens, and keeps its answers for a while.
#[derive(Clone)]
pub(in crate::verify) struct Introspector(Arc<Desk>);

struct Desk {
    lookup: Lookup,
    credentials: HeaderValue,
    lifetime: Duration,
    refused_lifetime: Duration,
    backend: CryptoBackend,
    accepted: Kept<Arc<VerifiedToken>>,
    /// Apart from the good ones, so that junk pushes none of them out.
    refused: Kept<Rejection>,
    questions: Questions<Verdict>,
}

impl Introspector {
    pub(super) fn new(
        lookup: Lookup,
        credentials: HeaderValue,
        lifetime: Duration,
        refused_lifetime: Duration,
        backend: CryptoBackend,
    ) -> Self {
        Self(Arc::new(Desk {
            lookup,
            credentials,
            lifetime,
            refused_lifetime,
            backend,
            accepted: Kept::new(ACCEPTED_BYTES, TYPICAL_BYTES),
            refused: Kept::new(REFUSED_BYTES, 0),
            questions: Questions::new(),
        }))
    }

    /// Says what is known of a token, or has it asked for.
    pub(in crate::verify) fn attempt(
        &self,
        authority: &Arc<Authority>,
        token: &BearerToken<'_>,
        client: Client<'_>,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        check_size(token.bytes(), authority.rules.max_token_size)?;
        if token.bytes().is_empty() {
            return Err(RejectionKind::TokenMalformed.into());
        }
        let desk = &self.0;
        let hash = desk.hash(token).ok_or(RejectionKind::KeysUnavailable)?;
        let known = || desk.known(&hash, authority.clock.now());
        if let Some(verdict) = known() {
            return Ok(verdict?);
        }
        let repute = match desk.accepted.last(&hash) {
            Some(_) => Repute::Good,
            None => Repute::Unknown,
        };
        let asker = client().map(Asker::at);
        let asked = desk.questions.ask(hash, asker, repute, known, || {
            let (desk, authority) = (Arc::clone(desk), Arc::clone(authority));
            let token = token.clone().into_owned();
            async move { desk.ask(&authority, token, hash).await }
        });
        match asked {
            Asked::Known(verdict) => Ok(verdict?),
            Asked::Wait(awaited) => Err(Doubt::Asked(Question(awaited))),
            Asked::Overloaded => Err(RejectionKind::KeysUnavailable.into()),
        }
    }
}

impl Introspector {
    /// Returns the digest of the endpoint's address.
    pub(in crate::verify) fn fingerprint(&self) -> Option<Fingerprint> {
        let address = ["introspection", self.0.lookup.address()].join(" ");
        sha256(address.as_bytes(), self.0.backend)?.try_into().ok()
    }

    /// Asks again about a token that was accepted here before, as far as its text is still at hand.
    pub(in crate::verify) fn ask_again(
        &self,
        authority: &Arc<Authority>,
        hash: &TokenHash,
    ) -> Option<Result<Arc<VerifiedToken>, Doubt>> {
        let known = self.0.accepted.last(hash)?;
        Some(self.attempt(authority, known.token(), &|| None))
    }
}

impl Desk {
    fn hash(&self, token: &BearerToken<'_>) -> Option<TokenHash> {
        sha256(token.expose().as_bytes(), self.backend)?
            .try_into()
            .ok()
    }

    fn known(&self, hash: &TokenHash, now: Duration) -> Option<Verdict> {
        if let Some(token) = self.accepted.get(hash, now) {
            return Some(Ok(token));
        }
        self.refused.get(hash, now).map(Err)
    }

    /// Asks the endpoint, and keeps what it says.
    async fn ask(
        &self,
        authority: &Authority,
        token: BearerToken<'static>,
        hash: TokenHash,
    ) -> Verdict {
        let asked_at = authority.clock.now();
        let (text, active) = match self.exchange(&token).await {
            Ok(answer) => answer,
            Err(error) => {
                self.lookup.failed(&error);
                return Err(RejectionKind::KeysUnavailable.into());
            }
        };
        self.lookup.answered();
        let length = token.expose().len();
        let now = authority.clock.now();
        let verdict = active.and_then(|()| {
            let grounds = Grounds::Answer {
                until: now,
                token: Arc::new(hash),
            };
            let (vouched, kind) = (Vouched::Issuer, CredentialKind::Token);
            let rules = &authority.rules;
            VerifiedToken::vouched(vouched, kind, grounds, token, text.into(), rules, now)
        });
        // An answer may be as old as the question.
        let from = asked_at.min(now);
        let verdict = verdict.map(|mut token| {
            let end = self.accepted_until(&token, &authority.rules, from);
            if let Grounds::Answer { until, .. } = &mut token.grounds {
                *until = end;
            }
            Arc::new(token)
        });
        match &verdict {
            Ok(token) => {
                let bytes = length + token.claims_text().len() + TYPICAL_BYTES / 2;
                let until = self.accepted_until(token, &authority.rules, from);
                self.accepted
                    .keep(hash, Arc::clone(token), bytes, Span { from, until });
                self.refused.forget(&hash);
            }
            Err(rejection) => {
                let until = from.saturating_add(self.refused_lifetime);
                self.refused
                    .keep(hash, rejection.brief(), 0, Span { from, until });
                self.accepted.forget(&hash);
            }
        }
        verdict
    }

    /// The answer's text, and whether it speaks of an active access token.
    async fn exchange(
        &self,
        token: &BearerToken<'static>,
    ) -> Result<(String, Result<(), Rejection>), KeyFetchError> {
        let mut form = Zeroizing::new(String::from("token_type_hint=access_token&token="));
        form.extend(byte_serialize(token.expose().as_bytes()));
        let answer = self
            .lookup
            .post_form(self.credentials.clone(), form.to_string())
            .await?;
        let malformed = |problem: &str| KeyFetchError::Malformed {
            wanted: "introspection response",
            problem: problem.to_owned(),
        };
        if answer.signed {
            return Err(malformed("it is a JWT, which was not asked for"));
        }
        let active = answer::read(&answer.text)
            .map_err(|answer::Broken| malformed("it has no `active` that is true or false"))?;
        Ok((answer.text, active))
    }

    /// Until when a good answer counts: never beyond what the token says of itself.
    fn accepted_until(&self, token: &VerifiedToken, rules: &Rules, from: Duration) -> Duration {
        let date = |date: NumericDate| Duration::from_secs(date.as_secs());
        let too_old = rules.max_age.zip(token.issued_at());
        let too_old = too_old.map(|(age, issued)| date(issued).saturating_add(age));
        [token.expires_at().map(date), too_old]
            .into_iter()
            .flatten()
            .fold(from.saturating_add(self.lifetime), Duration::min)
    }
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector")
            .field("lookup", &self.0.lookup)
            .finish_non_exhaustive()
    }
}
