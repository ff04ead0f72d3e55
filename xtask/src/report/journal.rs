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
}

impl Journal {
    /// A new journal in the run's folder.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        Ok(Self { file: file.map_err(|error| Failure::io("write", &path, &error))? })
    }
}

impl Reporter for Journal {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Progress { .. } | Event::Output { .. }) {
            return;
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let entry = Entry { at_ms: at.as_millis() as u64, event: event.clone() };
        if let Ok(mut line) = serde_json::to_vec(&entry) {
            line.push(b'\n');
            // One write per line: a killed run leaves whole lines. A full disk costs the journal, not the run.
            let _ = self.file.write_all(&line);
        }
    }
}

/// The entries of a run's journal that can be read; a run that was killed may have left half a line at the end.
pub fn read(folder: &Path) -> Vec<Entry> {
    let Ok(file) = File::open(folder.join(NAME)) else { return Vec::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
}
