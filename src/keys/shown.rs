//! [`shown`]: what others wrote, made fit for errors and logs.

/// The most characters of it that are repeated.
const LONGEST: usize = 256;

/// Cuts a text to 256 characters, and escapes those that move the cursor, hide or turn what follows.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == LONGEST {
            shown.push('…');
            break;
        }
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_stays_on_its_line_and_has_an_end() {
        for (text, wanted) in [
            ("", ""),
            (
                "https://id.example/ä?a='b'\\",
                "https://id.example/ä?a='b'\\",
            ),
            ("a\r\nb\t\0", "a\\r\\nb\\t\\0"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("\u{202e}a\u{2028}\u{85}", "\\u{202e}a\\u{2028}\\u{85}"),
        ] {
            assert_eq!(shown(text), wanted);
        }
        assert_eq!(shown(&"ä".repeat(256)), "ä".repeat(256));
        assert_eq!(shown(&"ä".repeat(257)), "ä".repeat(256) + "…");
    }
}
