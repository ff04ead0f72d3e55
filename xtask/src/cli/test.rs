//! `test`: every test of this repository, suite by suite, with a closing table.
//!
//! Any failing suite fails the command. One whose inputs are as they were when it last passed is not run again.

mod bed;
mod closing;
mod freshness;
mod log;
mod runner;
mod suites;

use std::collections::BTreeSet;
use std::env;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use engine::event::Tally;
use engine::failure::Failure;

use super::Global;
use super::problem::Problem;
use super::session::{Record, Session, may_change_machine};
use crate::dayzero::suite_tools::{self, Found, Tool};
use freshness::{Freshness, Standing};
use runner::Ground;
use suites::{Needs, SUITES, Suite};

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
    /// Run the suites even when they are fresh, as --soak does
    #[arg(long)]
    pub force: bool,
    /// Do not ask before this machine is changed: docker and packages installed, docker started
    #[arg(long)]
    pub yes: bool,
}

/// Runs those of the suites that are stale, in the order of the list. Before the first, what they
/// run and where they run is seen to; where all are fresh, nothing is got and no cluster started.
///
/// # Errors
/// When no suite has such a name, a tool or the cluster cannot be got, or the run is interrupted.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let suites = chosen(request)?;
    let mut session = Session::begin(global, "test", Record::Nothing)?;
    session.cx.may_change_machine = may_change_machine(request.yes);
    let (root, cancel, locks) = (session.project.file.root.clone(), session.cx.cancel.clone(), session.locks.clone());
    let compiler = freshness::compiler(&root, &cancel).await?;
    let state = session.cx.workspace.state();
    let freshness = Freshness::new(&root, &state, Arc::clone(&session.cx.gatherer), compiler);
    // What a soak shows is a measurement, which nobody reads out of a receipt.
    let force = request.force || request.soak;
    let found = suite_tools::look(&session.cx, &all_tools(&suites)).await?;
    let judged = freshness.judge(&suites, &found, force).await;
    let stale = judged.iter().filter(|(_, standing)| matches!(standing, Standing::Stale(_)));
    let stale: Vec<&Suite> = stale.map(|(suite, _)| *suite).collect();
    let found = tools(session, &stale).await?;
    let (context, _turn) = match stale.iter().any(|suite| suite.needs > Needs::Nothing) {
        true => {
            let turn = bed::turn(&locks, &root, &cancel, &show).await?;
            (Some(bed::prepare(global, &root, request.yes, &show).await?), Some(turn))
        }
        false => (None, None),
    };
    let soak = request.soak;
    let logs = state.join("tests");
    let compiled = compiled();
    let (root, freshness, logs, cancel, show) = (&root, &freshness, &logs, &cancel, &show);
    let ground = Ground { root, found, freshness, logs, compiled, context, soak, cancel, show };
    let mut ended = Vec::new();
    let whole = runner::all(&judged, &ground, &mut ended).await;
    print(&closing::table(&ended, global.format));
    whole?;
    if request.soak && request.suites.is_empty() {
        closing::record(root, &ended, cancel).await?;
    }
    Ok(closing::verdict(&ended))
}

/// Gets what is missing, and tells of it as of any other run.
async fn tools(session: Session, suites: &[&Suite]) -> Result<Found, Failure> {
    let prepared = suite_tools::prepare(&session.cx, &all_tools(suites)).await;
    let there = Some("the tests' tools are there".to_owned());
    match &prepared {
        Ok((_, tally)) if tally.ran > 0 => session.finish(*tally, there).await,
        Ok(_) => {}
        Err(_) => session.finish(Tally { failed: 1, ..Tally::default() }, None).await,
    }
    prepared.map(|(found, _)| found)
}

fn all_tools(suites: &[&Suite]) -> BTreeSet<Tool> {
    suites.iter().flat_map(|suite| suite.tools).copied().collect()
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

/// The folder in which cargo has compiled this program, unless somebody has chosen one for all that cargo compiles.
fn compiled() -> Option<PathBuf> {
    let chosen = env::var_os("CARGO_BUILD_BUILD_DIR").is_some();
    let folder = env::current_exe().ok()?.ancestors().nth(2)?.to_owned();
    // Cargo's own mark of its folders.
    (!chosen && folder.join(".rustc_info.json").is_file()).then_some(folder)
}

fn show(line: &str) {
    // Standard error may be closed; the exit code still tells.
    let _ = writeln!(anstream::stderr(), "{line}");
}

fn print(text: &str) {
    // Standard output may be closed; the exit code still tells.
    let _ = write!(anstream::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use engine::failure::Class;

    use super::{Needs, Request, SUITES, chosen};

    #[test]
    fn flags_and_words_choose_suites() {
        let names = |words: &[&str], fast, soak| {
            let suites = words.iter().map(|word| (*word).to_owned()).collect();
            let chosen = chosen(&Request { suites, fast, soak, force: false, yes: false });
            chosen.map(|suites| suites.iter().map(|suite| suite.name).collect::<Vec<_>>())
        };
        let with = |most| SUITES.iter().filter(|suite| suite.needs <= most).map(|suite| suite.name).collect::<Vec<_>>();
        assert_eq!(names(&[], false, false), Ok(with(Needs::Cluster)));
        assert_eq!(names(&[], true, false), Ok(with(Needs::Nothing)));
        assert_eq!(names(&[], false, true), Ok(with(Needs::Time)));
        assert_eq!(with(Needs::Time).len(), SUITES.len());
        assert_eq!(names(&["minikube"], false, false), Ok(vec!["minikube"]), "whoever names it has the time");
        assert_eq!(names(&["lints", "engine"], true, false), Ok(vec!["lints", "engine"]));
        let failure = names(&["no-such"], false, false).unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (Class::Usage, "no suite is called `no-such`"));
    }
}
