//! nginx with nginx-conf/demo.conf, in a folder that `build/demo.sh` has prepared.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::requests::{KEY_ID, KID, LINK_SECRET, Maker, SECRET, drive};
use crate::server::Server;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The program nginx
    #[arg(long)]
    nginx: PathBuf,
    /// The program tokenctl
    #[arg(long)]
    tokenctl: PathBuf,
    /// The prepared folder: module, pages, keys
    #[arg(long)]
    folder: PathBuf,
    /// Leaves nginx running
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let keys = args.folder.join("private").join(KEY_ID);
    let server = Server::start(&args.folder, |port| nginx(args, port))?;
    println!("nginx answers at {}", server.base());
    let driven = drive(&server.base(), &Maker::new(args.tokenctl.clone(), keys.clone()));
    let checked = check_log(&args.folder.join("error.log"));
    if args.keep {
        let base = server.base();
        print_kept(args, &keys, &base, server.keep())?;
    }
    driven.and(checked)
}

/// The configuration is used as it is: its paths are relative to the prefix, so only the port is put in.
fn nginx(args: &Args, port: u16) -> Result<Command> {
    let (folder, file) = (args.folder.display(), "nginx-conf/demo.conf");
    let text = fs::read_to_string(file).context(file)?;
    let address = format!("listen 127.0.0.1:{port};");
    ensure!(text.contains("listen 80;"), "{file} does not listen on port 80");
    fs::write(args.folder.join("nginx.conf"), text.replace("listen 80;", &address))?;
    let mut command = Command::new(&args.nginx);
    command.args(["-p", &format!("{folder}/"), "-c", &format!("{folder}/nginx.conf")]);
    command.args(["-g", &format!("daemon off; pid {folder}/nginx.pid;")]);
    if args.keep {
        // A ^C is for this process group only.
        command.process_group(0);
    }
    Ok(command)
}

fn print_kept(args: &Args, keys: &Path, base: &str, pid: u32) -> Result<()> {
    let here = env::current_dir()?;
    let here = here.display();
    let (folder, ctl, keys) = (args.folder.display(), args.tokenctl.display(), keys.display());
    let bearer = "-H \"Authorization: Bearer $token\"";
    let claim = "--claim sub=alice --lifetime 1h";
    println!(
        "
nginx goes on at {base} (its log: {folder}/error.log). To try from {here}:

  token=$({ctl} jwt --alg HS256 --secret {SECRET} --kid {KID} {claim})
  curl -i {bearer} {base}/jwt/hello.txt

  token=$({ctl} jwt --alg RS256 --key {keys}.pem --kid {KEY_ID} {claim})
  curl -i {bearer} {base}/jwks/hello.txt

  curl -i \"{base}$({ctl} url --secret {LINK_SECRET} --lifetime 1m /video/clip.txt)\"

What was refused and why, in a browser: {base}/status

To stop it:  kill -QUIT {pid}; rm -r {folder}"
    );
    Ok(())
}

/// Fails where nginx's log has a line that alarms, or anything secret: a part of a token, a secret, or
/// the signature of a link.
///
/// # Errors
/// With these lines.
pub(crate) fn check_log(file: &Path) -> Result<()> {
    let log = fs::read(file).with_context(|| file.display().to_string())?;
    let log = String::from_utf8_lossy(&log);
    let found: Vec<&str> = log.lines().filter(|line| is_wrong(line)).collect();
    ensure!(found.is_empty(), "alarms or secrets in nginx's log:\n{}", found.join("\n"));
    Ok(())
}

/// Whether a line alarms, or has something secret.
pub(crate) fn is_wrong(line: &str) -> bool {
    let alarms = ["[alert]", "[emerg]", "[crit]", "panicked"];
    let secrets = ["eyJ", "st=", SECRET, LINK_SECRET];
    alarms.iter().chain(&secrets).any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::is_wrong;

    #[test]
    fn alarms_and_secrets_are_found_and_ordinary_refusals_are_not() {
        assert!(!is_wrong("[info] 7#7: *1 jwt refused: bad_signature, client: 127.0.0.1"));
        assert!(is_wrong("[alert] 7#7: worker process 8 exited on signal 11"));
        assert!(is_wrong("[info] 7#7: token eyJhbGciOiJIUzI1NiJ9"));
        assert!(is_wrong("[info] 7#7: \"GET /video/clip.txt?st=abc&e=1\""));
        assert!(is_wrong("secret mysecretkey"));
    }
}
