//! User-data for cloud-init: files and two commands, nothing that needs a shell. What a machine does with them is in the
//! units among the files.

use crate::yaml::scalar;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use secrecy::SecretString;
use std::{fmt::Write as _, io::Write as _};

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
        let mut text = "#cloud-config\n".to_owned();
        let mut list = |head: &str, indent: &str, items: &[String]| {
            if !items.is_empty() {
                writeln!(text, "{head}").expect("a string takes everything");
                for item in items {
                    writeln!(text, "{indent}- {}", scalar(item)).expect("a string takes everything");
                }
            }
        };
        list("ssh_authorized_keys:", "", &self.ssh_keys);
        list("ntp:\n  enabled: true\n  servers:", "  ", &self.ntp_servers);
        text.push_str("write_files:\n");
        for file in &self.files {
            writeln!(
                text,
                "- path: {}\n  owner: root:root\n  permissions: '{}'",
                scalar(&file.path),
                file.mode.octal()
            )
            .expect("a string takes everything");
            content(&mut text, &file.content, pack);
        }
        text.push_str("runcmd:\n");
        for command in &self.commands {
            let arguments = command.iter().map(|argument| scalar(argument)).collect::<Vec<_>>().join(", ");
            writeln!(text, "- [{arguments}]").expect("a string takes everything");
        }
        text
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

/// A file's content: as it is where YAML keeps every byte of it, else in base64; packed first where that is wanted.
fn content(text: &mut String, content: &str, pack: bool) {
    let packed = if pack { gzip(content) } else { None };
    let literal = content.ends_with('\n')
        && !content.ends_with("\n\n")
        && !content.starts_with([' ', '\n'])
        && content.chars().all(|c| c == '\n' || (' '..='~').contains(&c));
    if let Some(packed) = packed {
        writeln!(text, "  encoding: gz+b64\n  content: {}", scalar(&STANDARD.encode(packed)))
            .expect("a string takes everything");
    } else if literal {
        text.push_str("  content: |\n");
        for line in content.lines() {
            if line.is_empty() {
                text.push('\n');
            } else {
                writeln!(text, "    {line}").expect("a string takes everything");
            }
        }
    } else {
        writeln!(text, "  encoding: b64\n  content: {}", scalar(&STANDARD.encode(content)))
            .expect("a string takes everything");
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
