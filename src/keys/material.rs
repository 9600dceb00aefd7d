//! [`Material`]: the bytes of one key, checked, and independent of the crypto backend that will use them.

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use zeroize::Zeroizing;

use super::der::{self, KeyType};

/// The twelve algorithms of this crate ([RFC 7518 §3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)).
pub(crate) const ALGORITHMS: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The curves of ECDSA that this crate verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// The length of one coordinate in bytes.
    pub(crate) const fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
        }
    }
}

/// What verifies a signature. Only checked bytes get in here.
#[derive(Clone)]
pub(crate) enum Material {
    /// A shared secret.
    Secret(Zeroizing<Vec<u8>>),
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point: `04`, x, y. That it lies on its curve is for the backend to say.
    Ec { curve: Curve, point: Vec<u8> },
    /// An Ed25519 public key.
    Ed25519([u8; 32]),
}

impl Material {
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, String> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(format!(
                "an RSA key needs 2048 to 8192 bits, this one has {bits}"
            ));
        }
        if n.last().is_none_or(|byte| byte % 2 == 0) {
            return Err("an even number is no RSA modulus".into());
        }
        if e.len() > 4 || e.last().is_none_or(|byte| byte % 2 == 0) || e == [1] {
            return Err("an RSA exponent is an odd number from 3 to 2³²-1, usually 65537".into());
        }
        Ok(Self::Rsa {
            n: n.to_vec(),
            e: e.to_vec(),
        })
    }

    pub(crate) fn ec(curve: Curve, point: &[u8]) -> Result<Self, String> {
        if point.first() != Some(&4) || point.len() != 1 + 2 * curve.coordinate_length() {
            return Err(format!(
                "a point of {curve:?} is 04 and two coordinates of {} bytes",
                curve.coordinate_length()
            ));
        }
        Ok(Self::Ec {
            curve,
            point: point.to_vec(),
        })
    }

    pub(crate) fn ed25519(x: &[u8]) -> Result<Self, String> {
        let x: [u8; 32] = x.try_into().map_err(|_| {
            format!(
                "an Ed25519 key has exactly 32 bytes, this one has {}",
                x.len()
            )
        })?;
        if is_of_small_order(x) {
            return Err("a point of small order verifies signatures that nobody made".into());
        }
        Ok(Self::Ed25519(x))
    }

    /// From the parts of a `SubjectPublicKeyInfo`.
    pub(crate) fn public_key_info((key_type, bits): (KeyType, &[u8])) -> Result<Self, String> {
        match key_type {
            KeyType::Rsa => {
                let (n, e) = der::rsa_public_key(bits).ok_or("holds no readable RSA key")?;
                Self::rsa(n, e)
            }
            KeyType::Ec(curve) => Self::ec(curve, bits),
            KeyType::Ed25519 => Self::ed25519(bits),
            KeyType::X25519 => Err("X25519 agrees on keys, it does not sign: Ed25519 does".into()),
            KeyType::Unknown => {
                Err("is neither RSA nor ECDSA on P-256 or P-384 nor Ed25519".into())
            }
        }
    }

    /// Whether a key of this sort may be used with this algorithm at all.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Secret(_) => algorithm.family() == AlgorithmFamily::Hmac,
            Self::Rsa { .. } => algorithm.family() == AlgorithmFamily::Rsa,
            Self::Ec { curve, .. } => algorithm == curve.algorithm(),
            Self::Ed25519(_) => algorithm == Algorithm::EdDSA,
        }
    }

    /// The algorithm of a public key that names none; a secret has to name its own.
    pub(crate) fn default_algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Secret(_) => None,
            Self::Rsa { .. } => Some(Algorithm::RS256),
            Self::Ec { curve, .. } => Some(curve.algorithm()),
            Self::Ed25519(_) => Some(Algorithm::EdDSA),
        }
    }

    /// The exact length in bytes of a signature by this key.
    pub(crate) fn signature_length(&self, algorithm: Algorithm) -> usize {
        match self {
            Self::Secret(_) => hash_length(algorithm),
            Self::Rsa { n, .. } => n.len(),
            Self::Ec { curve, .. } => 2 * curve.coordinate_length(),
            Self::Ed25519(_) => 64,
        }
    }

    /// What the operator calls such a key.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a shared secret",
            Self::Rsa { .. } => "an RSA key",
            Self::Ec {
                curve: Curve::P256, ..
            } => "a key on P-256",
            Self::Ec {
                curve: Curve::P384, ..
            } => "a key on P-384",
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }
}

