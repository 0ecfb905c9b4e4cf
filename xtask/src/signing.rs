//! Measures what signing costs: an answer that is signed beside the same answer unsigned, a token of
//! `jwt_mint` that is remembered beside a text of the same length, and the library's own signature.
//!
//! All are measured in turns in one run, by the time that nginx has been on a processor: wall time would
//! count what else the machine does.

use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use crate::allocations::{Args, words};
use crate::client::Client;
use crate::server::Server;

const ROUNDS: usize = 9;
/// How many connections there are in a round, one after the other, and how many requests in each: all at once,
/// so that nginx does not wait in between, and runs from warm caches as the library does here.
const CONNECTIONS: u32 = 40;
const REQUESTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(3);
const SIGNATURES: u32 = 4000;

/// How many times the library's own signature a signed answer may cost beside the same answer unsigned.
const ALLOWED: f64 = 1.2;

/// What a token that is remembered may cost.
const ALLOWED_MINT: Duration = Duration::from_nanos(500);

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().context("a key")?;
    let made = Command::new(&args.tokenctl)
        .args(["keys", "--alg", "ES256", "--out"])
        .arg(folder.path().join("key"))
        .output()?;
    ensure!(made.status.success(), "tokenctl failed");
    let mut server = Server::start(folder.path(), |port| command(args, folder.path(), port))?;
    let base = server.base();
    let client = Client::new();
    let minted = client.get(&format!("{base}/minted"), None)?;
    let length = minted.header("X-Token").map_or(0, str::len);
    let pad = "x".repeat(length);
    let nginx = |path: &str| -> Result<Duration> {
        let before = on_processor(server.id())?;
        for _ in 0..CONNECTIONS {
            ask(&server, path)?;
        }
        Ok(on_processor(server.id())?.saturating_sub(before) / (CONNECTIONS * REQUESTS))
    };
    let (mut signed, mut remembered, mut library) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let plain = nginx("/plain")?;
        signed.push(nginx("/signed")?.saturating_sub(plain));
        let text = nginx(&format!("/text?pad={pad}"))?;
        remembered.push(nginx(&format!("/minted?pad={pad}"))?.saturating_sub(text));
        library.push(sign(&key)?);
    }
    server.stop()?;
    let [signed, remembered, library] = [signed, remembered, library].map(best_and_middle);
    println!("least and median of {ROUNDS} rounds, in processor time:");
    println!("a signed answer, beyond the same unsigned  {:?} {:?}", signed.0, signed.1);
    println!("the library's own signature (ES256)        {:?} {:?}", library.0, library.1);
    println!("a remembered token, beyond a text          {:?} {:?}", remembered.0, remembered.1);
    let times = signed.1.as_secs_f64() / library.1.as_secs_f64();
    println!("a signed answer costs {times:.2} times the library's signature");
    ensure!(times <= ALLOWED, "more than {ALLOWED} times");
    ensure!(remembered.1 <= ALLOWED_MINT, "a remembered token costs more than {ALLOWED_MINT:?}");
    Ok(())
}

/// Sends the requests of one connection, and reads all answers, which must be 200: only when nginx has nothing
/// more to do, since a client that waits for each answer has nginx's kernel wake it up.
fn ask(server: &Server, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let last = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream.write_all([request.repeat(REQUESTS as usize - 1), last].concat().as_bytes())?;
    let mut before = Duration::MAX;
    loop {
        thread::sleep(PAUSE);
        let now = on_processor(server.id())?;
        if std::mem::replace(&mut before, now) == now {
            break;
        }
    }
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers)?;
    let good = answers.windows(15).filter(|line| *line == b"HTTP/1.1 200 OK").count();
    ensure!(good == REQUESTS as usize, "{path}: {good} of {REQUESTS} answers");
    Ok(())
}

/// The time of one signature over a token of the same length.
fn sign(key: &EcdsaKeyPair) -> Result<Duration> {
    let input = [b'x'; 260];
    let before = on_processor(std::process::id())?;
    for _ in 0..SIGNATURES {
        let signature = key.sign(&SystemRandom::new(), black_box(&input));
        black_box(signature.ok().context("a signature")?);
    }
    Ok(on_processor(std::process::id())?.saturating_sub(before) / SIGNATURES)
}

/// The time that a process has been on a processor (proc(5), schedstat).
fn on_processor(process: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat"))?;
    let nanoseconds = text.split(' ').next().context("no time")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn best_and_middle(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    (times.first().copied().unwrap_or_default(), middle)
}

fn command(args: &Args, folder: &std::path::Path, port: u16) -> Result<Command> {
    let module = args.module.canonicalize().context("the module")?;
    let answer = r#"{"access_token":{"sub":"4f3a9c1e","roles":["user","editor"],"tenant":"example"},"expires_in":900}"#;
    let (module, place) = (module.display(), folder.display());
    let text = format!(
        "load_module {module};
master_process off;
daemon off;
pid {place}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    keepalive_requests 10000000;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    jwt_mint $token {{ jwt_sign_key key.pem; claim sub $host; claim aud internal; lifetime 1h; }}
    server {{
        listen 127.0.0.1:{port};
        location = / {{ empty_gif; }}
        location = /plain {{ return 200 '{answer}'; }}
        location = /signed {{
            jwt_sign access_token; jwt_sign_key key.pem; jwt_sign_claim iss https://login.example.com/;
            return 200 '{answer}';
        }}
        location = /text {{ add_header X-Token $arg_pad; return 200; }}
        location = /minted {{ add_header X-Token $token; return 200; }}
    }}
}}
"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut words = words(args, folder, &file).into_iter();
    let mut command = Command::new(words.next().context("no program")?);
    command.args(words);
    Ok(command)
}
