//! Reads bodies, queries and the caller out of requests, and refuses what is not understood in words that help.

use crate::{
    auth::{Call, Caller, Installer, Principal},
    failure::Failure,
};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use bytes::Bytes;
use http::{header, request::Parts};
use serde::de::DeserializeOwned;

/// Largest JSON body.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// How alike a known field must be before it is offered instead of an unknown one.
const NEAR: f64 = 0.7;

/// A request's JSON body; unknown fields are refused with the nearest known one.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Failure::new(415, "not_json", format!("the body is `{kind}`, not `application/json`"))
                .hint("send the header `content-type: application/json`"));
        }
        let bytes: Bytes = axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|error| {
            Failure::new(413, "body_unreadable", format!("the body is larger than {MAX_BODY} bytes or broke off"))
                .because(error.to_string())
        })?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        T::deserialize(&mut json).and_then(|value| json.end().map(|()| Self(value))).map_err(|error| bad_json(&error))
    }
}

fn bad_json(error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    if error.is_syntax() || error.is_eof() {
        return Failure::new(400, "bad_json", format!("the body is not JSON: {text}"));
    }
    misunderstood("bad_request_body", &text)
}

/// A failure from the words of serde, with the nearest known field where one is unknown.
fn misunderstood(code: &str, text: &str) -> Failure {
    let failure = Failure::invalid(code, text);
    let mut quoted = text.split('`').skip(1).step_by(2);
    if !(text.contains("unknown field") || text.contains("unknown variant")) {
        return failure;
    }
    let Some(unknown) = quoted.next() else { return failure };
    let nearest = quoted
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((_, known)) => failure.hint(format!("did you mean `{known}`?")),
        None => failure,
    }
}

/// A request's query; unknown parameters are refused.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(value)| Self(value))
            .map_err(|error| misunderstood("bad_query", &ferrogate_model::fault::chain(&error)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Failure::internal("a route without the guard"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Call::from_request_parts(parts, state).await?.caller {
            Caller::User(principal) => Ok(principal),
            Caller::Anonymous | Caller::Installer(_) => Err(Failure::unauthenticated("nobody is signed in")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Installer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Call::from_request_parts(parts, state).await?.caller {
            Caller::Installer(installer) => Ok(installer),
            Caller::Anonymous | Caller::User(_) => Err(Failure::unauthenticated("this is for a gateway's installer")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its field names matter")]
    struct Wanted {
        resource_pool: Option<String>,
        zone: Option<String>,
    }

    #[test]
    fn an_unknown_field_is_answered_with_the_nearest() {
        let error = serde_json::from_str::<Wanted>(r#"{"resourcepool": "x"}"#).unwrap_err();
        let problem = bad_json(&error);
        assert_eq!(problem.problem().status, 422);
        assert_eq!(problem.problem().hint.as_deref(), Some("did you mean `resource_pool`?"));
    }

    #[test]
    fn what_is_not_json_says_where() {
        let error = serde_json::from_str::<Wanted>("{\n zone: 1}").unwrap_err();
        let problem = bad_json(&error);
        assert_eq!((problem.problem().status, problem.problem().code.as_str()), (400, "bad_json"));
        assert!(problem.problem().detail.contains("line 2"), "{problem}");
    }
}
