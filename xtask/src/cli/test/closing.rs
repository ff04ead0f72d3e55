//! What is told when all suites have ended: a table, an exit code, and the record of a soak.

use std::path::Path;
use std::process::ExitCode;

use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use super::runner::Ended;
use crate::cli::Format;
use crate::report::style::{BAD, GOOD, WARNING, paint, verb};
use crate::report::words;
use crate::world::process;

/// Any failing suite fails the command.
pub fn verdict(ended: &[Ended]) -> ExitCode {
    let failed = ended.iter().any(|suite| suite.trouble.is_some());
    if failed { ExitCode::from(Class::Step.exit_code()) } else { ExitCode::SUCCESS }
}

/// A line for each suite, and one for all of them; for programs an object for each.
pub fn table(ended: &[Ended], format: Format) -> String {
    if format == Format::Json {
        let object = |suite: &Ended| {
            serde_json::json!({
                "suite": suite.name, "passed": suite.passed, "failed": suite.failed, "ok": suite.trouble.is_none(),
                "trouble": suite.trouble, "took_ms": suite.took.as_millis() as u64, "over_budget": suite.over,
                "fresh": suite.fresh.is_some(), "log": suite.log,
            })
        };
        return ended.iter().map(|suite| format!("{}\n", object(suite))).collect();
    }
    let line = |suite: &Ended| {
        let verb = match (&suite.trouble, suite.fresh) {
            (Some(_), _) => verb(BAD, "Failed"),
            (None, Some(_)) => verb(GOOD, "Fresh"),
            (None, None) => verb(GOOD, "Passed"),
        };
        let over = suite.over.then(|| paint(WARNING, "over its budget"));
        let told: String = over.into_iter().chain(suite.trouble.clone()).map(|words| format!("  {words}")).collect();
        let log = suite.log.as_ref().filter(|_| suite.trouble.is_some());
        let log = log.map(|log| format!("{:>12} what it said is in {}\n", "", log.display())).unwrap_or_default();
        format!("{verb}{}{told}\n{log}", row(suite))
    };
    let (passed, failed) = ended.iter().fold((0, 0), |(p, f), suite| (p + suite.passed, f + suite.failed));
    let suites = ended.iter().filter(|suite| suite.trouble.is_some()).count();
    let suites = if suites == 0 { String::new() } else { format!(", {suites} of {} suites", ended.len()) };
    let lines: String = ended.iter().map(line).collect();
    let fresh = ended.iter().filter(|suite| suite.fresh.is_some()).count();
    let run = words::count(ended.len() - fresh, "suite");
    format!("\n{lines}{passed} passed, {failed} failed{suites}; {run} run, {fresh} fresh\n")
}

fn row(suite: &Ended) -> String {
    let time = suite.fresh.map_or_else(|| words::duration(suite.took), words::ago);
    format!("{:<17} {:>5} passed {:>3} failed  {time:>11}", suite.name, suite.passed, suite.failed)
}

/// Keeps what a soak has shown, and of which commit: nobody repeats one to find out.
///
/// # Errors
/// When git does not tell the commit, or the file cannot be written.
pub async fn record(root: &Path, ended: &[Ended], cancel: &CancellationToken) -> Result<(), Failure> {
    let git = process::Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).cwd(root);
    let mut commit = String::new();
    git.run(cancel, |_, line| commit.push_str(line)).await?.success(Class::Environment)?;
    let date = jiff::Timestamp::now().strftime("%F").to_string();
    let path = root.join("bench/soak.txt");
    std::fs::write(&path, recorded(&date, &commit, ended)).map_err(|error| Failure::io("write", &path, &error))
}

fn recorded(date: &str, commit: &str, ended: &[Ended]) -> String {
    let fate = |suite: &Ended| if suite.trouble.is_none() { "Passed" } else { "Failed" };
    let line = |suite: &Ended| {
        let trouble = suite.trouble.as_ref().map(|trouble| format!("  {trouble}")).unwrap_or_default();
        format!("{}  {}{trouble}\n", fate(suite), row(suite))
    };
    let rows: String = ended.iter().map(line).collect();
    format!("`cargo xtask test --soak` on {date}, commit {commit}\n\n{rows}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{recorded, table};
    use crate::cli::Format;
    use crate::cli::test::runner::Ended;

    fn suites() -> [Ended; 3] {
        let took = Duration::from_secs(61);
        [
            Ended { name: "engine", passed: 3, failed: 0, trouble: None, took, over: false, fresh: None, log: None },
            // It died after all its tests had passed.
            Ended {
                name: "tool",
                passed: 9,
                failed: 0,
                trouble: Some("exited with 101".into()),
                took,
                over: true,
                fresh: None,
                log: Some("tests/tool.log".into()),
            },
            Ended {
                name: "chart",
                passed: 7,
                failed: 0,
                trouble: None,
                took: Duration::ZERO,
                over: false,
                fresh: Some(Duration::from_secs(7200)),
                log: None,
            },
        ]
    }

    #[test]
    fn the_table_says_of_each_suite_how_it_ended_and_whether_it_took_too_long() {
        let shown = anstream::adapter::strip_str(&table(&suites(), Format::Human)).to_string();
        let expected = "
      Passed engine                3 passed   0 failed       1m 01s
      Failed tool                  9 passed   0 failed       1m 01s  over its budget  exited with 101
             what it said is in tests/tool.log
       Fresh chart                 7 passed   0 failed      2 h ago
19 passed, 0 failed, 1 of 3 suites; 2 suites run, 1 fresh\n";
        assert_eq!(shown, expected);
        let lines = table(&suites(), Format::Json);
        let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&objects[0]["ok"], &objects[0]["over_budget"]), (&true.into(), &false.into()));
        let fresh: Vec<_> = objects.iter().map(|object| object["fresh"].as_bool()).collect();
        assert_eq!(fresh, [Some(false), Some(false), Some(true)]);
        assert_eq!((&objects[1]["ok"], &objects[1]["trouble"]), (&false.into(), &"exited with 101".into()));
    }

    #[test]
    fn the_record_of_a_soak_says_of_each_suite_how_it_ended() {
        let text = recorded("2026-01-02", "abc", &suites());
        assert!(text.starts_with("`cargo xtask test --soak` on 2026-01-02, commit abc\n\nPassed  engine"), "{text}");
        assert!(text.contains("\nFailed  tool") && text.contains("exited with 101\n"), "{text}");
    }
}
