//! One run of the graph in the background of the loop.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use engine::event::Event;
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::step::{Kind, StepId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::others::Others;
use super::retry::MendedBy;
use super::screen::Screen;
use crate::ask::{Person, Question};
use crate::cli::Global;
use crate::cli::confirm;
use crate::cli::deploy::headline;
use crate::cli::problem::Problem;
use crate::cli::session::{Project, Session};
use crate::dayzero::tools;
use crate::redact::Redactor;
use crate::report::Reporter;
use crate::run;
use crate::steps::Mode;
use crate::steps::image::of_stage;

/// A run that has not ended yet.
pub struct Deploying {
    cancel: CancellationToken,
    running: Arc<Mutex<Vec<StepId>>>,
    reasons: Arc<Mutex<Vec<String>>>,
    since: Option<Instant>,
    rolled_out: Arc<Mutex<Option<Instant>>>,
    has_cluster: Arc<AtomicBool>,
    project: Arc<OnceLock<Project>>,
    task: JoinHandle<Ended>,
}

/// What became of a run.
pub enum Ended {
    /// Everything is as the working tree says; where it answers.
    Well(Option<String>),
    /// Steps failed; the last good version runs.
    Badly {
        /// Why.
        failures: Vec<Failure>,
        /// What may mend them.
        mended: MendedBy,
    },
    /// It could not begin.
    Never(Problem),
    /// It was cancelled.
    Cancelled,
}

/// What a run is told to do besides judging.
#[derive(Debug, Clone, Copy, Default)]
pub struct Orders {
    /// All images are built anew.
    pub rebuild: bool,
    /// When the change was saved that it is for, if it is for one.
    pub since: Option<Instant>,
}

/// How a run gets leave for what it may not do unasked. It is the same for all runs of a loop.
#[derive(Debug, Clone)]
pub struct Leave {
    /// This machine may be changed without asking.
    pub may_change_machine: bool,
    /// Who reads the keys at the terminal, and so any answers, if somebody does.
    pub reader: Option<mpsc::UnboundedSender<Question>>,
}

impl Leave {
    /// Has questions of `session` asked where they are answered.
    pub fn grant(&self, session: &mut Session) {
        session.cx.may_change_machine = self.may_change_machine;
        if let (true, Some(reader)) = (session.cx.person.is_there(), &self.reader) {
            session.cx.person = Person::AtKeys(reader.clone());
        }
    }
}

/// What all runs of a loop have in common with it.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Knows the secrets of all runs.
    pub redactor: Arc<Redactor>,
    /// Knows all that was read through links, so that it is watched.
    pub gatherer: Arc<Gatherer>,
    /// Knows who runs synced images without their files.
    pub others: Arc<Others>,
}

impl Deploying {
    /// Begins a run.
    pub fn begin(
        global: &Global,
        isolation: Option<&str>,
        orders: Orders,
        leave: &Leave,
        screen: &Screen,
        shared: &Shared,
    ) -> Self {
        let cancel = CancellationToken::new();
        let running: Arc<Mutex<Vec<StepId>>> = Arc::default();
        let reasons: Arc<Mutex<Vec<String>>> = Arc::default();
        let rolled_out: Arc<Mutex<Option<Instant>>> = Arc::default();
        let has_cluster: Arc<AtomicBool> = Arc::default();
        let project: Arc<OnceLock<Project>> = Arc::default();
        let reporter = Tap {
            running: Arc::clone(&running),
            reasons: Arc::clone(&reasons),
            rolled_out: Arc::clone(&rolled_out),
            has_cluster: Arc::clone(&has_cluster),
            inner: screen.reporter(),
        };
        let (global, isolation, token) = (global.clone(), isolation.map(str::to_owned), cancel.clone());
        let (leave, shared, read) = (leave.clone(), shared.clone(), Arc::clone(&project));
        let task = tokio::spawn(async move {
            let project = match Project::load(&global) {
                Ok(project) => project,
                Err(problem) => return Ended::Never(problem),
            };
            let project = read.get_or_init(|| project).clone();
            deploy(project, isolation.as_deref(), orders, &leave, Box::new(reporter), token, shared).await
        });
        Self { cancel, running, reasons, since: orders.since, rolled_out, has_cluster, project, task }
    }

    /// Asks it to stop if it builds one of `images`, which have changed. Unless it is changing the cluster besides: that
    /// is quickly over, and half of it helps nobody.
    pub fn supersede(&self, images: &BTreeSet<String>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let builds = |step: &StepId| step.kind == Kind::Image && images.contains(of_stage(&step.name));
        let interruptible = |step: &StepId| matches!(step.kind, Kind::Image | Kind::Command | Kind::Check);
        if running.iter().any(builds) && running.iter().all(interruptible) {
            self.cancel.cancel();
        }
    }

