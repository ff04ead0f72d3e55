//! `teardown`: removes what was deployed, and nothing that was not.

mod extent;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use engine::event::{Event, Level, Tally};
use engine::failure::{Class, Failure};
use engine::step::{Kind, StepId};

use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::report::failure;
use crate::report::style::{DOING, FAINT, paint, verb};
use crate::run;
use crate::steps::{Belonging, Scope, Step};
use crate::world::kube::namespaces;
use crate::world::pause;
use extent::{Cluster, is_in_cluster, namespaces_of};

/// How long a removal that is stopped may take to end its children and give back what it holds.
const GRACE: Duration = Duration::from_secs(10);

/// What is to be removed.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only list what would go and what would stay
    #[arg(long)]
    pub dry_run: bool,
    /// Which deployment
    #[command(flatten)]
    pub isolate: Isolate,
    /// Remove volumes, their data, the secrets that belong to it and what a chart asks to be kept, too
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
#[derive(Default)]
pub(super) struct Cleared {
    /// How many steps' things were removed, and how many could not be.
    pub(super) tally: Tally,
    /// Why they could not. To be stopped is no failure.
    pub(super) failures: Vec<Failure>,
    /// Whether there was anything to remove.
    pub(super) anything: bool,
}

impl Cleared {
    /// Adds steps of which could not be seen what there is.
    fn add(&mut self, unseen: BTreeMap<StepId, Failure>) {
        self.tally.failed += unseen.len();
        self.failures.extend(unseen.into_values());
    }
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
    let mut cleared = Cleared::default();
    let looked = async { Ok::<_, Failure>(look(session, order, scope, &mut cleared.failures, told).await) };
    let Ok(concerned) = session.unless_interrupted(looked).await else {
        cleared.tally.cancelled = order.len();
        return Ok(cleared);
    };
    cleared.anything = !concerned.steps.is_empty() || !concerned.unseen.is_empty();
    if dry_run || !cleared.failures.is_empty() {
        cleared.add(concerned.unseen);
        return Ok(cleared);
    }
    let receipts = session.cx.workspace.receipts();
    let mut behind = Vec::new();
    for id in order {
        let Some(step) = session.steps.get(id) else { continue };
        if session.cx.cancel.is_cancelled() {
            cleared.tally.cancelled += 1;
            continue;
        }
        if concerned.steps.contains(id) && !remove(session, &**step, scope, &mut cleared).await {
            // What is left is needed to remove the rest another time.
            continue;
        }
        if concerned.unseen.contains_key(id) {
            // Its receipt is what is known of it.
            continue;
        }
        if concerned.cluster == Cluster::Goes && is_in_cluster(&session.project.file, id) {
            behind.push(id);
        } else {
            receipts.remove(id)?;
        }
    }
    // What was in the cluster has gone when that has, and no sooner.
    if cleared.tally.failed + cleared.tally.cancelled == 0 {
        behind.into_iter().try_for_each(|id| receipts.remove(id))?;
    }
    cleared.add(concerned.unseen);
    Ok(cleared)
}

/// What a teardown is about.
struct Concerned {
    cluster: Cluster,
    /// The steps of which something goes.
    steps: BTreeSet<StepId>,
    /// Why the images of steps could not be looked at. All else need not stay for that.
    unseen: BTreeMap<StepId, Failure>,
}

/// Tells all that there is; adds why it cannot be told to `failures`.
async fn look(
    session: &Session,
    order: &[StepId],
    scope: Scope,
    failures: &mut Vec<Failure>,
    told: impl Fn(&Belonging),
) -> Concerned {
    let cluster = Cluster::look(session, scope).await;
    let mut concerned = Concerned {
        cluster: *cluster.as_ref().unwrap_or(&Cluster::Stays),
        steps: BTreeSet::new(),
        unseen: BTreeMap::new(),
    };
    let asked = |id: &StepId| matches!(cluster, Ok(Cluster::Stays)) || !is_in_cluster(&session.project.file, id);
    for id in order.iter().filter(|id| asked(id)) {
        let Some(step) = session.steps.get(id) else { continue };
        match step.belongings(&session.cx, scope).await {
            Ok(belongings) => {
                belongings.iter().for_each(&told);
                if belongings.iter().any(|belonging| belonging.kept.is_none()) {
                    concerned.steps.insert(id.clone());
                }
            }
            Err(failure) if id.kind == Kind::Image => {
                let kept = "it could not be looked at; `cargo xtask teardown` again removes it".to_owned();
                told(&Belonging { what: format!("what there is of {id}"), kept: Some(kept) });
                concerned.unseen.insert(id.clone(), failure);
            }
            Err(failure) => failures.push(failure),
        }
    }
    if let Err(failure) = cluster
        && !failures.contains(&failure)
    {
        failures.push(failure);
    }
    concerned
}

/// Removes what belongs to a step; says whether it has gone.
async fn remove(session: &Session, step: &dyn Step, scope: Scope, cleared: &mut Cleared) -> bool {
    let (cx, id, begun) = (&session.cx, step.id(), Instant::now());
    cx.tell(Event::Started { step: id.clone() });
    let stopped = async {
        cx.cancel.cancelled().await;
        pause(GRACE).await;
    };
    let removed = tokio::select! {
        removed = remove_alone(session, step, scope) => removed,
        () = stopped => Err(Failure::interrupted()),
    };
    match removed {
        Ok(()) => {
            cleared.tally.ran += 1;
            cx.tell(Event::Done { step: id.clone(), summary: "removed".into(), took: begun.elapsed() });
            true
        }
        Err(failure) if failure.class == Class::Interrupted => {
            cleared.tally.cancelled += 1;
            cx.tell(Event::Cancelled { step: id.clone() });
            false
        }
        Err(failure) => {
            cleared.tally.failed += 1;
            cx.tell(Event::Failed { step: id.clone(), failure: failure.clone() });
            cleared.failures.push(failure);
            false
        }
    }
}

/// Removes what belongs to a step while nobody else works on it, and waits for its namespaces to be gone: into one that
/// is about to go nothing can be deployed again.
async fn remove_alone(session: &Session, step: &dyn Step, scope: Scope) -> Result<(), Failure> {
    let _held = run::hold(&session.cx, &session.locks, step).await?;
    step.remove(&session.cx, scope).await?;
    for namespace in namespaces_of(&session.project.file, step.id()) {
        let client = session.cx.world.kube().await?;
        let waiting = |what: &str| session.cx.progress(step.id(), format!("waits for {what}"));
        match session.unless_interrupted(namespaces::until_free(&client, &namespace, waiting)).await {
            // One that hangs on somebody's finalizer goes when that does: all that was to be removed is.
            Err(failure) if failure.class == Class::Step => {
                session.cx.note(step.id(), Level::Warning, format!("{failure}; {}", failure.help.join("; ")));
            }
            waited => waited?,
        }
    }
    Ok(())
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
