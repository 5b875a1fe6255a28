//! How a machine reaches others: the site's DNS for names, and only the networks it has a route to.

use crate::dns::Zone;
use async_trait::async_trait;
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector, Target};
use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Opens connections as the machines of a site do.
#[derive(Clone, Debug)]
pub struct SiteConnector {
    inner: Arc<dyn Connector>,
    zone: Arc<dyn Zone>,
    /// The networks there is a route to; `None`: everywhere.
    reach: Option<Vec<IpNet>>,
}

impl SiteConnector {
    /// Names are looked up in `zone` alone. `reach` lists the networks that can be reached, `None` allows all.
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, zone: Arc<dyn Zone>, reach: Option<Vec<IpNet>>) -> Self {
        Self { inner, zone, reach }
    }

    fn address(&self, host: &str) -> Option<IpAddr> {
        let name = host.trim_end_matches('.').to_lowercase();
        self.zone.addresses(&name).into_iter().flatten().next()
    }
}

#[async_trait]
impl Connector for SiteConnector {
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        let fail = |failure, detail: String| ConnectError { failure, target: target.clone(), via: None, detail };
        let Some(address) = target.address().or_else(|| self.address(&target.host)) else {
            return Err(fail(ConnectFailure::Dns, format!("the site's DNS does not know `{}`", target.host)));
        };
        if let Some(reach) = &self.reach
            && !reach.iter().any(|net| net.contains(&address))
        {
            return Err(fail(ConnectFailure::Unreachable, format!("the site has no route to {address}")));
        }
        let mut result = self.inner.connect(&Target::new(address.to_string(), target.port), deadline).await;
        if let Err(error) = &mut result {
            // The person knows the name, not the address behind it.
            error.target = target.clone();
        }
        result
    }
}
