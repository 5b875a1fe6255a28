//! The carrier for everything that speaks `http/1.1` between a gateway and the plane: TLS-inspecting proxies, HTTP load
//! balancers. The tunnel's bytes travel in binary messages.

use bytes::{Buf, Bytes};
use ferrogate_net::BoxIo;
use futures::{Sink, Stream, ready};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{Role, WebSocketConfig},
    },
};

/// The largest message either end accepts; ours are a batch and at most a frame more.
const MAX_MESSAGE: usize = 256 * 1024;
/// The largest message sent: the writer above gathers that much under load.
const MESSAGE_BYTES: usize = 2 * super::batch::BATCH_BYTES;

/// Answers the WebSocket upgrade of a gateway: `101` with the right headers, or `None` where the request is not one.
///
/// The caller sends the answer, then hands the upgraded connection to [`crate::Hub::serve_websocket`].
#[must_use]
pub fn accept<B>(request: &http::Request<B>) -> Option<http::Response<()>> {
    let header = |name: http::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let has = |name, wanted: &str| {
        header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(wanted)))
    };
    let wanted = request.method() == http::Method::GET
        && has(http::header::UPGRADE, "websocket")
        && has(http::header::CONNECTION, "upgrade")
        && header(http::header::SEC_WEBSOCKET_VERSION) == Some("13");
    let key = request.headers().get(http::header::SEC_WEBSOCKET_KEY).filter(|_| wanted)?;
    http::Response::builder()
        .status(http::StatusCode::SWITCHING_PROTOCOLS)
        .header(http::header::UPGRADE, "websocket")
        .header(http::header::CONNECTION, "Upgrade")
        .header(
            http::header::SEC_WEBSOCKET_ACCEPT,
            tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes()),
        )
        .body(())
        .ok()
}

/// Limits of both ends.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        // The writer above gathers already: each message goes out as it is.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_MESSAGE)
}

/// The plane's end of an upgraded connection, as a byte stream.
pub(crate) async fn server(io: BoxIo) -> BoxIo {
    Box::new(WebSocketIo::new(WebSocketStream::from_raw_socket(io, Role::Server, Some(config())).await))
}

/// A byte stream in the binary messages of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocketIo<T> {
    socket: WebSocketStream<T>,
    /// What of the last message was not read yet.
    unread: Bytes,
}

impl<T> WebSocketIo<T> {
    /// The byte stream of an open WebSocket.
    pub(crate) fn new(socket: WebSocketStream<T>) -> Self {
        Self { socket, unread: Bytes::new() }
    }
}

fn to_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(other),
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.unread.has_remaining() {
                let count = self.unread.remaining().min(buffer.remaining());
                buffer.put_slice(&self.unread.split_to(count));
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                // The library answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a message that is not binary",
                    )));
                }
                Some(Err(error)) => return Poll::Ready(Err(to_io(error))),
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(to_io)?;
        let count = buffer.len().min(MESSAGE_BYTES);
        let message = Message::Binary(Bytes::copy_from_slice(&buffer[..count]));
        Pin::new(&mut self.socket).start_send(message).map_err(to_io)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(to_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(to_io(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn pair() -> (BoxIo, WebSocketStream<tokio::io::DuplexStream>) {
        let (near, far) = tokio::io::duplex(1 << 20);
        (server(Box::new(near)).await, WebSocketStream::from_raw_socket(far, Role::Client, Some(config())).await)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_whatever_the_messages() {
        let (mut near, far) = pair().await;
        let mut far = WebSocketIo::new(far);
        let sent: Vec<u8> = (0..500_000_u32).map(|n| n as u8).collect();
        let copy = sent.clone();
        let writer = tokio::spawn(async move {
            far.write_all(&copy).await.unwrap();
            far.flush().await.unwrap();
            far
        });
        let mut read = vec![0; sent.len()];
        near.read_exact(&mut read).await.unwrap();
        assert!(read == sent);
        let mut far = writer.await.unwrap();
        near.write_all(b"back").await.unwrap();
        near.flush().await.unwrap();
        let mut back = [0; 4];
        far.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"back");
    }

    #[tokio::test]
    async fn a_text_message_and_one_that_is_too_long_end_the_carrier() {
        use futures::SinkExt;
        let (mut near, mut far) = pair().await;
        far.send(Message::text("hello")).await.unwrap();
        assert_eq!(near.read_u8().await.unwrap_err().kind(), io::ErrorKind::InvalidData);

        let (mut near, mut far) = pair().await;
        // The sender's own limit is on what it reads, so this goes out.
        let _ = far.feed(Message::Binary(vec![0; MAX_MESSAGE + 1].into())).await;
        let _ = far.flush().await;
        assert!(near.read_u8().await.is_err());
    }

    #[test]
    fn only_a_websocket_upgrade_is_accepted() {
        let good = || {
            http::Request::get("/tunnel")
                .header("connection", "keep-alive, Upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        };
        let answer = accept(&good().body(()).unwrap()).unwrap();
        // The example of RFC 6455 §1.3.
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(accept(&good().method("POST").body(()).unwrap()).is_none());
        assert!(accept(&http::Request::get("/tunnel").body(()).unwrap()).is_none());
    }
}
