//! `check=TIME`: key files and lists that change while nginx runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use module_tests::{
    Builder, Jwt, Nginx, OTHER_SECRET, P256, P256_OTHER, SECRET, SERVE, at_once, mistake, nginx_t,
    open_files, refuse_all, until,
};
use serde_json::json;

/// A directive with a file, two contents of the file, and one token for each content. Each content
/// accepts its own token and refuses the other one.
#[derive(Debug)]
struct Kind {
    directive: &'static str,
    file: &'static str,
    contents: [String; 2],
    tokens: [String; 2],
    /// The verdict on a token while the other content is in force.
    refused: &'static str,
}

fn kinds() -> Result<Vec<Kind>> {
    let ec = |key| Jwt::live().kid("k").sign("ES256", key);
    let hs = |secret| Jwt::live().kid("k").hs("HS256", secret);
    let listed = |jti| Jwt::live_with(&json!({ "jti": jti })).kid("k1").hs("HS256", SECRET);
    let ec_tokens = [ec(&P256)?, ec(&P256_OTHER)?];
    Ok(vec![
        Kind {
            directive: "jwks_file keys.json check=1s;",
            file: "keys.json",
            contents: [P256.jwks("k")?, P256_OTHER.jwks("k")?],
            tokens: ec_tokens.clone(),
            refused: "bad_signature",
        },
        Kind {
            directive: "jwks_file keys.pem kid=k check=1s;",
            file: "keys.pem",
            contents: [P256.public.to_owned(), P256_OTHER.public.to_owned()],
            tokens: ec_tokens,
            refused: "bad_signature",
        },
        Kind {
            directive: "jwt_kids_file kids.json check=1s;",
            file: "kids.json",
            contents: [
                json!({ "k": SECRET }).to_string(),
                json!({ "k": OTHER_SECRET }).to_string(),
            ],
            tokens: [hs(SECRET)?, hs(OTHER_SECRET)?],
            refused: "bad_signature",
        },
        Kind {
            directive: "jwt_revoked jti list.txt check=1s;",
            file: "list.txt",
            contents: ["b\n".to_owned(), "a\n".to_owned()],
            tokens: [listed("a")?, listed("b")?],
            refused: "revoked",
        },
    ])
}

impl Kind {
    fn builder(&self) -> Builder {
        let keys = match self.file {
            "list.txt" => format!("jwt_kids {{ k1 {SECRET}; }}"),
            _ => String::new(),
        };
        Nginx::builder()
            .server(format!("location / {{ {keys} {} {SERVE} }}", self.directive))
            .file(self.file, self.contents[0].as_str())
    }

    /// The content that is in force, or `None` if the answers to the two tokens disagree.
    fn in_force(&self, nginx: &Nginx) -> Result<Option<usize>> {
        let mut pass = Vec::new();
        for token in &self.tokens {
            let response = nginx.bearer("/", token)?;
            let known = [(200, "ok"), (401, self.refused)].contains(&response.verdict());
            ensure!(known, "{}: {:?}", self.directive, response.verdict());
            pass.push(response.status == 200);
        }
        // If the file changes between the two requests, both tokens may pass or both may fail.
        Ok(match pass[..] {
            [true, false] => Some(0),
            [false, true] => Some(1),
            _ => None,
        })
    }

    fn until_in_force(&self, nginx: &Nginx, content: usize) -> Result<()> {
        until("the change", || Ok((self.in_force(nginx)? == Some(content)).then_some(())))
            .context(self.directive)
    }

    fn stays_in_force(&self, nginx: &Nginx, content: usize) -> Result<()> {
        ensure!(self.in_force(nginx)? == Some(content), "{}: another content", self.directive);
        Ok(())
    }

    /// The log lines of level `error` that name the file.
    fn told(&self, nginx: &Nginx) -> Vec<String> {
        let log = nginx.error_log();
        let told = |line: &&str| line.contains("[error]") && line.contains(self.file);
        log.lines().filter(told).map(str::to_owned).collect()
    }
}

