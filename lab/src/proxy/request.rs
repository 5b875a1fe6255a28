//! The head of a request to a proxy.

use ferrogate_net::{BoxIo, Target};
use std::io::{self, ErrorKind};
use tokio::io::AsyncReadExt as _;

/// A longer head is refused.
const MAX_HEAD: usize = 32 * 1024;

/// A request's first line and headers, and what was read past them.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    /// As written: `host:port` for CONNECT, else a whole address.
    pub(super) address: String,
    headers: Vec<(String, String)>,
    pub(super) rest: Vec<u8>,
}

impl Head {
    pub(super) async fn read(io: &mut BoxIo) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if bytes.len() > MAX_HEAD {
                return Err(io::Error::new(ErrorKind::InvalidData, "the request's head is too long"));
            }
            if io.read_buf(&mut bytes).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        };
        let bad = || io::Error::new(ErrorKind::InvalidData, "this is not an HTTP request");
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| bad())?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(address), Some("HTTP/1.1" | "HTTP/1.0")) = (words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        let headers = lines.map(header).collect::<Option<Vec<_>>>().ok_or_else(bad)?;
        let (method, address) = (method.to_owned(), address.to_owned());
        Ok(Self { method, address, headers, rest: bytes[end + 4..].to_vec() })
    }

    pub(super) fn is_connect(&self) -> bool {
        self.method == "CONNECT"
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Where to; `None` for a request that is not meant for a proxy.
    pub(super) fn target(&self) -> Option<Target> {
        if self.is_connect() {
            let (host, port) = self.address.rsplit_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            return Some(Target::new(host, port.parse().ok()?));
        }
        let url = url::Url::parse(&self.address).ok().filter(|url| url.scheme() == "http")?;
        Some(Target::new(url.host_str()?.trim_start_matches('[').trim_end_matches(']'), url.port_or_known_default()?))
    }

    /// The request as the origin server expects it, with what was read of its body.
    pub(super) fn for_origin(&self) -> Vec<u8> {
        let path = url::Url::parse(&self.address).map_or_else(
            |_| "/".to_owned(),
            |url| url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
        );
        let mut text = format!("{} {path} HTTP/1.1\r\n", self.method);
        for (name, value) in &self.headers {
            // One request for each connection keeps the proxy simple: it need not understand where a body ends.
            let hop = ["connection", "proxy-connection", "proxy-authorization", "keep-alive"];
            if !hop.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        text.push_str("Connection: close\r\nVia: 1.1 site-proxy\r\n\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.rest);
        bytes
    }
}
