//! a and b: a gateway of one node, through NAT, and where an HTTP proxy is the only way out.

use super::{failure::Failure, install::Configuration, maas, process::Program, read, scene::Scene, split::Moments};
use ferrogate_model::{Clock, SystemClock, Timestamp};

/// The plane's name, which the proxy's log has.
const PLANE: &str = "plane.ferrogate.test";
/// The plane's address, and the proxy's outside.
const PLANE_ADDRESS: &str = "198.51.100.10";
const PROXY_OUTSIDE: &str = "198.51.100.2";
const PROXY_PORT: u16 = 3128;
/// Something is wrong where the machine's traffic through the proxy is less: Kubernetes alone is far larger.
const LEAST_DOWNLOAD_MIB: u64 = 50;
/// Name of the table that counts for scenario b.
const COUNTERS: &str = "ferrogate_lab_test";
const CROSSED: &str = "crossed the router";
const LEFT: &str = "left the site past the proxy";

/// Scenario a.
pub(crate) async fn through_nat(scene: &Scene) -> Result<(), Failure> {
    let node = installed(scene).await?;
    let address = address_of(scene, &node).await?;
    // Nothing is let in: neither the machine's Kubernetes nor its ssh answers from outside.
    for port in [6443, 22] {
        let knock = Program::new("curl")
            .args(["--silent", "--insecure", "--noproxy", "*", "--max-time", "3"])
            .arg(format!("https://{address}:{port}/"))
            .netns(scene.site.plane_netns());
        let ran = scene.run("knock-from-outside", knock).await?;
        // 7: refused, 28: timed out, 6/35/56 would mean that somebody answered.
        let shut = matches!(ran.code, Some(7 | 28));
        scene.holds(&format!("port {port} of {node} does not answer from outside"), shut, ran.said())?;
    }
    Ok(())
}

/// Scenario b.
pub(crate) async fn through_proxy(scene: &Scene) -> Result<(), Failure> {
    count_packets(scene).await?;
    let direct = Program::new("curl")
        .args(["--silent", "--insecure", "--noproxy", "*", "--max-time", "3", "https://198.51.100.10/livez"])
        .netns(scene.site.site_netns());
    let ran = scene.run("direct-to-the-plane", direct).await?;
    scene.holds("the plane cannot be reached without the proxy", ran.code != Some(0), ran.said())?;
    let (crossed_before, left_before) = counted(scene).await?;

    let node = installed(scene).await?;
    let address = address_of(scene, &node).await?.to_string();
    let maas = scene.site.first.maas_url.split("//").nth(1).and_then(|rest| rest.split([':', '/']).next());
    let host = maas.unwrap_or_default().to_owned();

    let log = scene.proxy_log()?;
    let uses = read::proxy_use(&log, PLANE);
    let seen = format!("{uses:?}");
    let used = |client: &str| uses.get(client).is_some_and(|one| one.tunnels > 0);
    scene.holds("the installer went through the proxy", used(&host), seen.clone())?;
    scene.holds(&format!("{node} went through the proxy"), used(&address), seen.clone())?;
    // Squid writes a tunnel's line when it ends, and the gateway's does not end: it is seen among the open connections.
    let proxied = connections(scene, scene.site.edge_netns(), &format!("sport = :{PROXY_PORT}")).await?;
    let name = format!("the tunnel of {node} is an open connection to the proxy");
    scene.holds(&name, proxied.contains(&address), proxied.join(", "))?;
    let callers = connections(scene, scene.site.plane_netns(), "sport = :443").await?;
    // The command line and kubectl stand beside the plane, at its own address.
    let all = callers.iter().all(|caller| caller == PROXY_OUTSIDE || caller == PLANE_ADDRESS);
    let came = callers.iter().any(|caller| caller == PROXY_OUTSIDE);
    scene.holds(
        "whoever of the site is connected to the plane comes from the proxy",
        all && came,
        callers.join(", "),
    )?;
    let mib = uses.get(&address).map_or(0, |one| one.bytes / 1024 / 1024);
    scene.fact("proxy_mib_to_gateway_node", mib);
    let name = format!("{node} downloaded Kubernetes through the proxy ({LEAST_DOWNLOAD_MIB} MiB and more)");
    scene.holds(&name, mib >= LEAST_DOWNLOAD_MIB, format!("{mib} MiB"))?;
    let (crossed, left) = counted(scene).await?;
    scene.holds("no packet crossed the router", crossed == crossed_before, format!("{crossed} packets"))?;
    scene.holds("no packet of the site's own left it past the proxy", left == left_before, format!("{left} packets"))
}

