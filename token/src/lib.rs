//! Verifies JSON Web Tokens and signed links, and signs tokens, without I/O and without nginx. The time
//! is always an argument.
//!
//! The data flows through these modules, from top to bottom; each imports only modules above it:
//!
//! 1. Basics that import nothing: `base64url`, `number`, `alg`, `compact` (the three sections of a
//!    token), `reject` (the reasons for a refusal), `cache::index`, `http` (reads an answer),
//!    `schedule` (when to fetch), `credential` (finds a token or a link's arguments in a request), `uri`
//!    (URIs that are compared).
//! 2. `json`: a parsed text.
//! 3. Keys: `identity`, `key`, `keyset`; and their files: `loaded` (keys, warnings, errors), `published`
//!    (limits), `pem`, `disclosed` (secrets that are public), `jwk::members`, `jwk`, `by_kid` (PEM by
//!    kid), `keyfile` (any of the three), `kids` (secrets).
//! 4. Content of a token: `refusal` (why it is refused), `claims`, `header`, `headers` (the last ones),
//!    `content`.
//! 5. What it is judged by: `path` (to a claim), `rules`, `issuers`, `revoked`, `policy` (as
//!    configured), `effective` (the policy for one token), `providers` (one policy for each issuer).
//! 6. `sign`: keys that sign, and what they sign. It uses the basics, `json` and the keys. `jwe`: encrypted
//!    tokens, and keys that decrypt, some of which are read as keys that sign.
//! 7. The judgement: `cache`, `trust`. For links: `link`, which makes them too.
//! 8. `status`: what a token's status list says of it.
//! 9. `challenge`: the refusal as a header. `thumbprint`: that of a client's certificate.
//! 10. `playlist`: puts arguments into the URLs of a playlist. It uses `credential` only.
//! 11. `cdni`: tokens that say which URIs they open, and how they are renewed.
#![forbid(unsafe_code)]

mod alg;
pub mod base64url;
mod compact;
pub mod credential;
pub mod http;
mod number;
mod reject;
pub mod schedule;
mod uri;

pub mod json;

mod by_kid;
mod disclosed;
mod identity;
mod jwk;
mod key;
mod keyfile;
mod keyset;
mod kids;
mod loaded;
mod memo;
mod pem;
mod published;

mod claims;
mod content;
mod header;
mod headers;

mod effective;
mod issuers;
mod path;
mod per_kid;
mod policy;
mod providers;
mod refusal;
mod revoked;
mod rules;

pub mod jwe;
pub mod sign;

mod cache;
pub mod link;
mod trust;
mod verified;

pub mod status;

pub mod challenge;
mod thumbprint;

pub mod cdni;
pub mod playlist;

pub use alg::{Algorithm, AlgorithmSet, Curve, SignatureCounts};
pub use cache::{Cache, CacheCounts, Known, Steady};
pub use compact::MAX_TOKEN_LEN;
pub use content::Content;
pub use disclosed::public_form;
pub use header::Header;
pub use headers::Headers;
pub use issuers::Issuers;
pub use key::{Key, KeyError, RSA_MAX_BITS, RSA_MIN_BITS};
pub use keyfile::{fingerprint, load_keys, load_keys_beside_private, load_published_keys};
pub use keyset::{KeySet, MAX_CANDIDATES, MAX_NAMELESS};
pub use kids::load_kids;
pub use loaded::{Fault, LoadError, Loaded};
pub use memo::Memo;
pub use path::ClaimPath;
pub use per_kid::PerKid;
pub use policy::{Forms, LiveInputs, LivePolicy, LocationPolicy, Policy, Requirements, Wanted};
pub use providers::Providers;
pub use published::MAX_PUBLISHED_KEYS;
pub use refusal::Refusal;
pub use reject::Reject;
pub use revoked::{
    Finding, ListError, ListReader, ListRecords, Revocation, RevokedList, Times, Words,
};
pub use rules::{ClaimRule, Operator, RuleError};

pub use thumbprint::certificate_thumbprint;
pub use trust::{Trust, With};
pub use uri::{Carrier, MAX_URI_LEN, RequestUri, UriError};
pub use verified::Verified;
