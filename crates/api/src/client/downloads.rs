//! Files from wherever they are published, by the same client as the API's calls.

use super::transport::{Transport, Way};
use bytes::Bytes;
use ferrogate_model::{fault::chain, proxy::ProxySettings};
use ferrogate_net::Trust;
use http::{Request, header};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// Publishers send on to where a file really lies.
const MAX_REDIRECTS: usize = 5;

/// How files are fetched. Nothing is read from the environment.
#[derive(Clone, Debug)]
pub struct Downloads {
    /// Whom to believe.
    pub trust: Trust,
    /// The way out.
    pub proxy: ProxySettings,
    /// Name and version of the program.
    pub user_agent: String,
    /// Longest wait for the head of an answer, and between two pieces of it.
    pub patience: Duration,
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    patience: Duration,
}

impl Downloads {
    /// Asks for a file, and follows where its publisher sends on to, but never from `https` to `http`: what is checked by its
    /// checksum may come from anywhere, but not less privately than it was asked for.
    ///
    /// # Errors
    /// In words.
    pub async fn get(&self, address: &Url) -> Result<Download, String> {
        let mut address = address.clone();
        for _ in 0..=MAX_REDIRECTS {
            let way = Way { trust: &self.trust, proxy: &self.proxy, hosts: &[], user_agent: &self.user_agent };
            let transport = Transport::new(&address, way).map_err(|error| chain(&error))?;
            let request = Request::get(address.as_str()).body(Bytes::new()).map_err(|error| error.to_string())?;
            let response = transport.open(request, self.patience).await.map_err(|error| chain(&error))?;
            if response.status().is_success() {
                return Ok(Download { response, patience: self.patience });
            }
            let onward = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let Some(onward) = onward.filter(|_| response.status().is_redirection()) else {
                return Err(format!("{} answered {}", address.host_str().unwrap_or(""), response.status()));
            };
            let next = address.join(onward).map_err(|error| format!("it sends on to a bad address: {error}"))?;
            if address.scheme() == "https" && next.scheme() != "https" {
                return Err("it sends on from https to http".into());
            }
            address = next;
        }
        Err(format!("it sends on more than {MAX_REDIRECTS} times"))
    }
}

impl Download {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// In words, where it broke off or nothing came for too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        timeout(self.patience, self.response.chunk())
            .await
            .map_err(|_| format!("no byte came for {} s", self.patience.as_secs()))?
            .map_err(|error| chain(&error.without_url()))
    }
}
