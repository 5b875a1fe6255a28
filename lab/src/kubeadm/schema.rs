//! The fields of the documents that kubeadm and the kubelet read, and the check against them. Of a field that it does not
//! know kubeadm only warns, which nobody reads; here it is an error.

use serde_json::Value;

/// A document or a part of one: its fields, each with the kind of its value. `s` text, `n` number, `b` truth, `l` list,
/// `o` map, `?` anything; a name of another entry follows where the check goes on, for a list for each of its items.
type Fields = (&'static str, &'static [&'static str]);

const SCHEMA: [Fields; 26] = [
    (
        "InitConfiguration",
        &[
            "apiVersion:s kind:s bootstrapTokens:l:Token dryRun:b nodeRegistration:o:Registration certificateKey:s",
            "localAPIEndpoint:o:Endpoint skipPhases:l patches:o:Patches timeouts:o:Timeouts",
        ],
    ),
    (
        "JoinConfiguration",
        &[
            "apiVersion:s kind:s dryRun:b nodeRegistration:o:Registration caCertPath:s discovery:o:Discovery",
            "controlPlane:o:ControlPlane skipPhases:l patches:o:Patches timeouts:o:Timeouts",
        ],
    ),
    (
        "ClusterConfiguration",
        &[
            "apiVersion:s kind:s etcd:o:Etcd networking:o:Networking kubernetesVersion:s controlPlaneEndpoint:s",
            "apiServer:o:ApiServer controllerManager:o:Component scheduler:o:Component dns:o:Dns proxy:o:Proxy",
            "certificatesDir:s imageRepository:s featureGates:o clusterName:s encryptionAlgorithm:s",
            "certificateValidityPeriod:s caCertificateValidityPeriod:s",
        ],
    ),
    ("Token", &["token:s description:s ttl:s expires:s usages:l groups:l"]),
    (
        "Registration",
        &[
            "name:s criSocket:s taints:l:Taint kubeletExtraArgs:l:Argument ignorePreflightErrors:l imagePullPolicy:s",
            "imagePullSerial:b",
        ],
    ),
    ("Taint", &["key:s value:s effect:s timeAdded:s"]),
    ("Argument", &["name:s value:s"]),
    ("Endpoint", &["advertiseAddress:s bindPort:n"]),
    ("Patches", &["directory:s"]),
    (
        "Timeouts",
        &[
            "controlPlaneComponentHealthCheck:s kubeletHealthCheck:s kubernetesAPICall:s etcdAPICall:s tlsBootstrap:s",
            "discovery:s upgradeManifests:s",
        ],
    ),
    ("Discovery", &["bootstrapToken:o:BootstrapToken file:o:DiscoveryFile tlsBootstrapToken:s"]),
    ("BootstrapToken", &["token:s apiServerEndpoint:s caCertHashes:l unsafeSkipCAVerification:b"]),
    ("DiscoveryFile", &["kubeConfigPath:s"]),
    ("ControlPlane", &["localAPIEndpoint:o:Endpoint certificateKey:s"]),
    ("Etcd", &["local:o:LocalEtcd external:o"]),
    (
        "LocalEtcd",
        &["imageRepository:s imageTag:s dataDir:s extraArgs:l:Argument extraEnvs:l serverCertSANs:l peerCertSANs:l"],
    ),
    ("Networking", &["serviceSubnet:s podSubnet:s dnsDomain:s"]),
    ("ApiServer", &["certSANs:l extraArgs:l:Argument extraVolumes:l extraEnvs:l"]),
    ("Component", &["extraArgs:l:Argument extraVolumes:l extraEnvs:l"]),
    ("Dns", &["imageRepository:s imageTag:s disabled:b"]),
    ("Proxy", &["disabled:b"]),
    (
        "KubeletConfiguration",
        &[
            "apiVersion:s kind:s staticPodPath:s syncFrequency:s fileCheckFrequency:s address:s port:n tlsCertFile:s",
            "tlsPrivateKeyFile:s rotateCertificates:b serverTLSBootstrap:b authentication:o authorization:o",
            "healthzPort:n healthzBindAddress:s clusterDomain:s clusterDNS:l nodeStatusUpdateFrequency:s",
            "nodeStatusReportFrequency:s nodeLeaseDurationSeconds:n imageMinimumGCAge:s imageMaximumGCAge:s",
            "imageGCHighThresholdPercent:n imageGCLowThresholdPercent:n cgroupRoot:s cgroupDriver:s maxPods:n",
            "podPidsLimit:n resolvConf:s runtimeRequestTimeout:s evictionHard:o evictionSoft:o serializeImagePulls:b",
            "maxParallelImagePulls:n failSwapOn:b memorySwap:o containerLogMaxSize:s containerLogMaxFiles:n",
            "systemReserved:o kubeReserved:o shutdownGracePeriod:s shutdownGracePeriodCriticalPods:s",
            "protectKernelDefaults:b featureGates:o logging:o containerRuntimeEndpoint:s registerNode:b",
            "registerWithTaints:l providerID:s streamingConnectionIdleTimeout:s volumeStatsAggPeriod:s",
            "cpuManagerReconcilePeriod:s imageServiceEndpoint:s crashLoopBackOff:o",
        ],
    ),
    (
        "KubeProxyConfiguration",
        &[
            "apiVersion:s kind:s featureGates:o clientConnection:o logging:o hostnameOverride:s bindAddress:s",
            "healthzBindAddress:s metricsBindAddress:s bindAddressHardFail:b enableProfiling:b showHiddenMetricsForVersion:s",
            "mode:s iptables:o ipvs:o nftables:o winkernel:o detectLocalMode:s detectLocal:o clusterCIDR:s",
            "nodePortAddresses:l oomScoreAdj:n conntrack:o configSyncPeriod:s portRange:s windowsRunAsService:b",
        ],
    ),
    ("InitConfiguration.apiVersion", &["kubeadm.k8s.io/v1beta4"]),
    ("KubeletConfiguration.apiVersion", &["kubelet.config.k8s.io/v1beta1"]),
    ("KubeProxyConfiguration.apiVersion", &["kubeproxy.config.k8s.io/v1alpha1"]),
];

fn entry(name: &str) -> Option<&'static [&'static str]> {
    SCHEMA.iter().find(|(known, _)| *known == name).map(|(_, fields)| *fields)
}

/// Checks a document: that it is known, in this version, and that there is nothing in it that does not belong there.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub(super) fn check(document: &Value) -> Result<(), String> {
    let kind = document["kind"].as_str().unwrap_or_default();
    let version = document["apiVersion"].as_str().unwrap_or_default();
    let wanted = match kind {
        "InitConfiguration" | "JoinConfiguration" | "ClusterConfiguration" => "InitConfiguration.apiVersion",
        "KubeletConfiguration" => "KubeletConfiguration.apiVersion",
        "KubeProxyConfiguration" => "KubeProxyConfiguration.apiVersion",
        _ => return Err(format!("no kind \"{kind}\" is registered for version \"{version}\"")),
    };
    let wanted = entry(wanted).and_then(|all| all.first()).copied().unwrap_or_default();
    if version != wanted {
        return Err(format!(
            "your configuration file uses \"{version}\" for {kind}; \"{wanted}\" is what is simulated"
        ));
    }
    walk(kind, kind, document)
}

