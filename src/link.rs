//! The check of signed links.

mod asking;
mod case;
mod check;
pub(crate) mod directives;
mod judge;
mod keys;
mod mint;
mod mint_block;
mod names;
mod scheme;
mod settings;
mod show;
mod verdict;

pub(crate) use case::LinkCase;
pub(crate) use check::LinkCheck;
pub(crate) use mint::LinkMint;
pub(crate) use mint_block::secure_token_mint;
pub(crate) use names::{EXPIRES, KEY, TIME};
pub(crate) use settings::{LinkMain, LinkSettings};
pub(crate) use show::Said;
pub(crate) use verdict::Kept;
