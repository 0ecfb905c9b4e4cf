//! Keys that both sides agree on: ECDH-ES (RFC 7518 section 4.6, RFC 8037 section 3.2).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::kdf::{
    SskdfDigestAlgorithm, SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest,
};

use super::cek::Cek;
use crate::alg::Curve;
use crate::base64url;
use crate::json::Value;

/// The curves on which keys are agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AgreementCurve {
    Nist(Curve),
    X25519,
}

impl AgreementCurve {
    /// `kty` and `crv` of a JWK.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Nist(curve) => ("EC", curve.name()),
            Self::X25519 => ("OKP", "X25519"),
        }
    }

    pub(super) fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Self::Nist(Curve::P256) => &agreement::ECDH_P256,
            Self::Nist(Curve::P384) => &agreement::ECDH_P384,
            Self::Nist(Curve::P521) => &agreement::ECDH_P521,
            Self::X25519 => &agreement::X25519,
        }
    }

    /// The public key of a JWK on this curve: a point in the uncompressed form (SEC 1 section 2.3.3), or what
    /// X25519 takes. `None` for a key of another curve, or coordinates that are not of its length. Whether it
    /// is a point of the curve is not said here.
    pub(super) fn public_key(self, jwk: Value<'_>) -> Option<Vec<u8>> {
        let text = |name| jwk.get(name)?.as_str();
        let bytes = |name| base64url::decode(text(name)?.as_bytes());
        if (text("kty")?, text("crv")?) != self.names() {
            return None;
        }
        match self {
            Self::Nist(curve) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                let want = curve.coordinate_len();
                (x.len() == want && y.len() == want).then(|| [&[4], &*x, &*y].concat())
            }
            Self::X25519 => bytes("x").filter(|x| x.len() == 32),
        }
    }

    /// The members of a public key, as [`AgreementCurve::public_key`] gives it.
    pub(super) fn members(self, public: &[u8]) -> Option<Vec<(&'static str, String)>> {
        let (kty, crv) = self.names();
        let mut members = vec![("kty", kty.to_owned()), ("crv", crv.to_owned())];
        match self {
            Self::Nist(curve) => {
                let (x, y) = public.strip_prefix(&[4])?.split_at_checked(curve.coordinate_len())?;
                members.extend([("x", base64url::encode(x)), ("y", base64url::encode(y))]);
            }
            Self::X25519 => members.push(("x", base64url::encode(public))),
        }
        Some(members)
    }
}

/// What a key is agreed for (RFC 7518 section 4.6.2).
#[derive(Clone, Copy)]
pub(super) struct Purpose<'p> {
    /// `alg`, or `enc` where the key is that of the content.
    pub(super) algorithm: &'static str,
    /// `apu` and `apv`, decoded.
    pub(super) parties: [&'p [u8]; 2],
    /// In bytes.
    pub(super) key_len: usize,
}

/// The key that `own` and the public key `peer` agree on. `None` if `peer` is no usable key of the curve:
/// the library looks whether it is a point of it, and whether the result is zero.
pub(super) fn agree(own: &PrivateKey, peer: &[u8], purpose: Purpose<'_>) -> Option<Cek> {
    let peer = UnparsedPublicKey::new(own.algorithm(), peer);
    agreement::agree(own, peer, Unspecified, |secret| {
        let hash = SHA256.ok_or(Unspecified)?;
        let derive = |out: &mut [u8]| sskdf_digest(hash, secret, &purpose.info(), out);
        Cek::filled(purpose.key_len, derive).ok_or(Unspecified)
    })
    .ok()
}

/// The Concat KDF is the single-step KDF with SHA-256 (NIST SP 800-56C section 4).
const SHA256: Option<&SskdfDigestAlgorithm> =
    get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256);

impl Purpose<'_> {
    /// The OtherInfo: AlgorithmID, PartyUInfo, PartyVInfo, SuppPubInfo.
    fn info(self) -> Vec<u8> {
        let [apu, apv] = self.parties;
        let mut info = Vec::with_capacity(64 + apu.len() + apv.len());
        for part in [self.algorithm.as_bytes(), apu, apv] {
            info.extend(number(part.len()));
            info.extend(part);
        }
        info.extend(number(self.key_len * 8));
        info
    }
}

/// A length as 32 bits; what a header has is much shorter.
fn number(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    /// The key that Alice and Bob agree on in RFC 7518 appendix C.
    #[test]
    fn rfc_7518_appendix_c() {
        let alice = "0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo";
        let bob = r#"{"kty":"EC","crv":"P-256",
            "x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
            "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#;
        let curve = AgreementCurve::Nist(Curve::P256);
        let alice = base64url::decode(alice.as_bytes()).unwrap();
        let alice = PrivateKey::from_private_key(curve.algorithm(), &alice).unwrap();
        let bob = Document::parse(bob.into()).unwrap();
        let bob = curve.public_key(bob.root()).unwrap();
        let purpose = Purpose { algorithm: "A128GCM", parties: [b"Alice", b"Bob"], key_len: 16 };
        let info = [
            0, 0, 0, 7, 65, 49, 50, 56, 71, 67, 77, 0, 0, 0, 5, 65, 108, 105, 99, 101, 0, 0, 0, 3,
            66, 111, 98, 0, 0, 0, 128,
        ];
        assert_eq!(purpose.info(), info);
        let key = agree(&alice, &bob, purpose).unwrap();
        assert_eq!(base64url::encode(key.bytes()), "VqqN6vgjbSBcIijNcacQGg");
    }

    #[test]
    fn points_that_are_none_agree_on_nothing() {
        let purpose = Purpose { algorithm: "A128GCM", parties: [b"", b""], key_len: 16 };
        for curve in [Curve::P256, Curve::P384, Curve::P521].map(AgreementCurve::Nist) {
            let own = PrivateKey::generate(curve.algorithm()).unwrap();
            let good = own.compute_public_key().unwrap().as_ref().to_vec();
            assert!(agree(&own, &good, purpose).is_some());
            let mut bad = vec![good.clone(); 3];
            *bad[0].last_mut().unwrap() ^= 1;
            bad[1][1..].fill(0);
            bad[2][1..].fill(0xff);
            bad.extend([vec![0], vec![], good[..good.len() - 1].to_vec()]);
            for bad in bad {
                assert!(agree(&own, &bad, purpose).is_none(), "{curve:?} {bad:?}");
            }
        }
        let own = PrivateKey::generate(&agreement::X25519).unwrap();
        // Points of low order (RFC 7748 section 6.1).
        for first in [0, 1] {
            let mut low = [0; 32];
            low[0] = first;
            assert!(agree(&own, &low, purpose).is_none());
        }
        assert!(agree(&own, &[9; 31], purpose).is_none());
    }
}
