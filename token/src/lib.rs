//! Verification of JSON Web Tokens and signed URLs, without I/O and without nginx.
//!
//! The data flows as the modules are listed: key files become [`Key`]s in [`KeySet`]s when a
//! configuration is read, or come by [`http`]; a request's [`credential`] is then judged by a [`Trust`] or a
//! [`LinkPolicy`], which answers with what was verified or with a [`Reject`], told to the client
//! as a [`challenge`]. The time is always an argument.
#![forbid(unsafe_code)]

mod alg;
mod jwk;
mod key;
mod keyfile;
mod keyset;
mod kids;
mod loaded;
mod pem;
mod published;
pub mod schedule;

pub mod http;

mod cache;
mod claims;
mod compact;
mod content;
pub mod credential;
mod effective;
mod header;
mod policy;
mod providers;
mod refusal;
mod revoked;
mod rules;
mod signed_url;
mod trust;

pub mod base64url;
pub mod challenge;
pub mod json;
mod number;
mod reject;

pub use alg::{Algorithm, AlgorithmSet, Curve};
pub use cache::Cache;
pub use compact::MAX_TOKEN_LEN;
pub use content::Content;
pub use key::{Key, KeyError, RSA_MAX_BITS, RSA_MIN_BITS};
pub use keyfile::{fingerprint, load_keys, load_published_keys};
pub use keyset::{KeySet, MAX_CANDIDATES};
pub use kids::load_kids;
pub use loaded::{Fault, LoadError, Loaded};
pub use policy::{Beside, Demands, Lent, Loan, Policy};
pub use providers::Providers;
pub use published::MAX_PUBLISHED_KEYS;
pub use refusal::Refusal;
pub use reject::Reject;
pub use revoked::{ListError, Revocation, RevokedList};
pub use rules::{ClaimPath, ClaimRule, Operator, RuleError};
pub use signed_url::{Link, LinkAlgorithm, LinkPolicy, LinkSecret};
pub use trust::{Trust, Verified};
