//! [`Password`]: what somebody typed, for as short a time as possible.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

/// The fewest bytes of a password.
pub(super) const SHORTEST: usize = 8;

/// A password as it came with a request: wiped from memory when it is dropped, and never printed.
pub(super) struct Password(Zeroizing<String>);

impl Password {
    #[cfg(test)]
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether the password can be one at all under a method that reads that many bytes: a hash of less than the whole
    /// would let others in, and some ends at a NUL.
    pub(super) fn fits(&self, longest: usize) -> bool {
        (1..=longest).contains(&self.0.len()) && !self.0.contains('\0')
    }

    /// Holds a new password to the rules; the error is a sentence for the client.
    pub(super) fn check_new(&self, longest: usize) -> Result<(), String> {
        if self.0.contains('\0') {
            return Err(String::from("a password holds no NUL character"));
        }
        if !(SHORTEST..=longest).contains(&self.0.len()) {
            return Err(format!(
                "a password has {SHORTEST} to {longest} bytes in UTF-8, in which a letter takes 1 to 4"
            ));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Password;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a password")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Password, E> {
                Ok(Password(Zeroizing::new(text.to_owned())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Password, E> {
                Ok(Password(Zeroizing::new(text)))
            }
        }
        deserializer.deserialize_string(Text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hazards 8, "bcrypt cuts at 72 bytes" and "NUL in password".
    #[test]
    fn hazard_bcrypt_cuts_at_72_bytes() {
        for (text, fits, new) in [
            (String::new(), false, false),
            ("a".repeat(7), true, false),
            ("a".repeat(8), true, true),
            ("a".repeat(72), true, true),
            ("a".repeat(73), false, false),
            ("é".repeat(36), true, true),
            ("a".repeat(71) + "é", false, false),
            (String::from("pass\0word"), false, false),
        ] {
            let password = Password::new(text.clone());
            assert_eq!(password.fits(72), fits, "{text:?}");
            assert_eq!(password.check_new(72).is_ok(), new, "{text:?}");
        }
    }

    #[test]
    fn a_password_never_prints_itself() {
        let password = Password::new("correct horse");
        assert_eq!(format!("{password:?}"), "Password([REDACTED])");
        let error = Password::new("horse").check_new(72);
        assert!(error.is_err_and(|error| !error.contains("horse")));
    }
}
