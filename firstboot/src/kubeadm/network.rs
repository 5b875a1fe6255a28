//! What the kernel and the pods' network need.

use ferrogate_join::{
    ClusterKind, NodeConfiguration,
    cloud_config::{CloudConfig, Mode},
    names::API_PORT,
};
use ferrogate_model::ImageRef;
use ipnet::IpNet;
use serde_json::{Value, json};

/// Adds the kernel's modules and settings, and what containerd does for the network of a pod.
pub(super) fn add(config: &mut CloudConfig, configuration: &NodeConfiguration) {
    config.file("/etc/modules-load.d/ferrogate.conf", Mode::Public, "overlay\nbr_netfilter\n");
    // A kernel without the bridge filter lacks its settings; `-` lets the others be made even so.
    let sysctl = "net.ipv4.ip_forward = 1\n-net.ipv6.conf.all.forwarding = 1\n\
        -net.bridge.bridge-nf-call-iptables = 1\n-net.bridge.bridge-nf-call-ip6tables = 1\n\
        -fs.inotify.max_user_instances = 1024\n";
    config.file("/etc/sysctl.d/90-ferrogate.conf", Mode::Public, sysctl);
    let plugins = match configuration.kind {
        // The gateway is on the host's network. A bridge of this machine alone, so that the node has a network to show.
        ClusterKind::Gateway => json!([{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": configuration.spec.pod_cidr.to_string()}]]},
        }]),
        ClusterKind::Tenant => json!([
            {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ]),
    };
    // The version that flannel's plugin has always had.
    let list = json!({"cniVersion": "0.3.1", "name": "ferrogate", "plugins": plugins});
    config.file("/etc/cni/net.d/10-ferrogate.conflist", Mode::Public, format!("{list:#}\n"));
}

/// What flannel is told of the network. It works with nftables, as kube-proxy does here.
fn settings(pods: IpNet) -> Value {
    match pods {
        IpNet::V4(range) => {
            json!({"Network": range.to_string(), "EnableNFTables": true, "Backend": {"Type": "vxlan"}})
        }
        IpNet::V6(range) => json!({
            "EnableIPv4": false, "EnableIPv6": true, "IPv6Network": range.to_string(),
            "EnableNFTables": true, "Backend": {"Type": "vxlan"},
        }),
    }
}

/// The pod network: one pod on each node, on the node's own network.
pub(super) fn flannel(image: &ImageRef, pods: IpNet, api: &str) -> String {
    let settings = settings(pods);
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: kube-flannel
  labels:
    app.kubernetes.io/managed-by: ferrogate
    pod-security.kubernetes.io/enforce: privileged
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: flannel
  namespace: kube-flannel
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: ferrogate:flannel
  labels:
    app.kubernetes.io/managed-by: ferrogate
rules:
- apiGroups: [\"\"]
  resources: [pods]
  verbs: [get]
- apiGroups: [\"\"]
  resources: [nodes]
  verbs: [get, list, watch]
- apiGroups: [\"\"]
  resources: [nodes/status]
  verbs: [patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: ferrogate:flannel
  labels:
    app.kubernetes.io/managed-by: ferrogate
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: ferrogate:flannel
subjects:
- kind: ServiceAccount
  name: flannel
  namespace: kube-flannel
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-flannel-cfg
  namespace: kube-flannel
data:
  net-conf.json: '{settings}'
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kube-flannel-ds
  namespace: kube-flannel
  labels:
    app.kubernetes.io/name: flannel
    app.kubernetes.io/managed-by: ferrogate
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: flannel
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 1
  template:
    metadata:
      labels:
        app.kubernetes.io/name: flannel
        app.kubernetes.io/managed-by: ferrogate
    spec:
      hostNetwork: true
      priorityClassName: system-node-critical
      serviceAccountName: flannel
      tolerations:
      - operator: Exists
      containers:
      - name: kube-flannel
        image: {image}
        imagePullPolicy: Never
        command: [/opt/bin/flanneld]
        args: [--ip-masq, --kube-subnet-mgr]
        env:
        # Not by the Service: what carries pods need not wait for what carries Services.
        - name: KUBERNETES_SERVICE_HOST
          value: \"{api}\"
        - name: KUBERNETES_SERVICE_PORT
          value: \"{API_PORT}\"
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: POD_NAMESPACE
          valueFrom:
            fieldRef:
              fieldPath: metadata.namespace
        resources:
          requests:
            cpu: 50m
            memory: 32Mi
        securityContext:
          privileged: false
          capabilities:
            drop: [ALL]
            add: [NET_ADMIN, NET_RAW]
        volumeMounts:
        - name: run
          mountPath: /run/flannel
        - name: settings
          mountPath: /etc/kube-flannel
      volumes:
      - name: run
        hostPath:
          path: /run/flannel
          type: DirectoryOrCreate
      - name: settings
        configMap:
          name: kube-flannel-cfg
"
    )
}
