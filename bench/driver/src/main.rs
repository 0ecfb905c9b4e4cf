//! Measures the cost of the module, compared with peers and in large configurations. `./build.sh
//! bench` installs the peers and runs it; docs/benchmarks.md explains what is measured.

mod alone;
mod chart;
mod curve;
mod document;
mod lane;
mod links;
mod lists;
mod load;
mod machine;
mod memo;
mod peers;
mod pipeline;
mod profile;
mod record;
mod report;
mod results;
mod run;
mod scale;
mod server;
mod tokens;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(about, name = "bench")]
enum Bench {
    /// Measures everybody in one pass
    Run(run::Args),
    /// Measures large configurations
    Scale(scale::Args),
    /// Measures fetched lists of revoked ids
    Lists(lists::Args),
    /// Measures links of every kind beside nginx's secure_link
    Links(links::Args),
    /// Measures tokens that this worker, another one or none has seen, and reloads
    Memo(memo::Args),
    /// Tells where the time of a request goes
    Profile(profile::Args),
    /// Writes tables and charts of what was measured
    Write(document::Args),
}

fn main() -> ExitCode {
    let done = match Bench::parse() {
        Bench::Run(args) => run::run(&args),
        Bench::Scale(args) => scale::run(&args),
        Bench::Lists(args) => lists::run(&args),
        Bench::Links(args) => links::run(&args),
        Bench::Memo(args) => memo::run(&args),
        Bench::Profile(args) => profile::run(&args),
        Bench::Write(args) => document::write(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
