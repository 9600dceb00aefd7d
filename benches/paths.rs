//! Question: what does the decision about a path add to a request that needs no credentials, and does it grow with the
//! number of rules? Budget: 20 ns for the whole exempt request, so about 10 to 20 ns here.
//! Baseline: `bare`, one comparison of the path with one string, which no gate can go below.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use tower_warden::{Access, Paths};

/// Half of the rules exempt a tree, the other half protect a leaf in it.
fn rules(number: usize) -> Paths {
    (1..number).fold(Paths::all().exempt("/auth/*"), |paths, at| match at % 2 {
        0 => paths.exempt(format!("/open{at}/*")),
        _ => paths.protect(format!("/open{}/secret", at + 1)),
    })
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("paths");
    group.bench_function("bare", |bencher| {
        bencher.iter(|| black_box("/auth/login") == black_box("/auth/login"));
    });
    for number in [1, 10, 1_000] {
        let paths = rules(number).compile().unwrap();
        for (name, path, access) in [
            ("exempt", "/auth/login", Access::Public),
            ("protected", "/chat/9f4a2c7e", Access::Required),
            (
                "long",
                "/agents/chat-agent/room-9f4a2c7e/get-messages",
                Access::Required,
            ),
            ("escaped", "/auth/a%20name", Access::Public),
            ("not canonical", "/auth/../chat", Access::Required),
        ] {
            assert_eq!(paths.decide(&Method::GET, path).access(), access, "{path}");
            group.bench_with_input(BenchmarkId::new(name, number), path, |bencher, path| {
                bencher.iter(|| {
                    paths
                        .decide(black_box(&Method::GET), black_box(path))
                        .access()
                });
            });
        }
    }
    let only = Paths::only([
        "/chat/:path*",
        "/stop/:path*",
        "/history/:path*",
        "/agents/:path*",
    ]);
    let only = only.compile().unwrap();
    let long = format!("/files/{}", "a".repeat(327));
    let many = format!("{}/a", "//..//%3b/..".repeat(28)).split_off(4);
    assert_eq!((long.len(), many.len()), (334, 334));
    for (name, path) in [
        ("only/exempt", "/auth/login"),
        ("only/protected", "/chat/9f4a2c7e"),
        ("only/not canonical", "/auth/../chat"),
        (
            "only/tangled",
            "/a;b/%3b%5c%2f%2e%2e%00%0a/%2525252e/..//x\\..\\y",
        ),
        // Their ratio is what such a path costs: the readings are bounded.
        ("only/334 bytes", long.as_str()),
        ("only/334 bytes, many readings", many.as_str()),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                only.decide(black_box(&Method::GET), black_box(path))
                    .access()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
