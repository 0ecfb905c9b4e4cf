//! Tables of mistakes in a configuration, and what `nginx -t` must say of each.

use anyhow::{Context, Result, ensure};

use crate::config::Builder;
use crate::jwt::SECRET;
use crate::process::Nginx;

/// A mistake, and what the message about it must hold beside the directive and its line.
#[derive(Clone, Debug)]
pub struct Mistake {
    name: String,
    directive: String,
    file: Option<(String, Vec<u8>)>,
    fragments: Vec<String>,
}

/// A mistake in a directive, in a location.
pub fn mistake(name: &str, directive: impl Into<String>, fragments: &[&str]) -> Mistake {
    Mistake {
        name: name.to_owned(),
        directive: directive.into(),
        file: None,
        fragments: fragments.iter().copied().map(str::to_owned).collect(),
    }
}

/// A mistake in the text of a file that the directive names; the message must name it too.
pub fn mistake_in(
    name: &str,
    directive: &str,
    file: &str,
    text: impl Into<Vec<u8>>,
    fragments: &[&str],
) -> Mistake {
    let mut mistake = mistake(name, directive, fragments);
    mistake.fragments.push(file.to_owned());
    mistake.file = Some((file.to_owned(), text.into()));
    mistake
}

impl Mistake {
    /// Puts a file that is as it should be beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, text: impl Into<Vec<u8>>) -> Self {
        self.file = Some((name.to_owned(), text.into()));
        self
    }

    /// The configuration, with the directive at the start of a line.
    fn builder(&self) -> Builder {
        let builder = Nginx::builder().server(format!("location / {{\n{}\n}}", self.directive));
        match &self.file {
            Some((name, bytes)) => builder.file(name.as_str(), bytes.clone()),
            None => builder,
        }
    }

    fn check(&self) -> Result<()> {
        let builder = self.builder();
        let text = builder.render()?;
        let line =
            text.lines().position(|line| line == self.directive).context("no such line")? + 1;
        let directive = self.directive.split([' ', ';']).next().unwrap_or_default();
        let place = format!("nginx.conf:{line}");
        let mut fragments: Vec<&str> = self.fragments.iter().map(String::as_str).collect();
        fragments.extend([directive, place.as_str()]);
        let checked = builder.check()?;
        checked.refused_with(&fragments)?;
        ensure!(
            !checked.stderr.contains(SECRET),
            "the message tells the secret: {}",
            checked.stderr
        );
        Ok(())
    }
}

/// Requires each mistake to be refused as it should, and tells of all that are not.
///
/// # Errors
/// Lists them.
pub fn refuse_all(mistakes: &[Mistake]) -> Result<()> {
    let wrong: Vec<String> = mistakes
        .iter()
        .filter_map(|mistake| Some((mistake, mistake.check().err()?)))
        .map(|(mistake, error)| format!("{}: {error:#}", mistake.name))
        .collect();
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), mistakes.len(), wrong.join("\n"));
    Ok(())
}
