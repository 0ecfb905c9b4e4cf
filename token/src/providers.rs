//! Several policies, one for each issuer.

use std::collections::HashMap;

use crate::policy::Policy;

/// Policies that are told apart by the issuer that a token names.
#[derive(Debug, Default)]
pub struct Providers {
    policies: Vec<Policy>,
    /// The number of the policy that is an issuer's, so that none has to be searched for.
    by_issuer: HashMap<Box<str>, usize>,
}

impl Providers {
    /// These policies, each for the issuers that the first of its demands names.
    ///
    /// # Errors
    /// An issuer that two of them name.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Result<Self, Box<str>> {
        let mut providers = Self::default();
        policies.into_iter().try_for_each(|policy| providers.add(policy))?;
        Ok(providers)
    }

    /// Adds a policy, as [`Providers::new`].
    ///
    /// # Errors
    /// An issuer that a policy before names as well; then nothing is added.
    pub fn add(&mut self, policy: Policy) -> Result<(), Box<str>> {
        let issuers = policy.demands.first().map(|demands| &*demands.issuers).unwrap_or_default();
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
    use crate::policy::Demands;

    fn policy(leeway: i64, issuers: &[&str]) -> Policy {
        let issuers = issuers.iter().map(|issuer| Box::from(*issuer)).collect();
        let demands = vec![Demands { issuers, ..Demands::default() }];
        Policy { leeway, demands, ..Policy::default() }
    }

    #[test]
    fn each_issuer_has_its_policy() {
        let other = Demands { issuers: [Box::from("e")].into(), ..Demands::default() };
        let mut last = policy(2, &["d", "d"]);
        last.demands.push(other);
        let all = [policy(0, &["a", "b"]), policy(1, &["c"]), last, Policy::default()];
        let providers = Providers::new(all).unwrap();
        for (issuer, number) in [("a", 0), ("b", 0), ("c", 1), ("d", 2)] {
            let (found, policy) = providers.of_issuer(issuer).unwrap();
            assert_eq!((found, policy.leeway), (number, i64::try_from(number).unwrap()));
        }
        // Neither what is demanded beside nor what is not there at all is anyone's issuer.
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
