//! `tokenctl`: mint, inspect and explain tokens, signed links and keys.
//!
//! Each module imports only modules above it:
//!
//! 1. Input and output: `stdout` (was it closed?), `output`, `files`, `time`, `secret`, `options`.
//! 2. Content: `link` (a link taken apart), `expression` (the text that a link's hash is over), `scheme` (how links
//!    are signed), `sections` (a token taken apart), `decrypted` (an encrypted one), `form` (faults of its form).
//! 3. Keys: `key_file` (the key that signs), `pem_file` (public keys in PEM), `keyring` (the keys that
//!    verify).
//! 4. Verdicts: `rules`, `explain`, `inspect_token` (of a token), `inspect_link` (of a link).
//! 5. One module for each subcommand: `jwt`, `encrypt`, `status_list`, `url`, `keys`, `jwks`, `inspect`; and `manual`
//!    (completions, pages for man).
#![deny(unsafe_code)]

mod decrypted;
mod encrypt;
mod explain;
mod expression;
mod files;
mod form;
mod inspect;
mod inspect_link;
mod inspect_token;
mod jwks;
mod jwt;
mod key_file;
mod keyring;
mod keys;
mod link;
mod manual;
mod options;
mod output;
mod pem_file;
mod rules;
mod scheme;
mod secret;
mod sections;
mod status_list;
mod stdout;
mod time;
mod url;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// The exit status for an error in the call or in a file. A refused token or link has status 1.
const FAILED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  tokenctl keys --alg RS256 --kid demo --out keys/demo
  tokenctl jwt --key keys/demo.pem --kid demo --sub alice --lifetime 15m
  tokenctl jwt --secret-file secret.txt --kid web --claim 'roles=[\"admin\"]'
  tokenctl url --secret mysecretkey --lifetime 1h /video/clip.mp4
  tokenctl url --format akamai --secret 0a1b2c3d --covers '/hls/*' /hls/master.m3u8
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
    Encrypt(encrypt::Args),
    StatusList(status_list::Args),
    Url(url::Args),
    Keys(keys::Args),
    Jwks(jwks::Args),
    Inspect(Box<inspect::Args>),
    Completions(manual::Completions),
    Manual(manual::Manual),
}

fn main() -> ExitCode {
    let now = time::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return instead_of_a_command(&said),
    };
    let done = match cli.command {
        Command::Jwt(args) => jwt::run(&args, now),
        Command::Encrypt(args) => encrypt::run(&args),
        Command::StatusList(args) => status_list::run(&args, now),
        Command::Url(args) => url::run(&args, now),
        Command::Keys(args) => keys::run(&args),
        Command::Jwks(args) => jwks::run(&args),
        Command::Inspect(args) => inspect::run(&args, now),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Manual(args) => manual::pages(&args, Cli::command()),
    };
    done.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    output::error(&format!("{error:#}"));
    ExitCode::from(FAILED)
}

/// Prints the help or the version, if they were asked for, or what is wrong with the call. Such an error
/// quotes words of the call, so it is made printable.
fn instead_of_a_command(said: &clap::Error) -> ExitCode {
    let text = output::printable(&said.render().to_string());
    if said.use_stderr() {
        output::to_stderr(&text);
        return ExitCode::from(FAILED);
    }
    match output::print(&text) {
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
