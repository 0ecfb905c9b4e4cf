//! The containers: three nginx, each with a line of its own to the store, and the store.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::docker::{Docker, both, docker};
use crate::client::Client;

/// How many nginx there are.
const MACHINES: usize = 3;
/// A container that does not answer in this time is given up.
const START: Duration = Duration::from_secs(20);
/// Between two questions whether something has come about.
const PAUSE: Duration = Duration::from_millis(10);

/// The images and files that containers are made from.
pub(super) struct Parts<'p> {
    /// nginx with the module
    pub(super) image: &'p str,
    /// Redis, webdis and socat
    pub(super) store: &'p str,
    pub(super) docker: Docker,
    /// Where configurations are written
    pub(super) folder: &'p Path,
    /// The secret of the tokens
    pub(super) secret: &'p str,
}

/// All of them.
pub(super) struct Fleet {
    pub(super) machines: Vec<Machine>,
    pub(super) store: Store,
}

impl Fleet {
    /// Containers on a network of their own, with published ports.
    ///
    /// # Errors
    /// Also where the engine has no such network, or nothing can be published.
    pub(super) fn private(parts: &Parts<'_>) -> Result<Self> {
        let network = parts.docker.network()?;
        let on = ["--network", &*network];
        let store = Store::start(parts, &[&on[..], &["--network-alias", "store"]].concat(), None)?;
        let machine = |number| {
            let file = configuration(parts, number, "80", "7379")?;
            let options = [&on[..], &["-p", "127.0.0.1::80", "-v", &file]].concat();
            let nginx = nginx(parts, &options)?;
            let line = line(parts, &format!("container:{nginx}"), "7379", "store:7379")?;
            let port = docker(&["port", &nginx, "80/tcp"])?;
            let address = port.lines().next().context("no published port")?;
            Machine::ready(number, nginx, line, address)
        };
        Ok(Self { machines: (1..=MACHINES).map(machine).collect::<Result<_>>()?, store })
    }

    /// Containers that share the network of this machine, each with ports of its own.
    ///
    /// # Errors
    /// When one does not start.
    pub(super) fn of_the_host(parts: &Parts<'_>) -> Result<Self> {
        let (http, redis) = (free_port()?, free_port()?);
        let on = ["--network", "host"];
        let store = Store::start(parts, &on, Some((&http, &redis)))?;
        let machine = |number| {
            let (port, local) = (free_port()?, free_port()?);
            let file = configuration(parts, number, &format!("127.0.0.1:{port}"), &local)?;
            let nginx = nginx(parts, &[&on[..], &["-v", &file]].concat())?;
            let line = line(parts, "host", &local, &format!("127.0.0.1:{http}"))?;
            Machine::ready(number, nginx, line, &format!("127.0.0.1:{port}"))
        };
        Ok(Self { machines: (1..=MACHINES).map(machine).collect::<Result<_>>()?, store })
    }
}

fn free_port() -> Result<String> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port().to_string())
}

/// Writes the configuration of a machine; gives the option of docker that puts it into its place.
fn configuration(parts: &Parts<'_>, number: usize, listen: &str, line: &str) -> Result<String> {
    let template = "tests/fleet/nginx.conf";
    let text = fs::read_to_string(template).context(template)?;
    let text = text.replace("@LISTEN@", listen).replace("@SECRET@", parts.secret);
    let file = parts.folder.join(format!("fleet-{number}.conf"));
    fs::write(&file, text.replace("@STORE@", &format!("127.0.0.1:{line}")))?;
    Ok(format!("{}:/etc/nginx/nginx.conf:ro", file.display()))
}

fn nginx(parts: &Parts<'_>, options: &[&str]) -> Result<String> {
    parts.docker.run(options, parts.image, &["nginx", "-g", "daemon off;"])
}

/// What carries the requests of one nginx to the store. It looks the store up for each connection.
fn line(parts: &Parts<'_>, network: &str, port: &str, to: &str) -> Result<String> {
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr");
    let to = format!("TCP:{to},connect-timeout=1");
    parts.docker.run(&["--network", network], parts.store, &["socat", &listen, &to])
}

/// An nginx, and its line.
pub(super) struct Machine {
    number: usize,
    nginx: String,
    line: String,
    base: String,
    client: Client,
}

impl Machine {
    /// Waits until nginx answers, through the line, too.
    fn ready(number: usize, nginx: String, line: String, address: &str) -> Result<Self> {
        let base = format!("http://{address}");
        let machine = Self { number, nginx, line, base, client: Client::new() };
        let reaches = || Ok(machine.reaches_the_store());
        if let Err(error) = until(START, "an nginx reaches the store", reaches) {
            let (_, log) = both(&["logs", &machine.nginx])?;
            return Err(error.context(log));
        }
        Ok(machine)
    }

    pub(super) fn name(&self) -> String {
        format!("machine {}", self.number)
    }

    /// Whether the list comes through the line. nginx itself gives up after a second.
    pub(super) fn reaches_the_store(&self) -> bool {
        self.client
            .get(&format!("{}/list", self.base), None)
            .is_ok_and(|answer| answer.status == 200 && answer.body.starts_with(b"#revoked\n"))
    }

