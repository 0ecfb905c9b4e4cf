//! The path of a key file or a list may name a FIFO without a writer, an endless device or a file
//! that is too large. nginx reads none of them and never waits for one.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use module_tests::{Builder, Jwt, Nginx, OTHER_SECRET, P256, SECRET, SERVE, base64url, until};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

/// The odd files, and what the error message says about each.
const ODD: [(&str, &str); 5] = [
    ("fifo", "is a FIFO, not a regular file"),
    ("folder", "is a directory, not a regular file"),
    ("socket", "is a socket, not a regular file"),
    ("zero", "is a device, not a regular file"),
    ("endless", "is larger than"),
];

/// Creates the odd file at `path`.
fn make(odd: &str, path: &Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir(path)?;
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(path)?;
    }
    match odd {
        "fifo" => mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0)?,
        "folder" => fs::create_dir(path)?,
        "socket" => drop(UnixListener::bind(path)?),
        "zero" => std::os::unix::fs::symlink("/dev/zero", path)?,
        // A sparse file: it is very long but takes no room.
        "endless" => File::create(path)?.set_len(1 << 40)?,
        other => anyhow::bail!("no {other}"),
    }
    Ok(())
}

fn oct(secret: &str) -> String {
    json!({ "keys": [{ "kty": "oct", "kid": "k", "k": base64url(secret) }] }).to_string()
}

#[test]
fn nginx_t_refuses_them_plainly() -> Result<()> {
    let place = tempfile::Builder::new().prefix("nta-odd-").tempdir_in("/tmp")?;
    for (odd, told) in ODD {
        let path: PathBuf = place.path().join(odd);
        make(odd, &path)?;
        let path = path.display();
        for directive in [
            format!("jwks_file {path};"),
            format!("jwks_file {path} check=1s;"),
            format!("jwt_kids_file {path};"),
            format!("jwt_kids_file {path} check=1s;"),
            format!("auth_jwt x; auth_jwt_key_file {path};"),
            format!("jwt_kids {{ k {SECRET}; }} jwt_revoked jti {path};"),
            format!("jwt_kids {{ k {SECRET}; }} jwt_revoked jti {path} check=1s;"),
        ] {
            let checked = module_tests::nginx_t(format!("location / {{ {directive} }}"))?;
            checked.refused_with(&[odd, told, "nginx.conf:"]).context(directive)?;
        }
    }
    Ok(())
}

#[test]
fn a_key_file_has_16_mib_and_a_list_256_at_most() -> Result<()> {
    let padded = |text: &str, size: usize| format!("{text}{}", " ".repeat(size - text.len()));
    let keys = P256.jwks("k")?;
    for (size, fits) in [(16 << 20, true), ((16 << 20) + 1, false)] {
        let checked = Nginx::builder()
            .server("location / { jwks_file keys.json; }")
            .file("keys.json", padded(&keys, size))
            .check()?;
        if fits {
            checked.accepted()?;
        } else {
            checked.refused_with(&["keys.json", "is larger than 16 MiB"])?;
        }
    }
    let list = |size: usize| -> Result<_> {
        let place = tempfile::Builder::new().prefix("nta-list-").tempdir_in("/tmp")?;
        let path = place.path().join("list.txt");
        File::create(&path)?.set_len(size as u64)?;
        let revoked = format!("jwt_revoked jti {};", path.display());
        let kids = format!("jwt_kids {{ k {SECRET}; }}");
        module_tests::nginx_t(format!("location / {{ {kids} {revoked} }}"))
    };
    list((256 << 20) + 1)?.refused_with(&["list.txt", "is larger than 256 MiB"])
}

/// A key file or a list, with one token that its content accepts and one that it refuses.
struct Kind {
    server: String,
    file: &'static str,
    content: String,
    passes: String,
    refused: String,
}

fn kinds() -> Result<Vec<Kind>> {
    let hs = |secret| Jwt::live_with(&json!({ "jti": "a" })).kid("k").hs("HS256", secret);
    let revoked = Jwt::live_with(&json!({ "jti": "b" })).kid("k").hs("HS256", SECRET)?;
    let kind = |server: &str, file, content, refused: &str| {
        Ok(Kind {
            server: format!("location / {{ {server} {SERVE} }}"),
            file,
            content,
            passes: hs(SECRET)?,
            refused: refused.to_owned(),
        })
    };
    let other = hs(OTHER_SECRET)?;
    [
        kind("jwks_file k.json check=1ms;", "k.json", oct(SECRET), &other),
        kind(
            "jwt_kids_file k.json check=1ms;",
            "k.json",
            json!({ "k": SECRET }).to_string(),
            &other,
        ),
        kind("auth_jwt x; auth_jwt_key_file $file;", "k.json", oct(SECRET), &other),
        kind(
            &format!("jwt_kids {{ k {SECRET}; }} jwt_revoked jti list.txt check=1ms;"),
            "list.txt",
            "b\n".to_owned(),
            &revoked,
        ),
    ]
    .into_iter()
    .collect()
}

