//! Taking a server out of etcd before its machine is given back: removing its node does not do that.
//!
//! Nobody signs in to a machine here, so etcd's own tool does it in a short-lived pod on a server that stays: one pod lists
//! the members, another removes the one that leaves. Both are named after the leaver and looked at once in a pass, so that
//! a pass never waits and whoever dies in between goes on where it stopped. Done is only what a list shows to be gone.

use super::{Executor, Report};
use crate::{
    kube::{self, KubeError, Pod},
    mark,
    observed::{SeenNode, Status},
    plan::{Action, words},
};
use ferrogate_join::EtcdTool;
use ferrogate_model::{SystemId, Timestamp, cluster::CONTROL_PLANE_POOL, fault, state::Severity};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{net::IpAddr, time::Duration};

/// Where the pods run: the namespace that every cluster has and whose pods may use the host's files.
const NAMESPACE: &str = "kube-system";
/// Annotation with the time a pod was made, by our own clock.
const SINCE: &str = "ferrogate.io/since";
/// What a pod may take, its start included.
const POD_DEADLINE: Duration = Duration::from_secs(120);

/// Whether a server is out of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It is not among the members.
    Done,
    /// Not yet; what is waited for or in the way.
    NotYet(String),
}

/// A member as `etcdctl member list` writes it.
#[derive(Debug, Deserialize)]
struct Member {
    #[serde(rename = "ID")]
    id: u64,
    /// Empty until the member has started.
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<url::Url>,
    #[serde(rename = "isLearner", default)]
    is_learner: bool,
}

#[derive(Debug, Deserialize)]
struct Members {
    members: Vec<Member>,
}

impl Executor<'_> {
    /// One step towards a server being out of etcd; `node` is its name there.
    pub(super) async fn leave_etcd(&self, node: &str, addresses: &[IpAddr]) -> (Removal, Report) {
        let staying = self.servers_that_stay(node);
        let (Some(client), Some(place)) = (&self.client, staying.first()) else {
            // The last server takes etcd with it. Where another is a member, one that is silent now, etcd would wait for
            // the leaver's vote for ever.
            let removal = match self.another_member(node) {
                Some(other) => Removal::NotYet(format!(
                    "{other} does not answer for Kubernetes now, and only a server that does can take {node} out of etcd"
                )),
                None => Removal::Done,
            };
            return (removal, Report::default());
        };
        let tool = self.engine.setup().etcd_tool(&self.desired.configuration.release);
        let step = Step { client, tool, leaver: node, place: &place.name, now: self.now };
        match step.go(addresses, staying.len()).await {
            Ok((removal, is_removed)) => {
                let mut report = Report::changed();
                if is_removed {
                    let message = format!("server {node} is taken out of etcd by {}", place.name);
                    report = report.event(Severity::Info, "EtcdMemberRemoved", message, None);
                }
                (removal, report)
            }
            Err(error) => (Removal::NotYet(fault::chain(&error)), Report::default()),
        }
    }

    /// A server that joined and stays, whether it answers or not.
    fn another_member(&self, leaver: &str) -> Option<&str> {
        if self.desired.absent {
            return None;
        }
        let is_given_back = |id: &SystemId| {
            let mut actions = self.plan.actions.iter();
            actions.any(|action| matches!(action, Action::Release { machine, .. } if machine == id))
        };
        let mut servers = self.observed.machines.iter().filter(|seen| {
            seen.note(mark::POOL) == Some(CONTROL_PLANE_POOL)
                && seen.note(mark::JOINED).is_some()
                && seen.note(mark::NODE) != Some(leaver)
                && seen.status == Status::Deployed
                && !is_given_back(&seen.id)
        });
        servers.next().map(|seen| seen.hostname.as_str())
    }

    /// The servers that are ready, but for one.
    fn servers_that_stay(&self, leaver: &str) -> Vec<&SeenNode> {
        let leaving = |node: &SeenNode| node.name == leaver || node.draining_since.is_some();
        let is_server = |node: &SeenNode| node.pool.as_deref() == Some(CONTROL_PLANE_POOL);
        let nodes = self.observed.api.nodes().iter();
        nodes.filter(|node| is_server(node) && node.not_ready.is_none() && !leaving(node)).collect()
    }
}

/// One look at the pods of a removal.
struct Step<'a> {
    client: &'a kube::Client,
    tool: EtcdTool,
    leaver: &'a str,
    place: &'a str,
    now: Timestamp,
}

