//! Runs suites, each to its end or to its deadline, and counts what their runners say. It knows neither which suites
//! there are nor how the end is shown.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use super::bed;
use super::suites::Suite;
use crate::dayzero::suite_tools::{self, Found};
use crate::report::style::{DOING, verb};
use crate::report::words;
use crate::world::{pause, process};

/// Tells tests that there is time for many rounds.
const SOAK: &str = "XTASK_SOAK";

/// A suite that takes so many times its budget hangs, ...
const HANGS: u32 = 4;

/// ... and so many times while there is time for many rounds.
const HANGS_IN_A_SOAK: u32 = 20;

/// What the first suites of a new machine take beside: they compile what they test.
const COMPILING: Duration = Duration::from_secs(20 * 60);

/// What suites are run with.
pub struct Ground<'a> {
    /// The workspace's folder.
    pub root: &'a Path,
    /// Where the tools are.
    pub found: Found,
    /// The kubeconfig context of the tests' cluster, when a suite needs one.
    pub context: Option<String>,
    /// Whether there is time for many rounds.
    pub soak: bool,
    /// Ends the suite that runs, and the run.
    pub cancel: &'a CancellationToken,
    /// Shows a line of what suites say, and which one begins.
    pub show: fn(&str),
}

/// What became of a suite.
#[derive(Debug)]
pub struct Ended {
    /// Its name.
    pub name: &'static str,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Why the suite failed; `None` when it passed.
    pub trouble: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Whether that is more than its budget.
    pub over: bool,
}

/// Runs `suites` one after the other: two would share two cores. One that fails stops none of the others.
///
/// # Errors
/// When the run is interrupted.
pub async fn all(suites: &[&Suite], ground: &Ground<'_>) -> Result<Vec<Ended>, Failure> {
    let mut ended = Vec::new();
    for suite in suites {
        (ground.show)(&format!("{}{}", verb(DOING, "Testing"), suite.name));
        ended.push(one(suite, ground, deadline(suite, ground.soak)).await?);
    }
    Ok(ended)
}

/// How long a suite may take before it is ended.
fn deadline(suite: &Suite, soak: bool) -> Duration {
    suite.budget * if soak { HANGS_IN_A_SOAK } else { HANGS } + COMPILING
}

async fn one(suite: &Suite, ground: &Ground<'_>, deadline: Duration) -> Result<Ended, Failure> {
    let begun = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    // Of its own: at the deadline this suite ends with all that it has started, and the run goes on.
    let stop = ground.cancel.child_token();
    let finished = {
        let running = command(suite, ground).run(&stop, |_, line| {
            let counts = counts(line);
            passed += counts.0;
            failed += counts.1;
            (ground.show)(line);
        });
        tokio::pin!(running);
        tokio::select! {
            finished = &mut running => finished,
            () = pause(deadline) => {
                stop.cancel();
                running.await
            }
        }
    };
    if ground.cancel.is_cancelled() {
        return Err(Failure::interrupted());
    }
    let trouble = match finished {
        Err(_) if stop.is_cancelled() => Some(format!("it did not end within {}", words::duration(deadline))),
        Err(failure) => Some(failure.to_string()),
        Ok(finished) => match finished.success(Class::Step) {
            Err(failure) => Some(failure.message),
            // A filter that fits nothing any more ends well, and has shown nothing.
            Ok(_) if suite.counted && passed == 0 => Some("no test of it ran".to_owned()),
            Ok(_) => None,
        },
    };
    // Formatting and lints are one test each.
    if passed + failed == 0 {
        (passed, failed) = if trouble.is_none() { (1, 0) } else { (0, 1) };
    }
    let took = begun.elapsed();
    Ok(Ended { name: suite.name, passed, failed, trouble, took, over: took > suite.budget })
}

fn command(suite: &Suite, ground: &Ground<'_>) -> process::Command {
    let mut words = suite.command.iter().copied();
    let command = process::Command::new(words.next().unwrap_or_default()).args(words).cwd(ground.root);
    let variables = suite_tools::variables(suite.tools, &ground.found);
    let command = variables.into_iter().fold(command, |command, (name, value)| command.env(name, value));
    let context = ground.context.as_ref().map(|context| (bed::CONTEXT, context.as_str()));
    let soak = ground.soak.then_some((SOAK, "1"));
    context.into_iter().chain(soak).fold(command, |command, (name, value)| command.env(name, value))
}

