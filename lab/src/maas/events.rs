//! Events: what happened to machines.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    machine::Filter,
    render,
    state::{Id, State},
};
use ferrogate_model::{SystemId, Timestamp};
use serde_json::{Value, json};

/// How many events are kept.
const KEPT: usize = 20_000;
/// How many events one answer holds unless the client says otherwise, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// How important an event is; the numbers order them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Audit = 0,
    Debug = 10,
    Info = 20,
    Warning = 30,
    Error = 40,
    Critical = 50,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Audit => "AUDIT",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let levels = [Self::Audit, Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];
        levels.into_iter().find(|level| level.name() == text)
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    id: Id,
    machine: SystemId,
    hostname: String,
    user: Option<String>,
    level: Level,
    kind: String,
    description: String,
    at: Timestamp,
}

impl State {
    /// Notes that something happened to a machine.
    pub(crate) fn event(&mut self, machine: &SystemId, now: Timestamp, level: Level, kind: &str, description: &str) {
        self.note(machine, now, None, level, kind, description);
    }

    /// Notes that a user did something to a machine: `(name)`, and ` - comment` where one was given.
    pub(crate) fn user_event(
        &mut self,
        machine: &SystemId,
        now: Timestamp,
        user: Option<Id>,
        kind: &str,
        comment: Option<&str>,
    ) {
        let name = self.user_name(user).unwrap_or("unknown").to_owned();
        let description = match comment.filter(|comment| !comment.is_empty()) {
            Some(comment) => format!("({name}) - {comment}"),
            None => format!("({name})"),
        };
        self.note(machine, now, Some(name), Level::Debug, kind, &description);
    }

    fn note(
        &mut self,
        machine: &SystemId,
        now: Timestamp,
        user: Option<String>,
        level: Level,
        kind: &str,
        description: &str,
    ) {
        let id = self.next_id("event");
        let hostname = self.machine(&machine.0).map(|machine| machine.hostname.clone()).unwrap_or_default();
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            id,
            machine: machine.clone(),
            hostname,
            user,
            level,
            kind: kind.to_owned(),
            description: description.to_owned(),
            at: now,
        });
    }
}

/// `events/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", Some("query")) => query(ctx),
        _ => ctx.refuse("GET"),
    }
}

fn query(ctx: &Ctx<'_>) -> Reply {
    let request = ctx.request;
    let number = |name: &str| -> Result<Option<i64>, Answer> {
        let Some(text) = request.query(name) else { return Ok(None) };
        let wrong = || Answer::bad_request(format!("Invalid {name}: Please enter an integer value"));
        text.parse().map(Some).map_err(|_| wrong())
    };
    let limit = number("limit")?.map_or(DEFAULT_LIMIT, |n| usize::try_from(n).unwrap_or(0).max(1));
    if limit > MAX_LIMIT {
        let text = format!("Requested number of events {limit} is greater than limit: {MAX_LIMIT}");
        return Err(Answer::bad_request(text));
    }
    let level = match request.query("level") {
        Some(text) => {
            Level::parse(text).ok_or_else(|| Answer::bad_request(format!("Unrecognised log level: {text}")))?
        }
        None => Level::Info,
    };
    let (before, after) = (number("before")?, number("after")?);
    if before.is_some() && after.is_some() {
        let text = "There is undetermined behaviour when both `after` and `before` are specified.";
        return Err(Answer::bad_request(text));
    }
    let filter = Filter::for_events(ctx)?;
    let mine = |event: &&Event| {
        (if level == Level::Audit { event.level == Level::Audit } else { event.level >= level })
            && ctx.state.machine(&event.machine.0).is_some_and(|machine| filter.accepts(ctx, machine))
            && request.query_all("owner").all(|owner| event.user.as_deref() == Some(owner))
            && before.is_none_or(|before| event.id < before)
            && after.is_none_or(|after| event.id > after)
    };
    let found: Vec<&Event> = if after.is_some() {
        let mut oldest: Vec<&Event> = ctx.state.events.iter().filter(mine).take(limit).collect();
        oldest.reverse();
        oldest
    } else {
        ctx.state.events.iter().rev().filter(mine).take(limit).collect()
    };
    let rows: Vec<Value> = found.iter().map(|event| render_event(event)).collect();
    let (newest, oldest) = (found.first().map(|event| event.id), found.last().map(|event| event.id));
    let next = newest.or_else(|| before.map(|before| before.saturating_sub(1))).or(after);
    Ok(Answer::json(&json!({
        "count": rows.len(),
        "events": rows,
        "next_uri": uri(ctx, next.map(|id| ("after", id))),
        "prev_uri": oldest.map(|id| uri(ctx, Some(("before", id)))),
    })))
}

/// The parameters that answers repeat in their links.
const PARAMETERS: [&str; 9] = ["op", "limit", "level", "id", "hostname", "mac_address", "domain", "zone", "agent_name"];

/// The same query, moved on.
fn uri(ctx: &Ctx<'_>, position: Option<(&str, Id)>) -> String {
    let kept = ctx.request.query.iter().filter(|(name, _)| PARAMETERS.contains(&name.as_str()) || name == "owner");
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept);
    if let Some((name, id)) = position {
        query.append_pair(name, &id.to_string());
    }
    format!("{}?{}", ctx.request.path, query.finish())
}

fn render_event(event: &Event) -> Value {
    json!({
        "username": event.user.as_deref().unwrap_or("unknown"),
        "node": event.machine.0,
        "hostname": event.hostname,
        "id": event.id,
        "level": event.level.name(),
        "created": render::long_date(event.at),
        "type": event.kind,
        "description": event.description,
    })
}
