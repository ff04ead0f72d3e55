//! The logs that there are, of all selected containers, in the order in which they were written.
//!
//! Each log is copied into a file without a name before the first line is shown: logs that wait for each other in one
//! connection would fill it and stop it, and none of them fits into the memory.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _};

use engine::failure::Failure;
use jiff::Timestamp;
use kube::Client;

use super::log::{Line, Part, Source, next, open, unread};
use super::{Selection, list};
use crate::diagnose::evidence::{ContainerOf, containers};
use crate::world::process::Redact;

/// Gives `sink` the lines that there are until it says `false`. `redactor` masks what nobody is to read.
///
/// # Errors
/// When the cluster does not answer, nothing is selected, or, with `previous`, no container ran before.
pub async fn read(
    client: &Client,
    selection: &Selection,
    part: &Part,
    redactor: &Redact,
    mut sink: impl FnMut(Line) -> bool,
) -> Result<(), Failure> {
    let mut logs = Vec::new();
    for pod in list(client, selection).await? {
        for status in containers(&pod) {
            let ran_before = status.last_state.as_ref().is_some_and(|state| state.terminated.is_some());
            let started = status.container_id.is_some() || ran_before;
            if !started || (part.previous && !ran_before) {
                continue;
            }
            let source = Source::new(selection.label(&pod), ContainerOf::new(&pod, &status.name));
            logs.extend(Log::copy(client, source, part).await?);
        }
    }
    if logs.is_empty() && part.previous {
        return Err(Failure::step("no selected container has run before: none was restarted")
            .help("leave --previous out to see what the present ones wrote"));
    }
    for log in &mut logs {
        log.advance()?;
    }
    // Logs are long and containers few: the next line is looked for among the heads.
    loop {
        let heads = logs.iter().enumerate().filter_map(|(index, log)| Some((log.head.as_ref()?.0, index)));
        let Some((_, index)) = heads.min() else { return Ok(()) };
        let Some(log) = logs.get_mut(index) else { return Ok(()) };
        if let Some((at, text)) = log.head.take()
            && !sink(log.source.line(at, redactor(&text)))
        {
            return Ok(());
        }
        log.advance()?;
    }
}

/// A copy of a log, and its next line.
struct Log {
    source: Source,
    copy: BufReader<File>,
    head: Option<(Timestamp, String)>,
}

impl Log {
    /// Copies a log; `None` if there is none: a container between two lives is no reason to show no other.
    async fn copy(client: &Client, source: Source, part: &Part) -> Result<Option<Self>, Failure> {
        let failed = |error: std::io::Error| unread(&source.of, &error);
        let second = part.since.and_then(|since| Timestamp::from_second(since.as_second()).ok());
        let mut log = match open(client, &source.of, second, false, part.previous).await {
            Ok(log) => log,
            Err(kube::Error::Api(status)) if status.code < 500 => return Ok(None),
            Err(error) => return Err(unread(&source.of, &error)),
        };
        let mut copy = BufWriter::new(tempfile::tempfile().map_err(failed)?);
        while let Some((at, text)) = next(&mut log).await.map_err(failed)? {
            // What the kubelet remarks bears no time; it is about what comes first.
            let at = at.unwrap_or(Timestamp::UNIX_EPOCH);
            if part.since.is_none_or(|since| at >= since) {
                writeln!(copy, "{at} {text}").map_err(failed)?;
            }
        }
        let mut copy = copy.into_inner().map_err(|error| failed(error.into_error()))?;
        copy.rewind().map_err(failed)?;
        Ok(Some(Self { source, copy: BufReader::new(copy), head: None }))
    }

    fn advance(&mut self) -> Result<(), Failure> {
        let mut line = String::new();
        self.copy.read_line(&mut line).map_err(|error| unread(&self.source.of, &error))?;
        let head = line.strip_suffix('\n').and_then(|line| line.split_once(' '));
        self.head = head.and_then(|(at, text)| Some((at.parse().ok()?, text.to_owned())));
        Ok(())
    }
}
