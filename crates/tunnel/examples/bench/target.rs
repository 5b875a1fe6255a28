//! What stands at the end: sends, swallows or answers, as the first byte says.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// First byte: send for ever.
pub(crate) const SEND: u8 = b'S';
/// First byte: send [`STALLED_BYTES`], count them, and wait for the end: for readers that stall.
pub(crate) const SEND_COUNTED: u8 = b'C';
/// First byte: swallow everything.
pub(crate) const SWALLOW: u8 = b'W';
/// First byte: answer each request of [`REQUEST`] bytes with [`ANSWER`] bytes.
pub(crate) const SERVE: u8 = b'A';
/// Bytes of a small request, about those of an HTTP head.
pub(crate) const REQUEST: usize = 200;
/// Bytes of a small answer.
pub(crate) const ANSWER: usize = 600;

/// Bytes sent by [`SEND_COUNTED`].
static COUNTED: AtomicU64 = AtomicU64::new(0);
/// More than the buffers on any way hold for a reader that stalls, where its own are small.
const STALLED_BYTES: usize = 2 << 20;
/// What the kernel may hold for a visitor: else it would take in megabytes for each reader that stalls.
pub(crate) const SMALL_BUFFER: usize = 64 * 1024;

/// Waits until stalled readers have stalled: nothing more is sent to them.
pub(crate) async fn quiet() {
    for _ in 0..50 {
        let before = COUNTED.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if COUNTED.load(Ordering::Relaxed) == before {
            break;
        }
    }
}

pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).unwrap();
            tokio::spawn(serve(socket));
        }
    });
    address
}

async fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![7; 64 * 1024];
    match socket.read_u8().await? {
        SEND => loop {
            socket.write_all(&buffer).await?;
        },
        SEND_COUNTED => {
            socket2::SockRef::from(&socket).set_send_buffer_size(SMALL_BUFFER)?;
            for _ in 0..STALLED_BYTES / buffer.len() {
                socket.write_all(&buffer).await?;
                COUNTED.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            }
            socket.read_u8().await?;
        }
        SWALLOW => while socket.read(&mut buffer).await? > 0 {},
        _ => loop {
            socket.read_exact(&mut buffer[..REQUEST]).await?;
            socket.write_all(&buffer[..ANSWER]).await?;
        },
    }
    Ok(())
}
