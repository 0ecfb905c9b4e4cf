//! Several providers, each with its issuers and its policy.

use std::collections::HashMap;

use crate::policy::Policy;

/// The policies of several providers. A token's issuer selects one.
#[derive(Debug, Default)]
pub struct Providers {
    policies: Vec<Policy>,
    /// For each issuer the number of its policy.
    by_issuer: HashMap<Box<str>, usize>,
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
    /// An issuer that another policy names already; then nothing is added.
    pub fn add(&mut self, policy: Policy) -> Result<(), Box<str>> {
        let issuers = policy
            .requirements
            .first()
            .map(|requirements| &*requirements.issuers)
            .unwrap_or_default();
        if let Some(issuer) = issuers.iter().find(|issuer| self.by_issuer.contains_key(*issuer)) {
            return Err(issuer.clone());
        }
        let number = self.policies.len();
        self.by_issuer.extend(issuers.iter().map(|issuer| (issuer.clone(), number)));
        self.policies.push(policy);
        Ok(())
    }

    /// The policy of an issuer, and its number.
    pub(crate) fn of_issuer(&self, issuer: &str) -> Option<(usize, &Policy)> {
        let number = *self.by_issuer.get(issuer)?;
        Some((number, self.policies.get(number)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Requirements;

    fn policy(leeway: i64, issuers: &[&str]) -> Policy {
        let issuers = issuers.iter().map(|issuer| Box::from(*issuer)).collect();
        let requirements = vec![Requirements { issuers, ..Requirements::default() }];
        Policy { leeway, requirements, ..Policy::default() }
    }

    #[test]
    fn each_issuer_has_its_policy() {
        let other = Requirements { issuers: [Box::from("e")].into(), ..Requirements::default() };
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
}
