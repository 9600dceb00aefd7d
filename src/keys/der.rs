//! The few DER structures in which public and private keys travel.
//!
//! Only what a key needs is read, and only in its one distinguished form: minimal lengths, no trailing bytes, the
//! curve named by its identifier. Where a reader of "the first bit string" guesses, this one refuses.

use super::material::Curve;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION_OF_CERTIFICATE: u8 = 0xa0;

const ID_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const ID_EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const ID_P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
const ID_P384: &[u8] = b"\x2b\x81\x04\x00\x22";
const ID_X25519: &[u8] = b"\x2b\x65\x6e";
const ID_ED25519: &[u8] = b"\x2b\x65\x70";
const NULL: &[u8] = b"\x05\x00";

/// PKCS#8 of a private key on P-256, up to its number, without the public key.
pub(crate) const PKCS8_P256: &[u8] =
    b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
/// The same for P-384.
pub(crate) const PKCS8_P384: &[u8] =
    b"\x30\x4e\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x05\x2b\x81\x04\x00\x22\x04\x37\x30\x35\x02\x01\x01\x04\x30";
/// The same for Ed25519 ([RFC 8410 §7](https://www.rfc-editor.org/rfc/rfc8410#section-7)), up to its seed.
pub(crate) const PKCS8_ED25519: &[u8] =
    b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// What an algorithm identifier says about the key beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    Rsa,
    Ec(Curve),
    Ed25519,
    X25519,
    Unknown,
}

/// Reads one element after the other; `None` is a malformed or unexpected one.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn element(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (&tag, rest) = self.0.split_first()?;
        let (&short, mut rest) = rest.split_first()?;
        let length = match short {
            0..=0x7f => usize::from(short),
            // More than three length bytes would be a key of 16 MiB.
            0x81..=0x83 => {
                let (bytes, after) = rest.split_at_checked(usize::from(short & 0x7f))?;
                rest = after;
                let length = bytes
                    .iter()
                    .fold(0, |sum, &byte| (sum << 8) | usize::from(byte));
                let minimal = bytes.first() != Some(&0) && length >= 0x80;
                minimal.then_some(length)?
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        if tag != wanted {
            return None;
        }
        self.0 = rest;
        Some(content)
    }

    /// A bit string of whole bytes.
    fn bits(&mut self) -> Option<&'a [u8]> {
        match self.element(BIT_STRING)?.split_first()? {
            (0, bits) => Some(bits),
            _ => None,
        }
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Reads the outermost sequence, with nothing behind it.
fn sequence(der: &[u8]) -> Option<Reader<'_>> {
    let mut outer = Reader(der);
    let content = outer.element(SEQUENCE)?;
    outer.end(Reader(content))
}

fn key_type(algorithm: &[u8]) -> Option<KeyType> {
    let mut algorithm = Reader(algorithm);
    let identifier = algorithm.element(OBJECT_IDENTIFIER)?;
    let parameters = algorithm.0;
    Some(match identifier {
        ID_RSA if parameters == NULL => KeyType::Rsa,
        ID_EC => match sequence_free_oid(parameters) {
            Some(ID_P256) => KeyType::Ec(Curve::P256),
            Some(ID_P384) => KeyType::Ec(Curve::P384),
            _ => KeyType::Unknown,
        },
        ID_ED25519 if parameters.is_empty() => KeyType::Ed25519,
        ID_X25519 => KeyType::X25519,
        _ => KeyType::Unknown,
    })
}

fn sequence_free_oid(parameters: &[u8]) -> Option<&[u8]> {
    let mut parameters = Reader(parameters);
    let identifier = parameters.element(OBJECT_IDENTIFIER)?;
    parameters.end(identifier)
}

/// `SubjectPublicKeyInfo` ([RFC 5280 §4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1)): its type and key bits.
pub(crate) fn public_key_info(der: &[u8]) -> Option<(KeyType, &[u8])> {
    let mut info = sequence(der)?;
    let algorithm = info.element(SEQUENCE)?;
    let bits = info.bits()?;
    info.end((key_type(algorithm)?, bits))
}

/// The `SubjectPublicKeyInfo` inside an X.509 certificate, whose signature and dates are not looked at.
pub(crate) fn certified_key(der: &[u8]) -> Option<(KeyType, &[u8])> {
    let mut certificate = sequence(der)?;
    let mut body = Reader(certificate.element(SEQUENCE)?);
    certificate.element(SEQUENCE)?;
    certificate.bits()?;
    certificate.end(())?;
    // Version 1 leaves the version out.
    let _ = body.element(VERSION_OF_CERTIFICATE);
    body.element(INTEGER)?;
    for _signature_issuer_validity_subject in 0..4 {
        body.element(SEQUENCE)?;
    }
    let mut info = Reader(body.element(SEQUENCE)?);
    let algorithm = info.element(SEQUENCE)?;
    let bits = info.bits()?;
    info.end((key_type(algorithm)?, bits))
}