impl Step<'_> {
    /// How far it is, and whether the member was removed just now. `ready` servers stay.
    async fn go(&self, addresses: &[IpAddr], ready: usize) -> Result<(Removal, bool), KubeError> {
        let (list, remove) = (self.pod("list"), self.pod("remove"));
        let what = format!("{} is being taken out of etcd", self.leaver);
        let mut is_removed = false;
        match self.ended(&remove).await? {
            None | Some(Ended::Stale) => {}
            Some(Ended::NotYet) => return Ok((Removal::NotYet(what), false)),
            Some(Ended::Well(_)) => is_removed = true,
            Some(Ended::Badly(said)) => {
                return Ok((Removal::NotYet(format!("{what}; the last try failed: {said}")), false));
            }
        }
        let text = match self.ended(&list).await? {
            None | Some(Ended::Stale) => {
                self.start(&list, &["member", "list", "--write-out=json"]).await?;
                return Ok((Removal::NotYet(format!("{what}: its members are listed")), is_removed));
            }
            Some(Ended::NotYet) => {
                return Ok((Removal::NotYet(format!("{what}: its members are listed")), is_removed));
            }
            Some(Ended::Badly(said)) => {
                return Ok((Removal::NotYet(format!("etcd's members could not be listed: {said}")), is_removed));
            }
            Some(Ended::Well(text)) => text,
        };
        let members: Members =
            serde_json::from_str(&text).map_err(|source| KubeError::Answer { path: list.clone(), source })?;
        let removal = match choose(&members.members, self.leaver, addresses, ready) {
            Ok(None) => Removal::Done,
            Ok(Some(id)) => {
                self.start(&remove, &["member", "remove", &format!("{id:x}")]).await?;
                Removal::NotYet(what)
            }
            Err(why) => Removal::NotYet(why),
        };
        Ok((removal, is_removed))
    }

    fn pod(&self, what: &str) -> String {
        format!("ferrogate-etcd-{what}-{}", self.leaver)
    }

    /// What became of a pod, which is taken away once it has ended; `None` where there is none.
    async fn ended(&self, name: &str) -> Result<Option<Ended>, KubeError> {
        let Some(pod) = self.client.pod(NAMESPACE, name).await? else { return Ok(None) };
        let ended = match pod.status.phase.as_str() {
            // What a list said long ago may be wrong by now.
            _ if self.is_old(&pod) => Ended::Stale,
            "Succeeded" => Ended::Well(self.client.pod_log(NAMESPACE, name).await?),
            "Failed" => {
                let log = self.client.pod_log(NAMESPACE, name).await.unwrap_or_default();
                let line = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it left no word");
                Ended::Badly(line.chars().take(300).collect())
            }
            _ => return Ok(Some(Ended::NotYet)),
        };
        self.client.delete_pod(NAMESPACE, name).await?;
        Ok(Some(ended))
    }

    fn is_old(&self, pod: &Pod) -> bool {
        let since = pod.metadata.annotations.get(SINCE).and_then(|since| since.parse().ok());
        since.is_none_or(|since| words::elapsed(since, self.now) > POD_DEADLINE)
    }

    async fn start(&self, name: &str, arguments: &[&str]) -> Result<(), KubeError> {
        self.client.create_pod(NAMESPACE, &manifest(&self.tool, name, self.place, arguments, self.now)).await
    }
}

/// What became of a pod.
enum Ended {
    NotYet,
    Well(String),
    Badly(String),
    /// It is too old to be believed, or never ended.
    Stale,
}

/// The member to remove; none where it is not there; or why it must stay. `ready` servers are well beside it.
fn choose(members: &[Member], leaver: &str, addresses: &[IpAddr], ready: usize) -> Result<Option<u64>, String> {
    let is_at = |url: &url::Url| {
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
        host.and_then(|host| host.parse().ok()).is_some_and(|host: IpAddr| addresses.contains(&host))
    };
    // One that never started has no name yet, only the address it was announced with.
    let is_leaver =
        |member: &&Member| member.name == leaver || (member.name.is_empty() && member.peer_urls.iter().any(is_at));
    let Some(member) = members.iter().find(is_leaver) else { return Ok(None) };
    let left = members.iter().filter(|other| other.id != member.id && !other.is_learner).count();
    if !member.is_learner && ready <= left / 2 {
        return Err(format!(
            "{leaver} stays in etcd: only {ready} of the {left} members that would remain are ready, which is no majority"
        ));
    }
    Ok(Some(member.id))
}

