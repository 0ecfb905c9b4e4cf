//! Servers of the configuration, and descriptions that identify them after a reload.

use std::collections::HashMap;
use std::ptr::{self, NonNull};

use ngx::ffi::{
    ngx_array_t, ngx_http_conf_addr_t, ngx_http_conf_port_t, ngx_http_core_loc_conf_t,
    ngx_http_core_main_conf_t, ngx_http_core_srv_conf_t, ngx_http_server_name_t, ngx_log_t,
};

use super::conf::core_slot;
use super::log::{Log, LogLine};
use super::string::bytes;

/// A server of the configuration.
#[derive(Clone, Copy)]
pub(crate) struct Server<'r> {
    pub(super) conf: &'r ngx_http_core_srv_conf_t,
}

impl<'r> Server<'r> {
    /// A number that identifies the server within a configuration.
    pub(crate) fn id(self) -> usize {
        ptr::from_ref(self.conf) as usize
    }

    /// The `Host` of a request to this server: its first name, unless that is a pattern or missing.
    pub(super) fn host(self) -> &'r [u8] {
        // SAFETY: the name lives as long as the configuration.
        let name: &'r [u8] = unsafe { bytes(self.conf.server_name) };
        let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        match name {
            [b'.', ..] | [] => b"localhost",
            name if name.iter().all(usual) => name,
            _ => b"localhost",
        }
    }

    /// Its first name, for messages; empty if it has none.
    pub(crate) fn name(self) -> &'r [u8] {
        // SAFETY: the name lives as long as the configuration.
        unsafe { bytes(self.conf.server_name) }
    }

    /// The log that the server writes to.
    pub(super) fn log(self) -> *mut ngx_log_t {
        self.location().error_log
    }

    /// Writes a line to that log.
    pub(crate) fn log_line(self, line: LogLine) {
        // SAFETY: the log lives as long as the configuration, and so at least as long as the server.
        unsafe { Log::new(Self::log(self)) }.write(line);
    }

    /// What the core module keeps for the server where none of its locations matches.
    pub(super) fn location(self) -> &'r ngx_http_core_loc_conf_t {
        // SAFETY: the core module keeps a structure of this type for every location, also for the
        // server's own one.
        unsafe {
            let locations = (*self.conf.ctx).loc_conf;
            let conf = *locations.add(core_slot());
            &*conf.cast::<ngx_http_core_loc_conf_t>()
        }
    }
}

/// A server, as the configuration that it belongs to keeps it.
#[derive(Clone, Copy)]
pub(crate) struct ServerRef(NonNull<ngx_http_core_srv_conf_t>);

impl ServerRef {
    pub(super) fn new(conf: &ngx_http_core_srv_conf_t) -> Self {
        Self(NonNull::from(conf))
    }

    /// The server.
    pub(crate) fn get(&self) -> Server<'_> {
        // SAFETY: only the configuration that has this server keeps the reference, and nginx frees all
        // of a configuration at once.
        Server { conf: unsafe { self.0.as_ref() } }
    }
}

/// The servers of a configuration that has just been read.
pub(crate) struct Servers<'c>(&'c ngx_http_core_main_conf_t);

impl<'c> Servers<'c> {
    /// # Safety
    /// To be used only in postconfiguration: nginx frees the list of addresses soon afterwards.
    pub(super) unsafe fn new(core: &'c ngx_http_core_main_conf_t) -> Self {
        Self(core)
    }

    /// A description of each server.
    pub(crate) fn describe(&self) -> ServerNames {
        // SAFETY: by the contract of `new`.
        unsafe { descriptions(self.0) }
    }

    /// The servers that have this name, as it is written.
    pub(crate) fn named(&self, name: &[u8]) -> Vec<ServerRef> {
        // SAFETY: the array of servers and that of a server's names have elements of these types.
        unsafe {
            let servers = elements::<*mut ngx_http_core_srv_conf_t>(&raw const self.0.servers);
            let has_name = |server: &&*mut ngx_http_core_srv_conf_t| {
                let names = elements::<ngx_http_server_name_t>(&raw const (***server).server_names);
                names.iter().any(|one| bytes(one.name) == name)
            };
            servers.iter().filter(has_name).map(|server| ServerRef::new(&**server)).collect()
        }
    }
}

/// A description of each server, by its [id](Server::id).
pub(crate) type ServerNames = HashMap<usize, Box<[u8]>>;

/// A description of each server, by the address of its configuration: the addresses where it listens,
/// and its names. It does not depend on where the block is. Two servers that can both be reached have
/// different descriptions; others with the same description get a number, too.
///
/// # Safety
/// To be called only in postconfiguration: nginx frees the list of addresses soon afterwards.
pub(super) unsafe fn descriptions(core: &ngx_http_core_main_conf_t) -> ServerNames {
    let mut described = ServerNames::new();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    // SAFETY: the array of servers and, in postconfiguration, those of ports and of a server's names
    // have elements of these types.
    unsafe {
        for server in elements::<*mut ngx_http_core_srv_conf_t>(&raw const core.servers) {
            let mut words = listens(core, *server);
            words.sort_unstable();
            words.push(b"for");
            let names = elements::<ngx_http_server_name_t>(&raw const (**server).server_names);
            words.extend(names.iter().map(|name| bytes(name.name)));
            let mut words = words.join(&b' ');
            let number = known.entry(words.clone()).or_default();
            if *number > 0 {
                words.extend_from_slice(format!(" {number}").as_bytes());
            }
            *number += 1;
            described.insert(server.addr(), words.into());
        }
    }
    described
}

/// The addresses at which a server listens.
///
/// # Safety
/// To be called after the whole configuration has been read, and at the latest in postconfiguration.
pub(super) unsafe fn listens(
    core: &ngx_http_core_main_conf_t,
    server: *const ngx_http_core_srv_conf_t,
) -> Vec<&[u8]> {
    // SAFETY: by the contract of this function.
    unsafe {
        let ports = elements::<ngx_http_conf_port_t>(core.ports);
        let addresses =
            ports.iter().flat_map(|port| elements::<ngx_http_conf_addr_t>(&raw const port.addrs));
        let here = addresses.filter(|address| {
            let servers = elements::<*mut ngx_http_core_srv_conf_t>(&raw const address.servers);
            servers.iter().any(|one| ptr::eq(*one, server))
        });
        here.map(|address| bytes(address.opt.addr_text)).collect()
    }
}

/// # Safety
/// `array` must be null or hold elements of type `T`, which do not change during `'a`.
unsafe fn elements<'a, T>(array: *const ngx_array_t) -> &'a [T] {
    // SAFETY: by the contract of this function.
    unsafe { array.as_ref().map(|array| array.as_slice()).unwrap_or_default() }
}
