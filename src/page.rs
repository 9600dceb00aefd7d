//! [`Page`]: a part of a list that may be long, and how to ask for the next one.

use std::{fmt, str::FromStr};

use base64_simd::URL_SAFE_NO_PAD;

/// How many items a page has unless it is told otherwise.
const DEFAULT_LIMIT: u16 = 50;

/// How many items a page has at most.
const GREATEST_LIMIT: u16 = 500;

/// The longest cursor that is looked at, in bytes of its text.
const LONGEST_CURSOR: usize = 2048;

/// Which part of a list is asked for: 50 items from its beginning, unless it is told otherwise.
///
/// ```
/// use tower_warden::Page;
///
/// assert_eq!(Page::first().limit(), 50);
/// assert_eq!(Page::first().with_limit(0).limit(), 1);
/// assert_eq!(Page::first().with_limit(60_000).limit(), 500);
/// assert!("not a cursor!".parse::<tower_warden::Cursor>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Page {
    after: Option<Cursor>,
    limit: u16,
}

impl Page {
    /// The first page.
    pub const fn first() -> Self {
        Self {
            after: None,
            limit: DEFAULT_LIMIT,
        }
    }

    /// The page behind the one that named this cursor.
    pub const fn after(cursor: Cursor) -> Self {
        Self {
            after: Some(cursor),
            limit: DEFAULT_LIMIT,
        }
    }

    /// Sets how many items are wanted at most, from 1 to 500; 50 by default. What lies outside is held at the end.
    pub fn with_limit(mut self, limit: u16) -> Self {
        self.limit = limit.clamp(1, GREATEST_LIMIT);
        self
    }

    /// How many items are wanted at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.into()
    }

    /// The key of the last item of the page before: this one begins behind it, in the order of bytes. For stores.
    #[must_use]
    pub fn last_key(&self) -> Option<&str> {
        self.after.as_ref().map(|cursor| &*cursor.0)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first()
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The items, in the order of the bytes of their keys.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

impl<T> Listing<T> {
    /// Makes a page of the items that a store found behind [`Page::last_key`], of which it looked up one more than the
    /// page's limit: so the page knows whether it is the last. `key` gives what the items are ordered by.
    pub fn new(mut items: Vec<T>, page: &Page, key: impl Fn(&T) -> &str) -> Self {
        let more = items.len() > page.limit();
        items.truncate(page.limit());
        let last = items.last().filter(|_| more);
        let next = last.map(|item| Cursor(key(item).into()));
        Self { items, next }
    }
}

/// Where a page begins. Its text is opaque, and stands in a URL as it is.
///
/// It grants nothing: whoever makes one up sees another part of their own list.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Box<str>);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode_to_string(self.0.as_bytes()))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.is_empty() || text.len() > LONGEST_CURSOR {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode_to_vec(text)
            .map_err(|_| InvalidCursor)?;
        match String::from_utf8(bytes) {
            Ok(key) if !key.contains('\0') => Ok(Self(key.into())),
            _ => Err(InvalidCursor),
        }
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of a page")]
#[non_exhaustive]
pub struct InvalidCursor;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_page_names_the_next_one_only_if_there_is_one() {
        let page = Page::first().with_limit(2);
        for (found, kept, next) in [
            (vec![], 0, None),
            (vec!["a", "b"], 2, None),
            (vec!["a", "b", "c"], 2, Some("b")),
        ] {
            let listing = Listing::new(found, &page, |item| item);
            assert_eq!(listing.items.len(), kept);
            let next_page = listing.next.map(Page::after);
            assert_eq!(next_page.as_ref().and_then(Page::last_key), next);
        }
    }

    #[test]
    fn a_cursor_survives_a_url_and_nonsense_is_refused() {
        let key = "/agents/é/ &?#\u{1f5dd}";
        let text = Cursor(key.into()).to_string();
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
        assert_eq!(&*text.parse::<Cursor>().unwrap().0, key);
        let long = "A".repeat(LONGEST_CURSOR + 1);
        let nul = URL_SAFE_NO_PAD.encode_to_string(b"a\0");
        let no_text = URL_SAFE_NO_PAD.encode_to_string(b"\xff\xfe");
        for bad in ["", "!", "YQ==", "Y", &long, &nul, &no_text] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad:.9}");
        }
    }
}
