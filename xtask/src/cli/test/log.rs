//! What a suite says, kept until it runs again: on a screen the failure of one is lost between the hundreds of lines of
//! the others.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use engine::failure::Failure;

/// The file of one run of a suite.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// An empty one in `folder` for the suite `name`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(folder: &Path, name: &str) -> Result<Self, Failure> {
        let path = folder.join(format!("{}.log", name.replace(' ', "-")));
        // What fails may print what it was given.
        let open = || OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        let file = create_dir_all(folder).and_then(|()| open());
        let file = file.map_err(|error| Failure::io("write", &path, &error))?;
        Ok(Self { path, file })
    }

    /// Adds a line at once, without the terminal's colours: of a suite beside another nothing else is seen meanwhile.
    pub fn write(&mut self, line: &str) {
        // A full disk fails whatever it is that matters; the line is shown all the same.
        let _ = writeln!(self.file, "{}", anstream::adapter::strip_str(line));
    }

    /// Where it is.
    pub fn into_path(self) -> PathBuf {
        self.path
    }
}
