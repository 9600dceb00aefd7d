//! How does the cost grow: with the rules for paths, with the issuers, with the tokens that take turns?
//!
//! `cargo bench --bench curves` prints a table in Markdown for each, in about two minutes; `cargo bench --bench curves --
//! paths`, `issuers` or `tokens` prints one.
//!
//! | table | question | baseline |
//! | --- | --- | --- |
//! | `paths` | one decision, with 10, 100 and 1 000 rules | 10 rules |
//! | `issuers` | one verification, with 1, 10 and 100 issuers, whose tokens take turns | a verifier of one issuer that chooses none |
//! | `tokens` | one verification, with 1 to 1 000 000 tokens that take turns, and what is kept of them | a verifier without cache |
//!
//! Each figure is the median of rounds that take turns. On Linux it is the time of the thread that is measured, so that
//! what else runs on the machine is not; memory is what the process has resident.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/thread_time.rs"]
mod thread_time;

use std::{env, fs, hint::black_box, sync::Arc, time::Duration};

use http::Method;
use tower_warden::{
    Access, BearerToken, CompiledPaths, Keys, Paths, SigningKey, TokenIssuer, Verifier,
    VerifierBuilder,
};

use thread_time::thread_time;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let asked = |table: &str| arguments.len() == 1 || arguments.iter().any(|name| name == table);
    if asked("paths") {
        paths();
    }
    if asked("issuers") {
        issuers();
    }
    if asked("tokens") {
        tokens();
    }
}

/// The verifier as it comes.
fn as_it_comes(builder: VerifierBuilder) -> Verifier {
    builder.build().unwrap()
}

/// The verifier to which each token is a new one.
fn without_cache(builder: VerifierBuilder) -> Verifier {
    builder.without_cache().build().unwrap()
}

/// What it is called, the path where the last rule of its kind is this one, and what has to be decided about it.
type Question = (&'static str, fn(usize) -> String, Access);

fn paths() {
    let sizes = [10, 100, 1_000];
    let compiled = sizes.map(|size| rules(size).compile().unwrap());
    // The last rule of each kind.
    let last = |size: usize| size / 4 * 4;
    let questions: [Question; 6] = [
        (
            "exempt, `/auth/*`",
            |_| "/auth/login".into(),
            Access::Public,
        ),
        (
            "exempt, `/open7/*`",
            |last| format!("/open{}/page", last / 2 - 1),
            Access::Public,
        ),
        (
            "exempt, `/t/{tenant}/shown8`",
            |last| format!("/t/acme/shown{}", last - 4),
            Access::Public,
        ),
        (
            "guarded, `/open7/secret`",
            |last| format!("/open{}/secret", last / 2 - 1),
            Access::Required,
        ),
        (
            "guarded, by no rule",
            |_| "/agents/chat-agent/room-9f4a2c7e".into(),
            Access::Required,
        ),
        (
            "guarded, not canonical",
            |_| "/auth/../chat".into(),
            Access::Required,
        ),
    ];
    println!("\nPaths: one decision, ns, by the number of rules.\n");
    head(&["path", "10", "100", "1 000"]);
    for (name, path, access) in questions {
        let asked: Vec<(&CompiledPaths, String)> =
            compiled.iter().zip(sizes.map(last).map(path)).collect();
        for (paths, path) in &asked {
            assert_eq!(paths.decide(&Method::GET, path).access(), access, "{path}");
        }
        let decide = |(paths, path): &(&CompiledPaths, String)| {
            let decision = paths.decide(black_box(&Method::GET), black_box(path));
            black_box(decision.access());
        };
        let times = take_turns(
            101,
            asked
                .iter()
                .map(|asked| move || each(2_000, || decide(asked))),
        );
        row(name, times.iter().map(|time| format!("{time:.0}")));
    }
}

/// A quarter of the rules each: exempt trees, a guarded leaf in each tree, exempt leaves below a wildcard, guarded ones.
fn rules(number: usize) -> Paths {
    (2..number).fold(
        Paths::all().exempt("/auth/*").protect("/auth/ticket"),
        |paths, at| match at % 4 {
            0 => paths.exempt(format!("/t/{{tenant}}/shown{at}")),
            1 => paths.protect(format!("/t/{{tenant}}/kept{at}")),
            2 => paths.exempt(format!("/open{}/*", at / 2)),
            _ => paths.protect(format!("/open{}/secret", at / 2)),
        },
    )
}

fn issuers() {
    println!("\nIssuers: one verification of HS256, ns, one token of each taking its turn.\n");
    head(&["issuers", "first-seen token", "repeat token"]);
    let sizes = [None, Some(1), Some(10), Some(100)];
    let several = |size: Option<usize>, build: fn(VerifierBuilder) -> Verifier| {
        let one = |number| build(builder(&realm(number)));
        match size {
            None => one(0),
            Some(size) => Verifier::issuers((0..size).map(one)).unwrap(),
        }
    };
    let texts: Vec<String> = (0..100)
        .map(|number| mint(&realm(number), "alice"))
        .collect();
    let verifiers = sizes.map(|size| [several(size, without_cache), several(size, as_it_comes)]);
    let measured = sizes.iter().zip(&verifiers).flat_map(|(size, verifiers)| {
        let texts = &texts[..size.unwrap_or(1)];
        verifiers.iter().map(move |verifier| {
            let mut turn = texts.iter().cycle();
            move || each(400, || verify(verifier, turn.next().unwrap()))
        })
    });
    let times = take_turns(201, measured);
    for (size, times) in sizes.iter().zip(times.chunks(2)) {
        let name = size.map_or(String::from("(a verifier of one)"), |size| size.to_string());
        row(&name, times.iter().map(|time| format!("{time:.0}")));
    }
}

fn tokens() {
    const MOST: usize = 1_000_000;
    /// How many verifications a round has at least.
    const ROUND: usize = 20_000;

    let issuer = realm(0);
    let mut all = String::new();
    let mut ends = vec![0];
    for number in 0..MOST {
        all.push_str(&mint(
            &issuer,
            &format!("3f1c9a52-7c1e-4b8e-9a70-{number:012}"),
        ));
        ends.push(all.len());
    }
    let token = |number: usize| &all[ends[number]..ends[number + 1]];
    println!(
        "\nTokens: one verification of HS256, ns, {} bytes a token.\n",
        all.len() / MOST
    );
    head(&[
        "tokens taking turns",
        "as it comes",
        "without cache",
        "hits",
        "more memory (RSS), MiB",
    ]);

    // None is dropped, so that memory that is given back is not taken anew.
    let mut verifiers = Vec::new();
    for size in [1, 10, 100, 1_000, 10_000, 100_000, MOST] {
        let pass = |verifier: &Verifier| (0..size).for_each(|at| verify(verifier, token(at)));
        let [cached, cold] = [as_it_comes, without_cache].map(|build| build(builder(&issuer)));
        pass(&cold);
        let before = resident();
        pass(&cached);
        pass(&cached);
        let kept = resident().saturating_sub(before);

        let passes = u32::try_from(ROUND.div_ceil(size)).unwrap();
        let rounds = if size > ROUND { 3 } else { 41 };
        let times = take_turns(
            rounds,
            [&cached, &cold].map(|verifier| move || each(passes, || pass(verifier)) / size as f64),
        );
        let [with, without] = times[..] else {
            unreachable!("there are two");
        };
        let hits = hits(&cached, size, token);
        row(
            &grouped(size),
            [
                format!("{with:.0}"),
                format!("{without:.0}"),
                format!("{hits:.0} %"),
                format!("{:.1}", kept as f64 / (1 << 20) as f64),
            ],
        );
        verifiers.push(cached);
    }
}

/// How many of the tokens, in percent, are found again by the time their turn comes: those that come out as the very
/// same value. Only some of them are looked at.
fn hits<'t>(verifier: &Verifier, size: usize, token: impl Fn(usize) -> &'t str) -> f64 {
    let step = size.div_ceil(10_000);
    let verified = |at| verifier.verify(&BearerToken::new(token(at))).unwrap();
    // A weak reference keeps the place in memory from being taken by another.
    let mut seen = Vec::new();
    for at in 0..size {
        let verified = verified(at);
        if at % step == 0 {
            seen.push(Arc::downgrade(&verified));
        }
    }
    let mut found = 0;
    for at in 0..size {
        let verified = verified(at);
        if at % step == 0 && Arc::as_ptr(&verified) == seen[at / step].as_ptr() {
            found += 1;
        }
    }
    100.0 * f64::from(found) / seen.len() as f64
}

