//! Events as JSON lines, and a pipeline's run as one JSON document, for programs.

use std::io::Write;
use std::time::Duration;

use engine::event::Event;
use serde_json::{Value, json};

use super::Reporter;
use super::pipeline::{Case, Fate, Pages};

/// Writes one JSON object per event and line.
pub struct Json<W> {
    to: W,
}

impl<W: Write + Send> Json<W> {
    /// Writes to `to`.
    pub const fn new(to: W) -> Self {
        Self { to }
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn event(&mut self, event: &Event) {
        // Whoever reads may stop reading: that is no reason to stop a run.
        if let Ok(line) = serde_json::to_string(event) {
            let _ = writeln!(self.to, "{line}").and_then(|()| self.to.flush());
        }
    }
}

/// A pipeline's run as one document. `state` of the run is `running` until it has ended: a killed run's report keeps
/// that, and its cases say how far it came.
pub fn document(pages: &Pages) -> String {
    let cases: Vec<Value> = pages.cases.iter().map(case).collect();
    let document = json!({
        "run": pages.run,
        "project": pages.project,
        "state": pages.state,
        "began": pages.began,
        "took_ms": milliseconds(pages.took),
        "cases": cases,
    });
    format!("{document:#}\n")
}

fn case(case: &Case) -> Value {
    let (state, text, failure) = match &case.fate {
        Fate::Waiting => ("waiting", None, None),
        Fate::Running(_) => ("running", None, None),
        Fate::Passed(summary) => ("passed", Some(summary.as_str()), None),
        Fate::Skipped(why) => ("skipped", Some(why.as_str()), None),
        Fate::Failed(failure) => ("failed", Some(failure.message.as_str()), Some(failure)),
    };
    let took = case.took.map(milliseconds);
    json!({"suite": case.suite, "name": case.name, "state": state, "took_ms": took, "text": text, "failure": failure})
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
