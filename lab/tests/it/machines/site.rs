//! The site as a whole, on sockets.

use super::{cluster::Cluster, support::eventually};
use ferrogate_join::{ClusterKind, Role};
use ferrogate_lab::{Lab, LabOptions};
use ferrogate_net::{ConnectFailure, Target};
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RData, RecordType},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{io::AsyncReadExt as _, net::UdpSocket};

async fn ask(server: SocketAddr, name: &str) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), RecordType::A));
    socket.send(&message.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 512];
    let length = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut buffer)).await.unwrap().unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sites_on_one_computer_do_not_meet() {
    let (one, two) =
        (Lab::start(LabOptions::default()).await.unwrap(), Lab::start(LabOptions::default()).await.unwrap());
    assert_ne!(one.subnet(), two.subnet());
    assert_eq!(one.maas_endpoint(), format!("http://{}:5240/MAAS", one.subnet().hosts().nth(1).unwrap()));
    let maas = Target::new(two.maas().local_addr().ip().to_string(), two.maas().local_addr().port());
    let error = one.connector().connect(&maas, Duration::from_secs(5)).await.err().unwrap();
    assert_eq!(error.failure, ConnectFailure::Unreachable);
    two.connector().connect(&maas, Duration::from_secs(5)).await.unwrap();
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sites_dns_answers_for_machines_that_are_deployed() {
    let cluster = Cluster::sockets(ClusterKind::Tenant).await;
    let (machine, _) = cluster.deploy("cp-0", &Role::FirstServer).await;
    let bench = cluster.bench;
    let dns = bench.lab.dns().unwrap();
    bench.until_status(&machine, "Deployed").await;
    let fqdn = bench.maas.machine(&machine).await.unwrap().fqdn;
    let std::net::IpAddr::V4(address) = bench.address(&machine).await else { panic!("an IPv6 address") };
    let answer = ask(dns, &fqdn).await;
    assert_eq!(answer.answers[0].data, RData::A(address.into()));
    assert!(ask(dns, "nobody.maas").await.answers.is_empty());
    bench.lab.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_dropped_runs_nothing_on() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (machine, address, _) = cluster.first().await;
    let bench = cluster.bench;
    let network = bench.lab.network().clone();
    let root = bench.lab.machines().root(&machine).unwrap();
    let target = Target::new(address.to_string(), 6443);
    let connector = network.connector();
    let place = |at: SocketAddr| Target::new(at.ip().to_string(), at.port());
    let (maas, proxy) = (place(bench.lab.maas().local_addr()), place(bench.lab.proxy().local_addr()));
    let mut open = connector.connect(&target, Duration::from_secs(5)).await.unwrap();
    drop(bench);
    // The connection ends when the server does.
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(60), open.read_to_end(&mut rest)).await.unwrap();
    for target in [&target, &maas, &proxy] {
        eventually("nobody listens", async || match connector.connect(target, Duration::from_secs(5)).await {
            Err(error) if error.failure == ConnectFailure::Refused => Ok(()),
            other => Err(format!("{target}: {:?}", other.err())),
        })
        .await;
    }
    eventually("files are gone", async || if root.exists() { Err("there".into()) } else { Ok(()) }).await;
}
