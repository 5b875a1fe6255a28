//! What a gateway lets the plane reach: ranges, addresses and exact names, each with its ports. Everything else is
//! refused, so that a plane that was broken into cannot scan a site.

use async_trait::async_trait;
use ferrogate_model::{Explain, Fault, Retry, allow::AllowRule};
use ferrogate_net::Target;
use ipnet::IpNet;
use std::{fmt, io, net::IpAddr, sync::Arc};

/// A rule of the allow-list that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the allow rule for `{host}` is not usable: {problem}")]
pub struct BadAllowRule {
    /// The rule's host as written.
    pub host: String,
    /// What is wrong.
    pub problem: String,
}

impl Explain for BadAllowRule {
    fn code(&self) -> &'static str {
        "allow_rule_invalid"
    }

    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::No
    }

    fn hint(&self) -> Option<String> {
        Some("write an address, a range such as 10.20.0.0/22, or a host name, and at least one port".into())
    }
}

/// Turns names into addresses, in the site.
#[async_trait]
pub trait Resolver: Send + Sync + fmt::Debug {
    /// The addresses of a name.
    ///
    /// # Errors
    /// What the resolver says; also where the name has no address.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Range(IpNet),
    /// Lower case, without the dot at its end.
    Name(String),
}

#[derive(Clone, Debug)]
struct Rule {
    host: Host,
    ports: Vec<u16>,
}

/// The permissions of a site.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    rules: Arc<[Rule]>,
}

/// Why a target may not be reached.
#[derive(Debug)]
pub(crate) enum NotPermitted {
    /// No rule permits it.
    Rule,
    /// The name could not be resolved, so nothing can be said about its addresses.
    Name(io::Error),
}

impl AllowList {
    /// The list these rules make.
    ///
    /// # Errors
    /// The first rule that means nothing.
    pub fn new(rules: &[AllowRule]) -> Result<Self, BadAllowRule> {
        rules.iter().map(parse).collect::<Result<Vec<_>, _>>().map(|rules| Self { rules: rules.into() })
    }

    /// Whether an address may be reached on a port.
    #[must_use]
    pub fn permits(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        // Connecting to the unspecified address reaches this machine itself, whatever the range says.
        !address.is_unspecified()
            && self.rules.iter().any(|rule| {
                matches!(&rule.host, Host::Range(range) if range.contains(&address)) && rule.ports.contains(&port)
            })
    }

    /// The addresses a target may be dialled at. A name is resolved here, once: what was checked is what is dialled.
    pub(crate) async fn addresses(
        &self,
        target: &Target,
        resolver: &dyn Resolver,
    ) -> Result<Vec<IpAddr>, NotPermitted> {
        if let Some(address) = target.address() {
            let permitted = self.permits(address, target.port);
            return if permitted { Ok(vec![address.to_canonical()]) } else { Err(NotPermitted::Rule) };
        }
        let name = canonical_name(&target.host);
        let port_rules = || self.rules.iter().filter(|rule| rule.ports.contains(&target.port));
        let by_name = port_rules().any(|rule| matches!(&rule.host, Host::Name(allowed) if *allowed == name));
        // Where no range has the port either, the answer is known without asking a DNS server of the site.
        if !by_name && !port_rules().any(|rule| matches!(rule.host, Host::Range(_))) {
            return Err(NotPermitted::Rule);
        }
        let addresses = resolver.resolve(&name).await.map_err(NotPermitted::Name)?;
        let permitted: Vec<IpAddr> = addresses
            .into_iter()
            .map(|address| address.to_canonical())
            .filter(|address| (by_name && !address.is_unspecified()) || self.permits(*address, target.port))
            .collect();
        if permitted.is_empty() { Err(NotPermitted::Rule) } else { Ok(permitted) }
    }
}

