//! Key sets, key files and secrets.
