//! `test`: every test of this repository, suite by suite, with a closing table.
//!
//! Any failing suite fails the command.

mod bed;
mod suites;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use engine::event::Tally;
use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::dayzero::suite_tools::{self, Found, Tool};
use crate::report::style::{BAD, DOING, GOOD, WARNING, verb};
use crate::report::words;
use crate::world::process;
use suites::{Needs, SUITES, Suite};

/// Tells tests that there is time for many rounds.
const SOAK: &str = "XTASK_SOAK";

/// Which tests.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only suites whose name contains one of these words
    #[arg(value_name = "SUITE")]
    pub suites: Vec<String>,
    /// Leave out what needs a container engine or a cluster
    #[arg(long, conflicts_with = "soak")]
    pub fast: bool,
    /// Also what takes hours: nodes broken again and again, runs killed at many random moments
    #[arg(long)]
    pub soak: bool,
    /// Do not ask before this machine is changed: docker and packages installed, docker started
    #[arg(long)]
    pub yes: bool,
}

/// What became of a suite.
struct Ended {
    name: &'static str,
    passed: u64,
    failed: u64,
    ok: bool,
    took: Duration,
    over: bool,
}

/// What suites are run with.
struct Ground<'a> {
    root: &'a Path,
    /// Where the tools are.
    found: Found,
    /// The kubeconfig context of the tests' cluster, when a suite needs one.
    context: Option<String>,
    soak: bool,
    cancel: &'a CancellationToken,
}

/// Runs the suites one after the other: two would share two cores. Before the first, what they run and where they run
/// is seen to.
///
/// # Errors
/// When no suite has such a name, a tool or the cluster cannot be got, or the run is interrupted.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let suites = chosen(request)?;
    let mut session = Session::begin(global, "test", Record::Nothing)?;
    session.cx.may_change_machine = request.yes;
    let (root, cancel) = (session.project.file.root.clone(), session.cx.cancel.clone());
    let found = tools(session, &suites).await?;
    let context = match suites.iter().any(|suite| suite.needs > Needs::Nothing) {
        true => Some(bed::prepare(global, &root, request.yes).await?),
        false => None,
    };
    let ground = Ground { root: &root, found, context, soak: request.soak, cancel: &cancel };
    let mut ended = Vec::new();
    for suite in suites {
        ended.push(one(suite, &ground).await?);
    }
    table(global, &ended);
    if request.soak && request.suites.is_empty() {
        record(&root, &ended, &cancel).await?;
    }
    Ok(if ended.iter().all(|suite| suite.ok) { ExitCode::SUCCESS } else { ExitCode::from(Class::Step.exit_code()) })
}

/// Gets what is missing, and tells of it as of any other run.
async fn tools(session: Session, suites: &[&Suite]) -> Result<Found, Failure> {
    let tools: BTreeSet<Tool> = suites.iter().flat_map(|suite| suite.tools).copied().collect();
    let prepared = suite_tools::prepare(&session.cx, &tools).await;
    let there = Some("the tests' tools are there".to_owned());
    match &prepared {
        Ok((_, tally)) if tally.ran > 0 => session.finish(*tally, there).await,
        Ok(_) => {}
        Err(_) => session.finish(Tally { failed: 1, ..Tally::default() }, None).await,
    }
    prepared.map(|(found, _)| found)
}

fn chosen(request: &Request) -> Result<Vec<&'static Suite>, Failure> {
    let chosen = |suite: &&Suite| {
        let most = match (request.fast, request.soak) {
            (true, _) => Needs::Nothing,
            (_, true) => Needs::Time,
            // Whoever names a suite has the time for it.
            _ if !request.suites.is_empty() => Needs::Time,
            _ => Needs::Cluster,
        };
        let named = request.suites.is_empty() || request.suites.iter().any(|word| suite.name.contains(word.as_str()));
        named && suite.needs <= most
    };
    let suites: Vec<&Suite> = SUITES.iter().filter(chosen).collect();
    if suites.is_empty() {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        let failure = Failure::usage(format!("no suite is called `{}`", request.suites.join("` or `")));
        return Err(failure.help(format!("the suites are {}", names.join(", "))));
    }
    Ok(suites)
}

async fn one(suite: &Suite, ground: &Ground<'_>) -> Result<Ended, Failure> {
    let begun = Instant::now();
    say(&format!("{}{}", verb(DOING, "Testing"), suite.name));
    let (mut passed, mut failed) = (0, 0);
    let [program, args @ ..] = suite.command else {
        return Err(Failure::step(format!("the suite {} has no command", suite.name)));
    };
    let variables = suite_tools::variables(suite.tools, &ground.found);
    let mut command = process::Command::new(*program).args(args.iter().copied()).cwd(ground.root);
    command = variables.into_iter().fold(command, |command, (name, value)| command.env(name, value));
    if let Some(context) = &ground.context {
        command = command.env(bed::CONTEXT, context);
    }
    if ground.soak {
        command = command.env(SOAK, "1");
    }
    let finished = command
        .run(ground.cancel, |_, line| {
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
        print(&format!("{verb}{}{over}", row(suite)));
    }
    print(&format!("{passed} passed, {failed} failed"));
}

fn row(suite: &Ended) -> String {
    let took = words::duration(suite.took);
    format!("{:<17} {:>5} passed {:>3} failed  {took:>8}", suite.name, suite.passed, suite.failed)
}

/// Keeps what a soak has shown, and of which commit: nobody repeats one to find out.
async fn record(root: &Path, ended: &[Ended], cancel: &CancellationToken) -> Result<(), Failure> {
    let git = process::Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).cwd(root);
    let mut commit = String::new();
    git.run(cancel, |_, line| commit.push_str(line)).await?.success(Class::Environment)?;
    let date = jiff::Timestamp::now().strftime("%F");
    let rows: String = ended.iter().map(|suite| format!("{}\n", row(suite))).collect();
    let path = root.join("bench/soak.txt");
    let text = format!("`cargo xtask test --soak` on {date}, commit {commit}\n\n{rows}");
    std::fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))
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
