//! `jwt_provider NAME { ... }`: a named set of keys, and what its tokens must be.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::check::{PolicySources, Provider};
use super::policy::PolicySettings;
use super::sources::Sources;
use crate::nginx::{ConfError, Result};

/// A provider's block, after it was read.
pub(super) struct Block {
    provider: Rc<Provider>,
    settings: PolicySettings,
    sources: Option<Sources>,
}

/// All providers, and the lists of providers that directives name.
#[derive(Default)]
pub(super) struct Providers {
    by_name: RefCell<HashMap<Box<[u8]>, Block>>,
    lists: RefCell<HashMap<Names, Rc<ProviderList>>>,
}

/// Names of providers, in the order in which a directive names them.
type Names = Rc<[Box<[u8]>]>;

/// The providers that a directive names. All directives that name the same ones share one list, and so
/// do all levels that inherit it: many of both need little memory.
pub(super) struct ProviderList {
    names: Names,
    /// Set when the first level uses it: a provider's block may follow the directive that names it.
    listed: OnceCell<Listed>,
}

/// The policies of a list of providers.
pub(super) struct Listed {
    pub(super) policies: Arc<token::Providers>,
    /// What the module adds to each policy, by the policy's number.
    pub(super) live: Rc<[PolicySources]>,
    /// Where the tokens of each provider are looked for, if it says so itself, by the policy's number.
    pub(super) sources: Vec<Option<Sources>>,
    pub(super) keys_on_variables: bool,
}

impl Providers {
    /// `Err` if another provider has the name.
    pub(super) fn is_new(&self, name: &[u8]) -> Result {
        match self.by_name.borrow().contains_key(name) {
            true => Err(ConfError::Duplicate),
            false => Ok(()),
        }
    }

    /// Adds a provider after its block has been read.
    pub(super) fn add(
        &self,
        name: Box<[u8]>,
        settings: PolicySettings,
        sources: Option<Sources>,
    ) -> Result {
        if settings.issuers.is_none() {
            let what = "has no jwt_issuer, by which its tokens are known";
            return Err(ConfError::mistake(what));
        }
        if settings.keys.is_none() {
            return Err(ConfError::mistake("has no keys"));
        }
        let provider = Rc::new(Provider { name: name.clone(), rules: settings.rules() });
        self.by_name.borrow_mut().insert(name, Block { provider, settings, sources });
        Ok(())
    }

    /// The list of the providers with these names; `None` for no names.
    pub(super) fn list(&self, names: Names) -> Option<Rc<ProviderList>> {
        if names.is_empty() {
            return None;
        }
        let mut lists = self.lists.borrow_mut();
        let list = lists.entry(Rc::clone(&names));
        let new = || Rc::new(ProviderList { names, listed: OnceCell::new() });
        Some(Rc::clone(list.or_insert_with(new)))
    }
}

impl ProviderList {
    /// The policies of the list. To be called after the whole configuration has been read.
    pub(super) fn resolve(&self, providers: &Providers) -> Result<&Listed, String> {
        if let Some(listed) = self.listed.get() {
            return Ok(listed);
        }
        let listed = Listed::new(&self.names, &providers.by_name.borrow())?;
        Ok(self.listed.get_or_init(|| listed))
    }
}

impl Listed {
    fn new(names: &[Box<[u8]>], blocks: &HashMap<Box<[u8]>, Block>) -> Result<Self, String> {
        let (mut policies, mut live) = (token::Providers::default(), Vec::new());
        let mut sources = Vec::new();
        for name in names {
            let block = blocks.get(name).ok_or_else(|| {
                let name = name.escape_ascii();
                format!("\"jwt\" names provider \"{name}\", but there is no such jwt_provider,")
            })?;
            policies.add(block.settings.policy()).map_err(|issuer| {
                format!(
                    "\"jwt\" names two providers of issuer \"{issuer}\", by which they are told apart,"
                )
            })?;
            live.push(block.settings.policy_sources(Some(Rc::clone(&block.provider))));
            sources.push(block.sources.clone());
        }
        let keys_on_variables = live.iter().any(|one| one.live.keys_depend_on_variables());
        Ok(Self { policies: Arc::new(policies), live: live.into(), sources, keys_on_variables })
    }
}
