//! Everything that must hold before a machine is touched (specification, section 2), and its table.

use super::site_subnets::SiteSubnets;
use crate::{
    Config, Host, InstallError,
    dns::{Answer, Resolver},
    host::USER_AGENT,
    probes,
    prompt::Tone,
    questions::Problem,
    screen::Screen,
    state::Progress,
};
use async_trait::async_trait;
use bytes::Bytes;
use ferrogate_engine::preflight::{self, Check, PlaneProbe, PlaneSeen, PlaneUnreachable, Status};
use ferrogate_model::{
    Explain, Timestamp,
    proxy::ProxySettings,
    release::{Architecture, Release},
};
use ferrogate_net::{HttpClient, Limits};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How long the plane is given for the answer that shows it is there.
const PLANE_DEADLINE: Duration = Duration::from_secs(30);
/// An answer to somebody who did not say who they are is short.
const MAX_ANSWER: usize = 64 * 1024;

/// Makes every check; what was learned about the site comes back beside them.
pub(crate) async fn preflight(config: &Config, progress: &Progress, host: &Host) -> (SiteSubnets, Vec<Check>) {
    let maas = match super::maas(config, host) {
        Ok(maas) => maas,
        Err(error) => return (SiteSubnets::default(), vec![failed("api_key", "MAAS API key", &error)]),
    };
    let mut site = SiteSubnets::default();
    if let Ok(subnets) = maas.subnets().await {
        site.subnets = subnets.iter().map(|subnet| subnet.cidr).collect();
    }
    let release = progress.paired.as_ref().map_or_else(any_release, |paired| paired.release.clone());
    let names = Names(Resolver::new(config.dns_servers.clone()));
    let plane = Plane { config, host, proxy: site.proxy(config) };
    let spec = config.spec();
    let input = preflight::Gateway {
        maas: &maas,
        spec: &spec,
        release: &release,
        cluster: progress.paired.as_ref().map(|paired| paired.cluster_id),
        resolver: Some(&names),
        plane: Some(&plane),
        now: host.clock.now(),
    };
    let mut checks = vec![this_host()];
    checks.extend(Box::pin(preflight::gateway(input)).await);
    for check in &mut checks {
        match check.id.as_str() {
            "dns" if check.status == Status::Skip && !site.subnets.is_empty() => {
                *check = zone(config, &names.0, check).await;
            }
            // Machines are there already, and the engine reaches them by address: no reason to stop half-way.
            "dns" if check.status == Status::Fail && progress.maas_endpoint.is_some() => check.status = Status::Warn,
            // Which image the plane wants is known after pairing; it is looked at then.
            "image" if progress.paired.is_none() => {
                *check = Check::skip("image", &check.title, "looked at after pairing, when the plane has said which");
            }
            _ => {}
        }
    }
    if progress.paired.is_none()
        && let Some(check) = account(config, &site).await
    {
        checks.push(check);
    }
    (site, checks)
}

/// After pairing: whether MAAS has what the plane wants installed. Only what does not hold comes back.
pub(crate) async fn after_pairing(config: &Config, progress: &Progress, host: &Host) -> Vec<Check> {
    let (_, checks) = Box::pin(preflight(config, progress, host)).await;
    checks.into_iter().filter(|check| matches!(check.id.as_str(), "image" | "machines")).collect()
}

/// Shows the checks as a table; answers a word about them.
pub(crate) fn show(checks: &[Check], screen: &dyn Screen) -> String {
    for check in checks {
        let tone = match check.status {
            Status::Pass => Tone::Good,
            Status::Warn => Tone::Warning,
            Status::Fail => Tone::Bad,
            Status::Skip => Tone::Note,
        };
        tracing::info!(id = %check.id, status = ?check.status, seen = %check.seen, "check");
        screen.line(tone, &format!("{:<24} {}", check.title, check.seen));
        if let Some(fix) = check.fix.as_ref().filter(|_| check.status != Status::Pass) {
            let word = if check.status == Status::Fail { "do this:" } else { "note:" };
            screen.line(Tone::Plain, &format!("    {word:<21}  {fix}"));
        }
    }
    let warned = checks.iter().filter(|check| check.status == Status::Warn).count();
    match warned {
        0 => format!("all {} hold", checks.len()),
        1 => "1 to know about".into(),
        many => format!("{many} to know about"),
    }
}

/// Whether machines may be touched.
///
/// # Errors
/// The checks that failed.
pub(crate) fn judge(checks: &[Check]) -> Result<(), InstallError> {
    let failed: Vec<_> =
        checks.iter().filter(|check| check.status == Status::Fail).map(|check| check.title.clone()).collect();
    if failed.is_empty() { Ok(()) } else { Err(InstallError::Preflight { failed }) }
}

fn failed(id: &str, title: &str, error: &dyn Explain) -> Check {
    Check::fail(id, title, error.to_string(), error.hint().unwrap_or_else(|| "correct it in pcg.yaml".into()))
}

fn this_host() -> Check {
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    Check::pass(
        "host",
        "This host",
        format!("{system} on {architecture}; nothing is left on it but the folder of pcg.yaml"),
    )
}

