//! The files that a step reads: which they are, what is in them, and whether that is what it was.
//!
//! A [`Query`] names a root and [`Rules`]; a [`Gatherer`] answers it with a [`FileSet`], an ordered list of entries and
//! one digest over them. Files that have not changed since the last time are not read again, which a stat cache tells;
//! without the cache, or with a damaged one, the answer is the same and takes longer.
//!
//! Nothing in here knows what a step is, talks to git, or prints.

mod automaton;
pub mod change;
mod content;
pub mod dockerignore;
mod expression;
pub mod file_set;
pub mod glob;
mod links;
pub mod pattern;
pub mod rules;
mod snapshot;
mod stat_cache;
#[cfg(test)]
mod tests;
mod tree;
mod verify;
mod walk;
mod workers;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};

pub use change::{Change, Difference};
pub use file_set::{Entry, EntryKind, FileSet};
pub use links::{Alias, Behind, Reader};
pub use rules::Rules;

use crate::digest::Digest;
use crate::failure::Failure;
use content::read_unread;
use snapshot::Snapshot;
use stat_cache::{Began, StatCache};
use tree::Tree;
use walk::{Trouble, Walk};

/// How often a gathering starts anew because a file changed under it, before it gives up.
const ATTEMPTS: usize = 3;

/// Which files are asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// What the stat cache is filed under, a plain file name: one for each step and purpose (`image-backend`,
    /// `command-openapi.outputs`). Two queries under one name are answered right and slowly.
    pub name: String,
    /// The directory that paths are relative to.
    pub root: PathBuf,
    /// Which paths below it are wanted.
    pub rules: Rules,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Gathering {
    /// The files.
    pub files: FileSet,
    /// Globs that match no file, as written.
    pub unmatched: Vec<String>,
    /// Why the next gathering will be slow, for people.
    pub note: Option<String>,
}

/// Answers queries. Every call looks at the disk; calls may be made from several threads and processes at once.
///
/// ```
/// use engine::files::dockerignore::Patterns;
/// use engine::files::{Gatherer, Query, Rules};
///
/// let folder = tempfile::tempdir()?;
/// std::fs::create_dir(folder.path().join("chart"))?;
/// std::fs::write(folder.path().join("chart/values.yaml"), "replicas: 1")?;
///
/// let gatherer = Gatherer::new(folder.path().join("cache"));
/// let rules = Rules::Context { ignore: Patterns::default() };
/// let query = Query { name: "release-todo".to_owned(), root: folder.path().join("chart"), rules };
/// let before = gatherer.gather(&query)?.files;
/// std::fs::write(folder.path().join("chart/values.yaml"), "replicas: 2")?;
/// let after = gatherer.gather(&query)?.files;
///
/// assert_ne!(after.digest(), before.digest());
/// assert_eq!(after.changes_since(&before)[0].to_string(), "values.yaml changed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gatherer {
    cache: StatCache,
    /// What was reached through links so far.
    aliases: Mutex<BTreeSet<Alias>>,
}

impl Gatherer {
    /// Keeps its stat caches in `folder`, which is made when needed and holds nothing else. It should be on the same
    /// file system as the files: what is on another one is read anew every time.
    pub const fn new(folder: PathBuf) -> Self {
        Self { cache: StatCache::new(folder), aliases: Mutex::new(BTreeSet::new()) }
    }

    /// The files of `query` as they are now.
    ///
    /// Fails for a root that is no directory, for wanted paths that are not UTF-8 or cannot be read, and when files
    /// keep changing while they are read.
    pub fn gather(&self, query: &Query) -> Result<Gathering, Failure> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt(query) {
                Ok(gathering) => return Ok(gathering),
                Err(Trouble::Failed(failure)) => return Err(failure),
                Err(Trouble::Unsettled(path)) => last = path,
            }
        }
        Err(Failure::step(format!("{} changed while it was read", query.root.join(last).display()))
            .because(format!("it did so {ATTEMPTS} times in a row"))
            .help("wait for what writes it to finish, or have it ignored, then run the same command again"))
    }

    /// The files of `query`, if they are few and as they were the time before: an answer that takes no longer than
    /// handing the question to another thread would.
    pub fn glance(&self, query: &Query) -> Option<Gathering> {
        let root = open(&query.root).ok()?;
        let snapshot = self.cache.load(&query.name)?;
        let same = verify::is_small(&snapshot)
            && snapshot.rules() == query.rules.digest()
            && verify::changed_directories(root.as_fd(), &snapshot).is_empty();
        same.then(|| remembered(snapshot))
    }

    /// A mark of `files`, which the last gathering of `query` has found. It moves whenever one of them is written, also
    /// when it ends as it was. `None` where no stat cache can be kept.
    pub fn stamp(&self, query: &Query, files: &FileSet) -> Option<Digest> {
        if let Some(snapshot) = files.snapshot() {
            return Some(snapshot.stamp());
        }
        let snapshot = self.cache.load(&query.name)?;
        (snapshot.rules() == query.rules.digest()).then(|| snapshot.stamp())
    }

    fn attempt(&self, query: &Query) -> Result<Gathering, Trouble> {
        let root = open(&query.root)
            .map_err(|error| Trouble::Failed(Failure::io("open the directory", &query.root, &error.into())))?;
        let rules = query.rules.digest();
        let snapshot = self.cache.load(&query.name);
        let same_rules = snapshot.as_ref().filter(|snapshot| snapshot.rules() == rules);
        let changed = same_rules.map(|snapshot| verify::changed_directories(root.as_fd(), snapshot));
        let snapshot = match snapshot {
            Some(snapshot) if changed.as_ref().is_some_and(Vec::is_empty) => return Ok(remembered(snapshot)),
            snapshot => snapshot,
        };

        // Whatever is taken over from the snapshot was at rest by an earlier beginning already.
        let began = self.cache.begin();
        let walk = Walk {
            root: root.as_fd(),
            root_path: &query.root,
            rules: &query.rules,
            began: began.as_ref().ok().copied(),
            snapshot: snapshot.as_ref(),
            changed: changed.as_deref(),
        };
        let mut tree = walk.tree()?;
        read_unread(&walk, &mut tree)?;
        let files = FileSet::new(tree.entries());
        let note = far_from_cache(query, &tree, began.as_ref().ok());
        let unmatched = query.rules.unmatched(&files);
        let saved = began.and_then(|_| match Snapshot::new(&tree, &files, &rules, &unmatched) {
            Some(snapshot) => self.cache.save(&query.name, &snapshot),
            None => Ok(()),
        });
        Ok(Gathering { files, unmatched, note: saved.err().or(note) })
    }
}

/// Opens the root of a query. Symlinks are followed to the root and never below it.
fn open(root: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(root, flags, Mode::empty())
}

/// Says so when the files' clock cannot be compared with the cache's, by which nothing is ever known to be at rest.
fn far_from_cache(query: &Query, tree: &Tree, began: Option<&Began>) -> Option<String> {
    let root = tree.directories.first()?;
    (root.stamp.device != began?.device).then(|| {
        format!(
            "{} is on another file system than the stat cache, so all of its files are read every time",
            query.root.display()
        )
    })
}

/// The answer of the time before.
fn remembered(snapshot: Snapshot) -> Gathering {
    let unmatched = snapshot.unmatched();
    Gathering { files: FileSet::remembered(Arc::new(snapshot)), unmatched, note: None }
}
