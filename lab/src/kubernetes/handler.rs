//! Requests to the API server: who asks, whether they may, and the answer.

mod route;

use super::{
    bearer,
    datastore::Datastore,
    kinds::{self, Kind},
    logs::Logs,
    objects::Objects,
    rbac::{self, Ask, MASTERS, User},
    refusal::Refusal,
    selector::Selector,
    table,
    watch::{self, Watch},
};
use bytes::Bytes;
use ferrogate_model::Clock;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use route::Route;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc, time::Duration};

/// The longest body taken, as the real server's.
const MAX_BODY: usize = 3 * 1024 * 1024;

pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// One API server.
pub(crate) struct ApiServer {
    pub(crate) store: Arc<Datastore>,
    /// Whether nodes that join may ask with a bootstrap token.
    pub(crate) bootstrap_tokens: bool,
    pub(crate) logs: Logs,
    pub(crate) clock: Arc<dyn Clock>,
    /// Such as `v1.36.4`.
    pub(crate) version: String,
    /// Where it listens, as clients write it.
    pub(crate) address: String,
}

/// A request that was read, and who sent it.
struct Asked {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.query(name), "true" | "1")
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn as_table(&self) -> bool {
        self.header(header::ACCEPT).contains("as=Table")
    }

    /// The body as an object: JSON or YAML.
    fn object(&self) -> Result<Value, Refusal> {
        let media = self.media();
        let parsed = if media.contains("yaml") {
            std::str::from_utf8(&self.body).ok().and_then(|text| serde_saphyr::from_str(text).ok())
        } else if media.is_empty() || media.contains("json") {
            serde_json::from_slice(&self.body).ok()
        } else {
            return Err(Refusal::unsupported_media_type(media));
        };
        parsed.ok_or_else(|| Refusal::bad_request("the object provided is unrecognized: it is not valid JSON"))
    }

    fn media(&self) -> &str {
        self.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim()
    }
}

pub(crate) fn json_answer(status: u16, value: &Value) -> Answer {
    text_answer(status, "application/json", value.to_string())
}

pub(crate) fn text_answer(status: u16, media: &str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()).boxed());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(media) = media.parse() {
        answer.headers_mut().insert(header::CONTENT_TYPE, media);
    }
    answer
}

