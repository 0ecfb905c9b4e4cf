//! The documents: links and anchors that lead somewhere, and blocks of code that are what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use module_tests::{Checked, Nginx, P256, P384, RSA, nginx_configured};
use serde_json::{Value, json};

use crate::root;

/// A page of the documents.
struct Page {
    path: PathBuf,
    text: String,
}

/// A block of code: the line where it begins, its language, and its text.
struct Block {
    line: usize,
    language: String,
    text: String,
}

/// Every page of the repository but those of test data.
fn pages() -> Result<Vec<Page>> {
    let mut folders = vec![root(), root().join("docs"), root().join("docs/guides")];
    folders.push(root().join("tests/keys"));
    let mut pages = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(Page { text: fs::read_to_string(&path)?, path });
            }
        }
    }
    ensure!(pages.len() > 20, "only {} pages", pages.len());
    Ok(pages)
}

impl Page {
    /// Its path in the repository.
    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// The lines outside blocks of code, with their numbers, and the blocks.
    fn parts(&self) -> (Vec<(usize, &str)>, Vec<Block>) {
        let (mut lines, mut blocks) = (Vec::new(), Vec::new());
        let mut open: Option<(usize, Block)> = None;
        for (number, line) in (1..).zip(self.text.lines()) {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(language)) => {
                    let indent = line.len() - line.trim_start().len();
                    let language = language.to_owned();
                    open = Some((indent, Block { line: number, language, text: String::new() }));
                }
                (None, None) => lines.push((number, line)),
                (Some(_), Some("")) => blocks.extend(open.take().map(|(_, block)| block)),
                (Some((indent, block)), _) => {
                    block.text.push_str(line.get(*indent..).unwrap_or_default());
                    block.text.push('\n');
                }
            }
        }
        (lines, blocks)
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let mut counts = BTreeMap::<String, usize>::new();
        let (lines, _) = self.parts();
        let headings = lines.iter().filter(|(_, line)| line.starts_with('#'));
        headings
            .map(|(_, line)| {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                let kept = title.chars().filter(|it| it.is_alphanumeric() || "-_ ".contains(*it));
                let slug: String = kept.map(|it| if it == ' ' { '-' } else { it }).collect();
                let count = counts.entry(slug.clone()).or_default();
                *count += 1;
                if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
            })
            .collect()
    }

    /// Where its links lead, with the line of each.
    fn links(&self) -> Vec<(usize, String)> {
        let (lines, _) = self.parts();
        let mut links = Vec::new();
        let text: Vec<_> =
            lines.iter().map(|(number, line)| (*number, without_code(line))).collect();
        for (number, line) in text {
            for part in line.split("](").skip(1) {
                links.extend(part.split(')').next().map(|to| (number, to.to_owned())));
            }
            if let Some((_, to)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
                links.push((number, to.trim().to_owned()));
            }
        }
        links
    }
}

/// A line without what stands in backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

