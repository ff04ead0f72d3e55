//! What is known of a step's last success, and the folder of small files that keeps it.
//!
//! Any of these files may be deleted, cut short or written over: that costs a run of the step, never a wrong skip.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::failure::Failure;
use crate::files::FileSet;
use crate::manifest::Manifest;
use crate::step::StepId;

/// What a step made: what the steps behind it see of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// All facts that a later step may use, in the shape that the kind of step defines.
    pub facts: serde_json::Value,
    /// What was made, as one digest: two outputs with the same digest are interchangeable for every later step.
    pub digest: Digest,
}

/// A step's run, from its start to its success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The inputs.
    pub manifest: Manifest,
    /// What it made. `None` from the moment the step starts to change the world until it has succeeded:
    /// a receipt that says so is never fresh.
    pub output: Option<Output>,
    /// What of the world has to be as it was then, in the shape that the kind of step defines.
    pub observed: serde_json::Value,
    /// When it ended: milliseconds since 1970.
    pub finished_ms: u64,
    /// How long the run took.
    pub took: Duration,
}

/// What the folder holds for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// No receipt.
    Nothing,
    /// Something that cannot be read, and why.
    Damaged(String),
    /// A receipt.
    Receipt(Box<Receipt>),
}

impl Stored {
    /// The receipt, if there is one that can be read.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Receipt(receipt) => Some(receipt),
            Self::Nothing | Self::Damaged(_) => None,
        }
    }
}

/// The bytes of a receipt's file, as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// There is no file.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
    /// What is in it.
    Read(Vec<u8>),
}

impl Bytes {
    /// Reads a file. Never fails.
    pub(crate) fn of_file(path: &Path) -> Self {
        match fs::read(path) {
            Ok(bytes) => Self::Read(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// What they say of `step`.
    pub fn decode(&self, step: &StepId) -> Stored {
        match self {
            Self::Missing => Stored::Nothing,
            Self::Unreadable(why) => Stored::Damaged(why.clone()),
            Self::Read(bytes) => decode(bytes, step),
        }
    }
}

/// The folder of receipts: one file per step.
#[derive(Debug, Clone)]
pub struct Receipts {
    folder: PathBuf,
}

/// First line of a receipt's file: format, length of the rest in bytes, SHA-256 of the rest.
const FORMAT: &str = "receipt/1";

impl Receipts {
    /// Receipts below `folder`, which is made when the first one is written.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where they lie: a file per step.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is known of `step`. Never fails: what cannot be read is [`Stored::Damaged`].
    pub fn load(&self, step: &StepId) -> Stored {
        self.read(step).decode(step)
    }

    /// The bytes of `step`'s receipt.
    pub fn read(&self, step: &StepId) -> Bytes {
        Bytes::of_file(&self.path(step))
    }

    /// Writes a receipt so that a crash at any moment leaves either the old one or the new one.
    ///
    /// # Errors
    /// When it cannot be written: a full disk, a read-only checkout.
    pub fn store(&self, receipt: &Receipt) -> Result<(), Failure> {
        let step = receipt.manifest.step();
        for (name, files) in receipt.manifest.listings() {
            // Only good for saying which file changed: a listing that is missing or of another time is no harm.
            if let Ok(bytes) = postcard::to_stdvec(files) {
                write_atomically(&self.listing_path(step, name), &bytes)?;
            }
        }
        write_atomically(&self.path(step), &encode(receipt)?)
    }

    /// Gives `old`, a manifest of this folder, the listings that are needed to say which files differ in `new`.
    pub fn attach_listings(&self, old: &mut Manifest, new: &Manifest) {
        let names: Vec<String> = new.differing_files(old).map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let bytes = fs::read(self.listing_path(new.step(), &name)).ok();
            if let Some(files) = bytes.and_then(|bytes| postcard::from_bytes::<FileSet>(&bytes).ok()) {
                old.attach(&name, files);
            }
        }
    }

    fn listing_path(&self, step: &StepId, name: &str) -> PathBuf {
        let digest = Digest::of_bytes(name.as_bytes()).short();
        self.folder.join("listings").join(format!("{}-{digest}", step.file_stem()))
    }

    /// Forgets a step.
    pub fn remove(&self, step: &StepId) -> Result<(), Failure> {
        let path = self.path(step);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", &path, &error)),
            _ => Ok(()),
        }
    }

    fn path(&self, step: &StepId) -> PathBuf {
        self.folder.join(step.file_stem())
    }
}

/// A receipt as the bytes of its file.
///
/// # Errors
/// Only when the receipt cannot be expressed as JSON, which its types rule out.
pub fn encode(receipt: &Receipt) -> Result<Vec<u8>, Failure> {
    let body =
        serde_json::to_vec(receipt).map_err(|error| Failure::step("could not write a receipt").because(error))?;
    let mut bytes = format!("{FORMAT} {} {}\n", body.len(), Digest::of_bytes(&body)).into_bytes();
    bytes.extend(body);
    Ok(bytes)
}

/// Reads what [`encode`] wrote for `step`.
pub fn decode(bytes: &[u8], step: &StepId) -> Stored {
    match try_decode(bytes, step) {
        Ok(receipt) => Stored::Receipt(Box::new(receipt)),
        Err(what) => Stored::Damaged(what),
    }
}

fn try_decode(bytes: &[u8], step: &StepId) -> Result<Receipt, String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let (head, body) = (&bytes[..end], &bytes[end + 1..]);
    let head = std::str::from_utf8(head).map_err(|_| "its first line is no text")?;
    let expected = format!("{FORMAT} {} {}", body.len(), Digest::of_bytes(body));
    if !head.starts_with(FORMAT) {
        return Err("another version wrote it".into());
    }
    if head != expected {
        return Err("its checksum does not match".into());
    }
    let receipt: Receipt = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if receipt.manifest.step() != step {
        return Err(format!("it belongs to {}", receipt.manifest.step()));
    }
    Ok(receipt)
}

