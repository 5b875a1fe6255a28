//! Every recorded answer to an operation of ours is understood, and every failure is called what it is.
//!
//! The table of failures is in `tests/failures.txt`, one line each, to be read by a person. To write it anew:
//! `FERROGATE_WRITE=1 cargo test -p ferrogate-maas`.

use crate::{
    recordings::{self, Exchange},
    server::{Asked, Server},
};
use ferrogate_maas::{
    Allocate, Client, CreateDnsResource, Deploy, DnsResourceFilter, EventFilter, MaasError, MachineFilter, Release,
    UpdateDnsResource, UpdateMachine, types::Machine,
};
use ferrogate_model::{Explain as _, SystemId};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

/// What a call answered, as far as it is compared with the recording.
enum Seen {
    Machines(Vec<Machine>),
    /// How many things were listed.
    Count(usize),
    /// Something that is compared in its text form.
    Text(String),
    Nothing,
}

type Result<T> = std::result::Result<T, MaasError>;

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

fn fields(fields: &[(String, String)], name: &str) -> Vec<String> {
    fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
}

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split(' ').filter_map(|word| word.parse().ok()).collect()
}

/// The request of the recording in the words of the client, where the client has words for it.
fn allocate(form: &[(String, String)]) -> Allocate {
    Allocate {
        agent_name: field(form, "agent_name"),
        system_id: field(form, "system_id").map(SystemId),
        name: field(form, "name"),
        architecture: field(form, "arch"),
        cpu_count: field(form, "cpu_count").and_then(|text| text.parse().ok()),
        memory_mib: field(form, "mem").and_then(|text| text.parse().ok()),
        storage: field(form, "storage"),
        zones: fields(form, "zone"),
        not_in_zones: fields(form, "not_in_zone"),
        pool: field(form, "pool"),
        not_in_pools: fields(form, "not_in_pool"),
        tags: fields(form, "tags"),
        not_tags: fields(form, "not_tags"),
        subnets: fields(form, "subnets"),
        not_subnets: fields(form, "not_subnets"),
        fabrics: fields(form, "fabrics"),
        interfaces: field(form, "interfaces"),
        comment: field(form, "comment"),
        dry_run: field(form, "dry_run").as_deref() == Some("true"),
    }
}

fn filter(query: &[(String, String)]) -> MachineFilter {
    MachineFilter {
        agent_name: field(query, "agent_name").filter(|mark| !mark.is_empty()),
        ids: fields(query, "id").into_iter().map(SystemId).collect(),
        hostnames: fields(query, "hostname"),
        zones: fields(query, "zone"),
        pools: fields(query, "pool"),
        domain: field(query, "domain"),
        tags: fields(query, "tags"),
        status: field(query, "status"),
    }
}

/// Asks what the recording asked. `None`: not an operation of this client.
async fn ask(client: &Client, exchange: &Exchange) -> Option<Result<Seen>> {
    let parts: Vec<&str> = exchange.path.trim_end_matches('/').split('/').collect();
    let form = &exchange.form;
    let query = &exchange.query;
    let one = |result: Result<Machine>| result.map(|machine| Seen::Machines(vec![machine]));
    // An older spelling of `?op=…`, which this client does not use.
    if parts.last().is_some_and(|part| part.starts_with("op-")) {
        return None;
    }
    let call = (exchange.method.as_str(), parts.as_slice(), exchange.op.as_deref());
    Some(match call {
        ("GET", ["version"], None) => client.version().await.map(|version| Seen::Text(version.version)),
        ("GET", ["users"], Some("whoami")) => client.whoami().await.map(|user| Seen::Text(user.username)),
        ("GET", ["machines"], None) => client.machines(&filter(query)).await.map(Seen::Machines),
        ("GET", ["machines", id], None) => one(client.machine(&SystemId((*id).into())).await),
        ("GET", ["machines", id], Some("query_power_state")) => {
            client.power_state(&SystemId((*id).into())).await.map(|power| Seen::Text(power.state.to_string()))
        }
        ("POST", ["machines"], Some("allocate")) => one(client.allocate(&allocate(form)).await),
        ("POST", ["machines"], Some("release")) => {
            let ids: Vec<SystemId> = fields(form, "machines").into_iter().map(SystemId).collect();
            // The client asks nothing for no machine; the recording did.
            let ids = if ids.is_empty() { vec![SystemId("none".into())] } else { ids };
            let released = client.release_many(&ids, field(form, "comment").as_deref()).await;
            released.map(|ids| Seen::Count(ids.len()))
        }
        ("POST", ["machines", id], Some(op)) => one(machine_op(client, &SystemId((*id).into()), op, form).await?),
        ("PUT", ["machines", id], None) => {
            let change = UpdateMachine {
                hostname: field(form, "hostname"),
                domain: field(form, "domain"),
                zone: field(form, "zone"),
                pool: field(form, "pool"),
                description: field(form, "description"),
            };
            one(client.update_machine(&SystemId((*id).into()), &change).await)
        }
        _ => return site(client, exchange, call).await,
    })
}

