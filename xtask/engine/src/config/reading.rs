//! What gathers while one graph file is read: mistakes, and what can only be judged once all of it is known.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Source};
use super::mention::{Mention, Target, Why};
use super::nearest::nearest;
use super::paths::Expected;
use crate::step::StepId;

/// What gathers while one file is read.
pub(crate) struct Reading<'f> {
    pub(crate) source: &'f Arc<Source>,
    problems: RefCell<Vec<Diagnostic>>,
    mentions: RefCell<Vec<Mention>>,
    expected: RefCell<Vec<Expected>>,
    env: RefCell<Vec<String>>,
    step: RefCell<StepId>,
}

/// All that was gathered.
pub(crate) struct Gathered {
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) mentions: Vec<Mention>,
}

impl<'f> Reading<'f> {
    pub(crate) fn new(source: &'f Arc<Source>) -> Self {
        Self {
            source,
            problems: RefCell::default(),
            mentions: RefCell::default(),
            expected: RefCell::default(),
            env: RefCell::default(),
            step: RefCell::new(StepId::cluster()),
        }
    }

    pub(crate) fn finish(self) -> Gathered {
        Gathered { problems: self.problems.into_inner(), mentions: self.mentions.into_inner() }
    }

    /// A mistake at `span`, not yet reported.
    pub(crate) fn at(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.source, span, message)
    }

    /// Reports a mistake; `None`, so that a reading function can end with it.
    pub(crate) fn report<T>(&self, problem: Diagnostic) -> Option<T> {
        self.problems.borrow_mut().push(problem);
        None
    }

    /// What follows belongs to this step.
    pub(crate) fn enter(&self, step: StepId) {
        self.step.replace(step);
    }

    /// The step that is being read.
    pub(crate) fn step(&self) -> StepId {
        self.step.borrow().clone()
    }

    /// Notes that the current step names another.
    pub(crate) fn mention(&self, target: Target, why: Why, span: Range<usize>) {
        self.add_mention(Mention { by: self.step(), target, why, span });
    }

    /// Where steps name each other.
    pub(crate) fn mentions(&self) -> Vec<Mention> {
        self.mentions.borrow().clone()
    }

    /// The files and folders that have to be there.
    pub(crate) fn take_expected(&self) -> Vec<Expected> {
        self.expected.take()
    }

    /// Notes that a step names another.
    pub(crate) fn add_mention(&self, mention: Mention) {
        self.mentions.borrow_mut().push(mention);
    }

    /// Notes that a file or folder has to be there.
    pub(crate) fn expect(&self, expected: Expected) {
        self.expected.borrow_mut().push(expected);
    }

    /// Whether templates may use a variable of the environment; if not, the nearest one that they may.
    pub(crate) fn declares(&self, name: &str) -> Result<(), Option<String>> {
        let env = self.env.borrow();
        if env.iter().any(|declared| declared == name) {
            return Ok(());
        }
        Err(nearest(name, env.iter().map(String::as_str)).map(str::to_owned))
    }

    /// The environment's variables that templates may use.
    pub(crate) fn declare_env(&self, names: Vec<String>) {
        self.env.replace(names);
    }
}
