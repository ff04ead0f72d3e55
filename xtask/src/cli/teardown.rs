//! `teardown`: removes what was deployed, and nothing that was not.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use engine::event::{Event, Tally};
use engine::failure::{Class, Failure};
use engine::step::StepId;

use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::report::failure;
use crate::report::style::{DOING, FAINT, paint, verb};
use crate::run;
use crate::steps::{Belonging, Scope, Step};

/// What is to be removed.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only list what would go and what would stay
    #[arg(long)]
    pub dry_run: bool,
    /// Which deployment
    #[command(flatten)]
    pub isolate: Isolate,
    /// Remove volumes, their data and the secrets that belong to it, too
    #[arg(long)]
    pub data: bool,
    /// Remove the cluster itself, too, if it was made by this tool; with volumes in it only together with --data
    #[arg(long, conflicts_with = "isolate")]
    pub cluster: bool,
}

/// Lists what there is, then removes it, last step first.
///
/// # Errors
/// When nothing could be begun; what could not be removed is told and decides the exit code.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let record = if request.dry_run { Record::Nothing } else { Record::Run };
    let session = Session::begin_as(global, "teardown", record, request.isolate.name(), Vec::new())?;
    if !session.recognise().await? {
        let context = session.cx.world.context();
        return Err(Failure::new(Class::Cluster, format!("nothing was deployed from here to the cluster `{context}`"))
            .because("what is in it may be somebody else's deployment of the same project")
            .help("if this cluster is meant, write its uid as `identity` into the table [cluster]:")
            .help(format!("kubectl --context {context} get namespace kube-system --output jsonpath={{.metadata.uid}}"))
            .into());
    }
    let scope = Scope { data: request.data, cluster: request.cluster };
    let told = |belonging: &Belonging| list(global, belonging.what.as_str(), belonging.kept.as_deref());
    let order = order(&session);
    let Cleared { tally, failures, anything } = clear(&session, &order, scope, request.dry_run, told).await?;
    let interrupted = session.cx.cancel.is_cancelled();
    let headline = (!anything).then(|| "nothing of this project is deployed".to_owned());
    if !request.dry_run {
        session.finish(tally, headline).await;
    }
    for failed in &failures {
        // A closed pipe is the reader's choice; the exit code still tells.
        let _ = match global.format {
            Format::Human => write!(anstream::stderr(), "\n{}", failure::render(failed)),
            Format::Json => writeln!(anstream::stdout(), "{}", serde_json::json!({"failure": failed})),
        };
    }
    Ok(ExitCode::from(match engine::run::worst(&failures) {
        _ if interrupted => Class::Interrupted.exit_code(),
        Some(failure) => failure.class.exit_code(),
        None => 0,
    }))
}

/// What came of a teardown.
pub(super) struct Cleared {
    /// How many steps' things were removed, and how many could not be.
    pub(super) tally: Tally,
    /// Why they could not.
    pub(super) failures: Vec<Failure>,
    /// Whether there was anything to remove.
    pub(super) anything: bool,
}

/// The session's steps, each before those that it needs.
pub(super) fn order(session: &Session) -> Vec<StepId> {
    session.project.graph.order().iter().rev().cloned().collect()
}

/// Tells all that there is of the steps in `order`; then, unless it is a `dry_run`, removes it, last step first.
///
/// # Errors
/// When a receipt cannot be removed.
pub(super) async fn clear(
    session: &Session,
    order: &[StepId],
    scope: Scope,
    dry_run: bool,
    told: impl Fn(&Belonging),
) -> Result<Cleared, Failure> {
    let mut failures = Vec::new();
    let mut concerned = Vec::new();
    for id in order {
        let Some(step) = session.steps.get(id) else { continue };
        match step.belongings(&session.cx, scope).await {
            Ok(belongings) => {
                belongings.iter().for_each(&told);
                if belongings.iter().any(|belonging| belonging.kept.is_none()) {
                    concerned.push(id.clone());
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    let mut tally = Tally::default();
    if !dry_run && failures.is_empty() {
        let receipts = session.cx.workspace.receipts();
        for id in order {
            let Some(step) = session.steps.get(id) else { continue };
            if session.cx.cancel.is_cancelled() {
                tally.cancelled += 1;
                continue;
            }
            if concerned.contains(id) {
                let begun = Instant::now();
                session.cx.tell(Event::Started { step: id.clone() });
                match remove(session, &**step, scope).await {
                    Ok(()) => {
                        tally.ran += 1;
                        session.cx.tell(Event::Done {
                            step: id.clone(),
                            summary: "removed".into(),
                            took: begun.elapsed(),
                        });
                    }
                    Err(failure) => {
                        tally.failed += 1;
                        session.cx.tell(Event::Failed { step: id.clone(), failure: failure.clone() });
                        failures.push(failure);
                        // What is left is needed to remove the rest another time.
                        continue;
                    }
                }
            }
            receipts.remove(id)?;
        }
    }
    Ok(Cleared { tally, failures, anything: !concerned.is_empty() })
}

/// Removes what belongs to a step while nobody else works on it.
async fn remove(session: &Session, step: &dyn Step, scope: Scope) -> Result<(), Failure> {
    let _held = run::hold(&session.cx, &session.locks, step).await?;
    step.remove(&session.cx, scope).await
}

/// One line for something that goes or stays.
fn list(global: &Global, what: &str, kept: Option<&str>) {
    let line = match (global.format, kept) {
        (Format::Human, None) => format!("{}{what}", verb(DOING, "Removing")),
        (Format::Human, Some(why)) => format!("{}{what} {}", verb(FAINT, "Keeping"), paint(FAINT, &format!("({why})"))),
        (Format::Json, _) => serde_json::json!({"what": what, "kept": kept}).to_string(),
    };
    // A closed pipe ends the listing, not the teardown.
    let _ = writeln!(anstream::stdout(), "{line}");
}
