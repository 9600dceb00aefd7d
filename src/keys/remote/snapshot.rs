//! [`Snapshot`]: the keys of the last good fetch, and what a set must be to become the next one.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::Guard;
use jsonwebtoken::Algorithm;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{KeyFetchError, error::Faults, fetch::Document, source::no_set};
use crate::Keys;

/// The most keys of a set that are looked at.
const MAX_KEYS: usize = 100;
/// Makes of a set what readers want to have at hand; `None` if no key in it is of use. The number is the epoch.
pub(super) type Prepare<T> = Box<dyn Fn(&Keys, u64) -> Option<T> + Send + Sync>;

/// The keys of the last good fetch.
pub(crate) struct Snapshot<T> {
    pub(crate) value: Arc<T>,
    pub(super) fetched_at: Duration,
    /// Another one whenever the set changes.
    epoch: u64,
    /// Every key as canonical JSON, sorted: what tells a changed set from one that was written down differently.
    fingerprint: Vec<String>,
    /// The IDs of the keys that could be read.
    key_ids: Vec<Box<str>>,
    /// What the provider says that it signs with.
    algorithms: Vec<Algorithm>,
}

/// The keys of this moment, if there are any that may still be used.
pub(crate) struct Current<T> {
    pub(super) snapshot: Guard<Option<Arc<Snapshot<T>>>>,
    pub(super) usable: bool,
}

impl<T> Current<T> {
    /// The keys, unless there are none or they are older than the stale limit.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Snapshot<T>> {
        self.snapshot.as_deref().filter(|_| self.usable)
    }
}

impl<T> Snapshot<T> {
    /// Another number whenever the set changes; what was decided with other keys is void.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl<T> Snapshot<T> {
    /// The snapshot that follows `former` with this document; its keys are read again only if there are others.
    pub(super) fn next(
        former: Option<&Self>,
        document: &Document,
        fetched_at: Duration,
        origin: &str,
        prepare: &Prepare<T>,
    ) -> Result<Self, KeyFetchError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Written>,
        }
        let set: Set =
            serde_json::from_slice(&document.body).map_err(|_| no_set(&document.body))?;
        let count = set.keys.len();
        if count > MAX_KEYS {
            return Err(KeyFetchError::TooManyKeys {
                count,
                limit: MAX_KEYS,
            });
        }
        let mut fingerprint: Vec<String> = set.keys.iter().map(Written::text).collect();
        fingerprint.sort_unstable();
        let (value, epoch, key_ids) = match former {
            Some(former)
                if former.fingerprint == fingerprint
                    && former.algorithms == document.algorithms =>
            {
                (
                    Arc::clone(&former.value),
                    former.epoch,
                    former.key_ids.clone(),
                )
            }
            _ => {
                let epoch = former.map_or(0, |former| former.epoch + 1);
                let (value, key_ids) = read(document, count, epoch, origin, prepare)?;
                (Arc::new(value), epoch, key_ids)
            }
        };
        Ok(Self {
            value,
            fetched_at,
            epoch,
            fingerprint,
            key_ids,
            algorithms: document.algorithms.clone(),
        })
    }

    /// How many keys the provider published, those included that are of no use here.
    pub(super) fn published(&self) -> usize {
        self.fingerprint.len()
    }

    /// The IDs of the keys that could be read, whether they are of use here or not.
    pub(super) fn key_ids(&self) -> &[Box<str>] {
        &self.key_ids
    }
}

/// A key as the provider wrote it. Members that stand there twice are kept, as a key that has some is refused.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Key(Members),
    Other(Value),
}

struct Members(Vec<(String, String)>);

impl Written {
    /// The same text for the same members, in whatever order and spelling they came.
    fn text(&self) -> String {
        match self {
            Self::Key(Members(members)) => format!("{members:?}"),
            Self::Other(value) => value.to_string(),
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    members.push((name, value.to_string()));
                }
                members.sort_unstable();
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Each)
    }
}

