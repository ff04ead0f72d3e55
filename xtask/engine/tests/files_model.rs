//! Random sequences of what people and programs do to a checkout. After each act the gathering with a stat cache, one
//! without, and a plain listing by the standard library have to agree.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use engine::digest::Digest;
use engine::files::dockerignore::Patterns;
use engine::files::file_set::compare;
use engine::files::glob::Globs;
use engine::files::{Entry, EntryKind, FileSet, Gatherer, Query, Rules};
use proptest::prelude::{Just, Strategy, prop};
use proptest::test_runner::{Config, TestCaseError};
use proptest::{prop_assert_eq, prop_oneof, proptest};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

/// Paths that are files at one time and directories at another, and cross each other.
const PATHS: [&str; 9] = ["a", "a/b", "a/b/c.py", "a/x.py", "a-b", "b", "b/c.py", "b/target", "target/c.py"];

#[derive(Debug, Clone)]
enum Act {
    Write(usize, u8),
    Append(usize),
    /// The same size, and the modification time put back.
    EditUnseen(usize, u8),
    Remove(usize),
    MakeDirectory(usize),
    Link(usize, usize),
    Rename(usize, usize),
    /// Both exist afterwards, with one inode.
    HardLink(usize, usize),
    Executable(usize, bool),
    /// Seconds from now.
    Touch(usize, i64),
    /// A file appears and its directory's modification time is put back.
    AddUnseen(usize),
    /// A copy takes the checkout's place.
    Copy,
    ForgetCache,
    TruncateCache(u8),
    DamageCache(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let path = || 0..PATHS.len();
    prop_oneof![
        6 => (path(), 0..3_u8).prop_map(|(path, contents)| Act::Write(path, contents)),
        2 => path().prop_map(Act::Append),
        3 => (path(), 0..3_u8).prop_map(|(path, contents)| Act::EditUnseen(path, contents)),
        2 => path().prop_map(Act::Remove),
        2 => path().prop_map(Act::MakeDirectory),
        2 => (path(), path()).prop_map(|(path, target)| Act::Link(path, target)),
        3 => (path(), path()).prop_map(|(from, to)| Act::Rename(from, to)),
        1 => (path(), path()).prop_map(|(from, to)| Act::HardLink(from, to)),
        1 => (path(), prop::bool::ANY).prop_map(|(path, executable)| Act::Executable(path, executable)),
        2 => (path(), prop_oneof![Just(-1000), Just(0), Just(1000)]).prop_map(|(path, by)| Act::Touch(path, by)),
        2 => path().prop_map(Act::AddUnseen),
        1 => Just(Act::Copy),
        1 => Just(Act::ForgetCache),
        1 => prop::num::u8::ANY.prop_map(Act::TruncateCache),
        1 => prop::num::u8::ANY.prop_map(Act::DamageCache),
    ]
}

fn rules(which: usize) -> Rules {
    let ignore = |text: &str| Patterns::parse(text.as_bytes(), Path::new(".dockerignore")).unwrap();
    match which {
        0 => Rules::Context { ignore: ignore("") },
        1 => Rules::Context { ignore: ignore("a\n!a/b\na/b/*.py\n!**/x.py") },
        _ => Rules::Globs { globs: Globs::new(["**/*.py", "a/b/*"]).unwrap() },
    }
}

/// Does `act`; one that is impossible now does nothing.
fn perform(act: &Act, all: &Path) -> io::Result<()> {
    let root = all.join("root");
    let at = |path: &usize| root.join(PATHS[*path]);
    match act {
        Act::Write(path, contents) => {
            fs::create_dir_all(at(path).parent().unwrap())?;
            fs::write(at(path), [*contents])
        }
        Act::Append(path) => io::Write::write_all(&mut fs::File::options().append(true).open(at(path))?, b"+"),
        Act::EditUnseen(path, contents) => {
            let before = fs::metadata(at(path))?;
            if before.len() != 1 {
                return Ok(());
            }
            fs::write(at(path), [*contents])?;
            fs::File::options().write(true).open(at(path))?.set_modified(before.modified()?)
        }
        Act::Remove(path) => fs::remove_file(at(path)).or_else(|_| fs::remove_dir_all(at(path))),
        Act::MakeDirectory(path) => fs::create_dir_all(at(path)),
        Act::Link(path, target) => symlink(PATHS[*target], at(path)),
        Act::Rename(from, to) => fs::rename(at(from), at(to)),
        Act::HardLink(from, to) => fs::hard_link(at(from), at(to)),
        Act::Executable(path, executable) => {
            fs::set_permissions(at(path), fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 }))
        }
        Act::Touch(path, by) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let time = Timespec { tv_sec: now.as_secs().cast_signed() + by, tv_nsec: now.subsec_nanos().into() };
            let times = Timestamps { last_access: time, last_modification: time };
            Ok(rustix::fs::utimensat(CWD, at(path), &times, AtFlags::SYMLINK_NOFOLLOW)?)
        }
        Act::AddUnseen(path) => {
            let directory = at(path);
            let before = fs::metadata(&directory)?;
            fs::write(directory.join("unseen.py"), "")?;
            fs::File::open(directory)?.set_modified(before.modified()?)
        }
        Act::Copy => {
            copy(&root, &all.join("copy"))?;
            fs::remove_dir_all(&root)?;
            fs::rename(all.join("copy"), root)
        }
        Act::ForgetCache => fs::remove_dir_all(all.join("cache")),
        Act::TruncateCache(part) => {
            let cache = fs::File::options().write(true).open(all.join("cache/model.stat"))?;
            cache.set_len(cache.metadata()?.len() * u64::from(*part) / 256)
        }
        Act::DamageCache(part) => {
            let mut bytes = fs::read(all.join("cache/model.stat"))?;
            let at = bytes.len() * usize::from(*part) / 256;
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = !*byte);
            fs::write(all.join("cache/model.stat"), bytes)
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, to) = (entry?, to);
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => copy(&entry.path(), &target)?,
            kind if kind.is_symlink() => symlink(fs::read_link(entry.path())?, target)?,
            _ => fs::copy(entry.path(), target).map(|_| ())?,
        }
    }
    Ok(())
}

