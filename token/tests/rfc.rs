//! The examples of the RFCs, through the code that the module runs.

// The helper below is test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use token::{Algorithm, KeySet, Policy, Reject, load_keys};

fn policy(jwk: &str) -> Policy {
    let loaded = load_keys(jwk.as_bytes(), None).unwrap();
    Policy { keys: vec![Arc::new(KeySet::new(loaded.keys))], ..Policy::default() }
}

/// Each example is accepted, and refused if any character of it is changed.
fn example(jwk: &str, token: &str, payload: &str) {
    let policy = policy(jwk);
    let verified = policy.verify_jws(token.as_bytes(), 0).unwrap();
    assert_eq!(String::from_utf8(verified).unwrap(), payload);
    for at in 0..token.len() {
        let mut changed = token.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(policy.verify_jws(&changed, 0).is_err(), "changed at {at}");
    }
}

const CLAIMS: &str =
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

const HS256_JWK: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
const HS256_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

#[test]
fn rfc_7515_a_1_hs256() {
    example(HS256_JWK, HS256_TOKEN, CLAIMS);
    let policy = policy(HS256_JWK);
    assert!(policy.check(HS256_TOKEN.as_bytes(), 1_300_819_379).is_ok());
    let refusal = policy.check(HS256_TOKEN.as_bytes(), 1_300_819_381).unwrap_err();
    assert_eq!((refusal.reason, refusal.age), (Reject::Expired, Some(1)));
}

#[test]
fn rfc_7515_a_2_rs256() {
    example(
        r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        CLAIMS,
    );
}

#[test]
fn rfc_7515_a_3_es256() {
    example(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        CLAIMS,
    );
}

#[test]
fn rfc_7515_a_4_es512() {
    example(
        r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#,
        "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        "Payload",
    );
}

#[test]
fn rfc_7515_a_5_an_unsecured_jws_is_refused() {
    let token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    let refusal = policy(HS256_JWK).check(token.as_bytes(), 0).unwrap_err();
    assert_eq!(refusal.reason, Reject::Malformed);
    let refusal = policy(HS256_JWK).check(format!("{token}AA").as_bytes(), 0).unwrap_err();
    assert_eq!(refusal.reason, Reject::BadAlgorithm);
}

#[test]
fn rfc_8037_a_4_ed25519() {
    example(
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        "Example of Ed25519 signing",
    );
}

/// The examples of RFC 9964 appendix A.1.
#[test]
fn rfc_9964_ml_dsa() {
    for (file, name) in [
        (include_str!("rfc9964/ml-dsa-44.json"), "ML-DSA-44"),
        (include_str!("rfc9964/ml-dsa-65.json"), "ML-DSA-65"),
        (include_str!("rfc9964/ml-dsa-87.json"), "ML-DSA-87"),
    ] {
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let jwk = file["jwk"].to_string();
        let loaded = load_keys(jwk.as_bytes(), None).unwrap();
        let algorithms: Vec<_> = loaded.keys[0].algorithms().iter().map(Algorithm::name).collect();
        assert_eq!(algorithms, [name]);
        assert!(loaded.warnings[0].contains("a private key (member priv)"), "{loaded:?}");
        example(&jwk, file["jws"].as_str().unwrap(), PAYLOAD);
    }
}

const PAYLOAD: &str = "It\u{2019}s a dangerous business, Frodo, going out your door.";
