//! A key of this machine's own, under which secrets are digested: what is kept of them in receipts can be compared,
//! and says nothing to whoever finds it, not even whether a guess is right.
//!
//! 32 random bytes, mode 0600, outside of every checkout. Losing it costs one run of the steps that have secrets.

use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use engine::lock::Locks;
use secrecy::{ExposeSecret as _, SecretBox};
use tempfile::NamedTempFile;

/// Where the kernel gives random bytes.
const RANDOM: &str = "/dev/urandom";

/// The key.
pub struct MachineKey(SecretBox<[u8; 32]>);

impl MachineKey {
    /// This user's key, made when there is none yet.
    ///
    /// It is kept in `$XDG_STATE_HOME/xtask/key`, or `~/.local/state/xtask/key`, and a copy lies beside the locks:
    /// runs from two home folders meet there, and each finds what the other has done only under the same key.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn of_this_user() -> Result<Self, Failure> {
        Self::in_folders(Locks::of_this_user()?.folder(), &folder())
    }

    /// The key in `shared`, or else the one in `kept`, which then is in both.
    fn in_folders(shared: &Path, kept: &Path) -> Result<Self, Failure> {
        let key = match usable(shared)? {
            Some(key) => key,
            None => {
                let key = match usable(kept)? {
                    Some(key) => key,
                    None => {
                        let new = random().map_err(|error| Failure::io("read", Path::new(RANDOM), &error))?;
                        put(kept, new)?
                    }
                };
                put(shared, key)?
            }
        };
        Ok(Self(SecretBox::new(Box::new(key))))
    }

    /// The digest of `value` under this key; `name` keeps equal values of different names apart.
    pub fn digest(&self, name: &str, value: &[u8]) -> Digest {
        let mut inner = Hasher::new("secret-inner/1");
        inner.field(self.0.expose_secret()).text(name).field(value);
        // Twice, as HMAC does it: from a digest alone nobody can go on to the digest of a longer value.
        let mut outer = Hasher::new("secret-outer/1");
        outer.field(self.0.expose_secret()).digest(&inner.finish());
        outer.finish()
    }
}

fn folder() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".local/state");
    // By the rules of XDG a relative path does not count.
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    state.unwrap_or_else(home).join("xtask")
}

fn usable(folder: &Path) -> Result<Option<[u8; 32]>, Failure> {
    let path = folder.join("key");
    read(&path).map_err(|error| Failure::io("read this machine's key in", &path, &error))
}

fn put(folder: &Path, key: [u8; 32]) -> Result<[u8; 32], Failure> {
    let path = folder.join("key");
    write(folder, &path, key).map_err(|error| Failure::io("make this machine's key in", &path, &error))
}

/// `None` when there is none, or none that can be used: one that others can read is no secret any more.
fn read(path: &Path) -> std::io::Result<Option<[u8; 32]>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.permissions().mode() & 0o077 != 0 || metadata.size() != 32 {
        return Ok(None);
    }
    let mut key = [0; 32];
    file.read_exact(&mut key)?;
    Ok(Some(key))
}

/// The key that is there in the end: `key`, or that of another process which was faster.
fn write(folder: &Path, path: &Path, key: [u8; 32]) -> std::io::Result<[u8; 32]> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if path.exists() && read(path)?.is_none() {
        // One that cannot be used is in the way.
        fs::remove_file(path)?;
    }
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(key),
        Err(refused) if refused.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(read(path)?.unwrap_or(key)),
        Err(refused) => Err(refused.error),
    }
}

/// Random bytes from the kernel.
///
/// # Errors
/// When the kernel gives none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::MachineKey;

    #[test]
    fn the_key_is_made_once_and_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [shared, kept] = ["shared", "kept"].map(|name| folder.path().join(name));
        let digest =
            |name: &str, value: &str| MachineKey::in_folders(&shared, &kept).unwrap().digest(name, value.as_bytes());
        let first = digest("a", "1");
        for folder in [&shared, &kept] {
            assert_eq!(fs::metadata(folder.join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(digest("a", "1"), first);
        assert_ne!(digest("b", "1"), first);
        assert_ne!(digest("a", "2"), first);
        // After a reboot.
        fs::remove_dir_all(&shared).unwrap();
        assert_eq!(digest("a", "1"), first);
        // A key that others could read is replaced.
        for folder in [&shared, &kept] {
            fs::set_permissions(folder.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
        }
        assert_ne!(digest("a", "1"), first);
    }

    #[test]
    fn two_home_folders_have_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let [shared, one, other] = ["shared", "one", "other"].map(|name| folder.path().join(name));
        let digest = |kept| MachineKey::in_folders(&shared, kept).unwrap().digest("a", b"1");
        // Each has had one of its own before they met.
        let alone = MachineKey::in_folders(&other, &other).unwrap().digest("a", b"1");
        let first = digest(&one);
        assert_ne!(alone, first);
        assert_eq!(digest(&other), first);
    }
}
