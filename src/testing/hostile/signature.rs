//! Signatures bent by a byte or a bit (RFC 7515 §5.2; CVE-2020-28042, CVE-2022-21449).

use super::{Hostile, form::bent_tail};
use crate::testing::forge::{Forge, base64url, input, with_signature};

pub(super) fn tokens(forge: &Forge<'_>) -> Vec<Hostile> {
    let signed = forge.good_input();
    let good = (forge.sign)(signed.as_bytes());
    let changed = |name, change: &dyn Fn(&mut Vec<u8>)| {
        let mut signature = good.clone();
        change(&mut signature);
        (name, with_signature(&signed, signature))
    };
    let flip = |byte: Option<&mut u8>, bit: u8| {
        if let Some(byte) = byte {
            *byte ^= bit;
        }
    };
    let other = input(
        forge.header().object(),
        forge.claims.clone().with("sub", "\"mallory\"").object(),
    );
    let mut tokens = vec![
        ("signature: empty", format!("{signed}.")),
        changed("signature: one byte short", &|bytes| {
            bytes.pop();
        }),
        changed("signature: half", &|bytes| bytes.truncate(bytes.len() / 2)),
        changed("signature: one byte", &|bytes| bytes.truncate(1)),
        changed("signature: one byte long", &|bytes| bytes.push(0)),
        changed("signature: a zero byte in front", &|bytes| {
            bytes.insert(0, 0);
        }),
        changed("signature: twice", &|bytes| bytes.extend_from_within(..)),
        changed("signature: all zero", &|bytes| bytes.fill(0)),
        changed("signature: all one", &|bytes| bytes.fill(0xff)),
        changed("signature: first half zero", &|bytes| {
            let half = bytes.len() / 2;
            bytes.iter_mut().take(half).for_each(|byte| *byte = 0);
        }),
        changed("signature: second half zero", &|bytes| {
            let half = bytes.len() / 2;
            bytes.iter_mut().skip(half).for_each(|byte| *byte = 0);
        }),
        changed("signature: reversed", &|bytes| bytes.reverse()),
        changed("signature: first bit flipped", &|bytes| {
            flip(bytes.first_mut(), 0x80);
        }),
        changed("signature: last bit flipped", &|bytes| {
            flip(bytes.last_mut(), 0x01);
        }),
        (
            "signature: of another message",
            with_signature(&signed, (forge.sign)(b"another message")),
        ),
        (
            "signature: of the claims alone",
            with_signature(&signed, (forge.sign)(forge.claims.object().as_bytes())),
        ),
        (
            "signature: of other claims",
            with_signature(&signed, (forge.sign)(other.as_bytes())),
        ),
        (
            "signature: in hexadecimal",
            format!(
                "{signed}.{}",
                good.iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            ),
        ),
        (
            "signature: encoded twice",
            with_signature(&signed, base64url(&good)),
        ),
    ];
    // A length that is a multiple of three leaves no unused bits.
    if !good.len().is_multiple_of(3) {
        tokens.push((
            "signature: unused bits set",
            format!("{signed}.{}", bent_tail(&base64url(&good))),
        ));
    }
    if forge.algorithm.starts_with("ES") {
        tokens.push((
            "signature: DER instead of raw",
            with_signature(&signed, der(&good)),
        ));
    }
    tokens
}

/// An ECDSA signature as X.509 and TLS write it; JWS wants its two numbers in fixed width (RFC 7518 §3.4).
fn der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    let body: Vec<u8> = [r, s].into_iter().flat_map(integer).collect();
    let mut der = vec![0x30];
    der.extend(length(body.len()));
    der.extend(body);
    der
}

fn integer(number: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = number
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    if digits.first().is_none_or(|byte| *byte >= 0x80) {
        digits.insert(0, 0);
    }
    let mut der = vec![0x02];
    der.extend(length(digits.len()));
    der.extend(digits);
    der
}

/// The lengths here stay below 256: one octet, or two from 128 on.
fn length(length: usize) -> Vec<u8> {
    let octet = u8::try_from(length).unwrap_or(u8::MAX);
    if octet < 0x80 {
        vec![octet]
    } else {
        vec![0x81, octet]
    }
}
