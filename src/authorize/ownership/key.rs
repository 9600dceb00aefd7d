//! [`ResourceKey`]: which resource a request is about.

use std::{fmt, sync::Arc};

use http::{HeaderName, request::Parts};

use super::ResourceId;
use crate::{
    ConfigError,
    request::{Found, PathTemplate, requested},
};

/// Tells which resource a request is about, by its head alone.
///
/// A request that names none, or whose resource can be read in two ways, is refused: nothing that an
/// [`OwnershipLayer`](super::OwnershipLayer) guards passes it without an owner.
#[derive(Clone)]
pub struct ResourceKey(Place);

#[derive(Clone)]
enum Place {
    Path {
        template: PathTemplate,
        /// The segments of the pattern as they were written; `None` is a parameter.
        segments: Arc<[Option<Box<str>>]>,
    },
    Header(HeaderName),
    By(Arc<Find>),
}

/// Finds a resource in the head of a request.
type Find = dyn Fn(&Parts) -> Option<ResourceId> + Send + Sync;

impl ResourceKey {
    /// The resource that the front of the path names, as in `/agents/{agent}/{room}`.
    ///
    /// Whatever lies beneath is the same resource: `/agents/support/r1/share` is about `/agents/support/r1`, which is
    /// also its [`ResourceId`]. Parameters are decoded once, so `/agents/support/%721` names it too; letters of the
    /// pattern's own segments may come in either case and stand in the ID as the pattern has them. A path that can be
    /// read in two ways names nothing: see [`Paths`](crate::Paths). `doc%2Fr1` in the place of a parameter is such a path,
    /// because some servers decode the slash first. Where axum's `OriginalUri` and the URI differ (inside a `nest`, behind a
    /// rewrite), both paths are read: the key names a resource if one of them does, or if both name the same one.
    ///
    /// Layers over one store share their owners: let two patterns differ in their own segments if `{id}` is not the same
    /// thing in both.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pattern`] for what the dialect of [`Paths`](crate::Paths) does not know, for a wildcard without a
    /// name, and for a pattern without a parameter.
    ///
    /// ```
    /// use http::Request;
    /// use tower_warden::ResourceKey;
    ///
    /// let key = ResourceKey::path("/agents/{agent}/{room}")?;
    /// let resource = |path| {
    ///     let (head, ()) = Request::get(path).body(())?.into_parts();
    ///     Ok::<_, http::Error>(key.resource(&head))
    /// };
    /// assert_eq!(resource("/agents/support/r1/share")?.unwrap().as_str(), "/agents/support/r1");
    /// assert_eq!(resource("/agents/support")?, None);
    /// assert_eq!(resource("/agents/support/../admin/r1")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(pattern: impl AsRef<str>) -> Result<Self, ConfigError> {
        let pattern = pattern.as_ref();
        let template = PathTemplate::parse(pattern)?;
        if template.names().is_empty() {
            return Err(ConfigError::Pattern {
                pattern: pattern.to_owned(),
                problem: "it names one resource for everybody: write `{name}` for the segment that tells them apart",
            });
        }
        let segments = pattern.split('/').filter(|segment| !segment.is_empty());
        let segments = segments.map(|segment| {
            let parameter = segment.starts_with(['{', ':']);
            (!parameter).then(|| segment.into())
        });
        Ok(Self(Place::Path {
            template,
            segments: segments.collect(),
        }))
    }

    /// The resource that a header names: one line of visible ASCII, taken as it is.
    ///
    /// The client chooses it, so the handler has to act on the resource of [`Owned`](super::Owned) and on nothing else.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for what is no header's name.
    pub fn header(name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let name = name.as_ref();
        match HeaderName::try_from(name) {
            Ok(name) => Ok(Self(Place::Header(name))),
            Err(_) => Err(ConfigError::Setting {
                name: "ResourceKey::header",
                value: name.escape_default().to_string(),
                problem: "the name of a header consists of letters, digits and !#$%&'*+-.^_`|~",
            }),
        }
    }

    /// The resource that a function finds in the head of the request; `None` refuses it.
    ///
    /// A path that may be read in two ways is the function's own business: compare `head.uri.path()` with what the
    /// handler will read.
    pub fn by(find: impl Fn(&Parts) -> Option<ResourceId> + Send + Sync + 'static) -> Self {
        Self(Place::By(Arc::new(find)))
    }

    /// The resource of a request, or `None` if it names none beyond doubt.
    #[must_use]
    pub fn resource(&self, head: &Parts) -> Option<ResourceId> {
        match &self.0 {
            Place::Path { template, segments } => {
                let requested = requested(&head.extensions, &head.uri);
                let Found::Here(values) = template.find_routed(requested, &head.uri) else {
                    return None;
                };
                let mut values = values.iter();
                let mut name = String::new();
                for segment in &**segments {
                    name.push('/');
                    // A value holds no slash, so no two resources run into each other.
                    match segment {
                        Some(literal) => name.push_str(literal),
                        None => name.push_str(values.next()?),
                    }
                }
                ResourceId::new(name).ok()
            }
            Place::Header(name) => {
                let mut lines = head.headers.get_all(name).iter();
                match (lines.next(), lines.next()) {
                    (Some(line), None) => ResourceId::new(line.to_str().ok()?).ok(),
                    _ => None,
                }
            }
            Place::By(find) => find(head),
        }
    }
}

