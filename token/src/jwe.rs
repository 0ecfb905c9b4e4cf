//! Encrypted tokens: JSON Web Encryption in the compact form (RFC 7516, RFC 7518, RFC 8037).
//!
//! A token is decrypted before anything else is known of it, so all that it says may be an attacker's. What
//! fails after its form is one refusal, [`Reject::BadDecryption`](crate::Reject::BadDecryption), and takes the
//! same time: for a key that cannot be had another one is taken, which nobody knows (`manage`).
//!
//! 1. `algorithm`: the tables. `compact`: the five sections. `header`: what the first one says.
//! 2. `cek`: the key of a content. `content`: the content's encryption. `wrap`, `agree`: how that key is
//!    brought.
//! 3. `key`: a key that decrypts; `load`: the files of these; `keyset`: the keys of a source.
//! 4. `manage`: decrypts with a key. `open`: finds the key, and is the whole.
//! 5. `seal`: makes encrypted tokens.

mod agree;
mod algorithm;
mod cek;
mod compact;
mod content;
mod header;
mod key;
mod keyset;
mod load;
mod manage;
mod open;
mod seal;
mod wrap;

pub use algorithm::{ContentEncryption, KeyManagement, KeyManagementSet};
pub use key::{DecryptionKey, DecryptionKeyError};
pub use keyset::DecryptionKeys;
pub use load::{DecryptionKeysError, LoadedDecryptionKeys, load_decryption_keys};
pub use open::{Opened, decrypt};
pub use seal::{EncryptionKey, SealError};

pub(crate) use compact::is_encrypted;
pub(crate) use open::open;
