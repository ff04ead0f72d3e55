//! `test`: every test of this repository, suite by suite, with a closing table.
//!
//! The list below is the whole of it: a suite is a command in a folder, and any failing suite fails the command.

mod bed;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::session::Project;
use super::{Format, Global};
use crate::report::style::{BAD, DOING, GOOD, WARNING, verb};
use crate::report::words;
use crate::world::process;

/// Which tests.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only suites whose name contains one of these words
    #[arg(value_name = "SUITE")]
    pub suites: Vec<String>,
    /// Leave out what needs a container engine or a cluster
    #[arg(long)]
    pub fast: bool,
}

/// One suite.
struct Suite {
    name: &'static str,
    /// What it takes on two cores; longer is told, and is no failure.
    budget: Duration,
    /// It needs a container engine or a cluster.
    slow: bool,
    command: &'static [&'static str],
}

const fn minutes(number: u64) -> Duration {
    Duration::from_secs(60 * number)
}

const SUITES: &[Suite] = &[
    Suite { name: "format", budget: minutes(1), slow: false, command: &["cargo", "fmt", "--all", "--check"] },
    Suite {
        name: "lints",
        budget: minutes(4),
        slow: false,
        command: &["cargo", "clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"],
    },
    Suite {
        name: "licences",
        budget: minutes(1),
        slow: false,
        command: &["cargo", "deny", "--log-level", "error", "check", "licenses", "bans", "sources"],
    },
    Suite { name: "engine", budget: minutes(5), slow: false, command: &["cargo", "test", "--package", "engine"] },
    Suite {
        name: "chart",
        budget: minutes(1),
        slow: false,
        command: &["helm", "lint", "--strict", "helm/todo-chatbot"],
    },
    Suite {
        name: "backend",
        budget: minutes(2),
        slow: false,
        command: &["uv", "run", "--directory", "backend", "pytest"],
    },
    Suite {
        name: "frontend packages",
        budget: minutes(2),
        slow: false,
        command: &["pnpm", "--dir", "frontend", "install", "--frozen-lockfile"],
    },
    Suite { name: "frontend", budget: minutes(2), slow: false, command: &["pnpm", "--dir", "frontend", "test"] },
    Suite { name: "frontend types", budget: minutes(1), slow: false, command: &["pnpm", "--dir", "frontend", "types"] },
    Suite { name: "frontend lint", budget: minutes(1), slow: false, command: &["pnpm", "--dir", "frontend", "lint"] },
    Suite {
        name: "frontend bundle",
        budget: minutes(3),
        slow: false,
        command: &["pnpm", "--dir", "frontend", "test:bundle"],
    },
    Suite { name: "builds", budget: minutes(5), slow: true, command: &["cargo", "test", "--package", "buildkit"] },
    Suite { name: "tool", budget: minutes(5), slow: true, command: &["cargo", "test", "--package", "xtask", "--lib"] },
    Suite {
        name: "rollouts",
        budget: minutes(8),
        slow: true,
        command: &["cargo", "test", "--package", "xtask", "--test", "settle", "--test", "pods"],
    },
    Suite {
        name: "system",
        budget: minutes(15),
        slow: true,
        command: &["cargo", "test", "--package", "xtask", "--test", "system", "--", "--test-threads=1"],
    },
];

/// What became of a suite.
struct Ended {
    name: &'static str,
    passed: u64,
    failed: u64,
    ok: bool,
    took: Duration,
    over: bool,
}

