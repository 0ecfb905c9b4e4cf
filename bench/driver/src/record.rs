//! Of what the figures are, and where they go.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::machine;

#[derive(clap::Args)]
pub(crate) struct Record {
    /// What is measured, for the record
    #[arg(long)]
    pub(crate) commit: String,
    /// The folder that the figures go to
    #[arg(long)]
    out: PathBuf,
}

impl Record {
    /// Machine, commit and date, with which tables begin.
    pub(crate) fn heading(&self) -> Result<String> {
        Ok(format!("{}. Commit {}, {}", machine::describe()?, self.commit, today()))
    }

    /// Writes a file, and its folder if there is none.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::create_dir_all(&self.out)?;
        Ok(fs::write(self.out.join(name), text)?)
    }

    /// Shows what it writes.
    pub(crate) fn publish(&self, name: &str, text: &str) -> Result<()> {
        print!("{text}");
        self.write(name, text)
    }
}

pub(crate) fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}
