//! [`Verifier`]: the order in which a token is doubted.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{
    CryptoBackend,
    builder::VerifierBuilder,
    claims::Members,
    compact::{Compact, Room},
    header::{Header, HeaderMemo},
    rules::Rules,
    token::VerifiedToken,
};
use crate::{
    BearerToken, Clock, ConfigError, Rejection, RejectionKind,
    keys::{KeySet, Keys, PreparedKey},
};

/// Verifies tokens: one set of keys, one set of rules.
///
/// Cloning it costs a pointer, and every clone sees a [`reload`](Self::reload).
///
/// # Examples
///
/// ```
/// use tower_warden::{BearerToken, Keys, RejectionKind, SigningKey, TokenIssuer, Verifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = Verifier::builder(Keys::hs256(["a secret of at least 32 bytes, from a safe place"])?)
///     .with_issuer("https://id.example")
///     .with_audience("orders")
///     .build()?;
///
/// let issuer = TokenIssuer::builder(SigningKey::hs256("a secret of at least 32 bytes, from a safe place")?)
///     .with_issuer("https://id.example")
///     .with_audience("orders")
///     .build()?;
/// let token = verifier.verify(&issuer.mint("alice").with_scopes(["read"]).sign()?)?;
/// assert_eq!(token.subject(), Some("alice"));
/// assert!(token.has_scope("read"));
///
/// let refused = verifier.verify(&BearerToken::new("a.b.c")).unwrap_err();
/// assert_eq!(refused.kind(), RejectionKind::TokenMalformed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    rules: Rules,
    clock: Arc<dyn Clock>,
    backend: CryptoBackend,
    snapshot: ArcSwap<Snapshot>,
    /// The last epoch given out.
    epochs: AtomicU64,
}

/// The keys of one moment, and what may be remembered as long as they hold.
struct Snapshot {
    keys: KeySet,
    headers: HeaderMemo,
    /// Another one for each reload, so that what was verified with other keys can be told apart.
    epoch: u64,
}

impl Verifier {
    /// Begins a verifier that trusts these keys; [`VerifierBuilder::build`] ends it.
    pub fn builder(keys: Keys) -> VerifierBuilder {
        VerifierBuilder::new(keys)
    }

    pub(super) fn new(
        keys: &Keys,
        rules: Rules,
        clock: Arc<dyn Clock>,
        backend: CryptoBackend,
    ) -> Result<Self, ConfigError> {
        let snapshot = Snapshot::prepare(keys, &rules, backend, 0)?;
        let shared = Shared {
            rules,
            clock,
            backend,
            snapshot: ArcSwap::from_pointee(snapshot),
            epochs: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Verifies a token, cheapest doubt first: size, form, header, algorithm and key, claims that can be read, expiry,
    /// signature, and then what the claims say ([RFC 8725], [RFC 7519 §7.2]).
    ///
    /// # Errors
    ///
    /// A [`Rejection`] whose [kind](Rejection::kind) says which doubt remained. It never holds a part of the token.
    ///
    /// [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725
    /// [RFC 7519 §7.2]: https://www.rfc-editor.org/rfc/rfc7519#section-7.2
    pub fn verify(&self, token: &BearerToken<'_>) -> Result<Arc<VerifiedToken>, Rejection> {
        let snapshot = self.shared.snapshot.load();
        // The cache of verified tokens will be asked here, before anything is read, and filled below, once everything
        // is: under `snapshot.epoch`, so that a reload empties it.
        Ok(self.shared.verify(&snapshot, token)?)
    }

    /// Replaces the keys, for this verifier and all its clones, from the next token on. The rules stay.
    ///
    /// # Errors
    ///
    /// As for [`VerifierBuilder::build`]; the former keys then stay in use.
    pub fn reload(&self, keys: Keys) -> Result<(), ConfigError> {
        let shared = &*self.shared;
        let epoch = shared.epochs.fetch_add(1, Ordering::Relaxed) + 1;
        let fresh = Snapshot::prepare(&keys, &shared.rules, shared.backend, epoch)?;
        shared.snapshot.store(Arc::new(fresh));
        Ok(())
    }
}

impl Shared {
    fn verify(
        &self,
        snapshot: &Snapshot,
        token: &BearerToken<'_>,
    ) -> Result<Arc<VerifiedToken>, RejectionKind> {
        let rules = &self.rules;
        let compact = Compact::split(token.expose(), rules.max_token_size)?;

        let mut room = Room::<512>::new();
        let header = match snapshot.headers.find(compact.header) {
            Some(known) => HeaderOnce::Known(known),
            None => HeaderOnce::Fresh(Header::parse(room.decode_text(compact.header)?)?),
        };
        let mut keys = snapshot.keys_for(header.get())?;

        let mut room = Room::<2048>::new();
        let payload = room.decode_text(compact.payload)?;
        let members = Members::find(payload, rules)?;
        let now = self.clock.now();
        members.refuse_expired(payload, rules, now)?;

        let mut room = Room::<1024>::new();
        let signature = room.decode(compact.signature)?;
        if !keys.any(|key| key.verifies(compact.signed.as_bytes(), signature)) {
            return Err(RejectionKind::SignatureInvalid);
        }
        // They borrow from the header, which the token now takes along.
        drop(keys);

        let claims = members.judge(payload, rules, now)?;
        if !rules.token_type.admits(header.get().media_type.as_deref()) {
            return Err(RejectionKind::TypeMismatch);
        }
        Ok(Arc::new(VerifiedToken {
            token: token.clone().into_owned(),
            header: match header {
                HeaderOnce::Known(known) => Arc::clone(known),
                HeaderOnce::Fresh(fresh) => snapshot.headers.keep(compact.header, fresh),
            },
            payload: payload.into(),
            claims,
            typed: OnceLock::new(),
        }))
    }
}

/// A header that was met before, or one that was read just now.
enum HeaderOnce<'s, 'h> {
    Known(&'s Arc<Header<'static>>),
    Fresh(Header<'h>),
}

impl<'h> HeaderOnce<'_, 'h> {
    fn get(&self) -> &Header<'h> {
        match self {
            Self::Known(known) => known,
            Self::Fresh(fresh) => fresh,
        }
    }
}

impl Snapshot {
    fn prepare(
        keys: &Keys,
        rules: &Rules,
        backend: CryptoBackend,
        epoch: u64,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: KeySet::prepare(keys, rules.algorithms.as_deref(), backend)?,
            headers: HeaderMemo::default(),
            epoch,
        })
    }

    /// The keys that may have signed a token with this header: one at least. Keys are prepared for allowed algorithms
    /// only, so an algorithm without a key is one that is not allowed.
    ///
    /// Several issuers, and keys that must be fetched first, will be told apart here.
    fn keys_for<'s>(
        &'s self,
        header: &Header<'_>,
    ) -> Result<impl Iterator<Item = &'s PreparedKey>, RejectionKind> {
        let algorithm = header.algorithm;
        let keys = self.keys.keys();
        if !keys.iter().any(|key| key.algorithm() == algorithm) {
            return Err(RejectionKind::AlgorithmNotAllowed);
        }
        let mut candidates = self
            .keys
            .candidates(algorithm, header.key_id.as_deref())
            .filter_map(|index| keys.get(index))
            .peekable();
        match candidates.peek() {
            Some(_) => Ok(candidates),
            None => Err(RejectionKind::KeyUnknown),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.shared.snapshot.load();
        f.debug_struct("Verifier")
            .field("rules", &self.shared.rules)
            .field("keys", &snapshot.keys)
            .field("epoch", &snapshot.epoch)
            .finish_non_exhaustive()
    }
}
