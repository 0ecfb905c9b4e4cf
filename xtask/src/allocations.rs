//! Counts how often an nginx with the module allocates memory for a request whose token it has seen
//! before, and for the same request without a check: both must be the same.
//!
//! Wants valgrind. The count is of the whole process, so that nothing that the module has nginx allocate
//! is left out; what is there once only is in two counts of one process each, and cancels out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::client::Client;
use crate::server::Server;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const FEW: u64 = 100;
pub(crate) const MANY: u64 = 600;
/// How often nginx was asked whether it is there yet differs from run to run.
const NOISE: u64 = 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The program nginx
    #[arg(long)]
    pub(crate) nginx: PathBuf,
    /// The module
    #[arg(long)]
    pub(crate) module: PathBuf,
    /// The program tokenctl
    #[arg(long)]
    pub(crate) tokenctl: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let token = token(&args.tokenctl)?;
    let (without, with) = (each(args, &token, "/none")?, each(args, &token, "/check")?);
    let requests = MANY - FEW;
    println!("allocations of {requests} requests: {without} without a check, {with} with one");
    ensure!(with < without + NOISE, "a token seen before allocates memory");
    Ok(())
}

pub(crate) fn token(tokenctl: &Path) -> Result<String> {
    let output = Command::new(tokenctl)
        .args(["jwt", "--alg", "HS256", "--secret", SECRET, "--kid", "k", "--aud", "api"])
        .args(["--iss", "https://issuer.example", "--sub", "someone"])
        .args(["--claim", "scope=read write", "--lifetime", "1d"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("tokenctl")?;
    ensure!(output.status.success(), "tokenctl failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Allocations of so many requests more.
fn each(args: &Args, token: &str, path: &str) -> Result<u64> {
    let (few, many) = (whole_run(args, token, path, FEW)?, whole_run(args, token, path, MANY)?);
    many.checked_sub(few).context("more allocations for less")
}

/// Allocations of a whole process.
fn whole_run(args: &Args, token: &str, path: &str, requests: u64) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("valgrind");
    drive(folder.path(), token, path, requests, |port| {
        let mut command = Command::new("valgrind");
        command.args(["--tool=memcheck", "--leak-check=no"]);
        command.arg(format!("--log-file={}", report.display()));
        command.args(configuration(args, folder.path(), port, "")?);
        Ok(command)
    })?;
    total(&fs::read_to_string(&report)?)
}

/// Starts a server, sends it so many requests that must be answered with 200, and stops it.
pub(crate) fn drive(
    folder: &Path,
    token: &str,
    path: &str,
    requests: u64,
    command: impl Fn(u16) -> Result<Command>,
) -> Result<()> {
    let mut server = Server::start(folder, command)?;
    let (client, base) = (Client::new(), server.base());
    for n in 0..requests {
        let status = client.get(&format!("{base}{path}?{n}"), Some(token))?.status;
        ensure!(status == 200, "{path} was answered with {status}");
    }
    server.stop()
}

/// The words that start nginx in a folder with a check at /check and none at /, and with one `location`
/// more.
pub(crate) fn configuration(
    args: &Args,
    folder: &Path,
    port: u16,
    location: &str,
) -> Result<Vec<OsString>> {
    let file = folder.join("nginx.conf");
    // nginx would take a relative path as one in its prefix.
    let module = args.module.canonicalize().context("the module")?;
    fs::write(&file, text(&module, folder, port, location))?;
    Ok(words(args, folder, &file))
}

/// The words that start nginx in a folder with a configuration.
pub(crate) fn words(args: &Args, folder: &Path, file: &Path) -> Vec<OsString> {
    let (nginx, folder) = (args.nginx.as_os_str(), folder.as_os_str());
    let words = [nginx, "-p".as_ref(), folder, "-c".as_ref(), file.as_os_str()];
    let words = words.into_iter().chain(["-e".as_ref(), "stderr".as_ref()]);
    words.map(ToOwned::to_owned).collect()
}

fn text(module: &Path, folder: &Path, port: u16, location: &str) -> String {
    let (module, folder) = (module.display(), folder.display());
    format!(
        "load_module {module};
master_process off;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    keepalive_requests 100000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
        location / {{ empty_gif; }}
        location /check {{
            empty_gif;
            jwt_kids {{ k {SECRET}; }}
            jwt_issuer https://issuer.example;
            jwt_audience api;
            jwt_claim scope any read;
        }}
    }}
}}
"
    )
}

/// The number in `total heap usage: 1,234 allocs, …`.
fn total(report: &str) -> Result<u64> {
    let (_, rest) = report.split_once("total heap usage: ").context("valgrind counted nothing")?;
    let number = rest.split(' ').next().unwrap_or_default().replace(',', "");
    number.parse().with_context(|| format!("valgrind counted {number:?}"))
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_number_of_allocations_is_found_in_the_report() {
        let report = "==7==     in use at exit: 9 bytes in 1 blocks\n\
                      ==7==   total heap usage: 1,234 allocs, 1,233 frees, 56,789 bytes allocated\n";
        assert_eq!(total(report).unwrap(), 1234);
        assert!(total("==7== Memcheck, a memory error detector\n").is_err());
    }
}
