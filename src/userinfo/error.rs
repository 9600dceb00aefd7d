//! [`UserInfoError`]: why nothing can be said about a user.

use http::StatusCode;

use crate::KeyFetchError;

/// Why a provider's claims about a user cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserInfoError {
    /// The token is another issuer's, or names none: it is not sent to this provider.
    #[error("the token comes from another issuer")]
    OtherIssuer,
    /// The token has no subject, so no answer could be told to be about its user.
    #[error("the token has no subject")]
    SubjectMissing,
    /// The principal came by an API key or a ticket of this service, which stands for a token and is none: it is shown to
    /// no provider.
    #[error("there is no token to show: the principal came by an API key or a ticket")]
    TokenAbsent,
    /// The provider does not accept the token here: it was revoked, or lacks the scope `openid`.
    #[error("the provider refused the token with status {status}")]
    Refused {
        /// 401 or 403.
        status: u16,
    },
    /// The answer is about somebody else, or does not say about whom ([OpenID Connect Core §5.3.2]).
    ///
    /// [OpenID Connect Core §5.3.2]: https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse
    #[error("the answer is not about the subject of the token")]
    SubjectMismatch,
    /// The answer is a JWT, which is not read here.
    #[error("the answer is a JWT: have the provider answer this client in plain JSON")]
    Signed,
    /// The provider did not answer as it should.
    #[error("the provider did not answer: {0}")]
    Unavailable(#[source] KeyFetchError),
    /// More than a hundred questions are open already, or there is no tokio runtime to ask in.
    #[error("too many questions are open")]
    Overloaded,
    /// The claims do not have the shape that was asked for.
    #[error("the claims do not have that shape at {problem}")]
    Shape {
        /// Where they differ.
        problem: String,
    },
}

impl UserInfoError {
    /// A status that a handler may answer with: 401 where the client needs another token, 503 where it may come again,
    /// else 502.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::OtherIssuer | Self::SubjectMissing | Self::TokenAbsent | Self::Refused { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::Unavailable(_) | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::SubjectMismatch | Self::Signed | Self::Shape { .. } => StatusCode::BAD_GATEWAY,
        }
    }
}
