//! Limits for key sets that others publish, and where a set comes from.

/// How many keys are read from a set that others publish; an RSA key counts as four, and so does a
/// certificate. Parsing a key takes
/// some microseconds, in which the worker serves no other request.
pub const MAX_PUBLISHED_KEYS: usize = 2048;

/// How many keys an RSA key counts as.
pub(crate) const RSA_COST: usize = 4;

/// How many keys it counts as to read the certificate of a key, in addition to the key.
pub(crate) const CERTIFICATE_COST: usize = 4;

/// How many keys are read from PEM that others publish: each may be an RSA key in a certificate.
pub(crate) const MAX_PUBLISHED_PEM: usize = MAX_PUBLISHED_KEYS / (RSA_COST + CERTIFICATE_COST);

/// Where a set comes from. Either way a key that cannot be used is left out with a warning (RFC 7517
/// section 5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file of the person who configures nginx, and who can correct it: two keys of one kid, and a
    /// public key as a secret, are errors.
    File,
    /// Others publish it: such keys are left out too, and there are limits.
    Published,
}
