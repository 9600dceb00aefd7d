//! [`Forge`]: signs whatever it is given, in whatever shape, which no issuer would do.

use std::fmt::Write as _;

use base64_simd::URL_SAFE_NO_PAD;

use super::mac::hs256;

/// Puts tokens together from raw text, part by part, and signs them with a real key.
///
/// A hostile token has to be perfect but for its one hazard: were its signature wrong, every verifier would refuse it,
/// and nothing would be proved about the hazard.
pub(super) struct Forge<'k> {
    pub(super) algorithm: &'k str,
    pub(super) key_id: Option<&'k str>,
    /// The public key in each form in which somebody might mistake it for a secret; empty for a secret.
    pub(super) published: Vec<Vec<u8>>,
    /// The members of an acceptable claims object, as JSON text.
    pub(super) claims: Members,
    /// The raw signature over a signing input.
    pub(super) sign: &'k dyn Fn(&[u8]) -> Vec<u8>,
}

impl Forge<'_> {
    /// The members of an acceptable header.
    pub(super) fn header(&self) -> Members {
        let members = Members::new()
            .with("alg", quoted(self.algorithm))
            .with("typ", quoted("JWT"));
        match self.key_id {
            Some(id) => members.with("kid", quoted(id)),
            None => members,
        }
    }

    /// An acceptable header and claims as a signing input.
    pub(super) fn good_input(&self) -> String {
        input(self.header().object(), self.claims.object())
    }

    /// A token whose header and payload are these bytes, signed with the real key.
    pub(super) fn signed(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.signed_input(&input(header, payload))
    }

    /// A token with this header and acceptable claims.
    pub(super) fn signed_header(&self, header: impl AsRef<[u8]>) -> String {
        self.signed(header, self.claims.object())
    }

    /// A token with an acceptable header and this payload.
    pub(super) fn signed_payload(&self, payload: impl AsRef<[u8]>) -> String {
        self.signed(self.header().object(), payload)
    }

    /// The signing input exactly as it stands, however little it is base64url, signed with the real key.
    pub(super) fn signed_input(&self, input: &str) -> String {
        with_signature(input, (self.sign)(input.as_bytes()))
    }

    /// A token with this header and acceptable claims, its signature an HS256 under `secret`.
    pub(super) fn hs256(&self, header: &Members, secret: &[u8]) -> String {
        let input = input(header.object(), self.claims.object());
        let signature = hs256(secret, input.as_bytes());
        with_signature(&input, signature)
    }
}

/// The members of a JSON object in order, as text, so that they may be wrong in any way.
#[derive(Clone, Default)]
pub(super) struct Members(Vec<(String, String)>);

impl Members {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Sets a member to this JSON text; one of the same name is replaced, in its place.
    pub(super) fn with(mut self, name: &str, json: impl Into<String>) -> Self {
        match self.0.iter_mut().find(|(have, _)| have == name) {
            Some((_, value)) => *value = json.into(),
            None => self.0.push((name.into(), json.into())),
        }
        self
    }

    /// Adds a member even if there is one of its name; the name is JSON text without its quotes.
    pub(super) fn with_another(mut self, name: &str, json: impl Into<String>) -> Self {
        self.0.push((name.into(), json.into()));
        self
    }

    /// Removes a member.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(have, _)| have != name);
        self
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(have, _)| have == name)
    }

    /// The value of a member that is a JSON string.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let (_, json) = self.0.iter().find(|(have, _)| have == name)?;
        serde_json::from_str(json).ok()
    }

    /// The object as JSON text.
    pub(super) fn object(&self) -> String {
        let mut text = String::from("{");
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing into a `String` cannot fail.
            let _ = write!(text, "{comma}\"{name}\":{value}");
        }
        text.push('}');
        text
    }
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

pub(super) fn input(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", base64url(header), base64url(payload))
}

pub(super) fn with_signature(input: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{input}.{}", base64url(signature))
}
