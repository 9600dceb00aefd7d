//! The way to Redis, encrypted.

use std::fs;

use tower_warden::{Claim, OwnerStore, OwnershipFeed, RedisOptions, RedisStore, SharedOwnerStore};

use super::{
    resource,
    server::{Server, free_port},
    subject,
};

/// Something in DER as text.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = base64_simd::STANDARD.encode_to_string(der);
    let lines = base64.as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(|line| str::from_utf8(line).unwrap()).collect();
    let lines = lines.join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_certificate_is_always_checked() {
    let [own, other] = ["localhost", "redis.example"].map(|name| {
        let names = vec![name.to_owned()];
        let own = rcgen::generate_simple_self_signed(names).unwrap();
        let key = pem("PRIVATE KEY", own.signing_key.serialized_der());
        (pem("CERTIFICATE", own.cert.der()), key)
    });
    for (certificate, trusted, verdict) in [
        (&own, Some(&own), true),
        // Nobody vouches for it, somebody else does, or it is another host's.
        (&own, None, false),
        (&own, Some(&other), false),
        (&other, Some(&other), false),
    ] {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("warden-tls-{port}"));
        fs::create_dir_all(&directory).unwrap();
        let [certificate_file, key_file] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
        fs::write(&certificate_file, &certificate.0).unwrap();
        fs::write(&key_file, &certificate.1).unwrap();
        let server = Server::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            certificate_file.to_str().unwrap(),
            "--tls-key-file",
            key_file.to_str().unwrap(),
            "--tls-auth-clients",
            "no",
        ])
        .await;
        let mut options = RedisOptions::new();
        if let Some(trusted) = trusted {
            options = options.with_authorities(&*trusted.0);
        }
        let url = format!("rediss://localhost:{port}");
        let store = RedisStore::connect_with(&url, options.clone()).await;
        assert_eq!(store.is_ok(), verdict);
        let insecure = format!("{url}/#insecure");
        assert!(RedisStore::connect_with(&insecure, options).await.is_err());
        if let Ok(store) = store {
            let (room, alice) = (resource("r1"), subject("alice"));
            let mut feed = SharedOwnerStore::subscribe(&store).await.unwrap();
            assert_eq!(store.claim(&room, &alice).await.unwrap(), Claim::Claimed);
            assert!(
                store
                    .transfer(&room, &alice, &subject("bob"))
                    .await
                    .unwrap()
            );
            assert!(feed.next().await.is_some());
        }
        drop(server);
        fs::remove_dir_all(&directory).unwrap();
    }
    // Authorities vouch for nobody without TLS.
    let options = RedisOptions::new().with_authorities(&*own.0);
    let plain = RedisStore::connect_with("redis://127.0.0.1:1", options).await;
    let error = plain.unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.starts_with("with_authorities"), "{reason}");
}
