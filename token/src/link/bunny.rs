//! Bunny's token authentication, in the form with HMAC-SHA256: the arguments `token` and `expires`, and all
//! others that are signed with them.
//!
//! `token` is `HS256-` or `HS256-1-`, then base64url of the HMAC over path, `expires`, address and parameters, one
//! after the other. The path is `token_path` if there is one, else that of the URL. The address is there if `1-`
//! says so: four bytes, or sixteen of which the last eight are zero. The parameters are all other arguments,
//! decoded and sorted, as `name=value` with `&` between; if `token_ignore_params` is `true`, only this one and
//! `token_path`. The facts are those of Bunny's generators (BunnyCDN.TokenAuthentication).
//!
//! Nothing separates the parts of what is signed, so this format is only as good as its checks: `expires` has ten
//! digits, names are of visible ASCII without `=`, and no parameter holds an `&`. What is left: with an address
//! whose four bytes are all visible ASCII, whoever has the link can pass it on as one without an address and with
//! another parameter. `secure_token_format bunny address=required` rules that out.

mod arguments;
mod path;

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

use self::arguments::{Arguments, COUNTRIES};
use super::address;
use super::algorithm::LinkAlgorithm;
use super::expiry::TimeFormat;
use super::format::{Denied, FormatSettings, Granted, LinkFormat, Mistake};
use super::mac::{Hash, HashAlgorithm, Hasher};
use super::order::{LinkSigner, Order, OrderError};
use super::part::{Meaning, Part};
use super::request::{Carrier, LinkRequest};
use super::secret::Encoding;
use crate::base64url;
use crate::credential::Found;
use crate::reject::Reject;

/// The most bytes of a query or text with a link.
const LONGEST: usize = 4096;

/// The secrets of Bunny's links, and what is required of them.
#[derive(Debug)]
pub(super) struct Bunny {
    hashers: Box<[Hasher]>,
    /// Whether every link must name an address.
    needs_address: bool,
}

/// The argument `token`.
struct Token {
    mac: [u8; 32],
    has_address: bool,
}

impl Token {
    fn read(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(b"HS256-")?;
        // The length tells a flag from a MAC that begins in the same way.
        let (has_address, encoded) = match rest.strip_prefix(b"1-") {
            Some(encoded) if rest.len() == 45 => (true, encoded),
            _ => (false, rest),
        };
        let mut mac = [0; 32];
        base64url::decode_exact(encoded, &mut mac).then_some(Self { mac, has_address })
    }
}

/// What a link says, and what is signed of it, but for the URL's path.
struct Link<'l> {
    token: Token,
    expires: &'l [u8],
    until: i64,
    /// The bytes of the client's address; none if the link names none.
    address: Vec<u8>,
    token_path: Option<&'l [u8]>,
    params: Vec<u8>,
    names_countries: bool,
}

impl<'l> Link<'l> {
    fn read(arguments: &'l Arguments<'_>, request: &dyn LinkRequest) -> Result<Self, Denied> {
        arguments.check().map_err(Denied::malformed)?;
        let token = arguments.get(b"token").filter(|text| !text.is_empty());
        let token = Token::read(token.ok_or(Reject::Missing)?)
            .ok_or_else(|| Denied::malformed("token is not HS256- and a hash"))?;
        let expires = arguments.get(b"expires");
        let expires = expires.ok_or_else(|| Denied::malformed("it has no expires"))?;
        let until = TimeFormat::Unix.parse(expires);
        let until = until.ok_or_else(|| Denied::malformed("expires has not ten digits"))?;
        let address = match (token.has_address, request.client()) {
            (false, _) => Vec::new(),
            (true, Some(client)) => signed_address(client),
            (true, None) => return Err(Reject::BadAddress.into()),
        };
        let token_path = arguments.get(b"token_path");
        if token_path.is_some_and(|path| !path.starts_with(b"/")) {
            return Err(Denied::malformed("token_path does not begin with /"));
        }
        let names_countries = COUNTRIES.iter().any(|name| arguments.get(name).is_some());
        Ok(Self {
            token,
            expires,
            until,
            address,
            token_path,
            params: arguments.signed(),
            names_countries: names_countries && !arguments.are_ignored(),
        })
    }

