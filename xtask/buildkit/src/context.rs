//! The build context: a list of files, symlinks and directories, as the caller's key describes them.
//!
//! What BuildKit is told about an entry is derived from this list alone, never from the file system: two checkouts
//! with the same contents look the same to it, whatever their owners, times and umask.

use std::path::PathBuf;

use bollard_buildkit_proto::fsutil::types::Stat;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// What an entry of the context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Whether the owner may execute it; the only permission that counts.
        executable: bool,
        /// Its length in bytes.
        size: u64,
        /// SHA-256 of its bytes.
        digest: [u8; 32],
    },
    /// A symbolic link, sent as such and never followed on this side.
    Symlink {
        /// The text of the link.
        target: String,
    },
    /// A directory. Only empty ones need listing, the others are implied by what is in them.
    Directory,
}

/// One entry of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root, with `/` between the parts, without `.` and `..`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// Go's `os.FileMode` bits, which is what the protocol carries.
const MODE_DIRECTORY: u32 = 1 << 31;
const MODE_SYMLINK: u32 = 1 << 27;

impl Entry {
    /// What BuildKit compares with what it has from earlier builds: it asks for a file again if size, modification
    /// time or mode differ, so the time must change with the content, and with nothing else.
    pub(crate) fn stat(&self) -> Stat {
        let (mode, size, seed) = match &self.kind {
            Kind::File { executable: true, size, digest } => (0o755, *size, *digest),
            Kind::File { executable: false, size, digest } => (0o644, *size, *digest),
            Kind::Symlink { target } => {
                (0o777 | MODE_SYMLINK, target.len() as u64, Sha256::digest(target.as_bytes()).into())
            }
            Kind::Directory => (0o755 | MODE_DIRECTORY, 0, [0; 32]),
        };
        Stat {
            path: self.path.clone(),
            mode,
            size: i64::try_from(size).unwrap_or(i64::MAX),
            mod_time: modification_time(&seed),
            linkname: if let Kind::Symlink { target } = &self.kind { target.clone() } else { String::new() },
            ..Stat::default()
        }
    }
}

/// A time between 2001 and 2018 made from a digest, in nanoseconds since 1970: 59 bits of it, so that no edit keeps
/// its file's time by accident, and always in the past, because build tools distrust files from the future.
fn modification_time(digest: &[u8; 32]) -> i64 {
    const START: u64 = 1_000_000_000;
    let mut bits = [0; 8];
    bits.copy_from_slice(&digest[..8]);
    let bits = u64::from_le_bytes(bits);
    let seconds = START + (bits >> 35);
    let nanoseconds = (bits & ((1 << 35) - 1)) % 1_000_000_000;
    // At most 1.54e18: below i64's 9.22e18.
    (seconds * 1_000_000_000 + nanoseconds) as i64
}

/// A build context: entries, and the folder to read the files from.
#[derive(Debug, Clone)]
pub struct Context {
    root: PathBuf,
    key: String,
    entries: Vec<Entry>,
}

impl Context {
    /// A context of `entries` below `root`, in any order. `key` names the place (say, worktree and step): of two
    /// builds with the same key, the second sends only what differs from the first.
    ///
    /// # Errors
    /// [`Error::Context`] for an entry that cannot be: absolute, with `..` in it, listed twice, or below a file.
    pub fn new(root: PathBuf, key: String, entries: impl IntoIterator<Item = Entry>) -> Result<Self, Error> {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        // Parent before child, siblings by their bytes: the order that BuildKit insists on.
        entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        let mut complete: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut open: Vec<String> = Vec::new();
        for entry in entries {
            let wrong = |reason| Error::Context { path: entry.path.clone(), reason };
            if entry.path.split('/').any(|part| matches!(part, "" | "." | "..")) || entry.path.contains('\0') {
                return Err(wrong("is not a path relative to its root"));
            }
            while open.last().is_some_and(|directory| !is_below(&entry.path, directory)) {
                open.pop();
            }
            if let Some(last) = complete.last() {
                if last.path == entry.path {
                    return Err(wrong("is listed twice"));
                }
                if is_below(&entry.path, &last.path) && last.kind != Kind::Directory {
                    return Err(wrong("is listed below something that is not a directory"));
                }
            }
            let known = open.last().map_or(0, |directory| directory.len() + 1);
            for (offset, _) in entry.path[known..].match_indices('/') {
                let path = entry.path[..known + offset].to_owned();
                open.push(path.clone());
                complete.push(Entry { path, kind: Kind::Directory });
            }
            if entry.kind == Kind::Directory {
                open.push(entry.path.clone());
            }
            complete.push(entry);
        }
        Ok(Self { root, key, entries: complete })
    }

