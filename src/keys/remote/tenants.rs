//! [`Tenants`]: issuers that share a pattern and their keys, each of them named.

use super::{endpoint::Endpoint, http_hosts::HttpHosts};
use crate::{ConfigError, telemetry::shown_url};

/// The names of several issuers: a template, and what may stand in its place.
#[derive(Debug, Clone)]
pub(crate) struct Tenants {
    template: String,
    tenants: Vec<String>,
}

impl Tenants {
    pub(super) fn new(template: String, tenants: Vec<String>) -> Self {
        Self { template, tenants }
    }

    /// The template as it was given, which is how the provider has to write it.
    pub(crate) fn template(&self) -> &str {
        &self.template
    }

    /// The names of all issuers. Whether one is named twice is seen where they are listed.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for a template that is more than one open segment in the path of an address, or for a
    /// tenant that is not one plain word; [`ConfigError::Missing`] without any.
    pub(crate) fn issuers(&self, hosts: &HttpHosts) -> Result<Vec<String>, ConfigError> {
        let wrong = |value: String, problem| {
            Err(ConfigError::Setting {
                name: "with_tenants",
                value,
                problem,
            })
        };
        let Some((before, after)) = self.around(hosts) else {
            return wrong(
                shown_url(&self.template),
                "is no address with one open segment in its path, such as `https://id.example/{tenant}/v2.0`",
            );
        };
        if self.tenants.is_empty() {
            return Err(ConfigError::Missing {
                name: "with_tenants",
                problem: "name the tenants whose tokens are accepted: there is no wildcard",
            });
        }
        let mut issuers = Vec::with_capacity(self.tenants.len());
        for tenant in &self.tenants {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            // A dot may stand within, but is no name.
            let is_plain = |byte: u8| plain(byte) || byte == b'.';
            if !tenant.bytes().all(is_plain) || !tenant.bytes().any(plain) {
                return wrong(
                    tenant.clone(),
                    "is no tenant: letters, digits, `-`, `_` and `.` make one",
                );
            }
            issuers.push(format!("{before}{tenant}{after}"));
        }
        Ok(issuers)
    }

    /// What stands before and behind the one open segment.
    fn around(&self, hosts: &HttpHosts) -> Option<(&str, &str)> {
        let (before, rest) = self.template.split_once('{')?;
        let (name, after) = rest.split_once('}')?;
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_segment = before.ends_with('/') && (after.is_empty() || after.starts_with('/'));
        let is_only = !after.contains(['{', '}', '?', '#']);
        // The host stands before it, so that no tenant can choose another one.
        let is_in_path =
            Endpoint::parse(before, hosts).is_ok_and(|url| url.url().query().is_none());
        (is_word && is_segment && is_only && is_in_path).then_some((before, after))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEMPLATE: &str = "https://id.example/{tenantid}/v2.0";

    fn issuers(template: &str, tenants: &[&str]) -> Result<Vec<String>, ConfigError> {
        let tenants = tenants.iter().map(|tenant| (*tenant).to_owned()).collect();
        Tenants::new(template.to_owned(), tenants).issuers(&HttpHosts::default())
    }

    #[test]
    fn a_template_is_filled_with_each_tenant() {
        for (template, wanted) in [
            (TEMPLATE, "https://id.example/a-1/v2.0"),
            ("https://id.example/{tenant}", "https://id.example/a-1"),
            ("https://id.example/x/{t}/", "https://id.example/x/a-1/"),
            ("http://127.0.0.1:1/{t}", "http://127.0.0.1:1/a-1"),
        ] {
            assert_eq!(issuers(template, &["a-1"]).unwrap(), [wanted]);
        }
        let both = issuers(TEMPLATE, &["a", "acme.example"]).unwrap();
        assert_eq!(both.len(), 2);
    }

    #[test]
    fn a_template_is_open_in_one_segment_of_its_path() {
        for template in [
            "",
            "https://id.example",
            "https://id.example/v2.0",
            "https://id.example/{}/v2.0",
            "https://id.example/{a/v2.0",
            "https://id.example/{*}/v2.0",
            "https://id.example/{a}/{b}",
            "https://id.example/x{a}",
            "https://id.example/{a}x",
            "https://id.example/?tenant=/{a}",
            "https://id.example/{a}/?x",
            "https://{a}/v2.0",
            "https://{a}.id.example/v2.0",
            "https://id.example#/{a}",
            "http://id.example/{a}",
            "/{a}",
        ] {
            let error = issuers(template, &["a"]).unwrap_err().to_string();
            assert!(error.contains("with_tenants"), "{template}: {error}");
        }
    }

    #[test]
    fn a_tenant_is_a_word_and_no_pattern() {
        for tenant in [
            "",
            "*",
            "{tenantid}",
            "a/b",
            "..",
            ".",
            "a b",
            "a%2fb",
            "ä",
            "a?b",
            "a#b",
            "a@b",
        ] {
            let error = issuers(TEMPLATE, &["good", tenant])
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("`{tenant}`")), "{error}");
        }
        let error = issuers(TEMPLATE, &[]).unwrap_err();
        assert!(matches!(error, ConfigError::Missing { .. }), "{error}");
    }
}