    fn hash(&self, hasher: &Hasher, path: &[u8]) -> Hash {
        hasher.hash(&[path, self.expires, &self.address, &self.params])
    }
}

/// The bytes of an address as they are signed: of IPv6 the first half only. An IPv4 address within IPv6 counts as
/// IPv4.
fn signed_address(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => {
            let network = address.octets().into_iter().take(8);
            network.chain([0; 8]).collect()
        }
    }
}

/// Whether `token_path` covers a path, decoded and normalised. It may be percent-encoded as in URLs, or not.
fn covers(token_path: &[u8], path: &[u8]) -> bool {
    let begins = path::begins(path, token_path)
        || token_path.contains(&b'%') && path::begins(&address::encode_path(path), token_path);
    begins && address::is_settled(path)
}

impl Bunny {
    /// Takes what the directives say. Secrets are text, unless they say something else.
    ///
    /// # Errors
    /// There is no secret or it cannot be read, or an algorithm or option is not of this format.
    pub(super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        let mistake = |text| Mistake::new("secure_token_format", text);
        settings.only_options(&["address"])?;
        settings.algorithms(&[LinkAlgorithm::HmacSha256])?;
        let needs_address = match settings.option("address") {
            None => false,
            Some("required") => true,
            Some(_) => return Err(mistake("the only value of \"address=\" is \"required\"")),
        };
        let secrets = settings.secrets(Encoding::Text)?;
        let hasher = |secret| Hasher::new(HashAlgorithm::HmacSha256, secret);
        let hashers: Box<[_]> = secrets.iter().filter_map(hasher).collect();
        if hashers.is_empty() {
            return Err(mistake(
                "\"bunny\" has no secret: name a secure_token_secret, here or on a level above",
            ));
        }
        Ok(Self { hashers, needs_address })
    }

    /// Judges a link whose arguments have been read, for this path.
    fn judge_arguments(
        &self,
        arguments: &Arguments<'_>,
        path: &[u8],
        request: &dyn LinkRequest,
        now: i64,
    ) -> Result<Granted, Denied> {
        let link = Link::read(arguments, request)?;
        let holds = |path: &[u8]| {
            let is_it = |hasher: &Hasher| link.hash(hasher, path).is(&link.token.mac);
            self.hashers.iter().any(is_it)
        };
        let held = match link.token_path {
            Some(token_path) => holds(token_path),
            // Generators take the path as it stands in the URL that they are given.
            None => address::spellings(path).any(|path| holds(&path)),
        };
        if !held {
            return Err(Reject::BadSignature.into());
        }
        // Encoded, so that it fits into a header.
        let acl = link.token_path.map(|path| Rc::from(&*address::encode_path(path)));
        let granted = Granted { acl, ..Granted::until(link.until) }.unless_expired(now)?;
        if self.needs_address && !link.token.has_address {
            return Err(granted.but(Reject::BadAddress, "it names no address"));
        }
        if link.names_countries {
            return Err(granted.but(Reject::NotCovered, "it names countries: nobody checks them"));
        }
        if !link.token_path.is_none_or(|token_path| covers(token_path, path)) {
            return Err(granted.but(Reject::NotCovered, "token_path does not match it"));
        }
        Ok(granted)
    }

