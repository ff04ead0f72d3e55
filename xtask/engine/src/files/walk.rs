//! Lists and stats directories, by two workers, and takes over from the stat cache what still holds.
//!
//! With a snapshot made by the same rules only the directories that [`super::verify`] found changed are listed again,
//! and what is new below them; without, everything is. It reads no contents: files whose contents are not known are
//! left [`Content::Unread`] for [`super::content`].

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use super::file_set::compare;
use super::rules::{Above, Rules};
use super::snapshot::Snapshot;
use super::stat_cache::Began;
use super::tree::{Content, Directory, File, Stamp, Tree, join};
use super::verify::DIRECTORY_FLAGS;
use super::workers::{WORKERS, share};
use crate::failure::Failure;

/// What stops a gathering.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The path changed between two looks at it. Another attempt may find it at rest.
    Unsettled(String),
    /// Another attempt would find the same.
    Failed(Failure),
}

/// What a walk is told.
pub(super) struct Walk<'a> {
    pub(super) root: BorrowedFd<'a>,
    /// For messages.
    pub(super) root_path: &'a Path,
    pub(super) rules: &'a Rules,
    /// Unknown when nothing can be cached.
    pub(super) began: Option<Began>,
    pub(super) snapshot: Option<&'a Snapshot>,
    /// With a snapshot by the same rules: which of its directories changed.
    pub(super) changed: Option<&'a [bool]>,
}

struct Task {
    path: String,
    wanted: bool,
    above: Above,
}

/// A directory, and the names of those in it that are part of the tree.
struct Listing {
    directory: Directory,
    children: Vec<String>,
}

#[derive(Default)]
struct Queue {
    tasks: Vec<Task>,
    running: usize,
    listings: BTreeMap<String, Listing>,
    trouble: Option<Trouble>,
}

