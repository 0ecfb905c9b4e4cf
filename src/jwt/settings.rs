//! The `jwt` directives of a level, and the check that results from them.

use std::rc::Rc;
use std::sync::Arc;

use token::{Forms, LocationPolicy, Policy, Trust};

use super::challenge::Challenge;
use super::check::{JwtCheck, LocationLists};
use super::forms::{Asked, Decryption, DecryptionInForce, TokenTypes};
use super::http_level::HttpLevel;
use super::policy::{Keys, PolicySettings};
use super::provider::ProviderList;
use super::sources::{self, AskedSource, Sources};
use super::uri_signing::{Covering, UriSigning};
use crate::check::{Base, Lack, MergeError, Mode, Settings, Switch, SwitchValue, inherit};
use crate::nginx::{ComplexValue, Level};

/// The `jwt_*` directives of one level; `None` if the level does not have one.
#[derive(Default)]
pub(crate) struct JwtSettings {
    pub(super) base: Base,
    /// The providers that the switch names with `provider=`; inherited with the switch.
    pub(super) providers: Option<Rc<ProviderList>>,
    pub(super) policy: PolicySettings,
    pub(super) sources: Option<Sources>,
    /// `jwt_next`.
    pub(super) next: Option<bool>,
    pub(super) realm: Option<ComplexValue>,
    pub(super) challenge: Option<Challenge>,
    pub(super) uri_signing: Option<UriSigning>,
    /// `jwt_type`.
    pub(super) types: Option<TokenTypes>,
    /// `jwt_decryption_key`.
    pub(super) decryption: Option<Decryption>,
    /// Whether the level has `auth_jwt`. Without `token=` that means the bearer token, even if the
    /// level above says otherwise.
    pub(super) auth_jwt: bool,
}

impl Settings for JwtSettings {
    type Main = HttpLevel;
    type Check = JwtCheck;

    fn base(&self) -> &Base {
        &self.base
    }

    fn serves(check: &Rc<JwtCheck>, http: &HttpLevel, level: &Level<'_>) {
        http.note_requests(check, level);
        check.decryption.warn(level);
    }

    /// Refuses a level that has both keys and providers.
    fn refuse_alone(&self) -> Result<(), MergeError> {
        match (&self.base.switch, &self.policy.keys) {
            (Some(switch), Some(_)) if self.providers.is_some() => Err(MergeError {
                what: "\"jwt\" names a provider, so the keys of this level would not be used,"
                    .to_owned(),
                position: Rc::clone(&switch.position),
            }),
            _ => Ok(()),
        }
    }

    /// Keys and `provider=` are inherited together: a level that has one of them inherits neither.
    fn inherit(&mut self, parent: &Self) -> bool {
        let own_switch = self.base.switch.is_some();
        let own_keys = self.policy.keys.is_some();
        // No `..`, so the compiler demands each field.
        let Self {
            base,
            providers,
            policy,
            sources,
            next,
            realm,
            challenge,
            uri_signing,
            types,
            decryption,
            auth_jwt,
        } = self;
        if *auth_jwt && sources.is_none() {
            *sources = Some(sources::bearer());
        }
        if !own_switch && !own_keys {
            providers.clone_from(&parent.providers);
        }
        // `|` and not `||`: each line has to inherit.
        let named = base.inherit(&parent.base)
            | policy.inherit(&parent.policy)
            | inherit(sources, &parent.sources)
            | inherit(next, &parent.next)
            | inherit(realm, &parent.realm)
            | inherit(challenge, &parent.challenge)
            | inherit(uri_signing, &parent.uri_signing)
            | inherit(types, &parent.types)
            | inherit(decryption, &parent.decryption);
        if own_switch && providers.is_some() {
            policy.keys = None;
        }
        named
    }

    /// Keys in force switch the check on, unless the switch is off.
    fn check(&self, http: &HttpLevel) -> Result<Option<JwtCheck>, MergeError> {
        let verifies = |keys: &&Keys| keys.verify() || !self.needs_verifying_keys();
        let switch = match (&self.base.switch, self.policy.keys.as_ref().filter(verifies)) {
            (Some(Switch { value: SwitchValue::Fixed(Mode::Off), .. }), _) => return Ok(None),
            (Some(switch), keys) => match (&self.providers, keys) {
                (Some(list), _) => return self.check_of_providers(switch, list, http).map(Some),
                (None, Some(_)) => switch.value,
                (None, None) if !self.needs_verifying_keys() => switch.value,
                (None, None) => return Err(no_keys(switch)),
            },
            (None, Some(Keys { switch_on: true, .. })) => SwitchValue::Fixed(Mode::On),
            (None, _) if self.decryption_switches_on() => SwitchValue::Fixed(Mode::On),
            (None, _) => return Ok(None),
        };
        let (forms, decryption) = self.forms()?;
        let policy = self.policy.policy_sources(None);
        let sources = sources::for_all(&self.sources());
        Ok(Some(http.numbered(JwtCheck {
            switch,
            trust: Trust::Keys(Policy { forms, ..self.policy.policy() }),
            decryption,
            keys_on_variables: policy.live.keys_depend_on_variables(),
            policies: Rc::new([policy]),
            lists: LocationLists::default(),
            status_lists: Rc::default(),
            rules: self.policy.rules(),
            uri_signing: self.covering(&sources),
            sources,
            next: self.next.unwrap_or(false),
            realm: self.realm,
            challenge: self.challenge.clone(),
            steady: None,
        })))
    }

