//! `deploy`: judges every step and runs those that are stale.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use engine::failure::Class;
use engine::step::{Kind, StepId};

use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Record, Session, may_change_machine};
use super::{Format, Global};
use super::{confirm, forecast, rollback};
use crate::collect;
use crate::dayzero::tools;
use crate::report::{failure, words};
use crate::run::{self, Outlook};
use crate::steps::cluster;

/// What is to be deployed.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only these steps and what they need: `image:backend`, or just `backend` where that is unambiguous
    #[arg(value_name = "STEP")]
    pub steps: Vec<String>,
    /// Say what would run, and why, without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Run the steps even when they are fresh
    #[arg(long)]
    pub force: bool,
    /// Ask registries for newer base images than the daemon has, and build anew what is based on them
    #[arg(long, conflicts_with = "dry_run")]
    pub pull: bool,
    /// Which deployment
    #[command(flatten)]
    pub isolate: Isolate,
    /// Do not ask before this machine is changed: docker installed or started
    #[arg(long)]
    pub yes: bool,
}

/// Deploys.
///
/// # Errors
/// When nothing could be begun; failures of steps are told as events and in the exit code.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let record = if request.dry_run { Record::Nothing } else { Record::Run };
    let mut session = Session::begin_as(global, "deploy", record, request.isolate.name(), Vec::new())?;
    let selected = session.project.graph.find(&request.steps)?;
    if request.dry_run {
        return dry_run(global, &session, &selected, request.force).await;
    }
    session.cx.may_change_machine = may_change_machine(request.yes);
    session.cx.pull = request.pull;
    let plan = session.plan(&selected, request.force);
    tools::prepare(&session.cx, &session.project.file, &plan).await?;
    if plan.iter().any(|planned| planned.step == StepId::cluster()) {
        confirm::first_deploy(&mut session).await?;
    }
    let summary = run::execute(&session.cx, &session.steps, plan, &session.locks).await;
    rollback::remember_passed(&session, &summary).await;
    let (tally, headline) = (summary.tally(), headline(&session));
    let interrupted = session.cx.cancel.is_cancelled();
    if tally.ran > 0 && tally.ran + tally.fresh == summary.states.len() {
        let images = summary.states.iter().filter(|(step, _)| step.kind == Kind::Image);
        let images: Vec<_> =
            images.filter_map(|(step, _)| session.project.file.images.get(step.name.as_str())).collect();
        collect::after_deploy(&session.cx, &images, &session.locks).await;
    }
    session.finish(tally, headline).await;
    if global.format == Format::Human {
        for failure in &summary.failures {
            // Standard error may be closed; the exit code still tells.
            let _ = write!(anstream::stderr(), "\n{}", failure::render(failure));
        }
    }
    Ok(ExitCode::from(match engine::run::worst(&summary.failures) {
        _ if interrupted => Class::Interrupted.exit_code(),
        Some(failure) => failure.class.exit_code(),
        None => 0,
    }))
}

/// What a person wants to see at the end: where it answers, which revision, when it was checked.
pub fn headline(session: &Session) -> Option<String> {
    let mut parts = Vec::new();
    for (name, release) in &session.project.file.releases {
        let output = session.cx.output(&StepId::new(Kind::Release, name.as_str()));
        if let Some(revision) = output.and_then(|output| output.facts.get("revision").and_then(|value| value.as_u64()))
        {
            parts.push(format!("{} revision {revision}", release.name));
        }
    }
    let receipts = session.cx.workspace.receipts();
    let checks = session.project.file.checks.keys().map(|name| StepId::new(Kind::Check, name.as_str()));
    let oldest = checks.filter_map(|check| Some(receipts.load(&check).receipt()?.finished_ms)).min();
    if let (Some(at), Ok(now)) = (oldest, SystemTime::now().duration_since(UNIX_EPOCH)) {
        parts.push(format!("checked {}", words::ago(now.saturating_sub(Duration::from_millis(at)))));
    }
    let cluster = session.cx.facts::<cluster::Facts>(&StepId::cluster());
    // What the node publishes is the usual deployment's.
    let ports = cluster.map(|facts| facts.ports).unwrap_or_default();
    let ports = if session.cx.isolated { Vec::new() } else { ports };
    parts.extend(ports.into_iter().map(|port| format!("http://localhost:{port}")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

async fn dry_run(global: &Global, session: &Session, selected: &[StepId], force: bool) -> Result<ExitCode, Problem> {
    let plan = session.plan(selected, force);
    let mut forecasts = run::forecast(&session.cx, &session.steps, &plan, &session.locks).await;
    run::rehearse(&session.cx, &session.steps, &mut forecasts).await;
    forecast::print(global, &forecasts);
    if global.format == Format::Human {
        for forecast in &forecasts {
            if let Outlook::Broken(failure) = &forecast.outlook {
                // Standard error may be closed; the exit code still tells.
                let _ = write!(anstream::stderr(), "\n{}", failure::render(failure));
            }
        }
    }
    Ok(ExitCode::from(forecast::exit_code(&forecasts)))
}
