//! `jwt_provider NAME { … }`: a named set of keys and of what their tokens must be.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::jwt::{JwtSettings, Part};
use super::setting::{ConfError, Setting};
use super::{LocationConf, Rule};

/// A provider.
pub(crate) struct Provider {
    pub(crate) name: Box<[u8]>,
    pub(crate) rules: Rc<[Rc<Rule>]>,
    pub(super) settings: JwtSettings,
}

/// All providers, and the lists that directives make of them.
#[derive(Default)]
pub(super) struct Providers {
    by_name: RefCell<HashMap<Box<[u8]>, Rc<Provider>>>,
    lists: RefCell<HashMap<Names, Rc<ProviderList>>>,
}

/// Names of providers, in the order of a directive.
type Names = Rc<[Box<[u8]>]>;

/// The providers that a directive names: one list for all directives that name the same, and for
/// all levels that inherit one, so that there may be many of both.
pub(super) struct ProviderList {
    names: Names,
    /// Set when a level is first judged by it: a provider may stand after what names it.
    listed: OnceCell<Listed>,
}

/// What a list of providers comes to.
pub(super) struct Listed {
    pub(super) policies: Arc<token::Providers>,
    /// What each of the policies adds, by its number.
    pub(super) parts: Rc<[Part]>,
    pub(super) keys_on_variables: bool,
}

impl Providers {
    /// The list of the providers of these names; `None` for no names.
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
    /// What the list comes to, once all of the configuration has been read.
    pub(super) fn resolve(&self, providers: &Providers) -> Result<&Listed, String> {
        if let Some(listed) = self.listed.get() {
            return Ok(listed);
        }
        let listed = Listed::new(&self.names, &providers.by_name.borrow())?;
        Ok(self.listed.get_or_init(|| listed))
    }
}

impl Listed {
    fn new(
        names: &[Box<[u8]>],
        providers: &HashMap<Box<[u8]>, Rc<Provider>>,
    ) -> Result<Self, String> {
        let (mut policies, mut parts) = (token::Providers::default(), Vec::new());
        for name in names {
            let provider = providers.get(name).ok_or_else(|| {
                let name = name.escape_ascii();
                format!("\"jwt\" names provider \"{name}\", but there is no such jwt_provider,")
            })?;
            policies.add(provider.settings.policy()).map_err(|issuer| {
                format!(
                    "\"jwt\" names two providers of issuer \"{issuer}\", by which they are told apart,"
                )
            })?;
            parts.push(provider.settings.part(Some(Rc::clone(provider))));
        }
        let keys_on_variables = parts.iter().any(|part| part.sources.depend_on_variables());
        Ok(Self { policies: Arc::new(policies), parts: parts.into(), keys_on_variables })
    }
}

/// The directive: reads the block with the same functions that a location's directives have.
pub(super) fn jwt_provider(
    _: &mut LocationConf,
    setting: &mut Setting<'_>,
) -> Result<(), ConfError> {
    let name = setting.first();
    if setting.main().providers.by_name.borrow().contains_key(name) {
        return Err(ConfError::Duplicate);
    }
    let mut inner = LocationConf::default();
    setting.provider_block(&mut inner)?;
    let settings = inner.jwt;
    if settings.issuers.is_none() {
        return Err(ConfError::Provider("has no jwt_issuer, by which its tokens are known"));
    }
    if settings.keys.is_none() {
        return Err(ConfError::Provider("has no keys"));
    }
    let provider = Provider { name: name.into(), rules: settings.rules(), settings };
    setting.main().providers.by_name.borrow_mut().insert(name.into(), Rc::new(provider));
    Ok(())
}
