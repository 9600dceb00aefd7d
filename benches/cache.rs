//! What does a token cost that was verified before?
//!
//! Baseline: `cold`, the same token without the cache. Beside it, `quick_cache`: what the look-up alone would take in the
//! general cache of that name, keyed by the same kind of hash and decided by the same comparison of the whole token.
//!
//! | row | question |
//! | --- | --- |
//! | `hit` | one token again and again |
//! | `hit of 1024` | one of 1 024 tokens, in an order that nobody can foretell |
//! | `first seen` | each token once, kept in the place of others |
//! | `junk` | an expired token: what the look-up in vain adds to its refusal |
//! | `two threads` | the same by two threads at once: the ratio to one thread, of wall time |
//!
//! Rounds of all rows take turns, and medians are printed.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/thread_time.rs"]
mod thread_time;

#[allow(dead_code)]
#[path = "../tests/it/tokens.rs"]
mod tokens;

use std::{
    cell::Cell,
    env,
    hash::{BuildHasher, Hasher, RandomState},
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

use quick_cache::sync::Cache;
use tower_warden::{Algorithm, BearerToken, Keys, Verifier};

use thread_time::thread_time;
use tokens::{key, token};

const ROUNDS: usize = 101;

fn claims(number: usize, expiry: u64) -> String {
    format!(
        r#"{{"iss":"https://id.example/realms/acme","sub":"3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11","aud":"https://api.example","exp":{expiry},"iat":1700000000,"jti":"b5c7d0e8-12f4-4a9b-8f6e-{number:012}","scope":"openid profile chat:read chat:write","azp":"web-app","sid":"6d2f7c1a-91b3-4f55","acr":"1","preferred_username":"alice@example.com"}}"#
    )
}

fn mint(number: usize, expiry: u64, algorithm: Algorithm) -> BearerToken<'static> {
    let header = format!(r#"{{"alg":"{algorithm:?}","typ":"at+jwt","kid":"2026-11-22-main"}}"#);
    BearerToken::new(token(header, claims(number, expiry), algorithm))
}

fn builder(algorithm: Algorithm) -> tower_warden::VerifierBuilder {
    Verifier::builder(Keys::new([key(algorithm).with_id("2026-11-22-main")]).unwrap())
        .with_issuer("https://id.example/realms/acme")
        .with_audience("https://api.example")
}

/// What a general cache would have to do.
struct General {
    secret: RandomState,
    tokens: Cache<u64, Arc<BearerToken<'static>>>,
}

impl General {
    fn tag(&self, text: &[u8]) -> u64 {
        let mut hasher = self.secret.build_hasher();
        hasher.write(&text[text.len().saturating_sub(16)..]);
        hasher.write_usize(text.len());
        hasher.finish()
    }

    fn find(&self, token: &BearerToken<'_>) -> Option<Arc<BearerToken<'static>>> {
        let text = token.expose().as_bytes();
        let known = self.tokens.get(&self.tag(text))?;
        constant_time_eq::constant_time_eq(known.expose().as_bytes(), text).then_some(known)
    }

    fn keep(&self, token: &BearerToken<'_>) {
        let tag = self.tag(token.expose().as_bytes());
        let token = token.clone().into_owned();
        self.tokens.insert(tag, Arc::new(token));
    }
}

/// The wall time of a call on two threads at once, over that on one.
fn two_over_one(call: impl Fn(usize) + Sync) -> f64 {
    const CALLS: usize = 200_000;
    let timed = |threads: usize| {
        let begin = Barrier::new(threads);
        let (begin, call) = (&begin, &call);
        thread::scope(|scope| {
            let runs: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        begin.wait();
                        let begun = Instant::now();
                        (0..CALLS).for_each(|number| call(number + thread * 331));
                        begun.elapsed().as_nanos() as f64
                    })
                })
                .collect();
            let times = runs.into_iter().map(|run| run.join().unwrap());
            times.fold(0., f64::max)
        })
    };
    median((0..15).map(|_| timed(2) / timed(1)).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Row<'a> = (&'static str, Box<dyn Fn(usize) -> bool + 'a>);

fn main() {
    const CALLS: usize = 1_000;
    // `cargo test --benches` only wants to know that it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let algorithm = Algorithm::HS256;
    let mint_many = |count| -> Vec<_> {
        (0..count)
            .map(|number| mint(number, 99_999_999_999, algorithm))
            .collect()
    };
    let (tokens, many) = (mint_many(1_024), mint_many(40_000));
    let expired = mint(0, 1_700_000_000, algorithm);
    let build = || builder(algorithm).build().unwrap();
    let (cached, crowded) = (build(), build());
    let cold = builder(algorithm).without_cache().build().unwrap();
    let general = General {
        secret: RandomState::new(),
        tokens: Cache::new(16_384),
    };
    for token in &tokens {
        assert!(cached.verify(token).is_ok());
        general.keep(token);
    }
    let any = |number: usize| &tokens[number.wrapping_mul(0x9E37_79B9) >> 7 & 1_023];
    let next = Cell::new(0);
    let new = || {
        next.set((next.get() + 1) % many.len());
        &many[next.get()]
    };
    let is_good = |verifier: &Verifier, token| verifier.verify(black_box(token)).is_ok();
    let rows: [Row<'_>; 9] = [
        ("cold", Box::new(|_| is_good(&cold, &tokens[0]))),
        ("hit", Box::new(|_| is_good(&cached, &tokens[0]))),
        (
            "hit, quick_cache",
            Box::new(|_| general.find(&tokens[0]).is_some()),
        ),
        (
            "hit of 1024",
            Box::new(|number| is_good(&cached, any(number))),
        ),
        (
            "hit of 1024, quick_cache",
            Box::new(|number| general.find(any(number)).is_some()),
        ),
        ("first seen", Box::new(|_| is_good(&crowded, new()))),
        ("junk, cold", Box::new(|_| !is_good(&cold, &expired))),
        ("junk", Box::new(|_| !is_good(&cached, &expired))),
        (
            "miss, quick_cache",
            Box::new(|_| general.find(&expired).is_none()),
        ),
    ];
    let mut times = [const { Vec::new() }; 9];
    for _ in 0..ROUNDS {
        for ((_, row), times) in rows.iter().zip(&mut times) {
            let begun = thread_time();
            assert!((0..CALLS).all(row));
            times.push((thread_time() - begun).as_nanos() as f64 / CALLS as f64);
        }
    }
    for ((name, _), times) in rows.iter().zip(times) {
        println!("{name}: {:.0} ns", median(times));
    }
    let general = |token| assert!(general.find(token).is_some());
    let cached = |token| assert!(cached.verify(token).is_ok());
    for (name, ratio) in [
        ("hit", two_over_one(|_| cached(&tokens[0]))),
        ("hit, quick_cache", two_over_one(|_| general(&tokens[0]))),
        ("hit of 1024", two_over_one(|number| cached(any(number)))),
        (
            "hit of 1024, quick_cache",
            two_over_one(|number| general(any(number))),
        ),
    ] {
        println!("{name}: two threads over one {ratio:.2}");
    }
}
