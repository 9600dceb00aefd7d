//! [`Gate`]: the one decision of both layers, over the request head.
//!
//! A request gets through when its path is exempt, when it is a preflight and those pass, when its token is optional
//! and did not come, or when its token verifies and every requirement admits its principal. In the last case the
//! inner service finds the [`Principal`] in the extensions. Everything else is a refusal.

use std::{
    pin::Pin,
    ptr,
    sync::Arc,
    task::{self, Poll, ready},
};

use bytes::Bytes;
use http::{Extensions, HeaderValue, Request, Response, Uri, request::Parts};

use super::{
    https::{PlainHttp, RequiredHttps},
    identify::{Asking, Sight},
    passage::Passage,
};
use crate::{
    Access, CompiledPaths, ConflictPolicy, HeadRef, PathDecision, Preflight, Principal, Rejection,
    RejectionKind, ResponseBody, StrippedHeaders, TokenSource, Verdict,
    authorize::{Answer, PendingVerdict, Requirement},
    principal::{Anonymous, Context, LayerContext},
    request::{AllowedOrigins, PathTemplate, is_preflight, requested},
    telemetry,
    verify::Authenticated,
};

/// What one layer decides by, shared by all its services.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(super) paths: CompiledPaths,
    pub(super) sources: Vec<Arc<dyn TokenSource>>,
    /// Who answers for the tokens of each source, and what principals keep of it, in the order of `sources`.
    pub(super) contexts: Vec<Arc<Context>>,
    pub(super) conflict: ConflictPolicy,
    /// What holds in its place on some paths.
    pub(super) conflicts_on: Vec<(PathTemplate, ConflictPolicy)>,
    pub(super) origins: AllowedOrigins,
    pub(super) stripped: StrippedHeaders,
    pub(super) https: Option<RequiredHttps>,
    /// Set where an exempt request passes as it came: no header is stripped and plain http is allowed.
    pub(super) passes_as_it_came: bool,
    pub(super) preflight: Preflight,
    pub(super) requirements: Vec<Requirement>,
    pub(super) layer: Arc<LayerContext>,
    /// The value of `Vary`: the headers in which the sources look.
    pub(super) vary: Option<HeaderValue>,
}

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
    /// A rejection by its status, of a request whose tokens are still in their places.
    AtOnce(Rejection),
    /// A requirement answered in place of the inner service.
    Answer(Box<Response<Bytes>>, Passage),
}

/// What has been asked and is not answered yet.
pub(super) enum Question {
    /// What stands behind the token of a source.
    Token {
        source: usize,
        answer: Pin<Box<dyn Future<Output = Authenticated> + Send>>,
        /// What the rule of the path asks for, which was found before the question was.
        scopes: Box<[Arc<str>]>,
    },
    /// Whether the principal meets a requirement; `next` is the first that has not been asked.
    Requirement {
        verdict: PendingVerdict,
        principal: Principal,
        passage: Passage,
        next: usize,
    },
}

impl Gate {
    /// Whether this request passes as it came: its path is exempt as it stands, no header is to be stripped, and plain http
    /// is allowed.
    #[inline]
    pub(super) fn passes<B>(&self, request: &Request<B>) -> bool {
        let exempt = |uri: &Uri| self.paths.exempts_plainly(request.method(), uri.path());
        let routed = request.uri();
        let requested = requested(request.extensions(), routed);
        self.passes_as_it_came
            && exempt(requested)
            && (ptr::eq(requested, routed) || exempt(routed))
    }

    /// Returns the answer to a request over plain http where https is required. Nothing else of the request is read.
    #[inline]
    pub(super) fn refuse_plain_http(&self, head: HeadRef<'_>) -> Option<Refusal> {
        let https = self.https.as_ref()?;
        let plain = https.check(head, &self.layer.clients).err()?;
        Some(match plain {
            PlainHttp::Redirect(response) => Refusal::Answer(response, Passage::Plain),
            PlainHttp::Rejection(rejection) => {
                telemetry::refused(&rejection, None);
                Refusal::AtOnce(rejection)
            }
        })
    }

