//! What went wrong elsewhere, tried here: a test per hazard, named after it.

use std::time::Duration;

use tower_warden::{Algorithm, BearerToken, Key, Keys, RejectionKind, Verifier};

use RejectionKind::{
    AlgorithmNotAllowed, ClaimInvalid, KeyUnknown, SignatureInvalid, TokenExpired, TokenMalformed,
};

use super::tokens::{
    ALGORITHMS, SECRET, TestClock, base64, hs256, key, keys, public_pem, refusal, secret,
    signature, signed, token, verifier, verify,
};

const CLAIMS: &str = r#"{"sub":"alice","exp":2000}"#;

fn header(algorithm: Algorithm) -> String {
    format!(r#"{{"alg":"{algorithm:?}"}}"#)
}

fn verifier_of(algorithm: Algorithm) -> Verifier {
    let clock = TestClock::at(1_000);
    Verifier::builder(keys(algorithm))
        .with_clock(clock)
        .build()
        .unwrap()
}

#[test]
fn alg_none_in_any_spelling() {
    let verifier = verifier().build().unwrap();
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "\\u006eone",
        "none\\u0000",
        "",
    ] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        let good = token(&header, CLAIMS, Algorithm::HS256);
        assert_eq!(refusal(&verifier, &good), AlgorithmNotAllowed, "{alg}");
        let (message, _) = good.rsplit_once('.').unwrap();
        assert_eq!(
            refusal(&verifier, &format!("{message}.")),
            TokenMalformed,
            "{alg}"
        );
        assert_eq!(refusal(&verifier, message), TokenMalformed, "{alg}");
        assert_eq!(
            refusal(&verifier, &format!("{message}.AA")),
            AlgorithmNotAllowed,
            "{alg}"
        );
    }
}

#[test]
fn public_key_used_as_hmac_secret() {
    // The attacker signs with the public key's text, in each form he may have found it in.
    for algorithm in ALGORITHMS {
        if matches!(
            algorithm,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
        ) {
            continue;
        }
        let pem = public_pem(algorithm);
        let verifier = verifier_of(algorithm);
        for text in [
            pem.to_owned(),
            pem.trim().to_owned(),
            pem.replace('\n', "\r\n"),
            format!(" {pem}"),
        ] {
            let encoding = jsonwebtoken::EncodingKey::from_secret(text.as_bytes());
            let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
            for hmac in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let message = format!("{}.{}", base64(header(hmac)), base64(CLAIMS));
                let signer = (provider.signer_factory)(&hmac, &encoding).unwrap();
                let signature = base64(signer.try_sign(message.as_bytes()).unwrap());
                assert_eq!(
                    refusal(&verifier, &format!("{message}.{signature}")),
                    AlgorithmNotAllowed
                );
            }
            assert!(Keys::hs256([&text]).is_err());
        }
    }
}

#[test]
fn alg_taken_from_the_token() {
    // One verifier holds an RSA key, an EC key and a secret, all under the same roof: each answers for its own only.
    let all = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256];
    let keys = Keys::new(all.map(|algorithm| key(algorithm).with_id(format!("{algorithm:?}"))));
    let verifier = Verifier::builder(keys.unwrap())
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap();
    for signer in all {
        for claimed in ALGORITHMS {
            for id in all {
                let header = format!(r#"{{"alg":"{claimed:?}","kid":"{id:?}"}}"#);
                let verdict = verify(&verifier, &token(header, CLAIMS, signer)).map(|_| ());
                let expected = match (all.contains(&claimed), claimed == id, claimed == signer) {
                    (false, ..) => Err(AlgorithmNotAllowed),
                    (true, false, _) => Err(KeyUnknown),
                    (true, true, false) => Err(SignatureInvalid),
                    (true, true, true) => Ok(()),
                };
                assert_eq!(verdict, expected, "{signer:?} as {claimed:?} with {id:?}");
            }
        }
    }
}

#[test]
fn one_rsa_key_serves_rs256_and_ps256() {
    let verifier = verifier_of(Algorithm::RS256);
    for claimed in [
        Algorithm::PS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS384,
    ] {
        let kind = refusal(&verifier, &token(header(claimed), CLAIMS, claimed));
        assert_eq!(kind, AlgorithmNotAllowed, "{claimed:?}");
        let kind = refusal(&verifier, &token(header(Algorithm::RS256), CLAIMS, claimed));
        assert_eq!(kind, SignatureInvalid, "{claimed:?}");
    }
}

