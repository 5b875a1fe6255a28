//! `--update-secrets`: asks for the secrets again and seals them into the file.

use super::Outcome;
use crate::{
    Host, InstallArgs, InstallError, Prompter,
    config::{document::Document, secrets},
    questions::dialogue,
    state::Folder,
};

/// Gives the secrets of an existing configuration anew.
pub(crate) async fn update(
    args: &InstallArgs,
    prompter: Option<&mut dyn Prompter>,
    host: &Host,
) -> Result<Outcome, InstallError> {
    let Some(file) = args.config.clone() else {
        return Err(InstallError::NoInstallation { name: None, state_dir: args.state_dir.clone() });
    };
    let document = Document::load(&file)?;
    let _lock = Folder::of(&file).lock()?;
    let given = args.given.answers(&host.variables)?;
    let questions = secrets::sealed_questions(&document);
    let answers = match prompter {
        Some(prompter) => {
            let answers = dialogue::ask_secrets(&questions, &given, prompter).await;
            prompter.release().map_err(InstallError::Terminal)?;
            answers.map_err(InstallError::Terminal)?.ok_or(InstallError::Left)?
        }
        None => {
            let mut answers = crate::answers::Answers::default();
            for question in questions.iter().copied() {
                let Some(secret) = given.secret(question) else { continue };
                let text = secrecy::ExposeSecret::expose_secret(secret);
                let accepted = crate::answers::check(question, text);
                accepted.map_err(|problem| InstallError::Answer { question, problem })?;
                answers.set_secret(question, secret.clone());
            }
            let missing: Vec<_> = questions.into_iter().filter(|question| !answers.has(*question)).collect();
            if !missing.is_empty() {
                return Err(InstallError::Missing { questions: missing });
            }
            answers
        }
    };
    secrets::update(&document, &answers)?;
    Ok(Outcome::SecretsUpdated { config: file })
}