/// The numbers in a test runner's closing line: `test result: ok. 9 passed; 0 failed; …`, `== 12 passed, 1 failed ==`,
/// `Tests  1 failed | 11 passed (12)`.
fn counts(line: &str) -> (u64, u64) {
    let line = anstream::adapter::strip_str(line).to_string();
    let line = line.trim();
    if !["test result:", "==", "Tests "].iter().any(|start| line.starts_with(start)) {
        return (0, 0);
    }
    let before = |word: &str| -> u64 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|other| other.trim_end_matches([';', ',']) == word);
        at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
    };
    (before("passed"), before("failed"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::ExitCode;
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::{Ended, Ground, all, counts, one};
    use crate::cli::test::closing::verdict;
    use crate::cli::test::suites::{Needs, Suite};
    use crate::dayzero::suite_tools::Found;

    /// Longer than any test may take: what is told of it is that it was not waited for.
    const LONG: Duration = Duration::from_secs(3600);

    fn suite(counted: bool, command: &'static [&'static str]) -> Suite {
        Suite { name: "one", budget: LONG, needs: Needs::Nothing, counted, tools: &[], command }
    }

    fn ground(cancel: &CancellationToken) -> Ground<'_> {
        // What is said here would be counted where these tests are a suite themselves.
        Ground { root: Path::new("/"), found: Found::new(), context: None, soak: false, cancel, show: |_| {} }
    }

    async fn ended(suite: &Suite, deadline: Duration) -> Ended {
        one(suite, &ground(&CancellationToken::new()), deadline).await.unwrap()
    }

    #[tokio::test]
    async fn a_suite_passes_when_its_command_does_and_tests_of_it_have_run() {
        const NONE: &[&str] = &["echo", "test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured; 9 filtered out"];
        const SOME: &[&str] = &["echo", "test result: ok. 3 passed; 0 failed; 0 ignored"];
        const DIED: &[&str] = &["sh", "-c", "echo 'test result: ok. 9 passed; 0 failed'; exit 101"];
        type Row = (bool, &'static [&'static str], (u64, u64), Option<&'static str>);
        let rows: [Row; 7] = [
            (true, SOME, (3, 0), None),
            (true, NONE, (0, 1), Some("no test of it ran")),
            (false, &["true"], (1, 0), None),
            (false, &["false"], (0, 1), Some("`false` exited with 1")),
            (true, &["false"], (0, 1), Some("`false` exited with 1")),
            // What it counted is told; that it died afterwards, too.
            (true, DIED, (9, 0), Some("exited with 101")),
            (true, &["no-such-program-anywhere"], (0, 1), Some("no `no-such-program-anywhere` found")),
        ];
        for (counted, command, numbers, trouble) in rows {
            let ended = ended(&suite(counted, command), LONG).await;
            assert_eq!((ended.passed, ended.failed), numbers, "{command:?}");
            match (trouble, &ended.trouble) {
                (None, None) => {}
                (Some(words), Some(told)) => assert!(told.contains(words), "{command:?}: {told}"),
                _ => panic!("{command:?}: {ended:?}"),
            }
        }
    }

    #[tokio::test]
    async fn one_failing_suite_fails_the_command_and_stops_no_other() {
        let (good, bad) = (suite(false, &["true"]), suite(false, &["false"]));
        let cancel = CancellationToken::new();
        let ended = all(&[&good, &bad, &good], &ground(&cancel)).await.unwrap();
        let fates: Vec<bool> = ended.iter().map(|ended| ended.trouble.is_none()).collect();
        assert_eq!(fates, [true, false, true]);
        assert_eq!(verdict(&ended), ExitCode::from(1));
        let ended = all(&[&good], &ground(&cancel)).await.unwrap();
        assert_eq!(verdict(&ended), ExitCode::SUCCESS);
    }

    #[tokio::test]
    async fn a_suite_that_hangs_is_ended_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("pid");
        let script = format!("sleep 3600 & echo $! >{}; wait", noted.display());
        let command: &'static [&'static str] = Vec::leak(vec!["sh", "-c", String::leak(script)]);
        let hung = suite(true, command);
        let cancel = CancellationToken::new();
        let ground = ground(&cancel);
        let running = one(&hung, &ground, Duration::from_secs(3));
        let ended = running.await.unwrap();
        assert_eq!(ended.trouble.as_deref(), Some("it did not end within 3.0s"));
        let grandchild = std::fs::read_to_string(&noted).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/cmdline", grandchild.trim()));
        assert!(status.is_ok_and(|line| line.is_empty()) || !Path::new("/proc").join(grandchild.trim()).exists());
        assert!(!cancel.is_cancelled(), "the run goes on");
    }

    #[tokio::test]
    async fn an_interrupted_run_is_no_failed_suite() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let failure = one(&suite(true, &["sleep", "3600"]), &ground(&cancel), LONG).await.unwrap_err();
        assert_eq!(failure.class, engine::failure::Class::Interrupted);
    }

    #[test]
    fn closing_lines_of_test_runners_are_counted() {
        let rows = [
            ("test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.76s", (9, 0)),
            ("test result: FAILED. 8 passed; 1 failed; 0 ignored; 0 measured", (8, 1)),
            ("==== 12 passed, 2 failed in 3.1s ====", (12, 2)),
            ("\u{1b}[2m      Tests \u{1b}[22m 1 failed\u{1b}[39m | \u{1b}[32m11 passed\u{1b}[39m (12)", (11, 1)),
            ("      Tests  158 passed (158)", (158, 0)),
            (" Test Files  14 passed (14)", (0, 0)),
            ("he said 3 passed", (0, 0)),
        ];
        for (line, expected) in rows {
            assert_eq!(counts(line), expected, "{line}");
        }
    }
}
