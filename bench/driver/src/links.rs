//! Measures links of every kind beside nginx's secure_link.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::alone::Alone;
use crate::lane::{Lane, round};
use crate::load::{Requests, status};
use crate::peers::{run as called, user};
use crate::pipeline::BATCH;
use crate::record::Record;
use crate::results::Cpu as Both;
use crate::server::{Place, Server, leave_their_core};
use crate::tokens::{SECRET, Signer};

/// How many different links take turns where each is new: several times what is remembered.
const DIFFERENT: usize = 8192;
/// About as long as a policy of CloudFront.
const MESSAGE: usize = 130;
const ROUNDS: usize = 41;
const FEW_ROUNDS: usize = 5;
const SLICE: Duration = Duration::from_millis(100);
const ORIGIN: &str = "https://bench.example";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    nginx: String,
    #[arg(long)]
    module: String,
    #[arg(long)]
    tokenctl: String,
    /// Few rounds, to see that it works
    #[arg(long)]
    small: bool,
    #[command(flatten)]
    record: Record,
}

/// A kind of links.
struct Kind {
    name: &'static str,
    path: &'static str,
    links: Links,
}

enum Links {
    /// One link, in the query, which tokenctl makes with these options.
    Query(&'static [&'static str]),
    /// The same as a cookie.
    Cookie(&'static [&'static str]),
    /// Many of CloudFront's custom policies, each of which comes when it has been forgotten.
    Different,
}

const HASH: [&str; 4] = ["--hash", "md5", "--text", "$secure_token_expires$uri $secure_token_key"];
const AKAMAI: [&str; 4] = ["--format", "akamai", "--covers", "/akama*"];
const CUSTOM: [&str; 4] = ["--format", "cloudfront", "--covers", "https://bench.example/clou*"];

const KINDS: [Kind; 12] = [
    query("nginx's secure_link, MD5", "/slink", &HASH),
    query("secure_token_hash of the same text, MD5", "/md5-h", &HASH),
    query("plain, MD5", "/md5-p", &["--alg", "md5"]),
    query("plain, HMAC-SHA256", "/hmac-", &[]),
    query("bunny, HMAC-SHA256", "/bunny", &["--format", "bunny"]),
    query("akamai, HMAC-SHA256, with an acl", "/akama", &AKAMAI),
    Kind { name: "akamai, the same by cookie", path: "/akama", links: Links::Cookie(&AKAMAI) },
    query("google, HMAC-SHA1", "/googl", &["--format", "google", "--kid", "k"]),
    query("cloudfront, canned policy, seen before", "/cloud", &["--format", "cloudfront"]),
    query("cloudfront, custom policy, seen before", "/cloud", &CUSTOM),
    Kind { name: "cloudfront, the same by cookies", path: "/cloud", links: Links::Cookie(&CUSTOM) },
    Kind { name: "cloudfront, custom policy, never seen", path: "/cloud", links: Links::Different },
];

const fn query(name: &'static str, path: &'static str, options: &'static [&'static str]) -> Kind {
    Kind { name, path, links: Links::Query(options) }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    leave_their_core()?;
    let keys = tempfile::tempdir()?;
    let out = keys.path().join("RS256").display().to_string();
    called(&args.tokenctl, &["keys", "--alg", "RS256", "--kid", "k", "--out", &out])?;
    let server = start(args, keys.path())?;
    let signer = Signer::load(keys.path(), "RS256")?;
    let mut lanes = Vec::new();
    for kind in &KINDS {
        let list = kind.requests(args, keys.path(), &signer)?;
        let (target, line) = list.first().context("no link")?;
        let port = server.place.port;
        let got = status(port, target, line)?;
        ensure!(got == 200, "{}: status {got} to a good link", kind.name);
        // Without the link, or with that of another path, it is refused.
        let got = status(port, kind.path, "X-None: 1")?;
        ensure!(got == 403, "{}: status {got} without a link", kind.name);
        let bare = list
            .iter()
            .map(|(target, line)| (target.replacen(kind.path, "/plain", 1), line.clone()));
        lanes.push(Lane::pipelined(Requests::to_targets(&bare.collect::<Vec<_>>()), BATCH));
        lanes.push(Lane::pipelined(Requests::to_targets(&list), BATCH));
    }
    let mut alone = Alone::new(keys.path(), "RS256", MESSAGE)?;
    let rounds = if args.small { FEW_ROUNDS } else { ROUNDS };
    eprintln!("{rounds} rounds of {} slices of {} ms", lanes.len(), SLICE.as_millis());
    for number in 0..rounds {
        round(&mut lanes, number, &server, SLICE)?;
        alone.measure()?;
    }
    let text = table(&args.record, rounds, &lanes, &alone)?;
    args.record.publish("links.md", &text)
}