fn read<T>(
    document: &Document,
    count: usize,
    epoch: u64,
    origin: &str,
    prepare: &Prepare<T>,
) -> Result<(T, Vec<Box<str>>), KeyFetchError> {
    let (keys, faults) =
        Keys::jwk_set_lenient(&document.body).map_err(|error| KeyFetchError::Malformed {
            wanted: "JWK Set",
            problem: error.to_string(),
        })?;
    let keys = keys.hinted(&document.algorithms);
    let Some(value) = prepare(&keys, epoch) else {
        let faults = if faults.is_empty() {
            String::new()
        } else {
            format!(": {}", Faults(&faults))
        };
        return Err(KeyFetchError::NoUsableKey { count, faults });
    };
    if !faults.is_empty() {
        tracing::warn!(
            target: "tower_warden",
            origin = origin, faults = %Faults(&faults),
            "some keys of the set are unusable"
        );
    }
    let key_ids = keys.iter().filter_map(|key| key.id().map(Into::into));
    Ok((value, key_ids.collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const B: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn next(
        former: Option<&Snapshot<Vec<String>>>,
        document: &str,
    ) -> Result<Snapshot<Vec<String>>, KeyFetchError> {
        let prepare: Prepare<Vec<String>> = Box::new(|keys, _| {
            let ids: Vec<_> = keys
                .iter()
                .filter_map(|key| key.id().map(str::to_owned))
                .collect();
            (!ids.is_empty()).then_some(ids)
        });
        Snapshot::next(
            former,
            &Document {
                body: document.as_bytes().to_vec(),
                lifetime: None,
                media_type: None,
                algorithms: Vec::new(),
            },
            Duration::ZERO,
            "here",
            &prepare,
        )
    }

    #[test]
    fn the_epoch_tells_a_changed_set_from_one_that_is_written_differently() {
        let first = next(None, &format!(r#"{{"keys":[{A},{B}]}}"#)).unwrap();
        let spaced = A.replace(',', " ,\n ").replace(r#""kid""#, r#""k\u0069d""#);
        for (document, changed) in [
            (format!(r#"{{"keys":[{A},{B}]}}"#), false),
            (format!(r#"{{"keys":[{B},{A}]}}"#), false),
            (format!(r#"{{"other":1,"keys":[{B},{spaced}]}}"#), false),
            (format!(r#"{{"keys":[{A}]}}"#), true),
            (format!(r#"{{"keys":[{A},{A}]}}"#), true),
            (format!(r#"{{"keys":[{A},{B},7]}}"#), true),
            (
                format!(
                    r#"{{"keys":[{A},{}]}}"#,
                    B.replace(r#""kid""#, r#""kid":"b","kid""#)
                ),
                true,
            ),
            (
                format!(
                    r#"{{"keys":[{A},{}]}}"#,
                    B.replace("RFo", "RFp").replace("11qY", "12qY")
                ),
                true,
            ),
            (
                format!(
                    r#"{{"keys":[{A},{}]}}"#,
                    B.replace(r#""kid""#, r#""use":"sig","kid""#)
                ),
                true,
            ),
        ] {
            let second = next(Some(&first), &document).unwrap();
            assert_eq!(second.epoch() != first.epoch(), changed, "{document}");
            assert_eq!(
                Arc::ptr_eq(&second.value, &first.value),
                !changed,
                "{document}"
            );
        }
    }

    #[test]
    fn a_set_without_usable_keys_says_what_is_wrong_with_them() {
        let error = next(None, r#"{"keys":[{"kty":"oct","kid":"s","k":"AA"}]}"#)
            .err()
            .unwrap();
        assert_eq!(error.code(), "no_usable_key");
        assert!(error.to_string().contains("`s`"), "{error}");
        let many = vec!["{}"; 100].join(",");
        let error = next(None, &format!(r#"{{"keys":[{many}]}}"#))
            .err()
            .unwrap();
        assert!(error.to_string().len() < 1_000, "{error}");
        assert!(error.to_string().ends_with("and 95 more"), "{error}");
    }
}
