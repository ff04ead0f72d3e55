//! Lines of containers' logs, each with the time at which it was written.

use engine::failure::Failure;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};

use super::record::{Level, Record, level_of};
use crate::diagnose::evidence::ContainerOf;

/// What a line has beyond this, in bytes, is left out.
pub const LONGEST: usize = 256 << 10;

/// A line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What stands in front of it: the workload's name.
    pub label: String,
    /// Who wrote it.
    pub of: ContainerOf,
    /// When.
    pub at: Timestamp,
    /// The text, without its line feed.
    pub text: String,
    /// How grave it is: as it says, or like the line before it from the same container; a stack trace has the level of
    /// what it belongs to.
    pub level: Level,
    /// What it says, if it is a JSON object.
    pub record: Option<Record>,
}

/// Which part of the logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// Only what was written at or after this moment.
    pub since: Option<Timestamp>,
    /// Of the containers that ran before the present ones.
    pub previous: bool,
}

/// Makes lines of what one container writes.
#[derive(Debug, Clone)]
pub struct Source {
    /// What stands in front of its lines.
    pub label: String,
    /// The container.
    pub of: ContainerOf,
    level: Level,
}

impl Source {
    /// Of the container `of`.
    pub fn new(label: impl Into<String>, of: ContainerOf) -> Self {
        Self { label: label.into(), of, level: Level::Info }
    }

    /// The line that says `text`.
    pub fn line(&mut self, at: Timestamp, text: String) -> Line {
        let record = Record::of(&text);
        let said = record.as_ref().map_or_else(|| level_of(&text), |record| record.level);
        self.level = match said {
            Some(level) => level,
            // It belongs to a line that warns. To any other it does not: the program ends with it.
            None if is_traceback(&text) && self.level < Level::Warn => Level::Error,
            None => self.level,
        };
        Line { label: self.label.clone(), of: self.of.clone(), at, text, level: self.level, record }
    }
}

/// Whether a line begins what Python writes of an exception that nobody has caught, or that was logged.
fn is_traceback(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '+', '|']);
    text.trim_start_matches("Exception Group ").starts_with("Traceback (most recent call last)")
}

/// Reads the next line: its time and its text; `None` at the end. A line that the kubelet itself puts in bears no time.
///
/// # Errors
/// When the connection breaks.
pub async fn next(log: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<(Option<Timestamp>, String)>> {
    let mut line = Vec::new();
    let mut begun = false;
    loop {
        let there = log.fill_buf().await?;
        if there.is_empty() {
            break;
        }
        begun = true;
        let end = there.iter().position(|byte| *byte == b'\n');
        let piece = there.get(..end.unwrap_or(there.len())).unwrap_or_default();
        let room = LONGEST.saturating_sub(line.len()).min(piece.len());
        line.extend_from_slice(piece.get(..room).unwrap_or_default());
        let taken = end.map_or(there.len(), |end| end + 1);
        log.consume_unpin(taken);
        if end.is_some() {
            break;
        }
    }
    if !begun {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    let text = text.trim_end_matches('\r');
    let (at, rest) = text.split_once(' ').unwrap_or((text, ""));
    Ok(Some(match at.parse() {
        Ok(at) => (Some(at), rest.to_owned()),
        Err(_) => (None, text.to_owned()),
    }))
}

/// Opens the log of a container; `since` counts in whole seconds.
///
/// # Errors
/// When there is no such log, or the cluster does not answer.
pub async fn open(
    client: &Client,
    of: &ContainerOf,
    since: Option<Timestamp>,
    follow: bool,
    previous: bool,
) -> kube::Result<impl AsyncBufRead + Unpin + Send + use<>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &of.namespace);
    let params = LogParams {
        container: Some(of.container.clone()),
        follow,
        previous,
        since_time: since,
        timestamps: true,
        ..LogParams::default()
    };
    Ok(Box::pin(pods.log_stream(&of.pod, &params).await?))
}

/// The failure of reading a log.
pub fn unread(of: &ContainerOf, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::environment(format!("could not read the log of {of}")).because_of(error)
}

#[cfg(test)]
mod tests {
    use futures_util::io::{BufReader, Cursor as Bytes};
    use jiff::Timestamp;

    use super::{LONGEST, Level, Source, next};
    use crate::diagnose::evidence::ContainerOf;

    #[tokio::test]
    async fn lines_are_split_into_time_and_text() {
        let at = |nanoseconds| Some(Timestamp::new(1_000, nanoseconds).unwrap());
        let long = "y".repeat(3 * LONGEST);
        let text = format!("1970-01-01T00:16:40.000000001Z hello world\r\n1970-01-01T00:16:40Z\n{long}\nno time ");
        let mut log = BufReader::with_capacity(7, Bytes::new([text.as_bytes(), b"\xff"].concat()));
        assert_eq!(next(&mut log).await.unwrap(), Some((at(1), "hello world".to_owned())));
        assert_eq!(next(&mut log).await.unwrap(), Some((at(0), String::new())));
        assert_eq!(next(&mut log).await.unwrap(), Some((None, "y".repeat(LONGEST))));
        assert_eq!(next(&mut log).await.unwrap(), Some((None, "no time \u{fffd}".to_owned())));
        assert_eq!(next(&mut log).await.unwrap(), None);
    }

    #[test]
    fn a_line_that_says_no_level_belongs_to_the_one_before() {
        let of = ContainerOf { namespace: "n".into(), pod: "p".into(), container: "c".into() };
        let mut source = Source::new("w", of);
        let mut level = |text: &str| source.line(Timestamp::UNIX_EPOCH, text.to_owned()).level;
        let texts =
            ["hello", "ERROR: it broke", "  File \"a.py\", line 3", r#"{"level":"debug","message":"x"}"#, "more"];
        let levels = texts.map(&mut level);
        assert_eq!(levels, [Level::Info, Level::Error, Level::Error, Level::Debug, Level::Debug]);
    }

    #[test]
    fn what_a_program_ends_with_is_an_error_whatever_was_said_before() {
        let trace = ["Traceback (most recent call last):", "  File \"a.py\", line 3, in <module>", "ValueError: no"];
        let group =
            ["  + Exception Group Traceback (most recent call last):", "  |   File \"a.py\", line 3", "  +-+---"];
        for (before, traceback, expected) in [
            (None, trace, Level::Error),
            (None, group, Level::Error),
            (Some("INFO:     Started server process [7]"), trace, Level::Error),
            (Some(r#"{"level":"debug","message":"x"}"#), trace, Level::Error),
            (Some("WARNING: not sent, trying again"), trace, Level::Warn),
            (Some("ERROR: it broke"), trace, Level::Error),
        ] {
            let of = ContainerOf { namespace: "n".into(), pod: "p".into(), container: "c".into() };
            let mut source = Source::new("w", of);
            let mut level = |text: &str| source.line(Timestamp::UNIX_EPOCH, text.to_owned()).level;
            before.map(&mut level);
            assert_eq!(traceback.map(&mut level), [expected; 3], "{before:?}");
        }
    }
}
