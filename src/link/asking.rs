//! What a format of links asks of the request that it judges.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use token::credential::{self, Found};
use token::link::{Carrier, LinkKeys, LinkRequest, Pair, Place, Remembered, Unavailable, Value};

use super::case::LinkCase;
use super::check::{LinkArgs, LinkCheck};
use super::names::{EXPIRES, KEY, TIME};
use crate::check::{NoVerdict, Source};
use crate::nginx::{ComplexValue, Request};

/// A request as its link's format sees it.
pub(super) struct Asking<'r> {
    case: LinkCase<'r>,
    check: &'r LinkCheck,
    /// How the text of the link came.
    carrier: Cell<Carrier>,
    /// The public keys in force now.
    keys: Option<Arc<LinkKeys>>,
    /// Why a value could not be evaluated.
    failed: Cell<Option<NoVerdict>>,
}

impl<'r> Asking<'r> {
    pub(super) fn new(case: LinkCase<'r>, check: &'r LinkCheck) -> Self {
        let keys = check.public.as_ref().map(|public| public.keys.current(case.case.request));
        Self { case, check, carrier: Cell::new(Carrier::Other), keys, failed: Cell::default() }
    }

    /// Why the format had no value of the request.
    pub(super) fn failure(&self) -> NoVerdict {
        self.failed.get().unwrap_or(NoVerdict::Value)
    }

    fn request(&self) -> Request<'r> {
        self.case.case.request
    }

    fn evaluate(&self, value: &ComplexValue) -> Result<&'r [u8], Unavailable> {
        self.request().evaluate(value).ok_or(Unavailable)
    }

    fn cookie(&self, name: &[u8]) -> Found<'r> {
        credential::cookie(self.request().header_values(b"cookie"), name)
    }

    fn found(&self, found: Found<'r>, carrier: Carrier) -> Option<Found<'r>> {
        let is_there = found != Found::Absent;
        if is_there {
            self.carrier.set(carrier);
        }
        is_there.then_some(found)
    }
}

impl LinkRequest for Asking<'_> {
    fn text(&self) -> Result<Option<Found<'_>>, Unavailable> {
        let Some(sources) = &self.check.sources else {
            let places = self.check.format.places();
            let found = places.iter().find_map(|place| match place {
                Place::Argument(name) => {
                    let found = self.request().argument(name.as_bytes()).or_absent();
                    self.found(found, Carrier::Query)
                }
                Place::Cookie(name) => self.found(self.cookie(name.as_bytes()), Carrier::Other),
            });
            return Ok((!places.is_empty()).then(|| found.unwrap_or(Found::Absent)));
        };
        for source in sources.iter() {
            let carrier = match source {
                Source::Arg(_) => Carrier::Query,
                _ => Carrier::Other,
            };
            let found = source.find(self.request()).map_err(|why| {
                self.failed.set(Some(why));
                Unavailable
            })?;
            if let Some(found) = self.found(found, carrier) {
                return Ok(Some(found));
            }
        }
        Ok(Some(Found::Absent))
    }

    fn carrier(&self) -> Carrier {
        self.carrier.get()
    }

    fn pair(&self) -> Result<Pair<'_>, Unavailable> {
        Ok(match &*self.check.args {
            LinkArgs::Names { signature, expires } => {
                let request = self.request();
                Pair { signature: request.argument(signature), time: request.argument(expires) }
            }
            LinkArgs::Values { signature, expires } => {
                let value = |value| Ok(Found::One(self.evaluate(value)?).or_absent());
                Pair { signature: value(signature)?, time: value(expires)? }
            }
        })
    }

    fn argument(&self, name: &[u8]) -> Found<'_> {
        self.request().argument(name)
    }

    fn cookie_lines(&self) -> Vec<&[u8]> {
        self.request().header_values(b"cookie").collect()
    }

    fn header(&self, name: &[u8]) -> Found<'_> {
        credential::header_value(self.request().header_lines(name), name)
    }

    fn query(&self) -> Option<&[u8]> {
        self.request().agreed_query()
    }

    fn sent_path(&self) -> Option<&[u8]> {
        self.request().sent_target().split(|byte| *byte == b'?').next()
    }

    fn value(&self) -> Result<Cow<'_, [u8]>, Unavailable> {
        let request = self.request();
        Ok(match (&self.check.value, self.check.format.value()) {
            (Some(value), _) => self.evaluate(value)?.into(),
            (None, Value::Path) => request.uri().into(),
            (None, Value::Address) => {
                let part = |name| request.named_variable(name).ok_or(Unavailable);
                [part(b"scheme")?, b"://", part(b"host")?, request.uri()].concat().into()
            }
        })
    }

    fn expression(&self, time: &[u8], secret: &[u8]) -> Result<Cow<'_, [u8]>, Unavailable> {
        let Some(expression) = &self.check.expression else { return Err(Unavailable) };
        let text = self.case.kept.presenting(time, secret, || self.request().evaluate(expression));
        // nginx may be assembling a value that uses the variables again, and must not use the unverified time
        // for it.
        for name in [EXPIRES, TIME, KEY] {
            self.request().forget_variable(name.to_bytes());
        }
        text.map(Cow::Borrowed).ok_or(Unavailable)
    }

    fn client(&self) -> Option<IpAddr> {
        self.request().client_address()
    }

    fn keys(&self) -> Option<&LinkKeys> {
        self.keys.as_deref()
    }

    fn remembered(&self) -> Option<&Remembered> {
        self.check.public.as_ref().map(|public| &*public.remembered)
    }
}
