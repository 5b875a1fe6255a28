//! User-data for cloud-init: files and two commands, nothing that needs a shell. What a machine does with them is in the
//! units among the files.

use crate::yaml::scalar;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use std::{fmt::Write as _, io::Write as _};

/// User-data above this many bytes is compressed. cloud-init unpacks it; nothing on the way needs to know.
pub const PLAIN_LIMIT: usize = 64 * 1024;

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
            content(&mut text, &file.content);
        }
        text.push_str("runcmd:\n");
        for command in &self.commands {
            let arguments = command.iter().map(|argument| scalar(argument)).collect::<Vec<_>>().join(", ");
            writeln!(text, "- [{arguments}]").expect("a string takes everything");
        }
        text
    }

    /// The user-data as it is handed to MAAS: the text, compressed where it is long.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let text = self.render();
        if text.len() <= PLAIN_LIMIT {
            return text.into_bytes();
        }
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        // Writing into memory cannot fail; if it ever did, the plain text is still correct.
        match packer.write_all(text.as_bytes()).and_then(|()| packer.finish()) {
            Ok(packed) => packed,
            Err(_) => text.into_bytes(),
        }
    }
}

/// A file's content: as it is where YAML keeps every byte of it, else in base64.
fn content(text: &mut String, content: &str) {
    let literal = content.ends_with('\n')
        && !content.ends_with("\n\n")
        && !content.starts_with([' ', '\n'])
        && content.chars().all(|c| c == '\n' || (' '..='~').contains(&c));
    if literal {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
    fn long_user_data_is_compressed_and_short_is_not() {
        let mut config = CloudConfig::default();
        config.file("/etc/x", Mode::Public, "a\n");
        assert!(config.bytes().starts_with(b"#cloud-config\n"));
        config.file("/etc/y", Mode::Public, "b".repeat(PLAIN_LIMIT));
        let packed = config.bytes();
        assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < PLAIN_LIMIT, "{}", packed.len());
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut text).unwrap();
        assert_eq!(text, config.render());
    }
}