#[test]
fn mixed_family_allow_list() {
    let keys =
        Keys::new(ALGORITHMS.map(|algorithm| key(algorithm).with_id(format!("{algorithm:?}"))));
    let verifier = Verifier::builder(keys.unwrap())
        .with_clock(TestClock::at(1_000))
        .with_algorithms([Algorithm::HS256, Algorithm::EdDSA])
        .build()
        .unwrap();
    for algorithm in ALGORITHMS {
        let header = format!(r#"{{"alg":"{algorithm:?}","kid":"{algorithm:?}"}}"#);
        let verdict = verify(&verifier, &token(header, CLAIMS, algorithm)).map(|_| ());
        let allowed = matches!(algorithm, Algorithm::HS256 | Algorithm::EdDSA);
        assert_eq!(
            verdict,
            if allowed {
                Ok(())
            } else {
                Err(AlgorithmNotAllowed)
            },
            "{algorithm:?}"
        );
    }
}

#[test]
fn missing_key_becomes_an_empty_hmac_key() {
    let keys = Keys::new([Key::secret(SECRET, Algorithm::HS256)
        .unwrap()
        .with_id("known")])
    .unwrap();
    let verifier = Verifier::builder(keys)
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap();
    let message = format!(
        "{}.{}",
        base64(r#"{"alg":"HS256","kid":"unknown"}"#),
        base64(CLAIMS)
    );
    for secret in [&b""[..], &[0; 32], &SECRET] {
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        let encoding = jsonwebtoken::EncodingKey::from_secret(secret);
        let signer = (provider.signer_factory)(&Algorithm::HS256, &encoding).unwrap();
        let signature = base64(signer.try_sign(message.as_bytes()).unwrap());
        assert_eq!(
            refusal(&verifier, &format!("{message}.{signature}")),
            KeyUnknown
        );
    }
}

#[test]
fn signature_of_zeros_or_of_another_form_or_length() {
    for algorithm in ALGORITHMS {
        let verifier = verifier_of(algorithm);
        let message = format!("{}.{}", base64(header(algorithm)), base64(CLAIMS));
        let good = signature(message.as_bytes(), algorithm);
        let length = good.len();
        let der = |r: &[u8], s: &[u8]| {
            let mut out = vec![0x30, (r.len() + s.len() + 4) as u8];
            for part in [r, s] {
                out.extend([0x02, part.len() as u8]);
                out.extend(part);
            }
            out
        };
        let (r, s) = good.split_at(length / 2);
        for (case, bytes) in [
            ("zeros", vec![0; length]),
            ("ones", vec![0xff; length]),
            ("one zero", vec![0]),
            ("r = 0", [&vec![0; r.len()], s].concat()),
            ("s = 0", [r, &vec![0; s.len()]].concat()),
            ("der", der(&r[..r.len().min(100)], &s[..s.len().min(100)])),
            ("truncated", good[..length - 1].to_vec()),
            ("truncated in front", good[1..].to_vec()),
            ("half", r.to_vec()),
            ("extended", [&good, &[0][..]].concat()),
            ("extended in front", [&[0][..], &good].concat()),
            ("twice", [&good[..], &good].concat()),
            ("beyond the room on the stack", vec![1; 3_000]),
        ] {
            let text = format!("{message}.{}", base64(bytes));
            assert_eq!(
                refusal(&verifier, &text),
                SignatureInvalid,
                "{algorithm:?}: {case}"
            );
        }
        for (case, kind) in [
            (String::new(), TokenMalformed),
            ("A".to_owned(), TokenMalformed),
        ] {
            assert_eq!(refusal(&verifier, &format!("{message}.{case}")), kind);
        }
        assert!(verify(&verifier, &format!("{message}.{}", base64(good))).is_ok());
    }
}

#[test]
fn crit_ignored_and_detached_payload() {
    let verifier = verifier().build().unwrap();
    for member in [
        r#""crit":["exp"],"exp":1"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":["http://example.com/x"],"http://example.com/x":true"#,
        r#""crit":[]"#,
        r#""crit":"exp""#,
        r#""\u0063rit":["exp"]"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
    ] {
        let text = token(
            format!(r#"{{"alg":"HS256",{member}}}"#),
            CLAIMS,
            Algorithm::HS256,
        );
        assert_eq!(refusal(&verifier, &text), TokenMalformed, "{member}");
    }
    let detached = signed(&base64(header(Algorithm::HS256)), "", Algorithm::HS256);
    assert_eq!(refusal(&verifier, &detached), TokenMalformed);
    let unencoded = signed(
        &base64(r#"{"alg":"HS256","b64":false}"#),
        CLAIMS,
        Algorithm::HS256,
    );
    assert_eq!(refusal(&verifier, &unencoded), TokenMalformed);
}

#[test]
fn keys_in_the_token_are_trusted() {
    // A token that brings the key it was signed with is refused like any other of a stranger; one that is signed by us
    // is accepted whatever it brings. Nothing here could fetch a URL.
    let verifier = verifier_of(Algorithm::ES256);
    let members = r#""jku":"https://evil.example/jwks.json","x5u":"https://evil.example/x","x5c":["MIIB"],
        "jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let stranger = token(
        format!(r#"{{"alg":"EdDSA",{members}}}"#),
        CLAIMS,
        Algorithm::EdDSA,
    );
    assert_eq!(refusal(&verifier, &stranger), AlgorithmNotAllowed);
    let disguised = token(
        format!(r#"{{"alg":"ES256",{members}}}"#),
        CLAIMS,
        Algorithm::EdDSA,
    );
    assert_eq!(refusal(&verifier, &disguised), SignatureInvalid);
    let ours = token(
        format!(r#"{{"alg":"ES256",{members}}}"#),
        CLAIMS,
        Algorithm::ES256,
    );
    assert!(verify(&verifier, &ours).is_ok());
}

#[test]
fn kid_as_path_sql_url_or_template() {
    let keys = Keys::new([key(Algorithm::HS256).with_id("a")]).unwrap();
    let verifier = Verifier::builder(keys)
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap();
    let with_id = |id: &str| {
        let header = serde_json::json!({ "alg": "HS256", "kid": id }).to_string();
        token(header, CLAIMS, Algorithm::HS256)
    };
    assert!(verify(&verifier, &with_id("a")).is_ok());
    for id in [
        "",
        "A",
        "a ",
        " a",
        "a\0",
        "../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "https://evil.example/k",
        "{{7*7}}",
        "${jndi:ldap://evil.example}",
        "a\r\nX: y",
        "a,b",
        "*",
        "é",
        &"k".repeat(256),
    ] {
        assert_eq!(refusal(&verifier, &with_id(id)), KeyUnknown, "{id}");
    }
    assert_eq!(
        refusal(&verifier, &with_id(&"k".repeat(257))),
        TokenMalformed
    );
    for id in ["7", "null", "[\"a\"]", "{}", "true"] {
        let text = token(
            format!(r#"{{"alg":"HS256","kid":{id}}}"#),
            CLAIMS,
            Algorithm::HS256,
        );
        assert_eq!(refusal(&verifier, &text), TokenMalformed, "{id}");
    }
}

#[test]
fn jwe_instead_of_jws() {
    let verifier = verifier().build().unwrap();
    for alg in ["dir", "RSA-OAEP", "PBES2-HS256+A128KW", "A128KW"] {
        let header = format!(r#"{{"alg":"{alg}","enc":"A128GCM","p2c":2147483647,"p2s":"AA"}}"#);
        let three = token(&header, CLAIMS, Algorithm::HS256);
        assert_eq!(refusal(&verifier, &three), TokenMalformed, "{alg}");
        let five = format!("{}..AAAA.AAAA.AAAA", base64(&header));
        assert_eq!(refusal(&verifier, &five), TokenMalformed, "{alg}");
        let bare = token(format!(r#"{{"alg":"{alg}"}}"#), CLAIMS, Algorithm::HS256);
        assert_eq!(refusal(&verifier, &bare), AlgorithmNotAllowed, "{alg}");
    }
    // A token within a token is a payload that is no JSON object.
    assert_eq!(refusal(&verifier, &hs256(hs256(CLAIMS))), TokenMalformed);
}

#[test]
fn deep_json_and_huge_header() {
    let clock = TestClock::at(1_000);
    let verifier = Verifier::builder(keys(Algorithm::HS256))
        .with_clock(clock)
        .with_max_token_size(64 * 1024)
        .build()
        .unwrap();
    for depth in [33, 129, 10_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let payload = format!(r#"{{"sub":"alice","exp":2000,"x":{nested}}}"#);
        assert_eq!(
            refusal(&verifier, &hs256(payload)),
            TokenMalformed,
            "{depth}"
        );
        let header = format!(r#"{{"alg":"HS256","x":{nested}}}"#);
        assert_eq!(
            refusal(&verifier, &token(header, CLAIMS, Algorithm::HS256)),
            TokenMalformed
        );
    }
    // Large is not wrong: an ignored certificate chain beyond the room on the stack.
    let header = format!(r#"{{"alg":"HS256","x5c":["{}"]}}"#, "M".repeat(20_000));
    assert!(verify(&verifier, &token(header, CLAIMS, Algorithm::HS256)).is_ok());
    // Thousands of names cost no more than their length.
    let names: String = (0..4_000).map(|n| format!("\"n{n}\":0,")).collect();
    assert!(
        verify(
            &verifier,
            &hs256(format!(r#"{{{names}"sub":"alice","exp":2000}}"#))
        )
        .is_ok()
    );
    let twice = hs256(format!(r#"{{{names}"n3999":0,"sub":"alice","exp":2000}}"#));
    assert_eq!(refusal(&verifier, &twice), TokenMalformed);
}

#[test]
fn duplicate_members() {
    let verifier = verifier().build().unwrap();
    for payload in [
        r#"{"sub":"alice","sub":"bob","exp":2000}"#,
        r#"{"sub":"alice","s\u0075b":"bob","exp":2000}"#,
        r#"{"sub":"alice","exp":2000,"exp":900}"#,
        r#"{"sub":"alice","exp":2000,"exp":2000}"#,
        r#"{"sub":"alice","exp":2000,"x":{"a":1,"a":1}}"#,
    ] {
        assert_eq!(
            refusal(&verifier, &hs256(payload)),
            TokenMalformed,
            "{payload}"
        );
    }
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","x":{"a":1,"a":1}}"#,
    ] {
        let text = token(header, CLAIMS, Algorithm::HS256);
        assert_eq!(refusal(&verifier, &text), TokenMalformed, "{header}");
    }
}

#[test]
fn exp_or_nbf_of_wrong_type_counted_as_absent() {
    let lax = verifier().dangerous_without_expiry().build().unwrap();
    let strict = verifier().build().unwrap();
    for value in [
        r#""2000""#,
        r#""""#,
        "null",
        "true",
        "false",
        "[2000]",
        "[]",
        "{}",
        "-1",
        "-0.5",
        "-2000e3",
    ] {
        for payload in [
            format!(r#"{{"sub":"alice","exp":{value}}}"#),
            format!(r#"{{"sub":"alice","exp":2000,"nbf":{value}}}"#),
            format!(r#"{{"sub":"alice","exp":2000,"iat":{value}}}"#),
        ] {
            // Of the three `exp` alone must not be `null`; in the others that is how some issuers write their absence.
            if value == "null" && payload.contains("2000") {
                assert!(verify(&strict, &hs256(&payload)).is_ok(), "{payload}");
                continue;
            }
            assert_eq!(
                refusal(&strict, &hs256(&payload)),
                ClaimInvalid,
                "{payload}"
            );
            assert_eq!(refusal(&lax, &hs256(&payload)), ClaimInvalid, "{payload}");
        }
    }
    for value in [
        "1e400", "-1e400", "NaN", "Infinity", "02000", "+2000", "2000.", "0x7d0",
    ] {
        for claim in ["nbf", "iat"] {
            let payload = format!(r#"{{"sub":"alice","{claim}":{value},"exp":2000}}"#);
            assert_eq!(
                refusal(&strict, &hs256(&payload)),
                TokenMalformed,
                "{payload}"
            );
        }
        // Zero has passed, whatever follows.
        let kind = match value.starts_with('0') {
            true => TokenExpired,
            false => TokenMalformed,
        };
        let payload = format!(r#"{{"sub":"alice","exp":{value}}}"#);
        assert_eq!(refusal(&strict, &hs256(&payload)), kind, "{payload}");
    }
}

#[test]
fn an_expired_token_is_refused_where_it_says_so() {
    let verifier = verifier().build().unwrap();
    for (payload, kind) in [
        (r#"{"exp":900,"exp":2000,"sub":"alice"}"#, TokenExpired),
        (r#"{"exp":900,"sub":"alice","sub":"bob"}"#, TokenExpired),
        (r#"{"exp":900,"sub":7,"nbf":"x""#, TokenExpired),
        (r#"{"e\u0078p":900 and no JSON"#, TokenExpired),
        (r#"{"sub":"alice","sub":"bob","exp":900}"#, TokenMalformed),
        (r#"{"sub":alice,"exp":900}"#, TokenMalformed),
        (r#"{"exp":"900","sub":alice}"#, TokenMalformed),
        (r#"{"exp":-900,"sub":alice}"#, TokenMalformed),
        // Only the claim itself is the expiry.
        (
            r#"{"x":{"exp":900},"exp":2000,"sub":alice}"#,
            TokenMalformed,
        ),
    ] {
        assert_eq!(refusal(&verifier, &hs256(payload)), kind, "{payload}");
    }
    let nested = hs256(r#"{"sub":"alice","x":{"exp":900},"exp":2000}"#);
    assert!(verify(&verifier, &nested).is_ok());
}

#[test]
fn sub_missing_null_or_number() {
    let verifier = verifier().build().unwrap();
    for sub in [
        "",
        r#""sub":null,"#,
        r#""sub":7,"#,
        r#""sub":"","#,
        r#""sub":["alice"],"#,
        r#""SUB":"alice","#,
    ] {
        let payload = format!(r#"{{{sub}"exp":2000}}"#);
        assert_eq!(
            refusal(&verifier, &hs256(&payload)),
            ClaimInvalid,
            "{payload}"
        );
    }
    // Never coerced, trimmed or folded: what was signed is what is told.
    for sub in [
        "Alice",
        " alice ",
        "alice\r\nX-User: root",
        "alice\u{0}",
        "\u{212a}",
        "x\u{301}",
    ] {
        let payload = serde_json::json!({ "sub": sub, "exp": 2000 }).to_string();
        assert_eq!(
            verify(&verifier, &hs256(payload)).unwrap().subject(),
            Some(sub)
        );
    }
}

#[test]
fn jti_of_wrong_type() {
    let verifier = verifier().build().unwrap();
    for (jti, good) in [
        (r#""t""#, true),
        ("7", false),
        ("null", true),
        ("[]", false),
    ] {
        let payload = format!(r#"{{"sub":"alice","exp":2000,"jti":{jti}}}"#);
        assert_eq!(verify(&verifier, &hs256(payload)).is_ok(), good, "{jti}");
    }
}

#[test]
fn issuer_not_bound_to_its_key_set() {
    // Two issuers that use the same key ID: each verifier believes its own key and its own issuer only.
    let of = |secret: [u8; 32], issuer: &str| {
        let key = Key::secret(secret, Algorithm::HS256)
            .unwrap()
            .with_id("same");
        Verifier::builder(Keys::new([key]).unwrap())
            .with_issuer(issuer)
            .with_clock(TestClock::at(1_000))
            .build()
            .unwrap()
    };
    let mint = |secret: [u8; 32], issuer: &str| {
        let payload = format!(r#"{{"iss":"{issuer}","sub":"alice","exp":2000}}"#);
        let message = format!(
            "{}.{}",
            base64(r#"{"alg":"HS256","kid":"same"}"#),
            base64(payload)
        );
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        let encoding = jsonwebtoken::EncodingKey::from_secret(&secret);
        let signer = (provider.signer_factory)(&Algorithm::HS256, &encoding).unwrap();
        format!(
            "{message}.{}",
            base64(signer.try_sign(message.as_bytes()).unwrap())
        )
    };
    let (a, b) = (secret(1), secret(2));
    let verifier = of(a, "https://a.example");
    assert!(verify(&verifier, &mint(a, "https://a.example")).is_ok());
    assert_eq!(
        refusal(&verifier, &mint(b, "https://b.example")),
        SignatureInvalid
    );
    assert_eq!(
        refusal(&verifier, &mint(b, "https://a.example")),
        SignatureInvalid
    );
    assert_eq!(
        refusal(&verifier, &mint(a, "https://b.example")),
        RejectionKind::IssuerMismatch
    );
}

#[test]
fn token_believed_past_its_expiry() {
    // The same verifier and the same token, later: nothing remembers the first verdict.
    let clock = std::sync::Arc::new(TestClock::at(1_000));
    let verifier = Verifier::builder(keys(Algorithm::EdDSA))
        .with_clock(std::sync::Arc::clone(&clock))
        .with_leeway(Duration::ZERO)
        .build()
        .unwrap();
    let text = token(header(Algorithm::EdDSA), CLAIMS, Algorithm::EdDSA);
    assert!(verify(&verifier, &text).is_ok());
    clock.set(2_000);
    assert_eq!(refusal(&verifier, &text), TokenExpired);
}

#[test]
fn rejections_never_hold_a_part_of_the_token() {
    let verifier = verifier().with_issuer("a").build().unwrap();
    for text in [
        "s3cret-s3cret".to_owned(),
        hs256(r#"{"sub":"s3cret","exp":2000,"iss":"s3cret"}"#),
        hs256(r#"{"sub":"s3cret","exp":"s3cret","iss":"a"}"#),
        token(r#"{"alg":"s3cret"}"#, CLAIMS, Algorithm::HS256),
        token(
            r#"{"alg":"HS256","kid":"s3cret","crit":["s3cret"]}"#,
            CLAIMS,
            Algorithm::HS256,
        ),
    ] {
        let rejection = verifier
            .verify(&BearerToken::new(text.as_str()))
            .unwrap_err();
        let printed = format!("{rejection} {rejection:?}");
        assert!(
            !printed.contains("s3cret") && !printed.contains(text.as_str()),
            "{printed}"
        );
    }
}
