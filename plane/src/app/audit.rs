//! The audit: who did what, or tried to.

use crate::{
    app::wire,
    auth::{Caller, Principal, caller::Credentials},
    context::Context,
    failure::{Failure, Outcome},
};
use bytes::Bytes;
use ferrogate_api::{AuditEntry, AuditQuery, AuditResult, Page};
use ferrogate_model::{TenantId, Timestamp, fault::chain};
use ferrogate_store::{
    Subject, SubjectKind,
    audit::{self, ActorKind, Entry, Filter},
};
use futures::{Stream, stream};
use std::{fmt::Write as _, net::IpAddr, sync::Arc};

/// What is written of a request.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// What was wanted, such as `cluster.create`.
    pub(crate) action: &'a str,
    /// Method and path.
    pub(crate) request: String,
    /// Id of the object, where it is not in the path.
    pub(crate) subject: Option<&'a str>,
    /// HTTP status.
    pub(crate) status: u16,
    /// Code of the problem.
    pub(crate) code: Option<&'a str>,
    /// Where the request came from.
    pub(crate) from: IpAddr,
    /// The request's id.
    pub(crate) request_id: &'a str,
}

/// What the plane itself did.
pub(crate) fn by_plane(replica: &str, tenant: TenantId, subject: Subject, action: &str, now: Timestamp) -> Entry {
    Entry {
        seq: 0,
        tenant: Some(tenant),
        at: now,
        actor_kind: ActorKind::Plane,
        actor: replica.to_owned(),
        actor_name: "the plane".into(),
        from_ip: None,
        action: action.to_owned(),
        subject: Some(subject),
        result: audit::AuditResult::Done,
        detail: String::new(),
        request_id: String::new(),
    }
}

/// Writes one row. That it could not be written is logged and counted; the request has happened by then.
pub(crate) async fn write(context: &Context, caller: &Caller, record: &Record<'_>) {
    let (tenant, actor_kind, actor, actor_name) = actor(caller);
    let result = match record.status {
        0..=399 => audit::AuditResult::Done,
        401 | 403 | 404 | 429 => audit::AuditResult::Refused,
        _ => audit::AuditResult::Failed,
    };
    let mut detail = format!("{} → {}", record.request, record.status);
    if let Some(code) = record.code {
        let _ = write!(detail, " {code}");
    }
    let subject = record.subject.and_then(subject).or_else(|| record.request.split('/').rev().find_map(subject));
    let entry = Entry {
        seq: 0,
        tenant,
        at: context.now(),
        actor_kind,
        actor,
        actor_name,
        from_ip: Some(record.from.to_string()),
        action: record.action.to_owned(),
        subject,
        result,
        detail,
        request_id: record.request_id.to_owned(),
    };
    if let Err(error) = audit::append(&context.store, &entry).await {
        context.metrics.audit_lost();
        tracing::error!(error = %chain(&error), action = record.action, "an audit row could not be written");
    }
}

fn actor(caller: &Caller) -> (Option<TenantId>, ActorKind, String, String) {
    match caller {
        Caller::Anonymous => (None, ActorKind::Anonymous, String::new(), String::new()),
        Caller::Installer(installer) => {
            (Some(installer.tenant), ActorKind::Installer, installer.gateway.to_string(), "installer".to_owned())
        }
        Caller::User(who) => match who.credentials {
            Credentials::Session(_) => (Some(who.tenant), ActorKind::User, who.user.to_string(), who.email.clone()),
            Credentials::Token(id) | Credentials::Kubeconfig(id, _) => {
                (Some(who.tenant), ActorKind::Token, id.to_string(), who.email.clone())
            }
        },
    }
}

/// The object an id names, by the id's prefix.
fn subject(id: &str) -> Option<Subject> {
    let kind = match id.split_once('_')?.0 {
        "ten" => SubjectKind::Tenant,
        "usr" => SubjectKind::User,
        "tok" => SubjectKind::Token,
        "pair" => SubjectKind::PairingCode,
        "gw" => SubjectKind::Gateway,
        "gwn" => SubjectKind::GatewayNode,
        "acct" => SubjectKind::Account,
        "cls" => SubjectKind::Cluster,
        _ => return None,
    };
    Some(Subject { kind, id: id.chars().take(80).collect() })
}

