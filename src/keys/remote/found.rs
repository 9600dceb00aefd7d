//! [`found`]: names what stands in the place of a JWK Set or a discovery document.

use serde_json::Value;

/// Names the document in a few words, for errors: "found an object without `keys`".
pub(super) fn found(body: &[u8], wanted_member: &str) -> String {
    if body.starts_with(b"\xef\xbb\xbf") {
        return String::from("found a byte-order mark before the JSON");
    }
    let text = body.trim_ascii_start();
    if text.starts_with(b"<") {
        return String::from("found a page of HTML or XML");
    }
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(_) if text.is_empty() => return String::from("found an empty body"),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return format!("found no JSON at line {line}, column {column}");
        }
    };
    let Value::Object(members) = value else {
        return String::from("found JSON that is no object");
    };
    let has = |name: &str| members.contains_key(name);
    if has(wanted_member) {
        return format!("found an object whose `{wanted_member}` has another type");
    }
    let kind = if members.is_empty() {
        "an empty object"
    } else if has("keys") {
        "a JWK Set"
    } else if has("kty") {
        "a single JWK"
    } else if has("issuer") {
        "a discovery document"
    } else {
        return format!("found an object without `{wanted_member}`");
    };
    format!("found {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_place_of_a_document_is_named() {
        for (body, wanted) in [
            ("", "an empty body"),
            (" \n", "an empty body"),
            ("\u{feff}{\"keys\":[]}", "a byte-order mark before the JSON"),
            (" <!doctype html>", "a page of HTML or XML"),
            ("{\"keys\":[", "no JSON at line 1, column 9"),
            ("[]", "JSON that is no object"),
            ("{}", "an empty object"),
            ("{\"kty\":\"RSA\"}", "a single JWK"),
            ("{\"issuer\":\"i\"}", "a discovery document"),
            ("{\"error\":\"x\"}", "an object without `keys`"),
            ("{\"keys\":7}", "an object whose `keys` has another type"),
        ] {
            assert_eq!(found(body.as_bytes(), "keys"), format!("found {wanted}"));
        }
        assert_eq!(found(b"{\"keys\":[]}", "issuer"), "found a JWK Set");
    }
}