fn start(args: &Args, keys: &Path) -> Result<Server> {
    let place = Place::new()?;
    let values = [
        ("MODULE", args.module.as_str()),
        ("USER", user()),
        ("SECRET", SECRET),
        ("KEYS", &keys.display().to_string()),
    ];
    let conf = place.fill("nginx.conf", include_str!("links/nginx.conf"), &values)?;
    Server::start(&[&args.nginx, "-c", &conf], place)
}

impl Kind {
    /// Targets and header lines.
    fn requests(&self, args: &Args, keys: &Path, signer: &Signer) -> Result<Vec<(String, String)>> {
        let made = |options: &[&str], further: &[&str]| {
            let pem = keys.join("RS256.pem").display().to_string();
            let is_cloudfront = options.contains(&"cloudfront");
            let own: &[&str] = match is_cloudfront {
                true => &["--key", &pem, "--kid", "k"],
                false => &["--secret", SECRET],
            };
            let url = format!("{ORIGIN}{}", self.path);
            let words = [&["url", "--lifetime", "1d"], options, own, further, &[&url]].concat();
            Ok::<_, anyhow::Error>(called(&args.tokenctl, &words)?.trim().to_owned())
        };
        let none = || "X-None: 1".to_owned();
        Ok(match self.links {
            Links::Query(options) => {
                let link = made(options, &[])?;
                vec![(link.trim_start_matches(ORIGIN).to_owned(), none())]
            }
            Links::Cookie(options) => vec![(self.path.to_owned(), made(options, &["--cookie"])?)],
            Links::Different => {
                let links = (0..DIFFERENT).map(|number| cloudfront(signer, self.path, number));
                links.map(|link| Ok((link?, none()))).collect::<Result<_>>()?
            }
        })
    }
}

/// A link of CloudFront with a custom policy, which is another one for each number.
fn cloudfront(signer: &Signer, path: &str, number: usize) -> Result<String> {
    let until = jiff::Timestamp::now().as_second() + 86_400 + i64::try_from(number)?;
    let policy = format!(
        r#"{{"Statement":[{{"Resource":"{ORIGIN}/clou*","Condition":{{"DateLessThan":{{"AWS:EpochTime":{until}}}}}}}]}}"#
    );
    let encode =
        |bytes: &[u8]| STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~");
    let signature = encode(&signer.sign(policy.as_bytes())?);
    let policy = encode(policy.as_bytes());
    Ok(format!("{path}?Policy={policy}&Signature={signature}&Key-Pair-Id=k&Hash-Algorithm=SHA256"))
}

fn table(record: &Record, rounds: usize, lanes: &[Lane], alone: &Alone) -> Result<String> {
    let mut text = format!(
        "{}: {rounds} rounds of {} ms. Microseconds of CPU for each request, minimum / median.\n\n\
         | | without the check | the check adds |\n| --- | --: | --: |\n",
        record.heading()?,
        SLICE.as_millis(),
    );
    let micro = |both: Both| {
        let [least, median] = [both.min, both.median].map(|it| it as f64 / 1000.0);
        format!("{least:.2} / {median:.2}")
    };
    for (kind, sides) in KINDS.iter().zip(lanes.chunks(2)) {
        let [bare, with] = sides else { continue };
        let (without, adds) = (micro(Both::of(&bare.cpu)), micro(with.beyond(bare, 1)));
        writeln!(text, "| {} | {without} | {adds} |", kind.name)?;
    }
    for (how, cpu) in [("between two answers", alone.served()), ("in a loop", alone.looped())] {
        let name = format!("a signature alone, {how}: RSA-2048, SHA-256, AWS-LC");
        writeln!(text, "| {name} | | {} |", micro(cpu))?;
    }
    Ok(text)
}
