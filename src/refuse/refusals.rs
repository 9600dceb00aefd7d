//! [`Refusals`]: how a layer answers what it refuses.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};

use super::{
    Challenge, Rejection, RejectionKind, ResponseBody,
    presets::{edgeone, mixin, problem},
};
#[cfg(feature = "ws")]
use super::{WebSocketRefusal, upgrade::accept_and_close};
use crate::ConfigError;

/// Writes the body of a refusal.
///
/// Status and headers that it leaves alone are completed afterwards: the challenge, `Cache-Control: no-store`,
/// `Retry-After`. Closures of the same shape implement it.
pub trait Responder: Send + Sync + 'static {
    /// The response for this rejection; [`RejectionKind::status`] is the status to use.
    fn respond(&self, rejection: &Rejection) -> Response<Bytes>;
}

impl<F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static> Responder for F {
    fn respond(&self, rejection: &Rejection) -> Response<Bytes> {
        self(rejection)
    }
}

/// How refusals are answered: by default as `application/problem+json` ([RFC 9457]).
///
/// The presets speak as the systems that this crate replaces, with our statuses and headers. Every refusal carries
/// its [`Rejection`] in the response's extensions, `Cache-Control: no-store`, and the challenge that its kind asks
/// for.
///
/// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
///
/// # Examples
///
/// ```
/// use tower_warden::{Refusals, RejectionKind};
///
/// let refusals = Refusals::problem().with_realm("chat");
/// let response = refusals.respond::<String>(&RejectionKind::TokenExpired.into());
/// assert_eq!(response.status(), 401);
/// assert!(response.body().contains(r#""code":"token_expired""#));
/// ```
#[derive(Clone)]
pub struct Refusals {
    challenge: Challenge,
    responder: Arc<dyn Responder>,
    answers: Answers,
    retry_after: Duration,
    #[cfg(feature = "ws")]
    websocket: WebSocketRefusal,
}

/// What a preset answers to each kind, in the order of the kinds: written at the first refusal of the kind and copied from
/// then on, so that a flood of junk costs little. What the application words is never kept, and has no places here.
type Answers = Arc<[OnceLock<Box<Response<Bytes>>>]>;

impl Default for Refusals {
    fn default() -> Self {
        Self::problem()
    }
}

impl Refusals {
    /// `{type,title,status,code,detail}` as `application/problem+json`: the default.
    #[must_use]
    pub fn problem() -> Self {
        Self::preset(problem)
    }

    /// The body of EdgeOne's template: `{"error":"unauthorized","reason":…}`.
    #[must_use]
    pub fn edgeone() -> Self {
        Self::preset(edgeone)
    }

    /// The plain text of `agents-oauth2-jwt-bearer`: `Unauthorized`, `Forbidden`, ….
    #[must_use]
    pub fn mixin() -> Self {
        Self::preset(mixin)
    }

    /// Bodies of the application's own. The responder is asked at every refusal, so whoever sends junk has it work.
    #[must_use]
    pub fn custom(responder: impl Responder) -> Self {
        Self {
            challenge: Challenge::default(),
            responder: Arc::new(responder),
            answers: Answers::default(),
            retry_after: Duration::from_secs(5),
            #[cfg(feature = "ws")]
            websocket: WebSocketRefusal::default(),
        }
    }

    /// Sets the realm of the challenge; `api` by default.
    #[must_use]
    pub fn with_realm(self, realm: impl Into<String>) -> Self {
        let challenge = self.challenge.clone().with_realm(realm);
        self.with_challenge(challenge)
    }