impl ApiServer {
    pub(crate) fn objects(&self) -> Objects<'_> {
        Objects { store: &self.store, now: self.clock.now() }
    }

    /// Answers a request; `peer` is the user of the client certificate, if there was one.
    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: Option<User>) -> Answer {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return refuse(&Refusal::too_large());
        };
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let asked = Asked {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: query.into_owned().collect(),
            headers: parts.headers,
            body: body.to_bytes(),
        };
        let peer = match peer {
            None if self.bootstrap_tokens => bearer::user(self.objects(), &asked.headers),
            peer => Ok(peer),
        };
        peer.and_then(|peer| self.as_user(&asked, peer)).unwrap_or_else(|refusal| refuse(&refusal))
    }

    fn as_user(&self, asked: &Asked, peer: Option<User>) -> Result<Answer, Refusal> {
        let user = impersonated(peer.ok_or_else(Refusal::unauthorized)?, &asked.headers)?;
        match asked.path.as_str() {
            "/healthz" | "/livez" => Ok(text_answer(200, "text/plain; charset=utf-8", "ok")),
            "/readyz" => Ok(self.readyz(asked)),
            "/version" | "/version/" => Ok(json_answer(200, &self.version())),
            "/api" | "/api/" => Ok(json_answer(200, &kinds::core_versions(&self.address))),
            "/apis" | "/apis/" => Ok(json_answer(200, &kinds::groups())),
            path => match Route::parse(path).ok_or_else(Refusal::no_such_path)? {
                Route::Group(name) => {
                    kinds::resources(&name, "v1").ok_or_else(Refusal::no_such_path)?;
                    Ok(json_answer(200, &kinds::group(&name)))
                }
                Route::Resources { group, version } => {
                    let list = kinds::resources(&group, &version).ok_or_else(Refusal::no_such_path)?;
                    Ok(json_answer(200, &list))
                }
                Route::AccessReview => self.access_review(asked, &user),
                Route::Objects { kind, namespace, name, subresource } => {
                    self.resource(asked, &user, kind, &namespace, &name, &subresource)
                }
            },
        }
    }

    fn readyz(&self, asked: &Asked) -> Answer {
        let etcd = self.store.read(|_, _| ()).is_ok();
        if etcd && !asked.query.iter().any(|(key, _)| key == "verbose") {
            return text_answer(200, "text/plain; charset=utf-8", "ok");
        }
        let (mark, end) = if etcd {
            ("[+]etcd ok", "readyz check passed")
        } else {
            ("[-]etcd failed: reason withheld", "readyz check failed")
        };
        let text = format!("[+]ping ok\n[+]log ok\n{mark}\n[+]informer-sync ok\n{end}\n");
        text_answer(if etcd { 200 } else { 500 }, "text/plain; charset=utf-8", text)
    }

    fn version(&self) -> Value {
        let mut numbers = self.version.trim_start_matches('v').split(['.', '+']);
        json!({"major": numbers.next(), "minor": numbers.next(), "gitVersion": self.version, "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
            "platform": "linux/amd64"})
    }

    fn access_review(&self, asked: &Asked, user: &User) -> Result<Answer, Refusal> {
        let mut review = asked.object()?;
        let wanted = review["spec"]["resourceAttributes"].clone();
        let text = |field: &str| wanted[field].as_str().unwrap_or_default().to_owned();
        let (mut resource, sub) = (text("resource"), text("subresource"));
        if !sub.is_empty() {
            resource = format!("{resource}/{sub}");
        }
        let (verb, group, namespace, name) = (text("verb"), text("group"), text("namespace"), text("name"));
        let ask = Ask { verb: &verb, group: &group, resource: &resource, namespace: &namespace, name: &name };
        let allowed = rbac::may(self.objects(), user, ask)?;
        review["status"] = json!({"allowed": allowed});
        review["apiVersion"] = "authorization.k8s.io/v1".into();
        review["kind"] = "SelfSubjectAccessReview".into();
        Ok(json_answer(201, &review))
    }

    fn resource(
        &self,
        asked: &Asked,
        user: &User,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        subresource: &str,
    ) -> Result<Answer, Refusal> {
        let watches = asked.flag("watch");
        let verb = match (&asked.method, name.is_empty()) {
            (&Method::GET, _) if watches => "watch",
            (&Method::GET, true) => "list",
            (&Method::GET, false) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, false) => "update",
            (&Method::PATCH, false) => "patch",
            (&Method::DELETE, true) => "deletecollection",
            (&Method::DELETE, false) => "delete",
            _ => return Err(Refusal::method_not_allowed()),
        };
        let full =
            if subresource.is_empty() { kind.plural.to_owned() } else { format!("{}/{subresource}", kind.plural) };
        // A list narrowed to one name counts as one object, as in the real server.
        let ask = Ask { verb, group: kind.group, resource: &full, namespace, name };
        if !rbac::may(self.objects(), user, ask)? {
            return Err(rbac::forbidden(user, kind, ask));
        }
        let objects = self.objects();
        match verb {
            "watch" => self.watch(asked, kind, namespace, name),
            "list" => self.list(asked, kind, namespace),
            "get" if subresource == "log" => {
                let pod = objects.get(kind, namespace, name)?;
                let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
                Ok(text_answer(200, "text/plain", self.logs.get(uid)))
            }
            "get" => {
                let object = objects.get(kind, namespace, name)?;
                Ok(self.shown(asked, kind, 200, object))
            }
            "create" if subresource == "eviction" => {
                let eviction = asked.object()?;
                let grace = eviction["deleteOptions"]["gracePeriodSeconds"].as_u64();
                self.check_budgets(namespace, name)?;
                objects.delete(kind, namespace, name, grace)?;
                Ok(json_answer(201, &success(kind, name)))
            }
            "create" if subresource.is_empty() && name.is_empty() => {
                let mut object = asked.object()?;
                if kind.plural == "certificatesigningrequests" {
                    object["spec"]["username"] = user.name.clone().into();
                    object["spec"]["groups"] = user.groups.clone().into();
                }
                let created =
                    if asked.query("dryRun").is_empty() { objects.create(kind, namespace, object)? } else { object };
                Ok(self.shown(asked, kind, 201, created))
            }
            "update" => {
                let updated = objects.update(kind, namespace, name, subresource, &asked.object()?)?;
                Ok(self.shown(asked, kind, 200, updated))
            }
            "patch" => {
                let body = asked.object()?;
                let applied = asked.media() == "application/apply-patch+yaml" && subresource.is_empty();
                let patched = if applied {
                    objects.apply(kind, namespace, &body)?
                } else {
                    objects.patch(kind, namespace, name, subresource, (asked.media(), &body))?
                };
                Ok(self.shown(asked, kind, 200, patched))
            }
            "delete" => {
                let options: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
                let grace = asked.query("gracePeriodSeconds").parse().ok();
                let grace = options["gracePeriodSeconds"].as_u64().or(grace);
                let last = objects.delete(kind, namespace, name, grace)?;
                let marked = last["metadata"]["deletionTimestamp"].is_string();
                Ok(if marked { json_answer(200, &last) } else { json_answer(200, &success(kind, name)) })
            }
            "deletecollection" => {
                let selector = selector(asked)?;
                for object in objects.list(kind, namespace)?.iter().filter(|object| selector.matches(object)) {
                    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
                    objects.delete(kind, &text("namespace"), &text("name"), None)?;
                }
                Ok(json_answer(200, &success(kind, "")))
            }
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    fn shown(&self, asked: &Asked, kind: &Kind, status: u16, object: Value) -> Answer {
        if asked.as_table() {
            return json_answer(status, &table::table(kind, &[object], self.clock.now()));
        }
        json_answer(status, &object)
    }

    fn list(&self, asked: &Asked, kind: &'static Kind, namespace: &str) -> Result<Answer, Refusal> {
        let selector = selector(asked)?;
        let (mut items, revision) = self.store.list(&kind.resource(), namespace)?;
        items.retain(|item| selector.matches(item));
        let metadata = json!({"resourceVersion": revision.to_string()});
        if asked.as_table() {
            let mut table = table::table(kind, &items, self.clock.now());
            table["metadata"] = metadata;
            return Ok(json_answer(200, &table));
        }
        let list = json!({"kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata,
            "items": items});
        Ok(json_answer(200, &list))
    }

    fn watch(&self, asked: &Asked, kind: &'static Kind, namespace: &str, name: &str) -> Result<Answer, Refusal> {
        self.store.read(|_, _| ())?;
        if asked.query("sendInitialEvents") == "true" {
            return Err(Refusal::bad_request("sendInitialEvents is forbidden: the WatchList feature is disabled"));
        }
        let mut fields = asked.query("fieldSelector").to_owned();
        if !name.is_empty() {
            fields = format!("{fields},metadata.name={name}");
        }
        let selector = Selector::parse(asked.query("labelSelector"), &fields).map_err(Refusal::bad_request)?;
        let stream = watch::events(Watch {
            store: Arc::clone(&self.store),
            kind,
            namespace: namespace.to_owned(),
            selector,
            from: asked.query("resourceVersion").parse().unwrap_or(0),
            as_table: asked.as_table(),
            bookmarks: asked.flag("allowWatchBookmarks"),
            length: asked.query("timeoutSeconds").parse().ok().map(Duration::from_secs),
            now: self.clock.now(),
        });
        let body = StreamBody::new(futures::StreamExt::map(stream, |piece| piece.map(Frame::data)));
        let mut answer = Response::new(BodyExt::boxed(SyncBody::new(body)));
        answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Ok(answer)
    }

    /// Refuses an eviction that a disruption budget of the namespace does not permit.
    fn check_budgets(&self, namespace: &str, name: &str) -> Result<(), Refusal> {
        let objects = self.objects();
        let pod = objects.get(Kind::plural("pods"), namespace, name)?;
        for budget in objects.list(Kind::plural("poddisruptionbudgets"), namespace)? {
            let selected = budget["spec"]["selector"]["matchLabels"]
                .as_object()
                .is_some_and(|wanted| wanted.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value));
            if selected && budget["spec"]["maxUnavailable"] == 0 {
                return Err(Refusal::too_many_requests(
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                ));
            }
        }
        Ok(())
    }
}

