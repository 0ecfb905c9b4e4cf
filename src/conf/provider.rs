//! `jwt_provider NAME { … }`: a named set of keys and of what their tokens must be.

use std::rc::Rc;

use super::jwt::JwtSettings;
use super::setting::{ConfError, Setting};
use super::{LocationConf, Rule};

/// A provider.
pub(crate) struct Provider {
    pub(crate) name: Box<[u8]>,
    pub(crate) rules: Rc<[Rc<Rule>]>,
    pub(super) settings: JwtSettings,
}

/// The directive: reads the block with the same functions that a location's directives have.
pub(super) fn jwt_provider(
    _: &mut LocationConf,
    setting: &mut Setting<'_>,
) -> Result<(), ConfError> {
    let name = setting.first();
    if setting.main().providers.borrow().iter().any(|one| *one.name == *name) {
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
    setting.main().providers.borrow_mut().push(Rc::new(provider));
    Ok(())
}
