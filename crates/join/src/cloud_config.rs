//! User-data for cloud-init: files and two commands, nothing that needs a shell. What a machine does with them is in the
//! units among the files.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use secrecy::SecretString;
use serde::Serialize;
use serde_saphyr::{FlowSeq, LitStr};
use std::io::Write as _;

/// The longest user-data in bytes: what EC2-like metadata services grant four times over, and far above what a node needs.
pub const LIMIT: usize = 64 * 1024;

/// Who may read a file on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only root: everything with a secret in it.
    Private,
    /// Everybody.
    Public,
}

impl Mode {
    /// As cloud-init writes it.
    const fn octal(self) -> &'static str {
        match self {
            Self::Private => "0600",
            Self::Public => "0644",
        }
    }
}

/// A file to write.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: String,
    /// Who may read it.
    pub mode: Mode,
    /// What is in it.
    pub content: String,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Private files hold tokens and keys.
        f.debug_struct("File").field("path", &self.path).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// What cloud-init is asked to do on one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudConfig {
    /// Public keys that may sign in.
    pub ssh_keys: Vec<String>,
    /// Time servers; empty leaves what MAAS sets.
    pub ntp_servers: Vec<String>,
    /// Files, written before the commands run.
    pub files: Vec<File>,
    /// Commands, each as its arguments.
    pub commands: Vec<Vec<String>>,
}

impl CloudConfig {
    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: Mode, content: impl Into<String>) {
        self.files.push(File { path: path.to_owned(), mode, content: content.into() });
    }

    /// The user-data as text.
    #[must_use]
    pub fn render(&self) -> String {
        self.rendered(false)
    }

    fn rendered(&self, pack: bool) -> String {
        let ntp = (!self.ntp_servers.is_empty()).then_some(Ntp { enabled: true, servers: &self.ntp_servers });
        let document = Document {
            ssh_authorized_keys: &self.ssh_keys,
            ntp,
            write_files: self.files.iter().map(|file| WriteFile::of(file, pack)).collect(),
            runcmd: self.commands.iter().map(FlowSeq).collect(),
        };
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        let text = serde_saphyr::to_string_with_options(&document, options).expect("texts and lists can be written");
        format!("#cloud-config\n{text}")
    }

    /// The user-data as it is handed to MAAS: files are packed where it would be long otherwise.
    ///
    /// # Errors
    /// Its length in bytes, where it is too long even so.
    pub fn user_data(&self) -> Result<SecretString, usize> {
        let plain = self.render();
        if plain.len() <= LIMIT {
            return Ok(plain.into());
        }
        let packed = self.rendered(true);
        if packed.len() <= LIMIT { Ok(packed.into()) } else { Err(packed.len()) }
    }
}

/// The document, as cloud-init reads it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ssh_authorized_keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ntp: Option<Ntp<'a>>,
    write_files: Vec<WriteFile<'a>>,
    runcmd: Vec<FlowSeq<&'a Vec<String>>>,
}

#[derive(Serialize)]
struct Ntp<'a> {
    enabled: bool,
    servers: &'a [String],
}

#[derive(Serialize)]
struct WriteFile<'a> {
    path: &'a str,
    owner: &'static str,
    permissions: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    /// As it is.
    Literal(LitStr<'a>),
    /// In base64.
    Encoded(String),
}

impl<'a> WriteFile<'a> {
    /// A file's content as it is where YAML keeps every byte of it, else in base64; packed first where that is wanted.
    fn of(file: &'a File, pack: bool) -> Self {
        let content = file.content.as_str();
        let packed = if pack { gzip(content) } else { None };
        let is_literal = content.ends_with('\n')
            && !content.ends_with("\n\n")
            && !content.starts_with([' ', '\n'])
            && content.chars().all(|c| c == '\n' || (' '..='~').contains(&c));
        let (encoding, content) = match packed {
            Some(packed) => (Some("gz+b64"), Content::Encoded(STANDARD.encode(packed))),
            None if is_literal => (None, Content::Literal(LitStr(content))),
            None => (Some("b64"), Content::Encoded(STANDARD.encode(content))),
        };
        Self { path: &file.path, owner: "root:root", permissions: file.mode.octal(), encoding, content }
    }
}

fn gzip(content: &str) -> Option<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(content.as_bytes()).and_then(|()| packer.finish()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    struct Read {
        #[serde(default)]
        ssh_authorized_keys: Vec<String>,
        write_files: Vec<ReadFile>,
        runcmd: Vec<Vec<String>>,
    }

    #[derive(Deserialize, Debug)]
    struct ReadFile {
        path: String,
        permissions: String,
        content: String,
        encoding: Option<String>,
    }

    impl ReadFile {
        fn bytes(&self) -> Vec<u8> {
            match self.encoding.as_deref() {
                Some("b64") => STANDARD.decode(&self.content).unwrap(),
                Some("gz+b64") => {
                    let mut bytes = Vec::new();
                    let packed = STANDARD.decode(&self.content).unwrap();
                    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut bytes)
                        .unwrap();
                    bytes
                }
                other => {
                    assert_eq!(other, None);
                    self.content.clone().into_bytes()
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            contents in prop::collection::vec("(?s).{0,80}|[a-z: #\n\t-]{0,60}", 1..4),
            argument in ".{1,30}",
            key in "[ -~]{1,60}",
        ) {
            let mut config = CloudConfig { ssh_keys: vec![key.clone()], ..CloudConfig::default() };
            for content in &contents {
                config.file("/etc/x", Mode::Private, content.clone());
            }
            config.commands.push(vec![argument.clone()]);
            let text = config.render();
            let read: Read = serde_saphyr::from_str(&text).unwrap();
            prop_assert_eq!(read.ssh_authorized_keys, vec![key]);
            prop_assert_eq!(read.runcmd, vec![vec![argument]]);
            for (file, content) in read.write_files.iter().zip(&contents) {
                prop_assert_eq!(file.bytes(), content.as_bytes());
                prop_assert_eq!(&file.permissions, "0600");
                prop_assert_eq!(&file.path, "/etc/x");
            }
        }
    }

    #[test]
    fn long_user_data_is_packed_and_what_is_too_long_even_so_is_refused() {
        let mut config = CloudConfig { commands: vec![vec!["true".into()]], ..CloudConfig::default() };
        config.file("/etc/x", Mode::Public, "a\n");
        assert_eq!(config.user_data().unwrap().expose_secret(), config.render());
        config.file("/etc/y", Mode::Public, "b".repeat(LIMIT));
        let packed = config.user_data().unwrap();
        let read: Read = serde_saphyr::from_str(packed.expose_secret()).unwrap();
        assert_eq!(read.write_files[1].bytes(), "b".repeat(LIMIT).as_bytes());
        let noise: String = (0..100_000).map(|_| char::from(rand::random_range(b' '..=b'~'))).collect();
        config.file("/etc/z", Mode::Public, noise);
        assert!(config.user_data().unwrap_err() > LIMIT);
    }
}
