//! The names of a site, and a DNS server that answers them.

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, NS, SOA},
    },
};
use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// How long resolvers may keep an answer, in seconds: as MAAS's default.
const TTL: u32 = 30;
/// No question over UDP is longer.
const MAX_QUESTION: usize = 4096;
/// How long the server behind this one may take; resolvers ask again after five seconds.
const FORWARD_DEADLINE: Duration = Duration::from_secs(3);
/// How many questions may wait for the server behind this one; more are told to come again.
const FORWARDED_AT_ONCE: usize = 256;

/// What a site's DNS knows.
pub trait Zone: Send + Sync + fmt::Debug {
    /// The addresses of a name (lower case, no final dot); `None` where the name does not exist.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>>;

    /// The domains this zone alone answers for, lower case, no final dot.
    fn domains(&self) -> Vec<String>;
}

/// A zone that never changes, for tests.
#[derive(Clone, Debug, Default)]
pub struct FixedZone {
    /// Names and their addresses.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// The domains.
    pub domains: Vec<String>,
}

impl Zone for FixedZone {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.names.get(name).cloned()
    }

    fn domains(&self) -> Vec<String> {
        self.domains.clone()
    }
}

/// A DNS server over UDP for one zone. Other names are refused, or asked of another server, as MAAS's DNS does.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl DnsServer {
    /// Starts it.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(listen: SocketAddr, zone: Arc<dyn Zone>) -> io::Result<Self> {
        Self::bind(listen, zone, None).await
    }

    /// Starts it with a server behind it that is asked for all names outside the zone.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_before(listen: SocketAddr, zone: Arc<dyn Zone>, behind: SocketAddr) -> io::Result<Self> {
        Self::bind(listen, zone, Some(behind)).await
    }

    async fn bind(listen: SocketAddr, zone: Arc<dyn Zone>, behind: Option<SocketAddr>) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(listen).await?);
        let address = socket.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = serve(&socket, zone.as_ref(), behind) => {}
                _ = stopped => {}
            }
        });
        Ok(Self { address, stop: Some(stop), task })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops it.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "the DNS server did not end well");
        }
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: &Arc<UdpSocket>, zone: &dyn Zone, behind: Option<SocketAddr>) {
    let waiting = Arc::new(Semaphore::new(FORWARDED_AT_ONCE));
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        let received = socket.recv_from(&mut buffer).await;
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) => {
                // An ICMP error of an earlier answer; nothing is lost.
                tracing::debug!(%error, "DNS socket");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        if question.metadata.message_type != MessageType::Query {
            continue;
        }
        let answer = answer(&question, zone);
        if let Some(behind) = behind
            && answer.metadata.response_code == ResponseCode::Refused
            && let Ok(place) = Arc::clone(&waiting).try_acquire_owned()
        {
            let (socket, asked) = (Arc::clone(socket), buffer[..length].to_vec());
            tokio::spawn(async move {
                let bytes = forward(&asked, &question, behind).await;
                drop(socket.send_to(&bytes, from).await);
                drop(place);
            });
            continue;
        }
        match answer.to_vec() {
            Ok(bytes) => drop(socket.send_to(&bytes, from).await),
            Err(error) => tracing::debug!(%error, "DNS answer cannot be written"),
        }
    }
}

/// What the server behind this one says, or that it says nothing.
async fn forward(asked: &[u8], question: &Message, behind: SocketAddr) -> Vec<u8> {
    let ask = async {
        // A socket for each question: its random port is what makes an answer hard to forge.
        let any = if behind.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(behind).await?;
        socket.send(asked).await?;
        let mut buffer = vec![0; MAX_QUESTION];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if buffer.get(..2) == asked.get(..2) {
                buffer.truncate(length);
                return Ok::<_, io::Error>(buffer);
            }
        }
    };
    if let Ok(Ok(bytes)) = timeout(FORWARD_DEADLINE, ask).await {
        return bytes;
    }
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.queries.clone_from(&question.queries);
    answer.metadata.response_code = ResponseCode::ServFail;
    answer.to_vec().unwrap_or_default()
}

