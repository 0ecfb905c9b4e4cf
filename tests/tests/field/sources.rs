//! Where the token is, and the challenge.
