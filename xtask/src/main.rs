//! What the scripts of the build leave to Rust. They find nginx, its headers and packages, and install;
//! here is what has to be parsed, counted or asked over HTTP. `cargo xtask help` lists the commands.

mod allocations;
mod cargo;
mod client;
mod counting;
mod demo;
mod fleet;
mod instructions;
mod python;
mod requests;
mod server;
mod signing;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(about, name = "cargo xtask")]
enum Task {
    /// Compares the instructions of a judgement with those that are noted
    Instructions(instructions::Args),
    /// Compares the allocations of a request with those of the same request without a check
    Allocations(allocations::Args),
    /// Compares the instructions of a request where it is counted with those where it is not
    Counting(allocations::Args),
    /// Measures what a signed answer and a minted token cost, beside the library's own signature
    Signing(allocations::Args),
    /// Starts nginx with nginx-conf/demo.conf and shows what its locations answer
    Demo(demo::Args),
    /// Sends the demo's requests to an nginx that runs already
    Drive(requests::Args),
    /// Looks for alarms and secrets in the log of the demo
    CheckLog {
        /// The log
        file: PathBuf,
    },
    /// Starts three nginx and a store of revocation lists in containers, and has store, ways and workers fail
    Fleet(fleet::Args),
    /// Prints where the source of nginx is that --vendored builds
    VendoredSource,
    /// Prints where a build with --vendored has put nginx
    VendoredNginx {
        /// What cargo printed, with --message-format=json
        messages: PathBuf,
    },
    /// Installs a program from PyPI into a folder of its own
    Python(python::Args),
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Instructions(args) => instructions::run(&args),
        Task::Allocations(args) => allocations::run(&args),
        Task::Counting(args) => counting::run(&args),
        Task::Signing(args) => signing::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Drive(args) => requests::run(&args),
        Task::CheckLog { file } => demo::check_log(&file),
        Task::Fleet(args) => fleet::run(&args),
        Task::VendoredSource => cargo::print_vendored_source(),
        Task::VendoredNginx { messages } => cargo::print_vendored_nginx(&messages),
        Task::Python(args) => python::run(&args),
    }
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