    /// The folder that the files are read from.
    pub(crate) fn root(&self) -> &std::path::Path {
        &self.root
    }

    /// The name under which BuildKit keeps what it was sent.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// All entries, parents before children.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Context, Entry, Kind, modification_time};

    fn file(path: &str) -> Entry {
        Entry { path: path.to_owned(), kind: Kind::File { executable: false, size: 1, digest: [7; 32] } }
    }

    fn context(entries: Vec<Entry>) -> Result<Vec<String>, String> {
        Context::new(PathBuf::from("/x"), "k".to_owned(), entries)
            .map(|c| c.entries().iter().map(|e| e.path.clone()).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn entries_are_ordered_by_parts_and_parents_are_implied() {
        let rows: &[(&[&str], &[&str])] = &[
            (&["b", "a/x"], &["a", "a/x", "b"]),
            // `-` sorts before `/`, yet a directory's contents come before its longer-named siblings.
            (&["a-b", "a/x"], &["a", "a/x", "a-b"]),
            (&["a/b/c", "a/b/d", "a/e"], &["a", "a/b", "a/b/c", "a/b/d", "a/e"]),
            (&["a/b/c", "d/e/f"], &["a", "a/b", "a/b/c", "d", "d/e", "d/e/f"]),
        ];
        for (given, expected) in rows {
            let paths = context(given.iter().map(|p| file(p)).collect()).unwrap();
            assert_eq!(paths, *expected);
        }
    }

    #[test]
    fn a_listed_directory_is_not_implied_again() {
        let directory = |path: &str| Entry { path: path.to_owned(), kind: Kind::Directory };
        let paths = context(vec![directory("a"), file("a/x"), directory("a/b"), directory("c/d")]).unwrap();
        assert_eq!(paths, ["a", "a/b", "a/x", "c", "c/d"]);
    }

    #[test]
    fn impossible_entries_are_refused() {
        for paths in [&["/a"][..], &["a/../b"], &["./a"], &[""], &["a/"], &["a", "a"], &["a", "a/b"]] {
            let error = context(paths.iter().map(|p| file(p)).collect()).unwrap_err();
            assert!(error.contains("in the build context"), "{paths:?}: {error}");
        }
    }

    #[test]
    fn the_time_follows_the_digest_and_lies_in_the_past() {
        let mut digest = [0; 32];
        assert_eq!(modification_time(&digest), 1_000_000_000_000_000_000);
        digest[0] = 1;
        assert_eq!(modification_time(&digest), 1_000_000_000_000_000_001);
        assert!(modification_time(&[0xff; 32]) < 1_540_000_000_000_000_000);
    }

    #[test]
    fn modes_are_normalised() {
        let mode = |kind: Kind| Entry { path: "a".to_owned(), kind }.stat().mode;
        let file = |executable| Kind::File { executable, size: 0, digest: [0; 32] };
        assert_eq!(mode(file(false)), 0o644);
        assert_eq!(mode(file(true)), 0o755);
        assert_eq!(mode(Kind::Directory), 0o755 | 1 << 31);
        assert_eq!(mode(Kind::Symlink { target: "x".to_owned() }), 0o777 | 1 << 27);
    }
}
