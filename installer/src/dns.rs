//! Whether names of the machines resolve from here (specification 2.5): this host's own resolver, or the DNS servers that
//! were named for sites where this host uses another one.

use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// How long one server is given for one try. UDP may lose a packet, so there are three tries.
const TRY_DEADLINE: Duration = Duration::from_secs(2);
const TRIES: usize = 3;
/// Longest answer that is read; larger ones are cut by the server and say so.
const MAX_ANSWER: usize = 4096;

/// What a DNS server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These addresses, in no order; empty where the name exists without one.
    Addresses(Vec<IpAddr>),
    /// The server knows the zone of the name, and the name is not in it.
    NoSuchName,
    /// The server does not answer for that zone: there is no delegation.
    NotItsZone,
    /// No server answered; the words say why.
    NoAnswer(String),
}

/// Asks about names.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// Asks these servers, or this host's own resolver where there are none.
    #[must_use]
    pub const fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers }
    }

    /// Whom it asks, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        if self.servers.is_empty() {
            return "this host's resolver".into();
        }
        let servers: Vec<_> = self.servers.iter().map(ToString::to_string).collect();
        format!("DNS server {}", servers.join(", "))
    }

    /// The addresses of a name.
    pub async fn addresses(&self, name: &str) -> Answer {
        if self.servers.is_empty() {
            // The system's way, so that /etc/hosts and whatever else is set up counts.
            let looked_up = timeout(TRY_DEADLINE * 3, tokio::net::lookup_host((name, 0))).await;
            return match looked_up {
                Ok(Ok(found)) => Answer::Addresses(found.map(|address| address.ip()).collect()),
                Ok(Err(_)) => Answer::NoSuchName,
                Err(_) => Answer::NoAnswer("this host's resolver did not answer in time".into()),
            };
        }
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            match ask_any(&self.servers, name, kind).await {
                Ok(message) => match message.metadata.response_code {
                    ResponseCode::NoError => {
                        found.extend(message.answers.iter().filter_map(|record| match &record.data {
                            RData::A(a) => Some(IpAddr::V4(a.0)),
                            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                            _ => None,
                        }));
                    }
                    ResponseCode::NXDomain => return Answer::NoSuchName,
                    _ => return Answer::NotItsZone,
                },
                Err(words) => return Answer::NoAnswer(words),
            }
        }
        Answer::Addresses(found)
    }

    /// Whether the servers that were named answer for the zone of a domain. [`Answer::Addresses`] stands for yes. This
    /// host's own resolver cannot be asked that: it answers about names only.
    pub async fn zone(&self, domain: &str) -> Answer {
        match ask_any(&self.servers, domain, RecordType::SOA).await {
            Ok(message) => match message.metadata.response_code {
                ResponseCode::NoError if message.answers.iter().any(|record| matches!(record.data, RData::SOA(_))) => {
                    Answer::Addresses(Vec::new())
                }
                // A parent answers "no such zone" with its own record beside it.
                _ => Answer::NotItsZone,
            },
            Err(words) => Answer::NoAnswer(words),
        }
    }
}

/// The first answer of any of the servers, each tried several times.
async fn ask_any(servers: &[SocketAddr], name: &str, kind: RecordType) -> Result<Message, String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        for server in servers {
            match timeout(TRY_DEADLINE, ask(*server, name, kind)).await {
                Ok(Ok(message)) => return Ok(message),
                Ok(Err(error)) => last = format!("{server}: {error}"),
                Err(_) => last = format!("{server} did not answer within {} s", TRY_DEADLINE.as_secs()),
            }
        }
    }
    Err(last)
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> io::Result<Message> {
    let invalid = |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).map_err(|error| invalid(&error))?;
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, kind));
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec().map_err(|error| invalid(&error))?).await?;
    let mut buffer = vec![0; MAX_ANSWER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Ok(answer) = Message::from_vec(&buffer[..length]) else { continue };
        // Only the answer to this very question counts; anything else may be forged or late.
        let ours = answer.metadata.id == question.metadata.id && answer.queries == question.queries;
        if ours && answer.metadata.message_type == MessageType::Response {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrogate_lab::dns::{DnsServer, FixedZone};
    use std::{collections::BTreeMap, sync::Arc};

    async fn site() -> (DnsServer, Resolver) {
        let names = BTreeMap::from([("node01.maas".to_owned(), vec!["127.20.1.10".parse().unwrap()])]);
        let zone = Arc::new(FixedZone { names, domains: vec!["maas".into()] });
        let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
        let resolver = Resolver::new(vec![server.local_addr()]);
        (server, resolver)
    }

    #[tokio::test]
    async fn a_server_that_hosts_the_zone_answers_for_it() {
        let (_server, resolver) = site().await;
        assert_eq!(resolver.zone("maas").await, Answer::Addresses(vec![]));
        assert_eq!(resolver.addresses("node01.maas").await, Answer::Addresses(vec!["127.20.1.10".parse().unwrap()]));
        assert_eq!(resolver.addresses("node99.maas").await, Answer::NoSuchName);
    }

    #[tokio::test]
    async fn a_server_without_delegation_is_told_from_one_that_is_silent() {
        let (_server, resolver) = site().await;
        assert_eq!(resolver.zone("other.example").await, Answer::NotItsZone);
        assert_eq!(resolver.addresses("node01.other.example").await, Answer::NotItsZone);
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(Resolver::new(vec![closed]).zone("maas").await, Answer::NoAnswer(_)));
    }
}