/// A way to change a file.
type Change = fn(&Nginx, &str, &str) -> Result<()>;

const CHANGES: [(&str, Change); 2] = [
    ("by rename", |nginx, file, text| nginx.put(file, text)),
    ("in place", |nginx, file, text| nginx.rewrite(file, text)),
];

/// Waits for a fixed time, where there is no event to wait for.
fn pass_time(time: Duration) -> Result<()> {
    let began = Instant::now();
    until("time", || Ok((began.elapsed() >= time).then_some(())))
}

/// A little more than `check=1s`.
const CHECK: Duration = Duration::from_millis(1100);

#[test]
fn a_change_is_in_force_at_the_first_request_after_the_time() -> Result<()> {
    at_once(&kinds()?, |kind| {
        for (how, change) in CHANGES {
            let nginx = kind.builder().start()?;
            kind.stays_in_force(&nginx, 0)?;
            for content in [1, 0] {
                change(&nginx, kind.file, &kind.contents[content])?;
                pass_time(CHECK)?;
                kind.stays_in_force(&nginx, content).context(how)?;
            }
            assert!(kind.told(&nginx).is_empty(), "{:?}", kind.told(&nginx));
            nginx.finish()?;
        }
        Ok(())
    })
}

#[test]
fn every_worker_takes_a_change_up() -> Result<()> {
    at_once(&kinds()?, |kind| {
        for (how, change) in CHANGES {
            let nginx = kind.builder().workers(2).start()?;
            for content in [1, 0] {
                change(&nginx, kind.file, &kind.contents[content])?;
                pass_time(CHECK)?;
                for _ in 0..10 {
                    kind.stays_in_force(&nginx, content).context(how)?;
                }
            }
            nginx.finish()?;
        }
        Ok(())
    })
}

#[test]
fn a_single_process_takes_changes_up_too() -> Result<()> {
    at_once(&kinds()?, |kind| {
        let nginx = kind.builder().single_process().start()?;
        nginx.put(kind.file, &kind.contents[1])?;
        kind.until_in_force(&nginx, 1)?;
        nginx.finish()
    })
}

#[test]
fn a_file_that_breaks_or_goes_keeps_what_was_good_and_is_told_once() -> Result<()> {
    at_once(&kinds()?, |kind| {
        let nginx = kind.builder().start()?;
        let mut faults: Vec<(&str, Option<&str>)> = vec![("missing", None)];
        if kind.file != "list.txt" {
            faults.extend([
                ("cut off", Some(&kind.contents[1][..kind.contents[1].len() - 8])),
                ("empty", Some("")),
                ("no keys", Some("{\"keys\":[]}")),
                ("rubbish", Some("\u{0}")),
            ]);
        }
        for (at, (name, text)) in faults.iter().enumerate() {
            match text {
                Some(text) => nginx.put(kind.file, text)?,
                None => fs::remove_file(nginx.prefix().join(kind.file))?,
            }
            until(name, || {
                kind.stays_in_force(&nginx, 0)?;
                Ok((kind.told(&nginx).len() > at).then_some(()))
            })?;
            // The worker checks the file again and again but does not log the error again.
            pass_time(CHECK)?;
            kind.stays_in_force(&nginx, 0).context(*name)?;
            assert_eq!(kind.told(&nginx).len(), at + 1, "{name}: {:?}", kind.told(&nginx));
        }
        nginx.put(kind.file, &kind.contents[1])?;
        kind.until_in_force(&nginx, 1)?;
        assert_eq!(kind.told(&nginx).len(), faults.len());
        nginx.finish()
    })
}

