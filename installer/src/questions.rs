//! The questions of an installation: what is asked, in which order, with which default, and where else the answer can be
//! given. Which question comes next, and what has to be looked at before it counts as answered, is decided by
//! [`flow::Flow`], which does no input or output at all.

pub mod choices;
pub mod dialogue;
pub mod flow;
pub mod inventory;
pub mod summary;

/// One question (specification 3.2–3.5), in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// What to install.
    InstallType,
    /// On which kind of cloud.
    CloudType,
    /// The gateway's name.
    Name,
    /// The plane's address.
    Endpoint,
    /// Sign-in e-mail of a local tenant admin.
    Username,
    /// The password that belongs to it.
    Password,
    /// The pairing code.
    PairingCode,
    /// The site's HTTPS proxy.
    HttpsProxy,
    /// The site's HTTP proxy.
    HttpProxy,
    /// What is reached without the proxy.
    NoProxy,
    /// Range of the pods.
    PodCidr,
    /// Range of the services.
    ServiceRange,
    /// MAAS's API endpoint.
    MaasEndpoint,
    /// MAAS's API key.
    MaasKey,
    /// MAAS domain of the machines.
    Domain,
    /// MAAS availability zone.
    Zone,
    /// MAAS resource pool.
    ResourcePool,
    /// One or three nodes.
    Nodes,
}

impl Question {
    /// Every question, in the order of the specification.
    pub const ALL: [Self; 18] = [
        Self::InstallType,
        Self::CloudType,
        Self::Name,
        Self::Endpoint,
        Self::Username,
        Self::Password,
        Self::PairingCode,
        Self::HttpsProxy,
        Self::HttpProxy,
        Self::NoProxy,
        Self::PodCidr,
        Self::ServiceRange,
        Self::MaasEndpoint,
        Self::MaasKey,
        Self::Domain,
        Self::Zone,
        Self::ResourcePool,
        Self::Nodes,
    ];

