//! The answers of MAAS: a handful of shapes, each with the headers a real one has.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

const JSON: &str = "application/json; charset=utf-8";
const JSON_BARE: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const TEXT_BARE: &str = "text/plain";
const HTML: &str = "text/html; charset=utf-8";
/// The hash of the API's description that MAAS 3.6.5 sends.
const API_HASH: &str = "bd3008aa4117851381834a8aef52b26b8d88ef14";

/// What a handler gives: an answer, or one that ends the request early.
pub(crate) type Reply = Result<Answer, Answer>;

/// An answer before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    content_type: &'static str,
    vary: Option<&'static str>,
    hash: bool,
    frame_options: bool,
    extra: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// From a handler that ran to its end.
    fn handled(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type,
            vary: Some("Authorization, Cookie"),
            hash: true,
            frame_options: true,
            extra: Vec::new(),
            body: body.into(),
        }
    }

    /// From an error that was raised on the way.
    fn from_error(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { vary: Some("Cookie"), hash: false, ..Self::handled(status, content_type, body) }
    }

    /// 200 with JSON.
    pub(crate) fn json(value: &Value) -> Self {
        Self::handled(StatusCode::OK, JSON, value.to_string())
    }

    /// 200 with JSON whose content type names no character set.
    pub(crate) fn json_bare(value: &Value) -> Self {
        Self::handled(StatusCode::OK, JSON_BARE, value.to_string())
    }

    /// 201 with JSON.
    pub(crate) fn created(value: &Value) -> Self {
        Self::handled(StatusCode::CREATED, JSON, value.to_string())
    }

    /// 204.
    pub(crate) fn no_content() -> Self {
        Self::handled(StatusCode::NO_CONTENT, TEXT_BARE, "")
    }

    /// A short text with this status, as the framework under MAAS gives it.
    pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Self {
        Self::handled(status, TEXT_BARE, text.into())
    }

    /// 200 with text.
    pub(crate) fn text(text: &'static str) -> Self {
        Self::handled(StatusCode::OK, TEXT, text)
    }

    /// Bytes of another type.
    pub(crate) fn binary(content_type: &'static str, body: Vec<u8>) -> Self {
        Self::handled(StatusCode::OK, content_type, body)
    }

    /// The same, but sent for a resource that looks at no session.
    pub(crate) fn anonymous(mut self) -> Self {
        self.vary = Some("Authorization");
        self
    }

    /// 404 for an object that is not there.
    pub(crate) fn not_found(model: &str) -> Self {
        Self::plain(StatusCode::NOT_FOUND, format!("No {model} matches the given query."))
    }

    /// An error with text.
    pub(crate) fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self::from_error(status, TEXT, text.into())
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::error(StatusCode::CONFLICT, text)
    }

    pub(crate) fn server_error(text: impl Into<String>) -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// An empty 403: the object is somebody else's.
    pub(crate) fn forbidden() -> Self {
        Self::error(StatusCode::FORBIDDEN, "")
    }

    /// 403 for what administrators alone may do.
    pub(crate) fn admins_only() -> Self {
        Self::error(StatusCode::FORBIDDEN, "This method is reserved for admin users.")
    }

    /// 400 with the mistakes of a form.
    pub(crate) fn invalid(mistakes: &Mistakes) -> Self {
        Self::from_error(StatusCode::BAD_REQUEST, JSON, mistakes.value().to_string())
    }

    /// 400 with one mistake of a form.
    pub(crate) fn mistake(field: &str, message: impl Into<String>) -> Self {
        let mut mistakes = Mistakes::default();
        mistakes.add(field, message);
        Self::invalid(&mistakes)
    }

    /// 400 with one mistake that was found outside a form: its content type names no character set.
    pub(crate) fn mistake_bare(field: &str, message: impl Into<String>) -> Self {
        Self { content_type: JSON_BARE, ..Self::mistake(field, message) }
    }

    /// 401 for a signature that is wrong.
    pub(crate) fn bad_signature(text: &str) -> Self {
        let mut answer = Self::from_error(StatusCode::UNAUTHORIZED, HTML, format!("Authorization Error: {text}"));
        answer.extra.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("OAuth realm=\"OAuth\"")));
        answer
    }

    /// 401 where a user is wanted and nobody signed.
    pub(crate) fn unauthorized() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "Forbidden")
    }

    /// 404 for a path that no resource has.
    pub(crate) fn unknown_endpoint(path: &str) -> Self {
        let mut answer = Self::error(StatusCode::NOT_FOUND, format!("Unknown API endpoint: {path}."));
        answer.vary = None;
        answer
    }

    /// 410 for the API that is gone.
    pub(crate) fn gone() -> Self {
        let text = "The 1.0 API is no longer available. Please use API version 2.0.";
        Self { vary: None, hash: false, ..Self::plain(StatusCode::GONE, text) }
    }

    /// 302 to the user interface.
    pub(crate) fn redirect(location: &str) -> Self {
        let mut answer = Self::from_error(StatusCode::FOUND, HTML, "");
        answer.frame_options = false;
        if let Ok(location) = HeaderValue::from_str(location) {
            answer.extra.push((header::LOCATION, location));
        }
        answer
    }

    /// 404 outside `/MAAS/`.
    pub(crate) fn no_such_resource() -> Self {
        let page = "\n<html>\n  <head><title>404 - No Such Resource</title></head>\n  <body>\n    \
                    <h1>No Such Resource</h1>\n    <p>Sorry. No luck finding that resource.</p>\n  </body>\n</html>\n";
        Self { vary: None, frame_options: false, ..Self::from_error(StatusCode::NOT_FOUND, HTML, page) }
    }

    /// 502 as a proxy in between gives it.
    pub(crate) fn proxy_page() -> Self {
        let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
                    <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
        Self { vary: None, frame_options: false, ..Self::from_error(StatusCode::BAD_GATEWAY, "text/html", page) }
    }

    /// 405 with the methods there are.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let mut answer = Self::handled(StatusCode::METHOD_NOT_ALLOWED, HTML, "");
        answer.extra.push((header::ALLOW, HeaderValue::from_static(allow)));
        answer
    }

    /// 400 for an operation that the resource does not have.
    pub(crate) fn unrecognised(method: &str, op: Option<&str>) -> Self {
        Self::bad_request(format!("Unrecognised signature: method={method} op={}", op.unwrap_or("None")))
    }

    /// The answer as it is sent.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(vary) = self.vary {
            headers.insert(header::VARY, HeaderValue::from_static(vary));
        }
        if self.hash {
            headers.insert("x-maas-api-hash", HeaderValue::from_static(API_HASH));
        }
        if self.frame_options {
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        headers.extend(self.extra);
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// What is wrong with a form, field by field.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    fields: Vec<(String, Vec<String>)>,
}

impl Mistakes {
    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        match self.fields.iter_mut().find(|(name, _)| name == field) {
            Some((_, messages)) => messages.push(message.into()),
            None => self.fields.push((field.to_owned(), vec![message.into()])),
        }
    }

    /// Notes a required field that is missing.
    pub(crate) fn require(&mut self, field: &str, value: Option<&str>) {
        if value.is_none_or(str::is_empty) {
            self.add(field, "This field is required.");
        }
    }

    fn value(&self) -> Value {
        self.fields
            .iter()
            .map(|(name, messages)| (name.clone(), json!(messages)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// Goes on where nothing is wrong.
    pub(crate) fn check(&self) -> Result<(), Answer> {
        if self.fields.is_empty() { Ok(()) } else { Err(Answer::invalid(self)) }
    }
}