async fn machine_op(client: &Client, id: &SystemId, op: &str, form: &[(String, String)]) -> Option<Result<Machine>> {
    let comment = field(form, "comment");
    let pairs = || form.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Some(match op {
        "deploy" => {
            let what = Deploy {
                agent_name: field(form, "agent_name"),
                distro_series: field(form, "distro_series"),
                hwe_kernel: field(form, "hwe_kernel"),
                user_data: field(form, "user_data").map(Into::into),
                comment,
            };
            client.deploy(id, &what).await
        }
        "release" => client.release(id, &Release { comment, ..Release::default() }).await,
        "mark_broken" => client.mark_broken(id, comment.as_deref().unwrap_or_default()).await,
        "power_on" => client.power_on(id, comment.as_deref()).await,
        "power_off" => client.power_off(id, field(form, "stop_mode").as_deref() == Some("soft"), None).await,
        "set_owner_data" => client.set_owner_data(id, pairs()).await,
        "set_workload_annotations" => client.set_workload_annotations(id, pairs()).await,
        _ => return None,
    })
}

async fn site(client: &Client, exchange: &Exchange, call: (&str, &[&str], Option<&str>)) -> Option<Result<Seen>> {
    let (form, query) = (&exchange.form, &exchange.query);
    let subnet = |text: &str| text.parse().unwrap_or(1);
    Some(match call {
        ("GET", ["zones"], None) => client.zones().await.map(|all| Seen::Count(all.len())),
        ("GET", ["resourcepools"], None) => client.pools().await.map(|all| Seen::Count(all.len())),
        ("GET", ["domains"], None) => client.domains().await.map(|all| Seen::Count(all.len())),
        ("GET", ["tags"], None) => client.tags().await.map(|all| Seen::Count(all.len())),
        ("GET", ["boot-resources"], None) => client.boot_resources().await.map(|all| Seen::Count(all.len())),
        ("GET", ["subnets"], None) => client.subnets().await.map(|all| Seen::Count(all.len())),
        ("GET", ["subnets", id, ..], Some("statistics")) => {
            client.subnet_statistics(subnet(id)).await.map(|all| Seen::Text(all.num_available.to_string()))
        }
        ("GET", ["subnets", id, ..], Some("unreserved_ip_ranges")) => {
            client.subnet_unreserved(subnet(id)).await.map(|all| Seen::Count(all.len()))
        }
        ("GET", ["subnets", id, ..], Some("reserved_ip_ranges")) => {
            client.subnet_reserved(subnet(id)).await.map(|all| Seen::Count(all.len()))
        }
        ("GET", ["subnets", id, ..], Some("ip_addresses")) => {
            client.subnet_addresses(subnet(id)).await.map(|all| Seen::Count(all.len()))
        }
        ("GET", ["ipaddresses"], None) => client.ip_addresses().await.map(|all| Seen::Count(all.len())),
        ("POST", ["ipaddresses"], Some("release")) => {
            let ip = field(form, "ip").and_then(|ip| ip.parse().ok()).unwrap_or([10, 20, 1, 100].into());
            client.release_ip(ip).await.map(|()| Seen::Nothing)
        }
        ("GET", ["maas"], Some("get_config")) => {
            let name = field(query, "name").unwrap_or_else(|| "maas_name".into());
            client.config(&name).await.map(|value| Seen::Text(value.to_string()))
        }
        ("GET", ["events"], Some("query")) => {
            let number = |name: &str| field(query, name).and_then(|text| text.parse().ok());
            let filter = EventFilter {
                ids: fields(query, "id").into_iter().map(SystemId).collect(),
                agent_name: field(query, "agent_name"),
                level: field(query, "level"),
                after: number("after"),
                before: number("before"),
                limit: field(query, "limit").and_then(|text| text.parse().ok()),
            };
            client.events(&filter).await.map(|page| {
                assert!(page.events.iter().all(|event| event.created.is_some()), "{}", exchange.name);
                Seen::Count(page.events.len())
            })
        }
        ("GET", ["dnsresources"], None) => {
            let filter = DnsResourceFilter {
                fqdn: field(query, "fqdn"),
                name: field(query, "name"),
                domain: field(query, "domain"),
            };
            client.dns_resources(&filter).await.map(|all| Seen::Count(all.len()))
        }
        ("POST", ["dnsresources"], None) => {
            let wanted = CreateDnsResource {
                fqdn: field(form, "fqdn").unwrap_or_default(),
                addresses: addresses(&field(form, "ip_addresses").unwrap_or_default()),
                ttl: field(form, "address_ttl").and_then(|text| text.parse().ok()),
            };
            client.create_dns_resource(&wanted).await.map(|made| Seen::Text(made.fqdn))
        }
        ("PUT", ["dnsresources", id], None) => {
            let change = UpdateDnsResource {
                name: field(form, "name"),
                addresses: field(form, "ip_addresses").map(|text| addresses(&text)),
                ttl: field(form, "address_ttl").and_then(|text| text.parse().ok()),
            };
            client.update_dns_resource(id.parse().unwrap(), &change).await.map(|made| Seen::Text(made.fqdn))
        }
        ("DELETE", ["dnsresources", id], None) => {
            client.delete_dns_resource(id.parse().unwrap()).await.map(|()| Seen::Nothing)
        }
        _ => return None,
    })
}