/// A pod that runs etcd's tool once, with the certificates of the server it runs on and nothing else of the host.
fn manifest(tool: &EtcdTool, name: &str, place: &str, arguments: &[&str], now: Timestamp) -> Value {
    let files = [("ca", &tool.ca), ("cert", &tool.certificate), ("key", &tool.key)];
    let mut command = vec!["etcdctl".to_owned(), "--endpoints=https://127.0.0.1:2379".to_owned()];
    let option = |name: &str| if name == "ca" { "--cacert".to_owned() } else { format!("--{name}") };
    command.extend(files.iter().map(|(name, _)| format!("{}=/etcd/{name}", option(name))));
    command.push("--command-timeout=20s".to_owned());
    command.extend(arguments.iter().map(|&argument| argument.to_owned()));
    let mounts = files.map(|(name, _)| json!({"name": name, "mountPath": format!("/etcd/{name}"), "readOnly": true}));
    let volumes = files.map(|(name, path)| json!({"name": name, "hostPath": {"path": path, "type": "File"}}));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "ferrogate"},
            "annotations": {SINCE: now.to_string()},
        },
        "spec": {
            "nodeName": place,
            "hostNetwork": true,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": POD_DEADLINE.as_secs(),
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": "etcdctl",
                "image": tool.image,
                "imagePullPolicy": "Never",
                "command": command,
                "securityContext": {
                    "runAsUser": 0,
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<Member> {
        let text = r#"{"header": {"cluster_id": 1}, "members": [
            {"ID": 10276657743932975437, "name": "a", "peerURLs": ["https://10.0.0.1:2380"], "clientURLs": ["https://10.0.0.1:2379"]},
            {"ID": 2, "name": "b", "peerURLs": ["https://10.0.0.2:2380"]},
            {"ID": 3, "name": "c", "peerURLs": ["https://10.0.0.3:2380"]},
            {"ID": 4, "name": "", "peerURLs": ["https://10.0.0.4:2380"], "isLearner": true}]}"#;
        serde_json::from_str::<Members>(text).unwrap().members
    }

    #[test]
    fn a_member_is_chosen_by_its_name_and_one_that_never_started_by_its_address() {
        let members = members();
        let at = |last: u8| [IpAddr::from([10, 0, 0, last])];
        assert_eq!(choose(&members, "a", &at(1), 2), Ok(Some(10_276_657_743_932_975_437)));
        assert_eq!(choose(&members, "d", &at(4), 3), Ok(Some(4)));
        // Another's address under another name is another member.
        assert_eq!(choose(&members, "d", &at(2), 3), Ok(None));
        assert_eq!(choose(&members, "d", &[], 3), Ok(None));
    }

    #[test]
    fn nobody_leaves_without_whom_the_majority_is_gone() {
        let members = members();
        let refused = choose(&members, "b", &[], 1).unwrap_err();
        assert!(refused.contains("only 1 of the 2 members that would remain are ready"), "{refused}");
        assert_eq!(choose(&members, "b", &[], 2), Ok(Some(2)));
        // Who has no vote takes none away.
        assert_eq!(choose(&members, "d", &[IpAddr::from([10, 0, 0, 4])], 0), Ok(Some(4)));
    }

    #[test]
    fn the_pod_has_the_certificates_of_its_host_and_no_rights() {
        let tool = EtcdTool {
            image: "registry.k8s.io/etcd:3.6.6-0".into(),
            ca: "/etc/kubernetes/pki/etcd/ca.crt".into(),
            certificate: "/etc/kubernetes/pki/etcd/healthcheck-client.crt".into(),
            key: "/etc/kubernetes/pki/etcd/healthcheck-client.key".into(),
        };
        let pod = manifest(&tool, "x", "a", &["member", "list"], Timestamp::UNIX_EPOCH);
        let container = &pod["spec"]["containers"][0];
        let command: Vec<&str> = container["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(
            command,
            [
                "etcdctl",
                "--endpoints=https://127.0.0.1:2379",
                "--cacert=/etcd/ca",
                "--cert=/etcd/cert",
                "--key=/etcd/key",
                "--command-timeout=20s",
                "member",
                "list"
            ]
        );
        assert_eq!((pod["spec"]["nodeName"].as_str(), pod["spec"]["hostNetwork"].as_bool()), (Some("a"), Some(true)));
        assert_eq!(pod["spec"]["volumes"][2]["hostPath"]["path"], tool.key);
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    }
}
