//! [`Username`]: kept as typed, compared in one folded spelling.

use std::{fmt, ops::RangeInclusive};

use precis_core::profile::Profile;
use precis_profiles::UsernameCaseMapped;
use unicode_normalization::UnicodeNormalization;
use unicode_security::{
    RestrictionLevel, RestrictionLevelDetection, confusable_detection::skeleton,
};

/// The longest text that is looked at, in bytes.
const LONGEST_TEXT: usize = 512;

/// The longest name in bytes, whatever the greatest number of characters is: as much as the column of the table holds.
const LONGEST_NAME: usize = 64;

/// What may stand in a name besides letters, digits and their marks.
const SYMBOLS: [char; 5] = ['-', '_', '.', '@', '+'];

/// A name in the folded spelling in which it is compared: NFKC, then the profile `UsernameCaseMapped` of [RFC 8265 §3.3].
///
/// [RFC 8265 §3.3]: https://www.rfc-editor.org/rfc/rfc8265#section-3.3
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Username(String);

impl Username {
    /// Folds what somebody typed, or says `None` if no name can be made of it.
    ///
    /// It is lenient for logins: a rule that was tightened since locks nobody out. What is folded differently the second
    /// time has no one spelling, and is none.
    pub(super) fn fold(text: &str) -> Option<Self> {
        if text.len() > LONGEST_TEXT {
            return None;
        }
        let folded = fold_once(text)?;
        let stable = fold_once(&folded)? == folded;
        (stable && folded.len() <= LONGEST_NAME).then_some(Self(folded))
    }

