//! As much of gRPC as a BuildKit session needs: messages on an HTTP/2 stream, and the status at its end.
//!
//! Three methods do not warrant a gRPC framework, and with hyper's connection in our own hands a dropped build closes
//! it at once.

use std::convert::Infallible;
use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// The answer to a call.
pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Larger messages are refused: BuildKit's requests take a few bytes.
const LONGEST_MESSAGE: usize = 4 << 20;
const PREFIX: usize = 5;

/// How a call ended.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    code: u8,
    message: String,
}

impl Status {
    pub(crate) fn ok() -> Self {
        Self { code: 0, message: String::new() }
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }

    pub(crate) fn aborted(message: impl Into<String>) -> Self {
        Self { code: 10, message: message.into() }
    }

    pub(crate) fn unimplemented(path: &str) -> Self {
        Self { code: 12, message: format!("{path} is not served") }
    }

    pub(crate) fn unavailable(error: &impl fmt::Display) -> Self {
        Self { code: 14, message: error.to_string() }
    }

    fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(u16::from(self.code)));
        // gRPC wants all but printable ASCII percent-encoded, and `%` itself.
        let escaped: String = self
            .message
            .bytes()
            .map(
                |b| if matches!(b, b' '..=b'~') && b != b'%' { char::from(b).to_string() } else { format!("%{b:02X}") },
            )
            .collect();
        if let Ok(message) = HeaderValue::from_str(&escaped) {
            trailers.insert("grpc-message", message);
        }
        trailers
    }
}

/// One part of a streamed answer.
pub(crate) enum Part {
    /// One or more messages, by [`encode`].
    Messages(Bytes),
    /// The end. A stream without one counts as broken off.
    End(Status),
}

/// Puts a message behind those in `buffer`, as it goes over the wire.
pub(crate) fn encode(message: &impl Message, buffer: &mut BytesMut) {
    let length = message.encoded_len();
    buffer.reserve(PREFIX + length);
    buffer.put_u8(0);
    buffer.put_u32(length as u32);
    // Encoding fails for lack of room only, and that was just made.
    message.encode(buffer).unwrap_or_default();
}

/// A single message as it goes over the wire.
fn encoded(message: &impl Message) -> Bytes {
    let mut buffer = BytesMut::new();
    encode(message, &mut buffer);
    buffer.freeze()
}

/// The messages of a call.
pub(crate) struct Messages {
    body: Incoming,
    buffer: BytesMut,
}

impl Messages {
    pub(crate) fn of(request: Request<Incoming>) -> Self {
        Self { body: request.into_body(), buffer: BytesMut::new() }
    }

    /// The next message; none once the caller has sent its last.
    pub(crate) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.take()? {
                return M::decode(message).map(Some).map_err(|e| Status::invalid_argument(e.to_string()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().ok()),
                Some(Err(error)) => return Err(Status::unavailable(&error)),
                None => return Ok(None),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let [compressed, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if compressed != 0 || length > LONGEST_MESSAGE {
            return Err(Status::invalid_argument("a compressed or oversized message"));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// Answers with what `parts` brings.
pub(crate) fn stream(parts: mpsc::Receiver<Part>) -> Answer {
    let frames = ReceiverStream::new(parts).map(|part| {
        Ok::<_, Infallible>(match part {
            Part::Messages(bytes) => Frame::data(bytes),
            Part::End(status) => Frame::trailers(status.trailers()),
        })
    });
    answer(BoxBody::new(StreamBody::new(frames)))
}

/// Answers with one message, or with a status alone.
pub(crate) fn unary<M: Message>(result: Result<M, Status>) -> Answer {
    let (message, status) = match result {
        Ok(message) => (Some(encoded(&message)), Status::ok()),
        Err(status) => (None, status),
    };
    let frames = message.map(Frame::data).into_iter().chain([Frame::trailers(status.trailers())]);
    answer(BoxBody::new(StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Infallible>)))))
}

fn answer(body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    answer
}

#[cfg(test)]
mod tests {
    use super::{Status, encoded};
    use bollard_buildkit_proto::health::HealthCheckResponse;

    #[test]
    fn a_message_goes_behind_its_length() {
        assert_eq!(encoded(&HealthCheckResponse { status: 1 })[..], [0, 0, 0, 0, 2, 8, 1]);
        assert_eq!(encoded(&HealthCheckResponse { status: 0 })[..], [0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_status_is_printable_ascii() {
        let trailers = Status::aborted("100 % größer\n").trailers();
        assert_eq!(trailers["grpc-status"], "10");
        assert_eq!(trailers["grpc-message"], "100 %25 gr%C3%B6%C3%9Fer%0A");
    }
}
