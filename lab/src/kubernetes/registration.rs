//! What a node says of itself when it registers: labels and taints.

/// Labels of Kubernetes' own domains that a node may give itself (the NodeRestriction plug-in and the kubelet's check).
const OWN_LABELS: [&str; 7] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
];

/// A taint as `key=value:Effect` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taint {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) effect: String,
}

impl Taint {
    /// Reads `key=value:Effect` or `key:Effect`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("invalid taint `{text}`; write key=value:Effect");
        let (front, effect) = text.rsplit_once(':').ok_or_else(bad)?;
        if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            return Err(format!("invalid taint effect `{effect}` in `{text}`"));
        }
        let (key, value) = front.split_once('=').unwrap_or((front, ""));
        if key.is_empty() {
            return Err(bad());
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
    }
}

/// Whether a node may give itself a label; `option` is how it was told to.
pub(crate) fn check_label(option: &str, key: &str, value: &str) -> Result<(), String> {
    let (domain, name) = key.split_once('/').unwrap_or(("", key));
    let ours = |part: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        part.len() <= 63 && part.chars().all(inner) && edge(part.chars().next()) && edge(part.chars().next_back())
    };
    if !ours(name) || !(value.is_empty() || ours(value)) {
        return Err(format!("{option}: `{key}={value}` is not a valid label"));
    }
    let of_kubernetes = ["kubernetes.io", "k8s.io"].iter().any(|d| domain == *d || domain.ends_with(&format!(".{d}")));
    let free = ["kubelet.kubernetes.io", "node.kubernetes.io"];
    if of_kubernetes && !OWN_LABELS.contains(&key) && !free.contains(&domain) {
        return Err(format!("unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [{key}]"));
    }
    Ok(())
}