    /// Holds a new name to every rule, and returns it as typed: after NFKC, with its capitals. The error is a sentence for
    /// the client.
    pub(super) fn check_new(text: &str, lengths: &RangeInclusive<usize>) -> Result<String, String> {
        let refused = || {
            String::from(
                "a username consists of letters and digits of one script, and of - _ . @ +",
            )
        };
        let name = Self::fold(text).ok_or_else(refused)?;
        if !lengths.contains(&name.0.chars().count()) {
            return Err(format!(
                "a username has {} to {} characters, and at most {LONGEST_NAME} bytes",
                lengths.start(),
                lengths.end()
            ));
        }
        let letters: String = name.0.chars().filter(|c| !SYMBOLS.contains(c)).collect();
        // Letters of several scripts in one name are there to look like another one (UTS 39 §5.2).
        let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric();
        if letters.is_empty()
            || !letters.chars().all(plain)
            || !letters.check_restriction_level(RestrictionLevel::HighlyRestrictive)
        {
            return Err(refused());
        }
        // So is a name in foreign letters every one of which looks like a letter of ASCII, and a dot upon a dot (§5.4).
        let dotted = letters.contains("i\u{307}") || letters.contains("j\u{307}");
        if dotted || !letters.is_ascii() && skeleton(&letters).all(|c| c.is_ascii()) {
            return Err(String::from("this username looks like another one"));
        }
        // Width and composition are those of the folded name, so that only capitals differ.
        let typed: String = text.nfkc().collect();
        // Capitals may take more bytes than their small letters.
        Ok(if typed.len() <= LONGEST_NAME {
            typed
        } else {
            name.0
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn fold_once(text: &str) -> Option<String> {
    // Compatibility forms first, so that what is checked is what is kept (CVE-2026-73420).
    let text: String = text.nfkc().collect();
    let folded = UsernameCaseMapped::new().enforce(text).ok()?;
    Some(folded.into_owned())
}

impl fmt::Debug for Username {
    /// Names stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    const LENGTHS: RangeInclusive<usize> = 3..=32;

    fn new(text: &str) -> Option<String> {
        let typed = Username::check_new(text, &LENGTHS).ok()?;
        let folded = Username::fold(&typed);
        assert_eq!(folded, Username::fold(text), "{text:?}");
        folded.map(|name| name.0)
    }

    #[test]
    fn a_name_is_kept_as_typed() {
        for (text, typed) in [
            ("Alice", "Alice"),
            ("aLICE", "aLICE"),
            ("M\u{dc}LLER", "M\u{dc}LLER"),
            ("Mu\u{308}ller", "M\u{fc}ller"),
            ("\u{ff21}lice", "Alice"),
            ("\u{212a}elvin", "Kelvin"),
        ] {
            assert_eq!(Username::check_new(text, &LENGTHS).unwrap(), typed);
        }
    }

    /// Hazards 8, "Unicode names": Kelvin sign, full width, Turkish i, zero width.
    #[test]
    fn hazard_unicode_names() {
        for (text, folded) in [
            ("alice", Some("alice")),
            ("ALICE", Some("alice")),
            ("Al_i-c.e9", Some("al_i-c.e9")),
            ("alice+chat@example.com", Some("alice+chat@example.com")),
            // The Kelvin sign, full width, a long s, a ligature: the plain letters.
            ("\u{212a}elvin", Some("kelvin")),
            ("\u{ff21}\u{ff2c}\u{ff29}\u{ff23}\u{ff25}", Some("alice")),
            ("\u{17f}usi", Some("susi")),
            ("\u{fb01}nn", Some("finn")),
            // One letter, written in two ways.
            ("M\u{fc}ller", Some("m\u{fc}ller")),
            ("Mu\u{308}ller", Some("m\u{fc}ller")),
            (
                "\u{418}\u{432}\u{430}\u{43d}",
                Some("\u{438}\u{432}\u{430}\u{43d}"),
            ),
            (
                "\u{592a}\u{90ce}\u{3055}\u{3093}",
                Some("\u{592a}\u{90ce}\u{3055}\u{3093}"),
            ),
            // Turkish: neither the capital with its dot nor the small one without it is an `i`.
            ("\u{130}stan", None),
            ("\u{131}nn", None),
            // Zero width, bidi controls, a soft hyphen, a variation selector.
            ("ali\u{200b}ce", None),
            ("ali\u{200d}ce", None),
            ("ali\u{feff}ce", None),
            ("\u{202e}ecila", None),
            ("ali\u{ad}ce", None),
            ("alice\u{fe0f}", None),
            // A Cyrillic a among Latin letters; a name of nothing but look-alikes.
            ("\u{430}lice", None),
            ("\u{430}\u{440}\u{440}\u{4cf}\u{435}", None),
            // Right to left, with a letter of the other direction in it.
            ("\u{5d3}\u{5d5}\u{5d3}", Some("\u{5d3}\u{5d5}\u{5d3}")),
            ("\u{5d3}\u{5d5}a\u{5d3}", None),
            // Blanks, controls, quotes, emoji, private use, nothing.
            ("al ice", None),
            (" alice", None),
            ("alice\0", None),
            ("alice\n", None),
            ("' OR 1=1", None),
            ("al'ice", None),
            ("<alice>", None),
            ("alice\u{1f5dd}", None),
            ("alice\u{e000}", None),
            ("---", None),
            ("", None),
        ] {
            assert_eq!(new(text).as_deref(), folded, "{text:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_folded_name() {
        for (text, accepted) in [
            ("ab".to_owned(), false),
            ("abc".to_owned(), true),
            ("a".repeat(32), true),
            ("a".repeat(33), false),
            // Six characters of one ligature.
            ("\u{fb03}\u{fb03}".to_owned(), true),
            ("\u{592a}".repeat(21), true),
            // 22 times 3 bytes are more than a row holds.
            ("\u{592a}".repeat(22), false),
            ("a".repeat(100_000), false),
        ] {
            assert_eq!(new(&text).is_some(), accepted, "{} bytes", text.len());
        }
    }

    /// A login knows names that no registration would take any more.
    #[test]
    fn a_login_is_lenient() {
        for text in ["ab", "a".repeat(60).as_str(), "al'ice"] {
            assert_eq!(new(text), None);
            assert!(Username::fold(text).is_some(), "{text}");
        }
        assert_eq!(Username::fold("ali\u{200b}ce"), None);
        assert_eq!(Username::fold("alice\0"), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_a_name_has_one_spelling(text in "\\PC{0,40}") {
            if let Some(name) = Username::fold(&text) {
                let upper = name.0.to_uppercase();
                prop_assert_eq!(Username::fold(&name.0), Some(name.clone()));
                // Whatever its capitals are, they never make a second name of it, unless no name at all.
                if upper.to_lowercase() == name.0 {
                    prop_assert!(Username::fold(&upper).is_none_or(|other| other == name));
                }
            }
            if let Ok(typed) = Username::check_new(&text, &LENGTHS) {
                prop_assert_eq!(Username::fold(&typed), Username::fold(&text));
            }
        }
    }
}
