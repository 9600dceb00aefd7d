//! Ten million tokens, each of them new, at one verifier: what it remembers stays within its bound all the while, and what
//! is in use stays remembered.

use std::{fmt::Write, sync::Arc, time::Instant};

use aws_lc_rs::hmac;
use base64_simd::URL_SAFE_NO_PAD;
use tower_warden::{BearerToken, VerifiedToken, Verifier};

use crate::tokens::{self, AUDIENCE, ISSUER, KEY_ID, NOW, SECRET};

const TOKENS: u64 = 10_000_000;
/// So many are counted at a time: their peak, and what is left of them.
const PART: u64 = 100_000;
/// The token in use comes again after so many others.
const PAUSE: u64 = 1_000;

/// What the default of `CacheConfig` lets tokens take.
const BOUND: i64 = 16 << 20;
/// What may be held in all: the places that tokens stand in are beyond the bound, a thirtieth of it.
const MOST: i64 = BOUND + BOUND / 10;

/// Verifies them, and prints what was held at most.
pub fn within_bounds() {
    let started = Instant::now();
    let verifier = tokens::verifier_of_hs256();
    let (mut mint, used) = (Mint::new(), Used::new(&verifier));
    let (mut held, mut peak) = (0, 0);
    for part in 0..TOKENS / PART {
        let info = allocation_counter::measure(|| {
            for number in part * PART..(part + 1) * PART {
                // The token in use is the first one.
                see(&verifier, &mut mint, number + 1);
                if number % PAUSE == 0 {
                    used.comes_again(number);
                }
            }
        });
        let highest = i64::try_from(info.bytes_max).expect("a part of the memory of a machine");
        peak = peak.max(held + highest);
        held += info.bytes_current;
        let seen = (part + 1) * PART;
        assert!(
            peak <= MOST,
            "{peak} bytes were held within {seen} tokens, and {MOST} are allowed"
        );
    }
    assert!(held > BOUND / 2, "{held} bytes: what is allowed is used");
    println!(
        "{TOKENS} distinct tokens: {peak} bytes held at most, {held} in the end, of {MOST}; {:.1} s",
        started.elapsed().as_secs_f64()
    );
}

/// A new token is verified, and nobody keeps it but the verifier.
fn see(verifier: &Verifier, mint: &mut Mint, number: u64) {
    let verified = verifier.verify(&mint.token(number)).unwrap();
    let id = verified.token_id().map(str::parse);
    assert_eq!(id, Some(Ok(number)), "it is no other token");
}

/// A token that comes again and again.
struct Used<'v> {
    verifier: &'v Verifier,
    token: BearerToken<'static>,
    /// What was made of it when it came first.
    first: Arc<VerifiedToken>,
}

impl<'v> Used<'v> {
    fn new(verifier: &'v Verifier) -> Self {
        let token = Mint::new().token(0).into_owned();
        let first = verifier.verify(&token).unwrap();
        Self {
            verifier,
            token,
            first,
        }
    }

    fn comes_again(&self, number: u64) {
        let again = self.verifier.verify(&self.token).unwrap();
        assert!(
            Arc::ptr_eq(&again, &self.first),
            "at token {number} the one in use was forgotten"
        );
    }
}

/// Signs tokens of HS256, each in the room of the one before it: an issuer would take longer than the verifier.
struct Mint {
    key: hmac::Key,
    /// A claim is as long as it has to be.
    letters: String,
    payload: String,
    /// Begins with the header, which is that of all tokens.
    text: String,
    header: usize,
}

impl Mint {
    fn new() -> Self {
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{KEY_ID}"}}"#);
        let text = URL_SAFE_NO_PAD.encode_to_string(header);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &SECRET),
            letters: "x".repeat(256),
            payload: String::new(),
            header: text.len(),
            text,
        }
    }

    fn token(&mut self, number: u64) -> BearerToken<'_> {
        let Self {
            key,
            letters,
            payload,
            text,
            header,
        } = self;
        payload.clear();
        // They differ in length, so that one takes the place of two, and two that of one.
        let session = &letters[..(number * 31 % 256) as usize];
        let expiry = NOW + 900;
        write!(
            payload,
            r#"{{"iss":"{ISSUER}","sub":"alice","aud":"{AUDIENCE}","exp":{expiry},"jti":"{number}","sid":"{session}"}}"#
        )
        .unwrap();
        text.truncate(*header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_append(payload.as_bytes(), text);
        let signature = hmac::sign(key, text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_append(signature.as_ref(), text);
        BearerToken::new(text.as_str())
    }
}
