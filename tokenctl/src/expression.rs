//! The text that a link's hash is over, as `secure_token_hash` has it.

use anyhow::{Result, bail};
use token::link::Piece;

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expression(Vec<Word>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Text(String),
    Uri,
    Expires,
    Time,
    Secret,
}

/// What comes of variables that only a request has.
const OTHERS: &str = "only $uri, $secure_token_expires, $secure_token_time and $secure_token_key have a value here: \
                      write the value in its place";

impl Expression {
    /// Reads a text. `made` is whether links carry the time at which they were made (`--valid`), in place of their
    /// expiry.
    ///
    /// An error quotes the names of variables only: the text may hold a secret.
    pub(crate) fn parse(text: &str, made: bool) -> Result<Self> {
        let (mut words, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            let (name, next) = name(after)?;
            words.push(Word::Text(before.to_owned()));
            words.push(match name {
                "uri" => Word::Uri,
                "secure_token_expires" => Word::Expires,
                "secure_token_time" => Word::Time,
                "secure_token_key" => Word::Secret,
                other => bail!("${other}: {OTHERS}"),
            });
            rest = next;
        }
        words.push(Word::Text(rest.to_owned()));
        let this = Self(words);
        match (this.has(&Word::Expires), this.has(&Word::Time), made) {
            (true, false, false) | (false, true, true) => Ok(this),
            (_, true, false) => {
                bail!("with $secure_token_time give --valid: for how long a link is valid after it")
            }
            (_, _, false) => bail!("must hold $secure_token_expires, or links would never expire"),
            (true, _, true) => bail!(
                "with --valid links carry the time at which they were made: write $secure_token_time \
                 in place of $secure_token_expires"
            ),
            (false, false, true) => {
                bail!("must hold $secure_token_time, or links would never expire")
            }
        }
    }

    fn has(&self, word: &Word) -> bool {
        self.0.contains(word)
    }

    /// Whether it holds `$secure_token_key`.
    pub(crate) fn holds_secret(&self) -> bool {
        self.has(&Word::Secret)
    }

    /// Its pieces for a path.
    pub(crate) fn pieces<'e>(&'e self, uri: &'e [u8]) -> Vec<Piece<'e>> {
        let piece = |word: &'e Word| match word {
            Word::Text(text) => Piece::Text(text.as_bytes()),
            Word::Uri => Piece::Text(uri),
            Word::Expires | Word::Time => Piece::Time,
            Word::Secret => Piece::Secret,
        };
        self.0.iter().map(piece).collect()
    }
}

/// The name after a `$`, as nginx reads it, and what follows it.
fn name(text: &str) -> Result<(&str, &str)> {
    if let Some(in_braces) = text.strip_prefix('{') {
        return match in_braces.split_once('}') {
            Some(parts) => Ok(parts),
            None => bail!("a ${{ has no }}"),
        };
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let at = text.find(|c| !is_name(c)).unwrap_or(text.len());
    match text.split_at_checked(at) {
        Some((name, rest)) if !name.is_empty() => Ok((name, rest)),
        _ => bail!("a $ has no name of a variable after it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_their_places() {
        let text = "$secure_token_key-${uri}x$secure_token_expires.";
        let parsed = Expression::parse(text, false).unwrap();
        let texts = [Piece::Text(b""), Piece::Secret, Piece::Text(b"-"), Piece::Text(b"/a")];
        let rest = [Piece::Text(b"x"), Piece::Time, Piece::Text(b".")];
        assert_eq!(parsed.pieces(b"/a"), [&texts[..], &rest].concat());
        assert!(parsed.holds_secret());
        let made = Expression::parse("$uri$secure_token_time", true).unwrap();
        assert!(!made.holds_secret());
    }

    #[test]
    fn mistakes_are_told_without_the_text() {
        for (text, made, part) in [
            ("s3cret", false, "$secure_token_expires, or links would never"),
            ("s3cret$uri", true, "$secure_token_time, or links would never"),
            ("s3cret$secure_token_time", false, "give --valid"),
            ("s3cret$secure_token_time$secure_token_expires", false, "give --valid"),
            ("s3cret$secure_token_expires", true, "in place of"),
            ("s3cret$secure_token_time$secure_token_expires", true, "in place of"),
            ("s3cret$remote_addr", false, "$remote_addr: only"),
            ("s3cret$", false, "has no name"),
            ("s3cret$-", false, "has no name"),
            ("s3cret${uri", false, "has no }"),
        ] {
            let said = Expression::parse(text, made).unwrap_err().to_string();
            assert!(said.contains(part) && !said.contains("s3cret"), "{text}: {said}");
        }
    }
}
