//! Tells the report which compiler this was built by.

use std::{env, process::Command};

fn main() {
    let rustc = env::var("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("the compiler runs");
    let version = String::from_utf8_lossy(&output.stdout);
    // "rustc 1.95.0 (hash date)"
    let version = version.split_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=COMPILER={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
