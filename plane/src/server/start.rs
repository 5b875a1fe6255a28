//! From options to a running plane.

use super::{
    identity::{Identity, SERVER_RENEWAL},
    listener::{Listening, tls, until},
    options::Options,
    running::Running,
};
use crate::{
    app::{
        artifacts::{Artifacts, PIECE_DEADLINE},
        nodes::Registry,
        setup,
    },
    auth::{limits::Limits, revocation, secret},
    context::Context,
    files, http,
    metrics::Metrics,
    start_error::StartError,
    tasks,
};
use ferrogate_api::client::Downloads;
use ferrogate_model::{fault::chain, release::Release};
use ferrogate_net::Trust;
use ferrogate_store::{MasterKey, Store};
use ferrogate_tunnel::Hub;
use rustls::ServerConfig;
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub(super) async fn start(options: Options) -> Result<Running, StartError> {
    files::make_folder(&options.data_dir)?;
    let (listener, local_addr) = bind(options.listen).await?;
    let public_url = public_url(&options, local_addr)?;
    let identity = Arc::new(identity(&options, local_addr, &public_url)?);
    let config = tls(&identity)
        .map_err(|error| StartError::Certificate { path: options.data_dir.clone(), detail: error.to_string() })?;
    let store = open_store(&options).await?;
    let setup_token = setup::token(&store).await?;
    let context = Arc::new(context(&options, store, &identity, public_url).await?);
    if let Some(token) = &setup_token {
        announce(&context, token);
    }

    let connections = TaskTracker::new();
    let (drain, cut) = (CancellationToken::new(), CancellationToken::new());
    let listen = |listener: TcpListener, router: axum::Router, config: Option<Arc<ServerConfig>>| {
        let listening = Arc::new(Listening {
            context: Arc::clone(&context),
            router,
            tasks: connections.clone(),
            connections_per_source: options.max_connections_per_source,
            drain: drain.clone(),
            cut: cut.clone(),
        });
        connections.spawn(listening.run(listener, config));
    };
    listen(listener, http::router(&context), Some(config));
    let mut admin_addr = None;
    if let Some(address) = options.admin_listen {
        let (listener, bound) = bind(address).await?;
        admin_addr = Some(bound);
        listen(listener, http::admin_router(&context), None);
    }
    context.tasks.spawn(revocation::watch(Arc::clone(&context)));
    context.tasks.spawn(until(context.closing.clone(), renew(Arc::clone(&identity), Arc::clone(&context))));
    let task_status = if options.reconcile {
        tasks::spawn(&Arc::new(tasks::TaskContext::of(&context)), &context.tasks, &context.closing)
    } else {
        Arc::default()
    };
    Ok(Running {
        local_addr,
        task_status,
        admin_addr,
        url: context.public_url.clone(),
        ca_pem: identity.ca_pem.clone(),
        fingerprint: identity.fingerprint.clone(),
        setup_token,
        context,
        connections,
        drain,
        cut,
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The address people and gateways use: the one given, or the one listened on.
fn public_url(options: &Options, local: SocketAddr) -> Result<Url, StartError> {
    let Some(url) = &options.public_url else {
        let host = if local.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], local.port())) } else { local };
        return Ok(Url::parse(&format!("https://{host}")).expect("a socket address is a valid authority"));
    };
    let bad = |problem| StartError::PublicUrl { url: url.to_string(), problem };
    if url.scheme() != "https" {
        return Err(bad("it does not begin with https://"));
    }
    if url.host_str().is_none() {
        return Err(bad("it has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has more than scheme, host and port"));
    }
    if url.path() != "/" {
        return Err(bad("the plane cannot live below a path"));
    }
    Ok(url.clone())
}

fn identity(options: &Options, local: SocketAddr, public_url: &Url) -> Result<Identity, StartError> {
    if let Some(files) = &options.certificate {
        return Identity::given(files);
    }
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if !local.ip().is_unspecified() {
        names.insert(local.ip().to_string());
    }
    if let Some(host) = public_url.host_str() {
        names.insert(host.trim_matches(['[', ']']).to_owned());
    }
    names.extend(options.extra_names.iter().cloned());
    let folder = options.data_dir.join("tls");
    files::make_folder(&folder)?;
    Identity::own(&folder, names, options.clock.now())
}

