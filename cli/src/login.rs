//! Signing in: `setup` (first start), `login`, `logout`.

use crate::context::{Context, Contexts, PlaneArgs, client, read_secret};
use crate::exit::{Failure, Result};
use crate::print;
use clap::Args;
use ferrogate_api::{Secret, SessionCreate, SessionCreated, SetupRequest};
use ferrogate_net::Trust;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use url::Url;

#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// Address of the plane
    url: Url,
    /// Sign-in e-mail; asked for where it is not given
    #[arg(long, env = "FERROGATE_EMAIL")]
    email: Option<String>,
    /// File with the password (`-` reads standard input); asked for where it is not given
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    password_file: Option<PathBuf>,
    /// Name to save the context under; the plane's host where it is not given
    #[arg(long = "save-as", value_name = "NAME")]
    save_as: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SetupArgs {
    /// Address of the plane
    url: Url,
    /// File with the one-time set-up token that the plane printed on its first start (`-` reads standard input)
    #[arg(long, value_name = "FILE", env = "FERROGATE_SETUP_TOKEN_FILE")]
    setup_token_file: Option<PathBuf>,
    /// Name of the first tenant
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Sign-in e-mail of its admin; asked for where it is not given
    #[arg(long, env = "FERROGATE_EMAIL")]
    email: Option<String>,
    /// File with the admin's password; asked for where it is not given
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Name to save the context under; the plane's host where it is not given
    #[arg(long = "save-as", value_name = "NAME")]
    save_as: Option<String>,
}

fn ask(prompt: &str, hidden: bool, flag: &str) -> Result<String> {
    let term = console::Term::stderr();
    if !term.is_term() || !console::user_attended() {
        return Err(
            Failure::usage(format!("{prompt} is not given and nobody can be asked")).with_hint(format!("give {flag}"))
        );
    }
    term.write_str(&format!("{prompt}: "))?;
    let text = if hidden { term.read_secure_line() } else { term.read_line() }?;
    if text.trim().is_empty() {
        return Err(Failure::usage(format!("{prompt} is empty")));
    }
    Ok(text.trim().to_owned())
}

/// A secret from a file, or from a person without showing it.
pub(crate) fn secret(file: Option<&PathBuf>, prompt: &str, flag: &str) -> Result<SecretString> {
    match file {
        Some(file) => read_secret(file),
        None => ask(prompt, true, flag).map(SecretString::from),
    }
}

fn save(plane: &PlaneArgs, url: &Url, name: Option<&str>, token: Secret, trust: &Trust) -> Result<String> {
    let mut contexts = Contexts::load()?;
    let name = name.map_or_else(|| url.host_str().unwrap_or("plane").to_owned(), str::to_owned);
    let context = Context {
        server: url.clone(),
        token: Some(token),
        ca_pem: (!trust.extra_ca_pem.is_empty()).then(|| trust.extra_ca_pem.join("\n")),
        fingerprint: plane.fingerprint.map(|fingerprint| fingerprint.to_string()),
    };
    contexts.contexts.insert(name.clone(), context);
    contexts.current = Some(name.clone());
    contexts.save()?;
    Ok(name)
}

fn welcome(created: &SessionCreated, name: &str) {
    let identity = &created.identity;
    print::note(&format!(
        "signed in as {} ({:?} of tenant {}); context `{name}` is now the current one, until {}",
        identity.email,
        identity.role,
        identity.tenant,
        crate::output::time(created.session.expires_at)
    ));
}

pub(crate) async fn login(plane: &PlaneArgs, args: &LoginArgs) -> Result<()> {
    let trust = plane.trust()?;
    if let Some(file) = &plane.token_file {
        let token = read_secret(file)?;
        let identity = client(args.url.clone(), Some(token.clone()), trust.clone())?.me().await?;
        let name = save(plane, &args.url, args.save_as.as_deref(), Secret::from(token), &trust)?;
        print::note(&format!(
            "signed in as {} with an API token; context `{name}` is now the current one",
            identity.email
        ));
        return Ok(());
    }
    let email = args.email.clone().map_or_else(|| ask("E-mail", false, "--email"), Ok)?;
    let password = secret(args.password_file.as_ref(), "Password", "--password-file")?;
    let request = SessionCreate { email, password: Secret::from(password) };
    let created = client(args.url.clone(), None, trust.clone())?.create_session(&request).await?;
    let name = save(plane, &args.url, args.save_as.as_deref(), created.token.clone(), &trust)?;
    welcome(&created, &name);
    Ok(())
}

pub(crate) async fn setup(plane: &PlaneArgs, args: &SetupArgs) -> Result<()> {
    let trust = plane.trust()?;
    let setup_token = secret(args.setup_token_file.as_ref(), "Set-up token", "--setup-token-file")?;
    let email = args.email.clone().map_or_else(|| ask("E-mail of the first admin", false, "--email"), Ok)?;
    let password = if let Some(file) = &args.password_file {
        read_secret(file)?
    } else {
        let first = ask("Password (at least 12 characters)", true, "--password-file")?;
        if ask("Password once more", true, "--password-file")? != first {
            return Err(Failure::usage("the two passwords differ"));
        }
        SecretString::from(first)
    };
    // Checked here too, so that nobody waits for the plane to say it.
    if password.expose_secret().chars().count() < 12 {
        return Err(Failure::usage("the password has fewer than 12 characters"));
    }
    let request = SetupRequest {
        setup_token: Secret::from(setup_token),
        tenant: args.tenant.clone(),
        email,
        password: Secret::from(password),
    };
    let created = client(args.url.clone(), None, trust.clone())?.setup(&request).await?;
    let name = save(plane, &args.url, args.save_as.as_deref(), created.token.clone(), &trust)?;
    welcome(&created, &name);
    print::note("next: `ferrogate pairing create` gives the code and the command for your first gateway");
    Ok(())
}

pub(crate) async fn logout(plane: &PlaneArgs) -> Result<()> {
    let mut contexts = Contexts::load()?;
    let Some(name) = plane.context.clone().or_else(|| contexts.current.clone()) else {
        return Err(Failure::usage("no context is saved; nothing to sign out of"));
    };
    let ended = plane.client()?.delete_current_session().await;
    contexts.contexts.remove(&name);
    if contexts.current.as_deref() == Some(&name) {
        contexts.current = contexts.contexts.keys().next().cloned();
    }
    contexts.save()?;
    match ended {
        Ok(()) => print::note(&format!("signed out; context `{name}` is removed")),
        Err(error) => print::note(&format!(
            "context `{name}` is removed; the plane did not end the session ({error}), it will expire"
        )),
    }
    Ok(())
}
