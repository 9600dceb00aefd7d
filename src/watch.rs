//! [`Watchers`]: whoever wants to be told of a change, within this process.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

type Watcher<T> = Arc<dyn Fn(&T) + Send + Sync>;
type List<T> = RwLock<Vec<(u64, Watcher<T>)>>;

/// Those who watch, in the order in which they came.
pub(crate) struct Watchers<T> {
    list: Arc<List<T>>,
    next: AtomicU64,
}

impl<T: 'static> Watchers<T> {
    pub(crate) fn add(&self, watcher: impl Fn(&T) + Send + Sync + 'static) -> Watch {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.push((id, Arc::new(watcher)));
        let list: Weak<List<T>> = Arc::downgrade(&self.list);
        Watch(Some(Box::new(move || {
            if let Some(list) = list.upgrade() {
                let mut list = list.write().unwrap_or_else(PoisonError::into_inner);
                list.retain(|(other, _)| *other != id);
            }
        })))
    }

    /// Tells everybody. No lock is held meanwhile, so a watcher may come, go, or change something itself.
    pub(crate) fn tell(&self, change: &T) {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let watchers: Vec<Watcher<T>> = list.iter().map(|(_, watcher)| watcher.clone()).collect();
        drop(list);
        for watcher in watchers {
            watcher(change);
        }
    }
}

impl<T> Default for Watchers<T> {
    fn default() -> Self {
        Self {
            list: Arc::default(),
            next: AtomicU64::new(0),
        }
    }
}

impl<T> fmt::Debug for Watchers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watchers(..)")
    }
}

/// Keeps somebody told of changes; dropping it ends that.
#[must_use = "nobody is told once this is dropped"]
pub struct Watch(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Watch {
    /// Goes on for as long as what is watched.
    pub fn forever(mut self) {
        self.0 = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn whoever_watches_is_told_until_the_watch_is_dropped() {
        let watchers = Watchers::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let watch = |name: &'static str| {
            let told = Arc::clone(&told);
            watchers.add(move |change: &u8| {
                if let Ok(mut told) = told.lock() {
                    told.push((name, *change));
                }
            })
        };
        let first = watch("first");
        watch("second").forever();
        watchers.tell(&1);
        drop(first);
        watchers.tell(&2);
        let told = told.lock().map(|told| told.clone()).unwrap_or_default();
        assert_eq!(told, [("first", 1), ("second", 1), ("second", 2)]);
    }
}
