//! `tokenctl status-list`: mint a Status List Token (draft-ietf-oauth-status-list).

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use miniz_oxide::deflate::compress_to_vec_zlib;
use token::sign::{Json, Members};
use token::status::MAX_INFLATED;
use token::{Algorithm, base64url};

use crate::key_file;
use crate::options::algorithm;
use crate::output;
use crate::secret::SecretArgs;
use crate::time::{self, Moment};

const EXAMPLES: &str = "\
Examples:
  tokenctl status-list --key key.pem --kid 2026-01 --sub https://login.example/lists/1 --set 5 --set 17
  tokenctl status-list --key key.pem --sub https://login.example/lists/1 --bits 2 --size 1000 --set 5=2 --ttl 60s
  tokenctl jwt --key key.pem --claim 'status={\"status_list\":{\"uri\":\"https://login.example/lists/1\",\"idx\":5}}'

The last command mints a token whose status is in the list. 0 is valid, 1 revoked, 2 suspended; other
values have no meaning here, and such a token is refused.";

/// Mint a Status List Token, which says which tokens are revoked, and print it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As in tokenctl jwt. Default: what goes with the key
    #[arg(long, value_parser = algorithm)]
    alg: Option<Algorithm>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The private key: PEM, a JWK, or a JWK Set of which --kid is taken
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "secret_file"])]
    key: Option<PathBuf>,
    /// The header's kid; default: that of the JWK, or none
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
    /// Claim sub: the URI of the list, as it is in the tokens' status.status_list.uri
    #[arg(long, value_name = "URI")]
    sub: String,
    /// Bits for each status: 1, 2, 4 or 8
    #[arg(long, default_value = "1", value_parser = bits)]
    bits: u8,
    /// How many statuses there are; the last byte is filled up
    #[arg(long, value_name = "COUNT", default_value = "1048576")]
    size: usize,
    /// The status of a token; repeatable. Without a value it is 1: revoked
    #[arg(long, value_name = "INDEX[=VALUE]", value_parser = entry)]
    set: Vec<(usize, u8)>,
    /// Claim ttl: how long the list may be kept before it is fetched again, such as 60s or 5m
    #[arg(long, value_name = "TIME", value_parser = time::positive_duration)]
    ttl: Option<i64>,
    /// Claim exp: Unix time, RFC 3339 or a time from now. Default: none
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, allow_hyphen_values = true)]
    exp: Option<Moment>,
    /// Claim iat: Unix time, RFC 3339 or a time from now
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, allow_hyphen_values = true,
        default_value = "now")]
    iat: Moment,
}

/// zlib's best compression, which the draft recommends.
const BEST: u8 = 9;

/// Mints and prints.
pub(crate) fn run(args: &Args, now: i64) -> Result<ExitCode> {
    let file = key_file::signing(args.key.as_deref(), &args.secret, args.kid.as_deref())?;
    let algorithm = key_file::algorithm(&file, args.alg);
    let claims = claims(args, now)?;
    let mut header = Members::default();
    header.set("alg", Json::string(algorithm.name()));
    header.set("typ", Json::string("statuslist+jwt"));
    if let Some(kid) = args.kid.as_ref().or(file.kid.as_ref()) {
        header.set("kid", Json::string(kid));
    }
    let token = key_file::sign(&file, algorithm, &header, &claims)?;
    output::print(&format!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn claims(args: &Args, now: i64) -> Result<Members> {
    if args.ttl == Some(0) {
        bail!("--ttl is 0; it must be positive, or left out");
    }
    let deflated = compress_to_vec_zlib(&statuses(args)?, BEST);
    let mut list = Members::default();
    list.set("bits", Json::integer(args.bits.into()));
    list.set("lst", Json::string(&base64url::encode(deflated)));
    let mut claims = Members::default();
    claims.set("sub", Json::string(&args.sub));
    claims.set("iat", Json::integer(args.iat.resolve(now)));
    if let Some(exp) = args.exp {
        claims.set("exp", Json::integer(exp.resolve(now)));
    }
    if let Some(ttl) = args.ttl {
        claims.set("ttl", Json::integer(ttl));
    }
    claims.set("status_list", Json::read(&list.to_string())?);
    Ok(claims)
}

/// The bytes of the list (section 4.1 of the draft).
fn statuses(args: &Args) -> Result<Vec<u8>> {
    let bits = usize::from(args.bits);
    let len = args.size.checked_mul(bits).map(|all| all.div_ceil(8));
    let Some(len) = len.filter(|len| *len <= MAX_INFLATED) else {
        bail!("--size: at most {} statuses of {bits} bits", MAX_INFLATED * 8 / bits);
    };
    let mut bytes = vec![0_u8; len];
    let largest = u8::MAX >> (8 - args.bits);
    for (i, (index, value)) in args.set.iter().enumerate() {
        if *value > largest {
            bail!("--set {index}={value}: --bits {bits} has room for 0 to {largest}");
        }
        if args.set.iter().take(i).any(|(before, _)| before == index) {
            bail!("--set {index} is given twice");
        }
        let at = index.checked_mul(bits).filter(|_| *index < args.size);
        let Some((at, byte)) = at.and_then(|at| Some((at, bytes.get_mut(at / 8)?))) else {
            bail!("--set {index}: --size {} has 0 to {}", args.size, args.size.saturating_sub(1));
        };
        *byte |= value << (at % 8);
    }
    Ok(bytes)
}

fn bits(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "2" => Ok(2),
        "4" => Ok(4),
        "8" => Ok(8),
        _ => Err("want 1, 2, 4 or 8".to_owned()),
    }
}

fn entry(text: &str) -> Result<(usize, u8), String> {
    let (index, value) = text.split_once('=').unwrap_or((text, "1"));
    let read = index.parse().ok().zip(value.parse().ok());
    read.ok_or_else(|| {
        "want INDEX or INDEX=VALUE, such as 5 or 5=2; a value is 0 to 255".to_owned()
    })
}
