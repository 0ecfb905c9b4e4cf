//! Files with the key that signs: PEM or a JWK.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::files;
use crate::private::{KeyFile, Private};
use crate::private_jwk::from_jwk;

/// Reads a private key from PEM, or a private or secret JWK.
pub(crate) fn load(path: &Path) -> Result<KeyFile> {
    let text = files::read(path)?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &[u8]) -> Result<KeyFile> {
    if text.trim_ascii_start().first() == Some(&b'{') {
        return from_jwk(text);
    }
    let blocks = pem::parse_many(text).context("PEM")?;
    let Some(block) = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY")) else {
        match blocks.first() {
            Some(block) => bail!("holds a {}; signing needs the private key", block.tag()),
            None => bail!("is neither PEM nor a JWK"),
        }
    };
    Ok(KeyFile { key: Private::from_block(block)?, kid: None, algorithm: None })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::KeySize;
    use pem::Pem;
    use serde_json::Value;
    use token::Algorithm;

    use super::*;
    use crate::private_pem::pkcs8;

    #[test]
    fn every_key_survives_pem_and_jwk() {
        for algorithm in Algorithm::ALL {
            let key = Private::generate(algorithm, KeySize::Rsa2048).unwrap();
            let members = key.jwk().unwrap();
            let text = Value::Object(members.clone()).to_string();
            let again = parse(text.as_bytes()).unwrap().key;
            assert_eq!(again.jwk().unwrap(), members, "{algorithm}");
            if let Some((private, _)) = key.pem().unwrap() {
                let again = parse(private.as_bytes()).unwrap().key;
                assert_eq!(again.jwk().unwrap(), members, "{algorithm}");
            }
            assert!(key.sign(algorithm, b"x").is_ok());
        }
    }

    /// The examples of RFC 9964, whose kid is the thumbprint.
    #[test]
    fn ml_dsa_keys_are_those_of_their_rfc() {
        for text in [
            include_str!("../../token/tests/rfc9964/ml-dsa-44.json"),
            include_str!("../../token/tests/rfc9964/ml-dsa-65.json"),
            include_str!("../../token/tests/rfc9964/ml-dsa-87.json"),
        ] {
            let example: Value = serde_json::from_str(text).unwrap();
            let mut jwk = example["jwk"].as_object().unwrap().clone();
            let read = parse(Value::Object(jwk.clone()).to_string().as_bytes()).unwrap();
            let members = read.key.jwk().unwrap();
            for name in ["kty", "alg", "pub", "priv"] {
                assert_eq!(members[name], jwk[name], "{name}");
            }
            let public = crate::public::of_jwk(&jwk).unwrap();
            assert!(!public.contains_key("priv") && public.contains_key("pub"));
            let thumbprint = crate::public::thumbprint(&public).unwrap();
            assert_eq!(thumbprint, jwk["kid"].as_str().unwrap());
            jwk["priv"] = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
            let error = parse(Value::Object(jwk).to_string().as_bytes()).err().unwrap();
            assert_eq!(error.to_string(), "pub is not the public half of priv");
        }
    }

    /// The older formats, which PKCS#8 contains.
    #[test]
    fn rsa_private_key_and_ec_private_key_are_read() {
        for (algorithm, tag) in [
            (Algorithm::RS256, "RSA PRIVATE KEY"),
            (Algorithm::ES256, "EC PRIVATE KEY"),
            (Algorithm::ES512, "EC PRIVATE KEY"),
        ] {
            let key = Private::generate(algorithm, KeySize::Rsa2048).unwrap();
            let (private, _) = key.pem().unwrap().unwrap();
            let block = pem::parse(private).unwrap();
            let (_, inner) = pkcs8(block.contents()).unwrap();
            let parameters = Pem::new("EC PARAMETERS", [5, 0]);
            let text = pem::encode_many(&[parameters, Pem::new(tag, inner)]);
            assert_eq!(parse(text.as_bytes()).unwrap().key.jwk().unwrap(), key.jwk().unwrap());
            let public = crate::pem_file::public_keys(text.as_bytes()).unwrap();
            assert_eq!(public, [key.public().unwrap()]);
        }
    }

    #[test]
    fn errors_tell_what_is_wrong() {
        for (text, part) in [
            ("", "neither PEM nor a JWK"),
            ("hello", "neither PEM nor a JWK"),
            (r#"{"keys":[]}"#, "JWK Set"),
            (r#"{"kty":"oct","kty":"oct"}"#, "stands twice"),
            (r#"{"kty":"oct"}"#, "k is missing"),
            (r#"{"kty":"oct","k":"a b"}"#, "k is not base64url"),
            (r#"{"kty":"EC","crv":"P-256","x":"","y":""}"#, "public JWK"),
            (r#"{"kty":"EC","crv":"secp256k1","d":""}"#, "crv is none of"),
            (r#"{"kty":"OKP","crv":"X25519","d":""}"#, "crv is not Ed25519"),
            (r#"{"kty":"AKP","alg":"ML-DSA-44","pub":""}"#, "with its member priv"),
            (r#"{"kty":"AKP","priv":""}"#, "alg is missing"),
            (r#"{"kty":"AKP","alg":"ES256","priv":""}"#, "alg: unknown value \"ES256\""),
            (r#"{"kty":"AKP","alg":"ML-DSA-44","priv":"AA"}"#, "not a usable private key"),
            (r#"{"kty":"XYZ","d":""}"#, "unknown value \"XYZ\""),
            ("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "holds a PUBLIC KEY"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "is encrypted",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "not PKCS#8"),
        ] {
            let error = format!("{:#}", parse(text.as_bytes()).err().unwrap());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