/// Which receipt a step is judged by: this checkout's `own`, or the one that whoever worked under the step's lock
/// last left there, which may be another checkout. Also whether it is the latter.
///
/// A shared receipt for the very same inputs saves repeating what another checkout did, unless that is nothing here because
/// it was done `in_checkout`. One without output means that somebody began to change the world and has not finished: then
/// no receipt is good, ours included.
pub fn choose(key: &Digest, in_checkout: bool, own: Stored, shared: Stored) -> (Stored, bool) {
    let is_for_key = |stored: &Stored| {
        stored.receipt().is_some_and(|receipt| receipt.output.is_some() && receipt.manifest.key() == *key)
    };
    match (own, shared) {
        (Stored::Receipt(mut own), Stored::Receipt(shared)) if shared.output.is_none() => {
            own.output = None;
            (Stored::Receipt(own), false)
        }
        (own, shared) if !in_checkout && is_for_key(&shared) && !is_for_key(&own) => (shared, true),
        (own, _) => (own, false),
    }
}

/// Writes a file under a temporary name beside `path`, then renames it; makes the folder when it is missing.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The process's number keeps two runs from writing the same temporary file.
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
    let written = fs::File::create(&temporary).and_then(|mut file| file.write_all(bytes));
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        // Best effort: the write's own error is the one to tell.
        let _ = fs::remove_file(&temporary);
        Failure::io("write", path, &error)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::{Output, Receipt, Receipts, Stored};
    use crate::digest::Digest;
    use crate::manifest::{Manifest, Source};
    use crate::step::{Kind, StepId};

    fn receipt() -> Receipt {
        let mut manifest = Manifest::new(StepId::new(Kind::Image, "backend"));
        manifest.value(Source::Definition, "context", "backend");
        Receipt {
            manifest,
            output: Some(Output { facts: serde_json::json!({"id": "sha256:1"}), digest: Digest::of_bytes(b"1") }),
            observed: serde_json::json!({"tag": "x"}),
            finished_ms: 1,
            took: Duration::from_millis(1500),
        }
    }

    #[test]
    fn any_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = Receipts::in_folder(folder.path().join("receipts"));
        let (receipt, step) = (receipt(), StepId::new(Kind::Image, "backend"));
        assert_eq!(receipts.load(&step), Stored::Nothing);
        receipts.store(&receipt).unwrap();
        assert_eq!(receipts.load(&step), Stored::Receipt(Box::new(receipt)));

        let path = receipts.path(&step);
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(matches!(receipts.load(&step), Stored::Damaged(_)), "cut to {length} bytes");
        }
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, bad).unwrap();
            assert!(matches!(receipts.load(&step), Stored::Damaged(_)), "bit flipped in byte {position}");
        }
    }

    #[test]
    fn a_receipt_under_another_steps_name_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = Receipts::in_folder(folder.path());
        receipts.store(&receipt()).unwrap();
        let other = StepId::new(Kind::Image, "frontend");
        fs::copy(receipts.path(&StepId::new(Kind::Image, "backend")), receipts.path(&other)).unwrap();
        assert!(matches!(receipts.load(&other), Stored::Damaged(_)));
    }
}
