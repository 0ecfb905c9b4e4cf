//! Public keys in PEM.

use anyhow::{Context as _, Result};
use token::sign::{Jwk, PemBlock, public_of_block};

/// Every key of a PEM text: public keys, certificates, and the public halves of private keys.
pub(crate) fn public_keys(text: &[u8]) -> Result<Vec<Jwk>> {
    let blocks = pem::parse_many(text).context("PEM")?;
    blocks
        .iter()
        // OpenSSL writes such a block before an EC key, which names the curve as well.
        .filter(|block| block.tag() != "EC PARAMETERS")
        .enumerate()
        .map(|(i, block)| {
            from_block(block).with_context(|| format!("PEM block {} ({})", i + 1, block.tag()))
        })
        .collect()
}

fn from_block(block: &pem::Pem) -> Result<Jwk> {
    let has_proc_type = block.headers().get("Proc-Type").is_some();
    let block = PemBlock { label: block.tag(), has_proc_type, der: block.contents() };
    Ok(public_of_block(&block)?)
}