    /// Asks it to stop whatever it does.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Why steps had to run, so far.
    pub fn reasons(&self) -> Vec<String> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the change that it was for took from being saved to being rolled out, if it is.
    pub fn took(&self) -> Option<Duration> {
        let rolled_out = (*self.rolled_out.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(rolled_out.saturating_duration_since(self.since?))
    }

    /// The graph file as it has read it, once it has got past the cluster and so may have deployed something.
    pub fn in_cluster(&self) -> Option<&Project> {
        self.project.get().filter(|_| self.has_cluster.load(Ordering::Relaxed))
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.task).await {
            Ok(ended) => ended,
            Err(error) => {
                let failures = vec![Failure::step("a run of the graph broke off").because(error)];
                Ended::Badly { failures, mended: MendedBy::Edit }
            }
        }
    }
}

async fn deploy(
    mut project: Project,
    isolation: Option<&str>,
    orders: Orders,
    leave: &Leave,
    reporter: Box<dyn Reporter>,
    cancel: CancellationToken,
    shared: Shared,
) -> Ended {
    let others = shared.others.provide(&mut project, isolation, Arc::clone(&shared.gatherer), &cancel).await;
    let mut session = match Session::for_dev(project, isolation, Mode::Dev, reporter) {
        Ok(session) => session,
        Err(problem) => return Ended::Never(problem),
    };
    shared.others.tell(&session, &others);
    session.cx.cancel = cancel;
    (session.cx.redactor, session.cx.gatherer) = (shared.redactor, shared.gatherer);
    leave.grant(&mut session);
    let mut plan = session.plan(&[], false);
    for planned in &mut plan {
        planned.forced |= orders.rebuild && planned.step.kind == Kind::Image;
    }
    let ready = async {
        tools::prepare(&session.cx, &session.project.file, &plan).await?;
        confirm::first_deploy(&mut session).await
    };
    if let Err(failure) = ready.await {
        return Ended::Never(failure.into());
    }
    let summary = run::execute(&session.cx, &session.steps, plan, &session.locks).await;
    let (headline, cancelled) = (headline(&session), session.cx.cancel.is_cancelled());
    let mended = MendedBy::of(&summary);
    let (tally, failures) = (summary.tally(), summary.failures);
    session.finish(tally, headline.clone()).await;
    match failures {
        _ if cancelled => Ended::Cancelled,
        failures if failures.is_empty() => Ended::Well(headline),
        failures => Ended::Badly { failures, mended },
    }
}

/// Notes which steps run, and why, and when a release has been rolled out, on the way to the screen.
struct Tap {
    running: Arc<Mutex<Vec<StepId>>>,
    reasons: Arc<Mutex<Vec<String>>>,
    rolled_out: Arc<Mutex<Option<Instant>>>,
    has_cluster: Arc<AtomicBool>,
    inner: Box<dyn Reporter>,
}

impl Reporter for Tap {
    fn event(&mut self, event: &Event) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(event, Event::Fresh { step } | Event::Done { step, .. } if step.kind == Kind::Cluster) {
            self.has_cluster.store(true, Ordering::Relaxed);
        }
        match event {
            Event::Stale { step, reasons: found } => {
                let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
                reasons.extend(found.iter().map(|reason| format!("{:<18} {reason}", step.to_string())));
            }
            Event::Started { step } => running.push(step.clone()),
            Event::Done { step, .. } | Event::Failed { step, .. } | Event::Cancelled { step } => {
                running.retain(|other| other != step);
                if matches!(event, Event::Done { .. }) && step.kind == Kind::Release {
                    *self.rolled_out.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                }
            }
            _ => {}
        }
        drop(running);
        self.inner.event(event);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use engine::step::{Kind, StepId};
    use tokio_util::sync::CancellationToken;

    use super::{Deploying, Ended};

    #[tokio::test]
    async fn a_build_that_a_change_has_overtaken_is_given_up_unless_the_cluster_is_being_changed() {
        use Kind::{Check, Command, Image, Manifests, Release, Secrets};
        for (running, changed, expected) in [
            ([(Image, "a")].as_slice(), ["a"].as_slice(), true),
            (&[(Image, "a"), (Image, "b"), (Command, "c"), (Check, "d")], &["b"], true),
            (&[(Image, "a")], &["b"], false),
            (&[(Image, "a.dev")], &["a"], true),
            (&[(Image, "a")], &[], false),
            (&[(Command, "a")], &["a"], false),
            (&[(Image, "a"), (Release, "r")], &["a"], false),
            (&[(Image, "a"), (Manifests, "m")], &["a"], false),
            (&[(Image, "a"), (Secrets, "s")], &["a"], false),
            (&[], &["a"], false),
        ] {
            let steps = running.iter().map(|(kind, name)| StepId::new(*kind, *name)).collect();
            let deploying = Deploying {
                running: Arc::new(Mutex::new(steps)),
                cancel: CancellationToken::new(),
                reasons: Arc::default(),
                since: None,
                rolled_out: Arc::default(),
                has_cluster: Arc::default(),
                project: Arc::default(),
                task: tokio::spawn(async { Ended::Cancelled }),
            };
            deploying.supersede(&changed.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
            assert_eq!(deploying.cancel.is_cancelled(), expected, "{running:?} {changed:?}");
        }
    }
}
