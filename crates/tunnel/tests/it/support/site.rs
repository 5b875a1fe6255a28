//! What stands in the site: an echo service, one that sends for ever, one that never answers.

use ferrogate_net::{BoxIo, Network};
use std::{future::Future, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Mutex,
    task::JoinSet,
};

/// Echoes what it gets.
pub(crate) const ECHO: &str = "10.20.0.7:6443";
/// Sends without end.
pub(crate) const SOURCE: &str = "10.20.0.8:6443";
/// Accepts, says nothing, keeps the connection.
pub(crate) const SILENT: &str = "10.20.0.9:6443";
/// Ends its half at once and keeps reading.
pub(crate) const HALF: &str = "10.20.0.10:6443";
/// Echoes, by a name.
pub(crate) const MAAS: &str = "10.1.0.5:5240";

pub(crate) struct Site {
    _services: JoinSet<()>,
    /// Connections that [`SILENT`] and [`HALF`] hold.
    pub(crate) held: Arc<Mutex<Vec<BoxIo>>>,
}

impl Site {
    pub(crate) fn start(network: &Network) -> Self {
        let mut services = JoinSet::new();
        let held = Arc::new(Mutex::new(Vec::new()));
        for address in [ECHO, MAAS] {
            serve(&mut services, network, address, |io| async {
                let (mut read, mut write) = tokio::io::split(io);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
        serve(&mut services, network, SOURCE, |mut io| async move {
            let chunk = vec![7; 64 * 1024];
            while io.write_all(&chunk).await.is_ok() {}
        });
        let keep = held.clone();
        serve(&mut services, network, SILENT, move |io| {
            let keep = keep.clone();
            async move { keep.lock().await.push(io) }
        });
        let keep = held.clone();
        serve(&mut services, network, HALF, move |mut io| {
            let keep = keep.clone();
            async move {
                let _ = io.shutdown().await;
                keep.lock().await.push(io);
            }
        });
        Self { _services: services, held }
    }

    /// Whether the service that holds connections sees the end of its only one.
    pub(crate) async fn held_ended(&self) -> bool {
        let mut held = self.held.lock().await;
        let Some(io) = held.first_mut() else { return false };
        let mut rest = [0; 64];
        loop {
            match futures::poll!(std::pin::pin!(io.read(&mut rest))) {
                std::task::Poll::Pending => return false,
                std::task::Poll::Ready(Ok(0) | Err(_)) => return true,
                std::task::Poll::Ready(Ok(_)) => {}
            }
        }
    }
}

fn serve<F, W>(services: &mut JoinSet<()>, network: &Network, address: &str, work: F)
where
    F: Fn(BoxIo) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = network.listen(address.parse().unwrap()).unwrap();
    services.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((io, _)) = listener.accept().await {
            connections.spawn(work(io));
        }
    });
}
