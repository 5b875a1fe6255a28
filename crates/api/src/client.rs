//! A typed client of the API.

mod calls;
mod downloads;
mod events;
mod transport;

pub use downloads::{Download, Downloads};
pub use events::EventStream;

use crate::{API_PREFIX, Problem};
use bytes::Bytes;
use ferrogate_model::proxy::ProxySettings;
use ferrogate_model::{Explain, Fault, Retry};
use ferrogate_net::{HttpError, Trust, TrustError};
use http::{Method, Request, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::{net::IpAddr, time::Duration};
use transport::{Limits, Transport, Unusable, Way};
use url::Url;

/// How long a call may take where nothing else is said; creating a cluster asks MAAS through the gateway.
const CALL_DEADLINE: Duration = Duration::from_secs(60);
/// No answer of the API is longer; pages are bounded.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// How to reach a plane.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Base address, such as `https://plane.example.com`.
    pub url: Url,
    /// Bearer token; `None` for the calls that need none.
    pub token: Option<SecretString>,
    /// Whom to believe.
    pub trust: Trust,
    /// The way out. Nothing is read from the environment.
    pub proxy: ProxySettings,
    /// Names whose addresses are given here and not asked for, as in a hosts file.
    pub hosts: Vec<(String, IpAddr)>,
    /// Name and version of the program, for the plane's log.
    pub user_agent: String,
}

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The plane answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The plane was not reached, or its answer did not arrive.
    #[error("the plane at {url} did not answer")]
    Unreachable {
        /// Base address of the plane.
        url: String,
        /// What went wrong on the way.
        #[source]
        source: HttpError,
    },
    /// Something answered that is not a plane of ours.
    #[error("{url} does not answer as a Ferrogate plane: {detail}")]
    NotAPlane {
        /// The address that was asked.
        url: String,
        /// What it answered.
        detail: String,
    },
    /// The trust settings cannot be used.
    #[error("the trust settings for the plane cannot be used")]
    Trust(#[from] TrustError),
}

impl ApiError {
    /// The plane's problem, where it is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Unreachable { .. } | Self::NotAPlane { .. } | Self::Trust(_) => None,
        }
    }
}

impl Explain for ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::Problem(_) => "plane_problem",
            Self::Unreachable { source, .. } => source.code(),
            Self::NotAPlane { .. } => "not_a_plane",
            Self::Trust(_) => "bad_trust_settings",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Problem(problem) => problem.fault,
            Self::Unreachable { source, .. } => source.fault(),
            Self::NotAPlane { .. } | Self::Trust(_) => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Problem(problem) => problem.retry,
            Self::Unreachable { source, .. } => source.retry(),
            Self::NotAPlane { .. } | Self::Trust(_) => Retry::No,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Problem(problem) => problem.hint.clone(),
            Self::Unreachable { source, .. } => source.hint(),
            Self::NotAPlane { .. } => {
                Some("check the plane's address; it is the one the console is opened with".into())
            }
            Self::Trust(error) => error.hint(),
        }
    }
}

/// A client of one plane with one set of credentials. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: Transport,
    url: Url,
    token: Option<SecretString>,
}

impl Client {
    /// Makes a client; opens no connection yet.
    ///
    /// # Errors
    /// [`ApiError::Trust`] where the trust settings cannot be used, [`ApiError::NotAPlane`] where the address cannot be.
    pub fn new(options: ClientOptions) -> Result<Self, ApiError> {
        let ClientOptions { url, trust, proxy, hosts, user_agent, .. } = &options;
        let http = Transport::new(url, Way { trust, proxy, hosts, user_agent }).map_err(|error| match error {
            Unusable::Address(detail) => ApiError::NotAPlane { url: url.to_string(), detail },
            Unusable::Trust(error) => error.into(),
        })?;
        Ok(Self { http, url: options.url, token: options.token })
    }

    /// The same client with other credentials.
    #[must_use]
    pub fn with_token(&self, token: Option<SecretString>) -> Self {
        Self { token, ..self.clone() }
    }

    /// Base address of the plane.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    fn absolute(&self, path: &str) -> String {
        format!("{}{API_PREFIX}{path}", self.url.as_str().trim_end_matches('/'))
    }

    fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Request<Bytes>, ApiError> {
        let mut request =
            Request::builder().method(method).uri(self.absolute(path)).header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            let mut value = header::HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .map_err(|_| self.not_a_plane("the token has characters that no token has"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        request
            .body(body.unwrap_or_default().into())
            .map_err(|error| self.not_a_plane(format!("its address cannot be asked: {error}")))
    }

    fn not_a_plane(&self, detail: impl Into<String>) -> ApiError {
        ApiError::NotAPlane { url: self.url.to_string(), detail: detail.into() }
    }

    fn unreachable(&self, source: HttpError) -> ApiError {
        ApiError::Unreachable { url: self.url.to_string(), source }
    }

    /// The problem that an error answer carries.
    fn problem(&self, status: http::StatusCode, body: &[u8]) -> ApiError {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => ApiError::Problem(Box::new(problem)),
            Err(_) => {
                let text: String = String::from_utf8_lossy(body).chars().take(120).collect();
                self.not_a_plane(format!("HTTP {status} `{}`", text.trim().replace('\n', " ")))
            }
        }
    }

    async fn bytes(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Bytes, ApiError> {
        let request = self.request(method, path, body)?;
        let limits = Limits { deadline: CALL_DEADLINE, max_body: MAX_BODY };
        let response = self.http.send(request, limits).await.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(self.problem(response.status(), response.body()));
        }
        Ok(response.into_body())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, ApiError> {
        let bytes = self.bytes(method, path, body).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.not_a_plane(format!("its answer to {path} is not understood: {error}")))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.call(Method::GET, path, None).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.call(method, path, Some(to_json(body))).await
    }

    async fn send_only(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<(), ApiError> {
        self.bytes(method, path, body).await.map(drop)
    }
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("wire types have text keys and finite numbers")
}

/// A path segment that a person wrote, such as a name.
fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
