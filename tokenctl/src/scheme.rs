//! How links are signed: a format with its options, or a hash over a text.

use anyhow::{Context as _, Result, anyhow, bail};
use token::link::{
    Encoding, FormatName, FormatSettings, Given, HashAlgorithm, HashSettings, Hashed, LinkFormat,
    Mistake, Order, OrderError, SignatureEncoding, TimeFormat, Value, names,
};

use crate::expression::Expression;
use crate::link::LinkText;
use crate::options::LinkNames;
use crate::time;

/// The options that say how links are signed. They are the same to make links and to inspect them.
#[derive(clap::Args)]
pub(crate) struct SchemeArgs {
    /// As secure_token_format: plain (the default), akamai, bunny, cloudfront or google, with its options
    #[arg(long, value_name = "NAME[,OPTION=VALUE...]", conflicts_with = "hash")]
    format: Option<String>,
    /// An option of the format, for values with a comma; repeatable
    #[arg(long, value_name = "NAME=VALUE", requires = "format")]
    option: Vec<String>,
    /// As secure_token_hash, for links that are a hash over a text: md5, sha1, sha256 or sha512, or hmac-
    /// before one of these
    #[arg(long, value_name = "ALGORITHM", requires = "text")]
    hash: Option<String>,
    /// The text that is hashed. It may hold $uri, $secure_token_expires, $secure_token_time and
    /// $secure_token_key; write the values of other variables in their places
    #[arg(long, value_name = "TEXT", requires = "hash", allow_hyphen_values = true)]
    text: Option<String>,
    /// With --hash, what links write the hash in: base64url (the default), base64 or hex. Otherwise the same
    /// as --secret-encoding: text, hex, base64 or base64url
    #[arg(long, value_name = "ENCODING")]
    encoding: Option<String>,
    /// With --hash, what links write the time in: unix (the default), hex, or an offset from UTC and digits,
    /// as +08:00:YYYYMMDDHHMM
    #[arg(long, value_name = "FORM", requires = "hash", allow_hyphen_values = true)]
    time: Option<String>,
    /// With --hash, for links that carry the time at which they were made: how long they are then valid
    #[arg(long, value_name = "TIME", requires = "hash", value_parser = time::positive_duration)]
    valid: Option<i64>,
    /// The name of the secret or key, for formats whose links say it
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) kid: Option<String>,
    #[command(flatten)]
    pub(crate) names: LinkNames,
    /// What the link must cover, as secure_token_value makes it. Default: the path, percent-decoded; in
    /// formats that sign whole URLs, scheme, host and path
    #[arg(long, value_name = "STRING", allow_hyphen_values = true, conflicts_with = "hash")]
    value: Option<String>,
    /// Scheme and host, for formats that sign whole URLs. Default: those of the link in lower case and without
    /// a port, as nginx has them
    #[arg(long, value_name = "https://HOST", conflicts_with_all = ["hash", "value"])]
    origin: Option<String>,
}

/// How links are signed.
pub(crate) enum Scheme {
    Format(FormatName, Vec<(Box<str>, Box<str>)>),
    Hash(HashSettings, Expression),
}

impl SchemeArgs {
    /// Whether it is said how links are signed.
    pub(crate) fn is_given(&self) -> bool {
        self.format.is_some() || self.hash.is_some()
    }

    /// Whether any option is there that only links have. The names of arguments have defaults.
    pub(crate) fn is_any(&self) -> bool {
        let Self { encoding, kid, value, origin, .. } = self;
        self.is_given() || [encoding, kid, value, origin].iter().any(|option| option.is_some())
    }

    /// How links are signed.
    pub(crate) fn scheme(&self) -> Result<Scheme> {
        match &self.hash {
            Some(name) => self.hash(name),
            None => self.format(),
        }
    }

    /// What the secret is written in, if it is said here.
    pub(crate) fn secret_encoding(&self) -> Result<Option<Encoding>> {
        let Some(name) = self.encoding.as_deref().filter(|_| self.hash.is_none()) else {
            return Ok(None);
        };
        let encoding = Encoding::from_name(name.as_bytes());
        encoding.map(Some).context("--encoding: want text, hex, base64 or base64url")
    }

