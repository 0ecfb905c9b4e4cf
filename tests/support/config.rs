//! The configuration that a test writes, and the frame that the harness puts around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::env;
use crate::process::Nginx;

/// What every answer of a test's nginx says about the verdict, unless a level names `add_header`
/// itself.
const VERDICT_HEADERS: &str = "add_header X-Jwt-Status $jwt_status always;
    add_header X-Link-Status $secure_token_status always;
    add_header X-Link-Expires $secure_token_expires always;";

/// Serves a file whatever the URI is, after the access phase (`return` would answer before it).
pub const SERVE: &str = "try_files /ok.txt =404;";

/// A test's nginx before it starts: snippets of configuration, files, and how it runs.
///
/// The snippets land in a configuration that has one server, on a unix socket, with `root html` in
/// which `index.html` and `ok.txt` exist. Paths in snippets are relative to the prefix, which is
/// the working directory too: `jwks_file keys.json`, `listen unix:other.sock`, `proxy_pass
/// http://unix:other.sock:/`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    main: String,
    http: String,
    server: String,
    whole: Option<String>,
    files: Vec<(String, Vec<u8>)>,
    pub(crate) workers: u32,
    connections: u32,
    pub(crate) master: bool,
    level: &'static str,
    module: bool,
    verdict: bool,
    /// User and group of the workers, instead of root.
    user: Option<String>,
    pub(crate) expected: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            main: String::new(),
            http: String::new(),
            server: String::new(),
            whole: None,
            files: vec![
                ("html/index.html".into(), b"welcome\n".to_vec()),
                ("html/ok.txt".into(), b"ok\n".to_vec()),
            ],
            workers: 1,
            connections: 512,
            master: true,
            level: "info",
            module: true,
            verdict: true,
            user: None,
            expected: Vec::new(),
        }
    }
}

impl Builder {
    /// Sets what stands in the main context, beside `load_module` and `http`.
    pub fn main(mut self, text: impl Into<String>) -> Self {
        self.main = text.into();
        self
    }

    /// Sets what stands in `http`, before the server.
    pub fn http(mut self, text: impl Into<String>) -> Self {
        self.http = text.into();
        self
    }

    /// Sets what stands in the server.
    pub fn server(mut self, text: impl Into<String>) -> Self {
        self.server = text.into();
        self
    }

    /// Takes a complete nginx.conf instead of the snippets: the test brings its own frame, the
    /// harness adds nothing but the module, the workers and the places of logs and pid. See
    /// [`whole_frame`] for what it changes.
    pub fn whole(mut self, text: impl Into<String>) -> Self {
        self.whole = Some(text.into());
        self
    }

    /// Notes what [`Nginx::put`] wrote, so that a later change of the configuration does not undo
    /// it.
    pub(crate) fn replace_file(&mut self, name: &str, bytes: &[u8]) {
        self.files.retain(|(old, _)| old != name);
        self.files.push((name.to_owned(), bytes.to_vec()));
    }

    /// Puts a file into the prefix; `name` is relative to it and may have directories.
    pub fn file(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.replace_file(&name.into(), &bytes.into());
        self
    }

    /// Puts a document under `html/`.
    pub fn html(self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.file(format!("html/{name}"), bytes)
    }

    /// Sets how many workers run; 1 unless told.
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Runs nginx as one process. It can then not be reloaded.
    pub fn single_process(mut self) -> Self {
        self.master = false;
        self
    }

    /// Logs at `debug`, for an nginx built with it. `info` unless told: the harness reads refusals
    /// there.
    pub fn debug_log(mut self) -> Self {
        self.level = "debug";
        self
    }

    /// Logs at `notice`: refusals are not told, the life of workers still is. For so many requests
    /// that a line for each would be too much.
    pub fn quiet_log(mut self) -> Self {
        self.level = "notice";
        self
    }

    /// Leaves the module out, and with it everything that names its variables.
    pub fn without_module(mut self) -> Self {
        self.module = false;
        self.verdict = false;
        self
    }

    /// Takes the module in again.
    pub fn with_module(mut self) -> Self {
        self.module = true;
        self.verdict = true;
        self
    }

    /// Sets how many connections a worker may have.
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Leaves out the headers and the access log fields that show the verdict, so that no variable
    /// of the module is evaluated but those that the test's own configuration names.
    pub fn without_verdict(mut self) -> Self {
        self.verdict = false;
        self
    }

