//! The whole output of what a step runs, in a file of its run's folder, redacted.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::failure::Failure;
use engine::step::StepId;

use crate::context::Context;
use crate::redact::Redactor;

/// A step's log.
pub struct Log {
    file: File,
    path: PathBuf,
    root: PathBuf,
    redactor: Arc<Redactor>,
}

impl Log {
    /// The log of `step` in this run; a second run of the step within it goes on where the first ended.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(cx: &Context, step: &StepId) -> Result<Self, Failure> {
        let path = cx.log_path(step)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(|error| Failure::io("write", &path, &error))?;
        Ok(Self { file, path, root: cx.workspace.root().to_owned(), redactor: Arc::clone(&cx.redactor) })
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        // A full disk costs the log, and is told by whatever else needs the disk.
        let _ = writeln!(self.file, "{}", self.redactor.redact(line));
    }

    /// The file's path as people type it: relative to the workspace.
    pub fn shown(&self) -> String {
        self.path.strip_prefix(&self.root).unwrap_or(Path::new(&self.path)).display().to_string()
    }
}
