//! The formats by their names (`secure_token_format`). To add one, add a row here.

use super::akamai::Akamai;
use super::bunny::Bunny;
use super::cloudfront::{CloudFront, CloudFrontSigner};
use super::format::{FormatSettings, LinkFormat, Mistake};
use super::google::{Google, GoogleSigner};
use super::order::LinkSigner;
use super::plain::Plain;

/// A format, and how it is made from what the directives say.
#[derive(Clone, Copy)]
pub struct FormatName {
    name: &'static str,
    make: fn(&FormatSettings<'_>) -> Result<Box<dyn LinkFormat>, Mistake>,
    sign: fn(&FormatSettings<'_>) -> Result<Box<dyn LinkSigner>, Mistake>,
}

/// The rows.
static FORMATS: [FormatName; 5] = [
    FormatName {
        name: "plain",
        make: |settings| Ok(Box::new(Plain::configured(settings)?)),
        sign: |settings| Ok(Box::new(Plain::signer(settings)?)),
    },
    FormatName {
        name: "akamai",
        make: |settings| Ok(Box::new(Akamai::configured(settings)?)),
        sign: |settings| Ok(Box::new(Akamai::configured(settings)?)),
    },
    FormatName {
        name: "bunny",
        make: |settings| Ok(Box::new(Bunny::configured(settings)?)),
        sign: |settings| Ok(Box::new(Bunny::configured(settings)?)),
    },
    FormatName {
        name: "cloudfront",
        make: |settings| Ok(Box::new(CloudFront::configured(settings)?)),
        sign: |settings| Ok(Box::new(CloudFrontSigner::configured(settings)?)),
    },
    FormatName {
        name: "google",
        make: |settings| Ok(Box::new(Google::configured(settings)?)),
        sign: |settings| Ok(Box::new(GoogleSigner::configured(settings)?)),
    },
];

impl FormatName {
    /// The format of that name.
    pub fn find(name: &[u8]) -> Option<Self> {
        FORMATS.into_iter().find(|format| format.name.as_bytes() == name)
    }

    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.into_iter()
    }

    /// Azion's format, which is the default.
    pub fn plain() -> Self {
        let [plain, ..] = FORMATS;
        plain
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The format with its secrets.
    ///
    /// # Errors
    /// What the directives say does not go together.
    pub fn make(self, settings: &FormatSettings<'_>) -> Result<Box<dyn LinkFormat>, Mistake> {
        (self.make)(settings)
    }

    /// What makes links of the format.
    ///
    /// # Errors
    /// There is no secret or private key, or what is said does not go together.
    pub fn signer(self, settings: &FormatSettings<'_>) -> Result<Box<dyn LinkSigner>, Mistake> {
        (self.sign)(settings)
    }
}

impl std::fmt::Debug for FormatName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The names, for messages.
pub fn names() -> String {
    FORMATS.map(|format| format.name).join(", ")
}
