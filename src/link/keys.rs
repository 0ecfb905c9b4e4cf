//! `secure_token_keys`: the public keys that links are signed with.

use std::rc::Rc;
use std::sync::Arc;

use token::link::LinkKeys;

use crate::check::{option_once, option_text, positive};
use crate::live::file::{self, LARGEST_KEY_FILE, Text};
use crate::live::{HealthTable, Watched};
use crate::nginx::{ConfError, Request, Result, Setting};

/// The keys of a file: as first read, or watched for changes.
#[derive(Clone)]
pub(super) enum KeysOf {
    Fixed(Arc<LinkKeys>),
    Watched(Rc<Watched<LinkKeys>>),
}

/// The keys of a level, and the file and line of the first directive.
#[derive(Clone)]
pub(super) struct KeyFiles {
    pub(super) files: Vec<KeysOf>,
    pub(super) position: Rc<str>,
}

impl KeyFiles {
    /// The keys in force now.
    pub(super) fn current(&self, request: Request<'_>) -> Arc<LinkKeys> {
        let of = |keys: &KeysOf| match keys {
            KeysOf::Fixed(keys) => Arc::clone(keys),
            KeysOf::Watched(file) => {
                let (keys, line) = file.get(request.clock());
                request.log_line("key file", line);
                keys
            }
        };
        match &*self.files {
            [only] => of(only),
            files => Arc::new(LinkKeys::joined(files.iter().map(of))),
        }
    }
}

/// Reads the file of `secure_token_keys`.
pub(super) fn read(health: &HealthTable, setting: &Setting<'_>) -> Result<KeysOf> {
    let path = setting.file_path(setting.first())?;
    let shown = String::from_utf8_lossy(&path).into_owned();
    let bad = |why: &dyn std::fmt::Display| ConfError::Failed(format!("\"{shown}\": {why}"));
    let (mut kid, mut check) = (None, None);
    for option in setting.values().skip(1) {
        if let Some(name) = option.strip_prefix(b"kid=") {
            let name = option_text(option, name)?;
            option_once(&mut kid, option, Box::<str>::from(name))?;
        } else if let Some(time) = option.strip_prefix(b"check=") {
            option_once(&mut check, option, positive(option, time)?)?;
        } else {
            return Err(ConfError::parameter(option));
        }
    }
    let parse =
        move |text: &[u8]| LinkKeys::load(text, kid.as_deref()).map_err(|error| error.to_string());
    let (keys, warnings) = match check {
        None => {
            let text = file::read(&path, LARGEST_KEY_FILE).map_err(|error| bad(&error))?;
            let (keys, warnings) = parse(&text).map_err(|why| bad(&why))?;
            (KeysOf::Fixed(Arc::new(keys)), warnings)
        }
        Some(check) => {
            let health = health.add(&[b"file ", &*path].concat());
            let parse = move |text: Text, _: Option<&LinkKeys>| parse(&text);
            let opened = Watched::open(&path, LARGEST_KEY_FILE, check, Box::new(parse), health);
            let (watched, warnings) = opened.map_err(|why| bad(&why))?;
            (KeysOf::Watched(Rc::new(watched)), warnings)
        }
    };
    for warning in &warnings {
        setting.warn(&format!("{shown}: {warning}"));
    }
    Ok(keys)
}
