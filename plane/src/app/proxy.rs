//! The site's way out, as the store keeps it: sealed JSON, because a proxy's address may hold a password.

use crate::failure::{Failure, Outcome};
use ferrogate_api::ProxyConfig;
use ferrogate_model::proxy::ProxySettings;
use secrecy::{ExposeSecret as _, SecretString};

/// The text to seal for what an installer said; `None` where the site needs no proxy and excludes nothing.
pub(crate) fn to_store(config: &ProxyConfig) -> Outcome<Option<SecretString>> {
    settings(config)?;
    if config.https_proxy.is_none() && config.http_proxy.is_none() && config.no_proxy.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(config)
        .map(|text| Some(text.into()))
        .map_err(|error| Failure::internal(format!("writing proxy settings: {error}")))
}

/// The settings in a sealed text of [`to_store`].
///
/// # Errors
/// The text is not one of ours.
pub(crate) fn from_store(text: Option<&SecretString>) -> Outcome<ProxySettings> {
    let Some(text) = text else { return Ok(ProxySettings::default()) };
    let config: ProxyConfig = serde_json::from_str(text.expose_secret())
        // serde's words could repeat a part of the text, which may be a password.
        .map_err(|_| Failure::internal("the stored proxy settings cannot be read"))?;
    settings(&config)
}

fn settings(config: &ProxyConfig) -> Outcome<ProxySettings> {
    let url = |text: &Option<ferrogate_api::Secret>, at: &str| {
        text.as_ref().map(|text| text.expose().parse()).transpose().map_err(|error| {
            Failure::invalid("bad_proxy", "the proxy settings cannot be used").item(at, format!("{error}"), None)
        })
    };
    Ok(ProxySettings {
        https: url(&config.https_proxy, "proxy.https_proxy")?,
        http: url(&config.http_proxy, "proxy.http_proxy")?,
        no_proxy: config.no_proxy.parse().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_store_and_a_wrong_one_is_refused_without_its_password() {
        let config = ProxyConfig {
            https_proxy: Some("http://site:s3cret@proxy.example.com:3128".into()),
            http_proxy: None,
            no_proxy: "10.20.0.0/22".into(),
        };
        let kept = to_store(&config).unwrap().unwrap();
        let read = from_store(Some(&kept)).unwrap();
        assert_eq!(read.https.unwrap().host(), "proxy.example.com");
        assert!(read.no_proxy.matches("10.20.1.1"));
        assert!(to_store(&ProxyConfig::default()).unwrap().is_none());

        let wrong = ProxyConfig { https_proxy: Some("ftp://site:s3cret@proxy".into()), ..ProxyConfig::default() };
        let failure = to_store(&wrong).unwrap_err();
        assert_eq!(failure.problem().errors[0].at, "proxy.https_proxy");
        assert!(!failure.to_string().contains("s3cret"), "{failure}");
    }
}
