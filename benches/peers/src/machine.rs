//! Where and by what this was measured: features of the machine, versions and the day, and no names.

use std::{fs, thread};

/// The lock file of this package.
const LOCK: &str = include_str!("../Cargo.lock");

/// What the table stands under.
pub(crate) fn description() -> String {
    let cores = thread::available_parallelism().unwrap();
    let features = match features() {
        found if found.is_empty() => String::new(),
        found => format!(" with {}", found.join(", ")),
    };
    format!(
        "{}, {cores} {} cores{features}, {}, rustc {}",
        date(),
        std::env::consts::ARCH,
        std::env::consts::OS,
        env!("COMPILER")
    )
}

/// The version of a package that is measured, the latest of several.
pub(crate) fn version(package: &str) -> &'static str {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines();
    let mut version = "";
    while lines.any(|line| line == name) {
        let line = lines.next().unwrap_or_default();
        version = line.trim_start_matches("version = ").trim_matches('"');
    }
    version
}

fn date() -> String {
    let mut now = jiff::Timestamp::now().to_string();
    now.truncate("2026-11-22".len());
    now
}

/// What of the processor matters to signatures and hashes.
fn features() -> Vec<&'static str> {
    const FEATURES: [(&str, &str); 8] = [
        ("sha_ni", "SHA-NI"),
        ("avx2", "AVX2"),
        ("adx", "ADX"),
        ("avx512f", "AVX-512"),
        ("avx512ifma", "AVX-512 IFMA"),
        ("asimd", "NEON"),
        ("sha2", "SHA-2 instructions"),
        ("sha512", "SHA-512 instructions"),
    ];
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text
        .lines()
        .find(|line| line.starts_with("flags") || line.starts_with("Features"))
        .unwrap_or_default();
    let has = |name: &str| flags.split_whitespace().any(|flag| flag == name);
    let found = FEATURES.into_iter().filter(|(flag, _)| has(flag));
    found.map(|(_, name)| name).collect()
}
