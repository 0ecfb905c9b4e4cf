//! What becomes of an answer that may be a playlist.

use std::fmt::Arguments;

use token::credential::only_arguments;
use token::playlist::{Carried, PlaylistKind, Unforwarded, forward};

use super::settings::PlaylistConf;
use crate::nginx::{Head, Plan, Request, Rewritten, Unsent};

/// How many bytes a playlist may have.
const LIMIT: usize = 4 << 20;

impl PlaylistConf {
    /// What to do with an answer, if the request has arguments to carry on: those of the query called `names`.
    /// It has none if its link is in a cookie or in the path.
    pub(crate) fn plan(
        &self,
        request: Request<'_>,
        head: &Head<'_>,
        (query, names): (&[u8], &[&[u8]]),
    ) -> Plan {
        let is_playlist = PlaylistKind::of_content_type(head.content_type).is_some();
        if !is_playlist || only_arguments(query, names).is_empty() {
            return Plan::Pass;
        }
        let pass = |why: Arguments<'_>| {
            request.log_warning(format_args!("secure_token_forward: {why}; it passes as it is"));
            Plan::Pass
        };
        // nginx's slices are parts, too, though the client gets 200.
        if head.status == 206 || head.status == 200 && head.upstream_status == 206 {
            return pass(format_args!(
                "the playlist is a part of one (status 206); add proxy_set_header Range \"\", and no slice"
            ));
        }
        if head.status != 200 {
            return Plan::Pass;
        }
        if !head.encoding.is_empty() {
            return pass(format_args!(
                "the playlist is compressed (Content-Encoding: {}); add proxy_set_header \
                 Accept-Encoding \"\", or gzip_static off",
                head.encoding.escape_ascii()
            ));
        }
        if head.length.is_some_and(|length| length > LIMIT) {
            return pass(too_large());
        }
        if head.is_for_head {
            // The length is not known, and the answer to a GET would be private.
            return request.make_private().map_or(Plan::Refuse, |()| Plan::WithoutBody);
        }
        Plan::Hold(LIMIT)
    }

    /// The playlist with the arguments called `names` of the query in its URLs.
    pub(crate) fn rewrite(
        &self,
        request: Request<'_>,
        body: Vec<u8>,
        (query, names): (&[u8], &[&[u8]]),
    ) -> Rewritten {
        match self.forwarded(request, &body, (query, names)) {
            Some(Ok(body)) => match request.make_private() {
                Some(()) => Rewritten::New(body),
                None => Rewritten::Refused,
            },
            Some(Err(why)) => {
                // A playlist without a URL of this host is in order.
                if why != Unforwarded::NoUrl {
                    request.log_warning(format_args!(
                        "secure_token_forward: the playlist passes as it is: {why}"
                    ));
                }
                Rewritten::Same(body)
            }
            None => Rewritten::Same(body),
        }
    }

    fn forwarded(
        &self,
        request: Request<'_>,
        body: &[u8],
        (query, names): (&[u8], &[&[u8]]),
    ) -> Option<Result<Vec<u8>, Unforwarded>> {
        let settings = self.query()?;
        let kind = PlaylistKind::of_content_type(request.answer_type())?;
        let arguments = only_arguments(query, names);
        let carried = Carried {
            arguments: &arguments,
            scheme: request.evaluate(&settings.scheme)?,
            host: request.evaluate(&settings.host)?,
        };
        Some(forward(kind, body, &carried))
    }

    /// Logs why a playlist that was held passes as it is.
    pub(crate) fn cannot_forward(&self, request: Request<'_>, why: Unsent) {
        let why = match why {
            Unsent::TooLarge => too_large(),
            Unsent::CutOff => format_args!("the playlist ended before its end"),
            Unsent::NotInMemory => format_args!("the playlist is not in memory"),
        };
        request.log_warning(format_args!("secure_token_forward: {why}; it passes as it is"));
    }
}

fn too_large() -> Arguments<'static> {
    const { assert!(LIMIT == 4 << 20) };
    format_args!("the playlist has more than 4 MiB")
}
