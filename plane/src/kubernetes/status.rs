//! Failures in the words of Kubernetes, so that `kubectl` shows them as its own.

use crate::failure::Failure;
use serde_json::{Value, json};

/// The failure as a Kubernetes `Status`; our own code is the cause's reason.
pub(crate) fn document(failure: &Failure, request_id: &str) -> Value {
    let problem = failure.problem();
    let reason = match problem.status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let mut message = problem.detail.clone();
    if let Some(hint) = &problem.hint {
        message = format!("{message} (hint: {hint})");
    }
    let mut details = json!({
        "causes": [{"reason": problem.code, "message": problem.detail}],
        "uid": request_id,
    });
    if let Some(wait) = failure.wait() {
        details["retryAfterSeconds"] = json!(wait.as_secs().max(1));
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": problem.status, "details": details,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_gateway_that_is_away_tells_when_to_come_again() {
        let failure = Failure::new(503, "gateway_not_connected", "no node of the gateway is connected")
            .retry_after(Duration::from_secs(5));
        let status = document(&failure, "req_1");
        assert_eq!(status["reason"], "ServiceUnavailable");
        assert_eq!(status["details"]["retryAfterSeconds"], 5);
        assert_eq!(status["details"]["causes"][0]["reason"], "gateway_not_connected");
    }
}
