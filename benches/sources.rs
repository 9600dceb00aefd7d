//! Question: what does it cost to take the token out of a request, and to cut it out of its URI?
//!
//! Baseline: the plain way with the usual tools in the same run, `to_str` and `split` for the header, `form_urlencoded`
//! for the query, `Cookie::split_parse` for the cookie. The token is 920 bytes long, as one signed with RS256. The plain
//! ways look for one token and stop; ours also make sure that there is no second one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use cookie::Cookie;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, header, request::Parts};
use tower_warden::{AuthorizationHeader, CookieToken, HeadRef, QueryParameter, TokenSource};

/// A token of three parts, with every character of its alphabet.
fn token() -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let text = alphabet.repeat(15);
    format!("{}.{}.{}", &text[..96], &text[..480], &text[..342])
}

fn head(request: http::request::Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

fn length(source: &impl TokenSource, head: &Parts) -> usize {
    source
        .extract(HeadRef::from(black_box(head)))
        .unwrap()
        .map_or(0, |token| token.expose().len())
}

fn authorization(c: &mut Criterion) {
    let head = head(Request::get("/chat").header("authorization", format!("Bearer {}", token())));
    let source = AuthorizationHeader::new();
    let mut group = c.benchmark_group("header");
    group.bench_function("ours", |b| b.iter(|| length(&source, &head)));
    group.bench_function("to_str + split + to_string", |b| {
        b.iter(|| {
            let line = black_box(&head).headers.get(header::AUTHORIZATION).unwrap();
            let (scheme, token) = line.to_str().unwrap().split_once(' ').unwrap();
            assert_eq!(scheme, "Bearer");
            token.to_string().len()
        });
    });
    let none = self::head(Request::get("/chat"));
    group.bench_function("ours, absent", |b| b.iter(|| length(&source, &none)));
    group.finish();
}

fn query(c: &mut Criterion) {
    let uri = format!(
        "/chat?agent=helper&room=42&_pk=0f3c9d&access_token={}&lang=en&v=2",
        token()
    );
    let head = head(
        Request::get(uri)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket"),
    );
    let (handshake, everywhere) = (
        QueryParameter::access_token(),
        QueryParameter::access_token().everywhere(),
    );
    let mut group = c.benchmark_group("query, 6 pairs");
    group.bench_function("ours", |b| b.iter(|| length(&everywhere, &head)));
    group.bench_function("ours, handshake checked", |b| {
        b.iter(|| length(&handshake, &head));
    });
    group.bench_function("form_urlencoded", |b| {
        b.iter(|| {
            form_urlencoded::parse(black_box(&head).uri.query().unwrap().as_bytes())
                .find(|(name, _)| name == "access_token")
                .unwrap()
                .1
                .into_owned()
                .len()
        });
    });
    group.bench_function("ours, cut out of the URI", |b| {
        b.iter_batched_ref(
            || head.clone(),
            |head| everywhere.conceal(head),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn cookie(c: &mut Criterion) {
    let ours = format!("jwt_token={}", token());
    let mut others = String::new();
    for index in 0.. {
        if others.len() + ours.len() + 2 >= 2_000 {
            break;
        }
        others.push_str(&format!(
            "_ga_{index}=GS1.1.17000000{index}.1.1.1700001234.0; "
        ));
    }
    let others = others.trim_end_matches("; ");
    let source = CookieToken::new("jwt_token").unwrap();
    let mut group = c.benchmark_group("cookie, 2 KB");
    for (place, line) in [
        ("last", format!("{others}; {ours}")),
        ("first", format!("{ours}; {others}")),
    ] {
        let head = head(Request::get("/chat").header("cookie", line));
        group.bench_function(format!("ours, {place}"), |b| {
            b.iter(|| length(&source, &head));
        });
        group.bench_function(format!("Cookie::split_parse, {place}"), |b| {
            b.iter(|| {
                let line = black_box(&head).headers.get(header::COOKIE).unwrap();
                Cookie::split_parse(line.to_str().unwrap())
                    .flatten()
                    .find(|cookie| cookie.name() == "jwt_token")
                    .unwrap()
                    .value()
                    .len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, authorization, query, cookie);
criterion_main!(benches);
