//! What a walk found: directories in order, their wanted files, and the stamps by which a later look at the disk can
//! tell that nothing happened.

use rustix::fs::{FileType, Stat};

use super::file_set::{Entry, EntryKind};
use crate::digest::Digest;

/// What `stat` says that changes when a file or a listing does. Times are in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) mode: u16,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) ctime: i64,
}

impl Stamp {
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the fields' types differ from system to system")]
    pub(super) fn of(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            // Kind and permissions are in the lower 16 bits.
            mode: stat.st_mode as u16,
            size: stat.st_size as u64,
            mtime: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode.into())
    }

    pub(super) const fn executable(&self) -> bool {
        self.mode & 0o100 != 0
    }
}

/// A directory that was walked.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    /// Relative to the root; the root itself is empty.
    pub(super) path: String,
    pub(super) stamp: Stamp,
    /// Changed so lately that a further change might not show in its stamp.
    pub(super) fresh: bool,
    /// It is an entry by itself, not only when something below it is.
    pub(super) wanted: bool,
    /// Sorted by name.
    pub(super) files: Vec<File>,
}

/// A file or a symlink in a [`Directory`].
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) stamp: Stamp,
    /// As in [`Directory::fresh`].
    pub(super) fresh: bool,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Not read yet.
    Unread,
    File(Digest),
    Symlink(String),
}

/// `name` in the directory `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// All that a walk found.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// In the order of [`super::file_set::compare`], the root first; every directory's parent is there too.
    pub(super) directories: Vec<Directory>,
    /// Directories are entries as soon as something below them is one.
    pub(super) lists_parents: bool,
}

impl Tree {
    /// The entries in order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let visible = self.visible();
        let mut entries = Vec::with_capacity(self.directories.iter().map(|directory| directory.files.len() + 1).sum());
        // Directories around the current one, outermost first, with how many of their files are listed already.
        let mut around: Vec<(&Directory, usize)> = Vec::new();
        for (directory, visible) in self.directories.iter().zip(visible) {
            while let Some((parent, listed)) = around.last_mut() {
                let name = directory.name_below(parent);
                let files = parent.files.get(*listed..).unwrap_or_default();
                let before = files.iter().take_while(|file| name.is_none_or(|name| file.name.as_str() < name));
                entries.extend(before.inspect(|_| *listed += 1).filter_map(|file| entry(parent, file)));
                if name.is_some() {
                    break;
                }
                around.pop();
            }
            if visible {
                entries.push(Entry { path: directory.path.clone(), kind: EntryKind::Directory });
            }
            around.push((directory, 0));
        }
        while let Some((directory, listed)) = around.pop() {
            let files = directory.files.get(listed..).unwrap_or_default();
            entries.extend(files.iter().filter_map(|file| entry(directory, file)));
        }
        entries
    }

    /// Which directories are entries.
    fn visible(&self) -> Vec<bool> {
        let mut visible: Vec<bool> = self.directories.iter().map(|directory| directory.wanted).collect();
        if self.lists_parents {
            let mut around: Vec<usize> = Vec::new();
            for (index, directory) in self.directories.iter().enumerate() {
                while around.last().is_some_and(|last| directory.name_below(&self.directories[*last]).is_none()) {
                    around.pop();
                }
                around.push(index);
                if directory.wanted || !directory.files.is_empty() {
                    around.iter().for_each(|index| visible[*index] = true);
                }
            }
        }
        // The root is what the paths are relative to.
        visible.iter_mut().take(1).for_each(|root| *root = false);
        visible
    }
}

impl Directory {
    /// This directory's path relative to `parent`; `None` when it is not below it.
    fn name_below(&self, parent: &Self) -> Option<&str> {
        if parent.path.is_empty() {
            return Some(&self.path);
        }
        self.path.strip_prefix(&parent.path)?.strip_prefix('/')
    }
}

fn entry(directory: &Directory, file: &File) -> Option<Entry> {
    let kind = match &file.content {
        Content::Unread => return None,
        Content::File(digest) => {
            EntryKind::File { executable: file.stamp.executable(), size: file.stamp.size, digest: *digest }
        }
        Content::Symlink(target) => EntryKind::Symlink { target: target.clone() },
    };
    Some(Entry { path: join(&directory.path, &file.name), kind })
}