#[test]
fn a_file_that_breaks_tells_what_is_wrong() -> Result<()> {
    let kinds = kinds()?;
    for (kind, text, fragments) in [
        (&kinds[0], "{\n  \"keys\": [\n", ["keys.json", "line 3"]),
        (&kinds[0], "{\"keys\":[]}", ["keys.json", "key"]),
        (&kinds[2], "{\"k\":\"\"}", ["kids.json", "empty"]),
        (&kinds[2], "{\"k\":1}", ["kids.json", "k"]),
    ] {
        let nginx = kind.builder().start()?;
        nginx.put(kind.file, text)?;
        let line = until("a line", || {
            kind.stays_in_force(&nginx, 0)?;
            Ok(kind.told(&nginx).pop())
        })?;
        for fragment in fragments {
            assert!(line.contains(fragment), "{line}");
        }
        nginx.assert_no_secret(&[SECRET, OTHER_SECRET, &kind.tokens[0]])?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_directory_in_the_file_s_place_keeps_what_was_good() -> Result<()> {
    at_once(&kinds()?, |kind| {
        let nginx = kind.builder().start()?;
        let path = nginx.prefix().join(kind.file);
        fs::remove_file(&path)?;
        fs::create_dir(&path)?;
        until("a line", || {
            kind.stays_in_force(&nginx, 0)?;
            Ok(kind.told(&nginx).pop())
        })?;
        fs::remove_dir(&path)?;
        nginx.put(kind.file, &kind.contents[1])?;
        kind.until_in_force(&nginx, 1)?;
        nginx.finish()
    })
}

#[test]
fn a_file_that_the_workers_may_not_read_is_told_plainly() -> Result<()> {
    at_once(&kinds()?, |kind| {
        let Some(builder) = kind.builder().unprivileged_workers()? else { return Ok(()) };
        let nginx = builder.start()?;
        nginx.put(kind.file, &kind.contents[1])?;
        kind.until_in_force(&nginx, 1)?;
        // The master could read the file as root, but it is the worker that reads it.
        nginx.chmod(kind.file, 0o000)?;
        nginx.rewrite(kind.file, &kind.contents[0])?;
        let line = until("a line", || {
            kind.stays_in_force(&nginx, 1)?;
            Ok(kind.told(&nginx).pop())
        })?;
        for fragment in ["Permission denied", "worker"] {
            assert!(line.contains(fragment), "no {fragment}: {line}");
        }
        pass_time(CHECK)?;
        kind.stays_in_force(&nginx, 1)?;
        assert_eq!(kind.told(&nginx).len(), 1, "{:?}", kind.told(&nginx));
        // Restoring the permission is enough; no other change is needed.
        nginx.chmod(kind.file, 0o644)?;
        kind.until_in_force(&nginx, 0)?;
        nginx.finish()
    })
}

#[test]
fn a_file_that_only_root_may_read_serves_from_the_start() -> Result<()> {
    at_once(&kinds()?, |kind| {
        let Some(builder) = kind.builder().unprivileged_workers()? else { return Ok(()) };
        let nginx = builder.start()?;
        // Root reads the configuration and therefore also the files that it names.
        nginx.chmod(kind.file, 0o600)?;
        nginx.reload()?;
        pass_time(CHECK)?;
        kind.stays_in_force(&nginx, 0)?;
        nginx.rewrite(kind.file, &kind.contents[1])?;
        until("a line", || {
            kind.stays_in_force(&nginx, 0)?;
            Ok(kind
                .told(&nginx)
                .iter()
                .any(|line| line.contains("Permission denied"))
                .then_some(()))
        })?;
        // At the next reload root reads the file, and its new content is in force.
        nginx.reload()?;
        kind.stays_in_force(&nginx, 1)?;
        nginx.finish()
    })
}

#[test]
fn a_change_of_the_same_size_within_a_second_is_seen() -> Result<()> {
    let kinds = kinds()?;
    for kind in [&kinds[1], &kinds[3]] {
        assert_eq!(kind.contents[0].len(), kind.contents[1].len(), "{}", kind.directive);
        for (how, change) in CHANGES {
            let nginx = kind.builder().start()?;
            for round in 0..3 {
                let content = 1 - round % 2;
                // Both changes happen within the same second, and the last one counts.
                change(&nginx, kind.file, &kind.contents[1 - content])?;
                change(&nginx, kind.file, &kind.contents[content])?;
                kind.until_in_force(&nginx, content).context(how)?;
            }
            nginx.finish()?;
        }
    }
    Ok(())
}

#[test]
fn a_change_that_keeps_size_and_time_of_the_file_is_seen() -> Result<()> {
    // Some tools copy files together with their times, to the second.
    let kinds = kinds()?;
    for (how, change) in CHANGES {
        let kind = &kinds[3];
        let nginx = kind.builder().start()?;
        let path = nginx.prefix().join(kind.file);
        let modified = fs::metadata(&path)?.modified()?;
        change(&nginx, kind.file, &kind.contents[1])?;
        fs::File::options().write(true).open(&path)?.set_modified(modified)?;
        kind.until_in_force(&nginx, 1).context(how)?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_link_that_is_turned_to_another_folder_is_followed() -> Result<()> {
    // Containers mount secrets like this: `current` is a link that a rename replaces.
    at_once(&kinds()?, |kind| {
        let directive = kind.directive.replace(kind.file, &format!("current/{}", kind.file));
        let keys = if kind.file == "list.txt" {
            format!("jwt_kids {{ k1 {SECRET}; }}")
        } else {
            String::new()
        };
        let place = tempfile::Builder::new().prefix("nta-keys-").tempdir_in("/tmp")?;
        let at = |name: &str| place.path().join(name);
        for (folder, content) in ["0", "1"].iter().zip(&kind.contents) {
            fs::create_dir(at(folder))?;
            fs::write(at(folder).join(kind.file), content)?;
        }
        symlink("0", at("current"))?;
        let directive = directive.replace("current/", &format!("{}/", at("current").display()));
        let nginx = Nginx::start(format!("location / {{ {keys} {directive} {SERVE} }}"))?;
        kind.stays_in_force(&nginx, 0)?;
        for content in [1, 0] {
            symlink(content.to_string(), at("fresh"))?;
            fs::rename(at("fresh"), at("current"))?;
            kind.until_in_force(&nginx, content)?;
        }
        nginx.finish()
    })
}

#[test]
fn a_file_is_exchanged_as_a_whole() -> Result<()> {
    // One key stays in the file through all changes, so no request may find it missing.
    let kids = |other: &str, fill: usize| {
        let mut all: serde_json::Map<_, _> =
            (0..fill).map(|at| (format!("fill-{at}"), json!(SECRET))).collect();
        all.insert("k".to_owned(), json!(SECRET));
        all.insert(other.to_owned(), json!(OTHER_SECRET));
        json!(all).to_string()
    };
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwt_kids_file kids.json check=1s; {SERVE} }}"))
        .file("kids.json", kids("v-0", 2000))
        .start()?;
    let pid = *nginx.workers().first().context("a worker")?;
    let stays = Jwt::live().kid("k").hs("HS256", SECRET)?;
    // Once a worker has answered a request, it has opened all files that it needs.
    assert_eq!(nginx.bearer("/", &stays)?.verdict(), (200, "ok"));
    let files = open_files(pid)?;
    for round in 1..=4 {
        let kid = format!("v-{round}");
        let (changes, gone) = (Jwt::live().kid(&kid), format!("v-{}", round - 1));
        let changes = changes.hs("HS256", OTHER_SECRET)?;
        let text = kids(&kid, 2000 + round * 100);
        if round % 2 == 0 {
            nginx.put("kids.json", text)?;
        } else {
            nginx.rewrite("kids.json", text)?;
        }
        until("the change", || {
            ensure!(nginx.bearer("/", &stays)?.verdict() == (200, "ok"), "round {round}");
            Ok((nginx.bearer("/", &changes)?.status == 200).then_some(()))
        })?;
        pass_time(CHECK)?;
        let gone = Jwt::live().kid(&gone).hs("HS256", OTHER_SECRET)?;
        for _ in 0..6 {
            assert_eq!(nginx.bearer("/", &gone)?.verdict(), (401, "unknown_key"));
        }
    }
    until(
        "the end of all files and connections",
        || Ok((open_files(pid)? <= files).then_some(())),
    )?;
    nginx.finish()
}

#[test]
fn what_is_revoked_while_nginx_runs_is_refused_although_it_has_passed_before() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked jti list.txt check=1s;
                jwt_revoked sub names.txt check=1s; {SERVE} }}"
        ))
        .file("list.txt", "")
        .file("names.txt", "# nobody\n")
        .start()?;
    let token = Jwt::live_with(&json!({ "jti": "t-1" })).kid("k1").hs("HS256", SECRET)?;
    let expect = |verdict: (u16, &str)| {
        until("the list", || Ok((nginx.bearer("/", &token)?.verdict() == verdict).then_some(())))
            .with_context(|| format!("{verdict:?}"))
    };
    for _ in 0..3 {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    }
    for (list, names, verdict) in [
        ("t-1\n", "", (401, "revoked")),
        ("t-2\n", "", (200, "ok")),
        ("", "bob\nalice\n", (401, "revoked")),
        ("# all forgiven\n", "", (200, "ok")),
    ] {
        nginx.put("list.txt", list)?;
        nginx.put("names.txt", names)?;
        expect(verdict)?;
    }
    nginx.finish()
}

