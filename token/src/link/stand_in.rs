//! Requests in the tests of formats: shorter to write than [`Given`].

use super::format::LinkFormat;
use super::given::Given;
use super::keys::LinkKeys;
use super::remembered::Remembered;
use super::request::Carrier;

/// A request, with what a test says of it.
#[derive(Clone, Copy, Default)]
pub(super) struct StandIn<'r> {
    pub(super) value: &'r str,
    pub(super) query: &'r str,
    pub(super) sent_path: Option<&'r str>,
    pub(super) cookies: &'r str,
    pub(super) headers: &'r [(&'r str, &'r str)],
    pub(super) text: &'r str,
    pub(super) is_text_of_query: bool,
    pub(super) client: &'r str,
    pub(super) keys: Option<&'r LinkKeys>,
    pub(super) remembered: Option<&'r Remembered>,
}

impl<'r> StandIn<'r> {
    /// The request. The text is that of a configured source; without one, the places of the format count.
    pub(super) fn given(&self, format: &'r dyn LinkFormat) -> Given<'r> {
        let carrier = if self.is_text_of_query { Carrier::Query } else { Carrier::Other };
        let headers = self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Given {
            query: self.query.as_bytes(),
            sent_path: self.sent_path.map(str::as_bytes),
            cookies: vec![self.cookies.as_bytes()],
            headers: headers.collect(),
            client: self.client.parse().ok(),
            keys: self.keys,
            remembered: self.remembered,
            places: format.places(),
            source: (!self.text.is_empty()).then_some((self.text.as_bytes(), carrier)),
            ..Given::new(self.value)
        }
    }
}