    /// Runs the workers as `nobody`, who may read only what everybody may. None, with a printed note,
    /// where the test itself is not root and so cannot change their user.
    ///
    /// # Errors
    /// When this system has no `nobody`.
    pub fn unprivileged_workers(mut self) -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            println!("not run: only root can give the workers another user");
            return Ok(None);
        }
        let field = |file: &str, column: usize, wanted: &str, result: usize| {
            let text = fs::read_to_string(file).unwrap_or_default();
            text.lines()
                .map(|line| line.split(':').collect::<Vec<_>>())
                .find(|fields| fields.get(column) == Some(&wanted))
                .and_then(|fields| fields.get(result).map(|&value| value.to_owned()))
                .with_context(|| format!("no {wanted} in {file}"))
        };
        let gid = field("/etc/passwd", 0, "nobody", 3)?;
        let group = field("/etc/group", 2, &gid, 0)?;
        self.user = Some(format!("nobody {group}"));
        Ok(Some(self))
    }

    /// Allows lines of the error log that contain `fragment`, whatever
    /// [`problems`](crate::problems) says of them.
    pub fn expect_log(mut self, fragment: impl Into<String>) -> Self {
        self.expected.push(fragment.into());
        self
    }

    /// Starts nginx and waits until it serves.
    ///
    /// # Errors
    /// When nginx does not start; the message holds what it wrote.
    pub fn start(self) -> Result<Nginx> {
        Nginx::launch(self)
    }

    /// Writes the configuration and the files into `prefix`.
    pub(crate) fn write(&self, prefix: &Path) -> Result<()> {
        for directory in ["logs", "tmp", "html"] {
            fs::create_dir_all(prefix.join(directory))?;
        }
        if self.user.is_some() {
            fs::set_permissions(prefix, fs::Permissions::from_mode(0o755))?;
        }
        for (name, bytes) in &self.files {
            write_file(prefix, name, bytes)?;
        }
        fs::write(prefix.join("nginx.conf"), self.render()?).context("writing nginx.conf")
    }

    /// The text of nginx.conf.
    ///
    /// # Errors
    /// When the environment does not name nginx or the module.
    pub fn render(&self) -> Result<String> {
        let mut main = String::new();
        if self.module {
            main.push_str(&format!("load_module {};\n", env::module()?.display()));
        }
        if rustix::process::geteuid().is_root() {
            let user = self.user.as_deref().unwrap_or("root");
            main.push_str(&format!("user {user};\n"));
        }
        main.push_str(&format!(
            "daemon off;\nmaster_process {};\nworker_processes {};\n\
             pid nginx.pid;\nerror_log logs/error.log {};\n",
            if self.master { "on" } else { "off" },
            self.workers,
            self.level,
        ));
        let http = self.http_frame()?;
        if let Some(whole) = &self.whole {
            return Ok(whole_frame(whole, &main, &http));
        }
        let Self { main: extra, http: snippet, server, .. } = self;
        let verdict = if self.verdict { VERDICT_HEADERS } else { "" };
        Ok(format!(
            "{main}{extra}
events {{ worker_connections {}; }}
http {{
    {http}
    default_type text/plain;
    {verdict}
    {snippet}
    server {{
        listen unix:s.sock;
        server_name localhost;
        root html;
        {server}
    }}
}}
",
            self.connections
        ))
    }

    /// Temporary paths inside the prefix, and an access log that never holds a query string.
    fn http_frame(&self) -> Result<String> {
        let left_out = env::left_out()?;
        let temporary: String = ["proxy", "fastcgi", "uwsgi", "scgi"]
            .into_iter()
            .filter(|module| !left_out.iter().any(|name| name == module))
            .map(|module| format!("{module}_temp_path tmp/{module}; "))
            .collect();
        let verdict = if self.verdict { " jwt=$jwt_status link=$secure_token_status" } else { "" };
        Ok(format!(
            "client_body_temp_path tmp/body; {temporary}
    log_format harness '$status{verdict} $request_method $uri';
    access_log logs/access.log harness;"
        ))
    }
}

/// Puts a complete configuration, written for a real machine, into a test's frame: lines that name
/// the module, the user, the pid, the logs or the number of workers give way to the harness's own,
/// `listen` or an address with port N becomes the socket `N.sock`, and the folder of documents that
/// stock packages have becomes the prefix's own.
fn whole_frame(text: &str, main: &str, http: &str) -> String {
    const REPLACED: [&str; 8] = [
        "load_module",
        "user",
        "pid",
        "error_log",
        "access_log",
        "worker_processes",
        "daemon",
        "master_process",
    ];
    let mut out = main.to_owned();
    for line in text.lines() {
        let trimmed = line.trim_start();
        let word = trimmed.split([' ', '\t', ';']).next().unwrap_or_default();
        if REPLACED.contains(&word) && trimmed.trim_end().ends_with(';') {
            out.push('\n');
            continue;
        }
        if let ("listen", Some(port)) = (word, trimmed.get(6..).and_then(port_of)) {
            out.push_str(&format!("listen unix:{port}.sock;\n"));
            continue;
        }
        out.push_str(&local_addresses(line).replace("/usr/share/nginx/html", "html"));
        out.push('\n');
        if word == "http" && trimmed.trim_end().ends_with('{') {
            out.push_str(http);
            out.push('\n');
        }
    }
    out
}

/// The port in `8080 …;`, `127.0.0.1:8080 …;` or `[::]:8080 …;`.
fn port_of(argument: &str) -> Option<u16> {
    let first = argument.trim().split([' ', ';']).next()?;
    first.rsplit(':').next()?.parse().ok()
}

/// `127.0.0.1:9000` in a line becomes `unix:9000.sock`, with the colon that ends a socket's path in
/// a URL.
fn local_addresses(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("127.0.0.1:") {
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        let (port, tail) = after.split_at(digits);
        let end = if before.ends_with("://") { ":" } else { "" };
        out.push_str(&format!("{before}unix:{port}.sock{end}"));
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Writes one file under `prefix`, whole or not at all, as anything that replaces a key file
/// should.
pub(crate) fn write_file(prefix: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = prefix.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes).with_context(|| format!("writing {name}"))?;
    fs::rename(&fresh, &path).with_context(|| format!("renaming to {name}"))
}

#[cfg(test)]
mod tests {
    use super::{local_addresses, whole_frame};

    #[test]
    fn a_whole_configuration_keeps_its_text_but_for_places_and_ports() {
        let text =
            "load_module modules/x.so;\nhttp {\n  listen 8080 default_server;\n  root html;\n}\n";
        assert_eq!(
            whole_frame(text, "daemon off;\n", "access_log a;"),
            "daemon off;\n\nhttp {\naccess_log a;\nlisten unix:8080.sock;\n  root html;\n}\n"
        );
    }

    #[test]
    fn a_local_address_becomes_a_socket() {
        assert_eq!(
            local_addresses("proxy_pass http://127.0.0.1:90;"),
            "proxy_pass http://unix:90.sock:;"
        );
        assert_eq!(local_addresses("server 127.0.0.1:90;"), "server unix:90.sock;");
    }
}
