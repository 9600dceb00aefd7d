//! [`TokenIssuer::connection_token`]: a short token for one resource, out of a longer one for many.

use std::time::Duration;

use super::{IssueError, TokenIssuer};
use crate::{
    BearerToken, ClaimPath, CredentialKind, Principal, ResourceBinding, verify::BOUND_CLAIMS,
};

impl TokenIssuer {
    /// How long a connection token usually lives: 60 s, time enough for a handshake.
    pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);

    /// The longest life of a connection token: 5 min.
    pub const LONGEST_CONNECTION_LIFETIME: Duration = Duration::from_secs(5 * 60);

    /// Signs a token for a principal that is good for one resource only: each parameter becomes a claim, to be held
    /// against the path by a [`ResourceBinding`].
    ///
    /// Its header has the type `connection+jwt`. A layer accepts it only for a request where bindings compare each of these
    /// claims, even with [`when_present`](crate::ResourceBinding::when_present). A layer without bindings, and
    /// [`Verifier::verify`](crate::Verifier::verify), refuse it.
    ///
    /// It reaches no further than the token behind the principal: same issuer, subject and audiences, same scopes, same
    /// session (`sid`) and actor (`act`), no later `exp` and no earlier `nbf`. The claims that tie the principal to a
    /// resource are kept. Roles and other claims are left out. It is another token, so revoke it by subject or session, not
    /// by the `jti` of the first. It creates no API keys and draws no tickets.
    ///
    /// # Errors
    ///
    /// - [`IssueError::IssuerForeign`] if the principal's token has another issuer: its subject is somebody else here.
    /// - [`IssueError::ResourceForeign`] if the principal's token is bound to another resource, or if the principal used a
    ///   ticket.
    /// - [`IssueError::ResourceMissing`] without any parameter, or for an empty one.
    /// - [`IssueError::LifetimeOutOfRange`] for a lifetime under a second or over 5 min, or if the principal's token
    ///   ends within a second.
    /// - As for [`Mint::sign`](crate::Mint::sign).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{BearerToken, IssueError, Principal, TokenIssuer};
    ///
    /// /// What a handler behind the layer answers to `POST /agents/helper/connect`.
    /// fn connect(issuer: &TokenIssuer, principal: &Principal, room: &str) -> Result<BearerToken<'static>, IssueError> {
    ///     let resource = [("agent", "helper"), ("room", room)];
    ///     issuer.connection_token(principal, resource, TokenIssuer::CONNECTION_LIFETIME)
    /// }
    /// ```
    pub fn connection_token<V: Into<String>>(
        &self,
        principal: &Principal,
        // The names are the application's own words: a client that chose one could name any claim.
        resource: impl IntoIterator<Item = (&'static str, V)>,
        lifetime: Duration,
    ) -> Result<BearerToken<'static>, IssueError> {
        if lifetime > Self::LONGEST_CONNECTION_LIFETIME {
            return Err(IssueError::LifetimeOutOfRange);
        }
        if principal.issuer() != self.settings().issuer.as_deref() {
            return Err(IssueError::IssuerForeign);
        }
        let token = principal.token();
        let mut mint = self
            .mint(principal.subject())
            .with_lifetime(lifetime)
            .with_audiences(principal.audiences())
            .with_scopes(principal.scopes());
        if let Some(end) = principal.expires_at() {
            mint = mint.with_end(end);
        }
        if let Some(not_before) = principal.not_before() {
            mint = mint.with_not_before(not_before);
        }
        for name in ["sid", "act"] {
            mint = mint.with_copy(token, name);
        }
        let mut names = Vec::new();
        for (name, value) in resource {
            let value = value.into();
            if name.is_empty() || value.is_empty() {
                return Err(IssueError::ResourceMissing);
            }
            let held = token.claim_holds(&ClaimPath::new([name]), &value);
            if held == Some(false) || principal.credential_kind() == CredentialKind::Ticket {
                return Err(IssueError::ResourceForeign { name });
            }
            mint = mint.with_claim(name, value);
            names.push(name.to_owned());
        }
        if names.is_empty() {
            return Err(IssueError::ResourceMissing);
        }
        // What ties the principal to a resource ties the new token too.
        for name in token.bound_claims() {
            if !names.contains(&name) {
                names.push(name.clone());
                mint = mint.with_copy(token, &name);
            }
        }
        let mut kept: Vec<_> = [&["sub", "sid", "act"].map(str::to_owned)[..], &names].concat();
        for path in principal.bindings().flat_map(ResourceBinding::claims) {
            if let Some(name) = path.first()
                && !kept.iter().any(|known| known == name)
            {
                kept.push(name.to_owned());
                mint = mint.with_copy(token, name);
            }
        }
        mint.with_claim(BOUND_CLAIMS, names).for_connection().sign()
    }
}
