//! Options that several subcommands have.

use token::Algorithm;
use token::link::LinkAlgorithm;

/// Reads the name of a token's algorithm.
pub(crate) fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
        format!("one of {}", names.join(", "))
    })
}

/// Reads the name of a link's algorithm.
pub(crate) fn link_algorithm(name: &str) -> Result<LinkAlgorithm, String> {
    LinkAlgorithm::from_name(name).ok_or_else(|| {
        let names = LinkAlgorithm::ALL.map(LinkAlgorithm::name);
        format!("one of {}; which of them depends on the format", names.join(", "))
    })
}

/// The names of a link's two arguments.
#[derive(clap::Args)]
pub(crate) struct LinkNames {
    /// The query argument of the signature
    #[arg(long, value_name = "NAME", default_value = "st")]
    pub(crate) sig_arg: String,
    /// The query argument of the expiry
    #[arg(long, value_name = "NAME", default_value = "e")]
    pub(crate) expires_arg: String,
}