/// What the decoded answer says must be what the recorded one says.
fn compare(exchange: &Exchange, seen: &Seen) {
    let name = &exchange.name;
    let json = exchange.json.as_ref().unwrap_or(&Value::Null);
    match seen {
        Seen::Machines(machines) => {
            let all: Vec<&Value> = json.as_array().map_or_else(|| vec![json], |all| all.iter().collect());
            assert_eq!(machines.len(), all.len(), "{name}");
            for (machine, json) in machines.iter().zip(all) {
                compare_machine(name, machine, json);
            }
        }
        Seen::Count(count) => {
            let list = json.get("events").unwrap_or(json).as_array().unwrap();
            assert_eq!(*count, list.len(), "{name}");
        }
        Seen::Text(text) => {
            let places = ["version", "username", "state", "num_available", "fqdn"];
            let value = places.iter().find_map(|place| json.get(place)).unwrap_or(json);
            let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!([plain, value.to_string()].contains(text), "{name}: {text}");
        }
        Seen::Nothing => assert_eq!(exchange.status, 204, "{name}"),
    }
}

fn compare_machine(name: &str, machine: &Machine, json: &Value) {
    assert_eq!(machine.system_id.0, json["system_id"], "{name}");
    assert_eq!(machine.hostname, json["hostname"], "{name}");
    assert_eq!(machine.fqdn, json["fqdn"], "{name}");
    assert_eq!(machine.status_name, json["status_name"], "{name}");
    // A status is called as MAAS calls it; all the stages of rescue mode are one.
    let status = machine.status_name.replace([' ', '-'], "").to_lowercase();
    assert!(status.contains(&format!("{:?}", machine.status).to_lowercase()), "{name}: {status}");
    assert_eq!(machine.power_state.to_string(), json["power_state"], "{name}");
    assert_eq!(machine.owner.as_deref(), json["owner"].as_str(), "{name}");
    assert_eq!(machine.zone.name, json["zone"]["name"], "{name}");
    if machine.cpu_count == 0 {
        // Machines not examined yet say nothing of their hardware.
        return;
    }
    assert_eq!(machine.pool.as_ref().unwrap().name, json["pool"]["name"], "{name}");
    assert_eq!(Some(machine.memory), json["memory"].as_u64(), "{name}");
    assert_eq!(machine.locked, json["locked"], "{name}");
    let addresses: Vec<String> = machine.ip_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(serde_json::to_value(addresses).unwrap(), json["ip_addresses"], "{name}");
    assert_eq!(serde_json::to_value(&machine.owner_data).unwrap(), json["owner_data"], "{name}");
    assert_eq!(machine.interface_set.len(), json["interface_set"].as_array().unwrap().len(), "{name}");
    assert_eq!(machine.boot_disk.as_ref().map(|disk| disk.size), json["boot_disk"]["size"].as_u64(), "{name}");
}