    /// Sets all that the challenge says about this service.
    #[must_use]
    pub fn with_challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = challenge;
        self.answers = unsaid(self.answers.len());
        self
    }

    /// Names the document that describes this resource, whatever else the challenge says.
    pub(crate) fn naming(self, metadata: &str) -> Self {
        let challenge = self.challenge.clone().with_resource_metadata(metadata);
        self.with_challenge(challenge)
    }

    /// Sets `Retry-After` of a 503, in whole seconds; 5 s by default. A rejection that says when to come again outdoes it.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = delay;
        self
    }

    /// Sets how refused WebSocket handshakes are answered; by default as [`WebSocketRefusal::agents`] does.
    #[cfg(feature = "ws")]
    #[cfg_attr(docsrs, doc(cfg(feature = "ws")))]
    #[must_use]
    pub fn with_websocket_refusal(mut self, refusal: WebSocketRefusal) -> Self {
        self.websocket = refusal;
        self
    }

    /// Checks what would otherwise fail at the first refusal.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.challenge.check()
    }

    /// The complete response to a request that is refused.
    ///
    /// With the feature `ws` it may be one that completes a WebSocket handshake, after which a close frame tells the
    /// client why; tokens have to be taken out of the head before.
    pub fn respond_to<B: ResponseBody>(
        &self,
        head: &mut Parts,
        rejection: &Rejection,
    ) -> Response<B> {
        #[cfg(feature = "ws")]
        if let Some(closing) = self.websocket.closing(rejection)
            && let Some(mut response) = accept_and_close(head, &closing)
        {
            response.extensions_mut().insert(rejection.clone());
            return response;
        }
        #[cfg(not(feature = "ws"))]
        let _ = head;
        self.respond(rejection)
    }

    /// The complete response to a rejection, by its status.
    pub fn respond<B: ResponseBody>(&self, rejection: &Rejection) -> Response<B> {
        let mut response = match self.kept(rejection) {
            Some(answer) => answer.clone(),
            None => self.write(rejection),
        };
        let retry_after = rejection.retry_after().or_else(|| {
            let ours = rejection.kind().status() == StatusCode::SERVICE_UNAVAILABLE;
            ours.then_some(self.retry_after)
        });
        if let Some(delay) = retry_after {
            // Whoever came a fraction early would come in vain.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            let headers = response.headers_mut();
            headers.entry(header::RETRY_AFTER).or_insert(seconds.into());
        }
        response.extensions_mut().insert(rejection.clone());
        response.map(B::from_bytes)
    }

    /// A preset with nothing said yet.
    fn preset(responder: fn(&Rejection) -> Response<Bytes>) -> Self {
        Self {
            answers: unsaid(RejectionKind::COUNT),
            ..Self::custom(responder)
        }
    }

    /// What is answered to a rejection that says no more than its kind, where that is always the same.
    fn kept(&self, rejection: &Rejection) -> Option<&Response<Bytes>> {
        if rejection.has_words_of_its_own() {
            return None;
        }
        let kind = rejection.kind();
        let answer = self.answers.get(kind as usize)?;
        Some(answer.get_or_init(|| Box::new(self.write(&kind.into()))))
    }

    /// The response but for the time to come again, and for the rejection itself.
    fn write(&self, rejection: &Rejection) -> Response<Bytes> {
        let mut response = self.responder.respond(rejection);
        // A responder words a refusal, it cannot turn one into a success.
        if response.status().is_success() {
            *response.status_mut() = rejection.kind().status();
        }
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge.for_rejection(rejection) {
            headers.entry(header::WWW_AUTHENTICATE).or_insert(challenge);
        }
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

fn unsaid(kinds: usize) -> Answers {
    (0..kinds).map(|_| OnceLock::new()).collect()
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals")
            .field("challenge", &self.challenge)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [RejectionKind; 5] = [
        RejectionKind::TokenMissing,
        RejectionKind::CredentialsAmbiguous,
        RejectionKind::SignatureInvalid,
        RejectionKind::ScopeInsufficient,
        RejectionKind::KeysUnavailable,
    ];

    #[test]
    fn presets_change_the_body_only() {
        for kind in KINDS {
            let responses = [Refusals::problem(), Refusals::edgeone(), Refusals::mixin()]
                .map(|refusals| refusals.respond::<String>(&kind.into()));
            for response in &responses {
                assert_eq!(response.status(), kind.status());
                assert_eq!(response.headers()["cache-control"], "no-store");
                assert_eq!(
                    response
                        .extensions()
                        .get::<Rejection>()
                        .map(Rejection::kind),
                    Some(kind)
                );
                let challenged = response.headers().contains_key("www-authenticate");
                assert_eq!(
                    challenged,
                    kind != RejectionKind::KeysUnavailable,
                    "{kind:?}"
                );
            }
            assert_ne!(responses[0].body(), responses[1].body());
            assert_ne!(responses[1].body(), responses[2].body());
        }
    }

    #[test]
    fn edgeone_gives_the_reasons_of_the_template() {
        let table = [
            (
                RejectionKind::TokenMissing,
                r#"{"error":"unauthorized","reason":"no auth cookie"}"#,
            ),
            (
                RejectionKind::TokenExpired,
                r#"{"error":"unauthorized","reason":"expired"}"#,
            ),
            (
                RejectionKind::SignatureInvalid,
                r#"{"error":"unauthorized","reason":"signature mismatch"}"#,
            ),
        ];
        for (kind, body) in table {
            assert_eq!(
                Refusals::edgeone().respond::<String>(&kind.into()).body(),
                body
            );
        }
    }

    #[test]
    fn our_own_trouble_asks_to_come_again() {
        let refusals = Refusals::problem().with_retry_after(Duration::from_secs(9));
        let response = refusals.respond::<String>(&RejectionKind::KeysUnavailable.into());
        assert_eq!(response.headers()["retry-after"], "9");
    }

    #[cfg(feature = "accounts")]
    #[test]
    fn a_detail_of_its_own_is_answered_to_nobody_else() {
        let plain = Rejection::new(RejectionKind::PasswordInvalid);
        let exact = plain.clone().with_detail("a password has eight characters");
        for refusals in [Refusals::problem(), Refusals::edgeone()] {
            let said = |rejection| refusals.respond::<String>(rejection).into_body();
            for _ in 0..2 {
                assert!(said(&plain).contains(plain.kind().detail()));
                assert!(said(&exact).contains(exact.detail()));
            }
        }
    }

    #[test]
    fn a_custom_responder_cannot_turn_a_refusal_into_a_success() {
        let refusals = Refusals::custom(|_: &Rejection| Response::new(Bytes::new()));
        let response = refusals.respond::<String>(&RejectionKind::TokenMissing.into());
        assert_eq!(response.status(), 401);
    }

    #[test]
    fn a_custom_responder_cannot_lose_the_challenge() {
        let refusals = Refusals::custom(|rejection: &Rejection| {
            let mut response = Response::new(Bytes::from_static(b"no"));
            *response.status_mut() = rejection.kind().status();
            response
        });
        let response = refusals.respond::<String>(&RejectionKind::TokenMissing.into());
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer realm="api""#
        );
        assert_eq!(response.body(), "no");
    }
}
