//! Stores in a SQLite file: every promise kept, by several processes, and whatever befalls the file.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use tower_warden::{SqliteStore, testing::conformance};

/// A directory that is gone when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-warden-sqlite-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("warden.sqlite")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn every_promise_is_kept_over_several_handles() {
    let directory = Directory::new();
    let open = async || SqliteStore::open(directory.file()).await.unwrap();
    conformance::owner_store(open).await;
    conformance::shared_owner_store(open).await;
    conformance::api_key_store(open).await;
    conformance::ticket_store(open).await;
    conformance::revocation_store(open).await;
}