impl Kind {
    fn builder(&self) -> Builder {
        Nginx::builder()
            .http("map $host $file { default k.json; }")
            .server(self.server.as_str())
            .file(self.file, self.content.as_str())
    }

    fn works(&self, nginx: &Nginx) -> Result<()> {
        let answers = [&self.passes, &self.refused].map(|token| nginx.bearer("/", token));
        let statuses = answers.map(|answer| answer.map(|one| one.status));
        let [Ok(200), Ok(401)] = statuses else { anyhow::bail!("{}: {statuses:?}", self.server) };
        Ok(())
    }
}

#[test]
fn at_run_time_the_last_good_content_stays_and_no_worker_waits() -> Result<()> {
    for kind in kinds()? {
        let nginx = kind.builder().start()?;
        kind.works(&nginx)?;
        for (odd, told) in ODD {
            let path = nginx.prefix().join(kind.file);
            make(odd, &path)?;
            let line = until(odd, || {
                kind.works(&nginx).context(odd)?;
                let log = nginx.error_log();
                let lines = log.lines().filter(|line| line.contains("[error]"));
                Ok(lines.filter(|line| line.contains(told)).map(str::to_owned).next_back())
            })?;
            assert!(line.contains(kind.file), "{line}");
            // The error is logged only once.
            for _ in 0..20 {
                kind.works(&nginx)?;
            }
            let log = nginx.error_log();
            let lines = log.lines().filter(|line| line.contains(told));
            ensure!(lines.count() == 1, "{odd}: {log}");
        }
        // If the reload itself reads the file, it fails, because it has no earlier content to use.
        if !kind.server.contains("$file") {
            let refused = nginx.reload_refused()?;
            assert!(refused.contains(kind.file), "{refused}");
            kind.works(&nginx)?;
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_file_that_comes_back_is_read() -> Result<()> {
    for kind in kinds()? {
        let nginx = kind.builder().start()?;
        kind.works(&nginx)?;
        make("fifo", &nginx.prefix().join(kind.file))?;
        kind.works(&nginx)?;
        nginx.put(kind.file, &kind.content)?;
        kind.works(&nginx)?;
        if kind.file == "k.json" {
            let swapped = kind.content.replace(&base64url(SECRET), &base64url(OTHER_SECRET));
            nginx.put(kind.file, swapped.replace(SECRET, OTHER_SECRET))?;
            until("the change", || {
                let now = nginx.bearer("/", &kind.refused)?.status;
                Ok((now == 200).then_some(()))
            })?;
        }
        nginx.finish()?;
    }
    Ok(())
}

/// A file may be written, read and written again before the clock of the file system moves on.
/// Its size and times then do not show the second change.
#[test]
fn a_second_change_within_one_tick_is_seen() -> Result<()> {
    let place = tempfile::Builder::new().prefix("nta-tick-").tempdir_in("/tmp")?;
    let path = place.path().join("k.json");
    let (one, other) = (oct(SECRET), oct(OTHER_SECRET.get(..SECRET.len()).context("as long")?));
    assert_eq!(one.len(), other.len());
    let tokens = [SECRET, &OTHER_SECRET[..SECRET.len()]]
        .map(|secret| Jwt::live().kid("k").hs("HS256", secret));
    for directives in [
        "auth_jwt x; auth_jwt_key_file $file;".to_owned(),
        format!("jwks_file {} check=1ms;", path.display()),
    ] {
        fs::write(&path, &one)?;
        let nginx = Nginx::builder()
            .http(format!("map $host $file {{ default {}; }}", path.display()))
            .server(format!("location / {{ {directives} {SERVE} }}"))
            .start()?;
        // The file is mapped into memory: the first store after a while changes its times, but the
        // stores that follow do not.
        let file = File::options().read(true).write(true).open(&path)?;
        let mut memory = Mapped::new(&file, one.len())?;
        for (content, token) in [&other, &one, &other, &one].iter().zip([1, 0, 1, 0]) {
            memory.store(content.as_bytes());
            let token = tokens[token].as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
            until("the change", || {
                Ok((nginx.bearer("/", token)?.verdict() == (200, "ok")).then_some(()))
            })
            .with_context(|| directives.clone())?;
        }
        nginx.finish()?;
    }
    Ok(())
}

/// A file that is mapped into memory.
struct Mapped {
    start: *mut u8,
    len: usize,
}

impl Mapped {
    fn new(file: &File, len: usize) -> Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address of this new mapping, and nothing else knows it.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0)? };
        Ok(Self { start: start.cast(), len })
    }

    fn store(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.len);
        // SAFETY: the mapping and the file have this length for as long as the structure exists.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, self.len) };
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: nothing uses the mapping after this.
        let unmapped = unsafe { rustix::mm::munmap(self.start.cast(), self.len) };
        assert!(unmapped.is_ok());
    }
}
