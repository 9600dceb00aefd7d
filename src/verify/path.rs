//! [`ClaimPath`]: where in the claims something stands that no RFC has given a place.

use super::json::{self, Kind, Value};

/// The way to a claim through nested objects, such as Keycloak's `realm_access.roles`.
///
/// A text is cut at its dots, unless it holds a `/`: the namespaced claims of some providers are URLs, and a URL is one
/// name. Any other name with a dot in it is given as a list of names.
///
/// ```
/// use tower_warden::ClaimPath;
///
/// assert_eq!(ClaimPath::from("realm_access.roles"), ClaimPath::new(["realm_access", "roles"]));
/// assert_eq!(ClaimPath::from("https://acme.example/roles"), ClaimPath::new(["https://acme.example/roles"]));
/// assert_ne!(ClaimPath::from("acme.roles"), ClaimPath::new(["acme.roles"]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// The names from the outermost object inwards.
    #[must_use]
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// Whether it leads anywhere: at least one name, and none of them empty.
    pub(crate) fn is_complete(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|name| !name.is_empty())
    }

    /// Returns the name of the top-level claim.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// Whether the way begins at the top-level claim with this name.
    pub(super) fn begins_with(&self, name: &[u8]) -> bool {
        self.0.first().is_some_and(|first| first.as_bytes() == name)
    }

    /// Follows the rest of the way from the top-level claim it begins with. `None` if it ends early.
    pub(super) fn follow(&self, first: Value, payload: &str) -> Option<Value> {
        self.0.iter().skip(1).try_fold(first, |outer, name| {
            if outer.kind != Kind::Object {
                return None;
            }
            let mut found = None;
            json::scan_within(payload, outer.span, |member, value| {
                if member == name.as_bytes() {
                    found = Some(value);
                }
            })
            .ok()?;
            found
        })
    }
}

impl From<&str> for ClaimPath {
    fn from(text: &str) -> Self {
        if text.contains('/') {
            Self::new([text])
        } else {
            Self::new(text.split('.'))
        }
    }
}

impl From<String> for ClaimPath {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_through_objects_to_one_value() {
        let payload = r#"{"a":{"b":{"c":["x"]},"":1},"d.e":2,"f":[{"b":3}],"\u0067":{"\u0068":4}}"#;
        for (path, expected) in [
            (ClaimPath::from("a.b.c"), Some(r#"["x"]"#)),
            (ClaimPath::from("a.b"), Some(r#"{"c":["x"]}"#)),
            (ClaimPath::from("g.h"), Some("4")),
            (ClaimPath::new(["d.e"]), Some("2")),
            (ClaimPath::from("d.e"), None),
            (ClaimPath::from("a.x"), None),
            (ClaimPath::from("a.b.c.x"), None),
            (ClaimPath::from("f.b"), None),
            (ClaimPath::from("x"), None),
        ] {
            let mut first = None;
            json::scan(payload, |name, value| {
                if path.begins_with(name) {
                    first = Some(value);
                }
            })
            .unwrap();
            let found = first.and_then(|first| path.follow(first, payload));
            let found = found.map(|value| value.span.of(payload));
            assert_eq!(found, expected, "{path:?}");
        }
    }
}
