//! Turns BuildKit's status messages into events, and keeps what an error will want to show.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};

use crate::dockerfile::Dockerfile;

/// How many of a vertex's last lines are kept for an error.
const LAST_LINES: usize = 40;

/// Something that happened to a vertex, which is BuildKit's word for one step of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// BuildKit's name of the vertex: `[builder 3/7] RUN make`, `[internal] load build context`.
    pub vertex: Arc<str>,
    /// The line of the Dockerfile, from 1, for those that stand there.
    pub line: Option<usize>,
    /// What happened.
    pub change: Change,
}

/// What happened to a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It began.
    Started,
    /// Its result was there already.
    Cached,
    /// It wrote a line. Not redacted: a command is free to print what it was given.
    Wrote(String),
    /// Part of a download or of the export is done.
    Advanced {
        /// Which part.
        what: String,
        /// In bytes, as a rule.
        current: u64,
        /// 0 when unknown.
        total: u64,
    },
    /// It ended well.
    Completed(Duration),
    /// It ended badly.
    Failed(String),
}

/// A vertex's whereabouts.
struct State {
    name: Arc<str>,
    line: Option<usize>,
    started: bool,
    ended: bool,
    /// Written, but not yet up to the end of the line.
    unfinished: Vec<u8>,
    last_lines: VecDeque<String>,
}

/// The vertex that made a build fail.
pub(crate) struct FailedVertex {
    pub(crate) name: Arc<str>,
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
    pub(crate) last_lines: Vec<String>,
}

/// Follows one build.
pub(crate) struct Progress<'a> {
    dockerfile: &'a Dockerfile,
    vertices: BTreeMap<String, State>,
    failed: Option<(String, String)>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(dockerfile: &'a Dockerfile) -> Self {
        Self { dockerfile, vertices: BTreeMap::new(), failed: None }
    }

    /// Takes one message in and calls `on_event` for each thing that it tells.
    pub(crate) fn take(&mut self, status: StatusResponse, on_event: &mut impl FnMut(Event)) {
        let (ended, begun): (Vec<_>, Vec<_>) = status.vertexes.into_iter().partition(|v| v.completed.is_some());
        begun.iter().for_each(|vertex| self.vertex(vertex, on_event));
        for log in status.logs {
            if let Some(state) = self.vertices.get_mut(&log.vertex) {
                state.write(&log.msg, on_event);
            }
        }
        for part in status.statuses {
            if let (Some(state), true) = (self.vertices.get(&part.vertex), part.current > 0 || part.total > 0) {
                let number = |n: i64| u64::try_from(n).unwrap_or(0);
                let (current, total) = (number(part.current), number(part.total));
                on_event(state.event(Change::Advanced { what: part.id, current, total }));
            }
        }
        // A message may hold a vertex's last lines and its end: the lines come first.
        ended.iter().for_each(|vertex| self.vertex(vertex, on_event));
    }

    fn vertex(&mut self, vertex: &Vertex, on_event: &mut impl FnMut(Event)) {
        let dockerfile = self.dockerfile;
        let state = self.vertices.entry(vertex.digest.clone()).or_insert_with(|| State {
            name: vertex.name.as_str().into(),
            line: dockerfile.line_of(&vertex.name),
            started: false,
            ended: false,
            unfinished: Vec::new(),
            last_lines: VecDeque::new(),
        });
        if state.ended {
            return;
        }
        if vertex.started.is_some() && !state.started && !vertex.cached {
            state.started = true;
            on_event(state.event(Change::Started));
        }
        if let Some(completed) = &vertex.completed {
            state.ended = true;
            state.finish_line(on_event);
            let change = if !vertex.error.is_empty() {
                // Vertices that were under way when another failed end as cancelled.
                if !is_cancellation(&vertex.error) {
                    self.failed = Some((vertex.digest.clone(), vertex.error.clone()));
                }
                Change::Failed(vertex.error.clone())
            } else if vertex.cached {
                Change::Cached
            } else {
                Change::Completed(vertex.started.as_ref().map_or(Duration::ZERO, |start| between(start, completed)))
            };
            on_event(state.event(change));
        }
    }

    /// The vertex to blame for a failed build.
    pub(crate) fn failed(&mut self) -> Option<FailedVertex> {
        let (digest, message) = self.failed.take()?;
        let state = self.vertices.remove(&digest)?;
        Some(FailedVertex { name: state.name, line: state.line, message, last_lines: state.last_lines.into() })
    }
}