    /// The rule of the path that this request asks for. Where another path is routed, the stricter rule of both.
    #[inline]
    pub(super) fn rule(&self, head: HeadRef<'_>) -> PathDecision<'_> {
        let (requested, routed) = (head.requested, head.uri);
        if ptr::eq(requested, routed) {
            return self.paths.decide(head.method, requested.path());
        }
        self.paths
            .decide_routed(head.method, requested.path(), routed.path())
    }

    /// Whether this rule guards the request. If not, it passes [unseen](Self::pass_unseen): its path is exempt, or it is a
    /// preflight and those pass.
    #[inline]
    pub(super) fn guards(&self, head: HeadRef<'_>, rule: &PathDecision<'_>) -> bool {
        let preflight =
            || self.preflight == Preflight::PassThrough && is_preflight(head.method, head.headers);
        rule.access() != Access::Public && !preflight()
    }

    /// Prepares a request that this rule does not guard.
    pub(super) fn pass_unseen<B>(&self, request: &mut Request<B>, rule: &PathDecision<'_>) {
        if rule.access() != Access::Public {
            // A handler that asks for a principal shall say 401 to a preflight, and not that no layer has looked at it.
            self.leave_anonymous(request.extensions_mut());
        }
        self.stripped.apply(request.headers_mut());
    }

    /// Whether nobody but the rule of the path has a say in who passes.
    #[inline]
    pub(super) fn asks_nobody_else(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Decides about a guarded request by what its head has told; the body is not touched.
    pub(super) fn decide(
        &self,
        head: &mut Parts,
        rule: PathDecision<'_>,
        sight: Sight,
    ) -> Decision {
        // From here on nobody needs what the client put there, and nobody else shall see it: not a token that a policy
        // passed over, nor a refusal that accepts the handshake first and echoes a subprotocol.
        self.stripped.apply(&mut head.headers);
        for source in &self.sources[sight.traces] {
            source.conceal(head);
        }
        match sight.asking {
            Ok(Asking::Principal(principal, passage)) => {
                self.authorize(head, principal, passage, 0)
            }
            Ok(Asking::Unknown { source, answer }) => Decision::Pending(Question::Token {
                source,
                answer,
                scopes: rule.scopes().into(),
            }),
            // A requirement is never skipped, so nobody passes it unseen.
            Ok(Asking::Nobody) if rule.access() == Access::Optional && self.asks_nobody_else() => {
                self.leave_anonymous(&mut head.extensions);
                Decision::Admit(Passage::Varying)
            }
            Ok(Asking::Nobody) => Self::refuse(RejectionKind::TokenMissing.into(), None),
            Err((rejection, source)) => Self::refuse(rejection, source),
        }
    }

    /// Says of a guarded request that nobody is known behind it. Who another layer found there came by credentials that
    /// this one does not look at, and a principal that it did not let in would pass for one that it did.
    fn leave_anonymous(&self, extensions: &mut Extensions) {
        extensions.remove::<Principal>();
        extensions.insert(Anonymous::new(Arc::clone(&self.layer)));
    }

    /// Asks the requirements from `next` on, until one refuses or wants to be waited for.
    fn authorize(
        &self,
        head: &mut Parts,
        principal: Principal,
        passage: Passage,
        next: usize,
    ) -> Decision {
        if next == 0
            && let Err(kind) = self
                .layer
                .check_bound(principal.token(), |binding| binding.concerns(head))
        {
            return Self::refuse(kind.into(), Some(principal.source()));
        }
        for (index, requirement) in self.requirements.iter().enumerate().skip(next) {
            match requirement.ask(&principal, head) {
                Answer::Now(Verdict::Admit) => {}
                Answer::Now(verdict) => return Self::settle(verdict, &principal, passage),
                Answer::Later(verdict) => {
                    let next = index + 1;
                    let question = Question::Requirement {
                        verdict,
                        principal,
                        passage,
                        next,
                    };
                    return Decision::Pending(question);
                }
            }
        }
        head.extensions.insert(principal);
        Decision::Admit(passage)
    }

    /// Goes on with a request once its question is answered.
    pub(super) fn poll_answer(
        &self,
        question: &mut Question,
        head: &mut Parts,
        cx: &mut task::Context<'_>,
    ) -> Poll<Decision> {
        Poll::Ready(match question {
            Question::Token {
                source,
                answer,
                scopes,
            } => {
                let answer = ready!(answer.as_mut().poll(cx));
                match self.greet(*source, answer, scopes) {
                    Ok((principal, passage)) => self.authorize(head, principal, passage, 0),
                    Err((rejection, source)) => Self::refuse(rejection, source),
                }
            }
            Question::Requirement {
                verdict,
                principal,
                passage,
                next,
            } => match ready!(verdict.as_mut().poll(cx)) {
                Verdict::Admit => self.authorize(head, principal.clone(), *passage, *next),
                verdict => Self::settle(verdict, principal, *passage),
            },
        })
    }

    /// The decision that follows from a verdict other than `Admit`.
    fn settle(verdict: Verdict, principal: &Principal, passage: Passage) -> Decision {
        match verdict {
            Verdict::Answer(response) => {
                Decision::Refuse(Refusal::Answer(Box::new(response), passage))
            }
            Verdict::Refuse(rejection) => Self::refuse(rejection, Some(principal.source())),
            // Who is admitted goes on, and does not come here.
            Verdict::Admit => Self::refuse(RejectionKind::Misconfigured.into(), None),
        }
    }

    fn refuse(rejection: Rejection, source: Option<&'static str>) -> Decision {
        telemetry::refused(&rejection, source);
        Decision::Refuse(Refusal::Rejection(rejection))
    }

    /// The response to a request that goes no further.
    pub(super) fn respond<B: ResponseBody>(
        &self,
        head: &mut Parts,
        refusal: Refusal,
    ) -> Response<B> {
        match refusal {
            Refusal::Rejection(rejection) => self.layer.refusals.respond_to(head, &rejection),
            Refusal::AtOnce(rejection) => self.layer.refusals.respond(&rejection),
            Refusal::Answer(mut response, passage) => {
                passage.mark(response.headers_mut(), self.vary.clone());
                response.map(B::from_bytes)
            }
        }
    }
}