/// Whether the account given beside the pairing code may install.
async fn account(config: &Config, site: &SiteSubnets) -> Option<Check> {
    let (username, password) = config.plane.username.clone().zip(config.plane.password.clone())?;
    let title = "Account on the plane";
    let client = super::plane(config, site).ok()?;
    Some(match probes::check_account(&client, username, password).await {
        Ok(seen) => Check::pass("account", title, seen),
        Err(problem) => {
            let fix =
                problem.hint.unwrap_or_else(|| "correct the username, or the password with --update-secrets".into());
            Check::fail("account", title, problem.message, fix)
        }
    })
}

/// Where no machine is deployed, there is no name to try; a DNS server that was named can be asked about the zone itself.
async fn zone(config: &Config, resolver: &Resolver, check: &Check) -> Check {
    if config.dns_servers.is_empty() {
        return check.clone();
    }
    let (domain, server) = (&config.domain, resolver.describe());
    match resolver.zone(domain).await {
        Answer::Addresses(_) => Check::pass(&check.id, &check.title, format!("{server} answers for `{domain}`")),
        Answer::NoSuchName | Answer::NotItsZone => Check::fail(
            &check.id,
            &check.title,
            format!("{server} does not answer for `{domain}`: the delegation to MAAS is missing"),
            format!("delegate the zone `{domain}` to MAAS in that DNS server, or name MAAS's own with --dns-server"),
        ),
        Answer::NoAnswer(words) => Check::fail(
            &check.id,
            &check.title,
            format!("no DNS server answered: {words}"),
            "check the addresses given with --dns-server, and that UDP port 53 is open",
        ),
    }
}

/// Stands in for the plane's release until pairing has told which it is: any architecture that machines may have.
fn any_release() -> Release {
    let example = Release::example();
    let architectures = ["amd64", "arm64"]
        .into_iter()
        .flat_map(|name| example.architectures.iter().map(|one| Architecture { name: name.into(), ..one.clone() }))
        .collect();
    Release { architectures, ..example }
}

struct Names(Resolver);

#[async_trait]
impl preflight::Resolver for Names {
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        match self.0.addresses(name).await {
            Answer::Addresses(addresses) => Ok(addresses),
            Answer::NoSuchName => Ok(Vec::new()),
            Answer::NotItsZone => Err(format!("{} does not answer for its zone", self.0.describe())),
            Answer::NoAnswer(words) => Err(words),
        }
    }
}

/// The plane, asked the way the gateway will ask it.
struct Plane<'a> {
    config: &'a Config,
    host: &'a Host,
    proxy: ProxySettings,
}

#[async_trait]
impl PlaneProbe for Plane<'_> {
    async fn reach(&self) -> Result<PlaneSeen, PlaneUnreachable> {
        let endpoint = &self.config.plane.endpoint;
        let unreachable = |error: &dyn Explain| {
            let problem = Problem::of(error);
            PlaneUnreachable { cause: problem.message, hint: problem.hint }
        };
        let client = HttpClient::builder(Arc::clone(&self.host.connector))
            .trust(self.config.plane.trust.clone())
            .proxy(self.proxy.clone())
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| unreachable(&error))?;
        let address = format!("{}{}/me", endpoint.as_str().trim_end_matches('/'), ferrogate_api::API_PREFIX);
        let request = http::Request::get(&address)
            .body(Bytes::new())
            .map_err(|error| PlaneUnreachable { cause: format!("{address} cannot be asked: {error}"), hint: None })?;
        let limits = Limits { deadline: PLANE_DEADLINE, max_body: MAX_ANSWER };
        let answer = client.send(request, limits).await.map_err(|error| unreachable(&error))?;
        // It refuses whoever does not say who they are, in its own words: that tells it from a login page in between.
        let is_plane = serde_json::from_slice::<ferrogate_api::Problem>(answer.body()).is_ok();
        if !is_plane {
            return Err(PlaneUnreachable {
                cause: format!("{endpoint} answers {}, but not as a Ferrogate plane", answer.status()),
                hint: Some("check the endpoint, and whether something in between answers in its place".into()),
            });
        }
        let time = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
        let host = endpoint.host_str().unwrap_or_default();
        let way = self.proxy.for_host(host, true).map(|proxy| format!(" through {proxy}")).unwrap_or_default();
        Ok(PlaneSeen { description: format!("{endpoint}{way} answers"), time })
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planes_clock_is_read() {
        let time = http_date("Mon, 23 Nov 2026 08:00:00 GMT").unwrap();
        assert_eq!(time.to_string(), "2026-11-23T08:00:00Z");
    }

    #[test]
    fn one_failed_check_stops_everything_and_is_named() {
        let checks =
            [Check::pass("a", "A", ""), Check::fail("b", "Free addresses", "", ""), Check::warn("c", "C", "", "")];
        let error = judge(&checks).unwrap_err();
        assert_eq!(error.to_string(), "1 of the checks failed; no machine was touched: Free addresses");
        assert!(judge(&checks[..1]).is_ok());
    }
}