    fn lack(&self) -> Lack {
        match &self.policy.keys {
            None if !self.needs_verifying_keys() => Lack {
                switch: "jwt",
                what: "key that decrypts",
                add: "name a jwt_decryption_key beside it",
            },
            None if self.decryption.is_some() && self.types.is_none() => Lack {
                switch: "jwt",
                what: "jwt_type",
                add: "name \"jwt_type nested\" with the keys of the signatures, or \"jwt_type encrypted\", \
                      there or on a level above",
            },
            None => Lack {
                switch: "jwt",
                what: "keys",
                add: "name a jwt_kids, jwt_kids_file, jwks_file, jwks_request or \"jwt on \
                      provider=...\" there or on a level above",
            },
            // The keys of auth_jwt_key_file and auth_jwt_key_request.
            Some(_) => Lack {
                switch: "jwt",
                what: "check",
                add: "keys of an auth_jwt_key_file or auth_jwt_key_request do not switch it on \
                      by themselves, so add auth_jwt or \"jwt on\"",
            },
        }
    }
}

impl JwtSettings {
    /// The forms of tokens that are accepted with their keys, and the keys that decrypt and change at run time.
    fn forms(&self) -> Result<(Forms, DecryptionInForce), MergeError> {
        let keys = self.policy.keys.as_ref();
        let of_plus = keys.map(|keys| &*keys.decryption).unwrap_or_default();
        let has_named_files =
            keys.is_some_and(|keys| keys.sources.iter().any(|it| it.named().is_some()));
        Asked {
            types: self.types.as_ref(),
            named: self.decryption.as_ref(),
            of_plus,
            has_named_files,
            has_providers: self.providers.is_some(),
            renews: matches!(self.uri_signing, Some(UriSigning::On(_))),
        }
        .forms()
    }

    /// Whether tokens of a form that is accepted are signed.
    fn needs_verifying_keys(&self) -> bool {
        !self.types.as_ref().is_some_and(TokenTypes::are_only_encrypted)
    }

    /// Whether keys that decrypt vouch for tokens by themselves, so that a check is in force where they are.
    fn decryption_switches_on(&self) -> bool {
        self.decryption.is_some() && self.types.as_ref().is_some_and(TokenTypes::are_only_encrypted)
    }

    fn sources(&self) -> Sources {
        self.sources.clone().unwrap_or_else(sources::bearer)
    }

    /// How URIs are compared with what tokens from these sources cover, if they are.
    fn covering(&self, sources: &[AskedSource]) -> Option<Covering> {
        self.uri_signing?.covering(sources)
    }

    /// The check with the providers of `list`. A token must satisfy both the provider and the location.
    fn check_of_providers(
        &self,
        switch: &Switch,
        list: &ProviderList,
        http: &HttpLevel,
    ) -> Result<JwtCheck, MergeError> {
        let mistake = |what| MergeError { what, position: Rc::clone(&switch.position) };
        let listed = list.resolve(&http.providers).map_err(mistake)?;
        let (forms, decryption) = self.forms()?;
        let location = LocationPolicy {
            algorithms: self.policy.algorithms,
            leeway: self.policy.leeway,
            padding: self.policy.padding,
            requirements: self.policy.requirements(),
            revoked: self.policy.lists(),
            forms,
        };
        let revoked = self.policy.live_lists().into();
        let sources = sources::for_each(&listed.sources, &self.sources());
        Ok(http.numbered(JwtCheck {
            switch: switch.value,
            trust: Trust::Providers(Arc::clone(&listed.policies), location),
            decryption,
            policies: Rc::clone(&listed.live),
            lists: LocationLists { revoked, ..LocationLists::default() },
            status_lists: self.policy.status_lists(),
            rules: self.policy.rules(),
            uri_signing: self.covering(&sources),
            sources,
            next: self.next.unwrap_or(false),
            realm: self.realm,
            challenge: self.challenge.clone(),
            keys_on_variables: listed.keys_on_variables,
            steady: None,
        }))
    }
}

fn no_keys(switch: &Switch) -> MergeError {
    let name = switch.name;
    MergeError {
        what: format!(
            "\"{name}\" has no keys: name a jwt_kids, jwt_kids_file, jwks_file, jwks_request, \
             auth_jwt_key_file, auth_jwt_key_request or \"jwt on provider=...\", here or on a level \
             above,"
        ),
        position: Rc::clone(&switch.position),
    }
}
