//! Where a layer looks for tokens, who answers for them, and what happens if there are several.

use std::{collections::HashSet, sync::Arc};

use super::{AuthLayerBuilder, Face};
use crate::{
    ApiKeyHeader, ApiKeys, ConfigError, ConflictPolicy, TicketOffice, TokenSource, Verifier,
};

/// A place where the token may travel, and who answers for it.
pub(super) struct Place {
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) answered: Answered,
}

/// Who answers for the tokens of a place.
pub(super) enum Answered {
    ByLayer,
    By(Verifier),
    ByOffice(TicketOffice),
    ByKeys(ApiKeys),
}

impl Place {
    fn new(source: impl TokenSource) -> Self {
        Self {
            source: Arc::new(source),
            answered: Answered::ByLayer,
        }
    }
}

impl<F: Face, K> AuthLayerBuilder<F, K> {
    /// Adds a place where the token may travel, beside the layer's own and those added before.
    ///
    /// [`build`](Self::build) fails if another source of the layer [reads the same place](TokenSource::places).
    pub fn with_source(mut self, source: impl TokenSource) -> Self {
        self.add_defaults();
        self.sources.push(Place::new(source));
        self
    }

    /// Adds a place whose tokens have a verifier of their own, such as session cookies beside a provider's tokens.
    pub fn with_verified_source(mut self, source: impl TokenSource, verifier: Verifier) -> Self {
        self.add_defaults();
        self.sources.push(Place {
            source: Arc::new(source),
            answered: Answered::By(verifier),
        });
        self
    }

    /// Takes API keys too, in the header `X-API-Key`: see [`ApiKeys`].
    pub fn with_api_keys(self, keys: ApiKeys) -> Self {
        self.with_api_keys_in(ApiKeyHeader::default(), keys)
    }

    /// Takes API keys too, wherever this source finds them.
    pub fn with_api_keys_in(mut self, source: impl TokenSource, keys: ApiKeys) -> Self {
        self.add_defaults();
        self.place_keys(source, keys);
        self
    }

    pub(super) fn place_keys(&mut self, source: impl TokenSource, keys: ApiKeys) {
        self.sources.push(Place {
            source: Arc::new(source),
            answered: Answered::ByKeys(keys),
        });
    }

    /// Takes the tickets of this office too, in the query of WebSocket handshakes: see [`TicketOffice`].
    ///
    /// A ticket is as good here as the token that it was drawn with would be: one of this layer's verifiers has to accept
    /// the token's issuer, audience, type and age.
    pub fn with_tickets(mut self, office: TicketOffice) -> Self {
        self.add_defaults();
        self.sources.push(Place {
            source: Arc::new(office.source()),
            answered: Answered::ByOffice(office),
        });
        self
    }

    /// Sets the only places where the token may travel, in place of the layer's own and those added before.
    pub fn with_sources<T: TokenSource>(mut self, sources: impl IntoIterator<Item = T>) -> Self {
        self.sources = sources.into_iter().map(Place::new).collect();
        if self.sources.is_empty() {
            return self.failed(ConfigError::Missing {
                name: "with_sources",
                problem: "without a source no token can ever be found",
            });
        }
        self
    }

    /// Sets what happens when tokens come in several places; by default such a request is refused
    /// ([RFC 6750 §2]).
    ///
    /// [RFC 6750 §2]: https://www.rfc-editor.org/rfc/rfc6750#section-2
    pub fn with_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.conflict = policy;
        self
    }

    /// Sets the same for one path and all below it, such as `/agents/{agent}/{room}/get-messages`, where Cloudflare's
    /// clients send their token twice. The first path that fits decides.
    pub fn with_conflict_on(mut self, pattern: impl Into<String>, policy: ConflictPolicy) -> Self {
        self.conflicts_on.push((pattern.into(), policy));
        self
    }

    /// Checks that no two sources read the same place: each request would carry two tokens, and be refused.
    pub(super) fn check_places(&self) -> Result<(), ConfigError> {
        let mut known = HashSet::new();
        for place in &self.sources {
            let own: HashSet<String> = place.source.places().into_iter().collect();
            for read in own {
                if let Some(read) = known.replace(read) {
                    return Err(ConfigError::Setting {
                        name: "with_source",
                        value: read,
                        problem: "two sources read the same place, so each token there counts twice: keep one, or replace \
                                  the layer's own by `with_sources`. For several keys of one place, see `Verifier::issuers`",
                    });
                }
            }
        }
        Ok(())
    }

    /// The layer's own sources come first, unless [`with_sources`](Self::with_sources) replaced them.
    pub(super) fn add_defaults(&mut self) {
        if !self.sources.is_empty() || self.failure.is_some() {
            return;
        }
        match F::default_sources() {
            Ok(sources) => {
                let places = sources.into_iter().map(|source| Place {
                    source,
                    answered: Answered::ByLayer,
                });
                self.sources.extend(places);
            }
            Err(error) => self.failure = Some(error),
        }
    }
}
