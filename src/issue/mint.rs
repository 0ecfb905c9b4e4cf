//! `jwt_mint $variable { ... }`: a token that nginx makes for an upstream. It is remembered by what it was
//! made of, so that it is signed once, not for each request.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use token::Algorithm;
use token::sign::{Json, Members, NUMBERS, SigningKey};

use super::claims::ClaimSetting;
use super::key::LiveKey;
use crate::check::NoVerdict;
use crate::nginx::Request;

/// How many bytes of tokens, and of what they were made of, a worker remembers of each variable in a
/// generation: of two generations altogether.
const REMEMBERED: usize = 2 << 20;

/// What an entry costs beside its texts, in bytes.
const OVERHEAD: usize = 160;

/// How many bytes the claims of a token may have: a longer token would be refused by most.
const LARGEST: usize = 32 << 10;

/// A variable with tokens.
pub(crate) struct Mint {
    /// Its number among all such variables.
    pub(super) number: usize,
    pub(super) name: Box<str>,
    pub(super) key: Rc<LiveKey>,
    pub(super) claims: Vec<ClaimSetting>,
    /// In seconds.
    pub(super) lifetime: i64,
    /// Whether its claims are being evaluated: one of them may lead back to it.
    pub(super) is_evaluated: Cell<bool>,
    /// What this worker remembers. Made when it is first used.
    pub(super) remembered: OnceCell<RefCell<Remembered>>,
}

/// What is kept with a request: the tokens that it has been given. nginx reads a variable twice, for its
/// length and for its bytes, and must see the same token, also if its time ends in between.
#[derive(Default)]
pub(crate) struct Kept(RefCell<Vec<Given>>);

/// What a request has been given.
struct Given {
    /// The number of the variable.
    of: usize,
    material: Box<[u8]>,
    /// `None` if it cannot be signed.
    minted: Option<Rc<Minted>>,
}

/// A token, and until when it is given to requests.
struct Minted {
    token: Box<str>,
    /// Seconds since the epoch.
    until: i64,
    /// The key that has signed it: once another one signs, it is no longer given. It does not keep the key.
    key: Weak<SigningKey>,
}

/// Tokens by what they were made of. Those that were used in the younger generation are kept when the
/// older one is dropped.
#[derive(Default)]
pub(super) struct Remembered {
    younger: Generation,
    older: Generation,
}

#[derive(Default)]
struct Generation {
    tokens: HashMap<Box<[u8]>, Rc<Minted>>,
    bytes: usize,
}

impl Generation {
    fn insert(&mut self, material: &[u8], minted: Rc<Minted>) {
        self.bytes += material.len() + minted.token.len() + OVERHEAD;
        self.tokens.insert(material.into(), minted);
    }
}

impl Remembered {
    fn get(&mut self, material: &[u8]) -> Option<Rc<Minted>> {
        if let Some(known) = self.younger.tokens.get(material) {
            return Some(Rc::clone(known));
        }
        let known = self.older.tokens.remove(material)?;
        self.insert(material, Rc::clone(&known));
        Some(known)
    }

    fn insert(&mut self, material: &[u8], minted: Rc<Minted>) {
        if self.younger.bytes >= REMEMBERED {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(material, minted);
    }
}

/// Ends an evaluation when it is dropped.
struct Evaluated<'m>(&'m Cell<bool>);

impl Drop for Evaluated<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Mint {
    /// The token for this request; `None` if it cannot be signed, and the log says why. `signed` is called
    /// if it is signed now. Fails if one of its claims depends on it.
    pub(crate) fn token(
        &self,
        request: Request<'_>,
        kept: &Kept,
        signed: impl FnOnce(Algorithm),
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        if self.is_evaluated.replace(true) {
            self.tell(request, format_args!("one of its claims depends on it"));
            return Err(NoVerdict::Circular);
        }
        let evaluated = Evaluated(&self.is_evaluated);
        let material = self.material(request);
        drop(evaluated);
        let Some(material) = material else { return Ok(None) };
        let known = |kept: &Kept| {
            let kept = kept.0.try_borrow().ok()?;
            let known = |one: &&Given| one.of == self.number && *one.material == *material;
            kept.iter().find(known).map(|one| one.minted.clone())
        };
        let minted = known(kept).unwrap_or_else(|| {
            let minted = self.minted(request, &material, signed);
            if let Ok(mut kept) = kept.0.try_borrow_mut() {
                let (material, minted) = (material.into(), minted.clone());
                kept.push(Given { of: self.number, material, minted });
            }
            minted
        });
        Ok(minted.map(|minted| minted.token.as_bytes().to_vec()))
    }

