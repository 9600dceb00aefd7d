//! PEM armour ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)): one labelled block of base64.

use base64_simd::STANDARD;
use zeroize::Zeroizing;

/// One block, decoded; it may be a private key, so it is wiped when dropped.
pub(crate) struct Block<'t> {
    pub(crate) label: &'t str,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// Reads the one block of this text; text around it is ignored, a second block is refused.
pub(crate) fn decode(text: &str) -> Result<Block<'_>, &'static str> {
    const NO_PEM: &str = "is no PEM: `-----BEGIN …-----` is missing, or has no matching end";
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(NO_PEM)?;
    let (label, rest) = rest.split_once("-----").ok_or(NO_PEM)?;
    let (body, rest) = rest.split_once("-----END ").ok_or(NO_PEM)?;
    rest.strip_prefix(label)
        .and_then(|rest| rest.strip_prefix("-----"))
        .ok_or(NO_PEM)?;
    if rest.contains("-----BEGIN ") {
        return Err("holds more than one block: give each key on its own");
    }
    let body: Zeroizing<Vec<u8>> = Zeroizing::new(
        body.bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
    );
    let der = STANDARD.decode_to_vec(body.as_slice()).map_err(
        |_| "is PEM whose body is no base64 (an encrypted key has to be decrypted first)",
    )?;
    Ok(Block {
        label,
        der: Zeroizing::new(der),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_block_is_read_with_text_around_it() {
        for text in [
            GOOD.to_owned(),
            format!("issued by test\n{GOOD}"),
            GOOD.replace('\n', "\r\n"),
        ] {
            let block = decode(&text).unwrap_or_else(|problem| panic!("{text:?} {problem}"));
            assert_eq!(
                (block.label, block.der.as_slice()),
                ("PUBLIC KEY", &[0, 1, 2][..])
            );
        }
    }

    #[test]
    fn a_doubtful_block_is_refused() {
        for text in [
            "",
            "AAEC",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAEC",
            "-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAA*C\n-----END PUBLIC KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAEC\n-----END RSA PRIVATE KEY-----",
            &GOOD.repeat(2),
        ] {
            assert!(decode(text).is_err(), "{text:?}");
        }
    }
}