#[test]
fn it_holds_wherever_the_directive_may_stand() -> Result<()> {
    let file = "jwks_file keys.json check=1s;";
    let location = format!("location / {{ {SERVE} }}");
    let issued = |key| Jwt::live_with(&json!({ "iss": "me" })).kid("k").sign("ES256", key);
    for (name, http, server) in [
        ("http", file.to_owned(), location.clone()),
        ("server", String::new(), format!("{file} {location}")),
        ("if", String::new(), format!("location / {{ if ($host) {{ {file} }} {SERVE} }}")),
        (
            "limit_except",
            String::new(),
            format!("location / {{ limit_except POST {{ {file} }} {SERVE} }}"),
        ),
        (
            "jwt_provider",
            format!("jwt_provider p {{ jwt_issuer me; {file} }}"),
            format!("jwt on provider=p; {location}"),
        ),
    ] {
        let nginx = Nginx::builder()
            .http(http)
            .server(server)
            .file("keys.json", P256.jwks("k")?)
            .start()?;
        let (old, new) = (issued(&P256)?, issued(&P256_OTHER)?);
        assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"), "{name}");
        nginx.put("keys.json", P256_OTHER.jwks("k")?)?;
        until(name, || Ok((nginx.bearer("/", &new)?.verdict() == (200, "ok")).then_some(())))?;
        assert_eq!(nginx.bearer("/", &old)?.verdict(), (401, "bad_signature"), "{name}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_wrong_time_is_told() -> Result<()> {
    let keys = P256.jwks("k")?;
    let mut mistakes = Vec::new();
    for value in ["check=0", "check=0s", "check=-1", "check=-1s", "check=soon", "check="] {
        for (directive, file, text) in [
            ("jwks_file keys.json", "keys.json", keys.as_str()),
            ("jwt_kids_file kids.json", "kids.json", "{\"k\":\"s\"}"),
            ("jwt_revoked jti list.txt", "list.txt", "a\n"),
        ] {
            let whole = format!("{directive} {value};");
            // The message is about the value, not about the file.
            let mistake = mistake(&whole, whole.clone(), &["invalid value"]);
            mistakes.push(mistake.file(file, text));
        }
    }
    let twice = "jwks_file keys.json check=1s check=2s;";
    mistakes.push(mistake("twice", twice, &["duplicate"]).file("keys.json", keys.as_str()));
    refuse_all(&mistakes)?;
    for time in ["1s", "5m", "1h30m", "86400"] {
        Nginx::builder()
            .server(format!("location / {{ jwks_file keys.json check={time}; {SERVE} }}"))
            .file("keys.json", keys.as_str())
            .check()?
            .accepted()
            .context(time)?;
    }
    // If the file is missing at the start, nginx has no content to use, so `check=` cannot help.
    let checked = nginx_t(format!("location / {{ jwks_file gone.json check=1s; {SERVE} }}"))?;
    checked.refused_with(&["gone.json", "No such file"])
}
