//! The answer to a request for the status.

use super::counters::Counters;
use super::directive::StatusConf;
use super::page::{self, Page};
use super::report::{Format, Report};
use super::{accept, prometheus};
use crate::live::SourceState;
use crate::nginx::{Reply, Request};

/// Answers a request for the status. `sources` gives the state of all sources now; its argument is when
/// the configuration came into force, in seconds since the epoch.
pub(crate) fn answer(
    request: Request<'_>,
    conf: &StatusConf,
    counters: &Counters,
    sources: impl FnOnce(i64) -> Vec<SourceState>,
) -> Reply {
    let fixed = conf.format();
    let named = match (fixed, accept::named(request.query())) {
        (Some(format), _) => Some(format),
        (None, Ok(named)) => named,
        (None, Err(())) => return text(400, "format= must be html, json or prometheus\n"),
    };
    let format = named.unwrap_or_else(|| accept::preferred(request.header_values(b"accept")));
    let (_, loaded, _) = counters.life();
    let Some(report) = Report::gather(counters, sources(loaded)) else {
        return text(503, "there is no shared memory for the counters\n");
    };
    let mut reply = text(200, "");
    match format {
        Format::Json => {
            reply.content_type = "application/json";
            // Fails only for types that JSON has not, of which the report has none.
            reply.body = serde_json::to_vec(&report).unwrap_or_default();
        }
        Format::Prometheus => {
            reply.content_type = prometheus::TYPE;
            reply.body = prometheus::write(&report).into();
        }
        Format::Html => {
            reply.content_type = "text/html; charset=utf-8";
            reply.headers.push(("Content-Security-Policy", page::policy().into()));
            reply.headers.push(("Referrer-Policy", "no-referrer".into()));
            reply.body = Page::new(&report, fixed.is_none()).write().into();
        }
    }
    reply
}

fn text(status: u16, text: &str) -> Reply {
    Reply {
        status,
        content_type: "text/plain; charset=utf-8",
        headers: vec![
            ("Cache-Control", "no-store".into()),
            ("Vary", "Accept".into()),
            ("X-Content-Type-Options", "nosniff".into()),
        ],
        etag: None,
        body: text.into(),
    }
}
