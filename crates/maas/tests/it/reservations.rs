//! Addresses that MAAS would hand out although nobody may have them.

use crate::{
    recordings::{self, exchange},
    server::{Server, json},
};
use ferrogate_maas::{MaasError, MaasFailure, ReserveIp, types::IpAddress};
use std::net::IpAddr;

/// The recorded subnets for every read, `reply` for every reservation, success for every release.
fn maas(reply: String) -> Server {
    let subnets = exchange("10/22").answer();
    Server::with(move |asked| {
        Some(match asked.op() {
            None => subnets.clone(),
            Some("reserve") => reply.clone(),
            Some("release") => "HTTP/1.1 204 X\r\n\r\n".to_owned(),
            Some(_) => json(500, "null"),
        })
    })
}

fn reserved(ip: &str) -> String {
    json(200, &format!(r#"{{"ip": "{ip}", "alloc_type": 4, "created": "2026-11-22T09:02:33.394Z", "subnet": null}}"#))
}

async fn reserve(server: &Server, ip: Option<&str>, subnet: Option<&str>) -> Result<IpAddress, MaasError> {
    let wanted = ReserveIp {
        ip: ip.map(|ip| ip.parse().unwrap()),
        subnet: subnet.map(|subnet| subnet.parse().unwrap()),
        hostname: None,
    };
    server.client().reserve_ip(&wanted).await
}

fn unfit(error: &MaasError) -> &str {
    match &*error.failure {
        MaasFailure::AddressUnfit { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn network_broadcast_and_router_addresses_are_refused_before_maas_is_asked() {
    let cases = [
        ("10.20.0.0", None, "it is the network address of subnet `lab`"),
        ("10.20.3.255", None, "it is the broadcast address of subnet `lab`"),
        ("10.20.0.1", None, "it is the router of subnet `lab`"),
        ("10.40.0.1", None, "it is the router of subnet `tiny`"),
        ("10.40.0.3", None, "it is the broadcast address of subnet `tiny`"),
        ("fd00:20::", None, "it is the network address of subnet `lab6`"),
        ("10.99.0.5", None, "MAAS has no subnet with it"),
        ("10.30.0.5", Some("10.20.0.0/22"), "it is not in 10.20.0.0/22"),
    ];
    for (ip, subnet, reason) in cases {
        let server = maas(reserved(ip));
        let error = reserve(&server, Some(ip), subnet).await.unwrap_err();
        assert_eq!(unfit(&error), reason, "{ip}");
        assert!(server.asked().iter().all(|asked| asked.method == "GET"), "{ip} was asked for");
    }
}

#[tokio::test]
async fn an_ordinary_address_is_reserved() {
    for ip in ["10.20.1.100", "10.20.3.254", "10.30.0.1", "10.40.0.2", "fd00:20::2:5"] {
        let server = maas(reserved(ip));
        assert_eq!(reserve(&server, Some(ip), None).await.unwrap().ip, ip.parse::<IpAddr>().unwrap());
        let last = server.asked().pop().unwrap();
        assert_eq!((last.op(), last.form()), (Some("reserve"), vec![("ip".to_owned(), ip.to_owned())]));
    }
}

#[tokio::test]
async fn an_unfit_address_that_maas_picks_itself_is_given_back() {
    let server = maas(reserved("10.20.3.255"));
    let error = reserve(&server, None, Some("10.20.0.0/22")).await.unwrap_err();
    assert_eq!(unfit(&error), "it is the broadcast address of subnet `lab`");
    let asked = server.asked();
    assert_eq!(asked[1].form(), [("subnet".to_owned(), "10.20.0.0/22".to_owned())]);
    assert_eq!((asked[2].op(), asked[2].form()), (Some("release"), vec![("ip".to_owned(), "10.20.3.255".to_owned())]));
}

#[tokio::test]
async fn every_recorded_reservation_is_understood_or_refused() {
    let (mut done, mut refused, mut failed) = (0, 0, 0);
    for exchange in recordings::all() {
        if (exchange.path.as_str(), exchange.op.as_deref()) != ("ipaddresses/", Some("reserve")) {
            continue;
        }
        let field = |name: &str| exchange.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let ip = field("ip").filter(|text| text.parse::<IpAddr>().is_ok());
        let server = maas(exchange.answer());
        match reserve(&server, ip, None).await {
            Ok(address) => {
                assert_eq!(address.ip.to_string(), exchange.json.as_ref().unwrap()["ip"], "{}", exchange.name);
                assert!(address.created.is_some() && address.owner.is_some(), "{}", exchange.name);
                done += 1;
            }
            Err(error) if exchange.status == 200 => {
                assert!(!unfit(&error).is_empty(), "{}", exchange.name);
                refused += 1;
            }
            Err(error) => {
                let expected = match (exchange.status, exchange.json.is_some()) {
                    (403 | 404, _) => matches!(*error.failure, MaasFailure::AddressTaken(_)),
                    (503, _) => matches!(*error.failure, MaasFailure::Exhausted(_)),
                    (400, _) => {
                        matches!(*error.failure, MaasFailure::Invalid(_) | MaasFailure::AddressUnfit { .. })
                    }
                    _ => false,
                };
                assert!(expected, "{}: {error:?}", exchange.name);
                failed += 1;
            }
        }
    }
    assert_eq!((done, refused, failed), (16, 3, 12));
}