/// The answer to a question.
fn answer(question: &Message, zone: &dyn Zone) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.queries.clone_from(&question.queries);
    let [query] = question.queries.as_slice() else {
        answer.metadata.response_code = ResponseCode::FormErr;
        return answer;
    };
    if question.metadata.op_code != OpCode::Query {
        answer.metadata.response_code = ResponseCode::NotImp;
        return answer;
    }
    let name = query.name().to_ascii().trim_end_matches('.').to_lowercase();
    let domains = zone.domains();
    let Some(domain) = domains.iter().find(|domain| name == **domain || name.ends_with(&format!(".{domain}"))) else {
        answer.metadata.response_code = ResponseCode::Refused;
        return answer;
    };
    answer.metadata.authoritative = true;
    let known = zone.addresses(&name);
    let data: Vec<RData> = match query.query_type() {
        RecordType::SOA if name == *domain => soa(domain).into_iter().collect(),
        RecordType::NS if name == *domain => server_name(domain).map(|name| RData::NS(NS(name))).into_iter().collect(),
        kind => {
            let wanted = |address: &IpAddr| match (kind, address) {
                (RecordType::A | RecordType::ANY, IpAddr::V4(v4)) => Some(RData::A(A(*v4))),
                (RecordType::AAAA | RecordType::ANY, IpAddr::V6(v6)) => Some(RData::AAAA(AAAA(*v6))),
                _ => None,
            };
            known.iter().flatten().filter_map(wanted).collect()
        }
    };
    if data.is_empty() {
        // NOERROR with an empty answer for a name that exists, NXDOMAIN for one that does not.
        if known.is_none() && name != *domain {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        if let (Ok(owner), Some(soa)) = (Name::from_ascii(format!("{domain}.")), soa(domain)) {
            answer.authorities.push(Record::from_rdata(owner, TTL, soa));
        }
    }
    answer.answers.extend(data.into_iter().map(|data| Record::from_rdata(query.name().clone(), TTL, data)));
    answer
}

fn server_name(domain: &str) -> Option<Name> {
    Name::from_ascii(format!("ns.{domain}.")).ok()
}

fn soa(domain: &str) -> Option<RData> {
    let mail = Name::from_ascii(format!("nobody.{domain}.")).ok()?;
    // Refresh, retry, expire and minimum as MAAS writes them.
    Some(RData::SOA(SOA::new(server_name(domain)?, mail, 1, 600, 1800, 604_800, TTL)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;

    fn zone() -> FixedZone {
        let names = BTreeMap::from([("node01.maas".to_owned(), vec!["127.20.1.10".parse().unwrap()])]);
        FixedZone { names, domains: vec!["maas".into()] }
    }

    fn ask(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        answer(&message, &zone())
    }

    #[test]
    fn names_of_the_zone_are_answered_and_others_refused() {
        let node = ask("Node01.MAAS.", RecordType::A);
        assert!(node.metadata.authoritative);
        assert_eq!(node.answers[0].data, RData::A(A::new(127, 20, 1, 10)));
        assert_eq!(ask("node02.maas.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
        let other = ask("node01.maas.", RecordType::AAAA);
        assert_eq!((other.metadata.response_code, other.answers.len()), (ResponseCode::NoError, 0));
        assert_eq!(other.authorities.len(), 1);
        assert_eq!(ask("example.com.", RecordType::A).metadata.response_code, ResponseCode::Refused);
        assert_eq!(ask("maas.", RecordType::SOA).answers.len(), 1);
        assert_eq!(ask("maas.", RecordType::NS).answers.len(), 1);
    }

    #[tokio::test]
    async fn a_question_over_udp_is_answered_and_rubbish_is_not() {
        let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), Arc::new(zone())).await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server.local_addr()).await.unwrap();
        socket.send(b"rubbish").await.unwrap();
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii("node01.maas.").unwrap(), RecordType::A));
        socket.send(&message.to_vec().unwrap()).await.unwrap();
        let mut buffer = [0; 512];
        let length = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut buffer)).await.unwrap().unwrap();
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (message.metadata.id, 1));
        server.shutdown().await;
    }

    async fn ask_server(server: &DnsServer, name: &str) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server.local_addr()).await.unwrap();
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        socket.send(&message.to_vec().unwrap()).await.unwrap();
        let mut buffer = [0; 512];
        let length = timeout(Duration::from_secs(10), socket.recv(&mut buffer)).await.unwrap().unwrap();
        Message::from_vec(&buffer[..length]).unwrap()
    }

    #[tokio::test]
    async fn other_names_are_asked_of_the_server_behind() {
        let names = BTreeMap::from([("plane.test".to_owned(), vec!["198.51.100.10".parse().unwrap()])]);
        let outer = FixedZone { names, domains: vec!["test".into()] };
        let behind = DnsServer::start("127.0.0.1:0".parse().unwrap(), Arc::new(outer)).await.unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = DnsServer::start_before(listen, Arc::new(zone()), behind.local_addr()).await.unwrap();
        assert_eq!(ask_server(&server, "plane.test.").await.answers[0].data, RData::A(A::new(198, 51, 100, 10)));
        assert_eq!(ask_server(&server, "node01.maas.").await.answers.len(), 1);
        // Nobody listens there any more: that is told, and the zone's own names go on.
        behind.shutdown().await;
        assert_eq!(ask_server(&server, "plane.test.").await.metadata.response_code, ResponseCode::ServFail);
        assert_eq!(ask_server(&server, "node01.maas.").await.answers.len(), 1);
        server.shutdown().await;
    }
}
