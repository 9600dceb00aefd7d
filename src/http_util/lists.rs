//! [`split`]: the items of a header's list.

/// Splits a header's value where the separator stands outside of quoted strings ([RFC 9110 §5.6.4]).
///
/// [RFC 9110 §5.6.4]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.4
pub(crate) fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |&byte| {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        } else {
            return byte == separator && !quoted;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_within_quotes_separates_nothing() {
        for (value, items) in [
            ("", &[""][..]),
            ("a, b", &["a", " b"]),
            (r#"a="x, y", b"#, &[r#"a="x, y""#, " b"]),
            (r#"a="x\", y", b"#, &[r#"a="x\", y""#, " b"]),
            (r#"a="x, b"#, &[r#"a="x, b"#]),
            (r"a\, b", &[r"a\", " b"]),
        ] {
            let found: Vec<_> = split(value.as_bytes(), b',').collect();
            let items: Vec<_> = items.iter().map(|item| item.as_bytes()).collect();
            assert_eq!(found, items, "{value}");
        }
    }
}