fn refuse(refusal: &Refusal) -> Answer {
    json_answer(refusal.code, &refusal.status())
}

fn success(kind: &Kind, name: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": name, "group": kind.group, "kind": kind.plural}})
}

fn selector(asked: &Asked) -> Result<Selector, Refusal> {
    Selector::parse(asked.query("labelSelector"), asked.query("fieldSelector")).map_err(Refusal::bad_request)
}

/// The user a request speaks for. Only administrators may speak for others.
fn impersonated(user: User, headers: &HeaderMap) -> Result<User, Refusal> {
    let values = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let (names, groups) = (values("impersonate-user"), values("impersonate-group"));
    let Some(name) = names.first() else {
        return if groups.is_empty() {
            Ok(user)
        } else {
            Err(Refusal::bad_request("requested groups without impersonating a user"))
        };
    };
    if !user.is_in(MASTERS) {
        return Err(Refusal::forbidden(format!(
            "users \"{name}\" is forbidden: User \"{}\" cannot impersonate resource \"users\" in API group \"\" at the \
             cluster scope",
            user.name
        )));
    }
    Ok(User::new(name.clone(), groups))
}

/// A body whose stream is only ever polled by one task, behind a lock that is never waited for.
struct SyncBody<B>(std::sync::Mutex<std::pin::Pin<Box<B>>>);

impl<B> SyncBody<B> {
    fn new(body: B) -> Self {
        Self(std::sync::Mutex::new(Box::pin(body)))
    }
}

impl<B: hyper::body::Body<Data = Bytes, Error = Infallible>> hyper::body::Body for SyncBody<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.as_mut().poll_frame(context)
    }
}
