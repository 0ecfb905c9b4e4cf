//! The requests of the demo: what nginx-conf/demo.conf answers to each, shown and compared with what it
//! should. docker-test sends the same ones to the image.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::client::Client;

/// Azion's example: kid and secret as in nginx-conf/demo/azion-args.json.
pub(crate) const KID: &str = "4546D4AA7F62F01A833A7ABE354030E7";
pub(crate) const SECRET: &str = "D6CB2342E44EFB6DD628276F36DA2359";
pub(crate) const LINK_SECRET: &str = "mysecretkey";
/// The kid of the demo's key pair.
pub(crate) const KEY_ID: &str = "demo";

/// Headers of an answer that are shown.
const SHOWN: [&str; 3] = ["WWW-Authenticate", "X-User", "X-Secure-Token"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where nginx is, such as http://127.0.0.1:8080
    base: String,
    #[command(flatten)]
    maker: Maker,
}

/// Makes tokens and links.
#[derive(clap::Args)]
pub(crate) struct Maker {
    /// The program tokenctl
    #[arg(long)]
    pub(crate) tokenctl: PathBuf,
    /// The demo's key pair, without .pem and .pub.pem
    #[arg(long)]
    pub(crate) keys: PathBuf,
    /// A container in which these are
    #[arg(long)]
    inside: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    drive(&args.base, &args.maker)
}

/// Sends all of them.
///
/// # Errors
/// When an answer is another than it should be.
pub(crate) fn drive(base: &str, maker: &Maker) -> Result<()> {
    let mut asked = Asked { base, client: Client::new(), passed: 0, failed: 0 };
    asked.ask(200, "open: nothing is asked", "/", None);
    println!("\n-- /jwt/: secrets by kid (Azion's JSON Args)");
    ask_with_secrets(&mut asked, maker)?;
    println!("\n-- /jwks/: public keys (JWK Set)");
    ask_with_keys(&mut asked, maker)?;
    println!("\n-- /video/: signed links (Azion's secure token)");
    ask_with_links(&mut asked, maker)?;
    println!("\n-- /login and /own/: nginx signs what a login answers");
    ask_with_login(&mut asked)?;
    if base.starts_with("http://127.0.0.1") && maker.inside.is_none() {
        println!("\n-- /status: what was refused and why");
        asked.ask(200, "the counters, for this machine only", "/status", None);
    }
    println!("\nrequests: {} passed, {} failed", asked.passed, asked.failed);
    ensure!(asked.failed == 0, "{} requests were not answered as they should be", asked.failed);
    Ok(())
}

fn ask_with_secrets(asked: &mut Asked<'_>, maker: &Maker) -> Result<()> {
    let path = "/jwt/hello.txt";
    let signed = |secret: &str, kid: &str, lifetime: &str| {
        maker.token(&["--alg", "HS256", "--secret", secret, "--kid", kid, "--lifetime", lifetime])
    };
    let good = signed(SECRET, KID, "5m")?;
    let changed = "the same token, one character of its claims changed";
    let other = signed("00000000000000000000000000000000", KID, "5m")?;
    asked.ask(401, "no token", path, None);
    asked.ask(200, "a good token", path, Some(&good));
    asked.ask(401, changed, path, Some(&tampered(&good)?));
    asked.ask(401, "signed with another secret", path, Some(&other));
    asked.ask(401, "a kid that is not in the list", path, Some(&signed(SECRET, "nobody", "5m")?));
    asked.ask(401, "expired an hour ago", path, Some(&signed(SECRET, KID, "-1h")?));
    asked.ask(401, "no token at all, just a word", path, Some("letmein"));
    Ok(())
}

fn ask_with_keys(asked: &mut Asked<'_>, maker: &Maker) -> Result<()> {
    let path = "/jwks/hello.txt";
    let good = maker.token(&["--alg", "RS256", "--key", &maker.key("pem"), "--kid", KEY_ID])?;
    let confused = maker.token(&["--alg", "HS256", "--secret", SECRET, "--kid", KEY_ID])?;
    asked.ask(401, "no token", path, None);
    asked.ask(200, "signed with the private key, RS256", path, Some(&good));
    asked.ask(401, "HS256 under the kid of the public key", path, Some(&confused));
    Ok(())
}

fn ask_with_login(asked: &mut Asked<'_>) -> Result<()> {
    let path = "/own/hello.txt";
    asked.ask(200, "a login, whose claims become a token", "/login", None);
    asked.ask(200, "the public key", "/jwks.json", None);
    let answer = asked.client.get(&format!("{}/login", asked.base), None)?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let token = answer.get("access_token").and_then(serde_json::Value::as_str);
    let token = token.context("the answer of /login has no token")?.to_owned();
    asked.ask(401, "no token", path, None);
    asked.ask(200, "the token of the login", path, Some(&token));
    asked.ask(
        401,
        "the same token, one character of its claims changed",
        path,
        Some(&tampered(&token)?),
    );
    Ok(())
}

