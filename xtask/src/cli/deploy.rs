//! `deploy`: judges every step and runs those that are stale.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use engine::failure::Class;
use engine::run::{Planned, State};
use engine::step::{Kind, StepId};
use tokio::sync::oneshot;

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
    let (built, images_are_built) = oneshot::channel();
    let mut building = Building::new(&plan, built);
    let running = async {
        let mut done = |step: &StepId, state| building.ended(step, state);
        let summary = run::execute_watched(&session.cx, &session.steps, plan, &session.locks, &mut done).await;
        // Nobody need wait for images that will not be built any more.
        drop(building);
        summary
    };
    // Pods take their time to come up, and what is removed meanwhile is none of theirs.
    let collecting = async {
        if let Ok(images) = images_are_built.await {
            let images: Vec<_> = images.iter().filter_map(|name| session.project.file.images.get(name)).collect();
            collect::after_build(&session.cx, &images, &session.locks).await;
        }
    };
    let (summary, ()) = tokio::join!(running, collecting);
    let (tally, headline) = (summary.tally(), headline(&session));
    let interrupted = session.cx.cancel.is_cancelled();
    rollback::remember_passed(&session, &summary).await;
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

/// Waits for the images of a run, and says that they are built if any of them was not there before.
struct Building {
    left: BTreeSet<StepId>,
    names: Vec<String>,
    anew: bool,
    built: Option<oneshot::Sender<Vec<String>>>,
}

impl Building {
    fn new(plan: &[Planned], built: oneshot::Sender<Vec<String>>) -> Self {
        let images = plan.iter().map(|planned| &planned.step).filter(|step| step.kind == Kind::Image);
        let left: BTreeSet<StepId> = images.cloned().collect();
        let names = left.iter().map(|step| step.name.to_string()).collect();
        Self { left, names, anew: false, built: Some(built) }
    }

    fn ended(&mut self, step: &StepId, state: State) {
        let was_last = self.left.remove(step) && self.left.is_empty();
        self.anew |= step.kind == Kind::Image && state == State::Done;
        if was_last
            && self.anew
            && let Some(built) = self.built.take()
        {
            // Whoever waits for it ends only after this.
            let _ = built.send(std::mem::take(&mut self.names));
        }
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::run::{Planned, Pool, State};
    use engine::step::{Kind, StepId};
    use tokio::sync::oneshot;

    use super::Building;

    #[test]
    fn images_are_built_when_the_last_has_ended_well_and_any_was_not_there_before() {
        let step = |kind, name: &str| StepId::new(kind, name);
        let planned =
            |step| Planned { step, needs: Vec::new(), pool: Pool::Builds, priority: Duration::ZERO, forced: false };
        let plan = [step(Kind::Image, "a"), step(Kind::Image, "b"), step(Kind::Release, "r")].map(planned);
        type Ended = (Kind, &'static str, State);
        let rows: [(&[Ended], bool); 5] = [
            (&[(Kind::Image, "a", State::Done), (Kind::Image, "b", State::Fresh)], true),
            (
                &[(Kind::Image, "b", State::Fresh), (Kind::Image, "a", State::Done), (Kind::Release, "r", State::Done)],
                true,
            ),
            (&[(Kind::Image, "a", State::Fresh), (Kind::Image, "b", State::Fresh)], false),
            (
                &[
                    (Kind::Image, "a", State::Fresh),
                    (Kind::Image, "b", State::Fresh),
                    (Kind::Release, "r", State::Done),
                ],
                false,
            ),
            (&[(Kind::Image, "a", State::Done), (Kind::Release, "r", State::Done)], false),
        ];
        for (ended, expected) in rows {
            let (sender, mut receiver) = oneshot::channel();
            let mut building = Building::new(&plan, sender);
            ended.iter().for_each(|(kind, name, state)| building.ended(&step(*kind, name), *state));
            let told = receiver.try_recv().ok();
            assert_eq!(told, expected.then(|| vec!["a".to_owned(), "b".to_owned()]), "{ended:?}");
        }
    }
}
