//! The looks at the plane and at MAAS while questions are answered.

use crate::{
    Host,
    answers::Answers,
    config::{self, Extras},
    host::USER_AGENT,
    questions::{
        Problem, Question,
        dialogue::Probes,
        flow::{Finding, Look},
        inventory::{Inventory, MIN_DISK_GIB, ReadyMachine},
    },
};
use async_trait::async_trait;
use ferrogate_api::{ApiError, Client, ClientOptions, Role, SessionCreate};
use ferrogate_maas::{ApiKey, Endpoint, MaasError, MaasFailure, MachineFilter, types::Machine};
use ferrogate_model::{Explain, Fault, proxy::ProxySettings};
use ferrogate_net::Trust;
use secrecy::SecretString;
use std::{path::Path, sync::Arc, time::Duration};

/// How long a person waits for one look.
const LOOK_DEADLINE: Duration = Duration::from_secs(20);
/// MAAS lists all machines in one answer, which takes long in a large site.
const INVENTORY_DEADLINE: Duration = Duration::from_secs(60);

/// Looks at the real plane and the real MAAS.
#[derive(Clone, Debug)]
pub struct SiteProbes {
    host: Host,
    plane_trust: Trust,
    maas_trust: Trust,
}

impl SiteProbes {
    /// Looks from this host. CA files are read at once.
    ///
    /// # Errors
    /// A CA file cannot be used.
    pub fn new(host: &Host, extras: &Extras) -> Result<Self, crate::InstallError> {
        let folder = Path::new("");
        let ca_pem = config::read_ca("--ca-file", extras.ca_file.as_deref(), folder)?;
        let maas_ca_pem = config::read_ca("--maas-ca-file", extras.maas_ca_file.as_deref(), folder)?;
        Ok(Self {
            host: host.clone(),
            plane_trust: config::plane_trust(extras.fingerprint, ca_pem),
            maas_trust: config::maas_trust(maas_ca_pem.as_deref()),
        })
    }

    fn plane(&self, answers: &Answers) -> Result<Client, Problem> {
        let url = answers.or_default(Question::Endpoint).parse();
        let url = url.map_err(|error: url::ParseError| Problem::new(error.to_string()))?;
        let proxy = config::proxy_settings(answers).map_err(|error| Problem::of(&error))?;
        plane_client(url, self.plane_trust.clone(), proxy).map_err(|error| Problem::of(&error))
    }

    fn maas(&self, answers: &Answers, key: &str) -> Result<ferrogate_maas::Client, Problem> {
        let (endpoint, _) =
            Endpoint::parse(answers.or_default(Question::MaasEndpoint)).map_err(|bad| Problem::new(bad.to_string()))?;
        let key = key.parse::<ApiKey>().map_err(|bad| Problem::new(bad.to_string()))?;
        maas_client(&self.host, endpoint, key, self.maas_trust.clone(), INVENTORY_DEADLINE)
            .map_err(|error| Problem::of(&error))
    }

    async fn sign_in(&self, answers: &Answers) -> Finding {
        let client = match self.plane(answers) {
            Ok(client) => client,
            Err(problem) => return Finding::Bad(problem),
        };
        let email = answers.or_default(Question::Username).to_owned();
        let password = answers.secret(Question::Password).cloned().unwrap_or_default();
        match check_account(&client, email, password).await {
            Ok(seen) => Finding::Good(seen),
            Err(problem) => Finding::Bad(problem),
        }
    }
}

#[async_trait]
impl Probes for SiteProbes {
    async fn look(&self, look: Look, answers: &Answers) -> Finding {
        let deadline = if look == Look::MaasKey { INVENTORY_DEADLINE } else { LOOK_DEADLINE };
        let looking = Box::pin(async {
            match look {
                Look::Plane => match self.plane(answers) {
                    Ok(client) => reach_plane(&client).await,
                    Err(problem) => Finding::Bad(problem),
                },
                Look::SignIn => self.sign_in(answers).await,
                // MAAS tells its version to everybody: the endpoint can be judged before there is a key.
                Look::Maas => match self.maas(answers, "nobody:nobody:nobody") {
                    Ok(maas) => reach_maas(&maas).await,
                    Err(problem) => Finding::Bad(problem),
                },
                Look::MaasKey => match self.maas(answers, answers.or_default(Question::MaasKey)) {
                    Ok(maas) => match Box::pin(inventory(&maas)).await {
                        Ok((seen, inventory)) => Finding::Inventory(seen, inventory),
                        Err(error) => Finding::Bad(Problem::of(&error)),
                    },
                    Err(problem) => Finding::Bad(problem),
                },
            }
        });
        tokio::time::timeout(deadline, looking).await.unwrap_or_else(|_| {
            let problem = Problem::new(format!("{}: no answer within {} s", look.title(), deadline.as_secs()));
            Finding::Unreached(problem.hint("check that a firewall lets this host through"))
        })
    }
}

/// A client of the plane without credentials.
///
/// # Errors
/// The trust settings cannot be used.
pub(crate) fn plane_client(url: url::Url, trust: Trust, proxy: ProxySettings) -> Result<Client, ApiError> {
    Client::new(ClientOptions { url, token: None, trust, proxy, hosts: Vec::new(), user_agent: USER_AGENT.to_owned() })
}

