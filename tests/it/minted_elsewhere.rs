//! Tokens and keys as other libraries write them, jose for JavaScript and PyJWT: `tests/run minted`.

use std::{collections::HashMap, env, fs, path::PathBuf};

use serde::Deserialize;
use tower_warden::{BearerToken, CryptoBackend, Key, Keys, RejectionKind, Verifier};

use super::tokens::{ALGORITHMS, refusal, verify};

/// What `tests/clients/mint.mjs` and `tests/clients/mint.py` left there, by the name of the library.
fn minted(library: &str) -> PathBuf {
    let directory = env::var_os("MINTED_TOKENS").expect("MINTED_TOKENS names a directory");
    PathBuf::from(directory).join(library)
}

fn verifier(library: &str, backend: CryptoBackend) -> Verifier {
    let key = |algorithm| {
        let path = minted(library).join(format!("{algorithm:?}.jwk"));
        Key::jwk(fs::read(path).unwrap()).unwrap()
    };
    Verifier::builder(Keys::new(ALGORITHMS.map(key)).unwrap())
        .with_issuer(library)
        .with_audience("https://api.example")
        .with_backend(backend)
        .build()
        .unwrap()
}

fn tokens(library: &str) -> impl Iterator<Item = (String, String)> {
    ALGORITHMS.into_iter().map(move |algorithm| {
        let name = format!("{algorithm:?}");
        let path = minted(library).join(format!("{name}.jwt"));
        (name, fs::read_to_string(path).unwrap())
    })
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[test]
#[ignore = "needs the tokens that tests/clients/mint.mjs and mint.py mint"]
fn tokens_of_every_algorithm_are_accepted_from_jose_and_from_pyjwt() {
    for (library, &backend) in ["jose", "pyjwt"].into_iter().flat_map(|library| {
        CryptoBackend::ALL
            .iter()
            .map(move |backend| (library, backend))
    }) {
        let verifier = verifier(library, backend);
        for (algorithm, token) in tokens(library) {
            let case = format!("{library} {algorithm} {backend:?}");
            let verified =
                verify(&verifier, &token).unwrap_or_else(|kind| panic!("{case}: {kind:?}"));
            let named = verified
                .algorithm()
                .map(|algorithm| format!("{algorithm:?}"));
            assert_eq!(named, Some(algorithm), "{case}");
            assert_eq!(verified.subject(), Some("alice"), "{case}");
            assert!(verified.has_scope("write"), "{case}");
            assert_eq!(verified.claims::<Named>().unwrap().name, "Zoë", "{case}");
        }
    }
}

#[test]
#[ignore = "needs the tokens that tests/clients/mint.mjs and mint.py mint"]
fn a_signature_holds_for_its_own_token_and_key_only() {
    for &backend in CryptoBackend::ALL {
        let verifiers = ["jose", "pyjwt"].map(|library| verifier(library, backend));
        for (verifier, library, other) in [
            (&verifiers[0], "jose", "pyjwt"),
            (&verifiers[1], "pyjwt", "jose"),
        ] {
            // The payload of one token under the signature of another of the same library and algorithm family.
            let tokens: HashMap<_, _> = tokens(library).collect();
            for (one, another) in [("RS256", "PS256"), ("HS256", "HS512"), ("ES256", "EdDSA")] {
                let (message, _) = tokens[one].rsplit_once('.').unwrap();
                let (_, signature) = tokens[another].rsplit_once('.').unwrap();
                let crossed = format!("{message}.{signature}");
                assert_eq!(
                    refusal(verifier, &crossed),
                    RejectionKind::SignatureInvalid,
                    "{library} {one}"
                );
            }
            for (algorithm, token) in self::tokens(other) {
                let refused = verifier.verify(&BearerToken::new(&token)).unwrap_err();
                assert_eq!(
                    refused.kind(),
                    RejectionKind::KeyUnknown,
                    "{other} {algorithm}"
                );
            }
        }
    }
}
