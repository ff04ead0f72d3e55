//! How long steps took when they last did their work. What is done first depends on it, and nothing else does: a file
//! that is lost, damaged or overtaken by another run's costs a worse order once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine::receipt::write_atomically;
use engine::step::StepId;

/// The times of one deployment's steps, in milliseconds. One file for all of them: every step of a graph is asked before
/// anything begins.
#[derive(Debug)]
pub struct Times(BTreeMap<StepId, u64>);

impl Times {
    /// What is in the file `path`; nothing when it cannot be read.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        Self(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// How long `step` took.
    pub fn of(&self, step: &StepId) -> Option<Duration> {
        self.0.get(step).copied().map(Duration::from_millis)
    }
}

/// Writes into the file `path` how long steps `took`, beside what it says of others that are still `known`. A run in which
/// none did any work leaves it alone.
pub fn keep(path: &Path, took: BTreeMap<StepId, Duration>, known: impl Fn(&StepId) -> bool) {
    if took.is_empty() {
        return;
    }
    let Times(mut all) = Times::read(path);
    all.extend(took.into_iter().map(|(step, took)| (step, u64::try_from(took.as_millis()).unwrap_or(u64::MAX))));
    all.retain(|step, _| known(step));
    if let Ok(text) = serde_json::to_vec(&all) {
        // The run is none the worse for it.
        let _ = write_atomically(path, &text);
    }
}
