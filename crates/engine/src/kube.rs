//! A thin client of the Kubernetes API: what the engine and the plane ask of a cluster, over any connector, with the
//! authorities and certificates of [`ferrogate_join::ClusterMaterials`]. It tries the members one after the other, so no virtual
//! address is needed to reach a cluster.

mod error;
pub mod objects;

pub use error::KubeError;
pub use objects::{Node, Pod};

use bytes::Bytes;
use ferrogate_join::{
    ClientIdentity,
    names::{API_PORT, API_SERVER_NAME},
};
use ferrogate_model::Timestamp;
use ferrogate_net::{Connector, HttpClient, Limits, Trust};
use http::{Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Annotation that holds since when we have been draining a node. It stands in Kubernetes so that the deadline survives us.
pub const DRAINING_SINCE: &str = "ferrogate.io/draining-since";

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Opens the connections.
    pub connector: Arc<dyn Connector>,
    /// Addresses of control-plane machines, best first.
    pub members: Vec<IpAddr>,
    /// The authority (PEM) that signed the servers' certificates.
    pub server_ca_pem: String,
    /// Who we are.
    pub identity: ClientIdentity,
    /// For one request to one member.
    pub deadline: Duration,
}

/// A client of one cluster. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    members: Vec<IpAddr>,
    limits: Limits,
}

/// What became of an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// The pod is on its way out, or gone.
    Accepted,
    /// A disruption budget does not permit it now; the server's words.
    Refused(String),
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// The authority or the identity cannot be read.
    pub fn new(options: Options) -> Result<Self, KubeError> {
        let trust =
            Trust::ca(options.server_ca_pem).with_identity(options.identity.certificate_pem, options.identity.key_pem);
        let http = HttpClient::builder(options.connector)
            .trust(trust)
            .server_name(Some(API_SERVER_NAME.to_owned()))
            .build()
            .map_err(KubeError::Trust)?;
        // Lists of thousands of pods take some megabytes.
        let limits = Limits { deadline: options.deadline, max_body: 64 * 1024 * 1024 };
        Ok(Self { http, members: options.members, limits })
    }

    /// Every node.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn nodes(&self) -> Result<Vec<Node>, KubeError> {
        let list: objects::List<Node> = self.get("/api/v1/nodes").await?;
        Ok(list.items)
    }

    /// One node; `None` where there is no such node.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn node(&self, name: &str) -> Result<Option<Node>, KubeError> {
        match self.get(&node_path(name)).await {
            Ok(node) => Ok(Some(node)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The pods that are bound to a node.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, KubeError> {
        let list: objects::List<Pod> = self.get(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}")).await?;
        Ok(list.items)
    }

    /// Merges a patch into a node; a node that is gone is not an error.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn patch_node(&self, name: &str, patch: &serde_json::Value) -> Result<(), KubeError> {
        gone_is_fine(self.request(Method::PATCH, &node_path(name), Some(patch)).await)
    }

    /// Keeps new pods away from a node and notes since when it has been drained.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn cordon(&self, name: &str, since: Timestamp) -> Result<(), KubeError> {
        let patch = json!({
            "metadata": {"annotations": {DRAINING_SINCE: since.to_string()}},
            "spec": {"unschedulable": true},
        });
        self.patch_node(name, &patch).await
    }

    /// Takes back [`Client::cordon`].
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn uncordon(&self, name: &str) -> Result<(), KubeError> {
        let patch = json!({
            "metadata": {"annotations": {DRAINING_SINCE: null}},
            "spec": {"unschedulable": null},
        });
        self.patch_node(name, &patch).await
    }

    /// Removes a node; one that is gone already is not an error.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn delete_node(&self, name: &str) -> Result<(), KubeError> {
        gone_is_fine(self.request(Method::DELETE, &node_path(name), None).await)
    }

    /// One pod; `None` where there is no such pod.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Pod>, KubeError> {
        match self.get(&pod_path(namespace, name)).await {
            Ok(pod) => Ok(Some(pod)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a pod; one of that name that is there already is left as it is.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn create_pod(&self, namespace: &str, pod: &serde_json::Value) -> Result<(), KubeError> {
        match self.request(Method::POST, &format!("/api/v1/namespaces/{namespace}/pods"), Some(pod)).await {
            Ok(_) | Err(KubeError::Status { status: StatusCode::CONFLICT, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What a pod's only container wrote.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn pod_log(&self, namespace: &str, name: &str) -> Result<String, KubeError> {
        let path = format!("{}/log?tailLines=1000", pod_path(namespace, name));
        let body = self.request(Method::GET, &path, None).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Removes a pod at once; one that is gone already is not an error.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn delete_pod(&self, namespace: &str, name: &str) -> Result<(), KubeError> {
        let path = format!("{}?gracePeriodSeconds=0", pod_path(namespace, name));
        gone_is_fine(self.request(Method::DELETE, &path, None).await)
    }

    /// Asks a pod to leave its node, within its disruption budget.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn evict(&self, namespace: &str, pod: &str) -> Result<Eviction, KubeError> {
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
        match self.request(Method::POST, &path, Some(&body)).await {
            Ok(_) => Ok(Eviction::Accepted),
            Err(error) if error.is_not_found() => Ok(Eviction::Accepted),
            Err(KubeError::Status { status: StatusCode::TOO_MANY_REQUESTS, message, .. }) => {
                Ok(Eviction::Refused(message))
            }
            Err(error) => Err(error),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, KubeError> {
        let body = self.request(Method::GET, path, None).await?;
        serde_json::from_slice(&body).map_err(|source| KubeError::Answer { path: path.to_owned(), source })
    }

    /// Sends a request to the first member that answers. Everything this client does may be repeated without harm.
    async fn request(&self, method: Method, path: &str, body: Option<&serde_json::Value>) -> Result<Bytes, KubeError> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut failed = Vec::new();
        for member in &self.members {
            let place = SocketAddr::new(*member, API_PORT);
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("https://{place}{path}"))
                .header(header::ACCEPT, "application/json");
            if body.is_some() {
                let patch = method == Method::PATCH;
                let kind = if patch { "application/merge-patch+json" } else { "application/json" };
                request = request.header(header::CONTENT_TYPE, kind);
            }
            let request = request.body(bytes.clone()).map_err(|_| KubeError::Path(path.to_owned()))?;
            match self.http.send(request, self.limits).await {
                Ok(response) if response.status().is_success() => return Ok(response.into_body()),
                Ok(response) => {
                    let error = KubeError::from_answer(place, path, response.status(), response.body());
                    // A server that has lost its quorum answers too; another member may be better off.
                    if response.status().is_server_error() {
                        failed.push(error);
                    } else {
                        return Err(error);
                    }
                }
                Err(source) => failed.push(KubeError::Unreachable { place, source: Box::new(source) }),
            }
        }
        // The first member is the best one, so its error tells most.
        Err(if failed.is_empty() { KubeError::NoMember } else { failed.swap_remove(0) })
    }
}

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

fn pod_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

fn gone_is_fine(result: Result<Bytes, KubeError>) -> Result<(), KubeError> {
    match result {
        Err(error) if !error.is_not_found() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
