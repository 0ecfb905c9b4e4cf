//! What the library takes for a signature by itself, on this core, in the same run.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustix::time::{ClockId, clock_gettime};

use crate::tokens::{Signer, der};

/// Nanoseconds of CPU in each round may be this many, so that short signatures are verified more often.
const ROUND: i64 = 40_000_000;
/// How many are verified between two looks at the clock.
const AT_ONCE: u32 = 20;

/// A signature that is verified again and again.
pub(crate) struct Alone {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
    /// Nanoseconds of a signature, for each round.
    pub(crate) cpu: Vec<i64>,
    /// The part of that time, in percent, in which the core did nothing else, for each round.
    pub(crate) own: Vec<i64>,
}

impl Alone {
    /// A signature of this algorithm over a message of this length.
    pub(crate) fn new(keys: &Path, algorithm: &str, length: usize) -> Result<Self> {
        let verifies: &'static dyn VerificationAlgorithm = match algorithm {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            "ES256" => &ECDSA_P256_SHA256_FIXED,
            "EdDSA" => &ED25519,
            _ => bail!("{algorithm} has no public key"),
        };
        let public = der(&keys.join(format!("{algorithm}.pub.pem")))?;
        let key = UnparsedPublicKey::new(verifies, &public).parse()?;
        let message = vec![b'x'; length];
        let signature = Signer::load(keys, algorithm)?.sign(&message)?;
        Ok(Self { key, message, signature, cpu: Vec::new(), own: Vec::new() })
    }

    pub(crate) fn measure(&mut self) -> Result<()> {
        let now = || {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            time.tv_sec * 1_000_000_000 + time.tv_nsec
        };
        let (began, before, mut count) = (Instant::now(), now(), 0);
        while now() - before < ROUND {
            for _ in 0..AT_ONCE {
                self.key.verify_sig(std::hint::black_box(&self.message), &self.signature)?;
            }
            count += i64::from(AT_ONCE);
        }
        let cpu = now() - before;
        self.cpu.push(cpu / count);
        self.own.push(cpu * 100 / i64::try_from(began.elapsed().as_nanos())?.max(1));
        Ok(())
    }
}
