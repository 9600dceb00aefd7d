//! [`TestTokens`]: tokens to order, good ones and bad ones.

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::{
    forge::{Forge, Members, quoted},
    hostile,
};
use crate::{BearerToken, Clock, ConfigError, SigningKey, SystemClock};

/// Gives the raw signature over a signing input.
type Sign = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Mints tokens for tests: valid, expired, not yet valid, for others, and [hostile](Self::hostile).
///
/// A valid token says `sub` (`alice`), `iat` (now) and `exp` (now and ten minutes), besides the issuer, the audience
/// and the claims it was told. For production there is [`TokenIssuer`](crate::TokenIssuer), which refuses to sign most
/// of what this signs.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     Keys, RejectionKind, Verifier,
///     testing::{ManualClock, TestTokens},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "a secret of at least 32 bytes, from a safe place";
/// let clock = ManualClock::at(1_800_000_000);
/// let tokens = TestTokens::hs256(secret)?.with_audience("orders").with_clock(clock.clone());
/// let verifier = Verifier::builder(Keys::hs256([secret])?)
///     .with_audience("orders")
///     .with_clock(clock)
///     .build()?;
///
/// assert!(verifier.verify(&tokens.valid()).is_ok());
/// let refused = verifier.verify(&tokens.expired()).unwrap_err();
/// assert_eq!(refused.kind(), RejectionKind::TokenExpired);
/// for (hazard, token) in tokens.hostile() {
///     assert!(verifier.verify(&token).is_err(), "{hazard}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TestTokens {
    algorithm: String,
    sign: Sign,
    key_id: Option<String>,
    published: Vec<Vec<u8>>,
    issuer: Option<String>,
    audience: Option<String>,
    claims: Vec<(String, Value)>,
    subject: String,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
}

impl TestTokens {
    /// Longer than any leeway, so that what is out of date is so by every verifier's account.
    const FAR: Duration = Duration::from_secs(24 * 60 * 60);

    /// Tokens signed with this key, whose ID they name.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoCryptoBackend`] without a backend, [`ConfigError::Key`] if it cannot use the key.
    pub fn new(key: &SigningKey) -> Result<Self, ConfigError> {
        let mut tokens = Self::signed_by(key.algorithm(), key.raw_signer()?);
        tokens.key_id = key.id().map(str::to_owned);
        tokens.published = key
            .public_jwk()
            .map(String::into_bytes)
            .into_iter()
            .collect();
        Ok(tokens)
    }

    /// Tokens signed with a shared secret of at least 32 bytes.
    ///
    /// # Errors
    ///
    /// As for [`SigningKey::hs256`] and [`new`](Self::new).
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new(&SigningKey::hs256(secret)?)
    }

    /// Tokens signed with whatever key `sign` holds: it takes the signing input and gives the raw signature, which for
    /// ECDSA is both numbers in fixed width ([RFC 7518 §3.4]).
    ///
    /// [RFC 7518 §3.4]: https://www.rfc-editor.org/rfc/rfc7518#section-3.4
    #[must_use]
    pub fn signed_by(
        algorithm: Algorithm,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self {
            algorithm: name(algorithm),
            sign: Arc::new(sign),
            key_id: None,
            published: Vec::new(),
            issuer: None,
            audience: None,
            claims: Vec::new(),
            subject: "alice".into(),
            lifetime: Duration::from_secs(600),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets `kid` in the header; none by default.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Adds a form in which the public key is published (PEM, DER, JWK): hostile tokens take it for an HMAC secret.
    #[must_use]
    pub fn with_published_key(mut self, form: impl AsRef<[u8]>) -> Self {
        self.published.push(form.as_ref().to_vec());
        self
    }

    /// Sets `iss`; none by default.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets `aud`; none by default.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets `sub`; `alice` by default.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Sets any claim, also one of the above, to any value, also a wrong one.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.push((name.into(), value.into()));
        self
    }

    /// Sets how long after the clock's time a token expires, in whole seconds; ten minutes by default.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the clock; the system's by default.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// A token with nothing wrong.
    #[must_use]
    pub fn valid(&self) -> BearerToken<'static> {
        self.signed(&self.members())
    }

    /// A token that expired a day ago.
    #[must_use]
    pub fn expired(&self) -> BearerToken<'static> {
        let past = self.clock.now().saturating_sub(Self::FAR);
        self.signed(&self.members().with("exp", past.as_secs().to_string()))
    }

    /// A token that becomes valid a day from now, and lives on from there.
    #[must_use]
    pub fn not_yet_valid(&self) -> BearerToken<'static> {
        let start = self.clock.now().saturating_add(Self::FAR);
        let end = start.saturating_add(self.lifetime);
        self.signed(
            &self
                .members()
                .with("nbf", start.as_secs().to_string())
                .with("exp", end.as_secs().to_string()),
        )
    }

    /// A token of another issuer, whose name begins with that of the right one.
    #[must_use]
    pub fn of_another_issuer(&self) -> BearerToken<'static> {
        let right = self.issuer.as_deref().unwrap_or("https://id.example");
        self.signed(
            &self
                .members()
                .with("iss", quoted(&format!("{right}.attacker.example"))),
        )
    }

    /// A token for another audience, whose name begins with that of the right one.
    #[must_use]
    pub fn for_another_audience(&self) -> BearerToken<'static> {
        let right = self.audience.as_deref().unwrap_or("orders");
        self.signed(
            &self
                .members()
                .with("aud", quoted(&format!("{right}-of-the-attacker"))),
        )
    }

    /// A token that lacks this claim.
    #[must_use]
    pub fn without_claim(&self, name: &str) -> BearerToken<'static> {
        self.signed(&self.members().without(name))
    }

    /// A token whose claims were changed after it was signed.
    #[must_use]
    pub fn tampered(&self) -> BearerToken<'static> {
        let forge = self.forge(&*self.sign);
        let (valid, other) = (
            forge.signed_payload(self.members().object()),
            forge.signed_payload(self.members().with("sub", quoted("mallory")).object()),
        );
        let signature = valid.rsplit('.').next().unwrap_or_default();
        let input = other.rsplit_once('.').map_or("", |(input, _)| input);
        BearerToken::new(format!("{input}.{signature}"))
    }

    /// Tokens that every verifier must refuse, whatever its settings, each with the name of its hazard.
    ///
    /// They are the valid token but for one thing each, and signed well wherever the hazard is not in the signature.
    /// The name starts with where the hazard lies: `form`, `header`, `key`, `claims` or `signature`. Some tokens are
    /// no HTTP field value (line feeds, NUL) and some are large (1 MB): a client may refuse to send them. A hazard of
    /// the issuer or audience is in the list only if they are set here, and one of public keys only
    /// [with one](Self::with_published_key).
    pub fn hostile(&self) -> impl Iterator<Item = (&'static str, BearerToken<'static>)> + use<> {
        hostile::all(&self.forge(&*self.sign))
            .into_iter()
            .map(|(name, token)| (name, BearerToken::new(token)))
    }

    fn signed(&self, claims: &Members) -> BearerToken<'static> {
        let forge = self.forge(&*self.sign);
        BearerToken::new(forge.signed_payload(claims.object()))
    }

    fn forge<'k>(&'k self, sign: &'k dyn Fn(&[u8]) -> Vec<u8>) -> Forge<'k> {
        Forge {
            algorithm: &self.algorithm,
            key_id: self.key_id.as_deref(),
            published: self.published.clone(),
            claims: self.members(),
            sign,
        }
    }

    fn members(&self) -> Members {
        let now = self.clock.now();
        let end = now.saturating_add(self.lifetime);
        let mut members = Members::new()
            .with("sub", quoted(&self.subject))
            .with("iat", now.as_secs().to_string())
            .with("exp", end.as_secs().to_string());
        if let Some(issuer) = &self.issuer {
            members = members.with("iss", quoted(issuer));
        }
        if let Some(audience) = &self.audience {
            members = members.with("aud", quoted(audience));
        }
        for (name, value) in &self.claims {
            members = members.with(name, value.to_string());
        }
        members
    }
}

