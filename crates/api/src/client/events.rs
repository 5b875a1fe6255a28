//! The live stream of events (server-sent events).

use super::{ApiError, Client};
use crate::Event;
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use std::time::Duration;

/// The plane sends a comment every 15 s; three missed ones mean that the connection is dead.
const SILENCE_DEADLINE: Duration = Duration::from_secs(45);
/// One event is never longer.
const MAX_EVENT: usize = 256 * 1024;

/// Events as they happen. Ends when the plane closes the stream; resume with the last event's id.
#[derive(Debug)]
pub struct EventStream {
    body: reqwest::Response,
    buffer: BytesMut,
}

impl Client {
    /// Follows the events of the tenant from now on, or from after the event with the id `after`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn follow_events(&self, after: Option<&str>) -> Result<EventStream, ApiError> {
        let mut request = self.request(Method::GET, "/events/stream", None)?;
        request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static("text/event-stream"));
        if let Some(after) = after.and_then(|id| http::HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", after);
        }
        let response =
            self.http.open(request, Duration::from_secs(15)).await.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(self.not_a_plane(format!("HTTP {} to a request for live events", response.status())));
        }
        Ok(EventStream { body: response, buffer: BytesMut::new() })
    }
}

impl EventStream {
    /// The next event; `None` when the stream has ended, was silent too long, or broke.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(block) = self.take_block() {
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
            }
            let chunk: Bytes = tokio::time::timeout(SILENCE_DEADLINE, self.body.chunk()).await.ok()?.ok()??;
            if self.buffer.len() + chunk.len() > MAX_EVENT {
                return None;
            }
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// Takes what stands before the next empty line.
    fn take_block(&mut self) -> Option<Bytes> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let block = self.buffer.split_to(end).freeze();
        self.buffer.advance(2);
        Some(block)
    }
}

/// The event of one block; `None` for comments and other kinds.
fn parse(block: &[u8]) -> Option<Event> {
    let text = std::str::from_utf8(block).ok()?;
    let data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect();
    if data.is_empty() { None } else { serde_json::from_str(&data.join("\n")).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_events_and_data_lines_are_joined() {
        assert!(parse(b": keep-alive").is_none());
        let event = br#"id: ev_01990f3e6b0a7c31a5d2c0ffee123456
event: event
data: {"id":"ev_01990f3e6b0a7c31a5d2c0ffee123456","at":"2026-11-23T08:00:00Z","subject_kind":"cluster",
data: "subject_id":"x","subject":"web","severity":"Info","reason":"Created","message":"m"}"#;
        assert_eq!(parse(event).unwrap().subject, "web");
    }
}
