//! One JSON Web Key ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)), read strictly, and written for publication.

use std::{collections::BTreeMap, fmt, str::FromStr};

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::material::{Curve, Material};

/// The name that [RFC 9864 §2.2](https://www.rfc-editor.org/rfc/rfc9864#section-2.2) gives to `EdDSA` on Ed25519.
const ED25519: &str = "Ed25519";

/// Which of its two names an algorithm is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlgorithmName {
    /// That of [RFC 7518](https://www.rfc-editor.org/rfc/rfc7518), such as `ES256`, or `EdDSA` of RFC 8037.
    Rfc7518,
    /// `Ed25519` in place of `EdDSA`.
    Rfc9864,
}

impl AlgorithmName {
    /// Returns the name of an algorithm on the wire.
    pub(crate) fn of(self, algorithm: Algorithm) -> String {
        match (self, algorithm) {
            (Self::Rfc9864, Algorithm::EdDSA) => ED25519.to_owned(),
            _ => format!("{algorithm:?}"),
        }
    }
}

/// Returns the algorithm with that name, if it is one that signs tokens.
pub(super) fn named(name: &str) -> Option<Algorithm> {
    match name {
        ED25519 => Some(Algorithm::EdDSA),
        _ => Algorithm::from_str(name).ok(),
    }
}

/// The members of a key, or the reason why they are none.
///
/// A fault stays with its key: it must not take the rest of a set with it.
pub(super) struct Members(Result<BTreeMap<String, Value>, String>);

/// What a JWK says of itself.
pub(super) struct Jwk {
    pub(super) id: Option<String>,
    pub(super) algorithm: Option<Algorithm>,
    /// The name of that algorithm, where there are two.
    pub(super) name: AlgorithmName,
    /// Whose tokens it signs, where several issuers share a set; no standard knows it, but Entra writes it.
    pub(super) issuer: Option<String>,
    pub(super) material: Material,
}

/// A JWK Set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
#[derive(Deserialize)]
pub(super) struct JwkSet {
    pub(super) keys: Vec<Members>,
}

/// Says where JSON ends to be JSON, without repeating any of it.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    format!(
        "is not the JSON wanted here (line {}, column {})",
        error.line(),
        error.column()
    )
}

impl Members {
    /// The key ID as the key states it, to name the key in a report.
    pub(super) fn id(&self) -> Option<&str> {
        self.0.as_ref().ok()?.get("kid")?.as_str()
    }

    /// Checks everything that a key says: RFC 7517 §4 and RFC 7518 §6, for verification.
    pub(super) fn check(&self) -> Result<Jwk, String> {
        let members = self.0.as_ref().map_err(Clone::clone)?;
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(format!("`{name}` is no string")),
        };
        let bytes = |name: &str| {
            let text = text(name)?.ok_or_else(|| format!("`{name}` is missing"))?;
            URL_SAFE_NO_PAD
                .decode_to_vec(text)
                .map(Zeroizing::new)
                .map_err(|_| format!("`{name}` is no base64url"))
        };
        if let Some(usage) = text("use")?
            && usage != "sig"
        {
            return Err("`use` is not `sig`: the key is not meant for signatures".into());
        }
        check_operations(members.get("key_ops"))?;
        let algorithm = text("alg")?
            .map(|name| {
                named(name).ok_or("`alg` is none of the algorithms that sign tokens".to_owned())
            })
            .transpose()?;
        let kind = text("kty")?.ok_or("`kty` is missing")?;
        if kind != "oct"
            && ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
                .iter()
                .any(|name| members.contains_key(*name))
        {
            return Err(
                "holds a private key: publish and load the public part only, and replace this key"
                    .into(),
            );
        }
        let material = match (kind, text("crv")?) {
            ("RSA", _) => Material::rsa(&bytes("n")?, &bytes("e")?)?,
            ("EC", Some("P-256")) => point(Curve::P256, &bytes("x")?, &bytes("y")?)?,
            ("EC", Some("P-384")) => point(Curve::P384, &bytes("x")?, &bytes("y")?)?,
            ("EC", _) => return Err("`crv` is neither P-256 nor P-384".into()),
            ("OKP", Some("Ed25519")) => Material::ed25519(&bytes("x")?)?,
            ("OKP", Some("X25519")) => {
                return Err("X25519 agrees on keys, it does not sign: Ed25519 does".into());
            }
            ("OKP", _) => return Err("`crv` is not Ed25519".into()),
            ("oct", _) => Material::Secret(bytes("k")?),
            _ => return Err("`kty` is none of RSA, EC, OKP and oct".into()),
        };
        if let Some(algorithm) = algorithm
            && !material.fits(algorithm)
        {
            return Err(format!(
                "`alg` is {algorithm:?}, but the key is {}",
                material.describe()
            ));
        }
        Ok(Jwk {
            id: text("kid")?.map(str::to_owned),
            issuer: text("issuer")?.map(str::to_owned),
            algorithm,
            name: match text("alg")? {
                Some(ED25519) => AlgorithmName::Rfc9864,
                _ => AlgorithmName::Rfc7518,
            },
            material,
        })
    }
}