    fn format(&self) -> Result<Scheme> {
        let given = self.format.as_deref().unwrap_or("plain");
        let mut words = given.split(',');
        let name = words.next().unwrap_or_default();
        let format = FormatName::find(name.as_bytes());
        let format = format.with_context(|| format!("--format: want one of {}", names()))?;
        let option = |text: &str| match text.split_once('=') {
            Some((name, value)) => Ok((name.into(), value.into())),
            None => {
                bail!("--format: an option is written NAME=VALUE, with --option if it has a comma")
            }
        };
        let options = words.chain(self.option.iter().map(String::as_str)).map(option);
        Ok(Scheme::Format(format, options.collect::<Result<_>>()?))
    }

    fn hash(&self, name: &str) -> Result<Scheme> {
        let algorithm = HashAlgorithm::from_name(name.as_bytes()).with_context(|| {
            format!(
                "--hash: want one of {}",
                HashAlgorithm::ALL.map(HashAlgorithm::name).join(", ")
            )
        })?;
        let encoding = match self.encoding.as_deref() {
            None => SignatureEncoding::default(),
            Some(name) => SignatureEncoding::from_name(name.as_bytes())
                .context("--encoding: of a hash, want base64url, base64 or hex")?,
        };
        let time = match self.time.as_deref() {
            None => TimeFormat::Unix,
            Some(name) => TimeFormat::from_name(name).context(
                "--time: want unix, hex, or an offset from UTC and the digits, such as \
                 +08:00:YYYYMMDDHHMM or UTC:YYYYMMDDHHMM",
            )?,
        };
        let text = self.text.as_deref().unwrap_or_default();
        let text = Expression::parse(text, self.valid.is_some()).context("--text")?;
        let holds_secret = text.holds_secret();
        if holds_secret && algorithm.is_keyed() {
            bail!("--text: an HMAC has the secret as its key: leave $secure_token_key out");
        }
        if self.valid == Some(0) {
            bail!("--valid: must be at least a second");
        }
        let valid = self.valid;
        Ok(Scheme::Hash(HashSettings { algorithm, encoding, time, valid, holds_secret }, text))
    }

    /// What a link must cover in a format that by default covers `default`; `None` if it has no host and the
    /// format wants one.
    pub(crate) fn value(&self, link: &LinkText<'_>, default: Value) -> Result<Option<Vec<u8>>> {
        if let Some(value) = &self.value {
            return Ok(Some(value.clone().into_bytes()));
        }
        let uri = link.uri()?;
        Ok(match default {
            Value::Path => Some(uri),
            Value::Address => self.origin(link)?.map(|origin| [origin.as_bytes(), &uri].concat()),
        })
    }

    /// Scheme and host.
    pub(crate) fn origin(&self, link: &LinkText<'_>) -> Result<Option<String>> {
        let Some(given) = &self.origin else { return Ok(link.scheme_and_host()) };
        match LinkText::parse(given) {
            Ok(LinkText { origin, .. }) if !origin.is_empty() && origin == given => {
                Ok(Some(given.clone()))
            }
            _ => bail!("--origin: want scheme and host, such as https://cdn.example.com"),
        }
    }
}

impl Scheme {
    /// What judges links.
    pub(crate) fn judge(&self, settings: &FormatSettings<'_>) -> Result<Box<dyn LinkFormat>> {
        let made = match self {
            Self::Format(format, options) => format.make(&FormatSettings { options, ..*settings }),
            Self::Hash(hash, _) => Hashed::new(*hash, settings).map(|it| Box::new(it) as _),
        };
        made.map_err(|mistake| told(&mistake))
    }

    /// Whether links are vouched for by a secret or key that is given beside the text.
    pub(crate) fn needs_secret(&self) -> bool {
        match self {
            Self::Format(..) => true,
            Self::Hash(hash, _) => hash.uses_secrets(),
        }
    }

