//! Tokens of about 360 bytes of claims, as an identity provider signs them, in files of one token each line.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tower_warden::{Algorithm, SigningKey, TokenIssuer};

pub(crate) const ISSUER: &str = "https://id.example/realms/acme";
pub(crate) const AUDIENCE: &str = "https://api.example";
pub(crate) const SUBJECT: &str = "3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// How many tokens take turns where each shall be new: what no cache of `first` keeps until it is its turn again.
const MANY: usize = 20_000;

/// The issuer of an algorithm, by its name in the arguments.
pub(crate) fn issuer(algorithm: &str) -> TokenIssuer {
    let key = match algorithm {
        "hs256" => SigningKey::hs256(SECRET),
        "rs256" => SigningKey::pem(
            include_str!("../../tests/keys/rsa2048.pem"),
            Algorithm::RS256,
        ),
        other => panic!("no gate {other}"),
    };
    TokenIssuer::builder(key.unwrap())
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .with_lifetime(Duration::from_hours(1))
        .build()
        .unwrap()
}

/// So many different tokens of one subject.
fn mint(issuer: &TokenIssuer, count: usize) -> String {
    let mut lines = String::new();
    for _ in 0..count {
        let token = issuer
            .mint(SUBJECT)
            .with_scopes(["openid", "profile", "chat:read", "chat:write"])
            .with_claim("azp", "web-app")
            .with_claim("sid", "6d2f7c1a-91b3-4f55")
            .with_claim("acr", "1")
            .with_claim("preferred_username", "alice@example.com")
            .sign()
            .unwrap();
        writeln!(lines, "{}", token.expose()).unwrap();
    }
    lines
}

/// The same token, and of its signature the first character is another.
fn forged(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{message}.{other}{}", &signature[1..])
}

/// The files of tokens.
pub(crate) struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    pub(crate) fn write() -> Self {
        let folder = std::env::temp_dir().join(format!("end_to_end-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let tokens = Self { folder };
        for algorithm in ["hs256", "rs256"] {
            let lines = mint(&issuer(algorithm), MANY);
            let one = lines.lines().next().unwrap();
            for (name, text) in [("", &*lines), ("-one", one), ("-forged", &forged(one))] {
                fs::write(tokens.file(&format!("{algorithm}{name}")), text).unwrap();
            }
        }
        tokens
    }

    /// `hs256` are many tokens of that algorithm, `hs256-one` is one of them, and `hs256-forged` almost one.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
