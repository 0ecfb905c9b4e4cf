//! The location that something is fetched from: a URI, and the server that has it.

use std::cell::OnceCell;

use crate::nginx::{Level, Server, ServerRef, Servers, Setting};

/// A server that a directive names, which may come later in the configuration.
pub(crate) struct NamedServer {
    name: Box<[u8]>,
    /// The file and line of the directive.
    position: Box<str>,
    found: OnceCell<ServerRef>,
}

impl NamedServer {
    /// The server that the directive being read names.
    pub(crate) fn new(name: &[u8], setting: &Setting<'_>) -> Self {
        let name = name.to_ascii_lowercase().into();
        Self { name, position: setting.position().into(), found: OnceCell::new() }
    }

    /// The server, after [`NamedServer::find`].
    pub(crate) fn get(&self) -> Option<Server<'_>> {
        self.found.get().map(ServerRef::get)
    }

    /// Finds it among all servers. `Err` if there is none of this name, or more than one.
    pub(crate) fn find(&self, servers: &Servers<'_>) -> Result<(), String> {
        let (name, position) = (self.name.escape_ascii(), &self.position);
        match *servers.named(&self.name) {
            [server] => {
                self.found.get_or_init(|| server);
                Ok(())
            }
            [] => Err(format!("\"server={name}\" names no server_name of a server in {position}")),
            _ => Err(format!(
                "\"server={name}\" names several servers: give the one with the location a \
                 server_name of its own in {position}"
            )),
        }
    }
}

/// Warns if `uri`, in the server of `level`, is a path that no location but `/` takes: its answer is
/// hardly what the directive at `place` fetches. `behind` is an example of what is put behind the URI. A
/// path that nginx would change first is not judged.
pub(crate) fn warn_without_location(
    (directive, position): &(Box<str>, Box<str>),
    uri: &[u8],
    behind: &[u8],
    what: &str,
    level: &Level<'_>,
) {
    let mut parts = uri.splitn(2, |byte| *byte == b'?');
    let path = parts.next().unwrap_or_default();
    // What is put behind a query changes no path.
    let behind = if parts.next().is_some() { b"" } else { behind };
    let as_written =
        !path.contains(&b'%') && !path.windows(2).any(|two| matches!(two, b"//" | b"/."));
    if !as_written || level.has_location_for(&[path, behind].concat()) {
        return;
    }
    let (path, like) = (path.escape_ascii(), if behind.is_empty() { "= " } else { "" });
    level.warn(&format!(
        "\"{directive}\": no location but perhaps \"/\" takes \"{path}\" in {}: add \"location \
         {like}{path} {{ ... }}\", with a proxy_pass to the {what}, in {position}",
        level.shown_server(),
    ));
}