    /// Judges the arguments in the query, or those before the path.
    fn judge_url(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied> {
        let value = request.value()?;
        match request.argument(b"token").or_absent() {
            Found::Absent if !path::has_link(&value) => return Err(Reject::Missing.into()),
            Found::Unusable => return Err(Denied::malformed("programs read token differently")),
            Found::Absent | Found::One(_) => {}
        }
        let query = request.query();
        let query = query.ok_or_else(|| Denied::malformed("programs read another query"))?;
        if query.len() > LONGEST {
            return Err(Denied::malformed("the query has more than 4096 bytes"));
        }
        let mut arguments = Arguments::default();
        arguments.read(query).map_err(Denied::malformed)?;
        if !path::has_link(&value) {
            return self.judge_arguments(&arguments, &value, request, now);
        }
        if value.len() > 2 * LONGEST {
            return Err(Denied::malformed("the path has more than 8192 bytes"));
        }
        let mut denied = Denied::from(Reject::Malformed);
        for (in_path, path) in path::read(&value).map_err(Denied::malformed)? {
            let all = arguments.with(in_path).map_err(Denied::malformed)?;
            match self.judge_arguments(&all, path, request, now) {
                Err(Denied::Refused(refused)) if refused.granted.is_none() => {
                    denied = Denied::Refused(refused);
                }
                verdict => return verdict,
            }
        }
        Err(denied)
    }

    /// Judges a text with all arguments.
    fn judge_text(
        &self,
        text: &[u8],
        request: &dyn LinkRequest,
        now: i64,
    ) -> Result<Granted, Denied> {
        let text = text.strip_prefix(b"bcdn_").unwrap_or(text);
        let mut arguments = Arguments::default();
        arguments.read(text).map_err(Denied::malformed)?;
        self.judge_arguments(&arguments, &request.value()?, request, now)
    }
}

impl LinkFormat for Bunny {
    /// Those that are Bunny's own. `limit`, which slows down a download at Bunny, stays for whoever reads it.
    fn arguments(&self) -> &[&str] {
        &arguments::OWN
    }