fn point(curve: Curve, x: &[u8], y: &[u8]) -> Result<Material, String> {
    let length = curve.coordinate_length();
    if x.len() != length || y.len() != length {
        return Err(format!(
            "the coordinates of {curve:?} have {length} bytes each, these have {} and {}",
            x.len(),
            y.len()
        ));
    }
    Material::ec(curve, &[&[4], x, y].concat())
}

fn check_operations(operations: Option<&Value>) -> Result<(), String> {
    let operations = match operations {
        None => return Ok(()),
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => operations,
        Some(_) => return Err("`key_ops` is no array of strings".into()),
    };
    let repeated = operations.iter().enumerate().any(|(index, operation)| {
        operations
            .iter()
            .take(index)
            .any(|other| other == operation)
    });
    if repeated {
        return Err("`key_ops` names an operation twice".into());
    }
    if !operations.iter().any(|operation| operation == "verify") {
        return Err("`key_ops` does not allow `verify`".into());
    }
    Ok(())
}

/// The members that make up a public key, in the order of RFC 7638 §3.2; a secret has no public part.
fn public_members(material: &Material) -> Option<Vec<(&'static str, String)>> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    Some(match material {
        Material::Secret(_) => return None,
        Material::Rsa { n, e } => vec![("e", encode(e)), ("kty", "RSA".into()), ("n", encode(n))],
        Material::Ec { curve, point } => {
            let (x, y) = point
                .get(1..)?
                .split_at_checked(curve.coordinate_length())?;
            let name = match curve {
                Curve::P256 => "P-256",
                Curve::P384 => "P-384",
            };
            vec![
                ("crv", name.into()),
                ("kty", "EC".into()),
                ("x", encode(x)),
                ("y", encode(y)),
            ]
        }
        Material::Ed25519(x) => vec![
            ("crv", "Ed25519".into()),
            ("kty", "OKP".into()),
            ("x", encode(x)),
        ],
    })
}

