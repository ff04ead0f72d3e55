//! Lines of containers' logs with the time at which each was written, which is what makes it possible to read a log
//! again without losing or doubling a line.

use engine::failure::Failure;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};

use super::{Selection, list};
use crate::diagnose::evidence::{ContainerOf, containers};

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
}

/// Which part of the logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// Only what was written after this moment.
    pub since: Option<Timestamp>,
    /// Of the containers that ran before the present ones.
    pub previous: bool,
}

/// Up to where a log has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The time of the last line, and how many lines bear it.
    last: Option<(Timestamp, usize)>,
    /// How many lines of that time the present reading has met.
    met: usize,
}

impl Cursor {
    /// A cursor behind everything that was written up to `since`.
    pub fn after(since: Option<Timestamp>) -> Self {
        // A line of just that moment is wanted, so none of its lines counts as read.
        Self { last: since.map(|since| (since, 0)), met: 0 }
    }

    /// A new reading of the same log begins, perhaps before the cursor.
    pub fn reread(&mut self) {
        self.met = 0;
    }

    /// From when on to read.
    pub fn since(&self) -> Option<Timestamp> {
        self.last.map(|(last, _)| last)
    }

    /// Whether a line written at `at` has not been read yet; it counts as read from now on.
    pub fn is_new(&mut self, at: Timestamp) -> bool {
        match &mut self.last {
            Some((last, _)) if at < *last => false,
            Some((last, read)) if at == *last => {
                self.met += 1;
                let new = self.met > *read;
                *read = (*read).max(self.met);
                new
            }
            _ => {
                self.last = Some((at, 1));
                self.met = 1;
                true
            }
        }
    }
}

/// Reads the next line: its time and its text; `None` at the end.
pub async fn next(log: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<(Timestamp, String)>> {
    let mut bytes = Vec::new();
    if log.read_until(b'\n', &mut bytes).await? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    let (at, text) = text.split_once(' ').unwrap_or((text, ""));
    // A line that the kubelet itself puts in ("failed to try resolving symlinks ...") bears no time.
    match at.parse() {
        Ok(at) => Ok(Some((at, text.to_owned()))),
        Err(_) => Ok(Some((Timestamp::UNIX_EPOCH, format!("{at} {text}")))),
    }
}

/// Opens the log of a container.
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

/// Gives `sink` the lines that there are, of all selected containers, in the order in which they were written.
///
/// # Errors
/// When the cluster does not answer, nothing is selected, or, with `previous`, no container ran before.
pub async fn read(
    client: &Client,
    selection: &Selection,
    part: &Part,
    mut sink: impl FnMut(Line),
) -> Result<(), Failure> {
    let mut sources = Vec::new();
    for pod in list(client, selection).await? {
        for status in containers(&pod) {
            let started =
                status.container_id.is_some() || status.last_state.as_ref().is_some_and(|s| s.terminated.is_some());
            let ran_before = status.last_state.as_ref().is_some_and(|state| state.terminated.is_some());
            if !started || (part.previous && !ran_before) {
                continue;
            }
            let of = ContainerOf::new(&pod, &status.name);
            // A container that is between two lives has no present log; that is no reason to show no other.
            if let Ok(log) = open(client, &of, part.since, false, part.previous).await {
                sources.push(Source { label: selection.label(&pod).to_owned(), of, log, head: None });
            }
        }
    }
    if sources.is_empty() && part.previous {
        return Err(Failure::step("no selected container has run before: none was restarted")
            .help("leave --previous out to see what the present ones wrote"));
    }
    for source in &mut sources {
        source.advance().await?;
    }
    // Logs are long and containers few: the next line is looked for among the heads.
    loop {
        let heads = sources.iter().enumerate().filter_map(|(index, source)| Some((source.head.as_ref()?.0, index)));
        let Some((_, index)) = heads.min() else { return Ok(()) };
        let Some(source) = sources.get_mut(index) else { return Ok(()) };
        if let Some((at, text)) = source.head.take() {
            // What the server cuts by seconds is cut exactly here.
            if part.since.is_none_or(|since| at >= since) {
                sink(Line { label: source.label.clone(), of: source.of.clone(), at, text });
            }
        }
        source.advance().await?;
    }
}

struct Source<L> {
    label: String,
    of: ContainerOf,
    log: L,
    head: Option<(Timestamp, String)>,
}

impl<L: AsyncBufRead + Unpin> Source<L> {
    async fn advance(&mut self) -> Result<(), Failure> {
        let next = next(&mut self.log).await;
        self.head = next.map_err(|error| {
            Failure::environment(format!("could not read the log of {}", self.of)).because_of(&error)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::io::Cursor as Bytes;
    use jiff::Timestamp;

    use super::{Cursor, next};

    fn at(nanoseconds: i32) -> Timestamp {
        Timestamp::new(1_000, nanoseconds).unwrap()
    }

    #[test]
    fn reading_again_neither_loses_nor_doubles_a_line() {
        let log = [at(1), at(2), at(2), at(2), at(3)];
        // Wherever the first reading breaks off and wherever the second begins, each line is new exactly once.
        for broken in 0..=log.len() {
            for again in [at(0), at(1), at(2), at(3)] {
                let mut cursor = Cursor::default();
                let mut new = log[..broken].iter().filter(|line| cursor.is_new(**line)).count();
                assert_eq!(new, broken);
                if cursor.since().is_some_and(|since| since < again) {
                    continue;
                }
                cursor.reread();
                new += log.iter().filter(|line| **line >= again && cursor.is_new(**line)).count();
                let before = if broken == 0 { log.iter().filter(|line| **line < again).count() } else { 0 };
                assert_eq!(new, log.len() - before, "broken off after {broken}, read again from {again}");
            }
        }
    }

    #[test]
    fn since_includes_its_own_moment() {
        let mut cursor = Cursor::after(Some(at(2)));
        assert_eq!([at(1), at(2), at(2), at(3)].map(|line| cursor.is_new(line)), [false, true, true, true]);
    }

    #[tokio::test]
    async fn lines_are_split_into_time_and_text() {
        let mut log =
            Bytes::new(b"1970-01-01T00:16:40.000000001Z hello world\r\n1970-01-01T00:16:40Z\nno time \xff".to_vec());
        assert_eq!(next(&mut log).await.unwrap(), Some((at(1), "hello world".to_owned())));
        assert_eq!(next(&mut log).await.unwrap(), Some((at(0), String::new())));
        let (time, text) = next(&mut log).await.unwrap().unwrap();
        assert_eq!((time, text.as_str()), (Timestamp::UNIX_EPOCH, "no time \u{fffd}"));
        assert_eq!(next(&mut log).await.unwrap(), None);
    }
}
