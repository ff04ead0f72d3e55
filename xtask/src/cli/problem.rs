//! What ends a command before or after its run: a failure, or the mistakes in a graph file.

use engine::config::Diagnostic;
use engine::failure::{Class, Failure};

use crate::report::failure;

/// See the module.
#[derive(Debug)]
pub enum Problem {
    /// Something did not work.
    Failure(Box<Failure>),
    /// The graph file has mistakes; all of them.
    GraphFile(Vec<Diagnostic>),
}

impl Problem {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failure(failure) => failure.class.exit_code(),
            Self::GraphFile(_) => Class::Usage.exit_code(),
        }
    }

    /// What people read, with styles.
    pub fn render(&self) -> String {
        match self {
            Self::Failure(failure) if failure.class == Class::Interrupted && failure.causes.is_empty() => String::new(),
            Self::Failure(failure) => failure::render(failure),
            Self::GraphFile(diagnostics) => engine::config::render_all(diagnostics, true),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl From<Vec<Diagnostic>> for Problem {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self::GraphFile(diagnostics)
    }
}