async fn open_store(options: &Options) -> Result<Store, StartError> {
    let (key_file, database) = (options.master_key(), options.data_dir.join("plane.db"));
    // A new key would start well and then fail at the first sealed secret, long after anybody remembers why.
    if options.database.is_none() && database.exists() && !key_file.exists() {
        return Err(StartError::KeyLost { database, key: key_file });
    }
    let key = MasterKey::load_or_create(&key_file)?;
    Ok(match &options.database {
        Some(location) => Store::open(location, key).await?,
        None => Store::open_file(&database, key).await?,
    })
}

async fn context(options: &Options, store: Store, identity: &Identity, public_url: Url) -> Result<Context, StartError> {
    let release = options.release.clone();
    let tasks = TaskTracker::new();
    let publishers = Downloads {
        trust: Trust::system(),
        proxy: options.proxy.clone(),
        user_agent: concat!("ferrogate-plane/", env!("CARGO_PKG_VERSION")).to_owned(),
        patience: PIECE_DEADLINE,
    };
    publishers.trust.client_config(&[]).map_err(|error| StartError::Certificate {
        path: "the system's certificate authorities".into(),
        detail: chain(&error),
    })?;
    let artifacts =
        Artifacts::new(options.artifact_folders(), options.data_dir.join("cache"), publishers, tasks.clone());
    artifacts.add(&release);
    warn_about(&release, &artifacts);
    // Clusters that began with an older release still need its files when they grow.
    for release in crate::app::artifacts::releases_in_use(&store).await? {
        artifacts.add(&release);
    }
    let registry = Arc::new(Registry::new(store.clone(), Arc::clone(&options.clock)));
    let hub = Hub::new(options.hub.clone(), registry, Arc::clone(&options.clock));
    Ok(Context {
        clock: Arc::clone(&options.clock),
        site_network: options.site_network.clone().unwrap_or_else(|| Arc::new(hub.clone())),
        hub,
        store,
        release,
        node_setup: Arc::clone(&options.node_setup),
        public_url,
        fingerprint: if identity.ca_pem.is_empty() { String::new() } else { identity.fingerprint.clone() },
        ca_pem: identity.ca_pem.clone(),
        data_dir: options.data_dir.clone(),
        replica: format!("plane-{}", ferrogate_files::hex(secret::random::<8>())),
        artifacts: Arc::new(artifacts),
        metrics: Metrics::default(),
        tasks,
        closing: CancellationToken::new(),
        limits: Limits::new(&options.clock),
        identities: Default::default(),
        document: http::openapi().into(),
        nudge: watch::Sender::new(()),
        events: watch::Sender::new(()),
        streams: Default::default(),
    })
}

/// Says at start what this plane will not be able to do, instead of when somebody needs it.
fn warn_about(release: &Release, artifacts: &Artifacts) {
    for architecture in &release.architectures {
        for artifact in architecture.artifacts().filter(|artifact| !artifacts.has(artifact)) {
            tracing::warn!(
                architecture = architecture.name,
                file = artifact.path,
                "a file of the release is not here: put it into the mirror folder under this path; until then no machine of \
                 this architecture becomes a node"
            );
        }
    }
}

/// The token is for whoever can read the plane's log: the one who started it.
fn announce(context: &Context, token: &secrecy::SecretString) {
    tracing::info!(url = %context.public_url, "this plane has no user yet; use the one-time set-up token to make the first");
    tracing::debug!(length = secrecy::ExposeSecret::expose_secret(token).len(), "a set-up token was made");
}

/// Replaces the server's certificate well before it expires.
async fn renew(identity: Arc<Identity>, context: Arc<Context>) {
    loop {
        tokio::time::sleep(SERVER_RENEWAL).await;
        match identity.renew(context.now()) {
            Ok(()) => tracing::info!("the server's certificate was replaced by a new one"),
            Err(error) => tracing::error!(error, "the server's certificate could not be replaced"),
        }
    }
}
