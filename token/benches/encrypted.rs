//! What an encrypted token costs beside the same token unencrypted, when no cache knows it.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use token::jwe::{
    ContentEncryption, DecryptionKeys, EncryptionKey, KeyManagement, load_decryption_keys,
};
use token::sign::Members;
use token::{Algorithm, Forms, Policy, Trust};

#[allow(dead_code)] // this takes HS256 only
#[path = "../tests/common/tokens.rs"]
mod tokens;

use tokens::NOW;

const OCT: &str = r#"{"kty":"oct","k":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"}"#;
const RSA: &str = include_str!("../../tests/keys/rsa2048.pem");
const P256: &str = include_str!("../../tests/keys/p256.pem");
const X25519: &str = include_str!("../../tests/keys/x25519.pem");

fn policy(key: &str) -> Policy {
    let Trust::Keys(policy) = tokens::trust(&[Algorithm::HS256]) else { unreachable!() };
    let keys = load_decryption_keys(key.as_bytes(), None).unwrap().keys;
    let keys = vec![Arc::new(DecryptionKeys::new(keys))];
    Policy { forms: Forms { signed: true, encrypted: true, nested: true, keys }, ..policy }
}

fn costs(criterion: &mut Criterion) {
    let signed = tokens::token(Algorithm::HS256, 1);
    let mut group = criterion.benchmark_group("encrypted");
    let plain = policy(OCT);
    group.bench_function("signed HS256", |b| {
        b.iter(|| plain.check(black_box(&signed), NOW).unwrap());
    });
    for (management, encryption, key) in [
        (KeyManagement::Dir, ContentEncryption::A256Gcm, OCT),
        (KeyManagement::Dir, ContentEncryption::A128CbcHs256, OCT),
        (KeyManagement::A256Kw, ContentEncryption::A256Gcm, OCT),
        (KeyManagement::A256GcmKw, ContentEncryption::A256Gcm, OCT),
        (KeyManagement::EcdhEs, ContentEncryption::A256Gcm, X25519),
        (KeyManagement::EcdhEs, ContentEncryption::A256Gcm, P256),
        (KeyManagement::RsaOaep, ContentEncryption::A256Gcm, RSA),
    ] {
        let policy = policy(key);
        let to = EncryptionKey::read(key.as_bytes()).unwrap();
        let token = to.encrypt(management, encryption, &Members::default(), &signed).unwrap();
        let name = format!("nested {management} {encryption} {}", &key[..27].replace('\n', " "));
        group.bench_function(name, |b| {
            b.iter(|| policy.check(black_box(token.as_bytes()), NOW).unwrap());
        });
    }
    // The library's floor.
    let key = aws_lc_rs::rsa::KeyPair::from_pkcs8(&pem::parse(RSA).unwrap().into_contents());
    let der =
        aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key.unwrap());
    let key = aws_lc_rs::rsa::PrivateDecryptingKey::from_pkcs8(der.unwrap().as_ref()).unwrap();
    let public = aws_lc_rs::rsa::OaepPublicEncryptingKey::new(key.public_key()).unwrap();
    let own = aws_lc_rs::rsa::OaepPrivateDecryptingKey::new(key).unwrap();
    let (algorithm, mut out) = (&aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1, vec![0; 256]);
    let sealed = public.encrypt(algorithm, &[7; 32], &mut out, None).unwrap().to_vec();
    group.bench_function("the library's RSA-OAEP", |b| {
        b.iter(|| own.decrypt(algorithm, black_box(&sealed), &mut out, None).unwrap().len());
    });
}

criterion_group!(benches, costs);
criterion_main!(benches);
