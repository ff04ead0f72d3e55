//! One run at a time works on a step, whichever worktree or home folder it was started from.
//!
//! A lock is named by what the step changes (a cluster's uid, namespace and release; a daemon and an image), not by
//! the checkout. It is held by the kernel for the process that took it, so a killed run leaves none behind. Beside
//! each lock lies the receipt that its last holder left: who waited, or works in another worktree, judges by it and
//! need not repeat what was just done.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::digest::{Digest, Hasher};
use crate::failure::Failure;
use crate::receipt::{Bytes, Receipt, encode, write_atomically};

/// The folder of this user's locks.
#[derive(Debug, Clone)]
pub struct Locks {
    folder: PathBuf,
}

impl Locks {
    /// The folder that all runs of this user on this machine share, whatever their HOME and TMPDIR say.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub fn of_this_user() -> Result<Self, Failure> {
        let user = rustix::process::getuid().as_raw();
        Self::in_folder(Path::new("/tmp").join(format!("xtask-{user}")))
    }

    /// Locks below `folder`, which is made with mode 0700 when it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Result<Self, Failure> {
        let folder = folder.into();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| Failure::io("make the folder of locks", &folder, &error))?;
        let about = fs::symlink_metadata(&folder).map_err(|error| Failure::io("look at", &folder, &error))?;
        if !about.is_dir() || about.uid() != rustix::process::getuid().as_raw() {
            return Err(Failure::environment(format!("{} is not this user's own folder", folder.display()))
                .because("locks in a folder that others can write could be taken or forged by them")
                .help(format!("look at who made it with `ls -ld {0}`, and remove it", folder.display())));
        }
        Ok(Self { folder })
    }

    /// Where they lie, each beside the receipt that its last holder left: `NAME` and `NAME.receipt`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The lock of that name.
    pub fn named(&self, name: &str) -> Lock {
        // Names hold uids and paths: hashed to a fixed length, with a readable head.
        let mut hasher = Hasher::new("lock/1");
        hasher.text(name);
        let digest = hasher.finish();
        let head: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).take(40).collect();
        Lock { path: self.folder.join(format!("{head}-{}", digest.short())) }
    }
}

/// A lock that may be taken.
#[derive(Debug, Clone)]
pub struct Lock {
    path: PathBuf,
}

/// What the last holder left, and a mark by which a change of it is noticed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// The receipt.
    pub bytes: Bytes,
    /// Differs whenever anybody has worked under the lock since.
    pub mark: Digest,
}

impl Lock {
    /// Takes the lock if nobody holds it. `holder` tells others who does: `deploy in /home/me/app, pid 4711`.
    pub fn try_acquire(&self, holder: &str) -> Result<Option<Held>, Failure> {
        let file = self.open()?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.held(file, holder).map(Some),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(Failure::io("lock", &self.path, &error.into())),
        }
    }

    /// Takes the lock, blocking the calling thread until whoever holds it is done.
    pub fn acquire(&self, holder: &str) -> Result<Held, Failure> {
        let file = self.open()?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return self.held(file, holder),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Failure::io("lock", &self.path, &error.into())),
            }
        }
    }

    /// Who holds it, in their own words; nothing in the moment before they have written them.
    pub fn holder(&self) -> Option<String> {
        let text = fs::read_to_string(&self.path).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// What the last holder left.
    pub fn shared(&self) -> Shared {
        let bytes = Bytes::of_file(&self.shared_path());
        let mark = match &bytes {
            Bytes::Read(bytes) => Digest::of_bytes(bytes),
            Bytes::Missing | Bytes::Unreadable(_) => Digest::of_bytes(b""),
        };
        Shared { bytes, mark }
    }

    fn shared_path(&self) -> PathBuf {
        self.path.with_added_extension("receipt")
    }

    fn open(&self) -> Result<File, Failure> {
        let mut options = OpenOptions::new();
        // Never truncated on opening: the text in it is the holder's until the lock is ours.
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&self.path).map_err(|error| Failure::io("open the lock", &self.path, &error))
    }

    fn held(&self, mut file: File, holder: &str) -> Result<Held, Failure> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())
        };
        write(&mut file).map_err(|error| Failure::io("write the lock", &self.path, &error))?;
        Ok(Held { lock: self.clone(), file })
    }
}

/// A lock that is held until this value is dropped or the process ends.
#[derive(Debug)]
pub struct Held {
    lock: Lock,
    /// The kernel's lock lives as long as this open file.
    file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Or else whoever waits for the next holder could be told of this one. It is only what people read.
        let _ = self.file.set_len(0);
        // To close the file alone would leave the lock with a child that is just being started: it has the file open, too,
        // until its program begins.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

impl Held {
    /// Leaves a receipt for whoever takes the lock next.
    pub fn share(&self, receipt: &Receipt) -> Result<(), Failure> {
        write_atomically(&self.lock.shared_path(), &encode(receipt)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Locks;
    use crate::manifest::Manifest;
    use crate::receipt::{Bytes, Receipt, Stored};
    use crate::step::StepId;
    use std::time::Duration;

    #[test]
    fn one_holder_at_a_time_and_what_it_left_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Locks::in_folder(folder.path().join("locks")).unwrap().named("cluster uid/ns/release");
        let step = StepId::cluster();
        let before = lock.shared();
        assert_eq!(before.bytes, Bytes::Missing);

        let held = lock.try_acquire("first").unwrap().expect("nobody holds it");
        assert!(lock.try_acquire("second").unwrap().is_none());
        assert_eq!(lock.holder().as_deref(), Some("first"));
        let receipt = Receipt {
            manifest: Manifest::new(step.clone()),
            output: None,
            observed: serde_json::Value::Null,
            finished_ms: 0,
            took: Duration::ZERO,
        };
        held.share(&receipt).unwrap();
        drop(held);
        assert_eq!(lock.holder(), None, "nobody is said to hold what nobody holds");

        let after = lock.shared();
        assert_eq!(after.bytes.decode(&step), Stored::Receipt(Box::new(receipt)));
        assert_ne!(after.mark, before.mark);
        let _held = lock.try_acquire("second").unwrap().expect("the first let go");
        assert_eq!(lock.holder().as_deref(), Some("second"));
    }

    #[test]
    fn who_waits_gets_it_when_the_holder_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Locks::in_folder(folder.path()).unwrap().named("x");
        let held = lock.acquire("first").unwrap();
        let waiter = std::thread::spawn({
            let lock = lock.clone();
            move || lock.acquire("second").map(|held| (held, lock.holder()))
        });
        drop(held);
        let (_held, holder) = waiter.join().unwrap().unwrap();
        assert_eq!(holder.as_deref(), Some("second"));
    }

    #[test]
    fn names_that_read_alike_are_different_locks() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path()).unwrap();
        let _one = locks.named("a/b").acquire("one").unwrap();
        assert!(locks.named("ab").try_acquire("other").unwrap().is_some());
    }
}