    /// What is asked, as a person reads it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InstallType => "Install type",
            Self::CloudType => "Cloud type",
            Self::Name => "Name",
            Self::Endpoint => "Endpoint",
            Self::Username => "Username",
            Self::Password => "Password",
            Self::PairingCode => "Pairing code",
            Self::HttpsProxy => "HTTPS proxy",
            Self::HttpProxy => "HTTP proxy",
            Self::NoProxy => "No proxy",
            Self::PodCidr => "Pod CIDR",
            Self::ServiceRange => "Service IP range",
            Self::MaasEndpoint => "MAAS API endpoint",
            Self::MaasKey => "MAAS API key",
            Self::Domain => "Domain",
            Self::Zone => "Availability zone",
            Self::ResourcePool => "Resource pool",
            Self::Nodes => "Number of nodes",
        }
    }

    /// Why it is asked and what an answer looks like, in one line of at most 76 characters.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::InstallType => "What to build in this site.",
            Self::CloudType => "What the site's machines come from.",
            Self::Name => "The plane will list the gateway under this name, such as maas-pcg-1.",
            Self::Endpoint => "Address of the plane, such as https://plane.example.com.",
            Self::Username => "E-mail of a local tenant admin; leave blank to use the pairing code alone.",
            Self::Password => "Your password on the plane. It is not shown, and is sealed in the file.",
            Self::PairingCode => "Tenant Settings > Private Cloud Gateways > Create shows it; 24 hours valid.",
            Self::HttpsProxy => "Blank for none, or http://USER:PASSWORD@HOST:PORT. Reaches every node.",
            Self::HttpProxy => "Blank for none. Used by every node for plain http destinations.",
            Self::NoProxy => "Ranges, hosts and domains, with commas. MAAS, pods, services are added.",
            Self::PodCidr => "Pods of the gateway live here; must overlap no network of the machines.",
            Self::ServiceRange => "Services of the gateway live here; must overlap no network either.",
            Self::MaasEndpoint => "Such as http://10.11.12.13:5240/MAAS. It is reached without the proxy.",
            Self::MaasKey => "In MAAS: My Preferences > API keys. Three parts with colons; sealed.",
            Self::Domain => "The machines' names will stand in this DNS zone of MAAS.",
            Self::Zone => "Counts: Ready machines with 4 CPUs, 8192 MiB and 60 GiB or more.",
            Self::ResourcePool => "Counts: Ready machines that fit, in the chosen zone.",
            Self::Nodes => "Three nodes stay up when one fails; one can become three later.",
        }
    }

    /// Whether the answer is a secret: not shown while it is typed, sealed in the file.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Password | Self::PairingCode | Self::MaasKey)
    }

    /// Whether the answer may hold credentials (a proxy's address), so that it is shown without them.
    #[must_use]
    pub const fn may_hold_credentials(self) -> bool {
        matches!(self, Self::HttpsProxy | Self::HttpProxy)
    }

    /// The key in pcg.yaml, as the path a person would look for.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::InstallType => "install_type",
            Self::CloudType => "cloud_type",
            Self::Name => "name",
            Self::Endpoint => "plane.endpoint",
            Self::Username => "plane.username",
            Self::Password => "plane.password",
            Self::PairingCode => "plane.pairing_code",
            Self::HttpsProxy => "environment.https_proxy",
            Self::HttpProxy => "environment.http_proxy",
            Self::NoProxy => "environment.no_proxy",
            Self::PodCidr => "environment.pod_cidr",
            Self::ServiceRange => "environment.svc_ip_range",
            Self::MaasEndpoint => "maas.endpoint",
            Self::MaasKey => "maas.api_key",
            Self::Domain => "placement.domain",
            Self::Zone => "placement.zone",
            Self::ResourcePool => "placement.resource_pool",
            Self::Nodes => "placement.nodes",
        }
    }

    /// The argument that gives the answer beforehand; for secrets, the one that names a file.
    #[must_use]
    pub const fn argument(self) -> &'static str {
        match self {
            Self::InstallType | Self::CloudType => "",
            Self::Name => "--name",
            Self::Endpoint => "--endpoint",
            Self::Username => "--username",
            Self::Password => "--password-file",
            Self::PairingCode => "--pairing-code-file",
            Self::HttpsProxy => "--https-proxy",
            Self::HttpProxy => "--http-proxy",
            Self::NoProxy => "--no-proxy",
            Self::PodCidr => "--pod-cidr",
            Self::ServiceRange => "--svc-ip-range",
            Self::MaasEndpoint => "--maas-endpoint",
            Self::MaasKey => "--maas-api-key-file",
            Self::Domain => "--domain",
            Self::Zone => "--zone",
            Self::ResourcePool => "--resource-pool",
            Self::Nodes => "--nodes",
        }
    }

    /// The variable of the environment that gives the answer beforehand.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::InstallType | Self::CloudType => "",
            Self::Name => "FERROGATE_NAME",
            Self::Endpoint => "FERROGATE_ENDPOINT",
            Self::Username => "FERROGATE_USERNAME",
            Self::Password => "FERROGATE_PASSWORD",
            Self::PairingCode => "FERROGATE_PAIRING_CODE",
            Self::HttpsProxy => "FERROGATE_HTTPS_PROXY",
            Self::HttpProxy => "FERROGATE_HTTP_PROXY",
            Self::NoProxy => "FERROGATE_NO_PROXY",
            Self::PodCidr => "FERROGATE_POD_CIDR",
            Self::ServiceRange => "FERROGATE_SVC_IP_RANGE",
            Self::MaasEndpoint => "FERROGATE_MAAS_ENDPOINT",
            Self::MaasKey => "FERROGATE_MAAS_API_KEY",
            Self::Domain => "FERROGATE_DOMAIN",
            Self::Zone => "FERROGATE_ZONE",
            Self::ResourcePool => "FERROGATE_RESOURCE_POOL",
            Self::Nodes => "FERROGATE_NODES",
        }
    }

    /// What is taken where nothing is said; `None` where there is no sensible default.
    #[must_use]
    pub const fn default(self) -> Option<&'static str> {
        match self {
            Self::InstallType => Some("pcg"),
            Self::CloudType | Self::Domain => Some("maas"),
            Self::Username | Self::Password | Self::HttpsProxy | Self::HttpProxy | Self::NoProxy => Some(""),
            Self::PodCidr => Some("192.168.0.0/16"),
            Self::ServiceRange => Some("10.43.0.0/16"),
            Self::Nodes => Some("1"),
            Self::Name
            | Self::Endpoint
            | Self::PairingCode
            | Self::MaasEndpoint
            | Self::MaasKey
            | Self::Zone
            | Self::ResourcePool => None,
        }
    }
}

/// What is wrong with an answer, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// Lower case, no full stop.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem whose message says it all.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A problem from any error that can explain itself.
    #[must_use]
    pub fn of(error: &dyn ferrogate_model::Explain) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self { message, hint: error.hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_a_line_of_an_80_column_terminal() {
        for question in Question::ALL {
            assert!(question.help().len() <= 76, "{question:?}: {}", question.help().len());
        }
    }

    #[test]
    fn questions_come_in_the_order_of_the_specification() {
        assert!(Question::ALL.is_sorted());
    }
}
