//! The units of a node, and what they do in which order.
//!
//! `ferrogate-node` fetches, unpacks and imports; `ferrogate-kubeadm` then brings the node into its cluster, by way of units
//! that run only on condition: `ferrogate-reset` clears what a broken-off attempt left, unless there is etcd's data of a
//! member; `ferrogate-join` runs kubeadm until it has succeeded once. A further server joins in two steps: `ferrogate-join`
//! prepares it, `ferrogate-resume` makes it a member of etcd and does what is left. All of it may be cut off at any point and
//! starts again at the next boot.
//!
//! etcd writes through to its disk at once and kubeadm does not. So everything that a member cannot do without is on the
//! disk before it becomes one: a member is not cleared, and what a power cut left empty nobody would write again.

use super::{IMAGES, KUBERNETES, MANIFESTS, SEED, SOCKET, configuration::CONFIG, virtual_address::LESS_RIGHTS};
use crate::{
    artifacts::{PROXY_ENV, SYNC, Steps, marker},
    units::Unit,
};
use ferrogate_join::{
    Role,
    cloud_config::{CloudConfig, Mode},
};
use ferrogate_model::{ImageRef, release::Images};

const JOINED: &str = "/var/lib/ferrogate-node/joined";
const READY: &str = "/var/lib/ferrogate-node/ready";
/// Is there once this machine has been a member of etcd.
const MEMBER: &str = "/var/lib/etcd/member";
/// The phases by which a further server becomes a member of etcd, and those after them.
const AFTER_ETCD: &str = "etcd-join,kubelet-wait-bootstrap,control-plane-join,wait-control-plane";
/// What the kubelet runs by itself.
const STATIC_PODS: &str = "/etc/kubernetes/manifests";
const SYSTEMCTL: &str = "/usr/bin/systemctl";
const KUBEADM: &str = "/usr/local/bin/kubeadm";

/// After the bundle has been unpacked.
pub(super) const AFTER_UNPACKING: Steps = Steps { prepare: PREPARE, start: START };

const PREPARE: &[&[&str]] = &[
    // Modules that are part of the kernel cannot be loaded.
    &["-/usr/bin/systemctl", "restart", "systemd-modules-load.service"],
    &[SYSTEMCTL, "restart", "systemd-sysctl.service"],
    // containerd does not see that a power cut left an image half unpacked; nothing is there yet that is worth keeping.
    &["-/usr/bin/systemctl", "stop", "containerd.service"],
    &["/usr/bin/rm", "--recursive", "--force", "/var/lib/containerd"],
    &[SYSTEMCTL, "enable", "--now", "containerd.service"],
    // What was imported is removed; what is left could not be.
    &[
        "/usr/bin/find",
        IMAGES,
        "-name",
        "*.tar",
        "-exec",
        "/usr/local/bin/ctr",
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "{}",
        ";",
        "-delete",
    ],
    &["/usr/bin/find", IMAGES, "-name", "*.tar", "-exec", "/usr/bin/false", "{}", "+"],
    // It starts by itself once kubeadm has told it how.
    &[SYSTEMCTL, "enable", "kubelet.service"],
    &[SYSTEMCTL, "enable", "ferrogate-kubeadm.service"],
];

const START: &[&[&str]] = &[&[SYSTEMCTL, "start", "--no-block", "ferrogate-kubeadm.service"]];

/// Adds containerd, the kubelet and our own units.
pub(super) fn add(config: &mut CloudConfig, images: &Images, role: &Role, has_shared_address: bool) {
    config.file("/etc/containerd/config.toml", Mode::Public, containerd_settings(&images.pause));
    let mut units = vec![
        ("containerd", containerd()),
        ("kubelet", kubelet()),
        ("ferrogate-reset", reset()),
        ("ferrogate-join", join(role)),
        ("ferrogate-kubeadm", membership(role, has_shared_address)),
    ];
    if matches!(role, Role::Server(_)) {
        units.push(("ferrogate-resume", resume()));
    }
    for (name, unit) in units {
        config.file(&format!("/etc/systemd/system/{name}.service"), Mode::Public, unit.text());
    }
}

