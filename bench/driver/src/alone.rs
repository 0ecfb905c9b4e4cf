//! What the library takes for a signature by itself, on this core, in the same run.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustix::time::{ClockId, clock_gettime};

use crate::lane::beyond;
use crate::results::Cpu as Both;
use crate::tokens::{Signer, der};

/// Nanoseconds of CPU of each measurement in a round: many, so that short signatures are verified more often.
const ROUND: i64 = 40_000_000;
/// How many turns there are between two looks at the clock.
const AT_ONCE: usize = 20;
/// How many signatures take turns.
const DIFFERENT: usize = 256;
/// About as long as an answer.
const ANSWER: usize = 200;

/// Signatures of one key that are verified again and again.
///
/// A server never verifies in a loop: between two signatures it sends an answer, and what the kernel does for that is in
/// the caches afterwards. So they are measured both ways.
pub(crate) struct Alone {
    key: ParsedPublicKey,
    signed: Vec<(Vec<u8>, Vec<u8>)>,
    /// Which of them comes next.
    next: usize,
    /// The two ends of a connection.
    ends: [TcpStream; 2],
    /// Nanoseconds of a signature in a loop, for each round.
    looped: Vec<i64>,
    /// Nanoseconds of an answer that is sent and received, without a signature and with one.
    served: [Vec<i64>; 2],
    /// The part of that time, in percent, in which the core did nothing else, for each round.
    pub(crate) own: Vec<i64>,
}

impl Alone {
    /// Signatures of this algorithm over messages of this length.
    pub(crate) fn new(keys: &Path, algorithm: &str, length: usize) -> Result<Self> {
        let verifies: &'static dyn VerificationAlgorithm = match algorithm {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            "ES256" => &ECDSA_P256_SHA256_FIXED,
            "EdDSA" => &ED25519,
            _ => bail!("{algorithm} has no public key"),
        };
        let public = der(&keys.join(format!("{algorithm}.pub.pem")))?;
        let key = UnparsedPublicKey::new(verifies, &public).parse()?;
        let signer = Signer::load(keys, algorithm)?;
        let signed = (0..DIFFERENT).map(|number| {
            let message = format!("{number:0length$}").into_bytes();
            let signature = signer.sign(&message)?;
            Ok((message, signature))
        });
        let signed = signed.collect::<Result<_>>()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let one = TcpStream::connect(listener.local_addr()?)?;
        one.set_nodelay(true)?;
        let ends = [one, listener.accept()?.0];
        let (looped, served, own) = (Vec::new(), [Vec::new(), Vec::new()], Vec::new());
        Ok(Self { key, signed, next: 0, ends, looped, served, own })
    }

    pub(crate) fn measure(&mut self) -> Result<()> {
        let looped = self.turns(Self::verify)?;
        self.looped.push(looped);
        let without = self.turns(Self::answer)?;
        let with = self.turns(|it| it.verify().and_then(|()| it.answer()))?;
        for (all, cpu) in self.served.iter_mut().zip([without, with]) {
            all.push(cpu);
        }
        Ok(())
    }

    /// Nanoseconds of a signature in a loop.
    pub(crate) fn looped(&self) -> Both {
        Both::of(&self.looped)
    }

    /// Nanoseconds that a signature adds to an answer.
    pub(crate) fn served(&self) -> Both {
        let [without, with] = &self.served;
        beyond(with, without, 1)
    }

    /// Nanoseconds of CPU of each turn.
    fn turns(&mut self, turn: impl Fn(&mut Self) -> Result<()>) -> Result<i64> {
        let now = || {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            time.tv_sec * 1_000_000_000 + time.tv_nsec
        };
        let (began, before, mut count) = (Instant::now(), now(), 0);
        while now() - before < ROUND {
            for _ in 0..AT_ONCE {
                turn(self)?;
            }
            count += i64::try_from(AT_ONCE)?;
        }
        let cpu = now() - before;
        self.own.push(cpu * 100 / i64::try_from(began.elapsed().as_nanos())?.max(1));
        Ok(cpu / count)
    }

    fn verify(&mut self) -> Result<()> {
        let (message, signature) = self.signed.get(self.next).context("a signature")?;
        self.key.verify_sig(black_box(message), signature)?;
        self.next = (self.next + 1) % DIFFERENT;
        Ok(())
    }

    fn answer(&mut self) -> Result<()> {
        let [one, other] = &mut self.ends;
        one.write_all(&[b'x'; ANSWER])?;
        Ok(other.read_exact(&mut [0; ANSWER])?)
    }
}