fn walk(name: &str, place: &str, value: &Value) -> Result<(), String> {
    let map = value.as_object().ok_or_else(|| format!("{place}: a map of fields is expected"))?;
    let lines = entry(name).unwrap_or_default();
    for (field, value) in map {
        let here = format!("{place}.{field}");
        let known = lines.iter().flat_map(|line| line.split(' ')).find_map(|word| {
            let (known, rest) = word.split_once(':')?;
            (known == field).then_some(rest)
        });
        let known = known.ok_or_else(|| format!("strict decoding error: unknown field \"{here}\""))?;
        let (kind, next) = known.split_once(':').unwrap_or((known, ""));
        let fits = match kind {
            "s" => value.is_string(),
            "n" => value.is_number(),
            "b" => value.is_boolean(),
            "l" => value.is_array(),
            _ => value.is_object(),
        };
        if !fits {
            return Err(format!("json: cannot unmarshal {value} into {here}"));
        }
        match value {
            Value::Array(items) if !next.is_empty() => {
                items.iter().try_for_each(|item| walk(next, &format!("{here}[]"), item))?;
            }
            value if !next.is_empty() => walk(next, &here, value)?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_belong_in_a_document_is_named_with_its_place() {
        let good = json!({"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration",
            "apiServer": {"certSANs": ["a"], "extraArgs": [{"name": "a", "value": "b"}]}, "dns": {"disabled": true}});
        check(&good).unwrap();
        for (pointer, value, reason) in [
            ("/apiVersion", json!("kubeadm.k8s.io/v1beta3"), "v1beta3"),
            ("/kind", json!("ClusterConfigurations"), "no kind \"ClusterConfigurations\""),
            ("/dns", json!({"off": true}), "unknown field \"ClusterConfiguration.dns.off\""),
            ("/dns/disabled", json!("yes"), "cannot unmarshal \"yes\" into ClusterConfiguration.dns.disabled"),
            ("/apiServer/extraArgs/0", json!({"key": "a"}), "ClusterConfiguration.apiServer.extraArgs[].key"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            let error = check(&bad).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
