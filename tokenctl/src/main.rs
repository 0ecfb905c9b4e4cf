//! `tokenctl`: mint, inspect and explain tokens, signed links and keys.
//!
//! One module for each subcommand; `private`, `public`, `pem_file` and `keyring` hold what they share about keys,
//! `link` about signed links, `time`, `secret` and `files` the rest.
#![deny(unsafe_code)]

mod explain;
mod files;
mod inspect;
mod inspect_link;
mod jwks;
mod jwt;
mod keyring;
mod keys;
mod link;
mod members;
mod pem_file;
mod private;
mod public;
mod secret;
mod stdout;
mod time;
mod url;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit status of an error in the call or in a file; 1 is a refused token or link.
const FAILED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  tokenctl keys --alg RS256 --kid demo --out keys/demo
  tokenctl jwt --key keys/demo.pem --kid demo --sub alice --lifetime 15m
  tokenctl jwt --secret-file secret.txt --kid web --claim 'roles=[\"admin\"]'
  tokenctl url --secret mysecretkey --lifetime 1h /video/clip.mp4
  tokenctl inspect \"$token\" --keys keys/demo.jwks.json

`tokenctl COMMAND --help` has more of them.";

/// Mint, inspect and explain what ngx-token-auth judges: JSON Web Tokens and signed links.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Jwt(jwt::Args),
    Url(url::Args),
    Keys(keys::Args),
    Jwks(jwks::Args),
    Inspect(inspect::Args),
}

fn main() -> ExitCode {
    let now = time::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return instead_of_a_command(&said),
    };
    let done = match cli.command {
        Command::Jwt(args) => jwt::run(&args, now),
        Command::Url(args) => url::run(&args, now),
        Command::Keys(args) => keys::run(&args),
        Command::Jwks(args) => jwks::run(&args),
        Command::Inspect(args) => inspect::run(&args, now),
    };
    done.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    files::complain(&format!("{error:#}"));
    ExitCode::from(FAILED)
}

/// Help where it was asked for, or what is wrong with the words of the call, which it quotes.
fn instead_of_a_command(said: &clap::Error) -> ExitCode {
    let text = files::printable(&said.render().to_string());
    if said.use_stderr() {
        files::tell(&text);
        return ExitCode::from(FAILED);
    }
    match files::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
