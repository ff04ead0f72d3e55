//! Gathering real folders: what is in a file set, what changes its digest and what does not, and that a stat cache,
//! whatever happened to it, never changes an answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use engine::digest::Digest;
use engine::files::dockerignore::Patterns;
use engine::files::glob::Globs;
use engine::files::{Entry, EntryKind, FileSet, Gatherer, Gathering, Query, Rules};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};
use tempfile::TempDir;

/// Those of a context without an ignore file.
fn everything() -> Rules {
    Rules::Context { ignore: Patterns::default() }
}

struct Folder {
    all: TempDir,
    gatherer: Gatherer,
}

impl Folder {
    /// Two directories with files, an empty one, a symlink.
    fn new() -> Self {
        let all = TempDir::new().unwrap();
        let gatherer = Gatherer::new(all.path().join("cache"));
        let folder = Self { all, gatherer };
        for (path, contents) in [("a/one.py", "1"), ("a/two.py", "2"), ("a/b/three", "3"), ("a-b", "4"), ("é", "")] {
            folder.write(path, contents);
        }
        fs::create_dir(folder.path("empty")).unwrap();
        symlink("a/one.py", folder.path("link")).unwrap();
        folder
    }

    fn root(&self) -> PathBuf {
        self.all.path().join("root")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn write(&self, path: &str, contents: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn gathering(&self, rules: Rules) -> Gathering {
        self.gatherer.gather(&Query { name: "test".to_owned(), root: self.root(), rules }).unwrap()
    }

    fn context(&self, ignore: &str) -> FileSet {
        let ignore = Patterns::parse(ignore.as_bytes(), Path::new(".dockerignore")).unwrap();
        let gathering = self.gathering(Rules::Context { ignore });
        assert_eq!(gathering.note, None);
        gathering.files
    }

    fn set_mtime(&self, path: &str, seconds: i64) {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, self.path(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn paths(files: &FileSet) -> Vec<&str> {
    files.entries().iter().map(|entry| entry.path.as_str()).collect()
}

#[test]
fn entries_are_in_the_order_of_a_walk() {
    let folder = Folder::new();
    let files = folder.context("");
    assert_eq!(paths(&files), ["a", "a/b", "a/b/three", "a/one.py", "a/two.py", "a-b", "empty", "link", "é"]);
    assert_eq!((files.counts().files, files.counts().directories, files.counts().bytes), (6, 3, 4));
    assert_eq!(files.get("a").unwrap().kind, EntryKind::Directory);
    assert_eq!(files.get("link").unwrap().kind, EntryKind::Symlink { target: "a/one.py".to_owned() });
    let file = EntryKind::File { executable: false, size: 1, digest: Digest::of_bytes(b"2") };
    assert_eq!(files.get("a/two.py").unwrap().kind, file);
    assert_eq!(files.get("a/three"), None);
}

#[test]
fn what_a_build_cannot_see_changes_nothing() {
    type Act = fn(&Folder);
    let acts: [(&str, Act); 9] = [
        ("touch", |folder| folder.set_mtime("a/one.py", 1_000_000_000)),
        ("touch into the future", |folder| folder.set_mtime("a/one.py", 4_000_000_000)),
        ("rights that were taken away", |folder| folder.mode("a/one.py", 0o600)),
        ("checked out anew under another umask", |folder| {
            let away = folder.all.path().join("away");
            fs::rename(folder.root(), &away).unwrap();
            let mut shell = Command::new("sh");
            shell.args(["-euc", "umask 077; cp -R \"$1\" \"$2\"", "sh"]).args([&away, &folder.root()]);
            assert!(shell.status().unwrap().success());
            assert_eq!(fs::metadata(folder.path("a/one.py")).unwrap().permissions().mode() & 0o777, 0o600);
        }),
        ("group and others may execute it", |folder| folder.mode("a/one.py", 0o655)),
        ("a directory's mode", |folder| folder.mode("a", 0o700)),
        ("the same contents in a new file", |folder| {
            folder.write("new", "1");
            fs::rename(folder.path("new"), folder.path("a/one.py")).unwrap();
        }),
        ("the checkout moved away and back", |folder| {
            let away = folder.all.path().join("away");
            fs::rename(folder.root(), &away).unwrap();
            fs::rename(&away, folder.root()).unwrap();
        }),
        ("state of this tool appeared", |folder| folder.write(".xtask/receipt", "x")),
    ];
    for (name, act) in acts {
        let folder = Folder::new();
        let before = folder.context("");
        act(&folder);
        let after = folder.context("");
        assert_eq!(after.digest(), before.digest(), "{name}");
        assert_eq!(after.changes_since(&before), [], "{name}");
    }
}

#[test]
fn what_a_build_can_see_changes_the_digest_and_is_named() {
    type Act = fn(&Folder);
    let acts: [(&str, Act); 15] = [
        ("a/one.py changed", |folder| folder.write("a/one.py", "changed")),
        ("a/one.py changed", |folder| {
            // Same size, same modification time, and surely within a tick of a coarse clock.
            let times = fs::metadata(folder.path("a/one.py")).unwrap();
            folder.write("a/one.py", "9");
            let file = fs::File::options().write(true).open(folder.path("a/one.py")).unwrap();
            file.set_modified(times.modified().unwrap()).unwrap();
        }),
        ("a/one.py became executable", |folder| folder.mode("a/one.py", 0o744)),
        ("a/one.py moved to a/renamed.py", |folder| {
            fs::rename(folder.path("a/one.py"), folder.path("a/renamed.py")).unwrap();
        }),
        ("a/one.py moved to one.py", |folder| {
            fs::rename(folder.path("a/one.py"), folder.path("one.py")).unwrap();
        }),
        ("link points to a/two.py now", |folder| {
            fs::remove_file(folder.path("link")).unwrap();
            symlink("a/two.py", folder.path("link")).unwrap();
        }),
        ("link is of another kind now", |folder| {
            fs::remove_file(folder.path("link")).unwrap();
            folder.write("link", "1");
        }),
        ("a/one.py is gone", |folder| fs::remove_file(folder.path("a/one.py")).unwrap()),
        ("new/deep is new", |folder| folder.write("new/deep", "")),
        ("new/empty is new", |folder| fs::create_dir_all(folder.path("new/empty")).unwrap()),
        ("empty is gone", |folder| fs::remove_dir(folder.path("empty")).unwrap()),
        ("empty is of another kind now", |folder| {
            fs::remove_dir(folder.path("empty")).unwrap();
            folder.write("empty", "");
        }),
        ("a/one.py changed, a/two.py changed", |folder| {
            fs::rename(folder.path("a/one.py"), folder.path("x")).unwrap();
            fs::rename(folder.path("a/two.py"), folder.path("a/one.py")).unwrap();
            fs::rename(folder.path("x"), folder.path("a/two.py")).unwrap();
        }),
        ("a/b/three moved to c/three", |folder| fs::rename(folder.path("a/b"), folder.path("c")).unwrap()),
        ("a is of another kind now, a/b/three is gone, a/one.py is gone, a/two.py is gone", |folder| {
            // The same files are still to be found at the same paths, through a symlink.
            fs::rename(folder.path("a"), folder.all.path().join("elsewhere")).unwrap();
            symlink("../elsewhere", folder.path("a")).unwrap();
        }),
    ];
    for (expected, act) in acts {
        let folder = Folder::new();
        let before = folder.context("");
        act(&folder);
        let after = folder.context("");
        assert_ne!(after.digest(), before.digest(), "{expected}");
        let changes: Vec<String> = after.changes_since(&before).iter().map(ToString::to_string).collect();
        assert_eq!(changes.join(", "), expected);
    }
}

#[test]
fn a_copy_of_the_checkout_has_the_same_digest() {
    let (one, other) = (Folder::new(), Folder::new());
    // Made in another order, so listed in another one by many file systems.
    fs::remove_file(other.path("a-b")).unwrap();
    other.write("a-b", "4");
    assert_eq!(one.context("").digest(), other.context("").digest());
}

#[test]
fn a_root_may_be_reached_through_a_symlink() {
    let folder = Folder::new();
    let before = folder.context("");
    fs::rename(folder.root(), folder.all.path().join("real")).unwrap();
    symlink("real", folder.root()).unwrap();
    assert_eq!(folder.context("").digest(), before.digest());
}

#[test]
fn a_summary_counts_the_files() {
    let folder = Folder::new();
    let before = folder.context("");
    let text = |after: &FileSet| engine::files::change::summary(&after.changes_since(&before), after.counts().files);
    assert_eq!(text(&before), None);
    folder.write("a/one.py", "x");
    assert_eq!(text(&folder.context("")).as_deref(), Some("a/one.py changed, 1 of 6 files"));
    folder.write("a/two.py", "x");
    assert_eq!(text(&folder.context("")).as_deref(), Some("a/one.py changed and 1 more, 2 of 6 files"));
}

#[test]
fn a_file_set_is_kept_as_its_list() {
    let folder = Folder::new();
    let files = folder.context("");
    let json = serde_json::to_string(&files).unwrap();
    let back: FileSet = serde_json::from_str(&json).unwrap();
    assert_eq!((back.digest(), back.entries()), (files.digest(), files.entries()));
    let bytes = postcard::to_stdvec(&files).unwrap();
    let back: FileSet = postcard::from_bytes(&bytes).unwrap();
    assert_eq!((back.digest(), back.entries()), (files.digest(), files.entries()));
}

#[test]
fn sockets_and_pipes_are_not_files() {
    let folder = Folder::new();
    let before = folder.context("");
    let _socket = UnixListener::bind(folder.path("a/socket")).unwrap();
    rustix::fs::mknodat(CWD, folder.path("a/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(folder.context("").digest(), before.digest());
}

#[test]
fn a_name_that_is_not_text_fails_unless_it_is_ignored() {
    let folder = Folder::new();
    let before = folder.context("");
    fs::write(folder.path("a").join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    let query = Query { name: "tree".to_owned(), root: folder.root(), rules: everything() };
    let failure = folder.gatherer.gather(&query).unwrap_err();
    assert!(failure.message.ends_with("root/a/caf\u{fffd} is not UTF-8"), "{failure}");
    assert_eq!(folder.context("a/caf?").digest(), before.digest());
    assert_eq!(folder.context("**/caf*").digest(), before.digest());
}

#[test]
fn a_root_that_is_none_is_named() {
    let folder = Folder::new();
    let query = |root: &str| Query { name: "none".to_owned(), root: folder.path(root), rules: everything() };
    let message = |root| folder.gatherer.gather(&query(root)).unwrap_err().message;
    assert!(message("nowhere").ends_with("root/nowhere"));
    assert!(message("a-b").ends_with("root/a-b"));
}

#[test]
fn a_context_has_all_in_it_that_tools_made_apart_from_ours() {
    let folder = Folder::new();
    for directory in ["node_modules", ".git", "a/target", ".xtask", "a/.xtask"] {
        folder.write(&format!("{directory}/file"), "");
    }
    let context = folder.context("");
    let (made, ours) = ([".git/file", "a/target/file", "node_modules/file"], [".xtask", "a/.xtask"]);
    assert!(made.iter().all(|path| paths(&context).contains(path)), "{:?}", paths(&context));
    assert!(!ours.iter().any(|path| paths(&context).contains(path)), "{:?}", paths(&context));
}

#[test]
fn globs_find_files_and_say_which_found_none() {
    let folder = Folder::new();
    folder.write("a/node_modules/x.py", "");
    folder.write("target/out.json", "");
    let check = |globs: &[&str], files: &[&str], unmatched: &[&str]| {
        let rules = || Rules::Globs { globs: Globs::new(globs).unwrap() };
        for _ in 0..2 {
            let found = folder.gathering(rules());
            assert_eq!(paths(&found.files), files, "{globs:?}");
            assert_eq!(found.unmatched, unmatched, "{globs:?}");
        }
    };
    check(&["a/**/*.py"], &["a/one.py", "a/two.py"], &[]);
    check(&["**/*.py", "*.rs"], &["a/one.py", "a/two.py"], &["*.rs"]);
    check(&["*.py"], &[], &["*.py"]);
    check(&["./a/one.py", "l*"], &["a/one.py", "link"], &[]);
    check(&["a/{b,c}/*", "a/{one,two}.py"], &["a/b/three", "a/one.py", "a/two.py"], &[]);
    check(&["{a/b/three,a-b}"], &["a/b/three", "a-b"], &[]);
    check(&["a"], &[], &["a"]);
    check(&["a/**"], &["a/b/three", "a/one.py", "a/two.py"], &[]);
    check(&["**"], &["a/b/three", "a/one.py", "a/two.py", "a-b", "link", "é"], &[]);
    check(&["target/*.json"], &["target/out.json"], &[]);
    check(&["**/target/*.json", "*/*.json"], &[], &["**/target/*.json", "*/*.json"]);
    check(&["a/node_modules/**/*.py"], &["a/node_modules/x.py"], &[]);
    check(&[], &[], &[]);
}

#[test]
fn globs_that_cannot_be_meant_are_refused() {
    for glob in ["", "/etc/passwd", "../a", "a/../b", "a[", "{a"] {
        let failure = Globs::new([glob]).unwrap_err();
        assert_eq!(failure.message, format!("`{glob}` is not a glob"));
    }
}

#[test]
fn a_damaged_cache_changes_no_answer() {
    let folder = Folder::new();
    let right = folder.context("");
    let cache = folder.all.path().join("cache/test.stat");
    let whole = fs::read(&cache).unwrap();
    let check = |bytes: &[u8]| {
        fs::write(&cache, bytes).unwrap();
        let files = folder.context("");
        assert_eq!((files.digest(), files.entries()), (right.digest(), right.entries()));
    };
    // Steps that meet every field of the records sooner or later.
    for length in (0..whole.len()).step_by(13) {
        check(&whole[..length]);
    }
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        check(&bytes);
    }
    check(&[&whole[..], b"more"].concat());
}

#[test]
fn where_no_cache_can_be_kept_the_answer_is_the_same_and_a_note_says_so() {
    let folder = Folder::new();
    let right = folder.context("");
    let full = folder.all.path().join("full");
    fs::create_dir(&full).unwrap();
    symlink("/dev/full", full.join("began")).unwrap();
    let taken = folder.all.path().join("taken");
    fs::create_dir_all(taken.join("test.stat/in-the-way")).unwrap();
    for (cache, reason) in
        [(full, "No space left on device"), (folder.path("a-b/cache"), "Not a directory"), (taken, "directory")]
    {
        let query = || Query { name: "test".to_owned(), root: folder.root(), rules: everything() };
        let found = Gatherer::new(cache.clone()).gather(&query()).unwrap();
        assert_eq!(found.files.digest(), right.digest());
        let note = found.note.unwrap();
        assert!(note.contains(reason), "{note}");
        assert!(note.contains(&*cache.to_string_lossy()), "{note}");
    }
}

/// Linux has a second file system in memory at this place.
#[cfg(target_os = "linux")]
#[test]
fn files_of_another_file_system_than_the_cache_are_read_every_time_and_a_note_says_so() {
    use std::os::unix::fs::MetadataExt;

    let folder = Folder::new();
    let far = TempDir::new_in("/dev/shm").unwrap();
    if far.path().metadata().unwrap().dev() == folder.root().metadata().unwrap().dev() {
        // Temporary folders are kept there too on this machine, and nothing is far from the cache.
        return;
    }
    fs::write(far.path().join("a"), "1").unwrap();
    let query = || Query { name: "far".to_owned(), root: far.path().to_owned(), rules: everything() };
    let mut digests = Vec::new();
    for contents in ["1", "1", "2"] {
        fs::write(far.path().join("a"), contents).unwrap();
        let found = folder.gatherer.gather(&query()).unwrap();
        assert!(found.note.unwrap().contains("another file system"));
        digests.push(found.files.digest());
    }
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[1], digests[2]);
}

#[test]
fn several_at_once_do_not_disturb_each_other() {
    let folder = Folder::new();
    let right = folder.context("");
    thread::scope(|scope| {
        for worker in 0..4 {
            let (folder, right) = (&folder, &right);
            scope.spawn(move || {
                // A gatherer of its own stands for another process.
                let gatherer = Gatherer::new(folder.all.path().join("cache"));
                for round in 0..20 {
                    // Changes the listing of the root, so that every gathering has something to write.
                    folder.write(&format!("target/{worker}-{round}"), "");
                    let rules = Rules::Context { ignore: Patterns::parse(b"target", Path::new("i")).unwrap() };
                    let query = Query { name: "shared".to_owned(), root: folder.root(), rules };
                    let found = gatherer.gather(&query).unwrap();
                    assert_eq!((found.files.digest(), found.note), (right.digest(), None));
                }
            });
        }
    });
    let left: Vec<_> =
        fs::read_dir(folder.all.path().join("cache")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "no temporary file is left: {left:?}");
}

#[test]
fn what_a_killed_process_left_half_written_is_removed() {
    let folder = Folder::new();
    let cache = folder.all.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let gone = cache.join(format!("test.{}-0.tmp", i32::MAX));
    let ours = cache.join(format!("test.{}-999.tmp", std::process::id()));
    fs::write(&gone, "half").unwrap();
    fs::write(&ours, "half").unwrap();
    folder.context("");
    assert!(!gone.exists());
    assert!(ours.exists());
}

#[test]
fn lists_that_differ_have_different_digests() {
    let file = |path: &str, contents: &str, executable| Entry {
        path: path.to_owned(),
        kind: EntryKind::File {
            executable,
            size: contents.len() as u64,
            digest: Digest::of_bytes(contents.as_bytes()),
        },
    };
    let link = |path: &str, target: &str| Entry {
        path: path.to_owned(),
        kind: EntryKind::Symlink { target: target.to_owned() },
    };
    let directory = |path: &str| Entry { path: path.to_owned(), kind: EntryKind::Directory };
    let lists = [
        vec![],
        vec![directory("a")],
        vec![directory("a"), directory("b")],
        vec![directory("ab")],
        vec![file("a", "", false)],
        vec![file("a", "", true)],
        vec![file("a", "b", false)],
        vec![link("a", "b")],
        vec![link("a", ""), link("b", "")],
        vec![link("a", "b"), directory("c")],
        vec![file("a", "", false), file("b", "", false)],
    ];
    let digests: std::collections::BTreeSet<Digest> =
        lists.iter().map(|list| FileSet::new(list.clone()).digest()).collect();
    assert_eq!(digests.len(), lists.len());
}
