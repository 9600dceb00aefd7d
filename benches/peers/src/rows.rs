//! The rows of the table, in its order.

use crate::{
    bare,
    baselines::{self, Handler},
    by_hand,
    case::Case,
    harness::Subject,
    machine::version,
    ours::{self, Memory},
    peers,
    provider::Provider,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Row {
    // Through a router of axum.
    Router,
    RouterLayered,
    RouterTelling,
    Router07,
    Exempt,
    Repeat,
    RepeatClaims,
    FirstSeen,
    FirstSeenClaims,
    FirstSeenFull,
    ByHandPath,
    ByHandRepeat,
    ByHandFirstSeen,
    AxumJwtAuth,
    JwtAuthorizer,
    TowerOauth2,
    AxumJose,
    AxumKeycloak,
    Huskarl,
    // Around a bare service.
    Bare,
    BareTelling,
    BareExempt,
    BareRepeat,
    BareFirstSeen,
    BareByHandPath,
    BareByHandRepeat,
    BareByHandFirstSeen,
    // Without a layer.
    Raw,
    Verifier,
    VerifierRepeat,
    Jsonwebtoken,
    JwksClient,
}

/// The tables that rows stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Router,
    Bare,
    NoLayer,
}

impl Row {
    pub(crate) const ALL: [Self; 32] = [
        Self::Router,
        Self::RouterLayered,
        Self::RouterTelling,
        Self::Router07,
        Self::Exempt,
        Self::Repeat,
        Self::RepeatClaims,
        Self::FirstSeen,
        Self::FirstSeenClaims,
        Self::FirstSeenFull,
        Self::ByHandPath,
        Self::ByHandRepeat,
        Self::ByHandFirstSeen,
        Self::AxumJwtAuth,
        Self::JwtAuthorizer,
        Self::TowerOauth2,
        Self::AxumJose,
        Self::AxumKeycloak,
        Self::Huskarl,
        Self::Bare,
        Self::BareTelling,
        Self::BareExempt,
        Self::BareRepeat,
        Self::BareFirstSeen,
        Self::BareByHandPath,
        Self::BareByHandRepeat,
        Self::BareByHandFirstSeen,
        Self::Raw,
        Self::Verifier,
        Self::VerifierRepeat,
        Self::Jsonwebtoken,
        Self::JwksClient,
    ];

    pub(crate) const PEERS: [Self; 6] = [
        Self::AxumJwtAuth,
        Self::JwtAuthorizer,
        Self::TowerOauth2,
        Self::AxumJose,
        Self::AxumKeycloak,
        Self::Huskarl,
    ];

    pub(crate) fn section(self) -> Section {
        match self {
            Self::Bare
            | Self::BareTelling
            | Self::BareByHandPath
            | Self::BareByHandFirstSeen
            | Self::BareByHandRepeat
            | Self::BareExempt
            | Self::BareRepeat
            | Self::BareFirstSeen => Section::Bare,
            Self::Raw
            | Self::Verifier
            | Self::VerifierRepeat
            | Self::Jsonwebtoken
            | Self::JwksClient => Section::NoLayer,
            _ => Section::Router,
        }
    }

    /// The same without authentication.
    pub(crate) fn baseline(self) -> Self {
        match self {
            Self::JwtAuthorizer => Self::Router07,
            _ => match self.section() {
                Section::Router => Self::Router,
                Section::Bare => Self::Bare,
                Section::NoLayer => Self::Raw,
            },
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Exempt
                | Self::Repeat
                | Self::RepeatClaims
                | Self::FirstSeen
                | Self::FirstSeenClaims
                | Self::FirstSeenFull
                | Self::BareExempt
                | Self::BareRepeat
                | Self::BareFirstSeen
                | Self::Verifier
                | Self::VerifierRepeat
        )
    }

