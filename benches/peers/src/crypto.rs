//! The crypto backends of the peers: each has the fastest that it can have.
//!
//! Those on jsonwebtoken 10 and 11 share one provider per process, and have none at all where both backends are built
//! in, as here: it has to be installed. RustCrypto is the faster for HMAC, by a twelfth of a whole `decode`, and
//! aws-lc-rs for all else, so each is asked for what it does best. jsonwebtoken 9 brings ring; huskarl brings RustCrypto.

use std::sync::LazyLock;

/// For jsonwebtoken 10 and 11, before their first use.
pub(crate) fn install() {
    let installed = TEN.install_default().is_ok() && ELEVEN.install_default().is_ok();
    assert!(installed, "nobody was faster");
}

static TEN: LazyLock<jsonwebtoken_10::crypto::CryptoProvider> = LazyLock::new(|| {
    use jsonwebtoken_10::{
        Algorithm,
        crypto::{CryptoProvider, aws_lc, rust_crypto},
    };
    CryptoProvider {
        verifier_factory: |algorithm, key| match algorithm {
            Algorithm::HS256 => (rust_crypto::DEFAULT_PROVIDER.verifier_factory)(algorithm, key),
            _ => (aws_lc::DEFAULT_PROVIDER.verifier_factory)(algorithm, key),
        },
        ..aws_lc::DEFAULT_PROVIDER.clone()
    }
});

static ELEVEN: LazyLock<jsonwebtoken::crypto::CryptoProvider> = LazyLock::new(|| {
    use jsonwebtoken::{
        Algorithm,
        crypto::{CryptoProvider, aws_lc, rust_crypto},
    };
    CryptoProvider {
        verifier_factory: |algorithm, key| match algorithm {
            Algorithm::HS256 => (rust_crypto::DEFAULT_PROVIDER.verifier_factory)(algorithm, key),
            _ => (aws_lc::DEFAULT_PROVIDER.verifier_factory)(algorithm, key),
        },
        ..aws_lc::DEFAULT_PROVIDER.clone()
    }
});
