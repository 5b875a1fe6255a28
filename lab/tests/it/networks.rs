//! The networks of a real site, from outside: the program is started as people start it, and what it promises is tried
//! from within the namespaces. They run where root and the programs are; elsewhere they say what is missing.

use crate::tier;
use ferrogate_lab::{
    control::{Delegation, Status},
    folder::Folder,
    host::{self, Tool},
    netns,
};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RecordType},
};
use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    fs::File,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    path::Path,
    process::{Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// What `cargo xtask test` calls these tests.
const TIER: &str = "networks";
/// Long enough on a busy computer.
const SOON: Duration = Duration::from_secs(30);
/// What a firewall that drops is given to answer.
const SILENCE: Duration = Duration::from_millis(400);

struct Lab {
    site: String,
}

impl Lab {
    /// A name of its own for each test and each run; `None` where this computer cannot have a site.
    fn new(test: &str) -> Option<Self> {
        let tools = [&netns::TOOLS[..], &netns::PROXY_TOOLS[..]].concat();
        if let Err(error) = host::need_root().and_then(|()| Tool::need(&tools)) {
            tier::skipped(TIER, error);
            return None;
        }
        tier::ran(TIER);
        Some(Self { site: format!("t{}-{test}", std::process::id()) })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferrogate-lab"));
        command.args(words).env("FERROGATE_LAB_SITE", &self.site).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn must(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn up(&self, more: &[&str]) {
        self.must(&[&["up", "--backend", "simulated", "--no-plane"], more].concat());
    }

    fn status(&self) -> Status {
        serde_json::from_str(&self.must(&["status", "--json"])).unwrap()
    }

    /// Runs something on a thread that is in one of the site's namespaces.
    fn within<T: Send>(&self, part: &str, work: impl FnOnce() -> T + Send) -> T {
        let namespace_file = File::open(format!("/run/netns/fg-{}-{part}", self.site)).unwrap();
        std::thread::scope(|scope| {
            let inside = move || {
                move_into_link_name_space(namespace_file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            };
            scope.spawn(inside).join().unwrap()
        })
    }

    fn pids(&self) -> Vec<String> {
        let mut found = Vec::new();
        for part in ["site", "edge", "plane"] {
            let list =
                Command::new("ip").args(["netns", "pids", &format!("fg-{}-{part}", self.site)]).output().unwrap();
            found.extend(String::from_utf8(list.stdout).unwrap().split_whitespace().map(str::to_owned));
        }
        found
    }

    fn assert_nothing_is_left(&self) {
        let list = Command::new("ip").args(["netns", "list"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&list.stdout).contains(&self.site), "a namespace is left");
        let folder = Folder::new(&self.site);
        assert!(!folder.root().exists() && !folder.disks().exists(), "files are left");
        for part in ["site", "edge", "plane"] {
            assert!(!Path::new(&format!("/etc/netns/fg-{}-{part}", self.site)).exists(), "settings are left");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.run(&["down"]));
    }
}

fn until(what: &str, mut true_: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !true_() {
        assert!(begun.elapsed() < SOON, "{what} did not happen");
        std::thread::yield_now();
    }
}

fn connect(address: impl Into<IpAddr>, port: u16, time: Duration) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(address.into(), port), time)
}

/// What a DNS server says about a name.
fn ask(server: Ipv4Addr, name: &str, kind: RecordType) -> Option<Message> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.send_to(&question.to_vec().unwrap(), (server, 53)).unwrap();
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).ok()?;
    Message::from_vec(&buffer[..length]).ok()
}

