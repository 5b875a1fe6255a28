//! `etcdctl` in a pod on a server: lists the members of the etcd beside it, and removes one.

use crate::{machine::Machine, programs::Container};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};

/// The only etcd that a pod on a server has a certificate's name for.
const ENDPOINT: &str = "https://127.0.0.1:2379";

/// Runs it once; what it said.
pub(super) fn run(machine: &Machine, container: &Container) -> Result<String, String> {
    let (program, arguments) = container.args.split_first().ok_or("no command is given")?;
    if program != "etcdctl" {
        return Err(format!("`{program}` is not simulated in etcd's image but as a static pod"));
    }
    let (mut files, mut words, mut as_json, mut endpoint) = ([const { String::new() }; 3], Vec::new(), false, "");
    for argument in arguments {
        match argument.split_once('=') {
            Some(("--endpoints", value)) => endpoint = value,
            Some(("--cacert", path)) => path.clone_into(&mut files[0]),
            Some(("--cert", path)) => path.clone_into(&mut files[1]),
            Some(("--key", path)) => path.clone_into(&mut files[2]),
            Some(("--command-timeout", _)) => {}
            Some(("--write-out", "json")) => as_json = true,
            _ if argument.starts_with('-') => return Err(format!("Error: unknown flag: {argument}")),
            _ => words.push(argument.as_str()),
        }
    }
    if endpoint != ENDPOINT {
        return Err(format!("dial {endpoint}: only {ENDPOINT} is simulated"));
    }
    identified(machine, container, &files)?;
    let out_of_reach = || "Error: context deadline exceeded".to_owned();
    let store = machine.site.datastores.at(container.node_address).ok_or_else(out_of_reach)?;
    match words.as_slice() {
        ["member", "list"] if as_json => {
            let members = store.list_members().map_err(|_| out_of_reach())?;
            let members: Vec<Value> = members
                .iter()
                .map(|member| {
                    let name = if member.started { member.name.as_str() } else { "" };
                    let url = |port| format!("https://{}", std::net::SocketAddr::new(member.address, port));
                    let clients: Vec<String> = member.started.then(|| url(2379)).into_iter().collect();
                    let mut listed =
                        json!({"ID": member.id, "name": name, "peerURLs": [url(2380)], "clientURLs": clients});
                    if member.is_learner {
                        listed["isLearner"] = true.into();
                    }
                    listed
                })
                .collect();
            Ok(json!({"header": {}, "members": members}).to_string())
        }
        ["member", "remove", id] => {
            let number = u64::from_str_radix(id, 16).map_err(|_| format!("Error: bad member ID arg ({id})"))?;
            store.remove_member(number).map_err(|why| format!("Error: {why}"))?;
            Ok(format!("Member {id} removed from cluster {}", store.id))
        }
        other => Err(format!("Error: unknown command \"{}\" for \"etcdctl\"", other.join(" "))),
    }
}

/// Whether the files are a certificate that etcd here believes: of its own authority, and with its key.
fn identified(machine: &Machine, container: &Container, files: &[String; 3]) -> Result<(), String> {
    let read = |path: &String| {
        std::fs::read_to_string(container.root.join(path.trim_start_matches('/')))
            .map_err(|error| format!("Error: open {path}: {error}"))
    };
    let [authority, certificate, key] = [read(&files[0])?, read(&files[1])?, read(&files[2])?];
    let own = machine.disk.read_text("/etc/kubernetes/pki/etcd/ca.crt").unwrap_or_default();
    let unknown =
        || "Error: tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned();
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unknown());
    let (authority_der, certificate) = (der(&authority)?, der(&certificate)?);
    let parse = |der| x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed).map_err(|_| unknown());
    let (issuer, parsed) = (parse(&authority_der)?, parse(&certificate)?);
    let key = KeyPair::from_pem(&key).map_err(|error| format!("Error: the key: {error}"))?;
    if authority.trim() != own.trim() || parsed.issuer() != issuer.subject() {
        return Err(unknown());
    }
    if key.subject_public_key_info() != parsed.public_key().raw {
        return Err("Error: tls: private key does not match public key".into());
    }
    Ok(())
}
