//! The servers to measure, and the cases of each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::server::{Place, Server};
use crate::tokens::{ALGORITHMS, SECRET};

/// What the run is given: programs, and where things are.
#[derive(clap::Args)]
pub(crate) struct Programs {
    #[arg(long)]
    pub(crate) nginx: String,
    /// The module to be measured
    #[arg(long)]
    pub(crate) module: String,
    #[arg(long)]
    pub(crate) tokenctl: String,
    /// The folder with the configurations
    #[arg(long)]
    pub(crate) peers: PathBuf,
    #[arg(long)]
    haproxy: Option<String>,
    #[arg(long)]
    envoy: Option<String>,
    /// The folder of nginx's Lua modules, and their nginx
    #[arg(long, num_args = 2, value_names = ["MODULES", "NGINX"])]
    lua: Option<Vec<String>>,
}

/// A running server to measure.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) server: Server,
    pub(crate) cases: Vec<Case>,
}

/// One case: a path with a check, and the requests that it needs.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// As long as "/plain", so that both requests of a comparison have the same length.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// Tokens of this algorithm.
    Token(&'static str),
    /// A token, on a path whose check is switched off.
    Inert,
    /// A link that tokenctl signs with these options.
    Link(&'static [&'static str]),
}

const fn token(name: &'static str, path: &'static str) -> Case {
    Case { name, path, kind: Kind::Token(name) }
}

const TOKENS: [Case; 4] = [
    token("HS256", "/HS256"),
    token("RS256", "/RS256"),
    token("ES256", "/ES256"),
    token("EdDSA", "/EdDSA"),
];

impl Programs {
    /// Makes the keys that all servers use.
    pub(crate) fn make_keys(&self, folder: &Path) -> Result<()> {
        for algorithm in ALGORITHMS.into_iter().filter(|algorithm| *algorithm != "HS256") {
            let out = folder.join(algorithm).display().to_string();
            let kid = format!("k-{algorithm}");
            run(&self.tokenctl, &["keys", "--alg", algorithm, "--kid", &kid, "--out", &out])?;
        }
        let secret = URL_SAFE_NO_PAD.encode(SECRET);
        let key = json!({ "kty": "oct", "kid": "k-HS256", "alg": "HS256", "k": secret });
        Ok(fs::write(folder.join("HS256.jwks.json"), json!({ "keys": [key] }).to_string())?)
    }

    /// Makes a signed link.
    pub(crate) fn link(&self, path: &str, options: &[&str]) -> Result<String> {
        let arguments = [&["url", "--secret", SECRET, "--lifetime", "1d"], options, &[path]];
        Ok(run(&self.tokenctl, &arguments.concat())?.trim().to_owned())
    }

    /// Starts nginx with the module, with a token cache and without one, if the module has a cache.
    pub(crate) fn start_own(&self, keys: &Path) -> Result<Vec<Peer>> {
        let remembers = self.knows_jwt_cache(keys)?;
        let cache = if remembers { "jwt_cache 256m;" } else { "" };
        let mut all = vec![self.module(keys, "ngx-token-auth", cache)?];
        if remembers {
            let mut without =
                self.module(keys, "ngx-token-auth, jwt_cache off", "jwt_cache off;")?;
            without.cases = TOKENS.into();
            all.push(without);
        }
        Ok(all)
    }

    /// Starts all servers that are installed.
    pub(crate) fn start(&self, keys: &Path) -> Result<Vec<Peer>> {
        let mut all = self.start_own(keys)?;
        all.extend(self.start_others(keys)?);
        Ok(all)
    }

