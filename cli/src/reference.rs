//! Files that are generated from the code: the OpenAPI document and the command reference.

use crate::exit::Result;
use crate::print;
use clap::Subcommand;
use std::fmt::Write;

#[derive(Subcommand, Debug)]
pub(crate) enum ReferenceCommand {
    /// The OpenAPI document of the plane
    Openapi,
    /// The command reference, Markdown
    Cli,
}

pub(crate) fn run(command: &ReferenceCommand, cli: clap::Command) -> Result<()> {
    match command {
        ReferenceCommand::Openapi => print::data(ferrogate_plane::openapi().trim_end()),
        ReferenceCommand::Cli => print::data(markdown(cli).trim_end()),
    }
    Ok(())
}

fn markdown(mut cli: clap::Command) -> String {
    cli = cli.disable_help_subcommand(true).term_width(100);
    cli.build();
    let mut text = String::from("# Command reference\n\nMade from the program itself by `cargo xtask openapi`.\n");
    append(&mut cli, "ferrogate", &mut text);
    text
}

fn append(command: &mut clap::Command, path: &str, text: &mut String) {
    let help = command.clone().color(clap::ColorChoice::Never).bin_name(path).render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    let names: Vec<_> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        if let Some(sub) = command.find_subcommand_mut(&name) {
            append(sub, &format!("{path} {name}"), text);
        }
    }
}
