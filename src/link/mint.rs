//! `secure_token_mint $variable { ... }`: a link that nginx makes, for redirects and pages.

use std::cell::{Cell, RefCell};

use token::credential;
use token::link::{LinkSigner, Order, address};

use crate::nginx::{ComplexValue, Request};

/// A variable with links.
pub(crate) struct LinkMint {
    pub(super) name: Box<str>,
    pub(super) signer: Box<dyn LinkSigner>,
    /// How long a link is valid, in seconds.
    pub(super) lifetime: i64,
    pub(super) words: OrderWords,
    /// Whether it is being evaluated: one of its values may lead back to it.
    pub(super) is_evaluated: Cell<bool>,
    /// The last link, and what it was made of: nginx reads a variable twice.
    pub(super) last: RefCell<Option<(Vec<Option<String>>, String)>>,
}

/// The values of a link that is to be made.
#[derive(Default)]
pub(super) struct OrderWords {
    pub(super) path: Option<ComplexValue>,
    pub(super) args: Option<ComplexValue>,
    pub(super) origin: Option<ComplexValue>,
    pub(super) value: Option<ComplexValue>,
    pub(super) covers: Option<ComplexValue>,
    /// How many characters of patterns the configuration has in `covers`: values of variables add none.
    pub(super) wildcards: usize,
    pub(super) address: Option<ComplexValue>,
    pub(super) id: Option<ComplexValue>,
    pub(super) data: Option<ComplexValue>,
}

/// Ends an evaluation when it is dropped.
struct Evaluated<'m>(&'m Cell<bool>);

impl Drop for Evaluated<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl LinkMint {
    /// The link for this request at `now`, in seconds since the epoch: path and query. `None` if it cannot be
    /// made, and the log says why.
    pub(crate) fn link(&self, request: Request<'_>, now: i64) -> Option<Vec<u8>> {
        let made = self.made(request, now);
        if let Err(why) = &made {
            let name = self.name.escape_debug();
            request.log_error(format_args!("secure_token_mint: ${name} is empty: {why}"));
        }
        made.ok().map(String::into_bytes)
    }

    fn made(&self, request: Request<'_>, now: i64) -> Result<String, String> {
        if self.is_evaluated.replace(true) {
            return Err("one of its values depends on it".to_owned());
        }
        let evaluated = Evaluated(&self.is_evaluated);
        let texts = self.words.texts(request)?;
        drop(evaluated);
        let expires = now.saturating_add(self.lifetime);
        let material: Vec<_> = texts.iter().cloned().chain([Some(expires.to_string())]).collect();
        if let Some((of, link)) = &*self.last.borrow()
            && *of == material
        {
            return Ok(link.clone());
        }
        let link = self.sign(&texts, expires)?;
        self.last.replace(Some((material, link.clone())));
        Ok(link)
    }

    fn sign(&self, texts: &[Option<String>; 8], expires: i64) -> Result<String, String> {
        let [path, args, origin, value, covers, addr, id, data] =
            texts.each_ref().map(Option::as_deref);
        let path = path
            .filter(|path| path.starts_with('/'))
            .ok_or("its path does not begin with \"/\"")?;
        if path.starts_with("//") {
            return Err("its path begins with \"//\": clients read a host after it".to_owned());
        }
        let encoded = String::from_utf8(address::encode_path(path.as_bytes()).into_owned());
        let encoded = encoded.map_err(|_| "its path cannot be encoded")?;
        let query = args.unwrap_or_default();
        let order = Order {
            origin: origin.unwrap_or_default(),
            path: &encoded,
            value: value.map(str::as_bytes),
            query,
            expires,
            starts: None,
            covers,
            address: addr,
            id,
            data,
        };
        let arguments = self.signer.sign(&order).map_err(|error| error.to_string())?;
        let names = arguments.iter().map(|(name, _)| name.as_bytes());
        if credential::without_arguments(query.as_bytes(), names).is_some() {
            return Err("its args have an argument of a link already".to_owned());
        }
        let mut link = format!("{encoded}?{query}");
        for (name, value) in arguments {
            if !link.ends_with('?') {
                link.push('&');
            }
            link.extend([name, "=", &value]);
        }
        Ok(link)
    }
}

/// How many characters of a text mean something in patterns of any format.
pub(super) fn pattern_characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| b"*?!%,".contains(byte)).count()
}

impl OrderWords {
    /// The values; `None` for one that is not configured or empty.
    fn texts(&self, request: Request<'_>) -> Result<[Option<String>; 8], String> {
        // No `..`, so that each has its place.
        let Self { path, args, origin, value, covers, address, id, data, wildcards } = self;
        let mut texts = [const { None }; 8];
        let values = [path, args, origin, value, covers, address, id, data];
        for (text, value) in texts.iter_mut().zip(values) {
            let Some(value) = value else { continue };
            let bytes = request.evaluate(value).ok_or("a value cannot be evaluated")?;
            let found = core::str::from_utf8(bytes).map_err(|_| "a value is not UTF-8")?;
            *text = (!found.is_empty()).then(|| found.to_owned());
        }
        let [_, args, _, _, covers, ..] = &texts;
        if covers.as_ref().is_some_and(|covers| pattern_characters(covers.as_bytes()) > *wildcards)
        {
            return Err("a variable in its covers holds one of * ? ! % and comma".to_owned());
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\".contains(&byte);
        if args.as_ref().is_some_and(|args| !args.bytes().all(is_plain)) {
            return Err("its args hold what a query cannot".to_owned());
        }
        Ok(texts)
    }
}
