//! What cargo says about itself, in JSON.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Builds one program with the release profile, and tells where it is.
///
/// # Errors
/// When cargo fails, or makes no program.
pub(crate) fn build_program(package: &str) -> Result<PathBuf> {
    let arguments =
        ["build", "--release", "--locked", "-q", "--message-format=json", "-p", package];
    let messages = cargo(&arguments)?;
    let program = json_lines(&messages)
        .filter(|message| text(message, "reason") == Some("compiler-artifact"))
        .filter_map(|message| text(&message, "executable").map(PathBuf::from))
        .last();
    program.with_context(|| format!("cargo has built no program of {package}"))
}

pub(crate) fn print_vendored_source() -> Result<()> {
    let metadata = cargo(&["metadata", "--locked", "--format-version=1", "--features=vendored"])?;
    println!("{}", vendored_source(&metadata)?.display());
    Ok(())
}

/// The folder of nginx's source in the nginx-src crate.
fn vendored_source(metadata: &str) -> Result<PathBuf> {
    let metadata: Value = serde_json::from_str(metadata).context("cargo metadata")?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let manifest = packages
        .iter()
        .find(|package| text(package, "name") == Some("nginx-src"))
        .and_then(|package| text(package, "manifest_path"));
    let folder = manifest.and_then(|path| Path::new(path).parent());
    Ok(folder.context("cargo knows no crate nginx-src")?.join("nginx"))
}

pub(crate) fn print_vendored_nginx(messages: &Path) -> Result<()> {
    let text = fs::read_to_string(messages).with_context(|| messages.display().to_string())?;
    println!("{}", vendored_nginx(&text)?.display());
    Ok(())
}

/// The `objs` of the nginx that the build script of nginx-sys has built. Earlier builds may have left
/// others: cargo says which one it used this time.
fn vendored_nginx(messages: &str) -> Result<PathBuf> {
    let folder = json_lines(messages)
        .filter(|message| text(message, "reason") == Some("build-script-executed"))
        .filter(|message| text(message, "package_id").is_some_and(|id| is_of(id, "nginx-sys")))
        .filter_map(|message| text(&message, "out_dir").map(PathBuf::from))
        .last();
    Ok(folder.context("cargo did not run the build script of nginx-sys")?.join("objs"))
}

/// Whether a package id, such as `registry+https://index#nginx-sys@0.5.0`, is of this package.
fn is_of(id: &str, name: &str) -> bool {
    id.rsplit(['/', '#']).any(|part| part.split('@').next() == Some(name))
}

fn json_lines(messages: &str) -> impl Iterator<Item = Value> {
    messages.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str)
}

/// What cargo prints. Its errors and warnings go to the screen.
fn cargo(arguments: &[&str]) -> Result<String> {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo")?;
    ensure!(output.status.success(), "cargo {} failed", arguments.join(" "));
    String::from_utf8(output.stdout).context("what cargo printed")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_of, vendored_nginx, vendored_source};

    #[test]
    fn the_last_build_script_of_nginx_sys_counts() {
        let messages = r#"{"reason":"compiler-artifact","package_id":"registry+https://i#nginx-sys@0.5.0"}
{"reason":"build-script-executed","package_id":"registry+https://i#nginx-sys@0.5.0","out_dir":"/t/old"}
   Compiling something, which is no JSON
{"reason":"build-script-executed","package_id":"registry+https://i#nginx-sys@0.5.0","out_dir":"/t/new"}
{"reason":"build-script-executed","package_id":"registry+https://i#libc@0.2.1","out_dir":"/t/libc"}"#;
        assert_eq!(vendored_nginx(messages).unwrap(), Path::new("/t/new/objs"));
        assert!(vendored_nginx("{}").is_err());
    }

    #[test]
    fn the_source_is_beside_the_manifest_of_its_crate() {
        let metadata = r#"{"packages":[{"name":"nginx-sys","manifest_path":"/r/nginx-sys/Cargo.toml"},
            {"name":"nginx-src","manifest_path":"/r/nginx-src-1.28.5/Cargo.toml"}]}"#;
        assert_eq!(vendored_source(metadata).unwrap(), Path::new("/r/nginx-src-1.28.5/nginx"));
        assert!(vendored_source(r#"{"packages":[]}"#).is_err());
    }

    #[test]
    fn a_package_is_known_by_either_form_of_its_id() {
        assert!(is_of(
            "registry+https://github.com/rust-lang/crates.io-index#nginx-sys@0.5.0",
            "nginx-sys"
        ));
        assert!(is_of("path+file:///src/nginx-sys#0.5.0", "nginx-sys"));
        assert!(!is_of("registry+https://index#nginx-src@1.28.5", "nginx-sys"));
    }
}
