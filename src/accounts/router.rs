//! The service as routes of axum.

use axum::Router;

use super::Accounts;

impl Accounts {
    /// The routes of [`AccountService`](super::AccountService), to be merged into an application **outside** its gate.
    ///
    /// Serve with `into_make_service_with_connect_info::<SocketAddr>()`, since limits are counted for each address.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use tower_warden::{ConfigError, MemoryAccountStore, Principal, accounts::Accounts};
    ///
    /// fn app(secret: &str) -> Result<Router, ConfigError> {
    ///     let accounts = Accounts::builder(MemoryAccountStore::new(), secret)
    ///         .with_public_origin("http://localhost:8787")
    ///         .build()?;
    ///     let gate = accounts.auth_layer().build()?;
    ///     Ok(Router::new().route("/chat", post(chat)).layer(gate).merge(accounts.router()))
    /// }
    ///
    /// async fn chat(principal: Principal) -> String {
    ///     format!("hello {}", principal.subject())
    /// }
    /// # assert!(app("0123456789abcdef0123456789abcdef").is_ok());
    /// # assert!(app("too short").is_err());
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let base = &self.0.base;
        Router::new().route_service(&format!("{base}/{{*rest}}"), self.service())
    }
}