#[test]
fn links_and_anchors_lead_somewhere() -> Result<()> {
    let pages = pages()?;
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in &pages {
        for (line, to) in page.links() {
            if to.contains("://") || to.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (path, anchor) = to.split_once('#').unwrap_or((&to, ""));
            let folder = page.path.parent().context("a page in a folder")?;
            let target = if path.is_empty() { page.path.clone() } else { folder.join(path) };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{}:{line}: {to}: no such file", page.name()));
                continue;
            };
            let anchors =
                match pages.iter().find(|one| one.path.canonicalize().ok() == Some(target.clone()))
                {
                    Some(page) => page.anchors(),
                    None => BTreeSet::new(),
                };
            if !anchor.is_empty() && !anchors.contains(anchor) {
                wrong.push(format!("{}:{line}: {to}: no such heading", page.name()));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(checked > 300, "only {checked} links");
    Ok(())
}

#[test]
fn blocks_of_json_and_shell_can_be_read() -> Result<()> {
    let mut wrong = Vec::new();
    for page in pages()? {
        for block in page.parts().1 {
            let place = format!("{}:{}", page.name(), block.line);
            match &*block.language {
                "json" => {
                    if let Err(error) = serde_json::from_str::<Value>(&block.text) {
                        wrong.push(format!("{place}: {error}"));
                    }
                }
                "sh" => {
                    let read = Command::new("bash").args(["-n", "-c", &block.text]).output()?;
                    if !read.status.success() {
                        wrong.push(format!("{place}: {}", String::from_utf8_lossy(&read.stderr)));
                    }
                }
                _ => {}
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The directives that name a file, and what the file must hold to be read.
fn file_for(directive: &str) -> Option<String> {
    let keys = || RSA.jwks("a").ok();
    match directive {
        "jwks_file" | "auth_jwt_key_file" => keys(),
        "jwt_kids_file" => {
            Some(json!({ "a": "a secret of more than thirty-two bytes" }).to_string())
        }
        "secure_token_keys" => Some(RSA.public.to_owned()),
        "jwt_revoked" => Some("nobody\n".to_owned()),
        "ssl_certificate"
        | "ssl_client_certificate"
        | "proxy_ssl_trusted_certificate"
        | "ssl_trusted_certificate" => P256.certificate.map(str::to_owned),
        "ssl_certificate_key" | "jwt_sign_key" => Some(P256.private.to_owned()),
        // Of secure_token_mint.
        "key" | "jwt_decryption_key" => Some(RSA.private.to_owned()),
        _ => None,
    }
}

/// A block of nginx's configuration as it can be tried here: without hosts to be looked up, and with
/// files that exist.
fn tried(text: &str) -> (String, Vec<(String, String)>) {
    let (mut out, mut files) = (String::new(), Vec::new());
    for line in text.lines() {
        let code = line.split(" #").next().unwrap_or(line).replace("{ ... }", "{ }");
        let words: Vec<_> = code.split_whitespace().collect();
        let mut code = code.clone();
        for (at, word) in words.iter().enumerate() {
            let Some(mut holds) = file_for(word) else { continue };
            if *word == "jwt_sign_key" && files.len() % 2 == 1 {
                holds = P384.private.to_owned();
            }
            if line.contains(" kid=")
                && !["jwt_sign_key", "jwt_decryption_key", "secure_token_keys", "key"]
                    .contains(word)
            {
                holds = P256.public.to_owned();
            }
            // The list's file comes after its claim.
            let argument = words.get(at + if *word == "jwt_revoked" { 2 } else { 1 });
            let Some(path) = argument.map(|path| path.trim_end_matches(';')) else { continue };
            if !path.contains('$') {
                let name = format!("document-{}", files.len());
                code = code.replacen(path, &name, 1);
                files.push((name, holds));
            }
        }
        let passes = ["proxy_pass", "grpc_pass", "fastcgi_pass"];
        if passes.iter().any(|it| words.contains(it))
            && let Some((before, rest)) = code.split_once("://")
            && !rest.starts_with('$')
        {
            let end = rest.find(['/', ';', '$']).unwrap_or(rest.len());
            code = format!("{before}://127.0.0.1:1{}", &rest[end..]);
        }
        out.push_str(&code);
        out.push('\n');
    }
    (out, files)
}

/// What a block may take for granted in `http`: keys, a secret for links, and what it names.
fn granted(text: &str) -> String {
    let secret = "0123456789abcdef0123456789abcdef";
    let mut http = format!("jwt_kids {{ a {secret}; }} secure_token_secret {secret};");
    let named = |mark: &str| -> BTreeSet<String> {
        let after = text.split(mark).skip(1);
        let names = after.filter_map(|rest| rest.trim_start().split([';', ' ', '\n']).next());
        names.map(str::to_owned).collect()
    };
    for name in named("provider=") {
        http +=
            &format!("jwt_provider {name} {{ jwt_issuer i-{name}; jwt_kids {{ a {secret}; }} }}");
    }
    for zone in named("proxy_cache ") {
        http += &format!("proxy_cache_path cache-{zone} keys_zone={zone}:1m;");
    }
    http
}

/// Runs `nginx -t` with a block at each place where it may stand: as the whole file, in `http`, in a
/// server, in a location, in a provider. What nginx said at each, if it loads nowhere.
fn refused(block: &str) -> Result<Vec<Checked>> {
    let (text, files) = tried(block);
    let (location, granted) = (format!("location /block {{ {text} }}"), granted(&text));
    let in_provider = |more| format!("jwt_provider block {{ {more} {text} }}");
    let frames = if text.lines().any(|line| line.starts_with("http {")) {
        let events = if text.contains("events {") { "" } else { "events { }\n" };
        vec![Nginx::builder().whole(format!("{events}{text}"))]
    } else {
        vec![
            Nginx::builder().http(text.clone()),
            Nginx::builder().server(text.clone()),
            Nginx::builder().server(location.clone()),
            Nginx::builder().http(in_provider("jwt_issuer block;")),
            Nginx::builder().http(in_provider("jwt_kids { a 0123456789abcdef0123456789abcdef; }")),
            Nginx::builder().http(granted.clone()).server(text.clone()),
            Nginx::builder().http(granted).server(location),
            Nginx::builder().main(text),
        ]
    };
    let mut refused = Vec::new();
    for mut frame in frames {
        for (name, holds) in &files {
            frame = frame.file(name, holds.clone());
        }
        let checked = frame.check()?;
        // Not every nginx here has the module that links come from.
        let lacks = checked.stderr.contains("unknown directive \"secure_link\"")
            && !nginx_configured("--with-http_secure_link_module")?;
        if checked.ok || lacks {
            return Ok(Vec::new());
        }
        refused.push(checked);
    }
    Ok(refused)
}

/// The directives of a block, each with what is in its braces.
fn directives(block: &str) -> Vec<String> {
    let (mut all, mut one, mut depth, mut quoted) = (Vec::new(), String::new(), 0, false);
    for line in block.lines() {
        let code = line.split(" #").next().unwrap_or(line);
        for character in code.chars() {
            one.push(character);
            match character {
                '"' => quoted = !quoted,
                '{' if !quoted => depth += 1,
                '}' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 && !quoted && matches!(character, ';' | '}') {
                all.push(std::mem::take(&mut one));
            }
        }
        one.push('\n');
    }
    all
}

#[test]
fn blocks_of_nginx_s_configuration_load() -> Result<()> {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages()? {
        for block in page.parts().1 {
            if block.language != "nginx" {
                continue;
            }
            count += 1;
            let whole = refused(&block.text)?;
            // Some blocks show several ways to write one directive.
            let duplicate = |one: &Checked| one.stderr.contains("duplicate");
            let mut each = vec![whole.is_empty()];
            if whole.iter().any(duplicate) {
                let loads = |one: &String| anyhow::Ok(refused(one)?.is_empty());
                each = directives(&block.text).iter().map(loads).collect::<Result<_>>()?;
            }
            if !each.into_iter().all(|loads| loads) {
                let said: Vec<_> = whole
                    .iter()
                    .filter_map(|one| one.stderr.lines().find(|line| line.contains("[emerg]")))
                    .collect();
                wrong.push(format!("{}:{}:\n  {}", page.name(), block.line, said.join("\n  ")));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(count > 80, "only {count} blocks");
    Ok(())
}
