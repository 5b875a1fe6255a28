//! Giving the secrets anew: only their lines of pcg.yaml change; comments and edits of the person stay.

use super::{document::Document, render};
use crate::{InstallError, answers::Answers, error::ConfigError, files, questions::Question, seal::Sealer};
use secrecy::ExposeSecret;

/// The questions whose answers are sealed in this file: the secrets, and proxies whose address has a password.
#[must_use]
pub fn sealed_questions(document: &Document) -> Vec<Question> {
    let wants_password = document.raw.get(&Question::Username).is_some_and(|username| !username.trim().is_empty());
    Question::ALL
        .into_iter()
        .filter(|question| match question {
            Question::Password => wants_password,
            Question::PairingCode | Question::MaasKey => true,
            Question::HttpsProxy | Question::HttpProxy => {
                document.raw.get(question).is_some_and(|text| text.starts_with(crate::seal::PREFIX))
            }
            _ => false,
        })
        .collect()
}

/// The file's text with these secrets in it, sealed.
///
/// # Errors
/// The file is laid out so that a value cannot be replaced in its place.
pub fn replaced(document: &Document, answers: &Answers, sealer: &Sealer) -> Result<String, InstallError> {
    let mut lines: Vec<String> = document.text.lines().map(str::to_owned).collect();
    let mut added = Vec::new();
    for question in Question::ALL.into_iter().filter(|question| answers.has(*question)) {
        let value = render::value(answers, question, document.name(), sealer);
        let place = document.places.get(&question).and_then(|(line, column)| {
            Some((usize::try_from(*line).ok()?.checked_sub(1)?, usize::try_from(*column).ok()?.checked_sub(1)?))
        });
        match place {
            Some((line, column)) => {
                let Some(text) = lines.get_mut(line) else { continue };
                let head: String = text.chars().take(column).collect();
                let tail: String = text.chars().skip(column).collect();
                let comment = tail.find(" #").map(|at| tail[at..].trim_end().to_owned()).unwrap_or_default();
                let space = if head.ends_with(' ') { "" } else { " " };
                let gap = if comment.is_empty() { "" } else { "  " };
                *text = format!("{head}{space}{value}{gap}{comment}");
            }
            None => added.push((question, value)),
        }
    }
    for (question, value) in added {
        let (section, key) = question.field().split_once('.').unwrap_or(("", question.field()));
        match lines
            .iter()
            .position(|line| line.trim_end() == format!("{section}:") || line.starts_with(&format!("{section}: ")))
        {
            Some(at) => lines.insert(at + 1, format!("  {key}: {value}")),
            None => lines.extend([format!("{section}:"), format!("  {key}: {value}")]),
        }
    }
    let text = lines.join("\n") + "\n";
    // What was written must read back; a layout that does not survive is refused, and the file left as it was.
    let again = Document::parse(&document.path, text.clone())?;
    let reads_back = answers.given().all(|question| {
        again.raw.get(&question).is_some_and(|value| {
            let expected = answers.or_default(question);
            let opened = sealer.open(again.name(), question.field(), value);
            opened.map_or_else(|_| value == expected, |secret| secret.expose_secret() == expected)
        })
    });
    if !reads_back {
        return Err(InstallError::Config(ConfigError {
            path: document.path.clone(),
            at: None,
            message: "the secrets cannot be replaced in a file laid out like this".into(),
            hint: Some("write each secret as `key: value` on a line of its own".into()),
        }));
    }
    Ok(text)
}

/// Seals these secrets into the file.
///
/// # Errors
/// As [`replaced`], or the file cannot be written.
pub fn update(document: &Document, answers: &Answers) -> Result<(), InstallError> {
    let folder = document.folder();
    let (sealer, fresh) = match Sealer::load(folder) {
        Ok(sealer) => (sealer, false),
        Err(InstallError::KeyMissing { .. }) => (Sealer::generate(), true),
        Err(error) => return Err(error),
    };
    let text = replaced(document, answers, &sealer)?;
    if fresh {
        sealer.save(folder)?;
    }
    files::write_private(&document.path, text.as_bytes())
}
