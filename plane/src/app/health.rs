//! How the plane itself is.

use crate::{app::setup, context::Context, failure::Outcome};
use ferrogate_api::Version;
use ferrogate_store::{Page, gateways};

/// Versions and the clock.
pub(crate) async fn version(context: &Context) -> Outcome<Version> {
    Ok(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes_version: context.release.kubernetes.clone(),
        os_image: context.release.os_image.clone(),
        gateway_version: context.release.version.clone(),
        is_set_up: setup::is_done(context).await?,
        time: context.now(),
    })
}

/// Whether requests can be served, and why not.
pub(crate) async fn ready(context: &Context) -> (bool, String) {
    if context.closing.is_cancelled() {
        return (false, "shutting down\n".to_owned());
    }
    match context.store.ping().await {
        Ok(()) => (true, "ok\n".to_owned()),
        Err(error) => {
            tracing::warn!(error = %ferrogate_model::fault::chain(&error), "the store does not answer");
            (false, "the database does not answer\n".to_owned())
        }
    }
}

/// The metrics, after a look at what is gauged.
pub(crate) async fn metrics(context: &Context) -> Outcome<String> {
    let mut connected = 0;
    let mut page = Page::first(Page::MAX);
    loop {
        let list = gateways::list(&context.store, None, &page).await?;
        connected += list.items.iter().map(|gateway| context.hub.nodes(gateway.id).len()).sum::<usize>();
        match list.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    context.metrics.gateway_nodes(connected);
    Ok(context.metrics.text())
}
