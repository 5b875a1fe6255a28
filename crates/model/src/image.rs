//! The name of a container image, by its digest: what it names can never change.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A container image by name, tag and digest: `registry.k8s.io/pause:3.10.2@sha256:…`. The tag is for people; what runs is
/// what has the digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    text: String,
    /// Where the tag begins, after its colon.
    tag: usize,
    /// Where the digest begins, after its `@`.
    digest: usize,
}

/// What is wrong with the name of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not name an image for good: write registry, name, tag and digest, such as \
     registry.k8s.io/pause:3.10.2@sha256:<64 lower-case hexadecimal digits>"
)]
pub struct NotPinned(String);

impl ImageRef {
    /// An image of this name and tag (`registry.k8s.io/pause:3.10.2`) whose manifest has this SHA-256, 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`NotPinned`] where that is no name with a tag, or no digest.
    pub fn new(tagged: &str, sha256: &str) -> Result<Self, NotPinned> {
        format!("{tagged}@sha256:{sha256}").parse()
    }

    /// Registry and name: `registry.k8s.io/pause`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[..self.tag - 1]
    }

    /// The tag: `3.10.2`.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.text[self.tag..self.digest - 1]
    }

    /// The digest: `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.text[self.digest..]
    }

    /// Name and tag, as kubeadm names its images.
    #[must_use]
    pub fn tagged(&self) -> &str {
        &self.text[..self.digest - 1]
    }

    /// Name and digest, as containerd keeps what was asked for by digest.
    #[must_use]
    pub fn pinned(&self) -> String {
        format!("{}@{}", self.name(), self.digest())
    }

    /// Tag and digest, for where kubeadm takes a tag.
    #[must_use]
    pub fn tag_and_digest(&self) -> &str {
        &self.text[self.tag..]
    }

    /// The last part of the name: `pause`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        let name = self.name();
        name.rsplit('/').next().unwrap_or(name)
    }
}

impl FromStr for ImageRef {
    type Err = NotPinned;

    /// Reads what registries' clients read, but for short names: the registry is said, so that nobody completes it differently.
    fn from_str(text: &str) -> Result<Self, NotPinned> {
        let wrong = || NotPinned(text.to_owned());
        let (tagged, digest) = text.split_once('@').ok_or_else(wrong)?;
        let hex = digest.strip_prefix("sha256:").ok_or_else(wrong)?;
        if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let (registry, path) = tagged.split_once('/').ok_or_else(wrong)?;
        let (path, tag) = path.split_once(':').ok_or_else(wrong)?;
        let is_registry = registry.contains(['.', ':']) || registry == "localhost";
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.' | b'_' | b'-'))
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_tag = !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(plain) && !tag.starts_with(['.', '-']);
        let is_host = registry.bytes().all(|byte| plain(byte) || byte == b':');
        if !is_registry || !is_host || !path.split('/').all(part) || !is_tag {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), tag: tagged.len() - tag.len(), digest: tagged.len() + 1 })
    }
}

impl TryFrom<String> for ImageRef {
    type Error = NotPinned;

    fn try_from(text: String) -> Result<Self, NotPinned> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.text
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl utoipa::PartialSchema for ImageRef {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("A container image by name, tag and digest: `registry.k8s.io/pause:3.10.2@sha256:…`."))
            .into()
    }
}

impl utoipa::ToSchema for ImageRef {}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:4395a684893b312e9e2259bf119522d2154cd3ccc7d8b219f77bdb234ade08ca";

    #[test]
    fn an_image_is_named_by_its_parts() {
        let text = format!("registry.k8s.io/coredns/coredns:v1.14.2@{DIGEST}");
        let image: ImageRef = text.parse().unwrap();
        assert_eq!(image.to_string(), text);
        assert_eq!(image.name(), "registry.k8s.io/coredns/coredns");
        assert_eq!(image.short_name(), "coredns");
        assert_eq!((image.tag(), image.digest()), ("v1.14.2", DIGEST));
        assert_eq!(image.tagged(), "registry.k8s.io/coredns/coredns:v1.14.2");
        assert_eq!(image.pinned(), format!("registry.k8s.io/coredns/coredns@{DIGEST}"));
        assert_eq!(image.tag_and_digest(), format!("v1.14.2@{DIGEST}"));
        let port: ImageRef = format!("localhost:5000/a:1@{DIGEST}").parse().unwrap();
        assert_eq!((port.name(), port.tag()), ("localhost:5000/a", "1"));
    }

    #[test]
    fn what_may_change_behind_its_name_is_no_image() {
        let upper = DIGEST.to_uppercase().replace("SHA256", "sha256");
        for text in [
            "registry.k8s.io/pause:3.10.2".to_owned(),
            format!("registry.k8s.io/pause@{DIGEST}"),
            format!("pause:3.10.2@{DIGEST}"),
            format!("ferrogate/gateway:1@{DIGEST}"),
            format!("registry.k8s.io/pause:3.10.2@{upper}"),
            format!("registry.k8s.io/pause:3.10.2@{}", &DIGEST[..70]),
            format!("registry.k8s.io/pause:3.10.2@{DIGEST} "),
            format!("registry.k8s.io/pause:3 1@{DIGEST}"),
            format!("registry.k8s.io/pause:@{DIGEST}"),
            format!("registry.k8s.io//pause:1@{DIGEST}"),
            format!("registry.k8s.io/Pause:1@{DIGEST}"),
            format!("registry.k8s.io\n/pause:1@{DIGEST}"),
            format!("registry.k8s.io/pause:1@{DIGEST}@{DIGEST}"),
            String::new(),
        ] {
            assert_eq!(text.parse::<ImageRef>(), Err(NotPinned(text.clone())), "{text}");
        }
    }
}
