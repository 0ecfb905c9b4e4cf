//! Other modules beside the one under test, written in C and compiled for the nginx under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::env;

/// Where nginx's headers are; not every version has all of these.
const FOLDERS: [&str; 9] = [
    "core",
    "event",
    "event/modules",
    "event/quic",
    "os/unix",
    "http",
    "http/modules",
    "http/v2",
    "http/v3",
];

/// A module that nginx can load, removed when this is dropped.
#[derive(Debug)]
pub struct CModule {
    place: TempDir,
}

impl CModule {
    /// Compiles a source of this package, `second_module/NAME.c`, with `-D` for each of `defines`.
    ///
    /// # Errors
    /// When it does not compile; the error holds what the compiler wrote.
    pub fn compile(name: &str, defines: &[&str]) -> Result<Self> {
        let (nginx, objs) = env::headers()?;
        let place = tempfile::Builder::new().prefix("nta-c-").tempdir_in("/tmp")?;
        let module = Self { place };
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(module.path());
        compiler.args(defines.iter().map(|define| format!("-D{define}")));
        for folder in FOLDERS {
            compiler.arg("-I").arg(nginx.join("src").join(folder));
        }
        compiler.arg("-I").arg(objs);
        compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("second_module/{name}.c")));
        let output = compiler.output().context("cc")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(module)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.place.path().join("module.so")
    }

    /// The line of nginx.conf that loads it.
    #[must_use]
    pub fn load(&self) -> String {
        format!("load_module {};\n", self.path().display())
    }
}
