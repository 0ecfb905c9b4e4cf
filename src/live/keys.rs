//! Fetched keys: small answers, of which each worker makes its own key set.

use core::sync::atomic::AtomicU64;

use token::KeySet;
use zeroize::Zeroizing;

use super::kind::{Burden, Kind, Shared, Step, Wording};
use crate::nginx::store_bytes;

/// Parses an answer, and gives warnings about keys that are not used; or says why it cannot be used.
type Parse = fn(&[u8]) -> Result<(KeySet, Vec<String>), String>;

/// Key sets that are fetched.
#[derive(Clone, Copy)]
pub(crate) struct FetchedKeys {
    parse: Parse,
}

impl FetchedKeys {
    /// Keys that a provider publishes.
    pub(crate) fn published() -> Self {
        Self { parse: published }
    }

    /// The key of one kid; an empty answer says that there is none.
    pub(crate) fn of_a_kid() -> Self {
        Self {
            parse: |answer| match answer {
                [] => Ok((KeySet::new(Vec::new()), Vec::new())),
                answer => published(answer),
            },
        }
    }
}

/// Keys that a provider publishes, and warnings about those that are not used.
fn published(answer: &[u8]) -> Result<(KeySet, Vec<String>), String> {
    let loaded = token::load_published_keys(answer).map_err(|error| error.to_string())?;
    Ok((KeySet::new(loaded.keys), loaded.warnings))
}

/// An answer that has arrived, and what it was parsed into.
pub(crate) struct ArrivedKeys {
    text: Zeroizing<Vec<u8>>,
    parsed: Option<(KeySet, Vec<String>)>,
}

impl Burden for ArrivedKeys {}
impl Burden for Zeroizing<Vec<u8>> {}

impl Kind for FetchedKeys {
    type Value = KeySet;
    type Arriving = Zeroizing<Vec<u8>>;
    type Arrived = ArrivedKeys;

    const WORDS: Wording =
        Wording { what: "keys", stays: "the last good keys stay", lacks: "there are no keys" };
    const LIMIT: usize = 1 << 20;
    const IS_CONDITIONAL: bool = false;
    const IN_ZONE: bool = false;

    fn begin(&self) -> Self::Arriving {
        Zeroizing::default()
    }

    fn receive(&self, arriving: &mut Self::Arriving, piece: &[u8]) -> Result<(), String> {
        arriving.extend_from_slice(piece);
        Ok(())
    }

    fn arrived(&self, arriving: &mut Self::Arriving) -> Result<ArrivedKeys, String> {
        Ok(ArrivedKeys { text: core::mem::take(arriving), parsed: None })
    }

    fn digest(&self, arrived: &ArrivedKeys) -> [u8; 32] {
        token::fingerprint(&arrived.text)
    }

    fn read(&self, arrived: &mut ArrivedKeys) -> Result<Step, String> {
        let parsed = (self.parse)(&arrived.text);
        arrived.parsed = Some(parsed.map_err(|why| format!("the answer cannot be used: {why}"))?);
        Ok(Step::Last)
    }

    fn len(&self, arrived: &ArrivedKeys) -> usize {
        arrived.text.len()
    }

    fn write(&self, arrived: &mut ArrivedKeys, words: &[AtomicU64]) -> Step {
        store_bytes(words, &arrived.text);
        Step::Last
    }

    fn warnings(&self, arrived: &mut ArrivedKeys) -> Vec<String> {
        arrived.parsed.as_mut().map(|(_, warnings)| core::mem::take(warnings)).unwrap_or_default()
    }

    fn value(&self, arrived: ArrivedKeys) -> Option<KeySet> {
        arrived.parsed.map(|(keys, _)| keys)
    }

    fn open(&self, shared: Shared<'_>) -> Option<KeySet> {
        let text = Zeroizing::new(shared.block.bytes()?);
        (self.parse)(&text).ok().map(|(keys, _)| keys)
    }
}