/// `RSAPublicKey` of PKCS#1 ([RFC 8017 A.1.1](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.1)): modulus, exponent.
pub(crate) fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut key = sequence(der)?;
    let components = (key.element(INTEGER)?, key.element(INTEGER)?);
    key.end(components)
}

/// Modulus and exponent of an `RSAPrivateKey` of PKCS#1.
pub(crate) fn rsa_private_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut key = sequence(der)?;
    let version = key.element(INTEGER)?;
    let components = (key.element(INTEGER)?, key.element(INTEGER)?);
    (version == [0]).then_some(components)
}

/// `PrivateKeyInfo` of PKCS#8 ([RFC 5958 §2](https://www.rfc-editor.org/rfc/rfc5958#section-2)): its type and inner key.
pub(crate) fn private_key_info(der: &[u8]) -> Option<(KeyType, &[u8])> {
    let mut info = sequence(der)?;
    if !matches!(info.element(INTEGER)?, [0 | 1]) {
        return None;
    }
    let algorithm = info.element(SEQUENCE)?;
    let key = info.element(OCTET_STRING)?;
    // Attributes and the public key of version 2 may follow.
    Some((key_type(algorithm)?, key))
}

/// Whether these bytes are a private key: PKCS#8, PKCS#1 and SEC 1 all open with a small version number.
pub(crate) fn is_private_key(der: &[u8]) -> bool {
    sequence(der)
        .and_then(|mut key| key.element(INTEGER))
        .is_some_and(|version| version.len() == 1)
}

/// Whether these bytes are a key or a certificate, of whatever sort.
pub(crate) fn is_key(der: &[u8]) -> bool {
    is_private_key(der)
        || public_key_info(der).is_some()
        || certified_key(der).is_some()
        || rsa_public_key(der).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::pem;

    fn der(text: &str) -> Vec<u8> {
        pem::decode(text).unwrap().der.to_vec()
    }

    #[test]
    fn the_type_is_read_from_the_identifiers() {
        let cases = [
            (
                include_str!("../../tests/keys/rsa2048.pub.pem"),
                KeyType::Rsa,
            ),
            (
                include_str!("../../tests/keys/ec256.pub.pem"),
                KeyType::Ec(Curve::P256),
            ),
            (
                include_str!("../../tests/keys/ec384.pub.pem"),
                KeyType::Ec(Curve::P384),
            ),
            (
                include_str!("../../tests/keys/ec256k1.pub.pem"),
                KeyType::Unknown,
            ),
            (
                include_str!("../../tests/keys/ed25519.pub.pem"),
                KeyType::Ed25519,
            ),
            (
                include_str!("../../tests/keys/x25519.pub.pem"),
                KeyType::X25519,
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(public_key_info(&der(text)).unwrap().0, wanted, "{text}");
        }
    }

    #[test]
    fn a_certificate_shows_the_key_that_it_certifies() {
        for (certificate, key) in [
            (
                include_str!("../../tests/keys/rsa2048.cert.pem"),
                include_str!("../../tests/keys/rsa2048.pub.pem"),
            ),
            (
                include_str!("../../tests/keys/ec256.cert.pem"),
                include_str!("../../tests/keys/ec256.pub.pem"),
            ),
            (
                include_str!("../../tests/keys/ed25519.cert.pem"),
                include_str!("../../tests/keys/ed25519.pub.pem"),
            ),
        ] {
            assert_eq!(certified_key(&der(certificate)), public_key_info(&der(key)));
        }
    }

    #[test]
    fn anything_but_the_distinguished_form_is_refused() {
        let good = der(include_str!("../../tests/keys/ec256.pub.pem"));
        assert!(public_key_info(&good).is_some());
        for length in 0..good.len() {
            assert!(
                public_key_info(&good[..length]).is_none(),
                "cut at {length}"
            );
        }
        assert!(
            public_key_info(&[good.as_slice(), b"\0"].concat()).is_none(),
            "trailing byte"
        );
        let long_form = [&[0x30, 0x81, good[1]], &good[2..]].concat();
        assert!(public_key_info(&long_form).is_none(), "length not minimal");
        let endless = [0x30, 0x84, 0xff, 0xff, 0xff, 0xff];
        assert!(
            public_key_info(&endless).is_none(),
            "length beyond the input"
        );
    }

    #[test]
    fn private_keys_are_told_from_public_ones() {
        for (text, private) in [
            (include_str!("../../tests/keys/rsa2048.pem"), true),
            (include_str!("../../tests/keys/rsa2048.pkcs1.pem"), true),
            (include_str!("../../tests/keys/ec256.sec1.pem"), true),
            (include_str!("../../tests/keys/ed25519.pem"), true),
            (include_str!("../../tests/keys/rsa2048.pub.pem"), false),
            (
                include_str!("../../tests/keys/rsa2048.pub.pkcs1.pem"),
                false,
            ),
            (include_str!("../../tests/keys/ed25519.pub.pem"), false),
        ] {
            assert_eq!(is_private_key(&der(text)), private, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes: Vec<u8>) {
            let _ = (is_key(&bytes), private_key_info(&bytes), rsa_private_key(&bytes));
        }
    }
}
