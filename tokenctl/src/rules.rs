//! What `tokenctl inspect` demands of a token besides its signature: rules (`jwt_claim`) and lists
//! (`jwt_revoked`).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use token::json::Document;
use token::{ClaimPath, ClaimRule, Operator, Revocation, RevokedList};

use crate::files;
use crate::output;

/// A rule as `jwt_claim` has it.
pub(crate) struct Rule {
    text: String,
    rule: ClaimRule,
    values: Vec<String>,
}

impl Rule {
    /// Reads `CLAIM OPERATOR VALUE...`, with quotes around a value that has spaces.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let words = shlex::split(text).context("a quote is not closed")?;
        if words.first().is_some_and(|word| word == "jwt_claim") || text.trim_end().ends_with(';') {
            bail!("leave out the word jwt_claim and the semicolon");
        }
        let mut words = words.as_slice();
        // The status is of no concern here, but must be one.
        if let [before @ .., last] = words
            && let Some(status) = last.strip_prefix("error=")
        {
            if !status.parse::<u16>().is_ok_and(|status| (400..=599).contains(&status)) {
                bail!("{last} must be error=400 to error=599");
            }
            words = before;
        }
        let [path, operator, values @ ..] = words else {
            bail!("want a claim, an operator and values, as in 'roles any admin editor'");
        };
        let known = Operator::from_name(operator).with_context(|| {
            format!("{operator:?} is no operator; it must be one of {}", Operator::names())
        })?;
        if !known.takes_patterns() && values.iter().any(|value| value.contains('$')) {
            bail!("a variable has its value in a request only: write the value");
        }
        let texts: Vec<_> = values.iter().map(|value| Some(value.as_str())).collect();
        let rule = ClaimRule::new(path, known, &texts)?;
        Ok(Self { text: text.to_owned(), rule, values: values.to_vec() })
    }

    /// Why a token with these claims is denied; `None` if the rule holds.
    pub(crate) fn denies(&self, payload: &Document) -> Option<String> {
        let judged = self.rule.judge(payload, &self.values);
        if judged == Some(true) {
            return None;
        }
        let path = ClaimPath::new(self.rule.path());
        let found = path.and_then(|path| path.find(payload.root()));
        let mut is = "is not there".to_owned();
        if let Some(value) = found {
            "is ".clone_into(&mut is);
            value.write_json(&mut is);
        }
        let unfit = if judged.is_none() && found.is_some() {
            "; the operator is not for values of this type"
        } else {
            ""
        };
        let (text, path) = (&self.text, self.rule.path());
        Some(output::one_line(&format!("The rule {text:?} does not hold: {path} {is}{unfit}.")))
    }
}

/// Reads `CLAIM:FILE`, a list as `jwt_revoked` has it.
pub(crate) fn revoked(text: &str) -> Result<Arc<Revocation>> {
    let (claim, path) =
        text.rsplit_once(':').context("want a claim and a file, as in jti:revoked.txt")?;
    // The claim may be a URL itself, as https://example.com/roles.
    if path != "-" && !Path::new(path).exists() {
        files::refuse_url(text)?;
    }
    let claim = ClaimPath::new(claim).with_context(|| format!("{claim:?} is no claim"))?;
    let list =
        RevokedList::parse(files::read(Path::new(path))?).with_context(|| path.to_owned())?;
    Ok(Arc::new(Revocation::new(claim, list)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denies(rule: &str) -> Option<String> {
        let payload = br#"{"roles":["user"],"name":"a b","n":5,"o":{"t":"x"}}"#;
        Rule::parse(rule).unwrap().denies(&Document::parse(payload.to_vec()).unwrap())
    }

    #[test]
    fn a_rule_holds_or_says_what_the_claim_is() {
        for rule in [
            "roles any user admin",
            "name = 'a b'",
            "n >= 5",
            "o.t ~ ^x$",
            "x !exists",
            "n = 5 error=404",
        ] {
            assert_eq!(denies(rule), None, "{rule}");
        }
        let said = |rule| denies(rule).unwrap();
        let want = "The rule \"roles any admin\" does not hold: roles is [\"user\"].";
        assert_eq!(said("roles any admin"), want);
        assert!(said("sub exists").ends_with("sub is not there."));
        assert!(said("name > 5").ends_with("the operator is not for values of this type."));
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, part) in [
            ("", "want a claim"),
            ("roles", "want a claim"),
            ("roles some admin", "no operator"),
            ("roles any", "any"),
            ("roles any 'admin", "quote"),
            ("sub = $arg_user", "in a request only"),
            ("sub = a error=999", "error=400 to error=599"),
            ("sub = a error=", "error=400 to error=599"),
            ("sub = a;", "semicolon"),
            ("jwt_claim sub = a", "leave out the word"),
            ("sub ~ (", "("),
        ] {
            let error = format!("{:#}", Rule::parse(text).err().unwrap());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