impl fmt::Debug for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Path { segments, .. } => {
                for segment in &**segments {
                    write!(f, "/{}", segment.as_deref().unwrap_or("{}"))?;
                }
                Ok(())
            }
            Place::Header(name) => write!(f, "header {name}"),
            Place::By(_) => f.write_str("by function"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::Request;

    use super::*;

    fn resource(key: &ResourceKey, path: &str) -> Option<String> {
        let (head, ()) = Request::get(path).body(()).unwrap().into_parts();
        key.resource(&head).map(String::from)
    }

    #[test]
    fn a_path_names_one_resource_or_none() {
        let key = ResourceKey::path("/agents/{agent}/:room").unwrap();
        for (path, expected) in [
            ("/agents/a/r1", Some("/agents/a/r1")),
            ("/agents/a/r1/", Some("/agents/a/r1")),
            ("/agents/a/r1/share?x=/../y", Some("/agents/a/r1")),
            ("/AGENTS/a/r1", Some("/agents/a/r1")),
            ("/agents/A/r1", Some("/agents/A/r1")),
            ("/%61gents/%61/r%31", Some("/agents/a/r1")),
            ("/agents/a/caf%C3%A9", Some("/agents/a/caf\u{e9}")),
            ("/agents/a/%20", Some("/agents/a/ ")),
            ("/agents/a", None),
            ("/agents/a/", None),
            ("/", None),
            ("/other/a/r1", None),
            ("//agents/a/r1", None),
            ("/agents//a/r1", None),
            ("/agents/a/../r1/x", None),
            ("/agents/a/%2e%2e", None),
            ("/agents/a/b%2Fr1", None),
            ("/agents/a/r1%00", None),
            ("/agents/a/r1%2561", None),
            ("/agents/a/r1;x", None),
            ("/agents/a/r1%", None),
            ("/agents/a/r1/..", None),
        ] {
            assert_eq!(resource(&key, path).as_deref(), expected, "{path}");
        }
        let long = format!("/agents/a/{}", "r".repeat(2000));
        assert_eq!(resource(&key, &long), None, "longer than any ID");
    }

    #[test]
    fn a_pattern_without_a_parameter_is_refused() {
        for pattern in [
            "/",
            "/agents",
            "/agents/*",
            "/agents/**",
            "agents/{a}",
            "/{a}/{a}",
        ] {
            let error = ResourceKey::path(pattern).unwrap_err();
            assert!(error.to_string().contains(pattern), "{error}");
        }
    }

    #[test]
    fn a_header_names_one_resource_or_none() {
        let key = ResourceKey::header("x-room").unwrap();
        for (lines, expected) in [
            (vec!["r1"], Some("r1")),
            (vec!["r1", "r1"], None),
            (vec![""], None),
            (vec![], None),
            (vec!["caf\u{e9}"], None),
        ] {
            let mut request = Request::get("/");
            for line in &lines {
                request = request.header("x-room", line.as_bytes());
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            let found = key.resource(&head).map(String::from);
            assert_eq!(found.as_deref(), expected, "{lines:?}");
        }
        assert!(ResourceKey::header("x room").is_err());
    }
}
