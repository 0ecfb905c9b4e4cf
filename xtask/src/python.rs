//! Programs from PyPI, each in a virtual environment of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Names the packages that are in the folder. Written last, so that a half of an installation is none.
const NOTE: &str = "packages.txt";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that it is installed into; what is there already goes, unless it is the same
    folder: PathBuf,
    /// A program of the packages, which must run with --help
    program: String,
    /// The packages, such as name==1.2.3; only prebuilt ones are taken
    #[arg(required = true)]
    packages: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (folder, bin) = (&args.folder, args.folder.join("bin"));
    let (note, program) = (folder.join(NOTE), bin.join(&args.program));
    let wanted = args.packages.join("\n");
    if program.is_file() && fs::read_to_string(&note).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    println!("installing {} into {}", args.packages.join(", "), folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    quietly(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let pip = ["install", "-q", "--no-input", "--only-binary", ":all:"];
    quietly(Command::new(bin.join("pip")).args(pip).args(&args.packages))?;
    quietly(Command::new(program).arg("--help"))?;
    fs::write(&note, wanted).with_context(|| note.display().to_string())
}

/// Runs a command; what it prints is shown only when it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| name.clone())?;
    if output.status.success() {
        return Ok(());
    }
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    bail!("{name} failed: {}", words.lines().last().unwrap_or("it printed nothing"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::{Args, NOTE, quietly, run};

    fn args(folder: &std::path::Path, package: &str) -> Args {
        let packages = vec![package.to_owned()];
        Args { folder: folder.to_owned(), program: "true".to_owned(), packages }
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("bin/true"), "not to be run").unwrap();
        fs::write(folder.path().join(NOTE), "some==1").unwrap();
        run(&args(folder.path(), "some==1")).unwrap();
        assert_eq!(fs::read(folder.path().join("bin/true")).unwrap(), b"not to be run");
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_last_words() {
        let error = quietly(Command::new("sh").args(["-c", "echo first; echo last >&2; exit 3"]));
        assert_eq!(error.unwrap_err().to_string(), "sh failed: last");
        quietly(&mut Command::new("true")).unwrap();
    }
}
