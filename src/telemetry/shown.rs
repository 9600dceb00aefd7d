//! [`shown`] and [`shown_url`]: what others wrote, made fit for errors and logs.

/// The most characters of a text that an error or a log shows.
const LONGEST: usize = 256;
/// Stands in the place of a secret.
const HIDDEN: &str = "REDACTED";

/// Cuts a text to 256 characters, and escapes those that move the cursor, hide or turn what follows.
pub(crate) fn shown(text: &str) -> String {
    excerpt(text, LONGEST)
}

/// Cuts a text to so many characters, and escapes those that move the cursor, hide or turn what follows.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == most {
            shown.push('…');
            break;
        }
        match character {
            // The log quotes the text itself.
            '\'' | '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// Does the same with an address, and hides user, password, the values of its query, and its fragment.
///
/// The text need not be a good address: what cannot be read for sure is hidden.
pub(crate) fn shown_url(text: &str) -> String {
    let (rest, fragment) = match text.split_once('#') {
        Some((rest, _)) => (rest, format!("#{HIDDEN}")),
        None => (text, String::new()),
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let (scheme, place) = match place.split_once("://") {
        Some((scheme, place)) => (format!("{scheme}://"), place),
        None => (String::new(), place),
    };
    // A password that is not encoded may hold a slash, so all that stands before the last `@` is hidden.
    let place = match place.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => place.to_owned(),
    };
    let mut url = format!("{scheme}{place}");
    for (index, pair) in query.into_iter().flat_map(|it| it.split('&')).enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) => url.extend([name, "=", HIDDEN]),
            // A value without a name may be a key.
            None if pair.is_empty() => {}
            None => url.push_str(HIDDEN),
        }
    }
    url.push_str(&fragment);
    shown(&url)
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

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (text, wanted) in [
            ("", ""),
            ("https://id.example/keys", "https://id.example/keys"),
            (
                "https://id.example:8443/a%2Fb/",
                "https://id.example:8443/a%2Fb/",
            ),
            (
                "https://user:hush@id.example/keys",
                "https://REDACTED@id.example/keys",
            ),
            ("https://hush@id.example", "https://REDACTED@id.example"),
            ("user:hush@id.example/keys", "REDACTED@id.example/keys"),
            (
                "postgres://user:hu/s@h@db.example/app",
                "postgres://REDACTED@db.example/app",
            ),
            (
                "https://id.example/keys?api_key=hush&tenant=hush",
                "https://id.example/keys?api_key=REDACTED&tenant=REDACTED",
            ),
            ("https://id.example?hush", "https://id.example?REDACTED"),
            ("https://id.example?", "https://id.example?"),
            ("https://id.example/#hush", "https://id.example/#REDACTED"),
            (
                "https://id.example/#hush?a=hush",
                "https://id.example/#REDACTED",
            ),
            ("not an address", "not an address"),
            ("a\r\nb?c=hush", "a\\r\\nb?c=REDACTED"),
        ] {
            assert_eq!(shown_url(text), wanted, "{text}");
            assert!(!shown_url(text).contains("hush"), "{text}");
        }
    }
}
