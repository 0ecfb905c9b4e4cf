//! The harness of the integration tests: a real nginx with the module loaded, on a unix socket in a
//! directory of its own, a client that sends exactly the bytes it is given, and tokens and links
//! made by another implementation than the one under test.
//!
//! ```text
//! let nginx = Nginx::start(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))?;
//! assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
//! nginx.finish()
//! ```
//!
//! The environment says what is tested: `NGX_TEST_NGINX` (an nginx binary), `NGX_TEST_MODULE` (the
//! module built for it), `NGX_TEST_TOKENCTL` (the command line), `NGX_TEST_SOURCE` and `NGX_TEST_OBJS`
//! (nginx's source and its configured `objs`, for modules in C). `./build.sh test` sets all of them.
//! More are optional: `NGX_TEST_WRAPPER` is a command that nginx is started under (`valgrind
//! --error-exitcode=99 …`), and `NGX_TEST_PATIENCE` multiplies every time limit, for wrappers and
//! sanitizers that slow nginx down.
//!
//! A test fails by itself, whatever it asserted, when its nginx wrote an alert, an emergency, a
//! panic, or a sanitizer's or valgrind's report, or when a worker died of a signal.
#![forbid(unsafe_code)]

mod c_module;
mod check;
mod client;
mod config;
mod env;
mod http2;
mod jwe;
mod jwt;
mod keys;
mod link;
mod log;
mod memory;
mod mistake;
mod process;
mod provider;
mod stream;
#[cfg(test)]
mod tests;
mod wait;

pub use c_module::CModule;
pub use check::{Checked, checked_in, nginx_t};
pub use client::{Connection, Request, Response};
pub use config::{Builder, SERVE};
pub use env::{
    module, nginx_configured, nginx_has, nginx_leaves_out, nginx_version, patience, tokenctl,
};
pub use http2::{End, Field, Http2, http2_request};
pub use jwe::{ENCRYPTION_SECRET, Recipient, encrypt, secret_jwk};
pub use jwt::{
    Jwt, OTHER_SECRET, SECRET, base64url, hmac, now, raw_token, signature, unsigned_part,
};
pub use keys::{
    ED25519, Key, ML_DSA_44, ML_DSA_65, ML_DSA_87, P256, P256_OTHER, P384, P521, RSA, RSA_E3,
    RSA_OTHER, RSA_WEAK, SECP256K1_JWK, jwk_set,
};
pub use link::{hex, link, link_hmac, link_md5, md5};
pub use log::problems;
pub use memory::{open_files, processor_time, resident, resident_private};
pub use mistake::{Mistake, mistake, mistake_in, refuse_all};
pub use process::{Nginx, until_verdict};
pub use provider::{Behaviour, Provider, Received};
pub use stream::{Ffmpeg, Played, Stream, free_port};
pub use wait::{at_once, until, until_within};
