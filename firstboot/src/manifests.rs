//! What the cluster itself is handed when it starts: rights for the plane's roles, and the gateway.

use ferrogate_join::gateway_config::GATEWAY_ADMIN_PORT;
use ferrogate_model::ImageRef;

/// Namespace of everything of ours.
pub const NAMESPACE: &str = "ferrogate-system";
/// The group that may do everything, as the plane names it when it speaks for a user.
pub const ADMINS: &str = "ferrogate:admins";
/// The group that may change workloads.
pub const OPERATORS: &str = "ferrogate:operators";
/// The group that may look.
pub const VIEWERS: &str = "ferrogate:viewers";

/// Rights of the plane's roles. Kubernetes' own `edit` and `view` leave out what is not in a namespace, so nodes and the
/// like are added to be looked at.
#[must_use]
pub fn rbac() -> String {
    let mut text = String::from(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: ferrogate:look
  labels:
    app.kubernetes.io/managed-by: ferrogate
rules:
- apiGroups: [\"\"]
  resources: [nodes, namespaces, persistentvolumes]
  verbs: [get, list, watch]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [get, list, watch]
- apiGroups: [metrics.k8s.io]
  resources: [nodes, pods]
  verbs: [get, list]
",
    );
    for (name, role, groups) in [
        ("ferrogate:admins", "cluster-admin", &[ADMINS][..]),
        ("ferrogate:operators", "edit", &[OPERATORS][..]),
        ("ferrogate:viewers", "view", &[VIEWERS][..]),
        ("ferrogate:look", "ferrogate:look", &[OPERATORS, VIEWERS][..]),
    ] {
        text.push_str(&format!(
            "---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {name}
  labels:
    app.kubernetes.io/managed-by: ferrogate
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {role}
subjects:
"
        ));
        for group in groups {
            text.push_str(&format!("- apiGroup: rbac.authorization.k8s.io\n  kind: Group\n  name: {group}\n"));
        }
    }
    text
}

/// The gateway: one pod on each node, on the node's own network. It runs as root without any capability, because the
/// files it is handed are root's alone.
#[must_use]
pub fn gateway(image: &ImageRef) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/managed-by: ferrogate
    pod-security.kubernetes.io/enforce: privileged
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: ferrogate-gateway
  namespace: {NAMESPACE}
  labels:
    app.kubernetes.io/name: ferrogate-gateway
    app.kubernetes.io/managed-by: ferrogate
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: ferrogate-gateway
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 1
  template:
    metadata:
      labels:
        app.kubernetes.io/name: ferrogate-gateway
        app.kubernetes.io/managed-by: ferrogate
    spec:
      hostNetwork: true
      dnsPolicy: Default
      automountServiceAccountToken: false
      enableServiceLinks: false
      priorityClassName: system-node-critical
      terminationGracePeriodSeconds: 60
      tolerations:
      - operator: Exists
      containers:
      - name: gateway
        image: {image}
        imagePullPolicy: Never
        args: [run, --config, /etc/ferrogate/gateway.toml]
        env:
        - name: HOST_IP
          valueFrom:
            fieldRef:
              fieldPath: status.hostIP
        ports:
        - name: admin
          containerPort: {GATEWAY_ADMIN_PORT}
          hostPort: {GATEWAY_ADMIN_PORT}
        livenessProbe:
          httpGet:
            path: /livez
            port: {GATEWAY_ADMIN_PORT}
          initialDelaySeconds: 10
          periodSeconds: 10
          failureThreshold: 3
        readinessProbe:
          httpGet:
            path: /readyz
            port: {GATEWAY_ADMIN_PORT}
          periodSeconds: 5
          failureThreshold: 2
        resources:
          requests:
            cpu: 100m
            memory: 64Mi
          limits:
            memory: 512Mi
        securityContext:
          runAsUser: 0
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
        volumeMounts:
        - name: config
          mountPath: /etc/ferrogate
        - name: state
          mountPath: /var/lib/ferrogate
      volumes:
      - name: config
        hostPath:
          path: /etc/ferrogate
          type: Directory
      - name: state
        hostPath:
          path: /var/lib/ferrogate
          type: DirectoryOrCreate
"
    )
}
