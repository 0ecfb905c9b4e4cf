//! Which tokens pass: in which source, signed with which key, and with which claims.
//!
//! | module | what |
//! | --- | --- |
//! | `token_sources` | where a token is looked for |
//! | `algorithms`, `keys`, `providers` | which key and which algorithm verify it |
//! | `claims`, `rules`, `claim_rules`, `revoked` | which claims are required, and which revoked |
//! | `claim_set` | variables for claims and headers by path |
//! | `encrypted` | encrypted and nested tokens |
//! | `encrypted_elsewhere` | the same, of other implementations |
//! | `modes` | the modes of `jwt`: on, off, optional, permissive |
//! | `jwt_cache` | the cache of verified tokens |
//! | `uri_signing` | which URIs a token opens, and how it is renewed |
//! | `tokenctl` | nginx and the command line agree |

mod algorithms;
mod claim_rules;
mod claim_set;
mod claims;
mod encrypted;
mod encrypted_elsewhere;
mod jwt_cache;
mod keys;
mod modes;
mod providers;
mod revoked;
mod rules;
mod token_sources;
mod tokenctl;
mod uri_signing;
