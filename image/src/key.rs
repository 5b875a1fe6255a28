//! The name of an artifact's inputs: equal inputs, equal key, and so the artifact that is there already.

use crate::error::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Digits of the digest in a folder's name: 64 bits, plenty for the few artifacts of one computer.
pub(crate) const DIGITS: usize = 16;

/// Gathers inputs. Each goes in with its label and its length, so that no two lists of inputs look alike.
pub struct Key(Sha256);

impl Key {
    /// `recipe` is raised when the Rust that makes the artifact changes what comes out.
    pub fn new(artifact: &str, recipe: u32) -> Self {
        Self(Sha256::new()).text("artifact", artifact).text("recipe", &recipe.to_string())
    }

    fn bytes(mut self, label: &str, content: &[u8]) -> Self {
        self.0.update((label.len() as u64).to_le_bytes());
        self.0.update(label);
        self.0.update((content.len() as u64).to_le_bytes());
        self.0.update(content);
        self
    }

    /// A value, such as a version or a list of flags.
    pub fn text(self, label: &str, content: &str) -> Self {
        self.bytes(label, content.as_bytes())
    }

    /// Every file below a folder, with its path.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn folder(mut self, folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        files_below(folder, &mut files)?;
        files.sort();
        for file in files {
            let label = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
            let content = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            self = self.bytes(&label, &content);
        }
        Ok(self)
    }

    /// The key's digits.
    pub fn digits(self) -> String {
        let mut digits = ferrogate_files::hex(self.0.finalize());
        digits.truncate(DIGITS);
        digits
    }
}

fn files_below(folder: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_apart_what_only_the_borders_tell_apart() {
        let one = Key::new("a", 1).text("x", "yz").digits();
        let other = Key::new("a", 1).text("xy", "z").digits();
        assert_ne!(one, other);
        assert_eq!(one.len(), DIGITS);
        assert_eq!(one, Key::new("a", 1).text("x", "yz").digits());
        assert_ne!(one, Key::new("a", 2).text("x", "yz").digits());
    }
}
