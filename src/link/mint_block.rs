//! The block of `secure_token_mint`.

use std::cell::{Cell, RefCell};

use token::link::{FormatName, FormatSettings, LinkAlgorithm, SecretText};

use super::directives::{algorithms, format_words, secrets};
use super::mint::{LinkMint, OrderWords, pattern_characters};
use super::scheme::FormatWords;
use crate::check::{once, option_text};
use crate::live::file::{self, LARGEST_KEY_FILE, Text};
use crate::nginx::{ComplexValue, ConfError, Result, Setting, seconds};

/// How long a link is valid by default, in seconds.
const LIFETIME: i64 = 3600;

/// What is read of the block.
#[derive(Default)]
struct Block {
    format: Option<FormatWords>,
    secrets: Vec<SecretText>,
    accepted: Option<Vec<LinkAlgorithm>>,
    key: Option<(Text, Option<Box<str>>)>,
    lifetime: Option<i64>,
    words: OrderWords,
}

/// `secure_token_mint $variable { ... }`: returns the variable's name and its links.
pub(crate) fn secure_token_mint(setting: &mut Setting<'_>) -> Result<(Box<[u8]>, LinkMint)> {
    let first = setting.first();
    let name: Box<[u8]> = match first.strip_prefix(b"$") {
        Some(name) if !name.is_empty() => name.into(),
        _ => return Err(ConfError::value(first, "must be the name of a variable, such as $link")),
    };
    let block = setting.block(Block::default(), entry)?;
    let Block { format, secrets, accepted, key, lifetime, words } = block;
    if words.path.is_none() {
        return Err(ConfError::mistake("has no path in its block"));
    }
    let options = format.as_ref().map(|words| &*words.options).unwrap_or_default();
    let settings = FormatSettings {
        secrets: &secrets,
        accepted: accepted.as_deref().unwrap_or_default(),
        private_key: key.as_ref().map(|(text, kid)| (&***text, kid.as_deref())),
        options,
        ..FormatSettings::default()
    };
    let format = format.as_ref().map_or_else(FormatName::plain, |words| words.format);
    if secrets.is_empty() && key.is_none() {
        return Err(ConfError::mistake("has neither a secret nor a key in its block"));
    }
    let signer = format.signer(&settings).map_err(|mistake| {
        let line = mistake.directive.strip_prefix("secure_token_").unwrap_or(mistake.directive);
        ConfError::mistake(format!("has a mistake in \"{line}\" of its block: {}", mistake.text))
    })?;
    let mint = LinkMint {
        name: String::from_utf8_lossy(&name).into(),
        signer,
        lifetime: lifetime.unwrap_or(LIFETIME),
        words,
        is_evaluated: Cell::new(false),
        last: RefCell::default(),
    };
    Ok((name, mint))
}

/// Reads a line of the block.
fn entry(block: &mut Block, setting: &Setting<'_>) -> Result {
    let twice = |_| {
        ConfError::mistake(format!(
            "has a second \"{}\" in its block",
            String::from_utf8_lossy(setting.arg(0).unwrap_or_default())
        ))
    };
    let is_one = setting.values().count() == 1;
    match setting.arg(0).unwrap_or_default() {
        b"format" if setting.arg(1).is_some() => {
            once(&mut block.format, format_words(setting)?).map_err(twice)
        }
        b"secret" => {
            block.secrets.extend(secrets(setting)?);
            Ok(())
        }
        b"algorithm" if is_one => once(&mut block.accepted, algorithms(setting)?).map_err(twice),
        b"key" if setting.arg(1).is_some() => once(&mut block.key, key(setting)?).map_err(twice),
        b"lifetime" if is_one => once(&mut block.lifetime, lifetime(setting)?).map_err(twice),
        b"covers" if is_one => {
            block.words.wildcards = pattern_characters(setting.first());
            once(&mut block.words.covers, setting.compile(setting.first())?).map_err(twice)
        }
        name if is_one => match block.words.slot(name) {
            Some(slot) => once(slot, setting.compile(setting.first())?).map_err(twice),
            None => Err(unknown(name)),
        },
        name => Err(unknown(name)),
    }
}

fn unknown(name: &[u8]) -> ConfError {
    ConfError::mistake(format!(
        "wants lines such as \"format NAME;\", \"secret TEXT;\", \"key FILE;\", \"algorithm NAME;\", \"path \
         VALUE;\", \"args VALUE;\", \"origin VALUE;\", \"value VALUE;\", \"covers VALUE;\", \"address VALUE;\", \
         \"id VALUE;\", \"data VALUE;\" and \"lifetime TIME;\" in its block, not \"{}\"",
        name.escape_ascii()
    ))
}

fn lifetime(setting: &Setting<'_>) -> Result<i64> {
    match seconds(setting.first())? {
        0 => Err(ConfError::value(setting.first(), "must be at least a second")),
        seconds => Ok(seconds),
    }
}

/// `key FILE [kid=NAME]`: the text of a private key.
fn key(setting: &Setting<'_>) -> Result<(Text, Option<Box<str>>)> {
    let path = setting.file_path(setting.first())?;
    let shown = String::from_utf8_lossy(&path).into_owned();
    let text = file::read(&path, LARGEST_KEY_FILE)
        .map_err(|error| ConfError::Failed(format!("\"{shown}\": {error}")))?;
    if file::is_readable_by_all(&path) {
        setting.warn(&format!(
            "{shown}: every user of this machine can read this key, and so sign links with it: take that right \
             away (chmod o-r)"
        ));
    }
    let mut kid = None;
    for option in setting.values().skip(1) {
        let name = option.strip_prefix(b"kid=").ok_or_else(|| ConfError::parameter(option))?;
        let name = option_text(option, name)?;
        once(&mut kid, name.into()).map_err(|_| ConfError::value(option, "is a duplicate"))?;
    }
    Ok((text, kid))
}

impl OrderWords {
    /// The value of this name.
    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<ComplexValue>> {
        Some(match name {
            b"path" => &mut self.path,
            b"args" => &mut self.args,
            b"origin" => &mut self.origin,
            b"value" => &mut self.value,
            b"address" => &mut self.address,
            b"id" => &mut self.id,
            b"data" => &mut self.data,
            _ => return None,
        })
    }
}
