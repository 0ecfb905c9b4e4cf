//! Rewrites the marked parts of documents: the text between `<!-- bench:NAME -->` and
//! `<!-- /bench:NAME -->`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::report::{self, Parts};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where results.json is, and where tables and charts go
    #[arg(long)]
    results: PathBuf,
    /// Documents with marked parts
    documents: Vec<PathBuf>,
}

pub(crate) fn write(args: &Args) -> Result<()> {
    let folder = args.results.as_path();
    let mut parts = Parts::new();
    if let Ok(text) = fs::read_to_string(folder.join("results.json")) {
        let results = serde_json::from_str(&text).context("results.json")?;
        for (name, chart) in report::charts(&results) {
            fs::write(folder.join(name), chart.to_string())?;
        }
        parts = report::parts(&results);
        fs::write(folder.join("table.md"), table(&parts))?;
    }
    for name in ["scale", "lists", "links", "memo", "profile"] {
        let file = format!("{name}.md");
        if let Ok(text) = fs::read_to_string(folder.join(file)) {
            parts.insert(name, text);
        }
    }
    ensure!(!parts.is_empty(), "{}: no results", folder.display());
    args.documents.iter().try_for_each(|document| rewrite(document, &parts))
}

/// All tables, each with a title.
fn table(parts: &Parts) -> String {
    let titles = [
        ("about", ""),
        ("cpu", "CPU that the check adds, microseconds per request, minimum / median\n\n"),
        ("throughput", "Requests per second with the check, of those without it\n\n"),
        ("latency", "Latency with the check, microseconds, p50 / p99\n\n"),
        ("others", "Links, and a check that is switched off, microseconds\n\n"),
        ("peers", "Servers; memory is the proportional set size in MiB\n\n"),
    ];
    let all = titles.map(|(name, title)| {
        format!("{title}{}", parts.get(name).map(String::as_str).unwrap_or_default())
    });
    all.join("\n")
}

fn rewrite(document: &Path, parts: &Parts) -> Result<()> {
    let mut text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
    for (name, part) in parts {
        text = replace(&text, name, part)
            .with_context(|| format!("{}: bench:{name} does not end", document.display()))?;
    }
    Ok(fs::write(document, text)?)
}

/// Replaces the marked part `name` of `text`, if there is one. `None` if its end mark is missing.
fn replace(text: &str, name: &str, part: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench:{name} -->\n"), format!("<!-- /bench:{name} -->"));
    let Some((before, rest)) = text.split_once(&begin) else { return Some(text.to_owned()) };
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{part}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_part_is_replaced() {
        let text = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n";
        let new = replace(text, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- bench:x -->\nnew\n<!-- /bench:x -->\nb\n");
        assert_eq!(replace(&new, "y", "new\n").unwrap(), new);
        assert!(replace("<!-- bench:x -->\nold", "x", "").is_none());
    }
}
