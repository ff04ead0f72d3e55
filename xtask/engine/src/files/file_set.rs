//! The files of a query at one moment: an ordered list, and one digest over it.
//!
//! Digest and list come from one traversal, so they cannot disagree. What is in an entry is what a build can see:
//! path, kind, contents, whether the owner may execute it, where a symlink points. Times, owners, group and other
//! permissions, directories' modes and the place of the checkout are not in it.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::snapshot::Snapshot;
use crate::digest::{Digest, Hasher};

/// One path of a file set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the query's root, with `/`.
    pub path: String,
    /// What is there.
    pub kind: EntryKind,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its owner may execute it: mode 0755, else 0644, whatever the other bits are.
        executable: bool,
        /// In bytes.
        size: u64,
        /// SHA-256 of its contents.
        digest: Digest,
    },
    /// A symbolic link, not followed.
    Symlink {
        /// As stored in the link.
        target: String,
    },
    /// A directory.
    Directory,
}

/// How many of what are in a file set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Files and symlinks.
    pub files: u64,
    /// Directories that are entries.
    pub directories: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

/// An ordered list of entries with its digest. Cheap to clone.
///
/// The order is that of a walk which visits each directory's names sorted by their bytes and each directory's
/// contents right after the directory itself: `a`, `a/b`, `a-b`.
#[derive(Debug, Clone)]
pub struct FileSet {
    digest: Digest,
    counts: Counts,
    entries: OnceLock<Arc<[Entry]>>,
    /// Where the entries are when nobody has asked for them yet.
    snapshot: Option<Arc<Snapshot>>,
}

impl FileSet {
    /// A file set of entries that are in order.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut hasher = Hasher::new("file-set/1");
        let mut counts = Counts::default();
        for entry in &entries {
            hasher.text(&entry.path);
            match &entry.kind {
                EntryKind::File { executable, size, digest } => {
                    hasher.number(if *executable { 1 } else { 0 }).digest(digest);
                    counts.files += 1;
                    counts.bytes += size;
                }
                EntryKind::Symlink { target } => {
                    hasher.number(2).text(target);
                    counts.files += 1;
                }
                EntryKind::Directory => {
                    hasher.number(3);
                    counts.directories += 1;
                }
            }
        }
        Self { digest: hasher.finish(), counts, entries: OnceLock::from(Arc::from(entries)), snapshot: None }
    }

    /// A file set whose entries are read from a snapshot only when somebody wants them.
    pub(super) fn remembered(snapshot: Arc<Snapshot>) -> Self {
        Self {
            digest: snapshot.digest(),
            counts: snapshot.counts(),
            entries: OnceLock::new(),
            snapshot: Some(snapshot),
        }
    }

    /// The snapshot that it was remembered from.
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// The digest over all entries.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many entries there are.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Entry] {
        self.entries
            .get_or_init(|| self.snapshot.as_ref().map_or_else(|| Arc::from([]), |of| Arc::from(of.tree().entries())))
    }

    /// Those whose paths are `wanted`.
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        Self::new(self.entries().iter().filter(|entry| wanted(&entry.path)).cloned().collect())
    }

    /// The symlinks, in order: each one's path and where it points, as stored in it.
    pub fn links(&self) -> Vec<(String, String)> {
        // Mostly there are none, which the snapshot says without taking it apart.
        if let (None, Some(snapshot)) = (self.entries.get(), &self.snapshot) {
            return snapshot.links();
        }
        let links = self.entries().iter().filter_map(|entry| match &entry.kind {
            EntryKind::Symlink { target } => Some((entry.path.clone(), target.clone())),
            EntryKind::File { .. } | EntryKind::Directory => None,
        });
        links.collect()
    }

    /// The entry at `path`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let entries = self.entries();
        let index = entries.binary_search_by(|entry| compare(&entry.path, path)).ok()?;
        entries.get(index)
    }
}

/// The order of paths in a file set.
pub fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    // As if `/` were smaller than any other byte, so that a directory's contents follow it at once.
    let key = |byte: u8| if byte == b'/' { 0 } else { byte };
    a.bytes().map(key).cmp(b.bytes().map(key))
}

impl PartialEq for FileSet {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for FileSet {}

impl Serialize for FileSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FileSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}