    /// Starts all servers that are installed, without this module.
    pub(crate) fn start_others(&self, keys: &Path) -> Result<Vec<Peer>> {
        let mut all = Vec::new();
        if let Some([modules, nginx]) = self.lua.as_deref() {
            let values = [("LUA_MODULES", modules.as_str())];
            let server = self.serve(nginx, &["-c"], "lua.conf", keys, &values)?;
            let version = version_of(nginx, "-v")?;
            let cases = TOKENS.into_iter().take(3).collect();
            all.push(Peer { name: "nginx, Lua", version, server, cases });
        }
        if let Some(haproxy) = &self.haproxy {
            let server = self.serve(haproxy, &["-db", "-f"], "haproxy.conf", keys, &[])?;
            let version = version_of(haproxy, "-v")?;
            let cases = TOKENS.into_iter().take(3).collect();
            all.push(Peer { name: "HAProxy", version, server, cases });
        }
        if let Some(envoy) = &self.envoy {
            let cache = "jwt_cache_config: { jwt_cache_size: 30000 }";
            for (name, cache) in [("Envoy", ""), ("Envoy, jwt_cache_config", cache)] {
                let arguments =
                    ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"];
                let values = [("CACHE", cache)];
                let server = self.serve(envoy, &arguments, "envoy.yaml", keys, &values)?;
                let version = version_of(envoy, "--version")?;
                all.push(Peer { name, version, server, cases: TOKENS.into() });
            }
        }
        Ok(all)
    }

    /// Starts nginx with the module and this `jwt_cache`.
    pub(crate) fn module(&self, keys: &Path, name: &'static str, cache: &str) -> Result<Peer> {
        let values = [("MODULE", self.module.as_str()), ("CACHE", cache)];
        let server = self.serve(&self.nginx, &["-c"], "ngx-token-auth.conf", keys, &values)?;
        let mut cases = Vec::from(TOKENS);
        cases.extend([
            Case { name: "jwt off", path: "/inert", kind: Kind::Inert },
            Case { name: "link", path: "/links", kind: Kind::Link(&["--alg", "md5"]) },
            Case { name: "secure_link", path: "/slink", kind: Kind::Link(&["--alg", "md5"]) },
        ]);
        Ok(Peer { name, version: version_of(&self.nginx, "-v")?, server, cases })
    }

    /// Starts a server; the path of its configuration is its last argument.
    fn serve(
        &self,
        program: &str,
        arguments: &[&str],
        template: &str,
        keys: &Path,
        values: &[(&str, &str)],
    ) -> Result<Server> {
        let place = Place::new()?;
        let conf = self.fill(&place, template, keys, values)?;
        Server::start(&[&[program], arguments, &[conf.as_str()]].concat(), place)
    }

    fn fill(
        &self,
        place: &Place,
        template: &str,
        keys: &Path,
        values: &[(&str, &str)],
    ) -> Result<String> {
        let (keys, peers) = (keys.display().to_string(), self.peers.display().to_string());
        let common =
            [("KEYS", keys.as_str()), ("PEERS", &peers), ("SECRET", SECRET), ("USER", user())];
        let text = fs::read_to_string(self.peers.join(template))?;
        place.fill(template, &text, &[&common, values].concat())
    }

    fn knows_jwt_cache(&self, keys: &Path) -> Result<bool> {
        let place = Place::new()?;
        let values = [("MODULE", self.module.as_str()), ("CACHE", "jwt_cache off;")];
        let conf = self.fill(&place, "ngx-token-auth.conf", keys, &values)?;
        let test = Command::new(&self.nginx).args(["-t", "-c", &conf]).output()?;
        let words = String::from_utf8_lossy(&test.stderr);
        let unknown = words.contains("unknown directive \"jwt_cache\"");
        ensure!(unknown || test.status.success(), "{words}");
        Ok(!unknown)
    }
}

/// If root starts nginx, its workers run as nobody by default and cannot read the folders here.
pub(crate) fn user() -> &'static str {
    if rustix::process::geteuid().is_root() { "user root;" } else { "" }
}

/// The version that a program prints in its first line.
fn version_of(program: &str, option: &str) -> Result<String> {
    let output = Command::new(program).arg(option).env_remove("NGINX").output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line = line.trim_start_matches("nginx version: ").split(" - ").next().unwrap_or_default();
    // Envoy's line also has its path and its commit, which are left out.
    Ok(match line.split('/').find(|part| part.starts_with("1.") && line.contains("Clean")) {
        Some(number) => format!("Envoy {number}"),
        None => line.trim_start_matches("HAProxy version ").to_owned(),
    })
}

/// Runs a program, and returns its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
