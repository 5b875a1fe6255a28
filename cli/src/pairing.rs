//! `ferrogate pairing create|list|revoke`.

use crate::context::PlaneArgs;
use crate::exit::{Failure, Result};
use crate::output::{self, Format};
use crate::print;
use clap::Subcommand;
use ferrogate_api::PairingCodeCreate;

#[derive(Subcommand, Debug)]
pub(crate) enum PairingCommand {
    /// Make a pairing code: valid for 24 hours, for one gateway
    Create {
        /// What it is for, for people
        #[arg(long)]
        note: Option<String>,
        /// Form of the output
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// List the pairing codes
    #[command(alias = "ls")]
    List {
        /// Form of the output
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Withdraw a pairing code
    Revoke {
        /// Its id, as `list` shows it
        id: String,
    },
}

pub(crate) async fn run(plane: &PlaneArgs, command: &PairingCommand) -> Result<()> {
    let client = plane.client()?;
    match command {
        PairingCommand::Create { note, output } => {
            let created = client.create_pairing_code(&PairingCodeCreate { note: note.clone() }).await?;
            match output {
                Format::Json => print::data(&output::json(&created)?),
                Format::Yaml => print::data(output::yaml(&created)?.trim_end()),
                Format::Name => print::data(created.code.expose()),
                Format::Table => {
                    print::data(created.code.expose());
                    print::note(&format!(
                        "valid until {}, for one gateway; it is shown only now",
                        created.pairing_code.expires_at
                    ));
                    print::note("\non a Linux host that reaches this plane and the site's MAAS, run:\n");
                    print::note(&format!("  {}\n", created.command));
                }
            }
            Ok(())
        }
        PairingCommand::List { output } => {
            let codes = client.all_pairing_codes().await?;
            if codes.is_empty() && *output == Format::Table {
                print::note("no pairing codes yet; make one with `ferrogate pairing create`");
                return Ok(());
            }
            output::list(&codes, *output, true)
        }
        PairingCommand::Revoke { id } => {
            let id = id.parse().map_err(|error| Failure::usage(format!("{error}")))?;
            client.revoke_pairing_code(id).await?;
            print::note(&format!("pairing code {id} is revoked"));
            Ok(())
        }
    }
}
