//! Playlists: puts the query arguments that let a request pass into the URLs of the playlist that it is
//! answered with, so that a player sends them with whatever it asks for next. HLS (RFC 8216 and
//! draft-pantos-hls-rfc8216bis) and DASH (ISO/IEC 23009-1).
//!
//! The arguments are a credential, and part of a playlist may come from somebody who wants it. So a URL gets
//! them only if every player resolves it to the host that the request was sent to. What some player may read
//! in another way stays as it is, and so does every byte that is not a URL.

mod arguments;
mod dash;
mod hls;
mod output;
mod site;
mod unforwarded;

use arguments::Arguments;
use output::Output;
use site::Site;

pub use unforwarded::{MAX_FORWARDED, Unforwarded};

/// The format of a playlist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlaylistKind {
    /// HTTP Live Streaming.
    Hls,
    /// A media presentation description (MPD).
    Dash,
}

impl PlaylistKind {
    /// The format that a `Content-Type` names. Case and parameters make no difference.
    pub fn of_content_type(value: &[u8]) -> Option<Self> {
        let name = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |types: &[&str]| types.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
        if is(&[
            "application/vnd.apple.mpegurl",
            "application/x-mpegurl",
            "audio/mpegurl",
            "audio/x-mpegurl",
        ]) {
            Some(Self::Hls)
        } else {
            is(&["application/dash+xml"]).then_some(Self::Dash)
        }
    }
}

/// What is put into the URLs of a playlist, and the host that it may be sent to.
#[derive(Clone, Copy, Debug)]
pub struct Carried<'r> {
    /// The arguments as they came in the query: `a=b&c=d`.
    pub arguments: &'r [u8],
    /// The scheme that the playlist was asked for with: `http` or `https`.
    pub scheme: &'r [u8],
    /// The host of the request, with its port if that is no default, as in the `Host` header.
    pub host: &'r [u8],
}

/// The playlist with the arguments in its URLs. Nothing else of it changes. Takes linear time.
///
/// A URL gets the arguments before its fragment, with `?` or `&`. It stays as it is if it has an argument
/// that some reader takes for one of them; if it may lead to another host, or from `https` to `http`; and if
/// it has characters that URLs must encode, such as spaces, since readers differ in what they make of those.
pub fn forward(
    kind: PlaylistKind,
    body: &[u8],
    carried: &Carried<'_>,
) -> Result<Vec<u8>, Unforwarded> {
    let arguments = Arguments::new(carried.arguments).ok_or(Unforwarded::Arguments)?;
    let site = Site::new(carried.scheme, carried.host);
    let mut output = Output::new(body, &arguments);
    match kind {
        PlaylistKind::Hls => hls::forward(body, &site, &mut output)?,
        PlaylistKind::Dash => dash::forward(body, &site, &mut output)?,
    }
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::{Carried, PlaylistKind, Unforwarded, forward};

    #[test]
    fn the_type_of_an_answer_names_the_format() {
        let of = |value: &str| PlaylistKind::of_content_type(value.as_bytes());
        for hls in [
            "application/vnd.apple.mpegurl",
            "Application/X-MPEGURL",
            "audio/mpegurl; charset=utf-8",
            "audio/x-mpegurl ;a=b",
        ] {
            assert_eq!(of(hls), Some(PlaylistKind::Hls), "{hls}");
        }
        assert_eq!(of("application/dash+xml"), Some(PlaylistKind::Dash));
        for other in ["", "text/plain", "application/xml", "audio/mpegurls", "x audio/mpegurl"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn arguments_that_are_no_plain_query_are_not_forwarded() {
        let of = |arguments: &'static str| {
            let carried = Carried { arguments: arguments.as_bytes(), scheme: b"http", host: b"h" };
            forward(PlaylistKind::Hls, b"#EXTM3U\na\n", &carried)
        };
        assert_eq!(of("a=b").unwrap(), b"#EXTM3U\na?a=b\n");
        assert_eq!(of("t=a%2F~!*(b)&c:=/?@").unwrap(), b"#EXTM3U\na?t=a%2F~!*(b)&c:=/?@\n");
        for bad in [
            "", "a=\"", "a='", "a=<", "a=>", "a= ", "a=\n", "a=\\", "a={", "a=}", "a=#", "a=é",
            "a=|", "a=^", "a=`", "a=[", "a=%", "a=%2", "a=%zz", "=b", "&a=b", "a=b&", "a=b&&c=d",
            "a",
        ] {
            assert_eq!(of(bad), Err(Unforwarded::Arguments), "{bad:?}");
        }
    }
}
