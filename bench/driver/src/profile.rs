//! Shows where the time of a request goes, from samples of the code that the worker was running.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::load::Requests;
use crate::peers::{Kind, Programs};
use crate::record::Record;
use crate::run::measure;
use crate::server::{Server, leave_their_core};
use crate::tokens::{self, Signer};

/// How long each path is measured.
const TIME: Duration = Duration::from_secs(6);
/// The time that perf needs to attach to the worker.
const ATTACH: Duration = Duration::from_millis(500);
/// Samples per second.
const FREQUENCY: &str = "4999";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The module has to have its symbols
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    record: Record,
}

/// The kind of code that a sample was taken in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Kernel,
    Nginx,
    Allocation,
    C,
    Signature,
    Base64,
    Json,
    Judging,
}

const PARTS: [(Part, &str); 8] = [
    (Part::Kernel, "kernel: sockets, TCP, epoll"),
    (Part::Nginx, "nginx"),
    (Part::Allocation, "malloc and free"),
    (Part::C, "rest of the C library, OpenSSL"),
    (Part::Signature, "module: digests and signatures"),
    (Part::Base64, "module: base64"),
    (Part::Json, "module: JSON"),
    (Part::Judging, "module: everything else"),
];

/// Nanoseconds of a request for each kind of code.
type Profile = BTreeMap<Part, f64>;

pub(crate) fn run(args: &Args) -> Result<()> {
    leave_their_core()?;
    let keys = tempfile::tempdir()?;
    args.programs.make_keys(keys.path())?;
    let mut columns = Vec::new();
    let peers = args.programs.start_own(keys.path())?;
    for (number, peer) in peers.iter().enumerate() {
        let remembers = number == 0 && peers.len() > 1;
        if columns.is_empty() {
            let header =
                tokens::bearer(&Signer::load(keys.path(), "HS256")?.token(&tokens::claims(0))?);
            let requests = Requests::new("/plain", &[header]);
            columns.push(("no check".to_owned(), profile(&peer.server, &requests)?));
        }
        for case in &peer.cases {
            let (target, header) = match case.kind {
                Kind::Token(algorithm) => {
                    let token = Signer::load(keys.path(), algorithm)?.token(&tokens::claims(0))?;
                    (case.path.to_owned(), tokens::bearer(&token))
                }
                Kind::Inert => continue,
                Kind::Link(options) => {
                    (args.programs.link(case.path, options)?, "X-None: 1".to_owned())
                }
            };
            eprintln!("{}, {}", peer.name, case.name);
            let requests = Requests::new(&target, &[header]);
            let again =
                if remembers && matches!(case.kind, Kind::Token(_)) { " again" } else { "" };
            columns.push((format!("{}{again}", case.name), profile(&peer.server, &requests)?));
        }
    }
    let text = format!(
        "{}. Nanoseconds per request, from samples of the worker ({FREQUENCY} a second for {} s).\n\n{}",
        args.record.heading()?,
        TIME.as_secs(),
        table(&columns)?,
    );
    args.record.publish("profile.md", &text)
}

fn table(columns: &[(String, Profile)]) -> Result<String> {
    let mut text = "| |".to_owned();
    for (name, _) in columns {
        write!(text, " {name} |")?;
    }
    write!(text, "\n| --- |{}\n", " --: |".repeat(columns.len()))?;
    for (part, name) in PARTS {
        write!(text, "| {name} |")?;
        for (_, profile) in columns {
            write!(text, " {:.0} |", profile.get(&part).copied().unwrap_or_default())?;
        }
        text.push('\n');
    }
    write!(text, "| sum |")?;
    for (_, profile) in columns {
        write!(text, " {:.0} |", profile.values().sum::<f64>())?;
    }
    text.push('\n');
    Ok(text)
}

fn profile(server: &Server, requests: &Requests) -> Result<Profile> {
    let worker = server.processes()?.pop().context("no worker")?.to_string();
    let data = server.place.path().join("perf.data");
    let sleep = (TIME + ATTACH * 3).as_secs().to_string();
    let mut perf = Command::new("perf")
        .args(["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY, "-p", &worker, "-o"])
        .arg(&data)
        .args(["--", "sleep", &sleep])
        .spawn()
        .context("perf (Debian's linux-perf)")?;
    thread::sleep(ATTACH);
    let measured = measure(server, requests, &mut 0, TIME);
    ensure!(perf.wait()?.success(), "perf record failed");
    let (slice, cpu) = measured?;
    let each = cpu as f64 / slice.requests as f64;

    let report = Command::new("perf")
        .args(["report", "--stdio", "--no-children", "-F", "overhead,dso,sym", "-t", ";", "-i"])
        .arg(&data)
        .output()?;
    ensure!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let mut shares = Profile::new();
    for line in String::from_utf8_lossy(&report.stdout).lines() {
        let mut columns = line.splitn(3, ';').map(str::trim);
        let (Some(share), Some(file), Some(symbol)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let Ok(share) = share.trim_end_matches('%').parse::<f64>() else { continue };
        *shares.entry(part(file, symbol)).or_default() += share;
    }
    let all: f64 = shares.values().sum();
    ensure!(all > 0.0, "perf took no samples");
    Ok(shares.into_iter().map(|(part, share)| (part, share / all * each)).collect())
}

/// Finds the part from the file and the symbol, which starts with perf's mark for kernel or user.
fn part(file: &str, symbol: &str) -> Part {
    let name = symbol.get(4..).unwrap_or_default();
    if file.starts_with('[') || symbol.starts_with("[k]") {
        return Part::Kernel;
    }
    if file.starts_with("nginx") {
        return Part::Nginx;
    }
    if !file.contains("token_auth") {
        let allocates = ["malloc", "calloc", "realloc", "free", "unlink_chunk", "memalign"];
        let is_one = allocates.iter().any(|part| name.contains(part));
        return if is_one { Part::Allocation } else { Part::C };
    }
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["base64"]) {
        Part::Base64
    // Names without `::` are not Rust: they are the C and assembly of aws-lc.
    } else if has(&["sha2", "md5", "hmac", "digest", "aws_lc", "subtle"]) || !name.contains("::") {
        Part::Signature
    } else if has(&["serde", "token::json", "policy::payload", "header::document"]) {
        Part::Json
    } else {
        Part::Judging
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_a_part() {
        let module = "libngx_http_token_auth_module.so";
        assert!(part("[kernel.kallsyms]", "[k] tcp_ack") == Part::Kernel);
        assert!(part("nginx", "[.] ngx_http_parse_header_line") == Part::Nginx);
        assert!(part("libc.so.6", "[.] _int_malloc") == Part::Allocation);
        assert!(part("libc.so.6", "[.] __memcmp_evex_movbe") == Part::C);
        assert!(part(module, "[.] sha2::sha256::compress256") == Part::Signature);
        assert!(part(module, "[.] bignum_montmul_p256") == Part::Signature);
        assert!(part(module, "[.] base64::engine::Engine::decode") == Part::Base64);
        assert!(part(module, "[.] token::json::Value::get") == Part::Json);
        assert!(part(module, "[.] token::policy::Policy::check_with") == Part::Judging);
    }
}
