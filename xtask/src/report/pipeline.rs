//! The book of a pipeline's run: every case with what became of it, written as a whole to both reports after each change.
//!
//! A report on disk is therefore complete and can be read at any moment, also when the run is killed outright: what had
//! not ended by then says so. It knows neither commands nor steps, only cases in suites.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::event::Event;
use engine::failure::{Class, Failure};
use engine::receipt::write_atomically;
use serde::Serialize;

use super::{Reporter, json, junit};

/// Names of the two reports in their folder.
pub const JUNIT: &str = "junit.xml";
/// See [`JUNIT`].
pub const JSON: &str = "ci.json";

/// How a run stands, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It had not ended when this was written: it goes on, or was killed.
    Running,
    /// Everything went well.
    Passed,
    /// Something failed.
    Failed,
    /// Somebody stopped it.
    Interrupted,
    /// It took longer than it was given.
    Overdue,
}

/// How a case stands, or how it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It has not begun.
    Waiting,
    /// It has begun.
    Running(Instant),
    /// It went well; what came of it in a few words.
    Passed(String),
    /// It failed.
    Failed(Box<Failure>),
    /// It did not run, and why.
    Skipped(String),
}

/// One thing that is reported on.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// `commands`, `deploy`, `teardown`.
    pub suite: &'static str,
    /// `image:backend`.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// How long it took, once it has ended.
    pub took: Option<Duration>,
}

/// All that is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Pages {
    /// The run's name.
    pub run: String,
    /// The project's name.
    pub project: String,
    /// When it began, in RFC 3339.
    pub began: String,
    /// How it stands.
    pub state: State,
    /// How long it has taken until now.
    pub took: Duration,
    /// In the order in which they were expected.
    pub cases: Vec<Case>,
}

struct Inner {
    pages: Pages,
    since: Instant,
    folder: PathBuf,
    /// The first write that failed.
    broken: Option<Failure>,
}

/// See the module. Clones write the same book.
#[derive(Clone)]
pub struct Book(Arc<Mutex<Inner>>);

