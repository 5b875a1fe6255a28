//! The container images of a node, and the one that scenarios deploy.

use crate::archive::{self, Description, Layer, Packed};
use crate::error::{Context, Result};
use crate::network_tools;
use crate::programs::{All, Programs};
use ferrogate_model::ImageRef;
use std::collections::BTreeMap;
use std::path::Path;

/// Raised when the packing changes what is in an image or in its archive.
pub(crate) const RECIPE: u32 = 2;
/// The tag of pause that Kubernetes v1.36 names. The program is ours: it holds namespaces and buries orphans, as
/// upstream's does.
const PAUSE_TAG: &str = "3.10.2";
/// pause needs no rights.
const PAUSE_USER: &str = "65535:65535";
/// What the scenarios deploy, with a `:tag`.
pub(crate) const WEB: &str = "ferrogate.test/lab/web:1";
/// Stands in for kube-vip; its name says so.
const SHARED_ADDRESS: &str = "ferrogate.test/lab/shared-address:1";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin";

/// An image in the making.
struct Recipe<'programs> {
    /// What a release calls it.
    role: &'static str,
    reference: String,
    /// Where each program goes, which module it is of, and what Go called it.
    programs: Vec<(&'static str, &'programs Programs, &'static str)>,
    entrypoint: &'static str,
    user: &'static str,
    network_tools: bool,
}

/// Writes the archives of a node's images into a folder, each named after its image; says which image has which role in a
/// release.
///
/// # Errors
/// When a program or a library is not where it should be.
pub(crate) fn node(programs: &All, tree: &Path, folder: &Path) -> Result<BTreeMap<&'static str, ImageRef>> {
    let kubernetes = &programs.kubernetes;
    let plain = |role, reference, programs, entrypoint| Recipe {
        role,
        reference,
        programs,
        entrypoint,
        user: "",
        network_tools: false,
    };
    let upstream = |name: &str| format!("registry.k8s.io/{name}:{}", kubernetes.version);
    // The number after the dash counts upstream's packings of one etcd.
    let etcd = format!("registry.k8s.io/etcd:{}-0", programs.etcd.version.trim_start_matches('v'));
    let recipes = [
        plain(
            "kube_apiserver",
            upstream("kube-apiserver"),
            vec![("usr/local/bin/kube-apiserver", kubernetes, "kube-apiserver")],
            "/usr/local/bin/kube-apiserver",
        ),
        plain(
            "kube_controller_manager",
            upstream("kube-controller-manager"),
            vec![("usr/local/bin/kube-controller-manager", kubernetes, "kube-controller-manager")],
            "/usr/local/bin/kube-controller-manager",
        ),
        plain(
            "kube_scheduler",
            upstream("kube-scheduler"),
            vec![("usr/local/bin/kube-scheduler", kubernetes, "kube-scheduler")],
            "/usr/local/bin/kube-scheduler",
        ),
        Recipe {
            network_tools: true,
            ..plain(
                "kube_proxy",
                upstream("kube-proxy"),
                vec![("usr/local/bin/kube-proxy", kubernetes, "kube-proxy")],
                "/usr/local/bin/kube-proxy",
            )
        },
        plain(
            "etcd",
            etcd,
            // Go names a program after its folder, and etcd's is `server`.
            vec![
                ("usr/local/bin/etcd", &programs.etcd, "server"),
                ("usr/local/bin/etcdctl", &programs.etcd, "etcdctl"),
            ],
            "/usr/local/bin/etcd",
        ),
        plain(
            "coredns",
            format!("registry.k8s.io/coredns/coredns:{}", programs.coredns.version),
            vec![("coredns", &programs.coredns, "coredns")],
            "/coredns",
        ),
        Recipe {
            user: PAUSE_USER,
            ..plain(
                "pause",
                format!("registry.k8s.io/pause:{PAUSE_TAG}"),
                vec![("pause", &programs.pause, "pause")],
                "/pause",
            )
        },
        plain(
            "kube_vip",
            SHARED_ADDRESS.to_owned(),
            vec![("shared-address", &programs.shared_address, "shared-address")],
            "/shared-address",
        ),
        Recipe {
            network_tools: true,
            ..plain(
                "flannel",
                format!("ghcr.io/flannel-io/flannel:{}", programs.flannel.version),
                vec![("opt/bin/flanneld", &programs.flannel, "flannel")],
                "/opt/bin/flanneld",
            )
        },
    ];
    recipes.iter().map(|recipe| Ok((recipe.role, write(recipe, tree, folder)?))).collect()
}

/// Writes the archive of the scenarios' web server, `web.tar`.
///
/// # Errors
/// When the program is not where it should be.
pub(crate) fn web(programs: &All, tree: &Path, folder: &Path) -> Result<()> {
    let recipe = Recipe {
        role: "web",
        reference: WEB.to_owned(),
        programs: vec![("web", &programs.web, "web")],
        entrypoint: "/web",
        user: PAUSE_USER,
        network_tools: false,
    };
    write(&recipe, tree, folder).map(drop)
}

/// Writes the archive of an image into a folder, as `<last part of its name>.tar`.
fn write(recipe: &Recipe<'_>, tree: &Path, folder: &Path) -> Result<ImageRef> {
    let mut layer = Layer::new();
    layer.folder("tmp", 0o1777)?;
    for empty in ["etc", "run", "var"] {
        layer.folder(empty, 0o755)?;
    }
    if recipe.network_tools {
        network_tools::add(&mut layer, tree)?;
    }
    for (place, module, program) in &recipe.programs {
        let path = module.folder.join(program);
        let content = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        layer.file(place, 0o755, &content)?;
    }
    let Packed { image, archive } = archive::image(
        layer,
        &Description {
            reference: recipe.reference.clone(),
            entrypoint: vec![recipe.entrypoint.into()],
            user: recipe.user.into(),
            environment: vec![PATH.into()],
            ..Description::default()
        },
    )?;
    let path = folder.join(format!("{}.tar", image.short_name()));
    std::fs::write(&path, archive).with_context(|| format!("writing {}", path.display()))?;
    Ok(image)
}