/// Its version 3 is that of containerd 2. The folders of network plugins are the defaults.
fn containerd_settings(pause: &ImageRef) -> String {
    // By the name under which containerd keeps it, or it would count as unused and be cleared away on a full disk.
    let pause = pause.pinned();
    format!(
        "version = 3

[plugins.'io.containerd.cri.v1.images']
  # A power cut must not leave half an image that counts as whole.
  image_pull_with_sync_fs = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{pause}'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    SystemdCgroup = true
"
    )
}

fn containerd() -> Unit {
    Unit::default()
        .section("Unit")
        .set("Description", "Containers (containerd)")
        .set("Documentation", "https://containerd.io")
        .set("Wants", "network-online.target")
        .set("After", "network-online.target")
        .section("Service")
        .set("Type", "notify")
        // Images that the bundle lacks are pulled through the proxy. Nothing else of Kubernetes uses it.
        .set("EnvironmentFile", PROXY_ENV)
        .exec(["/usr/local/bin/containerd"])
        // Containers outlive a restart; the limits are those that containers need.
        .set("KillMode", "process")
        .set("Delegate", "yes")
        .set("LimitNOFILE", "1048576")
        .set("LimitNPROC", "infinity")
        .set("LimitCORE", "infinity")
        .set("TasksMax", "infinity")
        .set("OOMScoreAdjust", "-999")
        .set("TimeoutStartSec", "300")
        .set("Restart", "always")
        .set("RestartSec", "5")
        .section("Install")
        .set("WantedBy", "multi-user.target")
}

fn kubelet() -> Unit {
    let arguments = "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
        --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml";
    Unit::default()
        .section("Unit")
        .set("Description", "Kubernetes on this node (kubelet)")
        .set("Documentation", "https://kubernetes.io")
        .set("Wants", "network-online.target containerd.service")
        .set("After", "network-online.target containerd.service")
        .set("ConditionPathExists", "/var/lib/kubelet/config.yaml")
        .set("StartLimitIntervalSec", "0")
        .section("Service")
        .set("EnvironmentFile", "-/var/lib/kubelet/kubeadm-flags.env")
        // What kubeadm writes there are several arguments.
        .set("ExecStart", &format!("/usr/local/bin/kubelet {arguments} $KUBELET_KUBEADM_ARGS"))
        .set("Delegate", "yes")
        .set("Restart", "always")
        .set("RestartSec", "5")
        .section("Install")
        .set("WantedBy", "multi-user.target")
}

fn reset() -> Unit {
    Unit::default()
        .section("Unit")
        .set("Description", "Clear what a broken-off start of Kubernetes left")
        .set("ConditionPathExists", &format!("!{JOINED}"))
        // Data of etcd may be what the cluster's majority needs: a member is never cleared, kubeadm takes it up again.
        .set("ConditionPathExists", &format!("!{MEMBER}"))
        .section("Service")
        .set("Type", "oneshot")
        .set("Environment", "HOME=/root")
        .set("TimeoutStartSec", "300")
        // With it kubeadm would ask a cluster that may not answer.
        .exec(["/usr/bin/rm", "--force", &format!("{KUBERNETES}/admin.conf")])
        // The phase that is left out would empty etcd's folder, whatever is in it.
        .exec([KUBEADM, "reset", "--force", "--skip-phases", "remove-etcd-member", "--cri-socket", SOCKET])
}

