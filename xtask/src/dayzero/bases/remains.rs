//! What assemblies that were killed have begun in the folder where base images are kept.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use engine::failure::Failure;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// How the names of what is being put together begin; they do not say which base it is.
const BEGUN: &str = ".work.";

/// Removes it from `folder`, unless one of `bases` is just being assembled: `bases/assemble` holds `BASE.lock` meanwhile.
///
/// # Errors
/// When something of it cannot be removed.
pub(super) fn clear(folder: &Path, bases: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Ok(());
    }
    let mut held = Vec::new();
    for base in bases {
        let path = folder.join(format!("{base}.lock"));
        let lock = File::options().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|error| Failure::io("open the lock", &path, &error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => held.push(lock),
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(error) => return Err(Failure::io("lock", &path, &error.into())),
        }
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(BEGUN)) {
        match fs::remove_dir_all(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::io("remove", &entry.path(), &error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use rustix::fs::FlockOperation;

    use super::clear;

    #[test]
    fn what_a_killed_assembly_has_begun_goes_and_what_is_at_work_stays() {
        let folder = tempfile::tempdir().unwrap();
        let bases = || ["node-22-slim", "postgres-17"].map(str::to_owned);
        fs::create_dir_all(folder.path().join(".work.a1b2c3/context")).unwrap();
        fs::write(folder.path().join("postgres-17-0123456789abcdef.tar.gz"), "kept").unwrap();

        let lock = File::create(folder.path().join("postgres-17.lock")).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        clear(folder.path(), bases()).unwrap();
        assert!(folder.path().join(".work.a1b2c3/context").is_dir());
        drop(lock);
        clear(folder.path(), bases()).unwrap();
        assert!(!folder.path().join(".work.a1b2c3").exists());
        assert!(folder.path().join("postgres-17-0123456789abcdef.tar.gz").exists());
        clear(&folder.path().join("none"), bases()).expect("there is nothing, and that is no error");
    }
}
