//! The examples of the RFCs, from end to end.

use tower_warden::{Algorithm, ClaimPath, Key, Keys, RejectionKind, Verifier, VerifierBuilder};

use super::tokens::{TestClock, refusal, verify};

/// `{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}`: RFC 7515 A.1.1, RFC 7519 §3.1.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const EXPIRY: u64 = 1_300_819_380;

/// RFC 7515 A.1.1; the header has a line break.
const HS256_HEADER: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
const HS256_SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const HS256_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// RFC 7515 A.2.1.
const RS256_HEADER: &str = "eyJhbGciOiJSUzI1NiJ9";
const RS256_KEY: &str = r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
const RS256_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// RFC 7515 A.3.1.
const ES256_HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";
const ES256_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const ES256_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/// RFC 8037 A.2 and A.4: the payload is a sentence, not JSON.
const EDDSA_KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const EDDSA_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/// None of the examples has a subject.
fn verifier(key: Key, now: u64) -> VerifierBuilder {
    Verifier::builder(Keys::new([key]).unwrap())
        .with_clock(TestClock::at(now))
        .dangerous_without_subject()
}

fn examples() -> [(Algorithm, Key, String); 3] {
    let secret = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(HS256_SECRET)
        .unwrap();
    let token = |header: &str, signature: &str| format!("{header}.{PAYLOAD}.{signature}");
    [
        (
            Algorithm::HS256,
            Key::secret(secret, Algorithm::HS256).unwrap(),
            token(HS256_HEADER, HS256_SIGNATURE),
        ),
        (
            Algorithm::RS256,
            Key::jwk_for(RS256_KEY, [Algorithm::RS256]).unwrap(),
            token(RS256_HEADER, RS256_SIGNATURE),
        ),
        (
            Algorithm::ES256,
            Key::jwk(ES256_KEY).unwrap(),
            token(ES256_HEADER, ES256_SIGNATURE),
        ),
    ]
}

#[test]
fn rfc7515_appendix_a_and_rfc7519_section_3_1() {
    for (algorithm, key, token) in examples() {
        let at = |now: u64| {
            verifier(key.clone(), now)
                .with_issuer("joe")
                .with_leeway(std::time::Duration::ZERO)
                .with_roles_claim(ClaimPath::new(["missing"]))
                .build()
                .unwrap()
        };
        let verified = verify(&at(EXPIRY - 1), &token).unwrap();
        assert_eq!(verified.algorithm(), Some(algorithm));
        assert_eq!(verified.issuer(), Some("joe"));
        assert_eq!(verified.expires_at().unwrap().as_secs(), EXPIRY);
        assert_eq!(verified.subject(), None);
        let claims: std::sync::Arc<serde_json::Value> = verified.claims().unwrap();
        assert_eq!(claims["http://example.com/is_root"], true);
        assert_eq!(refusal(&at(EXPIRY), &token), RejectionKind::TokenExpired);

        let (rest, last) = token.split_at(token.len() - 12);
        let changed = format!("{rest}A{}", &last[1..]);
        assert_ne!(changed, token);
        assert_eq!(
            refusal(&at(EXPIRY - 1), &changed),
            RejectionKind::SignatureInvalid
        );
    }
}

#[test]
fn rfc7515_appendix_a_needs_a_subject_here() {
    for (_, key, token) in examples() {
        let strict = Verifier::builder(Keys::new([key]).unwrap())
            .with_clock(TestClock::at(EXPIRY - 1))
            .build()
            .unwrap();
        assert_eq!(refusal(&strict, &token), RejectionKind::ClaimInvalid);
    }
}

#[test]
fn rfc8037_appendix_a_signs_no_jwt() {
    // The signature is tried beside the code; as a token it goes no further than its payload.
    let verifier = verifier(Key::jwk(EDDSA_KEY).unwrap(), 0).build().unwrap();
    assert_eq!(
        refusal(&verifier, EDDSA_TOKEN),
        RejectionKind::TokenMalformed
    );
}

#[test]
fn rfc7519_section_6_1_unsecured_jwt() {
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    for (_, key, _) in examples() {
        let verifier = verifier(key, EXPIRY - 1).build().unwrap();
        assert_eq!(refusal(&verifier, &token), RejectionKind::TokenMalformed);
        let signed = format!("{token}{HS256_SIGNATURE}");
        assert_eq!(
            refusal(&verifier, &signed),
            RejectionKind::AlgorithmNotAllowed
        );
    }
}

#[test]
fn rfc7516_appendix_a_1_jwe() {
    let token = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ";
    for (_, key, _) in examples() {
        let verifier = verifier(key, EXPIRY - 1).build().unwrap();
        assert_eq!(refusal(&verifier, token), RejectionKind::TokenMalformed);
    }
}