    /// The arguments are looked for in the query; then before the path, if that begins with `/bcdn_token=`, together
    /// with those of the query; or they are the text of a configured source, alone. They are judged there as they
    /// came, and, if the text itself was an argument of the query, decoded once instead.
    ///
    /// The expiry is looked at first, then countries and `token_path`. Links with `token_countries` or
    /// `token_countries_blocked` are refused: nothing here knows a client's country, and to ignore the restriction
    /// would lift it. Another address than the signed one is a wrong signature.
    fn judge(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied> {
        let text = match request.text()? {
            None => return self.judge_url(request, now),
            Some(Found::One(text)) => text,
            Some(Found::Unusable) => return Err(Reject::Malformed.into()),
            Some(Found::Absent) => return Err(Reject::Missing.into()),
        };
        if text.len() > LONGEST {
            return Err(Denied::malformed("it has more than 4096 bytes"));
        }
        match request.carrier() {
            // An argument holds no `&`: it was encoded once more, or it is no link.
            Carrier::Query => self.judge_text(&address::decode(text), request, now),
            Carrier::Other => self.judge_text(text, request, now),
        }
    }

    /// Of arguments before the path, which may be meant in several ways, the first way is shown.
    fn parts(&self, request: &dyn LinkRequest) -> Vec<Part> {
        let (Ok(text), Ok(value)) = (request.text(), request.value()) else { return Vec::new() };
        let decoded = match (text, request.carrier()) {
            (Some(Found::One(text)), Carrier::Query) => address::decode(text),
            (Some(Found::One(text)), Carrier::Other) => Cow::Borrowed(text),
            _ => Cow::Borrowed(request.query().unwrap_or_default()),
        };
        let of_text = decoded.strip_prefix(b"bcdn_").unwrap_or(&decoded);
        let in_path = match text {
            None if path::has_link(&value) => path::read(&value).ok(),
            _ => None,
        };
        let first = in_path.and_then(|ways| ways.into_iter().next());
        let (in_path, file) = first.unwrap_or_else(|| (Vec::new(), &value));
        let mut arguments = Arguments::default();
        // What cannot be read is told by the verdict; what was read before it is shown.
        let all = match arguments.read(of_text).and_then(|()| arguments.with(in_path)) {
            Ok(all) => all,
            Err(_) => arguments,
        };
        let part = |name: &[u8], text: &[u8]| match all.count(name) {
            1 => Part::new(name, text, meaning(name, text, &all, file, request.client())),
            _ => Part::new(name, text, Meaning::Unusable),
        };
        all.iter().map(|(name, text)| part(name, text)).collect()
    }
}

/// What an argument means that is there once.
fn meaning(
    name: &[u8],
    text: &[u8],
    all: &Arguments<'_>,
    path: &[u8],
    client: Option<IpAddr>,
) -> Meaning {
    Meaning::words(match name {
        b"token" => match (Token::read(text).map(|token| token.has_address), client) {
            (None, _) => "must be HS256- or HS256-1-, then 43 characters of base64url",
            (Some(false), _) => "hmac-sha256",
            (Some(true), Some(_)) => "hmac-sha256, also over the client's address",
            (Some(true), None) => "hmac-sha256, also over the client's address, which is not known",
        },
        b"expires" => {
            let no_time = "is no time: it must be ten digits, the first of them not 0";
            return Meaning::time("", TimeFormat::Unix.parse(text), no_time);
        }
        b"token_path" if covers(text, path) => "covers it",
        b"token_path" => "does not cover it",
        b"token_ignore_params" if all.are_ignored() => "other arguments are not signed",
        name if COUNTRIES.contains(&name) => "nobody here checks countries: it is refused",
        _ if all.are_ignored() => "is not signed",
        _ => "is signed with it",
    })
}

impl LinkSigner for Bunny {
    /// The arguments `token`, `token_path` if the order says what it covers, and `expires`. The order's own query is
    /// signed with them; `token_ignore_params=true` may be in it.
    fn sign(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        order.has_only(&["covers", "address"])?;
        let invalid = |text: &str| OrderError::Invalid(text.to_owned());
        let hasher = self.hashers.first().ok_or_else(|| invalid("there is no secret"))?;
        let expires = TimeFormat::Unix.write(order.expires);
        let expires = expires.ok_or_else(|| invalid("the expiry has not ten digits"))?;
        let decoded = address::decode(order.path.as_bytes());
        let value = order.value.unwrap_or(&decoded);
        let url_path = address::encode_address(value);
        let address = match order.address.map(str::parse::<IpAddr>) {
            None if self.needs_address => return Err(OrderError::Missing("address")),
            None => Vec::new(),
            Some(address) => signed_address(address.map_err(|_| invalid("it is no address"))?),
        };
        let path = match order.covers {
            Some(covered) if !covers(covered.as_bytes(), value) => {
                return Err(invalid("what it is to cover is no prefix of its own path"));
            }
            Some(covered) => covered.as_bytes(),
            None if is_ambiguous(&url_path) => {
                return Err(invalid(
                    "the path has ten digits and then a \"=\": a link for it could \
                                    be read as one for another path",
                ));
            }
            None => &url_path,
        };
        let mut arguments = Arguments::default();
        arguments.read(order.query.as_bytes()).map_err(invalid)?;
        arguments.has_none_of_ours().map_err(invalid)?;
        if let Some(covered) = order.covers {
            arguments.add(b"token_path", covered.as_bytes()).map_err(invalid)?;
        }
        arguments.check().map_err(invalid)?;
        let parts = [path, expires.as_bytes(), &address, &arguments.signed()];
        let flag = if address.is_empty() { "" } else { "1-" };
        let mac = base64url::encode(hasher.hash(&parts).bytes());
        let mut made = vec![("token", format!("HS256-{flag}{mac}"))];
        made.extend(
            order.covers.map(|it| ("token_path", address::encode_component(it.as_bytes()))),
        );
        made.push(("expires", expires));
        Ok(made)
    }
}

/// Whether what is signed for this path could be read as a shorter path, an expiry, and parameters.
fn is_ambiguous(path: &[u8]) -> bool {
    let digits = path.windows(10).position(|ten| ten.iter().all(u8::is_ascii_digit));
    digits.and_then(|at| path.get(at + 10..)).is_some_and(|rest| rest.contains(&b'='))
}