/// Whether the client has words for everything the recording asked, so that both requests must be the same.
fn sayable(exchange: &Exchange) -> bool {
    let said = |fields: &[(String, String)], known: &[&str]| {
        fields.iter().all(|(name, value)| known.contains(&name.as_str()) && !value.is_empty())
    };
    match (exchange.method.as_str(), exchange.path.as_str(), exchange.op.as_deref()) {
        ("POST", "machines/", Some("allocate")) => {
            let known = "agent_name system_id name arch cpu_count mem storage zone not_in_zone pool not_in_pool tags \
                         not_tags subnets not_subnets fabrics interfaces comment dry_run";
            let known: Vec<&str> = known.split(' ').collect();
            let odd = |value: &str| value.contains(['.', '-']) || value == "maybe" || value.parse::<u32>().is_err();
            said(&exchange.form, &known)
                && exchange.query.is_empty()
                && !exchange.form.iter().any(|(name, value)| {
                    (["cpu_count", "mem"].contains(&name.as_str()) && odd(value)) || value == "maybe"
                })
                && fields(&exchange.form, "system_id").len() < 2
        }
        ("GET", "machines/", None) => {
            said(&exchange.query, &["agent_name", "id", "hostname", "zone", "pool", "domain", "tags", "status"])
        }
        ("GET", "events/", Some("query")) => said(&exchange.query, &["id", "level", "after", "before"]),
        ("POST", "machines/", Some("release")) => {
            said(&exchange.form, &["machines", "comment"]) && !exchange.form.is_empty()
        }
        ("POST", "ipaddresses/", Some("release")) => {
            exchange.form.len() == 1 && field(&exchange.form, "ip").is_some_and(|ip| ip.parse::<IpAddr>().is_ok())
        }
        ("POST", "dnsresources/", None) => {
            said(&exchange.form, &["fqdn", "ip_addresses", "address_ttl"])
                && exchange.form.len() > 1
                && !addresses(&field(&exchange.form, "ip_addresses").unwrap_or_default()).is_empty()
        }
        ("PUT", path, None) if path.starts_with("dnsresources/") => true,
        ("POST", path, Some("set_owner_data" | "set_workload_annotations")) => path.starts_with("machines/"),
        ("GET", _, _) => exchange.query.is_empty() != (exchange.path == "maas/"),
        _ => false,
    }
}

fn same_request(exchange: &Exchange, asked: &Asked) {
    let sorted = |mut fields: Vec<(String, String)>| {
        fields.sort();
        fields
    };
    assert_eq!((asked.method.as_str(), asked.op()), (exchange.method.as_str(), exchange.op.as_deref()));
    let query: Vec<_> = asked.query.iter().filter(|(name, _)| name != "op").cloned().collect();
    assert_eq!(sorted(query), sorted(exchange.query.clone()), "{}", exchange.name);
    assert_eq!(sorted(asked.form()), sorted(exchange.form.clone()), "{}", exchange.name);
}

#[tokio::test(start_paused = true)]
async fn every_recorded_answer_is_understood() {
    let mut failures = String::new();
    let mut understood: BTreeMap<String, usize> = BTreeMap::new();
    let (mut same, mut passed_over) = (0, 0);
    for exchange in recordings::all() {
        let answer = exchange.answer();
        let server = Server::with(move |_| Some(answer.clone()));
        let Some(result) = ask(&server.client(), exchange).await else {
            passed_over += 1;
            continue;
        };
        if sayable(exchange) {
            same_request(exchange, &server.asked()[0]);
            same += 1;
        }
        let label =
            [exchange.method.as_str(), exchange.path.split('/').next().unwrap(), exchange.op.as_deref().unwrap_or("")];
        *understood.entry(label.join(" ").trim().to_owned()).or_default() += 1;
        match result {
            Ok(seen) => {
                assert!((200..300).contains(&exchange.status), "{} is no success", exchange.name);
                compare(exchange, &seen);
            }
            Err(error) => {
                assert!(exchange.status >= 300, "{}: {error:?}", exchange.name);
                let text = error.to_string();
                writeln!(failures, "{} {} {}: {text}", exchange.name, exchange.status, error.code()).unwrap();
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/failures.txt");
    if std::env::var_os("FERROGATE_WRITE").is_some() {
        std::fs::write(path, &failures).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    for (seen, expected) in failures.lines().zip(expected.lines()) {
        assert_eq!(seen, expected);
    }
    assert_eq!(failures.lines().count(), expected.lines().count());
    let total: usize = understood.values().sum();
    println!("{total} understood, {same} asked in the same words, {passed_over} of other operations: {understood:#?}");
    assert!(total > 400 && same > 200, "the recordings are not all here");
}
