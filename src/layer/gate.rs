//! [`Gate`]: the one decision of both layers, over the request head.
//!
//! A request gets through when its path is exempt, when it is a preflight and those pass, when its token is optional
//! and did not come, or when its token verifies and every requirement admits its principal. In the last case the
//! inner service finds the [`Principal`] in the extensions. Everything else is a refusal.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, request::Parts};

use super::passage::Passage;
use crate::{
    Access, CompiledPaths, ConflictPolicy, Preflight, Principal, Refusals, Rejection,
    RejectionKind, ResponseBody, StrippedHeaders, TokenSource, Verdict, VerifiedToken, Verifier,
    authorize::{Answer, PendingVerdict, Requirement},
    principal::Anonymous,
    request::{AllowedOrigins, is_preflight, select},
    telemetry,
};

/// What one layer decides by, shared by all its services.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(super) paths: CompiledPaths,
    pub(super) sources: Vec<Arc<dyn TokenSource>>,
    /// The verifier of each source, in the order of `sources`.
    pub(super) verifiers: Vec<Verifier>,
    pub(super) conflict: ConflictPolicy,
    pub(super) origins: AllowedOrigins,
    pub(super) stripped: StrippedHeaders,
    pub(super) preflight: Preflight,
    pub(super) requirements: Vec<Requirement>,
    pub(super) refusals: Arc<Refusals>,
}

/// A verified token, and the source that it came from.
type Identified<'g> = (&'g dyn TokenSource, Arc<VerifiedToken>);

/// A rejection, and the source of the token that is to blame for it.
type Blamed = (Rejection, Option<&'static str>);

/// What becomes of a request.
pub(super) enum Decision {
    /// It goes to the inner service.
    Admit(Passage),
    /// It is answered here.
    Refuse(Refusal),
    /// Somebody else has to be asked first.
    Pending(Question),
}

/// An answer of the gate itself.
pub(super) enum Refusal {
    Rejection(Rejection),
    /// A requirement answered in place of the inner service.
    Answer(Response<Bytes>, Passage),
}

/// A requirement that has been asked and has not answered.
pub(super) struct Question {
    verdict: PendingVerdict,
    principal: Principal,
    passage: Passage,
    /// The first requirement that has not been asked yet.
    next: usize,
}

impl Question {
    pub(super) fn poll_verdict(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        self.verdict.as_mut().poll(cx)
    }
}

impl Gate {
    /// Decides about a request by its head; the body is not touched.
    #[inline]
    pub(super) fn decide(&self, head: &mut Parts) -> Decision {
        self.stripped.apply(&mut head.headers);
        if self.preflight == Preflight::PassThrough && is_preflight(head) {
            return Decision::Admit(Passage::Plain);
        }
        let rule = self.paths.decide(&head.method, matched_path(head));
        match rule.access() {
            Access::Public => Decision::Admit(Passage::Plain),
            access => self.decide_guarded(head, access, rule.scopes()),
        }
    }

    fn decide_guarded(&self, head: &mut Parts, access: Access, scopes: &[Arc<str>]) -> Decision {
        let (source, token) = match self.identify(head) {
            Ok(Some(identified)) => identified,
            // A requirement is never skipped, so nobody passes it unseen.
            Ok(None) if access == Access::Optional && self.requirements.is_empty() => {
                head.extensions
                    .insert(Anonymous::new(Arc::clone(&self.refusals)));
                return Decision::Admit(Passage::Varying);
            }
            Ok(None) => return Self::refuse(RejectionKind::TokenMissing.into(), None),
            Err((rejection, source)) => return Self::refuse(rejection, source),
        };
        source.conceal(head);
        let principal = Principal::new(token, source.name(), Arc::clone(&self.refusals));
        if !scopes.iter().all(|scope| principal.has_scope(scope)) {
            let rejection = Rejection::insufficient_scope(scopes.join(" "));
            return Self::refuse(rejection, Some(source.name()));
        }
        self.authorize(head, principal, Passage::from_source(source), 0)
    }

    /// Finds the one token of the request and verifies it in place; on a refusal, tells where the token was.
    fn identify(&self, head: &Parts) -> Result<Option<Identified<'_>>, Blamed> {
        let selected = select(&self.sources, self.conflict, head);
        let Some(selected) = selected.map_err(|kind| (kind.into(), None))? else {
            return Ok(None);
        };
        let (source, verifier) = (
            &*self.sources[selected.source],
            &self.verifiers[selected.source],
        );
        let blame = |rejection| (rejection, Some(source.name()));
        if source.is_ambient() {
            self.origins
                .check(head)
                .map_err(|kind| blame(kind.into()))?;
        }
        // The cache of verified tokens will stand here: a hit spares the next line.
        let token = verifier.verify(&selected.token).map_err(blame)?;
        Ok(Some((source, token)))
    }

    /// Asks the requirements from `next` on, until one refuses or wants to be waited for.
    fn authorize(
        &self,
        head: &mut Parts,
        principal: Principal,
        passage: Passage,
        next: usize,
    ) -> Decision {
        for (index, requirement) in self.requirements.iter().enumerate().skip(next) {
            match requirement.ask(&principal, head) {
                Answer::Now(Verdict::Admit) => {}
                Answer::Now(verdict) => return Self::settle(verdict, &principal, passage),
                Answer::Later(verdict) => {
                    let next = index + 1;
                    return Decision::Pending(Question {
                        verdict,
                        principal,
                        passage,
                        next,
                    });
                }
            }
        }
        head.extensions.insert(principal);
        Decision::Admit(passage)
    }

    /// Goes on with a request whose requirement has answered.
    pub(super) fn resume(
        &self,
        question: Question,
        verdict: Verdict,
        head: &mut Parts,
    ) -> Decision {
        let Question {
            principal,
            passage,
            next,
            ..
        } = question;
        match verdict {
            Verdict::Admit => self.authorize(head, principal, passage, next),
            verdict => Self::settle(verdict, &principal, passage),
        }
    }

    /// The decision that follows from a verdict other than `Admit`.
    fn settle(verdict: Verdict, principal: &Principal, passage: Passage) -> Decision {
        match verdict {
            Verdict::Answer(response) => Decision::Refuse(Refusal::Answer(response, passage)),
            Verdict::Refuse(rejection) => Self::refuse(rejection, Some(principal.source())),
            Verdict::Admit => Decision::Admit(passage),
        }
    }

    fn refuse(rejection: Rejection, source: Option<&'static str>) -> Decision {
        telemetry::refused(&rejection, source);
        Decision::Refuse(Refusal::Rejection(rejection))
    }

    /// The response to a request that goes no further.
    pub(super) fn respond<B: ResponseBody>(&self, refusal: Refusal) -> Response<B> {
        match refusal {
            Refusal::Rejection(rejection) => self.refusals.respond(&rejection),
            Refusal::Answer(mut response, passage) => {
                passage.mark(response.headers_mut());
                response.map(B::from_bytes)
            }
        }
    }
}

/// The path that the client asked for; with axum the one before any `nest` cut its prefix off.
#[inline]
fn matched_path(head: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.path();
    }
    head.uri.path()
}
