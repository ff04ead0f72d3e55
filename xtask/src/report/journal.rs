//! The events of a run on disk, with the time of each: what `explain`, `timings` and a person read afterwards.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::event::Event;
use engine::failure::Failure;
use serde::{Deserialize, Serialize};

use super::Reporter;

/// The journal's name in the folder of its run.
pub const NAME: &str = "events.jsonl";

/// A line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Writes the journal of one run. Progress is left out: it is for eyes.
pub struct Journal {
    file: File,
    /// What was told before anything happened; nothing is held back from then on. The journal of a run that finds all as
    /// it should be is kept by nobody, and writing it would be much of what such a run costs.
    held: Option<Vec<Entry>>,
}

impl Journal {
    /// A new journal in the run's folder.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(|error| Failure::io("write", &path, &error))?;
        Ok(Self { file, held: Some(Vec::new()) })
    }
}

impl Reporter for Journal {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Progress { .. } | Event::Output { .. }) {
            return;
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let entry = Entry { at_ms: at.as_millis() as u64, event: event.clone() };
        match &mut self.held {
            Some(held) if is_no_news(event) => held.push(entry),
            held => {
                let entries = held.take().unwrap_or_default().into_iter().chain([entry]);
                let lines: Vec<u8> = entries.filter_map(|entry| line(&entry)).flatten().collect();
                // One write of whole lines, so a killed run leaves no other. A full disk costs the journal, not the run.
                let _ = self.file.write_all(&lines);
            }
        }
    }
}

/// Whether all is as it was, as far as `event` tells.
fn is_no_news(event: &Event) -> bool {
    match event {
        Event::RunStarted { .. } | Event::Fresh { .. } => true,
        Event::RunFinished { tally, .. } => tally.is_all_fresh(),
        _ => false,
    }
}

fn line(entry: &Entry) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(entry).ok()?;
    line.push(b'\n');
    Some(line)
}

/// The entries of a run's journal that can be read; a run that was killed may have left half a line at the end.
pub fn read(folder: &Path) -> Vec<Entry> {
    let Ok(file) = File::open(folder.join(NAME)) else { return Vec::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::event::{Event, Tally};
    use engine::step::StepId;

    use super::{Journal, read};
    use crate::report::Reporter as _;

    #[test]
    fn a_run_that_finds_all_fresh_writes_none_and_any_other_a_whole_one() {
        let step = StepId::cluster;
        let started = || Event::RunStarted { run: 1, command: "deploy".to_owned(), steps: 1 };
        let fresh = || Event::Fresh { step: step() };
        let ran = || Event::Started { step: step() };
        let finished = |ran| {
            let tally = Tally { ran, fresh: 1, ..Tally::default() };
            Event::RunFinished { tally, took: Duration::ZERO, headline: None }
        };
        for (events, expected) in [
            (vec![started(), fresh(), finished(0)], 0),
            (vec![started(), fresh(), ran(), fresh(), finished(1)], 5),
            (vec![started(), fresh(), finished(1)], 3),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut journal = Journal::create(folder.path()).unwrap();
            events.iter().for_each(|event| journal.event(event));
            let written: Vec<Event> = read(folder.path()).into_iter().map(|entry| entry.event).collect();
            assert_eq!(written, events[..expected]);
        }
    }
}
