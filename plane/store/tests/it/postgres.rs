//! A PostgreSQL of the test's own: made in a temporary folder, listening on a socket in it, gone with the test.

use crate::{fixture::secret, tier};
use ferrogate_model::Explain;
use ferrogate_store::{MasterKey, Store};
use std::{
    net::Ipv4Addr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// What `cargo xtask test` calls these tests.
const TIER: &str = "postgresql";

pub(crate) struct Server {
    /// Where it listens beside its socket: TLS only.
    pub(crate) address: Ipv4Addr,
    bin: PathBuf,
    folder: tempfile::TempDir,
    process: Child,
    databases: AtomicU32,
}

impl Server {
    /// Starts a server; `None` where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(bin) = find_binaries() else {
            tier::skipped(TIER, "PostgreSQL is not installed (Debian: apt-get install postgresql)");
            return None;
        };
        tier::ran(TIER);
        let folder = tempfile::Builder::new().prefix("fgpg").tempdir_in("/tmp").unwrap();
        if is_root() {
            let (uid, gid) = postgres_user();
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        run(as_postgres(&bin.join("initdb")).arg("-D").arg(&data).args([
            "-U",
            "ferrogate",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]));
        let rules = "local all all trust\nhostssl all all 127.0.0.0/8 trust\n";
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        Self::make_certificate(folder.path());
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 77, high, low.max(1));
        let setting = |text: String| ["-c".to_owned(), text];
        let process = as_postgres(&bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "fsync=off", "-c", "max_connections=60", "-c", "ssl=on"])
            .args(setting(format!("listen_addresses={address}")))
            .args(setting(format!("ssl_cert_file={}", folder.path().join("server.crt").display())))
            .args(setting(format!("ssl_key_file={}", folder.path().join("server.key").display())))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { address, bin, folder, process, databases: AtomicU32::new(0) };
        // pg_isready waits by itself, so nothing here sleeps.
        let mut tries = 0;
        while !server.client("pg_isready").args(["-t", "1"]).stdout(Stdio::null()).status().unwrap().success() {
            tries += 1;
            assert!(tries < 2000, "PostgreSQL did not start: {}", server.log());
        }
        Some(server)
    }

    /// The address of a new, empty database.
    pub(crate) fn new_database(&self, title: &str) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let output = self.client("createdb").arg(&name).output().unwrap();
        assert!(output.status.success(), "{title}: {}", String::from_utf8_lossy(&output.stderr));
        format!("postgres://ferrogate@localhost/{name}?host={}", self.folder.path().display())
    }

    /// The certificate it shows, which signed itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    fn make_certificate(folder: &Path) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = folder.join("server.key");
        std::fs::write(folder.join("server.crt"), made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            let (uid, gid) = postgres_user();
            std::os::unix::fs::chown(&key, Some(uid), Some(gid)).unwrap();
        }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.arg("-h").arg(self.folder.path()).args(["-U", "ferrogate"]);
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A killed postmaster would leave a segment of shared memory behind; this does not.
        let data = self.folder.path().join("data");
        let stopped = as_postgres(&self.bin.join("pg_ctl"))
            .arg("stop")
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "-s"])
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn find_binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> =
        versions.flatten().map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn postgres_user() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line =
        passwd.lines().find(|line| line.starts_with("postgres:")).expect("Debian's package makes the user postgres");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}

/// PostgreSQL refuses to run as root. It also ends when the test is killed.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=SIGQUIT", "--"]).arg(program);
    command.current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Reaches the server over TCP, where it takes TLS only.
pub(crate) async fn is_reached_over_tls(server: &Server) {
    let database = server.new_database("tls");
    let name = database.split(['/', '?']).nth(3).unwrap();
    let url = |mode: &str| secret(&format!("postgres://ferrogate@{}/{name}?sslmode={mode}", server.address));
    let verified = format!("verify-ca&sslrootcert={}", server.certificate().display());
    let store = Store::open(&url(&verified), MasterKey::generate()).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;

    for mode in ["disable", "verify-ca"] {
        let error = Store::open(&url(mode), MasterKey::generate()).await.unwrap_err();
        assert_eq!(error.code(), "database_not_opened", "{mode}: {error:?}");
    }
}
