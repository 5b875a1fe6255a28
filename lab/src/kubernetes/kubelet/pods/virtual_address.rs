//! The program in kube-vip's image: one node at a time answers at the shared address and hands over to the API server beside
//! it. An address that nobody holds does not answer, as on a real network.

use crate::{kubernetes::kubeconfig::Kubeconfig, programs::Container};
use ferrogate_net::{Network, Target};
use http::Method;
use serde_json::json;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How often a node that does not hold the address tries to, and how long one waits that has let it go.
const RETRY: Duration = Duration::from_secs(2);
/// How long the API server beside it may take to accept.
const ACCEPT: Duration = Duration::from_secs(5);

/// Runs until it is cancelled. Holds the address while nobody else does and the API server beside it answers.
pub(super) async fn run(container: Container, network: Network) -> Result<(), String> {
    let setting = |name: &str| container.env.get(name).map(String::as_str).unwrap_or_default();
    let address: IpAddr = setting("address").parse().map_err(|_| "no address is set to be held")?;
    let port: u16 = setting("port").parse().map_err(|_| "no port is set")?;
    if container.args != ["manager"] || [setting("vip_arp"), setting("cp_enable")] != ["true", "true"] {
        return Err("nothing to do: neither ARP nor the control plane is enabled".into());
    }
    let beside = Target::new(container.node_address.to_string(), port);
    let hold = async {
        loop {
            if may_lead(&container, port).await
                && container.connector.connect(&beside, ACCEPT).await.is_ok()
                && let Ok(listener) = network.listen(SocketAddr::new(address, port))
            {
                while let Ok((mut visitor, _)) = listener.accept().await {
                    let Ok(mut server) = container.connector.connect(&beside, ACCEPT).await else { break };
                    tokio::spawn(async move {
                        let _ = tokio::io::copy_bidirectional(&mut visitor, &mut server).await;
                    });
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    container.cancel.run_until_cancelled(hold).await.unwrap_or(());
    Ok(())
}

/// Whether it may hold the lease that makes it the one: with the kubeconfig that it mounts, asked of the API server beside
/// it. One that mounts none has its rights from its service account.
async fn may_lead(container: &Container, port: u16) -> bool {
    let path = container.root.join("etc/kubernetes/admin.conf");
    if !path.exists() {
        return true;
    }
    let ask = async {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let beside = format!("https://{}", SocketAddr::new(container.node_address, port));
        let caller = Kubeconfig::parse(&text)?.with_server(beside).caller(container.connector.clone())?;
        let wanted = json!({"namespace": "kube-system", "verb": "update", "group": "coordination.k8s.io",
            "resource": "leases", "name": "plndr-cp-lock"});
        let review = json!({"spec": {"resourceAttributes": wanted}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let review = caller.call(Method::POST, path, Some(&review)).await.map_err(|failed| failed.why)?;
        Ok::<_, String>(review["status"]["allowed"] == true)
    };
    match ask.await {
        Ok(may) => may,
        Err(why) => {
            tracing::debug!(why, "the simulated kube-vip cannot ask its API server");
            false
        }
    }
}
