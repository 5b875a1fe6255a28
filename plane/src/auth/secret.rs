//! Opaque credentials: random, recognisable by their prefix, kept only as SHA-256.
//!
//! They carry 256 bits of chance, so a plain fast hash is enough to keep them; passwords, which people choose, are
//! hashed slowly elsewhere.

use ferrogate_files::hex;
use rand::{TryRngCore as _, rngs::OsRng};
use secrecy::SecretString;

/// What a credential is for; the prefix lets secret scanners and people recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CredentialKind {
    /// A signed-in browser or command line.
    Session,
    /// A personal or service API token.
    Api,
    /// What an installer holds for one gateway.
    Install,
    /// What one machine registers its key with, once.
    Enrolment,
    /// What a kubeconfig holds, for one cluster.
    Kubeconfig,
    /// The first start's one-time token.
    Setup,
}

impl CredentialKind {
    const ALL: [Self; 6] = [Self::Session, Self::Api, Self::Install, Self::Enrolment, Self::Kubeconfig, Self::Setup];

    /// What the credential begins with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "fg_ses_",
            Self::Api => "fg_pat_",
            Self::Install => "fg_inst_",
            Self::Enrolment => "fg_enr_",
            Self::Kubeconfig => "fg_kube_",
            Self::Setup => "fg_setup_",
        }
    }

    /// The kind a credential claims to be.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }
}

/// A fresh credential: the prefix and 64 hexadecimal digits.
pub(crate) fn generate(kind: CredentialKind) -> SecretString {
    format!("{}{}", kind.prefix(), hex(random::<32>())).into()
}

/// A fresh pairing code: short enough to be read out over a telephone, 100 bits of chance.
///
/// Crockford's alphabet without the letters that are read wrongly; grouped in fives: `7K2QX-…`.
pub(crate) fn pairing_code() -> SecretString {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut code = String::with_capacity(23);
    for (index, byte) in random::<20>().into_iter().enumerate() {
        if index > 0 && index % 5 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    code.into()
}

/// A pairing code as it was made, from what a person typed: any case, with or without hyphens and spaces.
pub(crate) fn normalise_pairing_code(typed: &str) -> SecretString {
    let letters: Vec<char> = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    letters.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-").into()
}

/// SHA-256 of a text as 64 hexadecimal digits: what settings keep of a credential.
pub(crate) fn hash_text(credential: &str) -> String {
    ferrogate_files::sha256(credential)
}

/// Bytes of the operating system's random source.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).expect("an operating system without randomness cannot run a plane");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_credential_says_its_kind_and_is_new_each_time() {
        for kind in CredentialKind::ALL {
            let credential = generate(kind);
            assert_eq!(CredentialKind::of(credential.expose_secret()), Some(kind));
            assert_eq!(credential.expose_secret().len(), kind.prefix().len() + 64);
            assert_ne!(generate(kind).expose_secret(), credential.expose_secret());
        }
        assert_eq!(CredentialKind::of("Bearer"), None);
    }

    #[test]
    fn a_pairing_code_survives_how_people_type() {
        let code = pairing_code();
        let code = code.expose_secret();
        assert_eq!(code.len(), 23);
        for typed in [code.to_lowercase(), code.replace('-', ""), format!("  {} ", code.replace('-', " "))] {
            assert_eq!(normalise_pairing_code(&typed).expose_secret(), code, "{typed}");
        }
        assert_eq!(normalise_pairing_code("oil").expose_secret(), "011");
    }
}
