//! What every command that looks at steps begins with: the graph file read, the steps made, events flowing to their
//! reporters, signals heard.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::config::{FILE_NAME, GraphFile};
use engine::event::{Event, Tally};
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::graph::{self, Graph};
use engine::lock::Locks;
use engine::run::Planned;
use engine::step::StepId;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::{Format, Global};
use crate::ask::Person;
use crate::context::Context;
use crate::dayzero::consent;
use crate::report::journal::Journal;
use crate::report::json::Json;
use crate::report::terminal::{Terminal, Verbosity};
use crate::report::{Reporter, pump};
use crate::run::{self, Steps};
use crate::steps::cluster::{ClusterStep, Definition};
use crate::steps::{self, Mode};
use crate::workspace::Workspace;
use crate::world::World;

/// How many runs are kept in `.xtask/runs`.
const RUNS_KEPT: usize = 20;

/// The graph file with the graph that it declares.
#[derive(Clone)]
pub struct Project {
    /// As written.
    pub file: GraphFile,
    /// What needs what.
    pub graph: Graph,
}

impl Project {
    /// Reads the graph file that the flags name, or the nearest one from the current folder upwards.
    ///
    /// # Errors
    /// When there is none, or it has mistakes.
    pub fn load(global: &Global) -> Result<Self, Problem> {
        let (file, graph) = graph::load(&Self::path(global)?)?;
        Ok(Self { file, graph })
    }

    /// Where that graph file is.
    ///
    /// # Errors
    /// When there is none.
    pub fn path(global: &Global) -> Result<PathBuf, Failure> {
        global.graph_file.clone().map_or_else(nearest, Ok)
    }
}

fn nearest() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::environment("could not find out the current folder").because(error))?;
    let found = here.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::usage(format!("there is no {FILE_NAME} in {} or in any folder above it", here.display()))
            .help(format!("run this inside a workspace that has one, or name it with --graph-file PATH/{FILE_NAME}"))
    })
}

/// Whether a command leaves a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// It changes things: a folder in `.xtask/runs`.
    Run,
    /// It only looks: nothing is written.
    Nothing,
}

/// Which pods a command is about.
struct Pods {
    /// What they run.
    mode: Mode,
    /// They are those of an earlier graph file.
    former: bool,
}

/// A command at work.
pub struct Session {
    /// The graph file and the graph.
    pub project: Project,
    /// The steps.
    pub steps: Steps,
    /// What steps are given.
    pub cx: Context,
    /// Where locks are.
    pub locks: Locks,
    /// When it began.
    pub begun: Instant,
    pump: JoinHandle<()>,
    record: Record,
}

impl Session {
    /// Begins the command `name`.
    ///
    /// # Errors
    /// When the graph file has mistakes, or `.xtask` cannot be written by a command that records its run.
    pub fn begin(global: &Global, name: &str, record: Record) -> Result<Self, Problem> {
        Self::begin_as(global, name, record, None, Vec::new())
    }

    /// Begins the command `name`, on the isolated deployment `isolation` if one is named; `listeners` are told all that
    /// the usual reporters are.
    ///
    /// # Errors
    /// As [`Self::begin`]; or `isolation` cannot be such a name.
    pub fn begin_as(
        global: &Global,
        name: &str,
        record: Record,
        isolation: Option<&str>,
        listeners: Vec<Box<dyn Reporter>>,
    ) -> Result<Self, Problem> {
        let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
        match global.format {
            Format::Human => reporters.push(Box::new(Terminal::new(verbosity(global)))),
            Format::Json if record == Record::Run => reporters.push(Box::new(Json::new(std::io::stdout()))),
            Format::Json => {}
        }
        reporters.extend(listeners);
        let session = Self::with(
            Project::load(global)?,
            name,
            record,
            isolation,
            Pods { mode: Mode::Deploy, former: false },
            reporters,
        )?;
        listen(session.cx.cancel.clone())?;
        Ok(session)
    }

    /// Begins a run of the dev loop, which hears signals itself, for pods that run built images or follow their sources.
    ///
    /// # Errors
    /// As [`Self::begin_as`].
    pub fn for_dev(
        project: Project,
        isolation: Option<&str>,
        mode: Mode,
        reporter: Box<dyn Reporter>,
    ) -> Result<Self, Problem> {
        Self::with(project, "dev", Record::Run, isolation, Pods { mode, former: false }, vec![reporter])
    }

    /// The same for what an earlier graph file of the loop has deployed, whose pods are to run built images.
    ///
    /// # Errors
    /// As [`Self::begin_as`].
    pub fn for_former(project: Project, isolation: Option<&str>, reporter: Box<dyn Reporter>) -> Result<Self, Problem> {
        let pods = Pods { mode: Mode::Deploy, former: true };
        Self::with(project, "dev", Record::Run, isolation, pods, vec![reporter])
    }