/// A server outside that sends back what it gets.
fn echo(lab: &Lab) -> u16 {
    let listener = lab.within("plane", || TcpListener::bind((netns::PLANE, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(8).flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

fn exchange(stream: &mut TcpStream, time: Duration) -> std::io::Result<()> {
    stream.set_read_timeout(Some(time))?;
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

#[test]
fn a_router_lets_the_site_out_and_nothing_in_and_a_partition_cuts_what_exists() {
    let Some(lab) = Lab::new("nat") else { return };
    lab.up(&[]);
    let status = lab.status();
    assert_eq!((status.machines.len(), status.partitioned), (9, false));
    lab.must(&["leftovers"]);
    let port = echo(&lab);
    let mut stream = lab.within("site", || connect(netns::PLANE, port, SOON).unwrap());
    exchange(&mut stream, SOON).unwrap();
    let into = lab.within("plane", || connect(netns::MAAS, 5240, SILENCE));
    assert_eq!(into.unwrap_err().kind(), std::io::ErrorKind::TimedOut, "nothing new comes in, and nobody is told");
    lab.within("site", || connect(netns::MAAS, 5240, SOON)).unwrap();

    lab.must(&["partition"]);
    assert!(lab.status().partitioned);
    assert!(exchange(&mut stream, SILENCE).is_err(), "an existing connection goes on through a partition");
    assert!(lab.within("site", || connect(netns::PLANE, port, SILENCE)).is_err());
    lab.must(&["partition", "--end"]);
    // What was sent meanwhile arrives late: nobody was told that the connection is broken.
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.read_exact(&mut [0]).unwrap();

    let twice = lab.run(&["up", "--backend", "simulated", "--no-plane"]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("is up already"), "{twice:?}");
    lab.must(&["down"]);
    lab.assert_nothing_is_left();
}

#[test]
fn dns_answers_both_ways_and_a_delegation_can_be_missing_or_wrong() {
    let Some(lab) = Lab::new("dns") else { return };
    lab.up(&["--delegation", "missing"]);
    assert_eq!(lab.status().delegation, Delegation::Missing);
    let code = |server, name: &'static str, kind| {
        lab.within("site", move || ask(server, name, kind)).map(|answer| answer.metadata.response_code)
    };
    assert_eq!(code(netns::EDGE, "maas", RecordType::SOA), Some(ResponseCode::NXDomain));
    assert_eq!(code(netns::MAAS, "maas", RecordType::SOA), Some(ResponseCode::NoError));
    assert_eq!(code(netns::MAAS, netns::PLANE_NAME, RecordType::A), Some(ResponseCode::NoError));
    assert_eq!(code(netns::EDGE, "example.com", RecordType::A), Some(ResponseCode::NXDomain));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = ferrogate_lab::control::Client::new(&lab.site);
    runtime.block_on(client.delegate(Delegation::Correct)).unwrap();
    assert_eq!(code(netns::EDGE, "maas", RecordType::SOA), Some(ResponseCode::NoError));
    runtime.block_on(client.delegate(Delegation::Wrong)).unwrap();
    assert_ne!(code(netns::EDGE, "maas", RecordType::SOA), Some(ResponseCode::NoError));
}

#[test]
fn with_a_proxy_only_those_who_know_its_password_get_out() {
    let Some(lab) = Lab::new("proxy") else { return };
    lab.up(&["--way-out", "proxy"]);
    let listener = lab.within("plane", || TcpListener::bind((netns::PLANE, 443)).unwrap());
    assert!(lab.within("site", || connect(netns::PLANE, 443, SILENCE)).is_err(), "there is another way out");
    let unknown = lab.within("site", || ask(netns::EDGE, netns::PLANE_NAME, RecordType::A)).unwrap();
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);

    let url = std::fs::read_to_string(Folder::new(&lab.site).proxy_url()).unwrap();
    let credentials = url.trim().strip_prefix("http://").unwrap().split_once('@').unwrap().0.to_owned();
    let tunnel = |credentials: Option<&str>| {
        let authorization = credentials.map_or_else(String::new, |credentials| {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.encode(credentials);
            format!("Proxy-Authorization: Basic {text}\r\n")
        });
        let name = netns::PLANE_NAME;
        let mut stream = lab.within("site", || connect(netns::EDGE, netns::PROXY_PORT, SOON).unwrap());
        write!(stream, "CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n{authorization}\r\n").unwrap();
        let mut answer = [0; 12];
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(tunnel(None), "HTTP/1.1 407");
    assert_eq!(tunnel(Some("site:wrong")), "HTTP/1.1 407");
    assert_eq!(tunnel(Some(&credentials)), "HTTP/1.1 200");
    drop(listener);

    let password = credentials.split_once(':').unwrap().1;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(password), "the password is in a process's arguments");
    }
}

#[test]
fn nothing_outlives_a_kill_and_the_next_start_takes_away_what_is_left() {
    let Some(lab) = Lab::new("kill") else { return };
    lab.up(&["--way-out", "proxy"]);
    let lock = netns::Lock::holder(&lab.site).unwrap().unwrap();
    kill_process(Pid::from_raw(i32::try_from(lock).unwrap()).unwrap(), Signal::KILL).unwrap();
    until("the end of every process of the site", || lab.pids().is_empty());
    let status = lab.run(&["status"]);
    assert!(String::from_utf8_lossy(&status.stderr).contains("is not up"), "{status:?}");
    lab.up(&[]);
    lab.must(&["down"]);
    lab.assert_nothing_is_left();
}

#[test]
fn a_signal_ends_the_site_in_order() {
    let Some(lab) = Lab::new("term") else { return };
    let mut serve =
        lab.command(&["serve", "--backend", "simulated", "--no-plane"]).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = serve.stderr.take().unwrap();
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok) {
            let _ = ready.send(line);
        }
    });
    while is_ready.recv_timeout(SOON).unwrap() != "ready" {}
    kill_process(Pid::from_child(&serve), Signal::TERM).unwrap();
    assert!(serve.wait().unwrap().success());
    lab.assert_nothing_is_left();
    // An end before the site is up leaves nothing either.
    let mut serve =
        lab.command(&["serve", "--backend", "simulated", "--no-plane"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    serve.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    kill_process(Pid::from_child(&serve), Signal::INT).unwrap();
    assert!(serve.wait().unwrap().success());
    lab.assert_nothing_is_left();
}
