//! `[ci]`: what continuous integration does beside deploying.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::table::Table;
use super::text::Form;
use super::value::Value;

/// What a pipeline runs before it deploys, and how long all of it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ci {
    /// Commands to run one after another before anything is deployed, each a program and its arguments; no shell reads
    /// them. The first that fails ends the run.
    #[schemars(default)]
    pub run: Vec<Vec<String>>,
    /// How long everything but the teardown may take: "45m" by default.
    #[schemars(with = "Option<Form<Duration>>", default)]
    pub deadline: Duration,
}

impl Default for Ci {
    fn default() -> Self {
        Self { run: Vec::new(), deadline: Duration::from_secs(45 * 60) }
    }
}

impl Ci {
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let run = table.optional("run", "[[\"cargo\", \"test\"]]", |value| value.list(read_command));
        let deadline = table.optional("deadline", "\"45m\"", Value::text::<Duration>);
        let default = Self::default();
        Some(Self { run: run.unwrap_or_default(), deadline: deadline.unwrap_or(default.deadline) })
    }
}

fn read_command(value: Value<'_>) -> Option<Vec<String>> {
    let words = value.list(Value::words)?;
    if words.is_empty() {
        let problem = value.problem("a command needs a program").label("nothing to run");
        return value.reading.report(problem.help("write the program and its arguments: [\"cargo\", \"test\"]"));
    }
    Some(words)
}