fn canonical_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn parse(rule: &AllowRule) -> Result<Rule, BadAllowRule> {
    let bad = |problem: &str| BadAllowRule { host: rule.host.clone(), problem: problem.into() };
    if rule.ports.is_empty() {
        return Err(bad("it names no port"));
    }
    if rule.ports.contains(&0) {
        return Err(bad("there is no port 0"));
    }
    let text = rule.host.trim_start_matches('[').trim_end_matches(']');
    let host = if let Ok(range) = text.parse::<IpNet>() {
        Host::Range(range.trunc())
    } else if let Ok(address) = text.parse::<IpAddr>() {
        Host::Range(address.to_canonical().into())
    } else if text.contains('/') {
        return Err(bad("it is not a range"));
    } else {
        let name = canonical_name(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        // A name of digits only is an address somebody mistyped.
        let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if name.len() > 253 || numeric || !name.split('.').all(label) {
            return Err(bad("it is neither an address, a range nor a host name"));
        }
        Host::Name(name)
    };
    Ok(Rule { host, ports: rule.ports.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Debug)]
    struct Names(HashMap<&'static str, Vec<&'static str>>);

    #[async_trait]
    impl Resolver for Names {
        async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            let addresses = self.0.get(host).ok_or(io::ErrorKind::NotFound)?;
            Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
        }
    }

    fn list(rules: &[(&str, &[u16])]) -> AllowList {
        let rules: Vec<_> =
            rules.iter().map(|(host, ports)| AllowRule { host: (*host).into(), ports: ports.to_vec() }).collect();
        AllowList::new(&rules).unwrap()
    }

    async fn addresses(list: &AllowList, host: &str, port: u16) -> Option<Vec<String>> {
        let names = Names(HashMap::from([
            ("maas.site.example", vec!["10.1.0.5"]),
            ("node-1.maas", vec!["10.20.0.7", "192.0.2.1"]),
            ("outside.example", vec!["192.0.2.1"]),
            ("here.example", vec!["0.0.0.0"]),
        ]));
        let found = list.addresses(&Target::new(host, port), &names).await.ok()?;
        Some(found.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn only_what_a_rule_names_is_permitted() {
        let list = list(&[("10.20.0.0/22", &[6443]), ("maas.site.example", &[5240]), ("10.1.0.9", &[80, 443])]);
        let some = |address: &str| Some(vec![address.to_owned()]);
        assert_eq!(addresses(&list, "10.20.3.255", 6443).await, some("10.20.3.255"));
        assert_eq!(addresses(&list, "10.20.4.0", 6443).await, None, "just past the range");
        assert_eq!(addresses(&list, "10.20.0.7", 22).await, None, "another port");
        assert_eq!(addresses(&list, "10.1.0.9", 443).await, some("10.1.0.9"));
        assert_eq!(addresses(&list, "::ffff:10.1.0.9", 443).await, some("10.1.0.9"), "an address in other clothes");
        assert_eq!(addresses(&list, "MAAS.site.example.", 5240).await, some("10.1.0.5"));
        assert_eq!(addresses(&list, "maas.site.example", 6443).await, None, "the name's address is in no range");
        assert_eq!(addresses(&list, "127.0.0.1", 6443).await, None);
        assert_eq!(addresses(&AllowList::default(), "10.20.0.7", 6443).await, None);
    }

    #[tokio::test]
    async fn a_name_is_dialled_only_at_those_of_its_addresses_that_are_permitted() {
        let list = list(&[("10.20.0.0/22", &[6443]), ("0.0.0.0/0", &[80])]);
        assert_eq!(addresses(&list, "node-1.maas", 6443).await, Some(vec!["10.20.0.7".to_owned()]));
        assert_eq!(addresses(&list, "outside.example", 6443).await, None);
        assert_eq!(addresses(&list, "here.example", 80).await, None, "the unspecified address is this machine");
        assert_eq!(addresses(&list, "0.0.0.0", 80).await, None);
        assert_eq!(addresses(&list, "nowhere.example", 80).await, None);
    }

    #[test]
    fn rules_that_mean_nothing_are_refused_by_name() {
        for (host, ports, part) in [
            ("10.0.0.0/33", &[1][..], "not a range"),
            ("10.0.0.256", &[1], "neither"),
            ("", &[1], "neither"),
            ("two words", &[1], "neither"),
            ("*.example", &[1], "neither"),
            ("10.0.0.1", &[], "no port"),
            ("10.0.0.1", &[0], "port 0"),
        ] {
            let error = AllowList::new(&[AllowRule { host: host.into(), ports: ports.to_vec() }]).unwrap_err();
            assert!(error.to_string().contains(part), "{host}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_range_permits_exactly_its_addresses(base in any::<u32>(), prefix in 0_u8..=32, address in any::<u32>()) {
            let (base, address) = (std::net::Ipv4Addr::from(base), std::net::Ipv4Addr::from(address));
            let list = list(&[(&format!("{base}/{prefix}"), &[443])]);
            let bits = 32 - u32::from(prefix);
            let same = u64::from(u32::from(base)) >> bits == u64::from(u32::from(address)) >> bits;
            prop_assert_eq!(list.permits(address.into(), 443), same && !address.is_unspecified());
            prop_assert!(!list.permits(address.into(), 444));
        }
    }
}
