//! The nginx module.
//!
//! Data flows one way, from nginx's bytes to the answer, and imports follow it. Each room below uses
//! only those above it (docs/architecture.md):
//!
//! - `nginx`: the boundary, and all unsafe code;
//! - `live`: data that changes while requests flow;
//! - `check`: what all kinds of check share;
//! - `revoke`: lists of revoked tokens that are fetched;
//! - `jwt`, `link`: the token check and the link check, which do not use each other;
//! - `issue`: signing, which uses neither of them;
//! - `playlist`: playlists that carry a token or link on;
//! - `status`: the counters of all checks, and the page that shows them;
//! - `location`, `context`: the settings of a level, and what is kept with a request: one field for
//!   each room;
//! - `access`, `answer`: the decision, and the answer to nginx;
//! - `rewritten`: the answers that are signed, and the playlists; `renewed`: tokens that are renewed with the
//!   answer;
//! - `directives`, `variables`: the tables.
#![deny(unsafe_code)]

mod access;
mod answer;
mod check;
mod context;
mod directives;
mod issue;
mod jwt;
mod link;
mod live;
mod location;
#[allow(unsafe_code)]
mod nginx;
mod playlist;
mod renewed;
mod revoke;
mod rewritten;
mod status;
mod variables;

use context::Context;
use location::{LocationConf, MainConf};
use nginx::{
    Commands, Head, Instead, Level, Module, Phase, Plan, Request, Rewriter, Rewritten, Servers,
    SharedMemory, Unsent, Variable,
};

/// The parts of this module, for nginx.
struct TokenAuth;

nginx::module!(ngx_http_token_auth_module, TokenAuth);

impl Module for TokenAuth {
    type Main = MainConf;
    type Location = LocationConf;

    const COMMANDS: Commands = directives::DIRECTIVES.commands();
    const VARIABLES: &'static [Variable] = &variables::VARIABLES;

    fn module() -> *const ngx::ffi::ngx_module_t {
        Self::nginx_module()
    }

    fn merge(
        location: &mut LocationConf,
        parent: &LocationConf,
        main: &MainConf,
        level: &Level<'_>,
    ) -> Result<(), String> {
        location.merge(parent, main, level).map_err(|mistake| mistake.to_string())
    }

    fn sends_requests(main: &MainConf, servers: &Servers<'_>) -> Result<bool, String> {
        main.issue.complete()?;
        main.jwt.sends_requests(servers)
    }

    fn shares(main: &MainConf, memory: &SharedMemory<'_>) -> Option<()> {
        if main.status.are_wanted() {
            main.status.declare(&main.jwt.trials(), memory)?;
            main.jwt.health.declare(memory)?;
        }
        main.jwt.meter.declare(memory)?;
        main.jwt.lists.declare(memory)?;
        main.issue.declare(memory)
    }

    fn in_force(main: &MainConf) {
        main.jwt.in_force();
        main.issue.in_force();
        main.status.in_force();
    }

    fn worker_starts(main: &MainConf) {
        main.jwt.worker_starts();
        main.status.worker_starts(&main.jwt.meter);
    }

    fn worker_exits(main: &MainConf) {
        main.status.add_up();
    }

    fn access(request: Request<'_>) -> Phase {
        answer::access(request)
    }
}

impl Rewriter for TokenAuth {
    type Context = Context;

    fn header_begins(request: Request<'_>) {
        renewed::header_begins(request);
    }

    fn rewrites(request: Request<'_>) -> bool {
        rewritten::is_wanted(request)
    }

    fn answer_begins(request: Request<'_>, head: &Head<'_>) -> Plan {
        rewritten::plan(request, head)
    }

    fn rewrite(request: Request<'_>, body: Vec<u8>) -> Rewritten {
        rewritten::rewrite(request, body)
    }

    fn cannot_rewrite(request: Request<'_>, why: Unsent) -> Instead {
        rewritten::cannot_rewrite(request, why)
    }
}
