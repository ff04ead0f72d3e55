//! When the stat cache is believed and when it is not, told by caches that lie: a cache is given wrong digests behind
//! right stamps, and what comes back says which files were looked at again.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags};
use tempfile::TempDir;

use super::content::read_unread;
use super::dockerignore::Patterns;
use super::snapshot::Snapshot;
use super::stat_cache::{Began, StatCache};
use super::tree::{Content, Stamp};
use super::walk::{Trouble, Walk};
use super::{EntryKind, FileSet, Gatherer, Query, Rules};
use crate::digest::Digest;

struct Folder(TempDir);

impl Folder {
    fn new(files: &[&str]) -> Self {
        let folder = Self(TempDir::new().unwrap());
        for file in files {
            let path = folder.root().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        // Their stamps are surely before the beginning of the next gathering, also by a coarse clock.
        folder.wait_for_a_tick();
        folder
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn cache(&self) -> StatCache {
        StatCache::new(self.0.path().join("cache"))
    }

    fn query(&self) -> Query {
        let rules = Rules::Context { ignore: Patterns::default() };
        Query { name: "test".to_owned(), root: self.root(), rules }
    }

    fn gather(&self) -> FileSet {
        let gathering = Gatherer::new(self.0.path().join("cache")).gather(&self.query()).unwrap();
        assert_eq!(gathering.note, None);
        gathering.files
    }

    /// Until a file written now is stamped later than one written before.
    fn wait_for_a_tick(&self) {
        let stamp = || {
            let path = self.0.path().join("tick");
            fs::write(&path, "").unwrap();
            fs::metadata(path).unwrap().modified().unwrap()
        };
        let before = stamp();
        while stamp() <= before {}
    }

    /// Makes the cache say that every file has the contents `lie`, and the file set no digest at all.
    fn make_the_cache_lie(&self) {
        let stored = self.cache().load("test").unwrap();
        let mut tree = stored.tree();
        for file in tree.directories.iter_mut().flat_map(|directory| &mut directory.files) {
            file.content = Content::File(Digest::of_bytes(b"lie"));
        }
        let set = FileSet::new(tree.entries());
        let lying = Snapshot::new(&tree, &set, &stored.rules(), &[]).unwrap();
        self.cache().save("test", &lying).unwrap();
    }
}

/// The files whose contents the cache was believed about.
fn believed(files: &FileSet) -> Vec<&str> {
    let lie = Digest::of_bytes(b"lie");
    let lies =
        files.entries().iter().filter(|entry| matches!(entry.kind, EntryKind::File { digest, .. } if digest == lie));
    lies.map(|entry| entry.path.as_str()).collect()
}

#[test]
fn files_that_rested_since_before_the_last_gathering_are_not_read() {
    let folder = Folder::new(&["a/1", "a/2", "b"]);
    folder.gather();
    folder.make_the_cache_lie();
    assert_eq!(believed(&folder.gather()), ["a/1", "a/2", "b"]);
}

#[test]
fn a_change_in_a_directory_leaves_the_files_beside_it_unread() {
    let folder = Folder::new(&["a/1", "a/2", "b", "c/d/e"]);
    folder.gather();
    folder.make_the_cache_lie();
    fs::write(folder.root().join("a/2"), "new").unwrap();
    fs::write(folder.root().join("a/3"), "new").unwrap();
    assert_eq!(believed(&folder.gather()), ["a/1", "b", "c/d/e"]);
}

#[test]
fn other_rules_reuse_what_is_known_of_contents() {
    let folder = Folder::new(&["a/1", "a/2", "b"]);
    folder.gather();
    folder.make_the_cache_lie();
    let rules = Rules::Context { ignore: Patterns::parse(b"a/2", Path::new("i")).unwrap() };
    let query = Query { rules, ..folder.query() };
    let files = Gatherer::new(folder.0.path().join("cache")).gather(&query).unwrap().files;
    assert_eq!(believed(&files), ["a/1", "b"]);
}

#[test]
fn the_stamp_moves_when_a_file_is_written_and_only_then() {
    let folder = Folder::new(&["a/1", "b"]);
    let gatherer = Gatherer::new(folder.0.path().join("cache"));
    let look = || {
        let files = gatherer.gather(&folder.query()).unwrap().files;
        (files.digest(), gatherer.stamp(&folder.query(), &files))
    };
    let (files, stamp) = look();
    assert!(stamp.is_some());
    assert_eq!(look(), (files, stamp), "nothing happened");
    fs::write(folder.root().join("beside"), "").unwrap();
    fs::remove_file(folder.root().join("beside")).unwrap();
    assert_eq!(look(), (files, stamp), "something else came and went");
    let text = fs::read(folder.root().join("b")).unwrap();
    fs::write(folder.root().join("b"), "something else").unwrap();
    fs::write(folder.root().join("b"), text).unwrap();
    let (again, moved) = look();
    assert_eq!(again, files, "it ended as it was");
    assert_ne!(moved, stamp);
}

#[test]
fn what_is_stamped_at_the_beginning_or_later_is_looked_at_again() {
    let folder = Folder::new(&["a/1", "b"]);
    let later = SystemTime::now() + Duration::from_secs(1000);
    fs::File::options().write(true).open(folder.root().join("a/1")).unwrap().set_modified(later).unwrap();
    for _ in 0..3 {
        folder.gather();
        folder.make_the_cache_lie();
        assert_eq!(believed(&folder.gather()), ["b"]);
    }
}

#[test]
fn a_stamp_counts_as_old_only_before_the_beginning() {
    let began = Began { device: 1, at: 100 };
    let stamp = |mtime, ctime| Stamp { device: 1, inode: 1, mode: 0o100_644, size: 1, mtime, ctime };
    for (mtime, ctime, fresh) in
        [(99, 99, false), (100, 99, true), (99, 100, true), (100, 100, true), (101, 1, true), (1, 101, true)]
    {
        assert_eq!(began.is_fresh(&stamp(mtime, ctime)), fresh, "mtime {mtime}, ctime {ctime}");
    }
    // Another file system's clock says nothing.
    assert!(began.is_fresh(&Stamp { device: 2, ..stamp(1, 1) }));
}

#[test]
fn the_beginning_is_a_time_of_the_file_system() {
    let folder = Folder::new(&["a"]);
    let before = Stamp::of(&rustix::fs::stat(folder.root().join("a")).unwrap());
    let began = folder.cache().begin().unwrap();
    assert!(!began.is_fresh(&before));
    fs::write(folder.root().join("a"), "b").unwrap();
    assert!(began.is_fresh(&Stamp::of(&rustix::fs::stat(folder.root().join("a")).unwrap())));
}

#[test]
fn a_file_that_changes_between_listing_and_reading_is_noticed() {
    type Act = fn(&Path);
    let acts: [Act; 4] = [
        |file| fs::write(file, "A").unwrap(),
        |file| fs::remove_file(file).unwrap(),
        |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        },
        |file| {
            // Opening a pipe to read it would wait for a writer.
            fs::remove_file(file).unwrap();
            rustix::fs::mknodat(CWD, file, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        },
    ];
    for act in acts {
        let folder = Folder::new(&["a", "b"]);
        let (query, path) = (folder.query(), folder.root());
        let root = rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let walk = Walk {
            root: root.as_fd(),
            root_path: &path,
            rules: &query.rules,
            began: None,
            snapshot: None,
            changed: None,
        };
        let mut tree = walk.tree().unwrap();
        act(&path.join("a"));
        let trouble = read_unread(&walk, &mut tree).unwrap_err();
        assert!(matches!(&trouble, Trouble::Unsettled(path) if path == "a"), "{trouble:?}");
    }
}

#[test]
fn a_glance_answers_only_when_nothing_changed() {
    let folder = Folder::new(&["a", "b/c"]);
    let gatherer = Gatherer::new(folder.0.path().join("cache"));
    let glance = || gatherer.glance(&folder.query()).map(|gathering| gathering.files.digest());
    assert_eq!(glance(), None, "nothing is known yet");
    let known = folder.gather().digest();
    assert_eq!(glance(), Some(known));
    fs::write(folder.root().join("b/c"), "else").unwrap();
    assert_eq!(glance(), None);
    folder.gather();
    fs::remove_file(folder.root().join("a")).unwrap();
    assert_eq!(glance(), None);
}