impl Book {
    /// Opens the book of `run` and writes both reports for the first time.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn open(folder: &Path, run: &str, project: &str) -> Result<Self, Failure> {
        let began = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        let (run, project) = (run.to_owned(), project.to_owned());
        let pages = Pages { run, project, began, state: State::Running, took: Duration::ZERO, cases: Vec::new() };
        let inner = Inner { pages, since: Instant::now(), folder: folder.to_owned(), broken: None };
        let book = Self(Arc::new(Mutex::new(inner)));
        book.change(|_| {});
        let broken = book.inner().broken.take();
        match broken {
            Some(failure) => Err(failure),
            None => Ok(book),
        }
    }

    /// Announces cases: until they begin, they are reported as not begun.
    pub fn expect(&self, suite: &'static str, names: impl IntoIterator<Item = String>) {
        self.change(|pages| {
            for name in names {
                pages.cases.push(Case { suite, name, fate: Fate::Waiting, took: None });
            }
        });
    }

    /// A case begins.
    pub fn begin(&self, suite: &'static str, name: &str) {
        self.turn(suite, name, Fate::Running(Instant::now()));
    }

    /// A case has ended.
    pub fn end(&self, suite: &'static str, name: &str, fate: Fate) {
        self.turn(suite, name, fate);
    }

    /// Whatever has not begun will not.
    pub fn skip_rest(&self, why: &str) {
        self.change(|pages| {
            for case in pages.cases.iter_mut().filter(|case| case.fate == Fate::Waiting) {
                case.fate = Fate::Skipped(why.to_owned());
            }
        });
    }

    /// The run has ended like this. Where it did not pass and no case says why, there is one more that does: whoever
    /// only counts failures must not take it for success.
    ///
    /// # Errors
    /// When a report could not be written, at whatever moment.
    pub fn close(&self, state: State, why: Option<&Failure>) -> Result<(), Failure> {
        self.change(|pages| {
            pages.state = state;
            if state != State::Passed && !pages.cases.iter().any(|case| matches!(case.fate, Fate::Failed(_))) {
                let why = why.cloned().unwrap_or_else(|| Failure::new(Class::Interrupted, "somebody stopped the run"));
                let fate = Fate::Failed(Box::new(why));
                pages.cases.push(Case { suite: "run", name: pages.run.clone(), fate, took: Some(pages.took) });
            }
        });
        self.inner().broken.take().map_or(Ok(()), Err)
    }

    fn turn(&self, suite: &'static str, name: &str, fate: Fate) {
        self.change(|pages| {
            let known = pages.cases.iter().position(|case| case.suite == suite && case.name == name);
            let at = known.unwrap_or_else(|| {
                // What is got on the way, such as a base image, was not foreseen.
                pages.cases.push(Case { suite, name: name.to_owned(), fate: Fate::Waiting, took: None });
                pages.cases.len() - 1
            });
            let Some(case) = pages.cases.get_mut(at) else { return };
            if let Fate::Running(since) = case.fate {
                case.took = Some(since.elapsed());
            }
            case.fate = fate;
        });
    }

    fn change(&self, change: impl FnOnce(&mut Pages)) {
        let mut inner = self.inner();
        change(&mut inner.pages);
        inner.pages.took = inner.since.elapsed();
        let written = junit::document(&inner.pages)
            .and_then(|text| write_atomically(&inner.folder.join(JUNIT), text.as_bytes()))
            .and_then(|()| write_atomically(&inner.folder.join(JSON), json::document(&inner.pages).as_bytes()));
        if let Err(failure) = written {
            // The run is worth more than its report; the end tells.
            inner.broken.get_or_insert(failure);
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Whoever panicked with it in hand has left whole cases behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the events of a run's steps into a book, as cases of one suite.
pub struct Scribe {
    book: Book,
    suite: &'static str,
}

impl Scribe {
    /// Writes into `suite` of `book`.
    pub const fn new(book: Book, suite: &'static str) -> Self {
        Self { book, suite }
    }
}

impl Reporter for Scribe {
    fn event(&mut self, event: &Event) {
        let (step, fate) = match event {
            Event::Started { step } => (step, Fate::Running(Instant::now())),
            Event::Fresh { step } => (step, Fate::Passed("fresh".to_owned())),
            Event::Done { step, summary, .. } => (step, Fate::Passed(summary.clone())),
            Event::Failed { step, failure } if failure.class == Class::Interrupted => {
                (step, Fate::Skipped("stopped with the run".to_owned()))
            }
            Event::Failed { step, failure } => (step, Fate::Failed(Box::new(failure.clone()))),
            Event::Skipped { step, because_of } => (step, Fate::Skipped(format!("{because_of} failed"))),
            Event::Cancelled { step } => (step, Fate::Skipped("stopped with the run".to_owned())),
            _ => return,
        };
        self.book.turn(self.suite, &step.to_string(), fate);
    }
}

#[cfg(test)]
mod tests {
    use engine::event::Event;
    use engine::failure::Failure;
    use engine::step::{Kind, StepId};
    use quick_junit::Report;

    use super::{Book, Fate, JUNIT, Scribe, State};
    use crate::report::Reporter as _;

    fn junit(folder: &std::path::Path) -> Report {
        Report::deserialize_from_str(&std::fs::read_to_string(folder.join(JUNIT)).unwrap()).unwrap()
    }

    #[test]
    fn no_end_but_a_good_one_looks_like_success() {
        let failure = Failure::environment("no engine answers");
        for (state, why, failures) in [
            (State::Passed, None, 0),
            (State::Failed, Some(&failure), 1),
            (State::Overdue, Some(&failure), 1),
            (State::Interrupted, None, 1),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let book = Book::open(folder.path(), "ci-1-2", "shop").unwrap();
            book.expect("deploy", ["image:app".to_owned()]);
            book.skip_rest("the run had ended");
            book.close(state, why).unwrap();
            assert_eq!(junit(folder.path()).failures, failures, "{state:?}");
        }
    }

    #[test]
    fn a_failure_is_told_once_and_whatever_was_running_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(folder.path(), "ci-1-2", "shop").unwrap();
        let [app, web] = ["app", "web"].map(|name| StepId::new(Kind::Image, name));
        book.expect("deploy", [app.to_string(), web.to_string()]);
        let mut scribe = Scribe::new(book.clone(), "deploy");
        scribe.event(&Event::Started { step: app.clone() });
        scribe.event(&Event::Started { step: web });
        let killed_now = junit(folder.path());
        assert_eq!((killed_now.tests, killed_now.errors), (2, 2));
        scribe.event(&Event::Failed { step: app, failure: Failure::step("image:app did not build") });
        book.end("teardown", "ci-1-2", Fate::Passed("removed".to_owned()));
        book.close(State::Failed, Some(&Failure::step("image:app did not build"))).unwrap();
        let report = junit(folder.path());
        assert_eq!((report.tests, report.failures, report.errors), (3, 1, 1));
    }

    #[test]
    fn reports_that_cannot_be_written_are_told_before_anything_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Book::open(&file, "ci-1-2", "shop").is_err());
    }
}
