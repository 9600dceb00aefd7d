//! What is counted without a service: one source of tokens, and, to compare with, nothing.

use std::hint::black_box;

use http::{StatusCode, request::Parts};
use tower_warden::{HeadRef, TokenSource};

use crate::{measure::Face, samples::Sample};

/// Drops the request.
pub struct Nothing {
    /// What is said to have been answered.
    pub status: StatusCode,
    pub next: Option<Parts>,
}

impl Face for Nothing {
    fn prepare(&mut self, sample: &Sample) {
        self.next = Some(sample.head().clone());
    }

    fn answer(&mut self) -> StatusCode {
        drop(black_box(self.next.take()));
        self.status
    }
}

/// Asks a source for the token of the request, which is there.
pub struct Extraction {
    pub source: Box<dyn TokenSource>,
    pub next: Option<Parts>,
}

impl Face for Extraction {
    fn prepare(&mut self, sample: &Sample) {
        self.next = Some(sample.head().clone());
    }

    fn answer(&mut self) -> StatusCode {
        let head = self.next.take().expect("a request was prepared");
        match self.source.extract(HeadRef::from(black_box(&head))) {
            Ok(Some(_)) => StatusCode::OK,
            Ok(None) => StatusCode::UNAUTHORIZED,
            Err(_) => StatusCode::BAD_REQUEST,
        }
    }
}
