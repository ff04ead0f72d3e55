//! A key of this machine's own, under which secrets are digested: what is kept of them in receipts can be compared,
//! and says nothing to whoever finds it, not even whether a guess is right.
//!
//! 32 random bytes, mode 0600, outside of every checkout. Losing it costs one run of the steps that have secrets.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use secrecy::{ExposeSecret as _, SecretBox};

/// The key.
pub struct MachineKey(SecretBox<[u8; 32]>);

impl MachineKey {
    /// This user's key, made when there is none yet: `$XDG_STATE_HOME/xtask/key`, or `~/.local/state/xtask/key`.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn of_this_user() -> Result<Self, Failure> {
        Self::in_folder(&folder())
    }

    /// The key in `folder`.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn in_folder(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("key");
        match read(&path) {
            Ok(Some(key)) => Ok(Self(SecretBox::new(Box::new(key)))),
            Ok(None) => make(folder, &path).map_err(|error| Failure::io("make this machine's key in", &path, &error)),
            Err(error) => Err(Failure::io("read this machine's key in", &path, &error)),
        }
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

fn make(folder: &Path, path: &Path) -> std::io::Result<MachineKey> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let key = random::<32>()?;
    let temporary = folder.join(format!(".key.{}", std::process::id()));
    // What an earlier process of this number may have left.
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    fs::rename(&temporary, path)?;
    // Two processes that make it at once end up with the one that came last.
    let key = read(path)?.unwrap_or(key);
    Ok(MachineKey(SecretBox::new(Box::new(key))))
}

/// Random bytes from the kernel.
///
/// # Errors
/// When the kernel gives none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
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
        let folder = folder.path().join("xtask");
        let digest = |name: &str, value: &str| MachineKey::in_folder(&folder).unwrap().digest(name, value.as_bytes());
        let first = digest("a", "1");
        assert_eq!(fs::metadata(folder.join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(digest("a", "1"), first);
        assert_ne!(digest("b", "1"), first);
        assert_ne!(digest("a", "2"), first);
        // A key that others could read is replaced.
        fs::set_permissions(folder.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(digest("a", "1"), first);
    }
}
