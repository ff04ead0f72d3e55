//! Reads and hashes the files whose contents are not known, by two workers.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::tree::{Content, Stamp, Tree, join};
use super::walk::{Trouble, Walk};
use super::workers::{WORKERS, share};
use crate::digest::Digest;

/// Bytes read at a time.
const BUFFER: usize = 128 * 1024;

struct Job {
    directory: usize,
    file: usize,
    path: String,
    stamp: Stamp,
}

/// Fills in all contents that are still unread.
pub(super) fn read_unread(walk: &Walk<'_>, tree: &mut Tree) -> Result<(), Trouble> {
    let mut jobs = Vec::new();
    for (index, directory) in tree.directories.iter().enumerate() {
        let unread = directory.files.iter().enumerate().filter(|(_, file)| file.content == Content::Unread);
        jobs.extend(unread.map(|(file, of)| Job {
            directory: index,
            file,
            path: join(&directory.path, &of.name),
            stamp: of.stamp,
        }));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; BUFFER];
        let mut done = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            match digest(walk, job, &mut buffer) {
                Ok(digest) => done.push((job.directory, job.file, digest)),
                Err(trouble) => {
                    next.store(jobs.len(), Ordering::Relaxed);
                    return Err(trouble);
                }
            }
        }
        Ok(done)
    };
    let workers = if jobs.len() > 1 { WORKERS } else { 1 };
    for result in share(workers, work) {
        for (directory, file, digest) in result? {
            tree.directories[directory].files[file].content = Content::File(digest);
        }
    }
    Ok(())
}

/// Hashes one file; it has to be the one that was listed, before and after it is read.
fn digest(walk: &Walk<'_>, job: &Job, buffer: &mut [u8]) -> Result<Digest, Trouble> {
    let unsettled = || Trouble::Unsettled(job.path.clone());
    let failed = |error: Errno| walk.failed("read", &job.path, error);
    // Not blocking: a pipe may have taken the file's place since it was listed.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(walk.root, job.path.as_str(), flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Err(unsettled()),
        Err(error) => return Err(failed(error)),
    };
    let look = |file: BorrowedFd<'_>| rustix::fs::fstat(file).map(|stat| Stamp::of(&stat)).map_err(failed);
    let handle = file.as_fd();
    if look(handle)? != job.stamp {
        return Err(unsettled());
    }
    let mut hasher = Sha256::new();
    loop {
        match rustix::io::read(&file, &mut *buffer) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if look(handle)? != job.stamp {
        return Err(unsettled());
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}
