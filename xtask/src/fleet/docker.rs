//! Docker's command line.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// No command of these takes longer, in seconds.
const LIMIT: &str = "60";

/// A container, or a network, that is removed by its label.
pub(super) struct Docker {
    pub(super) label: String,
}

impl Docker {
    /// Runs `docker run` in the background, with an end: whatever happens, nothing runs for longer than
    /// this test may. What the container runs has to be a program, and not the entry point of its image.
    ///
    /// # Errors
    /// When the container does not start.
    pub(super) fn run(&self, options: &[&str], image: &str, command: &[&str]) -> Result<String> {
        let begin = ["run", "-d", "--label", &self.label, "--entrypoint", "timeout"];
        let end = [image, "900"];
        docker(&[&begin, options, &end, command].concat())
    }

    /// Makes a network, and gives its name.
    ///
    /// # Errors
    /// When the engine has none.
    pub(super) fn network(&self) -> Result<String> {
        let name = self.label.replace(['=', '.'], "-");
        docker(&["network", "create", "--label", &self.label, &name])?;
        Ok(name)
    }
}

/// What a command of docker prints.
///
/// # Errors
/// When it fails, with what it said.
pub(super) fn docker(arguments: &[&str]) -> Result<String> {
    let (printed, _) = both(arguments)?;
    Ok(printed.trim().to_owned())
}

/// What a command of docker prints, and what it says beside.
///
/// # Errors
/// When it fails, with what it said.
pub(super) fn both(arguments: &[&str]) -> Result<(String, String)> {
    let output = Command::new("timeout")
        .args([LIMIT, "docker"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("docker")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "docker {}: {}", arguments.join(" "), said.trim());
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), said))
}