/// The length in bytes of the hash, which is also the least length of an HMAC secret (RFC 7518 §3.2).
pub(crate) fn hash_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 | Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => 32,
        Algorithm::HS384 | Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => 48,
        // EdDSA uses SHA-512; whatever a later jsonwebtoken adds is held to the longest.
        _ => 64,
    }
}

/// JWK asks for no leading zero, DER for one before a high bit, and some publishers write one in either.
fn without_leading_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// The encodings of the eight points whose order divides the cofactor, sign bit aside, canonical or not.
fn is_of_small_order(mut x: [u8; 32]) -> bool {
    const ORDER_8: [u8; 32] = *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
        \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05";
    const ORDER_8_NEGATED: [u8; 32] =
        *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\
        \x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a";
    if let Some(last) = x.last_mut() {
        *last &= 0x7f;
    }
    let (first, middle, last) = match &x {
        [first, middle @ .., last] => (*first, middle, *last),
    };
    let near_zero = first <= 1 && last == 0 && middle.iter().all(|&byte| byte == 0);
    // p - 1, p and p + 1, with p = 2²⁵⁵ - 19.
    let near_p =
        (0xec..=0xee).contains(&first) && last == 0x7f && middle.iter().all(|&byte| byte == 0xff);
    near_zero || near_p || x == ORDER_8 || x == ORDER_8_NEGATED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_sizes_and_exponents_have_bounds() {
        let modulus = |bits: usize| {
            let mut n = vec![0xff; bits.div_ceil(8)];
            n[0] >>= (8 - bits % 8) % 8;
            n
        };
        for (bits, fits) in [
            (0, false),
            (1024, false),
            (2047, false),
            (2048, true),
            (8192, true),
            (8193, false),
        ] {
            let n = if bits == 0 { Vec::new() } else { modulus(bits) };
            assert_eq!(Material::rsa(&n, &[1, 0, 1]).is_ok(), fits, "{bits} bits");
        }
        for (e, fits) in [
            (&[][..], false),
            (&[0][..], false),
            (&[1][..], false),
            (&[2][..], false),
            (&[3][..], true),
            (&[1, 0, 1][..], true),
            (&[1, 0, 0][..], false),
            (&[0xff, 0xff, 0xff, 0xff][..], true),
            (&[1, 0, 0, 0, 1][..], false),
        ] {
            assert_eq!(Material::rsa(&modulus(2048), e).is_ok(), fits, "e = {e:?}");
        }
        let mut even = modulus(2048);
        even[255] = 0xfe;
        assert!(Material::rsa(&even, &[1, 0, 1]).is_err());
        assert!(Material::rsa(&[&[0, 0][..], &modulus(2048)].concat(), &[0, 1, 0, 1]).is_ok());
        // A kilobyte of leading zeros does not make a short key long.
        assert!(Material::rsa(&[&[0; 1024][..], &modulus(1024)].concat(), &[1, 0, 1]).is_err());
    }

    #[test]
    fn lengths_of_points_are_exact() {
        for (curve, length) in [(Curve::P256, 65), (Curve::P384, 97)] {
            let mut point = vec![4; length];
            assert!(Material::ec(curve, &point).is_ok());
            assert!(Material::ec(curve, &point[..length - 1]).is_err());
            point[0] = 2;
            assert!(Material::ec(curve, &point).is_err(), "compressed");
            point.push(0);
            assert!(Material::ec(curve, &point).is_err());
        }
        for (length, fits) in [
            (0, false),
            (31, false),
            (32, true),
            (33, false),
            (64, false),
        ] {
            assert_eq!(
                Material::ed25519(&vec![9; length]).is_ok(),
                fits,
                "{length}"
            );
        }
    }

    #[test]
    fn ed25519_points_of_small_order_are_refused() {
        let mut p_plus = [0xff; 32];
        p_plus[31] = 0x7f;
        for first in 0xec..=0xee {
            p_plus[0] = first;
            assert!(Material::ed25519(&p_plus).is_err());
        }
        let mut small = [0; 32];
        for (first, sign) in [(0, 0), (1, 0), (1, 0x80)] {
            (small[0], small[31]) = (first, sign);
            assert!(Material::ed25519(&small).is_err());
        }
    }
}
