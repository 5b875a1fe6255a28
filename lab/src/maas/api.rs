//! From a path to its resource, and what every handler is given.

use super::{
    address,
    answer::{Answer, Reply},
    config, dns, dns_record, domain, events, image, interface, ip_address, ip_range,
    lifecycle::Effect,
    machine, network, oauth, pool,
    request::Request,
    serve::API,
    state::{Id, State, User},
    subnet, tag, user, zone,
};
use ferrogate_model::Timestamp;
use http::StatusCode;
use serde_json::json;

/// What a handler is given.
pub(crate) struct Ctx<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) request: &'a Request,
    pub(crate) user: Option<Id>,
    pub(crate) now: Timestamp,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Ctx<'_> {
    /// The method and the operation.
    pub(crate) fn signature(&self) -> (&str, Option<&str>) {
        (self.request.method.as_str(), self.request.op.as_deref())
    }

    /// The user who asks.
    pub(crate) fn user(&self) -> Result<&User, Answer> {
        self.user.and_then(|id| self.state.user(id)).ok_or_else(Answer::unauthorized)
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.user().is_ok_and(|user| user.admin)
    }

    /// Goes on where an administrator asks, else gives `refusal`.
    pub(crate) fn need_admin(&self, refusal: fn() -> Answer) -> Result<(), Answer> {
        if self.is_admin() { Ok(()) } else { Err(refusal()) }
    }

    /// The answer for a method and operation that are not among those of the resource.
    pub(crate) fn refuse(&self, allow: &'static str) -> Reply {
        let (method, op) = self.signature();
        if allow.split(", ").any(|known| known == method) {
            Err(Answer::unrecognised(method, op))
        } else {
            Err(Answer::method_not_allowed(allow))
        }
    }
}

/// Answers a request. `who` becomes the name of the user who signed it.
pub(crate) fn handle(
    state: &mut State,
    request: &Request,
    now: Timestamp,
    effects: &mut Vec<Effect>,
    who: &mut Option<String>,
) -> Answer {
    let path = request.path.as_str();
    let Some(rest) = path.strip_prefix(API) else { return outside(path) };
    // Without its final slash a path is another one; only the older `op-` spelling has none.
    let Some(rest) = rest.strip_suffix('/') else { return Answer::unknown_endpoint(path) };
    if rest == "version" {
        return version(request);
    }
    let user = match oauth::check(state, request, now) {
        Ok(user) => user,
        Err(answer) => return answer,
    };
    *who = state.user_name(user).map(str::to_owned);
    if let Some(format) = request.query("format").filter(|format| *format != "json") {
        return Answer::plain(StatusCode::BAD_REQUEST, format!("Invalid output format specified '{format}'."));
    }
    let segments: Vec<&str> = rest.split('/').collect();
    let mut ctx = Ctx { state, request, user, now, effects };
    route(&mut ctx, &segments).unwrap_or_else(|answer| answer)
}

