//! Counts the instructions that counting takes of a request: those of a request with a check where a
//! location has `token_auth_status`, less those of the same request where none has.
//!
//! Wants valgrind, as `instructions` does. What libc does is left out: its allocator takes some hundred
//! instructions more or less, as things happen to lie in memory after the configuration was read.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::allocations::{Args, FEW, MANY, configuration, drive, token};

/// 0.05 us, where a core does three instructions in a nanosecond.
const ALLOWED: u64 = 150;

const STATUS: &str = "location = /status { token_auth_status; }";

pub(crate) fn run(args: &Args) -> Result<()> {
    let token = token(&args.tokenctl)?;
    let (without, with) = (each(args, &token, "")?, each(args, &token, STATUS)?);
    println!("instructions of a request: {without}, and {with} where it is counted");
    ensure!(with <= without + ALLOWED, "counting takes more than {ALLOWED} instructions");
    Ok(())
}

/// Instructions of one request, with so many locations more.
fn each(args: &Args, token: &str, location: &str) -> Result<u64> {
    let whole = |requests| whole_run(args, token, location, requests);
    let more = whole(MANY)?.checked_sub(whole(FEW)?).context("more instructions for less")?;
    Ok(more / (MANY - FEW))
}

/// Instructions of a whole process.
fn whole_run(args: &Args, token: &str, location: &str, requests: u64) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("callgrind");
    drive(folder.path(), token, "/check", requests, |port| {
        callgrind(args, folder.path(), &out, location, port)
    })?;
    own(&fs::read_to_string(&out)?)
}

/// The instructions of nginx and of the module in a profile of callgrind: those of each function itself,
/// by the object that it is in.
fn own(profile: &str) -> Result<u64> {
    let (mut names, mut sum) = (HashMap::new(), 0);
    let (mut counts, mut is_call) = (false, false);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=").or(line.strip_prefix("cob=")) {
            // A number stands for the name from its second occurrence on, here or there.
            let (number, name) = object.split_once(' ').unwrap_or((object, ""));
            let known = names.entry(number.to_owned()).or_insert_with(|| name.to_owned());
            if line.starts_with("ob=") {
                counts = known.ends_with("/nginx") || known.contains("token_auth");
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            // The line after "calls=" is what was called.
            if counts && !std::mem::take(&mut is_call) {
                let cost = line.split(' ').nth(1).context("no cost")?;
                sum += cost.parse::<u64>().with_context(|| line.to_owned())?;
            }
            is_call = false;
        }
    }
    ensure!(sum > 0, "callgrind counted nothing");
    Ok(sum)
}

fn callgrind(args: &Args, folder: &Path, out: &Path, location: &str, port: u16) -> Result<Command> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())]);
    command.args(configuration(args, folder, port, location)?);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn a_profile_is_summed_by_object() {
        let profile = "positions: line\nevents: Ir\nob=(1) /usr/sbin/nginx\nfn=(1) a\n0 10\ncob=(2) /lib/libc.so\n\
                       cfn=(2) malloc\ncalls=3 0 \n0 100\n+1 5\nob=(2) /lib/libc.so\nfn=(2)\n0 100\n\
                       cob=(3) /x/ngx_http_token_auth_module.so\ncalls=1 0\n0 50\nob=(3)\nfn=(3) b\n* 7\nob=(1)\nfn=(4) c\n-1 1\n";
        assert_eq!(own(profile).unwrap(), 10 + 5 + 7 + 1);
        assert!(own("events: Ir\n").is_err());
    }
}