    /// The status for a token. A connection that a killed worker had is replaced.
    ///
    /// # Errors
    /// When no answer arrives.
    pub(super) fn status(&self, path: &str, token: &str) -> Result<u16> {
        let url = format!("{}{path}", self.base);
        let ask = || self.client.get(&url, Some(token));
        Ok(ask().or_else(|_| ask()).with_context(|| self.name())?.status)
    }

    /// # Errors
    /// When the status is another one.
    pub(super) fn expect(&self, path: &str, token: &str, want: u16, why: &str) -> Result<()> {
        let got = self.status(path, token)?;
        ensure!(got == want, "{}: {path} answers {got}, not {want}: {why}", self.name());
        Ok(())
    }

    /// The sum of the samples of a metric whose labels have all of `labels`; `None` if there is none.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub(super) fn metric(&self, family: &str, labels: &[&str]) -> Result<Option<f64>> {
        let answer = self.client.get(&format!("{}/status", self.base), None)?;
        let text = String::from_utf8(answer.body)?;
        let name = format!("ngx_token_auth_{family}");
        let begins = |line: &&str| {
            line.strip_prefix(&*name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let of_family = text.lines().filter(begins);
        let samples: Vec<f64> = of_family
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        Ok((!samples.is_empty()).then(|| samples.iter().sum()))
    }

    /// nginx's log.
    ///
    /// # Errors
    /// When docker has none.
    pub(super) fn log(&self) -> Result<String> {
        Ok(both(&["logs", &self.nginx])?.1)
    }

    /// From now on nothing comes through the line, and no connection to it ends.
    ///
    /// # Errors
    /// When docker cannot do it.
    pub(super) fn cut_off(&self) -> Result<()> {
        docker(&["pause", &self.line]).map(drop)
    }

    /// # Errors
    /// When docker cannot do it.
    pub(super) fn reconnect(&self) -> Result<()> {
        docker(&["unpause", &self.line]).map(drop)
    }

    /// Kills the worker that has lived longest.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn kill_a_worker(&self) -> Result<()> {
        let script = "for p in $(cd /proc && ls -d [0-9]* | sort -n); do \
                      grep -q '^nginx: worker' /proc/$p/cmdline 2>/dev/null && kill -9 $p && exit; done; exit 1";
        docker(&["exec", &self.nginx, "bash", "-c", script]).context("killing a worker").map(drop)
    }
}

/// The store.
pub(super) struct Store {
    id: String,
    redis: String,
}

impl Store {
    /// With the ports of webdis and Redis, where those that they usually have may be taken.
    fn start(parts: &Parts<'_>, options: &[&str], ports: Option<(&str, &str)>) -> Result<Self> {
        let here = std::env::current_dir()?;
        let mount = |from: &str, to: &str| format!("{}:{to}:ro", here.join(from).display());
        let (own, given) =
            (mount("tests/fleet", "/fleet"), mount("nginx-conf/revocation", "/revocation"));
        let options = [options, &["-v", &own, "-v", &given]].concat();
        let (host, http, redis) = match ports {
            Some((http, redis)) => ("127.0.0.1", http, redis),
            None => ("0.0.0.0", "7379", "6379"),
        };
        let command = ["bash", "/fleet/store.sh", host, http, redis];
        let store = Self {
            id: parts.docker.run(&options, parts.store, &command)?,
            redis: redis.to_owned(),
        };
        let mut failure = None;
        let began = until(START, "the store answers", || {
            let lists = ["revoked:tokens", "revoked:users"];
            failure = lists.iter().find_map(|list| store.eval(list, &[]).err());
            Ok(failure.is_none())
        });
        if let Err(error) = began {
            let log = both(&["logs", &store.id])?.1;
            return Err(failure.unwrap_or(error).context(log));
        }
        Ok(store)
    }

    /// Runs the script that revokes.
    fn eval(&self, list: &str, more: &[&str]) -> Result<()> {
        let begin = ["exec", "-e", "REDISCLI_AUTH=change-this-password", &self.id];
        let client = ["redis-cli", "-p", &self.redis];
        let script = ["--eval", "/revocation/revoke.lua", list];
        let comma: &[&str] = if more.is_empty() { &[] } else { &[","] };
        let said = docker(&[&begin[..], &client, &script, comma, more].concat())?;
        ensure!(said.parse::<u32>().is_ok(), "Redis: {said}");
        Ok(())
    }

    /// Adds a line to a list, which stays for an hour.
    ///
    /// # Errors
    /// When the store does not take it.
    pub(super) fn add(&self, list: &str, line: &str) -> Result<()> {
        self.eval(list, &[line, "3600"])
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// When docker cannot do it.
    pub(super) fn stop(&self) -> Result<()> {
        docker(&["kill", &self.id]).map(drop)
    }

    /// Starts it again, with what it had.
    ///
    /// # Errors
    /// When docker cannot do it.
    pub(super) fn start_again(&self) -> Result<()> {
        docker(&["start", &self.id]).map(drop)
    }
}

/// Waits until something is so; how long it took.
///
/// # Errors
/// When it is not so within `limit`.
pub(super) fn until(
    limit: Duration,
    what: &str,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let began = Instant::now();
    loop {
        // A first answer after the limit is too late.
        let so = is_so()?;
        let took = began.elapsed();
        ensure!(took <= limit, "not within {limit:?}: {what}");
        if so {
            return Ok(took);
        }
        thread::sleep(PAUSE);
    }
}
