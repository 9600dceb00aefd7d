#![allow(missing_docs)]

#[cfg(feature = "testing")]
mod hostile;
mod keys;
