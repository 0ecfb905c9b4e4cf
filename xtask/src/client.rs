//! An HTTP client for an nginx on this machine.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ureq::Agent;
use ureq::http::HeaderMap;

/// What nginx answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header, if it is there and readable.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Keeps its connection from one request to the next.
pub(crate) struct Client(Agent);

impl Client {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None) // a proxy that this machine is set up with is for other addresses
            .timeout_global(Some(Duration::from_secs(10)))
            .build();
        Self(config.into())
    }

    /// Reads the whole answer: only then is the connection free for the next request.
    ///
    /// # Errors
    /// When no whole answer arrives.
    pub(crate) fn get(&self, url: &str, token: Option<&str>) -> Result<Answer> {
        let mut request = self.0.get(url);
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().with_context(|| url.to_owned())?;
        let body = response.body_mut().read_to_vec().with_context(|| url.to_owned())?;
        let (parts, _) = response.into_parts();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}
