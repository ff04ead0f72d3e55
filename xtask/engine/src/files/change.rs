//! What differs between two file sets: the "why" of a stale step.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::file_set::{Entry, EntryKind, FileSet, compare};
use crate::digest::Digest;

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The path, relative to the root.
    pub path: String,
    /// What is different about it.
    pub what: Difference,
}

/// What is different about a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// It was not there before.
    Added,
    /// It is gone.
    Removed,
    /// It is here now, unchanged, and was at the named path before.
    MovedFrom(String),
    /// The file's contents.
    Contents,
    /// The file's contents are the same; whether it may be executed is not.
    Executable(bool),
    /// A symlink that points elsewhere: here.
    Target(String),
    /// A file has become a directory, a symlink a file, and so on.
    Kind,
}

impl FileSet {
    /// What is different here from `before`, in the order of the paths. Directories count only when nothing under
    /// them says the same, that is, when they are empty.
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        if self.digest() == before.digest() {
            return Vec::new();
        }
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let mut changes = Vec::new();
        let (mut old, mut new) = (before.entries().iter().peekable(), self.entries().iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(old), Some(new)) => compare(&old.path, &new.path),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            match order {
                Ordering::Less => removed.extend(old.next()),
                Ordering::Greater => added.extend(new.next()),
                Ordering::Equal => {
                    if let (Some(old), Some(new)) = (old.next(), new.next()) {
                        changes.extend(difference(old, new).map(|what| Change { path: new.path.clone(), what }));
                    }
                }
            }
        }
        let removed = without_filled_directories(&removed);
        let mut sources: BTreeMap<(Digest, bool), VecDeque<&str>> = BTreeMap::new();
        for entry in &removed {
            if let Some(contents) = telling_contents(entry) {
                sources.entry(contents).or_default().push_back(&entry.path);
            }
        }
        let mut moved = BTreeSet::new();
        for entry in without_filled_directories(&added) {
            let sources = telling_contents(entry).and_then(|contents| sources.get_mut(&contents));
            let what = match sources.and_then(VecDeque::pop_front) {
                Some(source) => {
                    moved.insert(source);
                    Difference::MovedFrom(source.to_owned())
                }
                None => Difference::Added,
            };
            changes.push(Change { path: entry.path.clone(), what });
        }
        let gone = removed.iter().filter(|entry| !moved.contains(&*entry.path));
        changes.extend(gone.map(|entry| Change { path: entry.path.clone(), what: Difference::Removed }));
        changes.sort_by(|a, b| compare(&a.path, &b.path));
        changes
    }
}

/// The contents by which a file is recognised at another path. Empty files are alike without being the same.
fn telling_contents(entry: &Entry) -> Option<(Digest, bool)> {
    match entry.kind {
        EntryKind::File { digest, executable, size: 1.. } => Some((digest, executable)),
        _ => None,
    }
}

fn without_filled_directories<'a>(entries: &[&'a Entry]) -> Vec<&'a Entry> {
    let below = |directory: &Entry, entry: &Entry| {
        entry.path.strip_prefix(&directory.path).is_some_and(|rest| rest.starts_with('/'))
    };
    let mut kept = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let filled =
            entry.kind == EntryKind::Directory && entries.get(index + 1).is_some_and(|next| below(entry, next));
        if !filled {
            kept.push(*entry);
        }
    }
    kept
}

fn difference(old: &Entry, new: &Entry) -> Option<Difference> {
    match (&old.kind, &new.kind) {
        (EntryKind::File { digest: old, executable: was, .. }, EntryKind::File { digest: new, executable, .. }) => {
            if old != new {
                Some(Difference::Contents)
            } else {
                (was != executable).then_some(Difference::Executable(*executable))
            }
        }
        (EntryKind::Symlink { target: old }, EntryKind::Symlink { target: new }) => {
            (old != new).then(|| Difference::Target(new.clone()))
        }
        (EntryKind::Directory, EntryKind::Directory) => None,
        _ => Some(Difference::Kind),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, what } = self;
        match what {
            Difference::Added => write!(f, "{path} is new"),
            Difference::Removed => write!(f, "{path} is gone"),
            Difference::MovedFrom(from) => write!(f, "{from} moved to {path}"),
            Difference::Contents => write!(f, "{path} changed"),
            Difference::Executable(true) => write!(f, "{path} became executable"),
            Difference::Executable(false) => write!(f, "{path} is no longer executable"),
            Difference::Target(target) => write!(f, "{path} points to {target} now"),
            Difference::Kind => write!(f, "{path} is of another kind now"),
        }
    }
}

/// One line for people: `app/chat.py changed, 1 of 48 files`; `None` when nothing changed.
pub fn summary(changes: &[Change], files: u64) -> Option<String> {
    let noun = if files == 1 { "file" } else { "files" };
    match changes {
        [] => None,
        [only] => Some(format!("{only}, 1 of {files} {noun}")),
        [first, ..] => Some(format!("{first} and {} more, {} of {files} {noun}", changes.len() - 1, changes.len())),
    }
}