/// What a context without an ignore file has in it, found the plain way.
fn plain_listing(root: &Path, below: &Path, entries: &mut Vec<Entry>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let metadata = entry.path().symlink_metadata()?;
        let kind = if metadata.is_dir() {
            plain_listing(root, &path, entries)?;
            EntryKind::Directory
        } else if metadata.is_symlink() {
            EntryKind::Symlink { target: fs::read_link(entry.path())?.to_str().unwrap().to_owned() }
        } else {
            let contents = fs::read(entry.path())?;
            let executable = metadata.permissions().mode() & 0o100 != 0;
            EntryKind::File { executable, size: contents.len() as u64, digest: Digest::of_bytes(&contents) }
        };
        entries.push(Entry { path: path.to_str().unwrap().to_owned(), kind });
    }
    Ok(())
}

fn check(all: &Path, which: usize, step: usize) -> Result<FileSet, TestCaseError> {
    let gather = |cache: PathBuf| {
        let query = Query { name: "model".to_owned(), root: all.join("root"), rules: rules(which) };
        Gatherer::new(cache).gather(&query).unwrap().files
    };
    let cached = gather(all.join("cache"));
    let anew = gather(all.join(format!("anew-{step}")));
    prop_assert_eq!(cached.entries(), anew.entries());
    prop_assert_eq!(cached.digest(), anew.digest());
    prop_assert_eq!(cached.counts(), anew.counts());
    if which == 0 {
        let mut entries = Vec::new();
        plain_listing(&all.join("root"), Path::new(""), &mut entries).unwrap();
        entries.sort_by(|a, b| compare(&a.path, &b.path));
        prop_assert_eq!(cached.entries(), entries);
    }
    Ok(cached)
}

proptest! {
    #![proptest_config(Config { cases: 48, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_cached_gathering_equals_one_from_scratch(which in 0..3_usize, acts in prop::collection::vec(act(), 1..40)) {
        let all = tempfile::tempdir().unwrap();
        fs::create_dir(all.path().join("root")).unwrap();
        let mut before = check(all.path(), which, 0)?;
        for (step, act) in acts.iter().enumerate() {
            // An act that is impossible at this point is one that does nothing.
            let _ = perform(act, all.path());
            let now = check(all.path(), which, step + 1)?;
            prop_assert_eq!(now.entries() == before.entries(), now.digest() == before.digest());
            prop_assert_eq!(now.changes_since(&before).is_empty(), same_but_directories(&now, &before));
            before = now;
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 12, failure_persistence: None, ..Config::default() })]

    /// What is remembered from gatherings that ran while files changed under them must hold no lie once they rest.
    #[test]
    fn gatherings_during_changes_leave_no_lie_behind(
        which in 0..3_usize,
        acts in prop::collection::vec(act(), 200..300),
    ) {
        let all = tempfile::tempdir().unwrap();
        let root = all.path().join("root");
        fs::create_dir(&root).unwrap();
        let gatherer = Gatherer::new(all.path().join("cache"));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let query = Query { name: "model".to_owned(), root: root.clone(), rules: rules(which) };
                        // It may well find no moment of rest.
                        let _ = gatherer.gather(&query);
                    }
                });
            }
            for act in acts.iter().filter(|act| !matches!(act, Act::Copy)) {
                let _ = perform(act, all.path());
            }
            done.store(true, Ordering::Relaxed);
        });
        check(all.path(), which, 0)?;
    }
}

/// Whether two lists differ at most in directories that have something in them.
fn same_but_directories(one: &FileSet, other: &FileSet) -> bool {
    let leaves = |set: &FileSet| -> Vec<Entry> {
        let entries = set.entries();
        let filled = |index: usize, path: &str| {
            entries.get(index + 1).is_some_and(|next: &Entry| next.path.starts_with(&format!("{path}/")))
        };
        let leaf =
            |(index, entry): &(usize, &Entry)| entry.kind != EntryKind::Directory || !filled(*index, &entry.path);
        entries.iter().enumerate().filter(leaf).map(|(_, entry)| entry.clone()).collect()
    };
    leaves(one) == leaves(other)
}