impl State {
    fn event(&self, change: Change) -> Event {
        Event { vertex: Arc::clone(&self.name), line: self.line, change }
    }

    fn write(&mut self, bytes: &[u8], on_event: &mut impl FnMut(Event)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.finish_line(on_event);
            }
        }
    }

    fn finish_line(&mut self, on_event: &mut impl FnMut(Event)) {
        if self.unfinished.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.unfinished);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        // Progress bars overwrite their line: what stands there in the end counts.
        let line = text.rsplit('\r').next().unwrap_or_default().to_owned();
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.clone());
        on_event(self.event(Change::Wrote(line)));
    }
}

fn is_cancellation(message: &str) -> bool {
    message.contains("context canceled")
}

fn between(start: &Timestamp, end: &Timestamp) -> Duration {
    let nanoseconds = |t: &Timestamp| i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanos);
    Duration::from_nanos(u64::try_from(nanoseconds(end) - nanoseconds(start)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};

    use super::{Change, Progress};
    use crate::dockerfile::Dockerfile;

    fn at(nanos: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds: 1, nanos })
    }

    fn vertex(digest: &str, completed: Option<Timestamp>, error: &str) -> StatusResponse {
        let (digest, name, error) = (digest.to_owned(), "[2/2] RUN a".to_owned(), error.to_owned());
        let vertex = Vertex { digest, name, started: at(1), completed, error, ..Vertex::default() };
        StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() }
    }

    fn log(digest: &str, text: &str) -> StatusResponse {
        let log = VertexLog { vertex: digest.to_owned(), msg: text.into(), ..VertexLog::default() };
        StatusResponse { logs: vec![log], ..StatusResponse::default() }
    }

    #[test]
    fn lines_are_whole_and_come_before_the_end() {
        let dockerfile = Dockerfile::parse("FROM x\nRUN a");
        let mut progress = Progress::new(&dockerfile);
        let mut changes = Vec::new();
        let mut take = |status| {
            progress.take(status, &mut |event| {
                assert_eq!(event.line, Some(2));
                changes.push(event.change);
            });
        };
        take(vertex("d", None, ""));
        take(vertex("d", None, ""));
        take(log("d", "one\ntw"));
        take(log("d", "o\n10%\r20%\r\nthree"));
        let mut last = vertex("d", at(5), "");
        last.logs = log("d", "!").logs;
        take(last);
        let wrote = |text: &str| Change::Wrote(text.to_owned());
        assert_eq!(
            changes,
            [
                Change::Started,
                wrote("one"),
                wrote("two"),
                wrote("20%"),
                wrote("three!"),
                Change::Completed(Duration::from_nanos(4))
            ]
        );
    }

    #[test]
    fn the_vertex_to_blame_is_the_one_that_was_not_cancelled() {
        let dockerfile = Dockerfile::parse("FROM x\nRUN a");
        let mut progress = Progress::new(&dockerfile);
        let mut ignore = |_| ();
        progress.take(vertex("a", None, ""), &mut ignore);
        progress.take(log("a", "why\n"), &mut ignore);
        progress.take(vertex("a", at(2), "exit code: 1"), &mut ignore);
        progress.take(vertex("b", at(3), "context canceled"), &mut ignore);
        let failed = progress.failed().unwrap();
        assert_eq!((failed.message.as_str(), failed.line), ("exit code: 1", Some(2)));
        assert_eq!(failed.last_lines, ["why"]);
    }
}
