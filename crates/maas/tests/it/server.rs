//! A server that answers what it is told and remembers what it was asked.

use ferrogate_maas::{Client, ClientOptions};
use ferrogate_model::{Clock, Timestamp};
use ferrogate_net::{BoxIo, Network};
use percent_encoding::percent_decode_str;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const PLACE: &str = "10.20.0.2:5240";
pub(crate) const KEY: &str = "ConsumerKey:TokenKey0001:TokenSecret00000001";

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Behind `/MAAS/api/2.0/`, decoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn op(&self) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == "op").map(|(_, value)| value.as_str())
    }

    /// The fields of a form, of either kind.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        if let Some(boundary) = self.content_type.strip_prefix("multipart/form-data; boundary=") {
            let boundary = format!("--{boundary}");
            let parts = self.body.split(&boundary).filter(|part| part.starts_with("\r\n"));
            return parts
                .map(|part| {
                    let (head, value) = part.trim_start_matches("\r\n").split_once("\r\n\r\n").unwrap();
                    let name = head.split("name=\"").nth(1).unwrap().split('"').next().unwrap();
                    (name.to_owned(), value.strip_suffix("\r\n").unwrap().to_owned())
                })
                .collect();
        }
        fields(&self.body)
    }
}

pub(crate) fn fields(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map(|(name, value)| (decode(name), decode(value))).unwrap())
        .collect()
}

/// The other side of a [`Client`].
pub(crate) struct Server {
    pub(crate) network: Network,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers request after request with these texts; after the last one it closes connections without an answer.
    pub(crate) fn answering<T: Into<String>>(answers: impl IntoIterator<Item = T>) -> Self {
        let answers: Mutex<VecDeque<String>> = Mutex::new(answers.into_iter().map(Into::into).collect());
        Self::with(move |_| answers.lock().unwrap().pop_front())
    }

    /// Answers with what `answer` says; `None` closes the connection.
    pub(crate) fn with(answer: impl Fn(&Asked) -> Option<String> + Send + Sync + 'static) -> Self {
        let network = Network::memory();
        let listener = network.listen(PLACE.parse().unwrap()).unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((mut io, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tasks.spawn(async move {
                    while let Some(request) = read(&mut io).await {
                        log.lock().unwrap().push(request.clone());
                        let Some(text) = answer(&request) else { return };
                        if io.write_all(text.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { network, asked }
    }

    pub(crate) fn options(&self) -> ClientOptions {
        let clock = Arc::new(Stopped("2026-11-22T08:30:00Z".parse().unwrap()));
        let endpoint = format!("http://{PLACE}/MAAS").parse().unwrap();
        ClientOptions::new(endpoint, KEY.parse().unwrap(), self.network.connector(), clock)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.options()).unwrap()
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(io: &mut BoxIo) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    io.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    let method = words.next()?.to_owned();
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.strip_prefix("/MAAS/api/2.0/").expect("a path of the API");
    Some(Asked {
        method,
        path: percent_decode_str(path).decode_utf8().unwrap().into_owned(),
        query: fields(query),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: String::from_utf8(body).unwrap(),
    })
}

/// An answer in JSON.
pub(crate) fn json(status: u16, body: &str) -> String {
    answer(status, "Content-Type: application/json; charset=utf-8\r\nX-Maas-Api-Hash: x\r\n", body)
}

/// An answer with these header lines.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}
