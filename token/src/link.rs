//! Signed links ("secure token"): each format in a file of its own, behind one trait.
//!
//! A link says until when it is valid, and often what it covers; a signature over that, and a secret or key,
//! vouch for it. The data flows through these modules, from top to bottom:
//!
//! 1. `address` (percent-encoding), `expiry` (times), `fields` (`name=value` in a text), `cover` (wildcards and
//!    networks), `secret`, `mac` (hashes), `remembered` (signatures that have held), `keys` (public keys),
//!    `part` (what people are shown of a link): what formats are made of.
//! 2. `request` (what a format may ask of a request), `format` (the trait, and what comes of a judgement),
//!    `order` (the trait of what makes links).
//! 3. The formats. Nothing outside of a format's file depends on which format it is.
//! 4. `formats`: the table of their names. `given`: a request made from its parts.

pub mod address;
mod akamai;
mod algorithm;
mod bunny;
mod cloudfront;
pub mod cover;
mod expiry;
pub mod fields;
mod format;
mod formats;
mod given;
mod google;
mod hash;
mod keys;
mod mac;
mod order;
mod part;
mod plain;
mod remembered;
mod request;
mod secret;
#[cfg(test)]
mod stand_in;

pub use algorithm::LinkAlgorithm;
pub use cloudfront::{CloudFront, CloudFrontSigner};
pub use expiry::{Expiry, TimeFormat};
pub use format::{
    Denied, FormatSettings, Granted, LinkFormat, Mistake, Place, Refused, Sentence, Value,
};
pub use formats::{FormatName, names};
pub use given::{Given, Piece};
pub use google::{Google, GoogleSigner};
pub use hash::{HashSettings, Hashed, SignatureEncoding};
pub use keys::LinkKeys;
pub use mac::HashAlgorithm;
pub use order::{LinkSigner, Order, OrderError};
pub use part::{Meaning, Part};
pub use plain::{Link, Plain};
pub use remembered::Remembered;
pub use request::{Carrier, LinkRequest, Pair, Unavailable};
pub use secret::{Encoding, LinkSecret, SecretText};