/// A page of the tenant's audit, the newest first.
pub(crate) async fn list(context: &Context, who: &Principal, query: &AuditQuery) -> Outcome<Page<AuditEntry>> {
    let page = wire::page(&query.page())?;
    let filter = Filter {
        tenant: Some(who.tenant),
        actor: query.actor.clone(),
        action: query.action.clone(),
        result: query.result.map(|result| match result {
            AuditResult::Allowed => audit::AuditResult::Done,
            AuditResult::Refused => audit::AuditResult::Refused,
            AuditResult::Failed => audit::AuditResult::Failed,
        }),
        since: query.since,
        until: query.until,
        subject: query.subject.clone(),
    };
    Ok(wire::listed(audit::list(&context.store, &filter, &page).await?, shown))
}

fn shown(entry: Entry) -> AuditEntry {
    AuditEntry {
        id: format!("{:016}", entry.seq),
        at: entry.at,
        actor_kind: entry.actor_kind.to_string(),
        actor_id: (!entry.actor.is_empty()).then_some(entry.actor),
        actor: if entry.actor_name.is_empty() { entry.actor_kind.to_string() } else { entry.actor_name },
        from_ip: entry.from_ip.unwrap_or_default(),
        action: entry.action,
        subject: entry.subject.map(|subject| subject.id).unwrap_or_default(),
        result: match entry.result {
            audit::AuditResult::Done => AuditResult::Allowed,
            audit::AuditResult::Refused => AuditResult::Refused,
            audit::AuditResult::Failed => AuditResult::Failed,
        },
        detail: entry.detail,
        request_id: entry.request_id,
    }
}

/// The whole answer to `query` as CSV, read a page at a time while it is sent.
pub(crate) fn csv(
    context: Arc<Context>,
    who: Principal,
    query: AuditQuery,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    const HEAD: &str = "id,at,actor_kind,actor_id,actor,from_ip,action,subject,result,detail,request_id\n";
    let first = AuditQuery { limit: Some(500), after: None, ..query };
    stream::try_unfold((Some(first), HEAD.to_owned()), move |(query, mut text)| {
        let (context, who) = (Arc::clone(&context), who.clone());
        async move {
            let Some(query) = query else { return Ok(None) };
            let page = list(&context, &who, &query).await?;
            for entry in &page.items {
                csv_line(&mut text, entry);
            }
            let next = page.next.map(|next| AuditQuery { after: Some(next), ..query });
            Ok(Some((Bytes::from(text), (next, String::new()))))
        }
    })
}

fn csv_line(text: &mut String, entry: &AuditEntry) {
    let result = match entry.result {
        AuditResult::Allowed => "allowed",
        AuditResult::Refused => "refused",
        AuditResult::Failed => "failed",
    };
    let at = entry.at.to_string();
    let actor_id = entry.actor_id.as_deref().unwrap_or("");
    let fields = [
        entry.id.as_str(),
        &at,
        &entry.actor_kind,
        actor_id,
        &entry.actor,
        &entry.from_ip,
        &entry.action,
        &entry.subject,
        result,
        &entry.detail,
        &entry.request_id,
    ];
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        // Spreadsheets run what begins like a formula.
        let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        let _ = write!(text, "\"{guard}{}\"", field.replace('"', "\"\""));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_cannot_leave_its_cell_or_become_a_formula() {
        let entry = AuditEntry {
            id: "1".into(),
            at: "2026-11-23T08:00:00Z".parse().unwrap(),
            actor_kind: "user".into(),
            actor_id: None,
            actor: "=cmd|'/c calc'!A1".into(),
            from_ip: "127.0.0.1".into(),
            action: "x\",\"y".into(),
            subject: String::new(),
            result: AuditResult::Refused,
            detail: String::new(),
            request_id: "r".into(),
        };
        let mut line = String::new();
        csv_line(&mut line, &entry);
        assert!(line.contains("\"'=cmd|"), "{line}");
        assert!(line.contains("\"x\"\",\"\"y\""), "{line}");
    }

    #[test]
    fn the_object_is_found_by_its_id() {
        assert_eq!(subject("cls_0199").unwrap().kind, SubjectKind::Cluster);
        assert_eq!(subject("clusters"), None);
    }
}
