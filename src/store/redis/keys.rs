//! [`Names`]: what everything is called in Redis.
//!
//! Names that come from outside are escaped, so that none reaches beyond its own key, and none chooses the slot of a
//! cluster that it lies in: braces mean something there. What one script touches is one key, or has one hash tag.

use std::fmt::Write;

use super::fault::Fault;
use crate::{ResourceId, SubjectId, TicketHash};

/// The names of one prefix.
#[derive(Debug)]
pub(super) struct Names {
    prefix: Box<str>,
    /// Channels know no databases, so theirs stands in their name.
    database: i64,
}

/// Something a subject has many of, and that can be listed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Index {
    Owned,
    ApiKeys,
}

impl Names {
    pub(super) fn new(prefix: &str, database: i64) -> Self {
        Self {
            prefix: prefix.into(),
            database,
        }
    }

    /// A hash: the owner, and each grant.
    pub(super) fn resource(&self, resource: &ResourceId) -> String {
        self.key("resource:", resource.as_str())
    }

    /// A hash: the record of an API key, and when it was last used.
    pub(super) fn api_key(&self, id: &str) -> String {
        self.key("api_key:", id)
    }

    /// A hash: the record of a ticket, when it ends, and who took it.
    pub(super) fn ticket(&self, hash: TicketHash) -> String {
        self.key("ticket:", &hash.to_string())
    }

    /// A sorted set: the hashes of the unused tickets of one holder, by when each ends.
    pub(super) fn tickets_of(&self, holder: &str) -> String {
        self.key("tickets:", holder)
    }

    /// A sorted set: every revocation, by when it is over.
    pub(super) fn revocations(&self) -> String {
        self.key("revocations", "")
    }

    /// A sorted set: what a subject may have.
    pub(super) fn index(&self, owner: &SubjectId, index: Index) -> String {
        let prefix = &self.prefix;
        let mut key = format!("{prefix}:{{");
        escape(owner.issuer(), &mut key);
        key.push('|');
        escape(owner.subject(), &mut key);
        key.push_str(match index {
            Index::Owned => "}:owned",
            Index::ApiKeys => "}:api_keys",
        });
        key
    }

    /// A text that is there while an entry of that index is young; it has the hash tag of the index.
    pub(super) fn young(index: &str, entry: &str) -> String {
        let mut key = format!("{index}:");
        escape(entry, &mut key);
        key
    }

    /// Where revocations are told of.
    pub(super) fn revocation_channel(&self) -> String {
        format!("{}@{}:revocations", self.prefix, self.database)
    }

    /// Where changes of ownership are told of.
    pub(super) fn ownership_channel(&self) -> String {
        format!("{}@{}:ownership", self.prefix, self.database)
    }

    fn key(&self, kind: &str, name: &str) -> String {
        let mut key = format!("{}:{kind}", self.prefix);
        escape(name, &mut key);
        key
    }
}

/// How a subject is written down in a value; there is one way for each, so that texts can be compared.
pub(super) fn written(subject: &SubjectId) -> Result<String, Fault> {
    serde_json::to_string(subject).map_err(|_| Fault::Foreign)
}

/// Writes what means nothing to anybody as it is, and of everything else each byte as `%2F`.
fn escape(name: &str, key: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@".contains(&byte) {
            key.push(byte.into());
        } else {
            // Writing to a text cannot fail.
            let _ = write!(key, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What decides about the slot of a key, as the specification of Redis Cluster says it.
    fn tag(key: &str) -> &str {
        let tag = key
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'));
        tag.map_or(key, |(tag, _)| if tag.is_empty() { key } else { tag })
    }

    #[test]
    fn no_name_chooses_its_slot_and_none_reaches_beyond_its_key() {
        let names = Names::new("warden", 0);
        let hostile = [
            "a",
            "{a}",
            "}{",
            "{}",
            "a}:owned",
            "a:b",
            "a|b",
            "%7B",
            "a b",
            "a\r\nFLUSHALL",
            "*",
            "\u{e9}",
            "e\u{301}",
        ];
        let mut seen = HashSet::new();
        for name in hostile {
            let resource = names.resource(&ResourceId::new(name).unwrap());
            assert_eq!(tag(&resource), resource, "{resource}");
            assert!(seen.insert(resource));
            for (issuer, subject) in [(name, "s"), ("", name), ("i", name)] {
                let Ok(owner) = SubjectId::new(issuer, subject) else {
                    assert!(subject.contains(char::is_control), "{subject:?}");
                    continue;
                };
                for index in [Index::Owned, Index::ApiKeys] {
                    let index = names.index(&owner, index);
                    assert!(tag(&index).contains('|') && index.starts_with("warden:{"));
                    let young = Names::young(&index, name);
                    assert_eq!(tag(&young), tag(&index), "one script, one slot");
                    assert!(seen.insert(index) && seen.insert(young));
                }
            }
        }
        // What an issuer ends with is never what a subject begins with.
        let key =
            |issuer, subject| names.index(&SubjectId::new(issuer, subject).unwrap(), Index::Owned);
        assert_ne!(key("a|b", "c"), key("a", "b|c"));
        assert_ne!(key("a", "c"), key("", "a|c"));
    }

    #[test]
    fn channels_differ_by_prefix_and_database() {
        let of = |prefix, database| Names::new(prefix, database).ownership_channel();
        assert_eq!(of("warden", 0), "warden@0:ownership");
        assert_ne!(of("warden", 0), of("warden", 1));
        assert_ne!(of("warden", 0), of("chat", 0));
    }
}
