//! `nginx -t`: what nginx says about a configuration before it runs.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::config::Builder;
use crate::env;
use crate::process::{Nginx, new_prefix};

/// What `nginx -t` said.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Whether the configuration was accepted.
    pub ok: bool,
    /// Everything that nginx wrote, with the prefix shortened to `PREFIX`.
    pub stderr: String,
}

impl Checked {
    /// Requires that the configuration was refused, by one `[emerg]` line that holds every one of
    /// `fragments`.
    ///
    /// # Errors
    /// Tells what nginx wrote instead.
    pub fn refused_with(&self, fragments: &[&str]) -> Result<()> {
        ensure!(!self.ok, "the configuration was accepted: {}", self.stderr);
        self.one_line("[emerg]", fragments)
    }

    /// Requires that the configuration was accepted, with one `[warn]` line that holds every one of
    /// `fragments`.
    ///
    /// # Errors
    /// Tells what nginx wrote instead.
    pub fn warned_with(&self, fragments: &[&str]) -> Result<()> {
        ensure!(self.ok, "the configuration was refused: {}", self.stderr);
        self.one_line("[warn]", fragments)
    }

    /// Requires that the configuration was accepted without a warning.
    ///
    /// # Errors
    /// Tells what nginx wrote instead.
    pub fn accepted(&self) -> Result<()> {
        ensure!(self.ok && !self.stderr.contains("[warn]"), "nginx -t wrote: {}", self.stderr);
        Ok(())
    }

    fn one_line(&self, level: &str, fragments: &[&str]) -> Result<()> {
        let mut lines = self.stderr.lines().filter(|line| line.contains(level));
        ensure!(
            lines.any(|line| fragments.iter().all(|fragment| line.contains(fragment))),
            "no {level} line holds all of {fragments:?}: {}",
            self.stderr
        );
        Ok(())
    }
}

impl Builder {
    /// Runs `nginx -t` on this configuration.
    ///
    /// # Errors
    /// When nginx cannot be run at all.
    pub fn check(&self) -> Result<Checked> {
        let prefix = new_prefix()?;
        self.write(prefix.path())?;
        let output = env::nginx_command()?
            .current_dir(prefix.path())
            .arg("-p")
            .arg(prefix.path())
            .args(["-c", "nginx.conf", "-e", "stderr", "-t"])
            .output()
            .context("running nginx -t")?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!stderr.contains("panicked at"), "nginx -t panicked: {stderr}");
        ensure!(output.status.code().is_some(), "nginx -t died: {}: {stderr}", output.status);
        let place = prefix.path().to_string_lossy().into_owned();
        Ok(Checked { ok: output.status.success(), stderr: stderr.replace(&place, "PREFIX") })
    }
}

/// Runs `nginx -t` on a configuration that is there already, in a prefix of its own. Only the place of the
/// pid is the test's.
///
/// # Errors
/// When nginx cannot be run at all.
pub fn checked_in(prefix: &Path, conf: &Path) -> Result<Checked> {
    let output = env::nginx_command()?
        .arg("-p")
        .arg(prefix)
        .arg("-c")
        .arg(conf)
        .args(["-e", "stderr", "-t", "-g"])
        .arg(format!("pid {};", prefix.join("nginx.pid").display()))
        .output()
        .context("running nginx -t")?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Checked { ok: output.status.success(), stderr })
}

/// Runs `nginx -t` with `server` in the server block.
///
/// # Errors
/// When nginx cannot be run at all.
pub fn nginx_t(server: impl Into<String>) -> Result<Checked> {
    Nginx::builder().server(server).check()
}