    /// Whether links carry the time at which they were made.
    pub(crate) fn carries_time_made(&self) -> bool {
        matches!(self, Self::Hash(HashSettings { valid: Some(_), .. }, _))
    }

    /// The arguments that make the order's path, which is `uri` decoded, a link; or the cookies, if they are wanted.
    pub(crate) fn sign(
        &self,
        settings: &FormatSettings<'_>,
        order: &Order<'_>,
        uri: &[u8],
        cookies: bool,
    ) -> Result<Vec<(String, String)>> {
        let owned = |made: Vec<(&str, String)>| {
            made.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        match self {
            Self::Format(format, options) => {
                let settings = FormatSettings { options, ..*settings };
                let signer = format.signer(&settings).map_err(|mistake| told(&mistake))?;
                let made = if cookies { signer.cookies(order) } else { signer.sign(order) };
                made.map(owned).map_err(|error| refused(error, order))
            }
            Self::Hash(..) if cookies => bail!("--cookie: a hash over a text has no cookies"),
            Self::Hash(hash, text) => {
                order.has_only(&[]).map_err(|error| refused(error, order))?;
                let hashed = Hashed::new(*hash, settings).map_err(|mistake| told(&mistake))?;
                let pieces = text.pieces(uri);
                let request = Given { expression: &pieces, ..Given::new(uri) };
                let values = hashed.values(&request, order.expires);
                let (signature, time) = values.map_err(|error| refused(error, order))?;
                Ok(owned(vec![("signature", signature), ("time", time)]))
            }
        }
    }
}

/// A mistake in a format's settings, in the words of the command line.
fn told(mistake: &Mistake) -> anyhow::Error {
    const WORDS: [(&str, &str); 8] = [
        ("name a secure_token_secret, here or on a level above", "give --secret or --secret-file"),
        ("with encoding=", "with --encoding"),
        ("with kid=", "with --kid"),
        ("(kid=)", "(--kid)"),
        ("number 1: ", ""),
        ("number 1 ", ""),
        ("a secure_token_secret", "--secret"),
        ("secure_token_keys", "--keys"),
    ];
    let option = match mistake.directive {
        "secure_token_secret" => "--secret",
        "secure_token_keys" => "--keys",
        "secure_token_algorithm" => "--alg",
        "secure_token_hash" => "--hash",
        "secure_token_mint" => "--key",
        _ => "--format",
    };
    let said = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    anyhow!("{option}: {}", WORDS.iter().fold(mistake.text.clone(), said))
}

/// Why a link cannot be made, with the option that is at fault.
fn refused(error: OrderError, order: &Order<'_>) -> anyhow::Error {
    match error {
        OrderError::Unsupported(name) => anyhow!("--{name}: {error}; leave it out"),
        OrderError::Missing(name @ ("address" | "covers")) => anyhow!("--{name}: {error}"),
        OrderError::Missing(_) if order.origin.is_empty() => {
            anyhow!("{error}: give a whole URL, or --origin https://HOST")
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No message speaks of a directive, nor of one's options.
    #[test]
    fn mistakes_are_told_in_the_words_of_the_command_line() {
        let secret = |text: &str| token::link::SecretText {
            text: Box::<[u8]>::from(text.as_bytes()).into(),
            encoding: Some(Encoding::Hex),
            kid: None,
        };
        let odd = [("odd".into(), "1".into())];
        let (none, bad, good) = ([], [secret("s3cret")], [secret("1234")]);
        for format in FormatName::all() {
            for secrets in [&none[..], &bad, &good] {
                for options in [&[][..], &odd] {
                    let settings = FormatSettings { secrets, options, ..Default::default() };
                    let made = format.make(&settings).map(drop);
                    let signer = format.signer(&settings).map(drop);
                    for mistake in [made.err(), signer.err()].into_iter().flatten() {
                        let said = told(&mistake).to_string();
                        assert!(said.starts_with("--"), "{said}");
                        for word in ["secure_token", "encoding=", "kid=", "s3cret"] {
                            let said = said.replace("--encoding", "").replace("--kid", "");
                            assert!(!said.contains(word), "{said}");
                        }
                    }
                }
            }
        }
    }
}
