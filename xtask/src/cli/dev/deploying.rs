//! One run of the graph in the background of the loop.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use engine::event::Event;
use engine::failure::{Class, Failure};
use engine::run::State;
use engine::step::{Kind, StepId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::screen::Screen;
use crate::cli::Global;
use crate::cli::confirm;
use crate::cli::deploy::headline;
use crate::cli::problem::Problem;
use crate::cli::session::Session;
use crate::dayzero::tools;
use crate::redact::Redactor;
use crate::report::Reporter;
use crate::run;
use crate::steps::Mode;

/// A run that has not ended yet.
pub struct Deploying {
    cancel: CancellationToken,
    running: Arc<Mutex<Vec<StepId>>>,
    reasons: Arc<Mutex<Vec<String>>>,
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
        /// Something out there may be the reason, which may change without an edit.
        may_mend_itself: bool,
    },
    /// It could not begin.
    Never(Problem),
    /// It was cancelled.
    Cancelled,
}

/// What a run is told to do besides judging.
#[derive(Debug, Clone, Copy, Default)]
pub struct Orders {
    /// This machine may be changed without asking.
    pub may_change_machine: bool,
    /// All images are built anew.
    pub rebuild: bool,
}

impl Deploying {
    /// Begins a run.
    pub fn begin(
        global: &Global,
        isolation: Option<&str>,
        orders: Orders,
        screen: &Screen,
        redactor: &Arc<Redactor>,
    ) -> Self {
        let cancel = CancellationToken::new();
        let running: Arc<Mutex<Vec<StepId>>> = Arc::default();
        let reasons: Arc<Mutex<Vec<String>>> = Arc::default();
        let reporter = Tap { running: Arc::clone(&running), reasons: Arc::clone(&reasons), inner: screen.reporter() };
        let (global, isolation, token) = (global.clone(), isolation.map(str::to_owned), cancel.clone());
        let redactor = Arc::clone(redactor);
        let task = tokio::spawn(async move {
            deploy(&global, isolation.as_deref(), orders, Box::new(reporter), token, redactor).await
        });
        Self { cancel, running, reasons, task }
    }

    /// Asks it to stop if it builds one of `images`, which have changed. Unless it is changing the cluster besides: that
    /// is quickly over, and half of it helps nobody.
    pub fn supersede(&self, images: &BTreeSet<String>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let builds = |step: &StepId| step.kind == Kind::Image && images.contains(&step.name);
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

    /// Waits for its end.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.task).await {
            Ok(ended) => ended,
            Err(error) => {
                let failures = vec![Failure::step("a run of the graph broke off").because(error)];
                Ended::Badly { failures, may_mend_itself: false }
            }
        }
    }
}

async fn deploy(
    global: &Global,
    isolation: Option<&str>,
    orders: Orders,
    reporter: Box<dyn Reporter>,
    cancel: CancellationToken,
    redactor: Arc<Redactor>,
) -> Ended {
    let mut session = match Session::for_dev(global, isolation, Mode::Dev, reporter) {
        Ok(session) => session,
        Err(problem) => return Ended::Never(problem),
    };
    session.cx.cancel = cancel;
    session.cx.redactor = redactor;
    session.cx.may_change_machine = orders.may_change_machine;
    let forced: Vec<StepId> = match orders.rebuild {
        true => session.project.file.images.keys().map(|name| StepId::new(Kind::Image, name.as_str())).collect(),
        false => Vec::new(),
    };
    let mut plan = session.plan(&[], false);
    for planned in &mut plan {
        planned.forced |= forced.contains(&planned.step);
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
    // What an image or a command says of its inputs is mended by an edit.
    let by_an_edit = |step: &StepId| matches!(step.kind, Kind::Image | Kind::Command | Kind::Secrets);
    let may_mend_itself = summary.states.iter().any(|(step, state)| *state == State::Failed && !by_an_edit(step))
        || summary.failures.iter().any(|failed| failed.class == Class::Environment);
    let (tally, failures) = (summary.tally(), summary.failures);
    session.finish(tally, headline.clone()).await;
    match failures {
        _ if cancelled => Ended::Cancelled,
        failures if failures.is_empty() => Ended::Well(headline),
        failures => Ended::Badly { failures, may_mend_itself },
    }
}

/// Notes which steps run, and why, on the way to the screen.
struct Tap {
    running: Arc<Mutex<Vec<StepId>>>,
    reasons: Arc<Mutex<Vec<String>>>,
    inner: Box<dyn Reporter>,
}

impl Reporter for Tap {
    fn event(&mut self, event: &Event) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Stale { step, reasons: found } => {
                let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
                reasons.extend(found.iter().map(|reason| format!("{:<18} {reason}", step.to_string())));
            }
            Event::Started { step } => running.push(step.clone()),
            Event::Done { step, .. } | Event::Failed { step, .. } | Event::Cancelled { step } => {
                running.retain(|other| other != step);
            }
            _ => {}
        }
        drop(running);
        self.inner.event(event);
    }
}
