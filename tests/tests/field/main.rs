//! Inputs as identity providers, gateways and their users write them. Each test has the name of the
//! situation, and shows what nginx makes of the smallest input of its kind.
//!
//! | module | what is unusual |
//! | --- | --- |
//! | `keys` | key sets, key files and secrets |
//! | `tokens` | tokens, and what is said of those that are refused |
//! | `rules` | claims and the rules on them |
//! | `sources` | where the token is, and the challenge |
//! | `fetching` | where keys come from |

mod fetching;
mod keys;
mod rules;
mod sources;
mod tokens;