    /// The values of all claims, each after its length.
    fn material(&self, request: Request<'_>) -> Option<Vec<u8>> {
        let mut material = Vec::with_capacity(256);
        for claim in &self.claims {
            let Some(value) = claim.text(request) else {
                self.tell(
                    request,
                    format_args!("claim \"{}\" could not be evaluated", claim.name()),
                );
                return None;
            };
            material.extend_from_slice(&(value.len() as u64).to_ne_bytes());
            material.extend_from_slice(value);
        }
        if material.len() > LARGEST {
            self.tell(request, format_args!("its claims have more than {LARGEST} bytes"));
            return None;
        }
        Some(material)
    }

    /// A token that is remembered, or a new one.
    fn minted(
        &self,
        request: Request<'_>,
        material: &[u8],
        signed: impl FnOnce(Algorithm),
    ) -> Option<Rc<Minted>> {
        let (key, now) = (self.key.signing(request)?, request.now());
        let remembered = self.remembered.get_or_init(RefCell::default);
        let known = remembered.try_borrow_mut().ok().and_then(|mut all| all.get(material));
        if let Some(known) = known
            && now < known.until
            && Weak::ptr_eq(&known.key, &Arc::downgrade(&key))
        {
            return Some(known);
        }
        let (token, lives) = match self.sign(&key, material, now) {
            Ok(signed) => signed,
            Err(why) => {
                self.tell(request, format_args!("{why}"));
                return None;
            }
        };
        signed(key.algorithm());
        let until = now.saturating_add(lives / 5 * 4 + lives % 5 * 4 / 5);
        let minted = Rc::new(Minted { token: token.into(), until, key: Arc::downgrade(&key) });
        if let Ok(mut all) = remembered.try_borrow_mut() {
            all.insert(material, Rc::clone(&minted));
        }
        Some(minted)
    }

    /// Signs a token. Returns it, and for how many seconds it is valid.
    fn sign(
        &self,
        key: &SigningKey,
        mut material: &[u8],
        now: i64,
    ) -> Result<(String, i64), String> {
        let mut claims = Members::default();
        for claim in &self.claims {
            let (len, rest) = material.split_first_chunk().unwrap_or((&[0; 8], &[]));
            let len = usize::try_from(u64::from_ne_bytes(*len)).unwrap_or(usize::MAX);
            let (value, rest) = rest.split_at_checked(len).unwrap_or_default();
            material = rest;
            let json =
                claim.json(value).map_err(|why| format!("claim \"{}\" {why}", claim.name()))?;
            if let Some(json) = json {
                claims.set(claim.name(), json);
            }
        }
        for (name, time) in [("iat", now), ("exp", now.saturating_add(self.lifetime))] {
            if claims.get(name).is_none() {
                claims.set(name, Json::integer(time));
            }
        }
        let is_wrong = |name: &&&str| claims.get(name).is_some_and(|value| !value.is_number());
        if let Some(name) = NUMBERS.iter().find(is_wrong) {
            return Err(format!("claim \"{name}\" is no number"));
        }
        // A claim may say less than the lifetime.
        let exp = claims.get("exp").and_then(|exp| exp.to_string().parse::<i64>().ok());
        let lives =
            exp.map_or(self.lifetime, |exp| exp.saturating_sub(now)).clamp(0, self.lifetime);
        let token = key.sign(&claims).map_err(|error| error.to_string())?;
        Ok((token, lives))
    }

    fn tell(&self, request: Request<'_>, why: std::fmt::Arguments<'_>) {
        let name = self.name.escape_debug();
        request.log_error(format_args!("jwt_mint: ${name} is empty: {why}"));
    }
}
