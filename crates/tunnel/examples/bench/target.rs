//! What stands at the end: sends, swallows or answers, as the first byte says.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// First byte: send for ever.
pub(crate) const SEND: u8 = b'S';
/// First byte: swallow everything.
pub(crate) const SWALLOW: u8 = b'W';
/// First byte: answer each request of [`REQUEST`] bytes with [`ANSWER`] bytes.
pub(crate) const SERVE: u8 = b'A';
/// Bytes of a small request, about those of an HTTP head.
pub(crate) const REQUEST: usize = 200;
/// Bytes of a small answer.
pub(crate) const ANSWER: usize = 600;

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
        SWALLOW => while socket.read(&mut buffer).await? > 0 {},
        _ => loop {
            socket.read_exact(&mut buffer[..REQUEST]).await?;
            socket.write_all(&buffer[..ANSWER]).await?;
        },
    }
    Ok(())
}
