//! Refresh tokens: [`RefreshToken`], and which may follow which.
//!
//! The first of a session is 256 random bits. Each next one is the HMAC of the one before it, under the secret of the
//! service: nobody else can tell it, and two tabs that come with the same token at the same moment are given the same
//! successor. The store has the hash of the one in force and nothing older. Still an older one is recognised, as its
//! successors lead to the one in force: somebody has a copy, and the session is over for all of them.

use std::fmt;

use base64_simd::{Out, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{RefreshHash, SessionRecord};
use crate::{BearerToken, CryptoBackend, SigningKey, issue::Signer, verify::sha256};

/// The bytes of a session's ID, and those of the secret behind it.
const ID: usize = 16;
const SECRET: usize = 32;

/// Their text in base64url, without padding.
const TEXT_LENGTH: usize = 64;

/// How far back an older token is recognised. A thousand steps take a millisecond or so.
const LONGEST_WAY: u32 = 4_096;

/// Makes and recognises refresh tokens.
#[derive(Debug)]
pub(super) struct Refresher {
    /// Successors are made with the secret that signs the tokens; what is signed there never begins with a NUL.
    signer: Signer,
    backend: CryptoBackend,
}

/// A refresh token as it came, or as it goes out: a session and a secret.
#[derive(Clone)]
pub(super) struct RefreshToken(Zeroizing<[u8; ID + SECRET]>);

/// What a token is to its session.
#[derive(Debug)]
pub(super) enum Place {
    /// The one in force, and the one to follow.
    Present(RefreshToken),
    /// The one before; the one in force is known again.
    Previous(RefreshToken),
    /// An older one.
    Earlier,
    /// None of this session.
    Nowhere,
}

impl Refresher {
    pub(super) fn new(
        key: &SigningKey,
        backend: CryptoBackend,
    ) -> Result<Self, crate::ConfigError> {
        let signer = key.prepare(backend)?;
        Ok(Self { signer, backend })
    }

    /// The first token of a new session; `None` without randomness.
    pub(super) fn begin(&self) -> Option<RefreshToken> {
        let mut bytes = Zeroizing::new([0; ID + SECRET]);
        getrandom::fill(bytes.as_mut_slice()).ok()?;
        Some(RefreshToken(bytes))
    }

    /// What the store keeps of a token.
    pub(super) fn hash(&self, token: &RefreshToken) -> Option<RefreshHash> {
        RefreshHash::from_bytes(&sha256(token.0.as_slice(), self.backend)?)
    }

    fn successor(&self, token: &RefreshToken) -> Option<RefreshToken> {
        let mut message = Zeroizing::new(b"\0tower-warden refresh".to_vec());
        message.extend_from_slice(token.0.as_slice());
        let secret = Zeroizing::new(self.signer.sign(&message)?);
        let mut next = token.0.clone();
        next[ID..].copy_from_slice(secret.get(..SECRET)?);
        Some(RefreshToken(next))
    }

    /// Finds the place of a token that is in force or was the one before it, by three hashes at most; `Nowhere` for any
    /// other token. `None` if the crypto backend fails.
    pub(super) fn place(&self, token: &RefreshToken, session: &SessionRecord) -> Option<Place> {
        let in_force = |token: &RefreshToken| Some(self.hash(token)? == session.refresh_hash);
        let next = self.successor(token)?;
        if in_force(token)? {
            return Some(Place::Present(next));
        }
        if session.refreshes == 0 {
            return Some(Place::Nowhere);
        }
        if in_force(&next)? {
            return Some(Place::Previous(next));
        }
        Some(Place::Nowhere)
    }

    /// Returns whether a token was in force earlier than the previous one; `None` if the crypto backend fails.
    ///
    /// A made-up token costs up to 4 096 successors, so it belongs on a blocking thread.
    pub(super) fn was_earlier(
        &self,
        token: &RefreshToken,
        session: &SessionRecord,
    ) -> Option<bool> {
        let mut next = self.successor(token)?;
        for _ in 2..=session.refreshes.min(LONGEST_WAY) {
            next = self.successor(&next)?;
            if self.hash(&next)? == session.refresh_hash {
                return Some(true);
            }
        }
        Some(false)
    }
}

impl RefreshToken {
    /// Reads a token; `None` for what cannot be one of ours. The decoder takes the one canonical form only.
    pub(super) fn read(text: &BearerToken<'_>) -> Option<Self> {
        let text = text.expose();
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let mut bytes = Zeroizing::new([0; ID + SECRET]);
        URL_SAFE_NO_PAD
            .decode(text.as_bytes(), Out::from_slice(bytes.as_mut_slice()))
            .ok()?;
        Some(Self(bytes))
    }

    /// The ID of its session.
    pub(super) fn session(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(&self.0[..ID])
    }

    pub(super) fn text(&self) -> BearerToken<'static> {
        BearerToken::new(URL_SAFE_NO_PAD.encode_to_string(self.0.as_slice()))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([REDACTED])")
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::NumericDate;

    fn refresher(secret: &str) -> Refresher {
        let key = SigningKey::hs256(secret).unwrap();
        Refresher::new(&key, CryptoBackend::preferred().unwrap()).unwrap()
    }

    fn ours() -> Refresher {
        refresher("0123456789abcdef0123456789abcdef")
    }

    fn session(refresher: &Refresher, token: &RefreshToken, refreshes: u32) -> SessionRecord {
        SessionRecord {
            id: token.session(),
            user_id: String::new(),
            created_at: NumericDate::from_secs(0),
            seen_at: NumericDate::from_secs(0),
            expires_at: NumericDate::from_secs(0),
            user_agent: String::new(),
            refresh_hash: refresher.hash(token).unwrap(),
            refreshed_at: None,
            refreshes,
        }
    }

    /// The tokens of a session, the first one first.
    fn chain(refresher: &Refresher, length: usize) -> Vec<RefreshToken> {
        let mut tokens = vec![refresher.begin().unwrap()];
        while tokens.len() < length {
            tokens.push(refresher.successor(tokens.last().unwrap()).unwrap());
        }
        tokens
    }

    #[test]
    fn each_token_has_its_place() {
        let refresher = ours();
        let tokens = chain(&refresher, 7);
        let record = session(&refresher, &tokens[5], 5);
        let place = |token: &RefreshToken| refresher.place(token, &record).unwrap();
        assert!(matches!(place(&tokens[5]), Place::Present(next) if next.0 == tokens[6].0));
        assert!(matches!(place(&tokens[4]), Place::Previous(present) if present.0 == tokens[5].0));
        let earlier = |token: &RefreshToken| refresher.was_earlier(token, &record).unwrap();
        for token in &tokens[..4] {
            assert!(matches!(place(token), Place::Nowhere));
            assert!(earlier(token));
        }
        // One that has not been given out, one of another session, one that was made up.
        let mut forged = refresher.begin().unwrap();
        forged.0[..ID].copy_from_slice(&tokens[0].0[..ID]);
        for token in [&tokens[6], &refresher.begin().unwrap(), &forged] {
            assert!(matches!(place(token), Place::Nowhere));
            assert!(!earlier(token));
        }
    }

    #[test]
    fn nobody_else_can_tell_the_next_one() {
        let (ours, theirs) = (ours(), refresher("fedcba9876543210fedcba9876543210"));
        let first = ours.begin().unwrap();
        let [next, guess] = [&ours, &theirs].map(|refresher| refresher.successor(&first).unwrap());
        assert_ne!(next.0, guess.0);
        assert_eq!(next.session(), first.session());
        assert_ne!(ours.begin().unwrap().0, first.0);
        // What was given out before the secret changed is in force still.
        let record = session(&ours, &next, 1);
        assert!(matches!(
            theirs.place(&next, &record),
            Some(Place::Present(_))
        ));
        assert!(matches!(
            theirs.place(&first, &record),
            Some(Place::Nowhere)
        ));
    }

    #[test]
    fn a_token_has_one_spelling() {
        let token = ours().begin().unwrap();
        let text = token.text();
        let text = text.expose();
        assert_eq!(
            RefreshToken::read(&BearerToken::new(text)).unwrap().0,
            token.0
        );
        assert_eq!(token.session().len(), 22);
        for bad in [
            "",
            "A",
            &text[..63],
            &format!("{text}A"),
            &format!("{text}="),
            &format!("{}+", &text[..63]),
            &format!("{} ", &text[..63]),
            &format!("{}é", &text[..62]),
            &"A".repeat(100_000),
        ] {
            assert!(
                RefreshToken::read(&BearerToken::new(bad)).is_none(),
                "{bad:.70}"
            );
        }
        assert_eq!(format!("{token:?}"), "RefreshToken([REDACTED])");
    }
}
