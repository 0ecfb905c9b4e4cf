//! Which tokens pass: where they stand, who signed them, and what they must say.
//!
//! | module | what |
//! | --- | --- |
//! | `token_sources` | where a token is looked for |
//! | `algorithms`, `keys`, `providers` | which key and which algorithm verify it |
//! | `claims`, `rules`, `claim_rules`, `revoked` | what it must say, and must not be |
//! | `claim_set` | variables for claims and headers by path |
//! | `modes` | on, off, optional, permissive |
//! | `jwt_cache` | the memory of verified tokens |
//! | `tokenctl` | what the command line makes and says |

mod algorithms;
mod claim_rules;
mod claim_set;
mod claims;
mod jwt_cache;
mod keys;
mod modes;
mod providers;
mod revoked;
mod rules;
mod token_sources;
mod tokenctl;
