//! Looks at a snapshot and at the disk and says which directories are not as they were.
//!
//! This is all that happens when nothing changed, so it allocates nothing per file: one open and one `fstat` for each
//! directory, one `fstatat` by name for each file. Finding out *what* changed is the business of [`super::walk`].

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::snapshot::Snapshot;
use super::tree::Stamp;
use super::workers::{WORKERS, share};

/// How many files a worker takes at a time; a directory with more of them is shared by both.
const BLOCK: usize = 256;

/// How a walk opens directories: never through a symlink that took a directory's place.
pub(super) const DIRECTORY_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whether a second thread would take longer to start than all of `snapshot` takes to look at.
pub(super) fn is_small(snapshot: &Snapshot) -> bool {
    snapshot.files() + snapshot.directories() < BLOCK
}

/// For each directory of `snapshot`, whether its listing or one of its files has to be looked at again.
/// Empty when there are none.
pub(super) fn changed_directories(root: BorrowedFd<'_>, snapshot: &Snapshot) -> Vec<bool> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut changed = Vec::new();
        loop {
            let start = next.fetch_add(BLOCK, Ordering::Relaxed);
            // One block more than files, so that the empty directories behind the last file belong to one, too.
            if start > snapshot.files() {
                return changed;
            }
            check_block(root, snapshot, start, &mut changed);
        }
    };
    let workers = if is_small(snapshot) { 1 } else { WORKERS };
    let found: Vec<usize> = share(workers, work).into_iter().flatten().collect();
    let mut changed = Vec::new();
    if !found.is_empty() {
        changed.resize(snapshot.directories(), false);
        found.into_iter().for_each(|index| changed[index] = true);
    }
    changed
}

/// Checks the directories whose first file is in the block, and all files in it.
fn check_block(root: BorrowedFd<'_>, snapshot: &Snapshot, start: usize, changed: &mut Vec<usize>) {
    let end = start + BLOCK;
    // The directory around the block's first file; empty ones at `start` begin in this block as well.
    let mut index = snapshot.first_directory(|index| snapshot.first_file(index) < start);
    if index > 0 && snapshot.first_file(index) > start {
        index -= 1;
    }
    while index < snapshot.directories() && snapshot.first_file(index) < end {
        let files = snapshot.first_file(index).max(start)..snapshot.first_file(index + 1).min(end);
        if !same(root, snapshot, index, files) {
            changed.push(index);
        }
        index += 1;
    }
}

fn same(root: BorrowedFd<'_>, snapshot: &Snapshot, index: usize, mut files: std::ops::Range<usize>) -> bool {
    let record = snapshot.directory(index);
    if record.fresh {
        return false;
    }
    let path = if record.path.is_empty() { b"." } else { record.path };
    let Ok(directory) = rustix::fs::openat(root, path, DIRECTORY_FLAGS, Mode::empty()) else { return false };
    let Ok(stat) = rustix::fs::fstat(&directory) else { return false };
    Stamp::of(&stat) == record.stamp
        && files.all(|index| {
            let file = snapshot.file(index, record.stamp.device);
            !file.fresh
                && rustix::fs::statat(&directory, file.name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| Stamp::of(&stat) == file.stamp)
        })
}
