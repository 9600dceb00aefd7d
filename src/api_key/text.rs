//! [`KeyText`]: how an API key is written, so that a typo is told from a stranger without asking anybody.
//!
//! ```text
//! tw_3kTMd0a8QzXo2fBn_0vYbQ…(43)…9sKe_1x7Gh2
//! │  │                │               └─ CRC-32 of all before, 6 digits
//! │  │                └─ secret: more than 256 bits
//! │  └─ ID: public, names the record
//! └─ prefix: names the service, for people and secret scanners
//! ```
//!
//! ID, secret and checksum are written in base 62, which a double click selects whole and a URL carries as it is.

use zeroize::Zeroizing;

/// Digits of a number in base 62.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const ID_LENGTH: usize = 16;
/// 62^43 is more than 2^256.
const SECRET_LENGTH: usize = 43;
/// 62^6 is more than 2^32.
const CHECKSUM_LENGTH: usize = 6;

/// A text that has the form of a key and carries its own checksum.
#[derive(Clone, Copy)]
pub(super) struct KeyText<'t> {
    /// The public part, in base 62.
    pub(super) id: &'t str,
    /// Everything before the checksum: what is hashed.
    pub(super) body: &'t str,
}

impl<'t> KeyText<'t> {
    /// Reads a text, and refuses it unless every part is in its place and the checksum fits.
    pub(super) fn parse(text: &'t str, prefix: &str) -> Option<Self> {
        let length = prefix.len() + ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH + 3;
        if text.len() != length {
            return None;
        }
        let (body, check) = text.rsplit_once('_')?;
        let (id, secret) = body
            .strip_prefix(prefix)?
            .strip_prefix('_')?
            .split_once('_')?;
        let parts = [
            (id, ID_LENGTH),
            (secret, SECRET_LENGTH),
            (check, CHECKSUM_LENGTH),
        ];
        let well_formed = parts.iter().all(|(part, length)| {
            part.len() == *length && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        (well_formed && check.as_bytes() == checksum(body)).then_some(Self { id, body })
    }

    /// Draws a new key from the randomness of the system; `None` if there is none.
    pub(super) fn draw(prefix: &str) -> Option<Zeroizing<String>> {
        // Of its final length at once: a text that had to move would leave a copy behind, unwiped.
        let length = prefix.len() + ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH + 3;
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(prefix);
        text.push('_');
        random_digits(&mut text, ID_LENGTH)?;
        text.push('_');
        random_digits(&mut text, SECRET_LENGTH)?;
        let check = checksum(&text);
        text.push('_');
        text.extend(check.map(char::from));
        Some(text)
    }
}

/// Whether a text could be the ID of a key.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a text can stand in front of a key.
pub(super) fn is_prefix(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn checksum(body: &str) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = digit_of(rest % 62);
        rest /= 62;
    }
    digits
}

fn random_digits(text: &mut String, mut count: usize) -> Option<()> {
    let mut random = Zeroizing::new([0; 64]);
    while count > 0 {
        getrandom::fill(&mut *random).ok()?;
        // 248 is four times 62: what lies above would make the first digits more likely than the others.
        for byte in random.iter().filter(|byte| **byte < 248).take(count) {
            text.push(char::from(digit_of(u32::from(*byte) % 62)));
            count -= 1;
        }
    }
    Some(())
}

fn digit_of(value: u32) -> u8 {
    let index = usize::try_from(value).unwrap_or_default();
    DIGITS.get(index).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_drawn_key_is_read_again_and_no_two_are_alike() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let text = KeyText::draw("tw").unwrap();
            assert_eq!(text.len(), 70);
            let key = KeyText::parse(&text, "tw").unwrap();
            assert!(is_id(key.id));
            assert!(seen.insert(key.id.to_owned()));
            let secret = key.body.rsplit('_').next().unwrap();
            assert!(seen.insert(secret.to_owned()));
        }
    }

    #[test]
    fn every_digit_is_drawn() {
        let mut text = String::new();
        random_digits(&mut text, 20_000).unwrap();
        let drawn: HashSet<_> = text.bytes().collect();
        assert_eq!(drawn.len(), DIGITS.len());
    }

    #[test]
    fn one_changed_character_is_a_typo() {
        let text = KeyText::draw("tw").unwrap();
        for at in 0..text.len() {
            let mut typo = text.as_bytes().to_vec();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            let typo = String::from_utf8(typo).unwrap();
            assert!(KeyText::parse(&typo, "tw").is_none(), "at {at}");
        }
        for at in 0..text.len() - 1 {
            let mut swapped = text.as_bytes().to_vec();
            swapped.swap(at, at + 1);
            let swapped = String::from_utf8(swapped).unwrap();
            let same = swapped == *text;
            assert_eq!(KeyText::parse(&swapped, "tw").is_some(), same, "at {at}");
        }
    }

    #[test]
    fn whatever_has_another_form_is_no_key() {
        let text = KeyText::draw("tw").unwrap();
        let long = "x".repeat(10 * 1024);
        let wide = format!(
            "tw_{}_{}_{}",
            "\u{e9}".repeat(8),
            "a".repeat(43),
            "b".repeat(6)
        );
        for junk in [
            "",
            "_",
            "___",
            "tw___",
            &long,
            &wide,
            &text[1..],
            &text[..69],
            &format!("{}x", *text),
            &format!(" {}", *text),
            &text.to_uppercase(),
            &text.replace('_', "-"),
        ] {
            assert!(KeyText::parse(junk, "tw").is_none(), "{junk:.80}");
        }
        assert!(KeyText::parse(&text, "tx").is_none(), "another service's");
        assert!(KeyText::parse(&text, "t").is_none());
    }

    /// A value that was worked out elsewhere (`zlib.crc32`), so that keys of other versions stay readable.
    #[test]
    fn the_checksum_never_changes() {
        assert_eq!(crc32fast::hash(b"tw_a_b"), 0x2E67_2DA7);
    }

    #[test]
    fn a_prefix_is_short_and_plain() {
        for (prefix, fine) in [
            ("tw", true),
            ("a", true),
            ("agents2", true),
            ("0123456789abcdef", true),
            ("0123456789abcdefg", false),
            ("", false),
            ("TW", false),
            ("a_b", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(is_prefix(prefix), fine, "{prefix}");
        }
    }
}
