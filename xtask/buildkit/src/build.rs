//! One build, from the request to the image ID.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use bytes::BytesMut;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use prost::Message as _;
use secrecy::SecretSlice;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::cause::{Subject, classify};
use crate::context::Context;
use crate::dockerfile::Dockerfile;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::file_sync::{DOCKERFILE, FileSync, Sent};
use crate::progress::{Event, Progress};
use crate::session::{self, Services};

/// What to build.
pub struct Request {
    /// The files.
    pub context: Context,
    /// The Dockerfile's bytes; where they come from plays no part.
    pub dockerfile: Vec<u8>,
    /// The stage to build, the last one if none is given.
    pub target: Option<String>,
    /// `linux/amd64` and the like, the daemon's own if none is given.
    pub platform: Option<String>,
    /// Build arguments. They stay in the image's history: never a secret.
    pub build_args: BTreeMap<String, String>,
    /// Build secrets by the id that `RUN --mount=type=secret,id=…` asks for.
    pub secrets: BTreeMap<String, SecretSlice<u8>>,
    /// Labels, which become part of the image and so of its ID.
    pub labels: BTreeMap<String, String>,
    /// Names to give to the image: `repository:tag`.
    pub tags: Vec<String>,
    /// A word of lower-case letters, digits and hyphens, at most 63, that goes into BuildKit's keys of every `RUN`: under
    /// another one all of them run again, and under one that was there before what it made is found. BuildKit leaves
    /// secrets out of its keys, so one that stands for their values belongs here. Commands can see it, as the name of a
    /// host; the image cannot.
    pub salt: Option<String>,
}

impl Request {
    /// A build of `dockerfile` with `context` and nothing else set.
    pub fn new(context: Context, dockerfile: impl Into<Vec<u8>>) -> Self {
        Self {
            context,
            dockerfile: dockerfile.into(),
            target: None,
            platform: None,
            build_args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            labels: BTreeMap::new(),
            tags: Vec::new(),
            salt: None,
        }
    }

    fn uri(&self, session: &str) -> String {
        let json = |map: &BTreeMap<String, String>| serde_json::Value::from_iter(map.clone()).to_string();
        let mut query = vec![
            ("version", "2".to_owned()),
            ("remote", "client-session".to_owned()),
            ("session", session.to_owned()),
            ("buildid", session.to_owned()),
            ("dockerfile", DOCKERFILE.to_owned()),
            ("buildargs", json(&self.build_args)),
            ("labels", json(&self.labels)),
        ];
        query.extend(self.target.clone().map(|target| ("target", target)));
        query.extend(self.platform.clone().map(|platform| ("platform", platform)));
        query.extend(self.tags.iter().cloned().map(|tag| ("t", tag)));
        // Hosts that a command can resolve are in its key by their names. To forbid the cache instead would empty those of
        // `RUN --mount=type=cache` as well, and would not keep another build from finding the layers.
        query.extend(self.salt.as_ref().map(|salt| ("extrahosts", format!("{salt}:127.0.0.1"))));
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        format!("/build?{}", pairs.join("&"))
    }
}

/// Escapes all but what is safe anywhere in a URI.
fn escape(text: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A finished build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The image's ID: `sha256:` and 64 hexadecimal digits.
    pub image_id: String,
    /// What of the context was sent.
    pub sent: Sent,
}

/// Builds `request` with the daemon at `endpoint`, calling `on_event` for all that happens meanwhile.
///
/// Dropping the future closes both connections to the daemon, which then ends the build and what it runs.
///
/// # Errors
/// All of [`Error`]; what the build wrote up to then went to `on_event`.
pub async fn build(endpoint: &Endpoint, request: Request, mut on_event: impl FnMut(Event)) -> Result<Built, Error> {
    const DOING: &str = "during a build";
    let broken = |message: String| Error::Broken { doing: DOING, message };
    let dockerfile = Dockerfile::parse(&String::from_utf8_lossy(&request.dockerfile));
    let session = session_id().map_err(|source| Error::Read { path: RANDOM.into(), source })?;
    // Ends with this function, however it ends, and with it both connections.
    let mut tasks = JoinSet::new();

    let uri = request.uri(&session);
    let Request { context, dockerfile: text, target, build_args, secrets, .. } = request;
    let files = Arc::new(FileSync::new(context, &text));
    let services = Arc::new(Services { files: Arc::clone(&files), secrets });
    session::open(endpoint, &session, services, &mut tasks).await?;

    let http = hyper::Request::post(uri)
        .header("host", "docker")
        .header("content-type", "application/x-tar")
        .body(Empty::new())
        .map_err(|e| broken(e.to_string()))?;
    let response = endpoint.send(http, DOING, &mut tasks).await?;
    if response.status() != StatusCode::OK {
        let status = response.status().as_u16();
        return Err(Error::Refused { status, message: daemon_message(response).await });
    }

    let mut progress = Progress::new(&dockerfile);
    let mut image_id = None;
    let mut failure = None;
    let mut lines = Lines { body: response.into_body(), buffer: BytesMut::new(), searched: 0 };
    while let Some(line) = lines.next().await.map_err(broken)? {
        match serde_json::from_slice::<Line>(&line) {
            Ok(Line { id: Some(id), aux: Some(aux), .. }) => match (id.as_str(), aux) {
                ("moby.buildkit.trace", serde_json::Value::String(text)) => {
                    let status = STANDARD.decode(text).ok().and_then(|raw| StatusResponse::decode(&raw[..]).ok());
                    // A message in a form that we do not know costs a line of progress, not the build.
                    progress.take(status.unwrap_or_default(), &mut on_event);
                }
                ("moby.image.id", aux) => image_id = aux["ID"].as_str().map(str::to_owned),
                _ => {}
            },
            Ok(Line { error: Some(message), .. }) => failure = Some(message),
            _ => {}
        }
    }
    if let Some(error) = files.take_error() {
        return Err(error);
    }
    match (failure, image_id) {
        (Some(message), _) => {
            let subject = Subject { dockerfile: &dockerfile, target: target.as_deref(), build_args: &build_args };
            Err(classify(&message, &subject, progress.failed()))
        }
        (None, Some(image_id)) => Ok(Built { image_id, sent: files.sent() }),
        (None, None) => Err(Error::NoImage),
    }
}

/// One line of the daemon's answer.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    aux: Option<serde_json::Value>,
    error: Option<String>,
}

struct Lines {
    body: Incoming,
    buffer: BytesMut,
    searched: usize,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<BytesMut>, String> {
        loop {
            if let Some(offset) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + offset + 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().ok()),
                Some(Err(error)) => return Err(error.to_string()),
                None => return Ok(None),
            }
        }
    }
}

/// What the daemon says about a request that it refused: `{"message": …}`, or plain text.
pub(crate) async fn daemon_message(response: Response<Incoming>) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let status = response.status();
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = serde_json::from_slice::<Refusal>(&body)
        .map_or_else(|_| String::from_utf8_lossy(&body).trim().to_owned(), |refusal| refusal.message);
    if text.is_empty() { status.to_string() } else { text }
}

const RANDOM: &str = "/dev/urandom";

/// A name that no other session has.
fn session_id() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(escape("{\"a\":\"b c&d\"}"), "%7B%22a%22%3A%22b%20c%26d%22%7D");
        assert_eq!(escape("repo-1.2_x~y"), "repo-1.2_x~y");
    }
}
