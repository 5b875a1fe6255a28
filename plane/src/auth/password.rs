//! Passwords of local users: argon2id, computed off the async threads, a few at a time.

use crate::failure::{Failure, Outcome};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::OnceLock;
use tokio::sync::Semaphore;

/// Fewest characters of a password.
pub(crate) const MIN_LENGTH: usize = 12;
/// Most characters: far more than anybody types, little enough to hash.
const MAX_LENGTH: usize = 1_024;
/// How many are hashed at once: each takes 19 MiB and a processor core.
static TURNS: Semaphore = Semaphore::const_new(4);

/// Refuses a password that is too short or too long to be one.
pub(crate) fn check(password: &SecretString) -> Outcome<()> {
    let length = password.expose_secret().chars().count();
    if (MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        return Ok(());
    }
    Err(Failure::invalid("password_too_weak", format!("the password has {length} characters"))
        .hint(format!("choose one of {MIN_LENGTH} to {MAX_LENGTH} characters")))
}

/// Hashes a password for the store, in PHC form.
pub(crate) async fn hash(password: SecretString) -> Outcome<String> {
    compute(move || Argon2::default().hash_password(password.expose_secret().as_bytes()).map(|hash| hash.to_string()))
        .await?
        .map_err(|error| Failure::internal(format!("hashing a password: {error}")))
}

/// Whether `password` is the one that `kept` was made from. Without `kept` it computes just as long and says no, so
/// that nobody learns from the time which users exist.
pub(crate) async fn verify(password: SecretString, kept: Option<String>) -> Outcome<bool> {
    if password.expose_secret().chars().count() > MAX_LENGTH {
        return Ok(false);
    }
    compute(move || {
        let real = kept.is_some();
        let text = kept.unwrap_or_else(|| nobody().to_owned());
        PasswordHash::new(&text)
            .is_ok_and(|kept| Argon2::default().verify_password(password.expose_secret().as_bytes(), &kept).is_ok())
            && real
    })
    .await
}

/// The hash of a password that nobody has.
fn nobody() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        Argon2::default()
            .hash_password(&super::secret::random::<32>())
            .map(|hash| hash.to_string())
            .expect("32 bytes can be hashed with the default parameters")
    })
}

async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    let _turn = TURNS.acquire().await.expect("the semaphore is never closed");
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::internal(format!("hashing a password: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_accepted() {
        let kept = hash("correct horse battery".to_owned().into()).await.unwrap();
        assert!(kept.starts_with("$argon2id$"), "{kept}");
        assert!(verify("correct horse battery".to_owned().into(), Some(kept.clone())).await.unwrap());
        assert!(!verify("correct horse battery ".to_owned().into(), Some(kept)).await.unwrap());
        assert!(!verify("correct horse battery".to_owned().into(), None).await.unwrap());
    }

    #[test]
    fn eleven_characters_are_too_few() {
        assert!(check(&"elevenchars".to_owned().into()).is_err());
        assert!(check(&"twelve-chars".to_owned().into()).is_ok());
    }
}