/// Runs the suites one after the other: two would share two cores.
///
/// # Errors
/// When no suite has such a name, or the run is interrupted.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let project = Project::load(global)?;
    let chosen = |suite: &&Suite| {
        let named = request.suites.is_empty() || request.suites.iter().any(|word| suite.name.contains(word.as_str()));
        named && !(request.fast && suite.slow)
    };
    let suites: Vec<&Suite> = SUITES.iter().filter(chosen).collect();
    if suites.is_empty() {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        let failure = Failure::usage(format!("no suite is called `{}`", request.suites.join("` or `")));
        return Err(failure.help(format!("the suites are {}", names.join(", "))).into());
    }
    let cancel = CancellationToken::new();
    super::session::listen(cancel.clone())?;
    let root = &project.file.root;
    let context = match suites.iter().any(|suite| suite.slow) {
        true => Some(bed::prepare(root, &cancel, say).await?),
        false => None,
    };
    let mut ended = Vec::new();
    for suite in suites {
        ended.push(one(suite, root, context.as_deref(), &cancel).await?);
    }
    table(global, &ended);
    Ok(if ended.iter().all(|suite| suite.ok) { ExitCode::SUCCESS } else { ExitCode::from(Class::Step.exit_code()) })
}

async fn one(suite: &Suite, root: &Path, context: Option<&str>, cancel: &CancellationToken) -> Result<Ended, Failure> {
    let begun = Instant::now();
    say(&format!("{}{}", verb(DOING, "Testing"), suite.name));
    let (mut passed, mut failed) = (0, 0);
    let [program, args @ ..] = suite.command else {
        return Err(Failure::step(format!("the suite {} has no command", suite.name)));
    };
    let mut command = process::Command::new(*program).args(args.iter().copied()).cwd(root);
    if let Some(context) = context {
        command = command.env(bed::CONTEXT, context);
    }
    let finished = command
        .run(cancel, |_, line| {
            let counts = counts(line);
            passed += counts.0;
            failed += counts.1;
            say(line);
        })
        .await?;
    let ok = matches!(finished.exit, process::Exit::Code(0));
    // Formatting and lints are one test each.
    if passed + failed == 0 {
        (passed, failed) = if ok { (1, 0) } else { (0, 1) };
    }
    let took = begun.elapsed();
    Ok(Ended { name: suite.name, passed, failed, ok, took, over: took > suite.budget })
}

/// The numbers in a test runner's closing line: `test result: ok. 9 passed; 0 failed; …`, `== 12 passed, 1 failed ==`.
fn counts(line: &str) -> (u64, u64) {
    if !(line.starts_with("test result:") || line.starts_with("==")) {
        return (0, 0);
    }
    let before = |word: &str| -> u64 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|other| other.trim_end_matches([';', ',']) == word);
        at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
    };
    (before("passed"), before("failed"))
}

fn table(global: &Global, ended: &[Ended]) {
    let (passed, failed) = ended.iter().fold((0, 0), |(p, f), suite| (p + suite.passed, f + suite.failed));
    if global.format == Format::Json {
        for suite in ended {
            let object = serde_json::json!({
                "suite": suite.name, "passed": suite.passed, "failed": suite.failed,
                "ok": suite.ok, "took_ms": suite.took.as_millis() as u64,
            });
            print(&object.to_string());
        }
        return;
    }
    print("");
    for suite in ended {
        let verb = if suite.ok { verb(GOOD, "Passed") } else { verb(BAD, "Failed") };
        let over = if suite.over { format!("  {}", verb_over()) } else { String::new() };
        let took = words::duration(suite.took);
        print(&format!(
            "{verb}{:<16} {:>5} passed {:>3} failed  {took:>8}{over}",
            suite.name, suite.passed, suite.failed
        ));
    }
    print(&format!("{passed} passed, {failed} failed"));
}

fn verb_over() -> String {
    crate::report::style::paint(WARNING, "over its budget")
}

fn say(line: &str) {
    // Standard error may be closed; the exit code still tells.
    let _ = writeln!(anstream::stderr(), "{line}");
}

fn print(line: &str) {
    // Standard output may be closed; the exit code still tells.
    let _ = writeln!(anstream::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn closing_lines_of_test_runners_are_counted() {
        let rows = [
            ("test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.76s", (9, 0)),
            ("test result: FAILED. 8 passed; 1 failed; 0 ignored; 0 measured", (8, 1)),
            ("==== 12 passed, 2 failed in 3.1s ====", (12, 2)),
            ("he said 3 passed", (0, 0)),
        ];
        for (line, expected) in rows {
            assert_eq!(counts(line), expected, "{line}");
        }
    }
}