    pub(crate) fn name(self) -> String {
        let peer = |name: &str| format!("{name} {}", version(name));
        match self {
            Self::Router => "no authentication, axum 0.8".into(),
            Self::RouterLayered => "no authentication, axum 0.8, a layer that does nothing".into(),
            Self::RouterTelling => {
                "no authentication, axum 0.8, a layer that only inserts an extension".into()
            }
            Self::Router07 => "no authentication, axum 0.7".into(),
            Self::ByHandPath | Self::BareByHandPath => {
                "by hand: a layer that compares the path".into()
            }
            Self::ByHandFirstSeen | Self::BareByHandFirstSeen => {
                "by hand: a layer around `Verifier::verify`, first-seen token".into()
            }
            Self::ByHandRepeat | Self::BareByHandRepeat => {
                "by hand: a layer around `Verifier::verify`, repeat token".into()
            }
            Self::Exempt | Self::BareExempt => "tower-warden, exempt path".into(),
            Self::Repeat | Self::BareRepeat => "tower-warden, repeat token".into(),
            Self::RepeatClaims => {
                "tower-warden, repeat token, the handler takes `Claims<T>`".into()
            }
            Self::FirstSeen | Self::BareFirstSeen => "tower-warden, first-seen token".into(),
            Self::FirstSeenClaims => {
                "tower-warden, first-seen token, the handler takes `Claims<T>`".into()
            }
            Self::FirstSeenFull => "tower-warden, first-seen token, the cache full".into(),
            Self::AxumJwtAuth => peer("axum-jwt-auth"),
            Self::JwtAuthorizer => peer("jwt-authorizer"),
            Self::TowerOauth2 => peer("tower-oauth2-resource-server"),
            Self::AxumJose => peer("axum-jose"),
            Self::AxumKeycloak => peer("axum-keycloak-auth"),
            Self::Huskarl => peer("huskarl-resource-server"),
            Self::Bare => "no authentication".into(),
            Self::BareTelling => "no authentication, a layer that only inserts an extension".into(),
            Self::Raw => "the signature alone, prepared key".into(),
            Self::Verifier => "tower-warden, `Verifier::verify`, first-seen token".into(),
            Self::VerifierRepeat => "tower-warden, `Verifier::verify`, repeat token".into(),
            Self::Jsonwebtoken => format!("{}, `decode`", peer("jsonwebtoken")),
            Self::JwksClient => format!("{}, `decode`", peer("jwks_client_rs")),
        }
    }

    /// The backend that checks signatures.
    pub(crate) fn crypto(self) -> &'static str {
        match self {
            Self::AxumJwtAuth | Self::AxumJose => "aws-lc, jsonwebtoken 10",
            Self::TowerOauth2 | Self::JwksClient => "aws-lc, jsonwebtoken 11",
            Self::Jsonwebtoken | Self::Raw => "aws-lc",
            Self::JwtAuthorizer | Self::AxumKeycloak => "ring, jsonwebtoken 9",
            Self::Huskarl => "RustCrypto",
            Self::ByHandRepeat
            | Self::ByHandFirstSeen
            | Self::BareByHandRepeat
            | Self::BareByHandFirstSeen => "aws-lc",
            _ if self.is_ours() => "aws-lc",
            _ => "",
        }
    }

    /// What is measured for this row, or why nothing is.
    pub(crate) async fn subject(
        self,
        case: &Case,
        provider: &Provider,
    ) -> Result<Subject, &'static str> {
        Ok(match self {
            Self::Router => baselines::router(case),
            Self::RouterLayered => baselines::router_layered(case),
            Self::RouterTelling => baselines::router_telling(case),
            Self::ByHandPath => by_hand::comparing(case),
            Self::ByHandFirstSeen => by_hand::verifying(case, Memory::None),
            Self::ByHandRepeat => by_hand::verifying(case, Memory::Kept),
            Self::Router07 => peers::jwt_authorizer::router(case),
            Self::Exempt => ours::exempt(case),
            Self::Repeat => ours::guarded(case, Memory::Kept, Handler::Plain),
            Self::RepeatClaims => ours::guarded(case, Memory::Kept, Handler::Claims),
            Self::FirstSeen => ours::guarded(case, Memory::None, Handler::Plain),
            Self::FirstSeenClaims => ours::guarded(case, Memory::None, Handler::Claims),
            Self::FirstSeenFull => ours::strangers(case),
            Self::AxumJwtAuth => peers::axum_jwt_auth::subject(case),
            Self::JwtAuthorizer => peers::jwt_authorizer::subject(case).await,
            Self::TowerOauth2 => peers::tower_oauth2::subject(case).await,
            Self::AxumJose => peers::axum_jose::subject(case),
            Self::AxumKeycloak => return peers::axum_keycloak::subject(case, provider).await,
            Self::Huskarl => peers::huskarl::subject(case, provider).await,
            Self::Bare => baselines::bare(case),
            Self::BareTelling => baselines::bare_telling(case),
            Self::BareByHandPath => by_hand::bare_comparing(case),
            Self::BareByHandFirstSeen => by_hand::bare_verifying(case, Memory::None),
            Self::BareByHandRepeat => by_hand::bare_verifying(case, Memory::Kept),
            Self::BareExempt => ours::bare_exempt(case),
            Self::BareRepeat => ours::bare_guarded(case, Memory::Kept),
            Self::BareFirstSeen => ours::bare_guarded(case, Memory::None),
            Self::Raw => bare::raw(case),
            Self::Verifier => ours::verifier(case, Memory::None),
            Self::VerifierRepeat => ours::verifier(case, Memory::Kept),
            Self::Jsonwebtoken => bare::jsonwebtoken(case),
            Self::JwksClient => return bare::jwks_client(case, provider).await,
        })
    }
}
