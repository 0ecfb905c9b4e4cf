//! Counts the instructions that one judgement of the core takes, and compares them with the noted ones.
//!
//! Wants valgrind (Debian's package of that name). Time differs from machine to machine and run to run;
//! the count hardly does. Under valgrind there are no SHA instructions, so the signature costs several
//! times what it does outside: its share is counted by itself and taken off what is compared.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cargo;

const FIGURES: &str = "token/benches/instructions.txt";
/// Per cent above the noted figure.
const ALLOWED: u64 = 5;
/// What a process does besides is in both of its runs, and cancels out.
const FEW: u64 = 200;
const MANY: u64 = 5200;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Notes what is counted now: where it is meant to be so, or where another compiler makes other code
    #[arg(long)]
    write: bool,
}

/// What is counted, by the word that the program `judge` and the noted figures have for it.
type Figure = (String, u64);

pub(crate) fn run(args: &Args) -> Result<()> {
    let judge = cargo::build_program("judge")?;
    let signature = each(&judge, "signature")?;
    let cold = each(&judge, "cold")?.checked_sub(signature).context("less than the signature")?;
    let now = [
        ("cold".to_owned(), cold),
        ("hot".to_owned(), each(&judge, "hot")?),
        ("again".to_owned(), each(&judge, "again")?),
        ("link".to_owned(), each(&judge, "link")?),
    ];
    if args.write {
        fs::write(FIGURES, written(&now)).context(FIGURES)?;
    }
    println!("the HMAC of a token alone, in software: {signature}");
    let (report, exceeded) =
        compared(&now, &read(&fs::read_to_string(FIGURES).context(FIGURES)?)?)?;
    print!("{report}");
    ensure!(exceeded.is_empty(), "more than {ALLOWED} % above {FIGURES}: {}", exceeded.join(", "));
    Ok(())
}

/// Instructions of one judgement.
fn each(judge: &Path, what: &str) -> Result<u64> {
    let (few, many) = (whole_run(judge, what, FEW)?, whole_run(judge, what, MANY)?);
    Ok(many.checked_sub(few).context("more instructions for less")? / (MANY - FEW))
}

/// Instructions of a whole process.
fn whole_run(judge: &Path, what: &str, times: u64) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("callgrind");
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "-q", &format!("--callgrind-out-file={}", out.display())])
        .arg(judge)
        .args([what, &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("valgrind")?;
    let words = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "valgrind failed with {what}: {words}");
    total(&fs::read_to_string(&out)?)
}

/// The sum in a file of callgrind.
fn total(profile: &str) -> Result<u64> {
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    total.and_then(|total| total.trim().parse().ok()).context("callgrind counted nothing")
}

fn written(figures: &[Figure]) -> String {
    let mut text =
        "# Instructions of one judgement, as `cargo xtask instructions` counts them: a token \
                    never seen\n# before, without its HMAC, one seen before, one whose verdict stands, and a signed link.\n"
            .to_owned();
    for (what, count) in figures {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what} {count}");
    }
    text
}

fn read(text: &str) -> Result<Vec<Figure>> {
    let figures = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (what, count) = line.split_once(' ').context("no figure")?;
        Ok((what.to_owned(), count.trim().parse().context("a figure")?))
    });
    figures.collect::<Result<_>>().context(FIGURES)
}

/// A line for each, and the names of those that exceed the noted figure by more than is allowed.
fn compared(now: &[Figure], noted: &[Figure]) -> Result<(String, Vec<String>)> {
    let (mut report, mut exceeded) = (String::new(), Vec::new());
    for (what, count) in now {
        let found = noted.iter().find(|(name, _)| name == what);
        let (_, before) = found.with_context(|| format!("{what} is not noted in {FIGURES}"))?;
        let _ = writeln!(report, "{what:<5} {count:>6} instructions, {before:>6} noted");
        if count * 100 > before * (100 + ALLOWED) {
            exceeded.push(what.clone());
        }
    }
    Ok((report, exceeded))
}

#[cfg(test)]
mod tests {
    use super::{Figure, compared, read, total, written};

    fn figures(cold: u64, hot: u64) -> [Figure; 2] {
        [("cold".to_owned(), cold), ("hot".to_owned(), hot)]
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(read(&written(&figures(17029, 1388))).unwrap(), figures(17029, 1388));
        assert!(read("cold many").is_err());
    }

    #[test]
    fn five_per_cent_more_are_allowed() {
        let (report, exceeded) = compared(&figures(105, 106), &figures(100, 100)).unwrap();
        assert_eq!(exceeded, ["hot"]);
        assert_eq!(report.lines().next(), Some("cold     105 instructions,    100 noted"));
    }

    #[test]
    fn what_is_not_noted_is_an_error() {
        assert!(compared(&figures(1, 1), &[("cold".to_owned(), 1)]).is_err());
    }

    #[test]
    fn the_total_is_found_in_a_profile() {
        assert_eq!(total("events: Ir\nsummary: 5\nfn=main\n1 5\ntotals: 1234\n").unwrap(), 1234);
        assert!(total("events: Ir\n").is_err());
    }
}
