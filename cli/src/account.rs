//! `ferrogate account set-key`.

use crate::context::PlaneArgs;
use crate::exit::Result;
use crate::login::secret;
use crate::print;
use clap::Subcommand;
use ferrogate_api::{AccountUpdate, Secret};
use secrecy::SecretString;
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub(crate) enum AccountCommand {
    /// Give a cloud account another MAAS API key; the plane tries it before it is saved
    SetKey {
        /// Its name or id, as `ferrogate get accounts` shows it
        account: String,
        /// File with the key (`-` reads standard input); asked for where it is not given
        #[arg(long, value_name = "FILE")]
        api_key_file: Option<PathBuf>,
    },
}

pub(crate) async fn run(plane: &PlaneArgs, command: &AccountCommand) -> Result<()> {
    let AccountCommand::SetKey { account, api_key_file } = command;
    let client = plane.client()?;
    let key = secret(api_key_file.as_ref(), "MAAS API key", "--api-key-file")?;
    let changed = client.update_account(account, &with_key(key)).await?;
    print::note(&format!("account `{}` uses the new key, which its MAAS accepts", changed.name));
    Ok(())
}

/// Nothing but the key changes.
fn with_key(key: SecretString) -> AccountUpdate {
    AccountUpdate { api_key: Some(Secret::from(key)), ..AccountUpdate::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_all_that_is_changed() {
        let body = serde_json::to_value(with_key("a:b:c".to_owned().into())).unwrap();
        assert_eq!(body, serde_json::json!({"api_key": "a:b:c"}));
    }
}