impl fmt::Debug for TestTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestTokens")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// The name in the header, which is how jsonwebtoken writes the algorithm there.
fn name(algorithm: Algorithm) -> String {
    match serde_json::to_value(algorithm) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64_simd::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;
    use crate::testing::ManualClock;

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

    fn tokens() -> TestTokens {
        TestTokens::hs256(SECRET)
            .unwrap()
            .with_issuer("https://id.example")
            .with_audience("orders")
            .with_clock(ManualClock::at(1_000_000))
    }

    #[track_caller]
    fn part(token: &BearerToken<'_>, index: usize) -> Value {
        let part = token.expose().split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode_to_vec(part).unwrap()).unwrap()
    }

    #[test]
    fn a_valid_token_says_what_it_was_told() {
        let token = tokens()
            .with_key_id("one")
            .with_subject("bo\"b")
            .with_lifetime(Duration::from_secs(5))
            .with_claim("scope", "chat history")
            .with_claim("act", json!({"sub": "agent"}))
            .valid();
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": "one"});
        assert_eq!(part(&token, 0), header);
        assert_eq!(
            part(&token, 1),
            json!({"sub": "bo\"b", "iat": 1_000_000, "exp": 1_000_005, "iss": "https://id.example", "aud": "orders",
                "scope": "chat history", "act": {"sub": "agent"}})
        );
    }

    #[test]
    fn each_bad_token_is_bad_in_its_claim_only() {
        let good = part(&tokens().valid(), 1);
        let day = 86_400;
        for (token, changes) in [
            (tokens().expired(), json!({"exp": 1_000_000 - day})),
            (
                tokens().not_yet_valid(),
                json!({"nbf": 1_000_000 + day, "exp": 1_000_600 + day}),
            ),
            (
                tokens().of_another_issuer(),
                json!({"iss": "https://id.example.attacker.example"}),
            ),
            (
                tokens().for_another_audience(),
                json!({"aud": "orders-of-the-attacker"}),
            ),
            (
                tokens().with_claim("exp", "soon").valid(),
                json!({"exp": "soon"}),
            ),
        ] {
            let mut expected = good.clone();
            let members = changes.as_object().unwrap().clone();
            expected.as_object_mut().unwrap().extend(members);
            assert_eq!(part(&token, 1), expected);
        }
        assert_eq!(part(&tokens().without_claim("sub"), 1)["sub"], Value::Null);
    }

    #[test]
    fn a_tampered_token_keeps_the_signature_of_the_valid_one() {
        let (valid, tampered) = (tokens().valid(), tokens().tampered());
        assert_eq!(
            valid.expose().rsplit('.').next(),
            tampered.expose().rsplit('.').next()
        );
        assert_eq!(part(&tampered, 1)["sub"], "mallory");
    }

    #[test]
    fn a_short_secret_is_refused_and_no_secret_is_printed() {
        assert!(matches!(
            TestTokens::hs256(&SECRET[..31]),
            Err(ConfigError::SecretTooShort { length: 31, .. })
        ));
        assert!(!format!("{:?}", tokens()).contains("thirty"));
    }
}