impl Walk<'_> {
    /// All directories and their wanted files, in order.
    pub(super) fn tree(&self) -> Result<Tree, Trouble> {
        let mut queue = Queue::default();
        match (self.snapshot, self.changed) {
            (Some(snapshot), Some(changed)) => {
                let changed = changed.iter().enumerate().filter(|(_, changed)| **changed);
                queue.tasks.extend(changed.map(|(index, _)| {
                    let record = snapshot.directory(index);
                    let path = String::from_utf8_lossy(record.path).into_owned();
                    Task { above: self.rules.above(&path), path, wanted: record.wanted }
                }));
            }
            _ => queue.tasks.push(Task { path: String::new(), wanted: false, above: Above::default() }),
        }
        let (queue, more) = (Mutex::new(queue), Condvar::new());
        share(WORKERS, || self.work(&queue, &more));
        let queue = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = queue.trouble {
            return Err(trouble);
        }
        Ok(Tree { directories: self.assemble(queue.listings)?, lists_parents: self.rules.lists_parents() })
    }

    fn work(&self, queue: &Mutex<Queue>, more: &Condvar) {
        let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state: MutexGuard<'_, Queue> = lock();
        loop {
            if state.trouble.is_some() {
                return;
            }
            let Some(task) = state.tasks.pop() else {
                if state.running == 0 {
                    return;
                }
                state = more.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.running += 1;
            drop(state);
            let listed = self.list(&task);
            state = lock();
            state.running -= 1;
            match listed {
                Ok(Some((listing, tasks))) => {
                    state.tasks.extend(tasks);
                    state.listings.insert(listing.directory.path.clone(), listing);
                }
                Ok(None) => {}
                Err(trouble) => state.trouble = Some(trouble),
            }
            more.notify_all();
        }
    }

    /// Lists one directory; `None` when it is not there.
    fn list(&self, task: &Task) -> Result<Option<(Listing, Vec<Task>)>, Trouble> {
        let failed = |doing: &str, error: Errno| self.failed(doing, &task.path, error);
        let path = if task.path.is_empty() { "." } else { &task.path };
        let (handle, stat) = match rustix::fs::openat(self.root, path, DIRECTORY_FLAGS, Mode::empty()) {
            Ok(handle) => {
                let stat = rustix::fs::fstat(&handle);
                (Some(handle), stat)
            }
            // What nobody wants may be closed to us, and then has nothing in it that could be brought back.
            Err(Errno::ACCESS) if !task.wanted && !task.path.is_empty() => {
                (None, rustix::fs::statat(self.root, path, AtFlags::SYMLINK_NOFOLLOW))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(failed("open", error)),
        };
        let stamp = Stamp::of(&stat.map_err(|error| failed("look at", error))?);
        let directory = Directory {
            path: task.path.clone(),
            fresh: self.is_fresh(&stamp),
            stamp,
            wanted: task.wanted,
            files: Vec::new(),
        };
        let (mut listing, mut tasks) = (Listing { directory, children: Vec::new() }, Vec::new());
        let Some(handle) = handle else { return Ok(Some((listing, tasks))) };
        for entry in Dir::read_from(&handle).map_err(|error| failed("list", error))? {
            let entry = entry.map_err(|error| failed("list", error))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                tasks.extend(self.add(&handle, name, entry.file_type(), task, &mut listing)?);
            }
        }
        let directory = &mut listing.directory;
        directory.files.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(snapshot) = self.snapshot
            && let Some(index) = position(snapshot, &task.path)
        {
            take_over(snapshot, index, directory);
        }
        self.read_links(&handle, directory)?;
        Ok(Some((listing, tasks)))
    }

    /// Adds one name of a directory to its listing; a directory that has to be walked gives a task.
    fn add(
        &self,
        handle: &OwnedFd,
        name: &[u8],
        kind: FileType,
        task: &Task,
        listing: &mut Listing,
    ) -> Result<Option<Task>, Trouble> {
        let text = text_of(name);
        let path = join(&task.path, &text);
        // Not every file system tells the kinds in its listings.
        let stamp = if kind == FileType::Unknown { Some(self.stat(handle, &path, name)?) } else { None };
        let kind = stamp.map_or(kind, |stamp| stamp.kind());
        // Sockets, pipes and devices are what a running program left there, not sources: they are not part of any
        // file set, and what is built from one does not get them.
        if !matches!(kind, FileType::Directory | FileType::RegularFile | FileType::Symlink) {
            return Ok(None);
        }
        let judged = self.rules.judge(&path, &text, kind, &task.above);
        if !judged.wanted && judged.walk.is_none() {
            return Ok(None);
        }
        if str::from_utf8(name).is_err() {
            return Err(Trouble::Failed(self.not_text(&path)));
        }
        if kind == FileType::Directory {
            listing.children.push(text);
            // One that was there before is either unchanged or was queued at the start.
            let known =
                self.changed.is_some() && self.snapshot.is_some_and(|snapshot| position(snapshot, &path).is_some());
            return Ok(judged.walk.filter(|_| !known).map(|above| Task { path, wanted: judged.wanted, above }));
        }
        let stamp = match stamp {
            Some(stamp) => stamp,
            None => self.stat(handle, &path, name)?,
        };
        let file = File { name: text, fresh: self.is_fresh(&stamp), stamp, content: Content::Unread };
        listing.directory.files.push(file);
        Ok(None)
    }

    fn stat(&self, directory: &OwnedFd, path: &str, name: &[u8]) -> Result<Stamp, Trouble> {
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Stamp::of(&stat)),
            Err(Errno::NOENT) => Err(Trouble::Unsettled(path.to_owned())),
            Err(error) => Err(self.failed("look at", path, error)),
        }
    }

    fn read_links(&self, handle: &OwnedFd, directory: &mut Directory) -> Result<(), Trouble> {
        let links = directory.files.iter_mut().filter(|file| file.stamp.kind() == FileType::Symlink);
        for link in links.filter(|file| file.content == Content::Unread) {
            let path = join(&directory.path, &link.name);
            let target = match rustix::fs::readlinkat(handle, link.name.as_str(), Vec::new()) {
                Ok(target) => target,
                Err(Errno::NOENT | Errno::INVAL) => return Err(Trouble::Unsettled(path)),
                Err(error) => return Err(self.failed("read the link", &path, error)),
            };
            let target = target.into_string().map_err(|_| {
                Trouble::Failed(
                    Failure::step(format!(
                        "{} points to a path that is not UTF-8",
                        self.root_path.join(&path).display()
                    ))
                    .help("let it point elsewhere, or have it ignored"),
                )
            })?;
            link.content = Content::Symlink(target);
        }
        Ok(())
    }

    /// The unchanged directories of the snapshot and the listed ones together, in order.
    fn assemble(&self, mut listings: BTreeMap<String, Listing>) -> Result<Vec<Directory>, Trouble> {
        let mut directories = Vec::new();
        if let (Some(snapshot), Some(changed)) = (self.snapshot, self.changed) {
            // What is below a directory that is gone is skipped; its path with a `/` behind it.
            let mut gone: Option<String> = None;
            for (index, changed) in changed.iter().enumerate() {
                let path = String::from_utf8_lossy(snapshot.directory(index).path).into_owned();
                if gone.as_ref().is_some_and(|gone| path.starts_with(gone)) {
                    listings.remove(&path);
                    continue;
                }
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
                let listed = |listing: &Listing| listing.children.iter().any(|child| child == name);
                if !path.is_empty() && listings.get(parent).is_some_and(|parent| !listed(parent)) {
                    listings.remove(&path);
                    gone = Some(format!("{path}/"));
                } else if !changed {
                    directories.push(snapshot.whole_directory(index));
                } else if !listings.contains_key(&path) {
                    return Err(Trouble::Unsettled(path));
                }
            }
        }
        directories.extend(listings.into_values().map(|listing| listing.directory));
        directories.sort_by(|a, b| compare(&a.path, &b.path));
        Ok(directories)
    }

    fn is_fresh(&self, stamp: &Stamp) -> bool {
        self.began.is_none_or(|began| began.is_fresh(stamp))
    }

    /// An error of the operating system about the path `path` below the root.
    pub(super) fn failed(&self, doing: &str, path: &str, error: Errno) -> Trouble {
        let failure = Failure::io(doing, &self.root_path.join(path), &error.into());
        Trouble::Failed(failure.help("or have it ignored, if it is not meant to be part of this"))
    }

    fn not_text(&self, path: &str) -> Failure {
        Failure::step(format!("the name of {} is not UTF-8", self.root_path.join(path).display()))
            .because("names are compared, stored and shown as text, and this one cannot be")
            .help("rename it, or have it ignored")
    }
}

/// A name as text, each byte that is not UTF-8 replaced; for matching and for messages.
fn text_of(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Where `path` is among the snapshot's directories.
fn position(snapshot: &Snapshot, path: &str) -> Option<usize> {
    // A snapshot is made of text.
    let of = |index| str::from_utf8(snapshot.directory(index).path).unwrap_or_default();
    let index = snapshot.first_directory(|index| compare(of(index), path).is_lt());
    (index < snapshot.directories() && of(index) == path).then_some(index)
}

/// Fills in the contents of files that are as they were in the snapshot's directory `index`.
fn take_over(snapshot: &Snapshot, index: usize, directory: &mut Directory) {
    let device = snapshot.directory(index).stamp.device;
    let mut known = (snapshot.first_file(index)..snapshot.first_file(index + 1)).peekable();
    for file in &mut directory.files {
        while known.next_if(|index| snapshot.file(*index, device).name < file.name.as_bytes()).is_some() {}
        let Some(index) = known.peek() else { break };
        let record = snapshot.file(*index, device);
        if record.name == file.name.as_bytes() && record.stamp == file.stamp && !record.fresh {
            file.content = snapshot.content(*index, &record);
        }
    }
}
