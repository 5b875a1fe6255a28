//! The forms in which data is printed: a table for people, JSON and YAML for programs, names for shells.

use crate::exit::{Failure, Result};
use crate::print;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people.
    #[default]
    Table,
    /// The API's own fields.
    Json,
    /// The API's own fields.
    Yaml,
    /// One name a line.
    Name,
}

/// A thing that can stand in a table's row.
pub(crate) trait Row: Serialize {
    /// The columns' titles.
    const COLUMNS: &'static [&'static str];
    /// The cells, one a column.
    fn cells(&self) -> Vec<String>;
    /// What `-o name` prints.
    fn name(&self) -> String;
}

/// Prints a list.
pub(crate) fn list<T: Row>(items: &[T], format: Format, headers: bool) -> Result<()> {
    match format {
        Format::Table => print::data(&table(items, headers)),
        Format::Json => print::data(&json(&serde_json::json!({ "items": items }))?),
        Format::Yaml => print::data(yaml(&serde_json::json!({ "items": items }))?.trim_end()),
        Format::Name => {
            for item in items {
                print::data(&item.name());
            }
        }
    }
    Ok(())
}

/// Prints one thing.
pub(crate) fn one<T: Row>(item: &T, format: Format, headers: bool) -> Result<()> {
    match format {
        Format::Table => print::data(&table(std::slice::from_ref(item), headers)),
        Format::Json => print::data(&json(item)?),
        Format::Yaml => print::data(yaml(item)?.trim_end()),
        Format::Name => print::data(&item.name()),
    }
    Ok(())
}

/// Pretty-printed JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::usage(format!("could not print as JSON: {error}")))
}

/// YAML.
pub(crate) fn yaml(value: &impl Serialize) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|error| Failure::usage(format!("could not print as YAML: {error}")))
}

fn table<T: Row>(items: &[T], headers: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if headers {
        table.set_header(T::COLUMNS.iter().map(|title| title.to_uppercase()));
    }
    for item in items {
        table.add_row(item.cells());
    }
    // The first column begins at the margin, and no line ends in blanks.
    let text = table.to_string();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
}

/// Fields of one thing, aligned, for `describe`.
pub(crate) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 1;
    let line =
        |(name, value): &(&str, String)| format!("{:<width$}  {value}", format!("{name}:")).trim_end().to_owned();
    pairs.iter().filter(|(_, value)| !value.is_empty()).map(line).collect::<Vec<_>>().join("\n")
}

/// A point in time for people: to the second, in UTC.
pub(crate) fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long ago, in the short form of the field: `5s`, `12m`, `3h`, `8d`.
pub(crate) fn age(since: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        for (seconds, text) in [(-5, "0s"), (5, "5s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")] {
            assert_eq!(age(at(1_000_000), at(1_000_000 + seconds)), text);
        }
    }

    #[test]
    fn fields_line_up_and_empty_ones_are_left_out() {
        let text = fields(&[("Name", "web".into()), ("Reason", String::new()), ("Kubernetes", "v1".into())]);
        assert_eq!(text, "Name:        web\nKubernetes:  v1");
    }
}