/// The text whose SHA-256 is the thumbprint of a public key ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
pub(crate) fn thumbprint_input(material: &Material) -> Option<String> {
    // Names are ASCII in order, values base64url or fixed words: nothing needs an escape.
    let members: Vec<_> = public_members(material)?
        .into_iter()
        .map(|(name, value)| format!(r#""{name}":"{value}""#))
        .collect();
    Some(format!("{{{}}}", members.join(",")))
}

/// The public key as it is published: its members, `use`, and `alg` and `kid` if it has them.
pub(crate) fn publish(
    material: &Material,
    id: Option<&str>,
    algorithm: Option<String>,
) -> Option<Value> {
    let mut jwk: Map<String, Value> = public_members(material)?
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    jwk.insert("use".into(), "sig".into());
    if let Some(algorithm) = algorithm {
        jwk.insert("alg".into(), algorithm.into());
    }
    if let Some(id) = id {
        jwk.insert("kid".into(), id.into());
    }
    Some(jwk.into())
}

impl Drop for Members {
    fn drop(&mut self) {
        for value in self.0.iter_mut().flat_map(BTreeMap::values_mut) {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MembersVisitor)
    }
}

struct MembersVisitor;

impl MembersVisitor {
    fn no_object<E>() -> Result<Members, E> {
        Ok(Members(Err("is no JSON object".into())))
    }
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWK")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members(Ok(BTreeMap::new()));
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            // RFC 7517 §4: readers that take the first and readers that take the last must not disagree.
            let twice = match &mut members.0 {
                Ok(known) => known.insert(name, value).is_some(),
                Err(_) => false,
            };
            if twice {
                members = Members(Err("has a member twice".into()));
            }
        }
        Ok(members)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Members, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Self::no_object()
    }

    fn visit_unit<E: Error>(self) -> Result<Members, E> {
        Self::no_object()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Members, E> {
        Self::no_object()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Members, E> {
        Self::no_object()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Members, E> {
        Self::no_object()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Members, E> {
        Self::no_object()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Members, E> {
        Self::no_object()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ED: &str =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn check(json: &str) -> Result<Jwk, String> {
        serde_json::from_str::<Members>(json).unwrap().check()
    }

    #[test]
    fn rfc_7638_thumbprint_of_the_rfc_8037_key() {
        let jwk = check(&format!("{{{ED}}}")).unwrap_or_else(|problem| panic!("{problem}"));
        // RFC 8037 A.3.
        assert_eq!(
            thumbprint_input(&jwk.material).unwrap(),
            r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
        );
    }

    #[test]
    fn every_doubtful_member_is_refused_by_name() {
        for (json, problem) in [
            (format!(r#"{{{ED},"use":"enc"}}"#), "`use`"),
            (format!(r#"{{{ED},"use":1}}"#), "`use`"),
            (format!(r#"{{{ED},"key_ops":["sign"]}}"#), "`key_ops`"),
            (format!(r#"{{{ED},"key_ops":[]}}"#), "`key_ops`"),
            (format!(r#"{{{ED},"key_ops":"verify"}}"#), "`key_ops`"),
            (format!(r#"{{{ED},"key_ops":["verify",1]}}"#), "`key_ops`"),
            (
                format!(r#"{{{ED},"key_ops":["verify","verify"]}}"#),
                "twice",
            ),
            (format!(r#"{{{ED},"alg":"none"}}"#), "`alg`"),
            (format!(r#"{{{ED},"alg":"eddsa"}}"#), "`alg`"),
            (format!(r#"{{{ED},"alg":"ECDH-ES"}}"#), "`alg`"),
            (format!(r#"{{{ED},"alg":"RS256"}}"#), "`alg`"),
            (format!(r#"{{{ED},"alg":"HS256"}}"#), "`alg`"),
            (format!(r#"{{{ED},"alg":null}}"#), "`alg`"),
            (format!(r#"{{{ED},"kid":7}}"#), "`kid`"),
            (format!(r#"{{{ED},"issuer":["a"]}}"#), "`issuer`"),
            (format!(r#"{{{ED},"d":"AA"}}"#), "private"),
            (format!(r#"{{{ED},"d":null}}"#), "private"),
            (format!(r#"{{{ED},"k":"AA"}}"#), "private"),
            (format!(r#"{{{ED},"kty":"OKP"}}"#), "twice"),
            (format!(r#"{{{ED},"foo":1,"foo":1}}"#), "twice"),
            (
                r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
                    .into(),
                "X25519",
            ),
            (r#"{"kty":"OKP","crv":"Ed448","x":"AA"}"#.into(), "`crv`"),
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#.into(),
                "32 bytes",
            ),
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA="}"#.into(),
                "base64url",
            ),
            (r#"{"kty":"OKP","crv":"Ed25519"}"#.into(), "`x` is missing"),
            (
                r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#.into(),
                "`crv`",
            ),
            (
                r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.into(),
                "32 bytes",
            ),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.into(), "2048"),
            (r#"{"kty":"rsa","n":"AQAB","e":"AQAB"}"#.into(), "`kty`"),
            (r#"{"crv":"Ed25519","x":"AA"}"#.into(), "`kty`"),
            ("[]".into(), "object"),
            ("null".into(), "object"),
            ("1".into(), "object"),
            (r#""kty""#.into(), "object"),
        ] {
            match check(&json) {
                Ok(_) => panic!("{json} was taken"),
                Err(told) => assert!(told.contains(problem), "{json}: {told}"),
            }
        }
        for json in [
            format!("{{{ED}}}"),
            format!(
                r#"{{{ED},"use":"sig","key_ops":["verify"],"alg":"EdDSA","kid":"a","x5c":["ignored"]}}"#
            ),
        ] {
            assert!(check(&json).is_ok(), "{json}");
        }
    }
}