fn route(ctx: &mut Ctx<'_>, segments: &[&str]) -> Reply {
    // These answer, or refuse in their own way, where nobody has signed.
    match segments {
        ["machines"] => return machine::collection(ctx),
        _ if !is_known(segments) => return Err(Answer::unknown_endpoint(&ctx.request.path)),
        _ => {}
    }
    ctx.user()?;
    match segments {
        ["machines", id] => machine::one(ctx, id),
        ["nodes"] => machine::nodes(ctx),
        ["nodes", id] => machine::node(ctx, id),
        ["nodes", id, "interfaces"] => interface::collection(ctx, id),
        ["nodes", id, "interfaces", interface] => interface::one(ctx, id, interface),
        ["nodes", id, "blockdevices"] => interface::disks(ctx, id),
        ["events"] => events::collection(ctx),
        ["zones"] => zone::collection(ctx),
        ["zones", name] => zone::one(ctx, name),
        ["resourcepools"] => pool::collection(ctx),
        ["resourcepool", name] => pool::one(ctx, name),
        ["domains"] => domain::collection(ctx),
        ["domains", name] => domain::one(ctx, name),
        ["tags"] => tag::collection(ctx),
        ["tags", name] => tag::one(ctx, name),
        ["fabrics", rest @ ..] => network::fabrics(ctx, rest),
        ["spaces", rest @ ..] => network::spaces(ctx, rest),
        ["subnets"] => subnet::collection(ctx),
        ["subnets", rest @ ..] => subnet::one(ctx, &rest.join("/")),
        ["ipranges"] => ip_range::collection(ctx),
        ["ipranges", id] => ip_range::one(ctx, id),
        ["ipaddresses"] => ip_address::collection(ctx),
        ["dnsresources"] => dns::collection(ctx),
        ["dnsresources", id] => dns::one(ctx, id),
        ["dnsresourcerecords"] => dns_record::collection(ctx),
        ["dnsresourcerecords", id] => dns_record::one(ctx, id),
        ["boot-resources"] => image::collection(ctx),
        ["boot-resources", id] => image::one(ctx, id),
        ["maas"] => config::resource(ctx),
        ["users"] => user::collection(ctx),
        ["users", name] => user::one(ctx, name),
        ["account"] => user::account(ctx),
        ["account", "prefs", "sshkeys"] => user::ssh_keys(ctx),
        ["account", "prefs", "sshkeys", id] => user::ssh_key(ctx, id),
        [empty] if address::always_empty(empty) => match ctx.signature() {
            ("GET", None) => Ok(Answer::json(&json!([]))),
            _ => ctx.refuse("POST, GET"),
        },
        _ => Err(Answer::unknown_endpoint(&ctx.request.path)),
    }
}

/// Whether a path is one of the API, whoever asks for it.
fn is_known(segments: &[&str]) -> bool {
    match segments {
        [
            "nodes" | "events" | "zones" | "resourcepools" | "domains" | "tags" | "fabrics" | "spaces" | "subnets"
            | "ipranges" | "ipaddresses" | "dnsresources" | "dnsresourcerecords" | "boot-resources" | "maas" | "users"
            | "account",
        ]
        | [
            "machines" | "nodes" | "zones" | "resourcepool" | "domains" | "tags" | "ipranges" | "dnsresources"
            | "dnsresourcerecords" | "boot-resources" | "users",
            _,
        ]
        | ["nodes", _, "interfaces" | "blockdevices"]
        | ["nodes", _, "interfaces", _]
        | ["fabrics" | "spaces" | "subnets", ..]
        | ["account", "prefs", "sshkeys"]
        | ["account", "prefs", "sshkeys", _] => true,
        [name] => address::always_empty(name),
        _ => false,
    }
}

fn version(request: &Request) -> Answer {
    if let Some(format) = request.query("format").filter(|format| *format != "json") {
        let text = format!("Invalid output format specified '{format}'.");
        return Answer::plain(StatusCode::BAD_REQUEST, text).anonymous();
    }
    match (request.method.as_str(), request.op.as_deref()) {
        ("GET", None) => Answer::json(&json!({
            "capabilities": [
                "networks-management", "static-ipaddresses", "ipv6-deployment-ubuntu", "devices-management",
                "storage-deployment-ubuntu", "network-deployment-ubuntu", "bridging-interface-ubuntu",
                "bridging-automatic-ubuntu", "authenticate-api",
            ],
            "version": "3.6.5",
            "subversion": "",
        }))
        .anonymous(),
        ("GET", op) => Answer::unrecognised("GET", op),
        _ => Answer::method_not_allowed("GET"),
    }
}

/// Paths that are not of the API.
fn outside(path: &str) -> Answer {
    if path.starts_with("/MAAS/api/1.0/") {
        Answer::gone()
    } else if path == "/MAAS/" || path.starts_with("/MAAS/") {
        let next = percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
        Answer::redirect(&format!("/MAAS/?next={next}"))
    } else {
        Answer::no_such_resource()
    }
}
