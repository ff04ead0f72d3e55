//! Says that files which steps read may have changed. What has changed is found out by looking: the kernel's queue may
//! overflow, and events tell of writes, not of differences.
//!
//! Which folders are watched is [`Walked`]'s to say. Those that the kernel has no more watches for are looked at from time
//! to time instead.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::failure::Failure;
use notify::event::{AccessKind, AccessMode, EventKind, Flag, ModifyKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::walked::Walked;
use crate::world::pause;

/// After the last event of a burst, before it is told.
const QUIET: Duration = Duration::from_millis(15);

/// After the first event of a burst that does not end.
const AT_MOST: Duration = Duration::from_millis(150);

/// Between looks at folders that cannot be watched.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Of what is written through memory, this is all that is told.
const WRITTEN: AccessKind = AccessKind::Close(AccessMode::Write);

/// A burst of events.
#[derive(Debug)]
pub struct Burst {
    /// When the first of them came.
    pub since: Instant,
    /// Where. A folder stands for all that is in it when it is new, or when it cannot be watched.
    pub paths: BTreeSet<PathBuf>,
    /// Some were lost: anything may have changed.
    pub lost: bool,
    /// Why there are folders that cannot be watched, when that has just turned out.
    pub unwatched: Option<Failure>,
}

impl Burst {
    fn now() -> Self {
        Self { since: Instant::now(), paths: BTreeSet::new(), lost: false, unwatched: None }
    }
}

/// A watched workspace.
pub struct Watch {
    walked: Walked,
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<notify::Result<notify::Event>>,
    /// The burst that has begun and not ended.
    gathered: Option<Burst>,
    /// Folders that should be watched and cannot be.
    unwatched: BTreeSet<PathBuf>,
    /// When they are looked at next.
    look_at: Instant,
}

impl Watch {
    /// Begins to watch what `walked` says.
    ///
    /// # Errors
    /// When the workspace's own folder cannot be watched.
    pub fn begin(walked: Walked) -> Result<Self, Failure> {
        let (sender, events) = mpsc::unbounded_channel();
        let root = walked.root().to_owned();
        // Nobody receiving means that the loop has ended.
        let watcher = notify::recommended_watcher(move |event| drop(sender.send(event)));
        let watcher = watcher.map_err(|error| cannot(&root, &error))?;
        let (unwatched, look_at) = (BTreeSet::new(), Instant::now());
        let mut watch = Self { walked, watcher, events, gathered: None, unwatched, look_at };
        watch.watcher.watch(&root, RecursiveMode::NonRecursive).map_err(|error| cannot(&root, &error))?;
        watch.add_all(None);
        Ok(watch)
    }

    /// Watches what `walked` says from now on. Folders that were not watched before are told as new.
    pub fn follow(&mut self, walked: Walked) {
        let before = std::mem::replace(&mut self.walked, walked);
        self.add_all(Some(&before));
    }

    /// The next burst of events. Dropping the future loses none of them.
    pub async fn burst(&mut self) -> Burst {
        loop {
            let Some(burst) = &self.gathered else {
                let look_in = self.look_at.saturating_duration_since(Instant::now());
                tokio::select! {
                    event = self.events.recv() => match event {
                        Some(event) => self.take(event),
                        None => std::future::pending().await,
                    },
                    () = pause(look_in), if !self.unwatched.is_empty() => self.look_at_unwatched(),
                }
                continue;
            };
            let left = (burst.since + AT_MOST).saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                () = pause(left), if left.is_zero() => {}
                event = self.events.recv() => {
                    if let Some(event) = event {
                        self.take(event);
                        continue;
                    }
                }
                () = pause(QUIET.min(left)) => {}
            }
            if let Some(burst) = self.gathered.take() {
                return burst;
            }
        }
    }

    /// Adds an event to the burst that is being gathered, or begins one with it.
    fn take(&mut self, event: notify::Result<notify::Event>) {
        let event = event.unwrap_or_else(|_| notify::Event::new(EventKind::Other).set_flag(Flag::Rescan));
        let lost = event.need_rescan();
        // Reading changes nothing.
        if !lost && matches!(event.kind, EventKind::Access(kind) if kind != WRITTEN) {
            return;
        }
        let paths: Vec<PathBuf> = event.paths.into_iter().filter(|path| self.walked.holds(path)).collect();
        if lost {
            // Among what was lost there may be folders that are new, or others by their old names.
            self.add_all(None);
        }
        // One that could not be read before may be readable now.
        let may_be_new = |kind: ModifyKind| matches!(kind, ModifyKind::Name(_) | ModifyKind::Metadata(_));
        if matches!(event.kind, EventKind::Create(_))
            || matches!(event.kind, EventKind::Modify(kind) if may_be_new(kind))
        {
            for folder in paths.iter().filter(|path| is_folder(path)) {
                self.add(folder, None);
            }
        }
        if lost || !paths.is_empty() {
            let burst = self.gathered.get_or_insert_with(Burst::now);
            burst.lost |= lost;
            burst.paths.extend(paths);
        }
    }

    /// What is in folders that cannot be watched may have changed; perhaps they can be now.
    fn look_at_unwatched(&mut self) {
        let folders = std::mem::take(&mut self.unwatched);
        self.gathered.get_or_insert_with(Burst::now).paths.extend(folders.iter().cloned());
        for folder in &folders {
            self.add(folder, None);
        }
        // It was told before.
        if let Some(burst) = &mut self.gathered {
            burst.unwatched = None;
        }
    }

    /// Watches everything; what `before` did not say is told as new.
    fn add_all(&mut self, before: Option<&Walked>) {
        let elsewhere: Vec<PathBuf> = self.walked.elsewhere().map(Path::to_owned).collect();
        let root = self.walked.root().to_owned();
        for folder in std::iter::once(&root).chain(&elsewhere) {
            self.add(folder, before);
        }
    }

    /// Watches a folder and those in it. One that goes meanwhile is not missed, and what this user may not read no step
    /// can read either.
    fn add(&mut self, folder: &Path, before: Option<&Walked>) {
        if !self.walked.holds(folder) {
            return;
        }
        if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            let denied =
                matches!(&error.kind, ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied);
            if !denied && folder.exists() {
                self.cannot_watch(folder, &error);
            }
            return;
        }
        if before.is_some_and(|before| !before.holds(folder)) {
            self.gathered.get_or_insert_with(Burst::now).paths.insert(folder.to_owned());
        }
        if !self.walked.is_whole(folder) {
            return;
        }
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path(), before);
            }
        }
    }

    /// Has `folder` looked at from time to time, and tells why when it is the first.
    fn cannot_watch(&mut self, folder: &Path, error: &notify::Error) {
        if self.unwatched.is_empty() {
            self.look_at = Instant::now() + LOOK_EVERY;
            let failure = cannot(folder, error).because(format!(
                "until it can be, it is looked at every {}s, and so are others that cannot be watched",
                LOOK_EVERY.as_secs()
            ));
            self.gathered.get_or_insert_with(Burst::now).unwatched = Some(failure);
        }
        self.unwatched.insert(folder.to_owned());
    }
}

/// Whether `path` is a folder of its own: what a symlink leads to is watched where it lies, or lies elsewhere.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|there| there.is_dir())
}

fn cannot(folder: &Path, error: &notify::Error) -> Failure {
    let failure = Failure::environment(format!("could not watch {}", folder.display())).because(error);
    match error.kind {
        ErrorKind::MaxFilesWatch => failure.help("allow more: sudo sysctl fs.inotify.max_user_watches=524288"),
        _ => failure.help("another program may have all of the kernel's watches: fs.inotify.max_user_instances"),
    }
}