/// A client of MAAS, which is always reached directly.
///
/// # Errors
/// The trust settings cannot be used.
pub(crate) fn maas_client(
    host: &Host,
    endpoint: Endpoint,
    key: ApiKey,
    trust: Trust,
    deadline: Duration,
) -> Result<ferrogate_maas::Client, MaasError> {
    let mut options =
        ferrogate_maas::ClientOptions::new(endpoint, key, Arc::clone(&host.connector), Arc::clone(&host.clock));
    options.trust = trust;
    options.deadline = deadline;
    ferrogate_maas::Client::new(options)
}

/// Whether a plane answers. It refuses whoever does not say who they are, which is answer enough.
async fn reach_plane(client: &Client) -> Finding {
    match client.me().await {
        Ok(_) => Finding::Good("the plane answers".into()),
        Err(error) if error.problem().is_some_and(|problem| matches!(problem.status, 401 | 403)) => {
            Finding::Good("the plane answers".into())
        }
        Err(error @ ApiError::Unreachable { .. }) => Finding::Unreached(Problem::of(&error)),
        Err(error) => Finding::Bad(Problem::of(&error)),
    }
}

/// Whether an account may install: a local tenant admin. Its session is ended at once.
///
/// # Errors
/// Why not, in the plane's words.
pub(crate) async fn check_account(client: &Client, email: String, password: SecretString) -> Result<String, Problem> {
    let request = SessionCreate { email, password: password.into() };
    let created = client.create_session(&request).await.map_err(|error| Problem::of(&error))?;
    let session = client.with_token(Some(created.token.into_inner()));
    if let Err(error) = session.delete_current_session().await {
        tracing::debug!(%error, "the session was not ended; it ends by itself");
    }
    let identity = created.identity;
    if identity.role != Role::Admin {
        let role = format!("{:?}", identity.role).to_lowercase();
        return Err(Problem::new(format!("{} is {role} of tenant {}, not its admin", identity.email, identity.tenant))
            .hint("sign in as a tenant admin, or leave the username blank and use the pairing code alone"));
    }
    Ok(format!("{} is admin of tenant {}", identity.email, identity.tenant))
}

async fn reach_maas(maas: &ferrogate_maas::Client) -> Finding {
    match maas.version().await {
        Ok(version) => Finding::Good(format!("MAAS {} answers", version.version)),
        Err(error) if matches!(*error.failure, MaasFailure::KeyRefused) => Finding::Good("MAAS answers".into()),
        Err(error) if error.fault() == Fault::Network => Finding::Unreached(Problem::of(&error)),
        Err(error) => Finding::Bad(Problem::of(&error)),
    }
}

/// Who the key is, and what MAAS has.
///
/// # Errors
/// MAAS refused, or was not reached.
pub(crate) async fn inventory(maas: &ferrogate_maas::Client) -> Result<(String, Inventory), MaasError> {
    let who = maas.whoami().await?;
    let filter = MachineFilter { status: Some("ready".into()), ..MachineFilter::default() };
    let (domains, zones, pools, subnets, machines) =
        tokio::try_join!(maas.domains(), maas.zones(), maas.pools(), maas.subnets(), maas.machines(&filter))?;
    let mut domains: Vec<_> = domains.into_iter().filter(|domain| domain.authoritative).collect();
    domains.sort_by(|a, b| b.is_default.cmp(&a.is_default).then_with(|| a.name.cmp(&b.name)));
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let inventory = Inventory {
        domains: domains.into_iter().map(|domain| domain.name).collect(),
        zones: sorted(zones.into_iter().map(|zone| zone.name).collect()),
        pools: sorted(pools.into_iter().map(|pool| pool.name).collect()),
        ready: machines.iter().map(ready_machine).collect(),
        subnets: subnets.into_iter().map(|subnet| (subnet.name, subnet.cidr)).collect(),
    };
    let right = if who.is_superuser { ", an administrator" } else { "" };
    let seen = format!("the key is {}'s{right}; {} Ready machines", who.username, inventory.ready.len());
    Ok((seen, inventory))
}

fn ready_machine(machine: &Machine) -> ReadyMachine {
    // The engine asks whether the disk is large enough; the number is for people.
    let bytes = machine.boot_disk.as_ref().map_or_else(|| megabytes(machine.storage), |disk| disk.size);
    let disk_gib = if machine.has_disk_of(MIN_DISK_GIB) { (bytes >> 30).max(MIN_DISK_GIB) } else { bytes >> 30 };
    ReadyMachine {
        hostname: machine.hostname.clone(),
        zone: machine.zone.name.clone(),
        pool: machine.pool.as_ref().map(|pool| pool.name.clone()).unwrap_or_default(),
        cpu: machine.cpu_count,
        memory_mib: machine.memory,
        disk_gib,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "MAAS's sizes are positive and far below 2^52"
)]
fn megabytes(storage: f64) -> u64 {
    (storage * 1e6) as u64
}
