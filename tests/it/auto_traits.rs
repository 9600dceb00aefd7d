//! What the types promise to every runtime: they can be shared, sent and cloned.

use tower_warden::{
    ApiKeyLayer, ApiKeyService, ApiKeys, Auth, AuthLayerBuilder, BearerToken, ConfigError,
    CookieAuthLayer, Credentials, JwtAuthLayer, Keys, MemoryOwnerStore, MemoryTickets, Owned,
    Owners, OwnershipLayer, Paths, Principal, Refusals, Rejection, RequireScope, RequireScopeLayer,
    ResourceBinding, StoreError, TicketOffice, TicketRecord, TicketService, TokenIssuer, Verifier,
};

#[cfg(feature = "accounts")]
#[test]
fn accounts_can_be_shared_sent_and_cloned() {
    use tower_warden::{
        MemoryAccountStore,
        accounts::{AccountService, Accounts, AccountsBuilder, SessionRecord, UserRecord},
    };

    shared::<Accounts>();
    shared::<AccountService>();
    shared::<AccountsBuilder>();
    shared::<MemoryAccountStore>();
    shared::<SessionRecord>();
    shared::<UserRecord>();
    cloned::<Accounts>();
    cloned::<AccountService>();
}

fn shared<T: Send + Sync + 'static>() {}
fn cloned<T: Clone>() {}

#[test]
fn types_can_be_shared_and_sent() {
    shared::<JwtAuthLayer>();
    shared::<CookieAuthLayer>();
    shared::<AuthLayerBuilder<tower_warden::Bearer>>();
    shared::<Auth<()>>();
    shared::<RequireScopeLayer>();
    shared::<RequireScope<()>>();
    shared::<OwnershipLayer>();
    shared::<Owned>();
    shared::<Owners>();
    shared::<ApiKeys>();
    shared::<ApiKeyLayer>();
    shared::<ApiKeyService>();
    shared::<ResourceBinding>();
    shared::<TicketOffice>();
    shared::<TicketService>();
    shared::<TicketRecord>();
    shared::<MemoryTickets>();
    shared::<StoreError>();
    shared::<Verifier>();
    shared::<TokenIssuer>();
    shared::<Keys>();
    shared::<Paths>();
    shared::<Principal>();
    shared::<Credentials>();
    shared::<BearerToken<'static>>();
    shared::<Refusals>();
    shared::<Rejection>();
    shared::<ConfigError>();
}

#[test]
fn layers_and_principals_are_cheap_to_clone() {
    cloned::<JwtAuthLayer>();
    cloned::<CookieAuthLayer>();
    cloned::<Auth<()>>();
    cloned::<TicketOffice>();
    cloned::<TicketService>();
    cloned::<Verifier>();
    cloned::<Principal>();
    cloned::<Refusals>();
}

#[test]
fn the_future_is_sent_wherever_the_service_is() {
    fn sent<T: Send>(_: &T) {}
    let layer = JwtAuthLayer::hs256(crate::support::SECRET)
        .unwrap()
        .build()
        .unwrap();
    let mut service = tower::Layer::layer(&layer, crate::support::Inner::default());
    let request = crate::support::get("/chat", &crate::support::token("alice"));
    sent(&tower::Service::call(&mut service, request));
    let key = tower_warden::ResourceKey::path("/{room}").unwrap();
    let layer = OwnershipLayer::new(MemoryOwnerStore::new(), key);
    let mut service = tower::Layer::layer(&layer, crate::support::Inner::default());
    let request = crate::support::get("/chat", &crate::support::token("alice"));
    sent(&tower::Service::call(&mut service, request));
}