/// The issuer of that number, with a secret of its own.
fn realm(number: usize) -> (String, TokenIssuer) {
    let name = format!("https://id.example/realms/{number}");
    let key = SigningKey::hs256(format!("0123456789abcdef0123456789{number:06}")).unwrap();
    let issuer = TokenIssuer::builder(key)
        .with_issuer(&name)
        .with_audience("https://api.example")
        .with_lifetime(Duration::from_hours(24))
        .build()
        .unwrap();
    (name, issuer)
}

fn builder((name, issuer): &(String, TokenIssuer)) -> VerifierBuilder<Keys> {
    Verifier::builder(issuer.verification_keys())
        .with_issuer(name)
        .with_audience("https://api.example")
}

fn mint((_, issuer): &(String, TokenIssuer), subject: &str) -> String {
    let token = issuer
        .mint(subject)
        .with_scopes(["openid", "profile", "chat:read", "chat:write"])
        .with_claim("azp", "web-app")
        .with_claim("sid", "6d2f7c1a-91b3-4f55")
        .with_claim("acr", "1")
        .with_claim("preferred_username", "alice@example.com")
        .sign()
        .unwrap();
    token.expose().to_owned()
}

fn verify(verifier: &Verifier, text: &str) {
    let verified = verifier.verify(black_box(&BearerToken::new(text)));
    assert!(black_box(verified).is_ok());
}

/// The nanoseconds of one call, among so many.
fn each(times: u32, mut call: impl FnMut()) -> f64 {
    let begun = thread_time();
    for _ in 0..times {
        call();
    }
    (thread_time() - begun).as_nanos() as f64 / f64::from(times)
}

/// Measures each in so many rounds, which take turns, and gives the medians.
fn take_turns<M: FnMut() -> f64>(rounds: usize, measured: impl IntoIterator<Item = M>) -> Vec<f64> {
    let mut measured: Vec<(M, Vec<f64>)> = measured.into_iter().map(|m| (m, Vec::new())).collect();
    for _ in 0..rounds {
        for (measure, times) in &mut measured {
            times.push(measure());
        }
    }
    let median = |(_, mut times): (M, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    measured.into_iter().map(median).collect()
}

/// The bytes that this process has in memory; 0 where nobody says so.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    kilobytes.map_or(0, |kilobytes| kilobytes.parse::<usize>().unwrap() * 1024)
}

fn head(names: &[&str]) {
    row(names[0], names[1..].iter().map(ToString::to_string));
    row("---", names[1..].iter().map(|_| String::from("---:")));
}

fn row(name: &str, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{} {:03}", grouped(number / 1_000), number % 1_000),
    }
}
