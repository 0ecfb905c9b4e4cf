//! Several providers, each with its issuers and its policy.

use std::collections::HashMap;

use regex::Regex;

use crate::policy::Policy;

/// The policies of several providers. A token's issuer selects one.
#[derive(Debug, Default)]
pub struct Providers {
    policies: Vec<Policy>,
    /// For each issuer the number of its policy.
    by_issuer: HashMap<Box<str>, usize>,
    /// The patterns of issuers, in the order of the policies, with the numbers of these.
    patterns: Vec<(Regex, usize)>,
    /// Whether one of the policies accepts padded tokens.
    pub(crate) padding: bool,
}

impl Providers {
    /// Collects these policies. The first [`Requirements`](crate::Requirements) of a policy name its
    /// issuers.
    ///
    /// # Errors
    /// An issuer that two policies name.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Result<Self, Box<str>> {
        let mut providers = Self::default();
        policies.into_iter().try_for_each(|policy| providers.add(policy))?;
        Ok(providers)
    }

    /// Adds a policy.
    ///
    /// # Errors
    /// An issuer, or the same pattern, that another policy names already; then nothing is added.
    pub fn add(&mut self, policy: Policy) -> Result<(), Box<str>> {
        let number = self.policies.len();
        if let Some(issuers) = policy.requirements.first().map(|one| &one.issuers) {
            if let Some(name) = issuers.names().find(|name| self.by_issuer.contains_key(*name)) {
                return Err(name.into());
            }
            let is_there = |one: &&Regex| {
                self.patterns.iter().any(|(other, _)| other.as_str() == one.as_str())
            };
            if let Some(pattern) = issuers.patterns().iter().find(is_there) {
                return Err(format!("~{pattern}").into());
            }
            self.by_issuer.extend(issuers.names().map(|name| (name.into(), number)));
            self.patterns.extend(issuers.patterns().iter().map(|one| (one.clone(), number)));
        }
        self.padding |= policy.padding;
        self.policies.push(policy);
        Ok(())
    }

    /// The policy of this number.
    pub(crate) fn policy(&self, number: usize) -> Option<&Policy> {
        self.policies.get(number)
    }

    /// The policy of an issuer, and its number: exact names come before patterns.
    pub(crate) fn of_issuer(&self, issuer: &str) -> Option<(usize, &Policy)> {
        let by_name = self.by_issuer.get(issuer).copied();
        let by_pattern = || self.patterns.iter().find(|(pattern, _)| pattern.is_match(issuer));
        let number = by_name.or_else(|| by_pattern().map(|(_, number)| *number))?;
        Some((number, self.policies.get(number)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuers::Issuers;
    use crate::policy::Requirements;

    fn policy(leeway: i64, issuers: &[&str]) -> Policy {
        let issuers = Issuers::new(issuers.iter().copied()).unwrap();
        let requirements = vec![Requirements { issuers, ..Requirements::default() }];
        Policy { leeway, requirements, ..Policy::default() }
    }

    #[test]
    fn each_issuer_has_its_policy() {
        let other =
            Requirements { issuers: Issuers::new(["e"]).unwrap(), ..Requirements::default() };
        let mut last = policy(2, &["d", "d"]);
        last.requirements.push(other);
        let all = [policy(0, &["a", "b"]), policy(1, &["c"]), last, Policy::default()];
        let providers = Providers::new(all).unwrap();
        for (issuer, number) in [("a", 0), ("b", 0), ("c", 1), ("d", 2)] {
            let (found, policy) = providers.of_issuer(issuer).unwrap();
            assert_eq!((found, policy.leeway), (number, i64::try_from(number).unwrap()));
        }
        // Issuers come from the first requirements only, and are compared exactly.
        for issuer in ["e", "", "A", "a ", "ab"] {
            assert!(providers.of_issuer(issuer).is_none(), "{issuer}");
        }
    }

    #[test]
    fn an_issuer_is_of_one_policy_only() {
        let mut providers = Providers::new([policy(0, &["a", "b"])]).unwrap();
        assert_eq!(providers.add(policy(1, &["c", "b"])), Err("b".into()));
        assert!(providers.of_issuer("c").is_none());
        assert_eq!(providers.of_issuer("b").unwrap().1.leeway, 0);
        assert_eq!(providers.add(policy(2, &["c"])), Ok(()));
        assert_eq!(providers.of_issuer("c").unwrap().0, 1);
        assert_eq!(Providers::new([policy(0, &["a"]), policy(1, &["a"])]).err(), Some("a".into()));
    }

    #[test]
    fn exact_names_come_before_patterns_and_these_in_their_order() {
        let all =
            [policy(0, &["~^https://login/", "x"]), policy(1, &["https://login/a", "~^https://"])];
        let providers = Providers::new(all).unwrap();
        for (issuer, number) in
            [("https://login/b", 0), ("x", 0), ("https://login/a", 1), ("https://other", 1)]
        {
            assert_eq!(providers.of_issuer(issuer).unwrap().0, number, "{issuer}");
        }
        assert!(providers.of_issuer("http://login/").is_none());
        let twice = Providers::new([policy(0, &["~a"]), policy(1, &["~a"])]);
        assert_eq!(twice.err(), Some("~a".into()));
    }
}