fn ask_with_links(asked: &mut Asked<'_>, maker: &Maker) -> Result<()> {
    let path = "/video/clip.txt";
    let good = maker.link(&["--alg", "md5", "--lifetime", "1h", path])?;
    let newer = maker.link(&["--alg", "hmac-sha256", "--lifetime", "1h", path])?;
    let expired = maker.link(&["--alg", "md5", "--expires", "1470055000", path])?;
    let (_, arguments) = good.split_once('?').context("a link without arguments")?;
    let (signature, _) = good.rsplit_once("e=").context("a link without a time")?;
    asked.ask(403, "no signature", path, None);
    asked.ask(200, "a good link, in Azion's own form (MD5)", &good, None);
    asked.ask(200, "a good link, HMAC-SHA256", &newer, None);
    asked.ask(403, "the signature of another file", &format!("/video/other.txt?{arguments}"), None);
    asked.ask(403, "the time changed by hand", &format!("{signature}e=2000000000"), None);
    asked.ask(410, "a good link that has expired", &expired, None);
    Ok(())
}

impl Maker {
    pub(crate) fn new(tokenctl: PathBuf, keys: PathBuf) -> Self {
        Self { tokenctl, keys, inside: None }
    }

    fn token(&self, arguments: &[&str]) -> Result<String> {
        let common = ["jwt", "--claim", "sub=alice"];
        let lifetime: &[&str] =
            if arguments.contains(&"--lifetime") { &[] } else { &["--lifetime", "5m"] };
        self.tokenctl(&[&common, arguments, lifetime].concat())
    }

    fn link(&self, arguments: &[&str]) -> Result<String> {
        self.tokenctl(&[&["url", "--secret", LINK_SECRET], arguments].concat())
    }

    fn tokenctl(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.run(&self.tokenctl.to_string_lossy(), arguments)?.trim().to_owned())
    }

    /// A file of the key pair.
    fn key(&self, ending: &str) -> String {
        format!("{}.{ending}", self.keys.display())
    }

    /// What a program prints, in the container if there is one.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = match &self.inside {
            Some(container) => {
                let mut docker = Command::new("docker");
                docker.args(["exec", container, program]);
                docker
            }
            None => Command::new(program),
        };
        let command = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().with_context(|| program.to_owned())?;
        ensure!(output.status.success(), "{program} failed: {}", output.status);
        String::from_utf8(output.stdout).with_context(|| program.to_owned())
    }
}

struct Asked<'a> {
    base: &'a str,
    client: Client,
    passed: u32,
    failed: u32,
}

impl Asked<'_> {
    fn ask(&mut self, want: u16, what: &str, path: &str, token: Option<&str>) {
        let base = self.base;
        let answer = self.client.get(&format!("{base}{path}"), token);
        let right = answer.as_ref().is_ok_and(|answer| answer.status == want);
        let got =
            answer.as_ref().map_or("no answer".to_owned(), |answer| answer.status.to_string());
        let mark = if right { "ok".to_owned() } else { format!("WRONG, {want} was expected") };
        println!("\n{got}  {what}  [{mark}]");
        // Long values are cut: they are for the eye here, and --keep prints whole commands.
        match token {
            Some(token) => {
                let token = cut(token, 24);
                println!("     curl -H 'Authorization: Bearer {token}' {base}{path}");
            }
            None => println!("     curl '{base}{}'", cut(path, 60)),
        }
        match answer {
            Ok(answer) => {
                let shown = SHOWN.iter().find_map(|name| Some((name, answer.header(name)?)));
                if let Some((name, value)) = shown {
                    println!("     {name}: {value}");
                }
            }
            Err(error) => println!("     {error:#}"),
        }
        *if right { &mut self.passed } else { &mut self.failed } += 1;
    }
}

fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((at, _)) => format!("{}...", text.split_at(at).0),
        None => text.to_owned(),
    }
}

/// A token with another character in the middle of its claims, where no bit of it is padding.
fn tampered(token: &str) -> Result<String> {
    let dot = token.find('.').context("a token without a dot")?;
    let changed = |(at, character)| match (at == dot + 8, character) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, same) => same,
    };
    Ok(token.char_indices().map(changed).collect())
}

#[cfg(test)]
mod tests {
    use super::{cut, tampered};

    #[test]
    fn one_character_of_the_claims_is_changed() {
        assert_eq!(tampered("head.0123456789.sig").unwrap(), "head.0123456A89.sig");
        assert_eq!(tampered("head.0123456A89.sig").unwrap(), "head.0123456B89.sig");
        assert!(tampered("letmein").is_err());
    }

    #[test]
    fn what_is_longer_than_allowed_is_cut() {
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".to_owned(), "abc...".to_owned()));
    }
}
