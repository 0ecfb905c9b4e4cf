//! What `./build.sh test` says about the nginx, the module and the command line under test.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

fn required(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| anyhow!("{name} is not set: run ./build.sh test"))?;
    // nginx runs in a directory of its own, where a relative path would mean something else.
    path.canonicalize().with_context(|| format!("{name}={}", path.display()))
}

/// The nginx under test.
pub(crate) fn nginx() -> Result<PathBuf> {
    required("NGX_TEST_NGINX")
}

/// The module that [`nginx`] loads.
///
/// # Errors
/// When `NGX_TEST_MODULE` is not set or names no file.
pub fn module() -> Result<PathBuf> {
    required("NGX_TEST_MODULE")
}

/// The project's command line tool.
///
/// # Errors
/// When `NGX_TEST_TOKENCTL` is not set or names no file.
pub fn tokenctl() -> Result<PathBuf> {
    required("NGX_TEST_TOKENCTL")
}

/// The sources that [`nginx`] was built from, and its configured `objs`.
pub(crate) fn headers() -> Result<(PathBuf, PathBuf)> {
    Ok((required("NGX_TEST_SOURCE")?, required("NGX_TEST_OBJS")?))
}

/// A command that starts nginx, under `NGX_TEST_WRAPPER` when that is set.
pub(crate) fn nginx_command() -> Result<Command> {
    let nginx = nginx()?;
    let wrapper = std::env::var_os("NGX_TEST_WRAPPER").unwrap_or_default();
    let wrapper = wrapper.to_string_lossy().into_owned();
    let mut words = wrapper.split_whitespace().map(OsString::from);
    Ok(match words.next() {
        Some(program) => {
            let mut command = Command::new(program);
            command.args(words).arg(nginx);
            command
        }
        None => Command::new(nginx),
    })
}

/// `limit`, times `NGX_TEST_PATIENCE`.
#[must_use]
pub fn patience(limit: Duration) -> Duration {
    let factor = std::env::var("NGX_TEST_PATIENCE").ok().and_then(|text| text.parse::<u32>().ok());
    limit * factor.unwrap_or(1).max(1)
}

/// The version of the nginx under test, to be compared with others.
///
/// # Errors
/// When nginx cannot be run, or tells no version.
pub fn nginx_version() -> Result<(u32, u32, u32)> {
    let output = Command::new(nginx()?).arg("-v").output().context("nginx -v")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut parts = text.trim().rsplit('/').next().unwrap_or_default().split('.');
    let mut part = || parts.next()?.parse().ok();
    part()
        .and_then(|major| Some((major, part()?, part()?)))
        .with_context(|| format!("no version in {text:?}"))
}

/// Whether nginx was configured `--with-http_NAME_module`.
///
/// # Errors
/// When nginx cannot be run.
pub fn nginx_has(name: &str) -> Result<bool> {
    nginx_configured(&format!("--with-http_{name}_module"))
}

/// Whether nginx was configured with this argument.
///
/// # Errors
/// When nginx cannot be run.
pub fn nginx_configured(argument: &str) -> Result<bool> {
    let output = Command::new(nginx()?).arg("-V").output().context("nginx -V")?;
    Ok(String::from_utf8_lossy(&output.stderr).split_whitespace().any(|word| word == argument))
}

/// Whether this nginx is built without a module of nginx's that others have, such as `ssi`.
///
/// # Errors
/// When nginx cannot be run.
pub fn nginx_leaves_out(name: &str) -> Result<bool> {
    Ok(left_out()?.iter().any(|one| one == name))
}

/// Which of nginx's own modules (as in `--without-http_NAME_module`) this build leaves out.
pub(crate) fn left_out() -> Result<Vec<String>> {
    let output = Command::new(nginx()?).arg("-V").output().context("nginx -V")?;
    Ok(String::from_utf8_lossy(&output.stderr)
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--without-http_")?.strip_suffix("_module"))
        .map(str::to_owned)
        .collect())
}
