//! One algorithm: its key, and a token as an identity provider signs it.

use http::{HeaderName, HeaderValue, Request, header, request::Parts};
use serde_json::{Value, json};
use tower_warden::Algorithm;

use crate::tokens::{SECRET, base64, public_pem, token};

pub(crate) const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::HS256,
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

pub(crate) const ISSUER: &str = "https://id.example/realms/acme";
pub(crate) const AUDIENCE: &str = "https://api.example";
pub(crate) const KEY_ID: &str = "2026-11-22-main";

/// The path that every request asks for.
pub(crate) const PATH: &str = "/chat";

/// 360 bytes with 11 claims. Of the last four Keycloak demands `azp` and `typ`, and RFC 9068 `client_id`.
const CLAIMS: &str = r#"{"iss":"https://id.example/realms/acme","sub":"3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11","aud":"https://api.example","exp":4102444800,"iat":1700000000,"jti":"b5c7d0e8-12f4-4a9b-8f6e-000000000000","scope":"openid profile email chat:read chat:write","client_id":"web-app-main","azp":"web-app-main","typ":"Bearer","preferred_username":"alice@example.com"}"#;

/// What an application wants to know; the peers whose claims may be chosen read these.
#[derive(Clone, Debug, serde::Deserialize)]
#[allow(dead_code)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) scope: String,
}

/// More tokens than the smallest cache keeps.
const OTHERS: usize = 1_024;

/// What a request of one algorithm carries.
pub(crate) struct Case {
    pub(crate) algorithm: Algorithm,
    pub(crate) token: String,
    /// Tokens of the same length, each with an ID of its own.
    pub(crate) others: Vec<String>,
    /// The same token, one character of its signature changed.
    pub(crate) forged: String,
    /// The key as a JWK Set, the secret too.
    pub(crate) jwk_set: String,
}

impl Case {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let header = format!(r#"{{"alg":"{algorithm:?}","typ":"at+jwt","kid":"{KEY_ID}"}}"#);
        let other = |number: usize| {
            let claims = CLAIMS.replace("000000000000", &format!("{number:012}"));
            token(&header, claims, algorithm)
        };
        let token = token(&header, CLAIMS, algorithm);
        Self {
            algorithm,
            forged: forged(&token),
            token,
            others: (1..=OTHERS).map(other).collect(),
            jwk_set: json!({ "keys": [jwk(algorithm)] }).to_string(),
        }
    }

    /// Where the provider keeps this key.
    pub(crate) fn realm(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    /// The head of a request with this token. As with a server, the bytes of its headers are shared, not copied.
    pub(crate) fn request(&self, path: &str, token: Option<&str>) -> Parts {
        let mut request = Request::get(path).body(()).unwrap();
        let mut set = |name: HeaderName, value: String| {
            let value = HeaderValue::from_maybe_shared(axum::body::Bytes::from(value)).unwrap();
            request.headers_mut().insert(name, value);
        };
        set(header::HOST, "api.example".to_owned());
        set(header::ACCEPT, "*/*".to_owned());
        if let Some(token) = token {
            set(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.into_parts().0
    }
}

fn forged(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (middle, other) = (signature.len() / 2, signature.as_bytes());
    let changed = if other[middle] == b'A' { "B" } else { "A" };
    let (start, end) = (&signature[..middle], &signature[middle + 1..]);
    format!("{message}.{start}{changed}{end}")
}

/// The public key of the tests as jsonwebtoken writes it, or their secret.
fn jwk(algorithm: Algorithm) -> Value {
    use jsonwebtoken::{DecodingKey, jwk::Jwk};
    let pem = public_pem(algorithm).as_bytes();
    let key = match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_pem(pem),
        Algorithm::ES256 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        _ => {
            return json!({ "kty": "oct", "use": "sig", "alg": "HS256", "kid": KEY_ID, "k": base64(SECRET) });
        }
    };
    let jwk = Jwk::from_decoding_key(&key.unwrap(), Some(algorithm)).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["use"] = "sig".into();
    jwk["kid"] = KEY_ID.into();
    jwk
}