/// Installs, asserts what a and b have in common, and measures. Answers the gateway's machine.
async fn installed(scene: &Scene) -> Result<String, Failure> {
    let configuration = scene.configure(1, &[]).await?;
    scene.machines_taken(0).await?;
    let began = SystemClock.now();
    scene.install(&configuration).await?;
    let running = SystemClock.now();
    scene.gateway_stands(1).await?;
    let taken = scene.machines_taken(1).await?;
    scene.no_machine_twice(1).await?;
    let node = taken[0].clone();
    let log = console_of(scene, &node).await?;
    scene.holds(
        "the machine's console shows a Linux kernel and cloud-init's end",
        log.contains("Linux version") && log.contains("cloud-init") && log.to_lowercase().contains("finished"),
        format!("{} bytes", log.len()),
    )?;
    split(scene, &node, began, running).await?;
    scene.measure_gateway(&node).await?;
    leaves_one_folder(scene, &configuration)?;
    scene.keep_node(&node).await;
    Ok(node)
}

async fn console_of(scene: &Scene, machine: &str) -> Result<String, Failure> {
    scene.site.asked("the machine's console", scene.site.control().console(machine).await)
}

async fn address_of(scene: &Scene, machine: &str) -> Result<std::net::IpAddr, Failure> {
    let status = scene.site.status().await?;
    let address = status.machine(machine).and_then(|machine| machine.address);
    address.ok_or_else(|| Failure::new(format!("an address of {machine}"), "none"))
}

async fn split(scene: &Scene, node: &str, began: Timestamp, running: Timestamp) -> Result<(), Failure> {
    let events = scene.maas_events().await?;
    let (powered, deployed) = maas::booted(&events, &[node.to_owned()])
        .ok_or_else(|| Failure::new("MAAS's events of the deployment", "none"))?;
    let nodes = scene.nodes_on(node).await?;
    let ready = nodes
        .iter()
        .filter_map(|node| node.since.parse::<Timestamp>().ok())
        .max()
        .ok_or_else(|| Failure::new("a node with its condition Ready", format!("{nodes:?}")))?;
    let split = Moments { began, powered, deployed, ready, running }.split();
    scene.fact("install_to_running_seconds", split.total);
    scene.fact("of_it_machine_boot_seconds", split.machine_boot);
    scene.fact("of_it_kubernetes_seconds", split.kubernetes);
    scene.fact("of_it_ours_seconds", split.ours);
    Ok(())
}

/// The installer leaves nothing on its host but its folder (specification 3.13): nothing runs on.
fn leaves_one_folder(scene: &Scene, configuration: &Configuration) -> Result<(), Failure> {
    let folder = configuration.file.parent().unwrap_or(&configuration.file);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let known = ["install.lock", "install.log", "pcg.key", "pcg.yaml", "progress.sealed"];
    let all = names.iter().all(|name| known.contains(&name.as_str()));
    scene.holds("the installer left its one folder and nothing else in it", all, names.join(", "))
}

/// Counts, on the router, what is passed on at all, and what leaves with an address of the site.
async fn count_packets(scene: &Scene) -> Result<(), Failure> {
    let rules = format!(
        "table inet {COUNTERS}\ndelete table inet {COUNTERS}\ntable inet {COUNTERS} {{\n\
         chain passed {{ type filter hook forward priority 300; policy accept; counter comment \"{CROSSED}\"; }}\n\
         chain out {{ type filter hook postrouting priority 300; policy accept; \
         ip saddr 10.77.0.0/24 ip daddr != 10.77.0.0/24 counter comment \"{LEFT}\"; }}\n}}\n"
    );
    let nft = Program::new("nft").args(["-f", "-"]).stdin(rules).netns(scene.site.edge_netns());
    scene.run("nft-count", nft).await?.ok("counters on the router").map(drop)
}

async fn counted(scene: &Scene) -> Result<(u64, u64), Failure> {
    let nft = Program::new("nft").args(["list", "table", "inet", COUNTERS]).netns(scene.site.edge_netns());
    let ran = scene.run("nft-counted", nft).await?.ok("the counters")?;
    let count = |comment| {
        read::packets(&ran.out, comment)
            .ok_or_else(|| Failure::new(format!("the counter `{comment}`"), "none").read(&ran.log))
    };
    Ok((count(CROSSED)?, count(LEFT)?))
}

/// The other ends of the TCP connections that stand and fit the filter.
async fn connections(scene: &Scene, netns: &str, filter: &str) -> Result<Vec<String>, Failure> {
    let ss = Program::new("ss").args(["-Htn", "state", "established", filter]).netns(netns);
    Ok(read::peers(&scene.run("ss", ss).await?.ok("the open connections")?.out))
}

impl Scene {
    /// The proxy's log of requests.
    fn proxy_log(&self) -> Result<String, Failure> {
        let file = ferrogate_lab::folder::Folder::new(&self.site.name).edge().join("squid/access.log");
        std::fs::read_to_string(&file)
            .map_err(|error| Failure::new("the proxy's log", format!("{}: {error}", file.display())))
    }
}