    fn with(
        mut project: Project,
        name: &str,
        record: Record,
        isolation: Option<&str>,
        Pods { mode, former }: Pods,
        mut reporters: Vec<Box<dyn Reporter>>,
    ) -> Result<Self, Problem> {
        let begun = Instant::now();
        let cluster_project = project.file.project.clone();
        let mut workspace = Workspace::at(project.file.root.clone());
        let usual = workspace.receipts();
        if let Some(isolation) = isolation {
            workspace = workspace.isolated(isolation);
            project.file.isolate(isolation, &workspace.local_ports())?;
        }
        if mode == Mode::Dev {
            workspace = workspace.for_dev();
        }
        if former {
            workspace = workspace.former();
        }
        let apart = (isolation.is_some() || mode == Mode::Dev) && !former;
        // Whoever only looks leaves nothing behind of a deployment that there has never been.
        if apart
            && (record == Record::Run || workspace.has_receipts())
            && let Some(receipt) = usual.load(&StepId::cluster()).receipt()
            && workspace.receipts().load(&StepId::cluster()).receipt() != Some(receipt)
        {
            // It is the same cluster, and nobody has to say so again.
            workspace.receipts().store(receipt)?;
        }
        let run = match record {
            Record::Run => workspace.begin_run(RUNS_KEPT)?,
            Record::Nothing => 0,
        };
        if record == Record::Run {
            reporters.push(Box::new(Journal::create(&workspace.run_folder(run))?));
        }
        let (events, receiver) = mpsc::unbounded_channel();
        let pump = tokio::spawn(pump(receiver, reporters));
        let context = project.file.cluster.as_ref().map_or("", |cluster| cluster.kube_context());
        let world = Arc::new(World::of_context(context));
        let gatherer = Arc::new(Gatherer::new(workspace.stat_cache()));
        let mut cx = Context::new(workspace, project.file.project.clone(), world, gatherer, run, events);
        (cx.cluster_project, cx.isolated) = (cluster_project, isolation.is_some());
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) && !in_pipeline() {
            cx.person = Person::AtTerminal;
        }
        let steps = steps::of_graph_file(&project.file, &project.graph, mode);
        cx.tell(Event::RunStarted { run, command: name.to_owned(), steps: steps.len() });
        Ok(Self { project, steps, cx, locks: Locks::of_this_user()?, begun, pump, record })
    }

    /// The plan for `selected` steps with all that they need; for all steps when none is named.
    pub fn plan(&self, selected: &[StepId], force: bool) -> Vec<Planned> {
        let graph = match selected {
            [] => self.project.graph.clone(),
            steps => self.project.graph.select(steps),
        };
        let forced = |step: &StepId| force && (selected.is_empty() || selected.contains(step));
        run::plan(&graph, &self.steps, &self.cx.workspace, &|_| Duration::from_secs(1), &forced)
    }

    /// Makes sure that the cluster is not another one than is meant; `false` when nothing says which is meant.
    ///
    /// # Errors
    /// `Class::Cluster` for another cluster; or it does not answer.
    pub async fn recognise(&self) -> Result<bool, Failure> {
        let Some(cluster) = &self.project.file.cluster else { return Ok(true) };
        let stored = self.cx.workspace.receipts().load(&StepId::cluster());
        let step = ClusterStep::new(Definition::from(cluster));
        self.unless_interrupted(step.expect(&self.cx, stored.receipt())).await
    }

    /// What comes of `work`, or an interruption as soon as somebody wants the command to end. Only for work that leaves
    /// nothing half done when it is dropped.
    ///
    /// # Errors
    /// Those of `work`; or the run was cancelled.
    pub async fn unless_interrupted<T, E: From<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            done = work => done,
            () = self.cx.cancel.cancelled() => Err(Failure::interrupted().into()),
        }
    }

    /// Tells the end of the run and waits until everything has been reported.
    pub async fn finish(self, tally: Tally, headline: Option<String>) {
        self.cx.tell(Event::RunFinished { tally, took: self.begun.elapsed(), headline });
        // The reporters end at that event; one that panicked has nothing left to tell.
        let _ = self.pump.await;
        if self.record == Record::Run && tally.is_all_fresh() {
            // Runs without any news would push out those that people want to look at again.
            let _ = std::fs::remove_dir_all(self.cx.workspace.run_folder(self.cx.run));
        }
    }
}

/// Whether leave to change this machine was given beforehand: by a flag, or by the pipeline that this runs in.
pub fn may_change_machine(yes: bool) -> bool {
    yes || in_pipeline() || consent::handed_on() == Some(true)
}

/// Whether this runs in a pipeline, where nobody can be asked.
fn in_pipeline() -> bool {
    is_a_yes(std::env::var_os("CI").as_deref())
}

/// `CI=false` is how people say that something that looks like a pipeline is none.
fn is_a_yes(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !["", "0", "false", "no"].iter().any(|no| value.eq_ignore_ascii_case(no)))
}

/// How much the flags ask for.
pub const fn verbosity(global: &Global) -> Verbosity {
    match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    }
}

/// Signals that ask a program to stop.
const STOP: [SignalKind; 3] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];

/// Cancels the run at the first signal.
///
/// # Errors
/// When the process cannot listen for signals.
pub fn listen(cancel: CancellationToken) -> Result<(), Failure> {
    for kind in STOP {
        let mut stream =
            signal(kind).map_err(|error| Failure::environment("could not listen for signals").because(error))?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            stream.recv().await;
            cancel.cancel();
        });
    }
    Ok(())
}

/// Ends at the second signal: whoever presses Ctrl-C twice does not want to wait.
pub async fn told_twice_to_stop() {
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = STOP.map(signal) else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::is_a_yes;

    #[test]
    fn a_variable_that_says_no_makes_no_pipeline() {
        let rows = [
            (None, false),
            (Some(""), false),
            (Some("false"), false),
            (Some("False"), false),
            (Some("0"), false),
            (Some("no"), false),
            (Some("true"), true),
            (Some("1"), true),
            (Some("woodpecker"), true),
        ];
        for (value, expected) in rows {
            assert_eq!(is_a_yes(value.map(OsStr::new)), expected, "{value:?}");
        }
    }
}
