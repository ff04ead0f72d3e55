//! Says that files of the workspace may have changed. What has changed is found out by looking: the kernel's queue may
//! overflow, and events tell of writes, not of differences.
//!
//! Folders that no step walks (`node_modules`, `target`, …) are not watched: they hold most of a workspace's folders,
//! and the kernel counts watches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::failure::Failure;
use engine::files::rules::NEVER_WALKED;
use notify::event::{EventKind, Flag, ModifyKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::world::pause;

/// After the last event of a burst, before it is told.
const QUIET: Duration = Duration::from_millis(15);

/// After the first event of a burst that does not end.
const AT_MOST: Duration = Duration::from_millis(150);

/// A burst of events.
#[derive(Debug)]
pub struct Burst {
    /// When the first of them came.
    pub since: Instant,
    /// Where.
    pub paths: BTreeSet<PathBuf>,
    /// Some were lost: anything may have changed.
    pub lost: bool,
}

impl Burst {
    fn now() -> Self {
        Self { since: Instant::now(), paths: BTreeSet::new(), lost: false }
    }
}

/// A watched workspace.
pub struct Watch {
    root: PathBuf,
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<notify::Result<notify::Event>>,
    /// The burst that has begun and not ended.
    gathered: Option<Burst>,
}

impl Watch {
    /// Begins to watch the folder `root` with what is in it.
    ///
    /// # Errors
    /// When the kernel allows no more watches.
    pub fn begin(root: &Path) -> Result<Self, Failure> {
        let (sender, events) = mpsc::unbounded_channel();
        // Nobody receiving means that the loop has ended.
        let watcher = notify::recommended_watcher(move |event| drop(sender.send(event)));
        let watcher = watcher.map_err(|error| cannot(root, &error))?;
        let mut watch = Self { root: root.to_owned(), watcher, events, gathered: None };
        watch.add(root)?;
        Ok(watch)
    }

    /// The next burst of events. Dropping the future loses none of them.
    ///
    /// # Errors
    /// When a new folder cannot be watched.
    pub async fn burst(&mut self) -> Result<Burst, Failure> {
        loop {
            let Some(burst) = &self.gathered else {
                let Some(first) = self.events.recv().await else { std::future::pending().await };
                self.take(first)?;
                continue;
            };
            let left = (burst.since + AT_MOST).saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                () = pause(left), if left.is_zero() => {}
                event = self.events.recv() => {
                    if let Some(event) = event {
                        self.take(event)?;
                        continue;
                    }
                }
                () = pause(QUIET.min(left)) => {}
            }
            if let Some(burst) = self.gathered.take() {
                return Ok(burst);
            }
        }
    }

    /// Adds an event to the burst that is being gathered, or begins one with it.
    fn take(&mut self, event: notify::Result<notify::Event>) -> Result<(), Failure> {
        let event = event.unwrap_or_else(|_| notify::Event::new(EventKind::Other).set_flag(Flag::Rescan));
        let lost = event.need_rescan();
        // Reading changes nothing.
        if !lost && matches!(event.kind, EventKind::Access(_)) {
            return Ok(());
        }
        let paths: Vec<PathBuf> = event.paths.into_iter().filter(|path| self.concerns(path)).collect();
        if lost {
            // Among what was lost there may be folders that are new, or others by their old names.
            let root = self.root.clone();
            self.add(&root)?;
        }
        if matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_))) {
            for folder in paths.iter().filter(|path| is_folder(path)) {
                self.add(folder)?;
            }
        }
        if lost || !paths.is_empty() {
            let burst = self.gathered.get_or_insert_with(Burst::now);
            burst.lost |= lost;
            burst.paths.extend(paths);
        }
        Ok(())
    }

    /// Whether any step may read what is at `path`.
    fn concerns(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        !below.iter().any(|name| name.to_str().is_some_and(|name| NEVER_WALKED.contains(&name)))
    }

    /// Watches a folder and those in it. One that goes meanwhile is not missed.
    fn add(&mut self, folder: &Path) -> Result<(), Failure> {
        if !self.concerns(folder) {
            return Ok(());
        }
        if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            return match &error.kind {
                ErrorKind::PathNotFound | ErrorKind::Io(_) if !folder.exists() => Ok(()),
                _ => Err(cannot(folder, &error)),
            };
        }
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path())?;
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::Watch;

    /// Far beyond what a burst takes.
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_was_gathered_when_somebody_stopped_listening_is_told_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let mut watch = Watch::begin(&root).unwrap();
        fs::write(root.join("a.py"), "1").unwrap();
        while watch.gathered.is_none() {
            // Dropped again and again in the middle.
            let _ = tokio::time::timeout(Duration::from_millis(1), watch.burst()).await;
        }
        let burst = tokio::time::timeout(LONG, watch.burst()).await.unwrap().unwrap();
        assert!(burst.paths.contains(&root.join("a.py")), "{burst:?}");
    }

    #[tokio::test]
    async fn symlinks_are_told_of_and_what_they_lead_to_by_its_own_name_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("app")).unwrap();
        let mut watch = Watch::begin(&root).unwrap();
        std::os::unix::fs::symlink("app", root.join("link")).unwrap();
        std::os::unix::fs::symlink("/", root.join("everything")).unwrap();
        let burst = tokio::time::timeout(LONG, watch.burst()).await.unwrap().unwrap();
        assert!(burst.paths.contains(&root.join("link")), "{burst:?}");
        fs::write(root.join("app/a.py"), "1").unwrap();
        let burst = tokio::time::timeout(LONG, watch.burst()).await.unwrap().unwrap();
        assert!(burst.paths.contains(&root.join("app/a.py")), "{burst:?}");
        assert!(!burst.paths.contains(&root.join("link/a.py")), "{burst:?}");
    }

    #[tokio::test]
    async fn a_burst_is_told_once_also_in_folders_that_are_new_and_never_from_those_that_are_not_walked() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("node_modules/x")).unwrap();
        fs::create_dir(root.join("app")).unwrap();
        let mut watch = Watch::begin(&root).unwrap();
        fs::write(root.join("node_modules/x/a.js"), "1").unwrap();
        fs::create_dir_all(root.join("app/new/deep")).unwrap();
        let burst = tokio::time::timeout(LONG, watch.burst()).await.unwrap().unwrap();
        assert!(burst.paths.contains(&root.join("app/new")), "{burst:?}");
        assert!(!burst.paths.iter().any(|path| path.starts_with(root.join("node_modules"))), "{burst:?}");

        fs::write(root.join("app/new/deep/a.py"), "1").unwrap();
        let deep = root.join("app/new/deep/a.py");
        let mut seen = false;
        while !seen {
            let burst = tokio::time::timeout(LONG, watch.burst()).await.unwrap().unwrap();
            seen = burst.paths.contains(&deep);
        }
        // An editor's atomic save: another file is renamed over it.
        fs::write(root.join("app/new/deep/.a.py.swp"), "2").unwrap();
        fs::rename(root.join("app/new/deep/.a.py.swp"), &deep).unwrap();
        let burst = tokio::time::timeout(LONG, watch.burst()).await.unwrap().unwrap();
        assert!(burst.paths.contains(&deep), "{burst:?}");
    }
}
