//! [`UserProfile`]: the claims of a provider about one user.

use std::fmt;

use serde::de::DeserializeOwned;

use super::UserInfoError;
use crate::{KeyFetchError, verify::string_member};

/// What a provider says about a user, who is the subject of the token that was shown to it.
pub struct UserProfile {
    text: String,
    subject: String,
}

impl UserProfile {
    /// Reads an answer, which has to be about this subject.
    pub(super) fn read(text: String, subject: &str) -> Result<Self, UserInfoError> {
        let stated = string_member(&text, "sub").map_err(|_| {
            UserInfoError::Unavailable(KeyFetchError::Malformed {
                wanted: "JSON object",
                problem: String::from("it is something else, or names a member twice"),
            })
        })?;
        if stated.as_deref() != Some(subject) {
            return Err(UserInfoError::SubjectMismatch);
        }
        Ok(Self {
            subject: subject.to_owned(),
            text,
        })
    }

    /// The user's `sub`, which is the token's.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// All claims as a type of the application.
    ///
    /// # Errors
    ///
    /// [`UserInfoError::Shape`] if they do not fit it.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, UserInfoError> {
        serde_json::from_str(&self.text).map_err(|error| UserInfoError::Shape {
            // The error's own words hold the value.
            problem: format!("line {}, column {}", error.line(), error.column()),
        })
    }

    /// All claims as the JSON object that was answered.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for UserProfile {
    /// Names nothing about the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserProfile").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn an_answer_is_about_the_subject_of_the_token_byte_by_byte() {
        let read = |text: &str| UserProfile::read(text.to_owned(), "alice");
        let profile = read(r#"{"name":"Alice","sub":"\u0061lice"}"#).unwrap();
        assert_eq!(profile.subject(), "alice");
        for text in [
            "{}",
            r#"{"name":"alice"}"#,
            r#"{"sub":"Alice"}"#,
            r#"{"sub":"alice "}"#,
            r#"{"sub":""}"#,
            r#"{"sub":null}"#,
            r#"{"sub":["alice"]}"#,
            r#"{"user":{"sub":"alice"}}"#,
        ] {
            assert_eq!(read(text).unwrap_err(), UserInfoError::SubjectMismatch);
        }
        for text in [
            "",
            "alice",
            r#"["alice"]"#,
            r#"{"sub":"alice","sub":"alice"}"#,
            r#"{"sub":"alice"}x"#,
            "<!doctype html>",
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, UserInfoError::Unavailable(_)), "{text}");
        }
    }

    #[test]
    fn claims_of_another_shape_are_an_error_that_names_no_value() {
        let text = r#"{"sub":"alice","age":"hush"}"#;
        let profile = UserProfile::read(text.to_owned(), "alice").unwrap();
        let error = profile.claims::<Vec<String>>().unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
        let error = profile.claims::<HashMap<String, u8>>().unwrap_err();
        let shown = format!("{error} {error:?} {profile:?}");
        assert!(!shown.contains("hush") && !shown.contains("alice"));
    }
}
