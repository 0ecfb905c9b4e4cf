//! `tokenctl completions` and `tokenctl manual`: what a package installs beside the program.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;

use crate::output;

const EXAMPLES: &str = "\
Examples:
  tokenctl completions bash > /usr/share/bash-completion/completions/tokenctl
  source <(tokenctl completions zsh)";

/// Print what completes tokenctl's words in a shell
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Write the manual's pages, for man
#[derive(clap::Args)]
pub(crate) struct Manual {
    /// The folder for tokenctl.1, tokenctl-jwt.1 and so on, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the completions of `command`.
pub(crate) fn completions(args: &Completions, mut command: Command) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "tokenctl", &mut text);
    output::print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for `command` and one for each of its subcommands.
pub(crate) fn pages(args: &Manual, command: Command) -> Result<ExitCode> {
    fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    clap_mangen::generate_to(command.disable_help_subcommand(true), &args.folder)
        .with_context(|| args.folder.display().to_string())?;
    for entry in fs::read_dir(&args.folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "1") {
            let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            fs::write(&path, with_lines_kept(&page)).with_context(|| path.display().to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The page with its examples as they are: filled and hyphenated lines would be no commands.
fn with_lines_kept(page: &str) -> String {
    let Some((before, extra)) = page.split_once(".SH EXTRA\n") else { return page.to_owned() };
    let (examples, after) = match extra.split_once("\n.SH ") {
        Some((examples, after)) => (examples, format!(".SH {after}")),
        None => (extra.trim_end(), String::new()),
    };
    format!("{before}.SH NOTES\n.nf\n{}\n.fi\n{after}", examples.trim_end())
}
