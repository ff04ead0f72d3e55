//! What a run of the program said, and what is expected of it.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;

/// A finished run.
pub struct Ran {
    command: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub events: Vec<Value>,
}

impl Ran {
    pub fn new(arguments: &[&str], output: Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self {
            command: arguments.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            events,
        }
    }

    #[track_caller]
    pub fn expect_success(self) -> Self {
        self.expect_code(0)
    }

    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "`{}` ended so:\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// The steps to which `event` happened, in order.
    pub fn steps(&self, event: &str) -> Vec<&str> {
        let happened = self.events.iter().filter(|it| it["event"] == event);
        happened.filter_map(|it| it["step"].as_str()).collect()
    }

    /// The steps that ran, in the order of their names.
    pub fn done(&self) -> Vec<&str> {
        let mut steps = self.steps("done");
        steps.sort_unstable();
        steps
    }

    /// All that was said of why steps had to run, as one text for each.
    pub fn reasons(&self) -> BTreeMap<&str, String> {
        let stale = self.events.iter().filter(|it| it["event"] == "stale");
        stale.filter_map(|it| Some((it["step"].as_str()?, it["reasons"].to_string()))).collect()
    }

    #[track_caller]
    pub fn expect_done(self, steps: &[&str]) -> Self {
        assert_eq!(self.done(), steps, "`{}` said:\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Nothing ran, and everything is fresh.
    #[track_caller]
    pub fn expect_all_fresh(self) -> Self {
        assert_eq!(self.reasons(), BTreeMap::new(), "nothing is stale");
        self.expect_success().expect_done(&[])
    }

    /// A reason for `step` to run that has `words` in it.
    #[track_caller]
    pub fn expect_reason(self, step: &str, words: &str) -> Self {
        let reasons = self.reasons();
        let said = reasons.get(step).cloned().unwrap_or_default();
        assert!(said.contains(words), "the reasons for {step} do not say {words:?}: {said}\nof {reasons:#?}");
        self
    }
}