fn join(role: &Role) -> Unit {
    let command = if *role == Role::FirstServer { "init" } else { "join" };
    let mut unit = Unit::default()
        .section("Unit")
        .set("Description", &format!("Bring this node into its cluster (kubeadm {command})"))
        .set("ConditionPathExists", &format!("!{JOINED}"));
    if matches!(role, Role::Server(_)) {
        unit = unit.set("ConditionPathExists", &format!("!{MEMBER}"));
    }
    unit =
        unit.section("Service").set("Type", "oneshot").set("Environment", "HOME=/root").set("TimeoutStartSec", "1800");
    if !matches!(role, Role::Agent(_)) {
        unit = unit.exec(["/usr/bin/cp", "--archive", "--no-target-directory", SEED, KUBERNETES]).exec(SYNC);
    }
    match role {
        Role::FirstServer => {
            // It takes what it finds and makes the rest anew, but for what it finds empty.
            for files in ["certs", "kubeconfig"] {
                unit = unit.exec([KUBEADM, "init", "phase", files, "all", "--config", CONFIG]);
            }
            unit = unit.exec(SYNC);
        }
        Role::Server(_) => {
            // What is written there is on the disk at once. kubeadm writes etcd's manifest between making this server a
            // member and giving it its vote; if it were lost, the others could wait for that vote for ever.
            unit = unit.exec(["/usr/bin/install", "-d", "-m", "0700", STATIC_PODS]);
            unit = unit.exec(["-/usr/bin/chattr", "+S", STATIC_PODS]);
            return unit.exec([KUBEADM, "join", "--config", CONFIG, "--skip-phases", AFTER_ETCD]).exec(SYNC);
        }
        Role::Agent(_) => {}
    }
    unit.exec([KUBEADM, command, "--config", CONFIG])
        // What kubeadm wrote is on the disk before it is said to be.
        .exec(SYNC)
        .exec(marker(JOINED))
        .exec(SYNC)
}

/// A further server becomes a member of etcd, or has been one since it was cut off. With the phases that come before kubeadm
/// would refuse it then, because its own kubelet has made its node ready meanwhile; and it may be a member without a vote for
/// ever. Who waits for the kubelet also takes the token away with which it would ask again for a certificate that was lost.
fn resume() -> Unit {
    Unit::default()
        .section("Unit")
        .set("Description", "Make this server a member of its cluster (kubeadm join)")
        .set("ConditionPathExists", &format!("!{JOINED}"))
        .section("Service")
        .set("Type", "oneshot")
        .set("Environment", "HOME=/root")
        .set("TimeoutStartSec", "1800")
        .exec([KUBEADM, "join", "--config", CONFIG, "--skip-phases", "kubelet-start,kubelet-wait-bootstrap"])
        .exec(SYNC)
        .exec(marker(JOINED))
        .exec(SYNC)
}

fn membership(role: &Role, has_shared_address: bool) -> Unit {
    let mut unit = Unit::default()
        .section("Unit")
        .set("Description", "Bring this node into its Kubernetes cluster for Ferrogate")
        .set("Wants", "network-online.target containerd.service")
        .set("After", "network-online.target containerd.service")
        .set("ConditionPathExists", &format!("!{READY}"))
        .set("StartLimitIntervalSec", "0")
        .section("Service")
        .set("Type", "oneshot")
        .set("RemainAfterExit", "yes")
        .set("Environment", "HOME=/root")
        .set("TimeoutStartSec", "infinity")
        // Ever later, up to a minute; systemd before 254 stays with the first.
        .set("Restart", "on-failure")
        .set("RestartSec", "10")
        .set("RestartSteps", "5")
        .set("RestartMaxDelaySec", "60")
        .exec([SYSTEMCTL, "start", "ferrogate-reset.service"])
        .exec([SYSTEMCTL, "start", "ferrogate-join.service"]);
    if matches!(role, Role::Server(_)) {
        unit = unit.exec([SYSTEMCTL, "start", "ferrogate-resume.service"]);
    }
    if *role == Role::FirstServer {
        let admin = format!("{KUBERNETES}/admin.conf");
        unit = unit.exec([
            "/usr/local/bin/kubectl",
            "--kubeconfig",
            &admin,
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            "ferrogate",
            "--filename",
            MANIFESTS,
        ]);
        if has_shared_address {
            unit = unit.exec(LESS_RIGHTS);
        }
    }
    unit.exec(marker(READY)).section("Install").set("WantedBy", "multi-user.target")
}
