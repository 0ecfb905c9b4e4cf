//! Claims that a directive sets: a name, and a value that may hold variables.

use std::fmt;

use token::json::Document;
use token::sign::{Json, NUMBERS};

use crate::nginx::{ComplexValue, ConfError, Request, Result, Setting};

/// A claim to be set.
pub(crate) struct ClaimSetting {
    name: Box<str>,
    value: ComplexValue,
    /// Whether the value is JSON; otherwise it is a string.
    is_json: bool,
}

/// Why a claim has no value. The texts hold nothing of the value.
#[derive(Debug)]
pub(super) struct ClaimFault<'s> {
    name: &'s str,
    why: String,
}

impl fmt::Display for ClaimFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claim \"{}\" {}", self.name.escape_debug(), self.why)
    }
}

impl ClaimSetting {
    /// Reads `NAME VALUE [json]`, the arguments from number `at` on. `json_of` gives the variable to be read
    /// in place of a value that is nothing but a claim of the token that was verified.
    pub(super) fn read(setting: &Setting<'_>, at: usize, json_of: &JsonOf<'_>) -> Result<Self> {
        let name = setting.arg(at).unwrap_or_default();
        let value = setting.arg(at + 1).unwrap_or_default();
        let is_json = match setting.arg(at + 2) {
            None => false,
            Some(b"json") => true,
            Some(other) => return Err(ConfError::parameter(other)),
        };
        let name = match core::str::from_utf8(name) {
            Ok("") => return Err(ConfError::value(name, "must be the name of a claim")),
            Ok(name) => name,
            Err(_) => return Err(ConfError::value(name, "is not UTF-8")),
        };
        let instead = if is_json { json_of(setting, value)? } else { None };
        let compiled = setting.compile(instead.as_deref().unwrap_or(value))?;
        let claim = Self { name: name.into(), value: compiled, is_json };
        if !compiled.has_variables() {
            let json = claim.json(value).map_err(|why| ConfError::value(value, &why))?;
            if NUMBERS.contains(&name) && json.is_some_and(|json| !json.is_number()) {
                let what = "must be a number, since the claim is a time: write json behind it";
                return Err(ConfError::value(value, what));
            }
        }
        Ok(claim)
    }

    /// The claim for this request; `None` if its value is empty.
    pub(super) fn evaluate(
        &self,
        request: Request<'_>,
    ) -> std::result::Result<Option<(Box<str>, Json)>, ClaimFault<'_>> {
        let fault = |why: String| ClaimFault { name: &self.name, why };
        let value = request.evaluate(&self.value);
        let value = value.ok_or_else(|| fault("could not be evaluated".to_owned()))?;
        let json = self.json(value).map_err(fault)?;
        Ok(json.map(|json| (self.name.clone(), json)))
    }

    /// The text of the value for this request; `None` if it cannot be evaluated.
    pub(super) fn text<'r>(&self, request: Request<'r>) -> Option<&'r [u8]> {
        request.evaluate(&self.value)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The value as JSON; `None` if it is empty.
    pub(super) fn json(&self, value: &[u8]) -> std::result::Result<Option<Json>, String> {
        if value.is_empty() {
            return Ok(None);
        }
        if self.is_json {
            let document = Document::parse(value.to_vec());
            let document = document.map_err(|error| format!("is no JSON: {error}"))?;
            return Ok(Some(document.root()).filter(|value| !value.is_null()).map(Json::of));
        }
        let text = core::str::from_utf8(value).map_err(|_| "is not UTF-8".to_owned())?;
        Ok(Some(Json::string(text)))
    }
}

/// Gives the variable to be read in place of a value that is nothing but a claim, so that it is shown as
/// JSON.
pub(crate) type JsonOf<'f> = dyn Fn(&Setting<'_>, &[u8]) -> Result<Option<Box<[u8]>>> + 'f;
