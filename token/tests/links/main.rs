//! Signed links as vendors make them, judged through the table of formats.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod akamai;
mod bunny;
mod given;
mod made;
#[path = "../common/property.rs"]
mod property;

use token::Reject;
use token::link::{
    Denied, Encoding, FormatName, FormatSettings, Granted, LinkAlgorithm, LinkFormat, LinkRequest,
    LinkSigner, SecretText,
};

/// What a format is made from: secrets, algorithms, options.
#[derive(Clone, Default)]
struct Made {
    secrets: Vec<SecretText>,
    accepted: Vec<LinkAlgorithm>,
    options: Vec<(Box<str>, Box<str>)>,
}

impl Made {
    fn with(secrets: &[&str]) -> Self {
        Self { secrets: secrets.iter().map(|it| secret(it, None)).collect(), ..Self::default() }
    }

    fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }

    fn accepting(mut self, accepted: &[LinkAlgorithm]) -> Self {
        self.accepted = accepted.to_vec();
        self
    }

    fn settings(&self) -> FormatSettings<'_> {
        FormatSettings {
            secrets: &self.secrets,
            accepted: &self.accepted,
            options: &self.options,
            ..FormatSettings::default()
        }
    }

    fn format(&self, name: &str) -> Box<dyn LinkFormat> {
        self.try_format(name).unwrap()
    }

    fn try_format(&self, name: &str) -> Result<Box<dyn LinkFormat>, String> {
        let format = FormatName::find(name.as_bytes()).unwrap();
        format.make(&self.settings()).map_err(|it| format!("{}: {it}", it.directive))
    }

    fn signer(&self, name: &str) -> Box<dyn LinkSigner> {
        FormatName::find(name.as_bytes()).unwrap().signer(&self.settings()).unwrap()
    }
}

fn secret(text: &str, encoding: Option<Encoding>) -> SecretText {
    SecretText { text: text.as_bytes().to_vec().into_boxed_slice().into(), encoding, kid: None }
}

/// What comes of a judgement; with the reason whether the signature has held.
type Judged = Result<Granted, (Reject, bool)>;

fn judge(format: &dyn LinkFormat, request: &dyn LinkRequest, now: i64) -> Judged {
    match format.judge(request, now) {
        Ok(granted) => Ok(granted),
        Err(Denied::Refused(refused)) => Err((refused.reject, refused.granted.is_some())),
        Err(Denied::Unavailable) => panic!("everything of the request is there"),
    }
}

/// Only whether it passes, and why not.
type Verdict = Result<(), (Reject, bool)>;

fn is(judged: &Judged) -> Verdict {
    judged.as_ref().map(drop).map_err(|refused| *refused)
}

/// What a refusal is without a good signature.
fn without<T>(reject: Reject) -> Result<T, (Reject, bool)> {
    Err((reject, false))
}

/// What it is with one.
fn with<T>(reject: Reject) -> Result<T, (Reject, bool)> {
    Err((reject, true))
}

fn text(part: Option<&[u8]>) -> Option<&str> {
    part.map(|part| std::str::from_utf8(part).unwrap())
}
