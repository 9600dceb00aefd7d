//! What an introspection endpoint says of a token ([RFC 7662 §2.2]), before any claim is looked at.
//!
//! [RFC 7662 §2.2]: https://www.rfc-editor.org/rfc/rfc7662#section-2.2

use crate::{
    Rejection, RejectionKind,
    refuse::{Claim, Found},
    verify::json::{self, Kind, Value},
};

/// The answer is not one: no JSON object, a member twice, or no `active` that is `true` or `false`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Reads whether a token is active, and an access token at all.
///
/// The endpoint answers for every token of its provider, refresh tokens included ([RFC 7662 §2.1]). Providers say which
/// it is in `token_type`, `token_use` (Hydra, Cognito) or `typ` (Keycloak); one that says something else than an access
/// token for bearers is refused.
///
/// [RFC 7662 §2.1]: https://www.rfc-editor.org/rfc/rfc7662#section-2.1
pub(super) fn read(text: &str) -> Result<Result<(), Rejection>, Broken> {
    let mut active = None;
    let mut uses = Vec::new();
    json::scan(text, |name, value| match name {
        b"active" => active = Some(value),
        b"token_type" => uses.push((Claim::TokenType, value)),
        b"token_use" => uses.push((Claim::TokenUse, value)),
        b"typ" => uses.push((Claim::Type, value)),
        _ => {}
    })
    .map_err(|json::Invalid| Broken)?;
    let active = active.filter(|value| value.kind == Kind::Literal);
    match active.map(|value| value.span.of(text)) {
        Some("true") => {}
        Some("false") => return Ok(Err(RejectionKind::TokenInactive.into())),
        _ => return Err(Broken),
    }
    for (claim, value) in uses {
        if !value.is_null(text) && !is_access_token(&value, text) {
            let refused =
                Rejection::of_claim(RejectionKind::TypeMismatch, claim, Found::OtherValue);
            let found = value.string(text);
            let found = found.as_deref().unwrap_or(value.span.of(text));
            return Ok(Err(refused.with_found(found)));
        }
    }
    Ok(Ok(()))
}

fn is_access_token(value: &Value, text: &str) -> bool {
    const NAMES: [&str; 6] = [
        "bearer",
        "access_token",
        "access",
        "at+jwt",
        "application/at+jwt",
        "jwt",
    ];
    value
        .string(text)
        .is_some_and(|found| NAMES.iter().any(|name| found.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<Result<(), RejectionKind>, Broken> {
        read(text).map(|verdict| verdict.map_err(|rejection| rejection.kind()))
    }

    #[test]
    fn active_is_true_and_nothing_that_looks_like_it() {
        for (text, wanted) in [
            (r#"{"active":true}"#, Ok(Ok(()))),
            (r#" {"sub":"a", "active" : true } "#, Ok(Ok(()))),
            (r#"{"\u0061ctive":true}"#, Ok(Ok(()))),
            (r#"{"active":false}"#, Ok(Err(RejectionKind::TokenInactive))),
            (
                r#"{"active":false,"sub":"a","exp":9999999999}"#,
                Ok(Err(RejectionKind::TokenInactive)),
            ),
            (r#"{"active":"true"}"#, Err(Broken)),
            (r#"{"active":1}"#, Err(Broken)),
            (r#"{"active":null}"#, Err(Broken)),
            (r#"{"active":[true]}"#, Err(Broken)),
            (r#"{"Active":true}"#, Err(Broken)),
            (r#"{"active":true,"active":true}"#, Err(Broken)),
            (r#"{"active":false,"active":true}"#, Err(Broken)),
            (r#"{"active":true,"sub":"a","sub":"b"}"#, Err(Broken)),
            (r#"{"sub":"a"}"#, Err(Broken)),
            ("{}", Err(Broken)),
            ("true", Err(Broken)),
            (r#"[{"active":true}]"#, Err(Broken)),
            (r#"{"active":true}x"#, Err(Broken)),
            (r#"{"active":true"#, Err(Broken)),
            ("<!doctype html>", Err(Broken)),
            ("", Err(Broken)),
        ] {
            assert_eq!(verdict(text), wanted, "{text}");
        }
    }

    #[test]
    fn an_active_token_of_another_use_is_refused() {
        for (member, accepted) in [
            (r#""token_type":"Bearer""#, true),
            (r#""token_type":"bearer""#, true),
            (r#""token_type":"access_token""#, true),
            (r#""token_type":"DPoP""#, false),
            (r#""token_type":"refresh_token""#, false),
            (r#""token_type":null,"token_use":null,"typ":null"#, true),
            (r#""token_use":"access_token""#, true),
            (r#""token_use":"refresh_token""#, false),
            (r#""typ":"Bearer""#, true),
            (r#""typ":"Refresh""#, false),
            (r#""typ":"Offline""#, false),
            (r#""typ":"ID""#, false),
            (r#""typ":["Bearer"]"#, false),
            (
                r#""token_type":"Bearer","token_use":"refresh_token""#,
                false,
            ),
        ] {
            let text = format!(r#"{{"active":true,{member}}}"#);
            let wanted = if accepted {
                Ok(())
            } else {
                Err(RejectionKind::TypeMismatch)
            };
            assert_eq!(verdict(&text), Ok(wanted), "{member}");
        }
    }
}
