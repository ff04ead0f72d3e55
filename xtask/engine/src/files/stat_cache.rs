//! The folder that stat caches are kept in: one file for each query's name, read whole, replaced whole.
//!
//! Nothing here is worth failing for. A file that cannot be read costs hashing; one that cannot be written costs
//! hashing the next time, and a note now.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::Pid;

use super::snapshot::Snapshot;
use super::tree::Stamp;

/// What the names of caches end with.
const CACHE: &str = ".stat";
/// What the names of caches that are being written end with, behind the process and a number.
const TEMPORARY: &str = ".tmp";
/// The file whose time is the beginning of the latest gathering.
const BEGAN: &str = "began";

/// When a gathering began, by the clock that stamps the files: the time that the file system itself gave to a file
/// written at that moment. The system's clock is another one, finer and, over a network, somebody else's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    pub(super) device: u64,
    /// In nanoseconds, as in a stamp.
    pub(super) at: i64,
}

impl Began {
    /// Whether something that changed after it was looked at might still have `stamp`.
    ///
    /// That is so for what was stamped at or after the beginning, as the next change may happen in the same tick of
    /// the clock. The time of the last change counts beside that of the last modification: a program can set the
    /// latter back. And files of another file system have a clock that we did not ask.
    pub(super) fn is_fresh(&self, stamp: &Stamp) -> bool {
        stamp.device != self.device || stamp.mtime.max(stamp.ctime) >= self.at
    }
}

/// The folder.
#[derive(Debug)]
pub(super) struct StatCache {
    folder: PathBuf,
    swept: Once,
}

impl StatCache {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder, swept: Once::new() }
    }

    /// Writes the file whose time is the beginning of a gathering. Two at once may write it: either's time is before
    /// what either looks at from then on.
    ///
    /// The error is the reason why nothing can be cached.
    pub(super) fn begin(&self) -> Result<Began, String> {
        let path = self.folder.join(BEGAN);
        let stamp = || -> io::Result<Stamp> {
            let mut file = match File::create(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(&self.folder)?;
                    File::create(&path)?
                }
                file => file?,
            };
            file.write_all(b"\n")?;
            Ok(Stamp::of(&rustix::fs::fstat(&file)?))
        };
        match stamp() {
            Ok(stamp) => Ok(Began { device: stamp.device, at: stamp.mtime }),
            Err(error) => Err(not_written(&path, &error)),
        }
    }

    /// The snapshot stored under `name`, if it is whole.
    pub(super) fn load(&self, name: &str) -> Option<Snapshot> {
        fs::read(self.path(name)).ok().and_then(Snapshot::read)
    }

    /// Stores `snapshot` under `name`; the reason when that is not possible.
    pub(super) fn save(&self, name: &str, snapshot: &Snapshot) -> Result<(), String> {
        static SAVES: AtomicUsize = AtomicUsize::new(0);
        let path = self.path(name);
        let count = SAVES.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{name}.{}-{count}{TEMPORARY}", std::process::id()));
        let write = || {
            fs::write(&temporary, snapshot.bytes())?;
            fs::rename(&temporary, &path)
        };
        // Once: a graph of a thousand steps has as many files there, and saves them all after its first run.
        self.swept.call_once(|| self.sweep());
        write().map_err(|error: io::Error| {
            // It may not even have been made.
            let _ = fs::remove_file(&temporary);
            not_written(&path, &error)
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{CACHE}"))
    }

    /// Removes what processes that are no more left half written.
    fn sweep(&self) {
        let Ok(listing) = fs::read_dir(&self.folder) else { return };
        for path in listing.flatten().map(|entry| entry.path()) {
            if writer(&path).is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::SRCH)) {
                // Another process may have been quicker.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// The process that writes a temporary file.
fn writer(path: &Path) -> Option<Pid> {
    let name = path.file_name()?.to_str()?.strip_suffix(TEMPORARY)?;
    let (_, writer) = name.rsplit_once('.')?;
    Pid::from_raw(writer.split_once('-')?.0.parse().ok()?)
}

fn not_written(path: &Path, error: &io::Error) -> String {
    format!("no stat cache ({}: {error}), so the next run reads all files again", path.display())
}
