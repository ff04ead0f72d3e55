//! Files that are told one by one in a manifest, and what the links among them lead to.

use engine::files::{Behind, EntryKind, FileSet};
use engine::manifest::{Manifest, Source};

/// Adds each of `files`, and each file behind a link among them, under the name that `name` gives its path; none for one
/// that nobody reads.
pub(super) fn add(manifest: &mut Manifest, files: &FileSet, behind: &Behind, name: impl Fn(&str) -> Option<String>) {
    for entry in files.entries() {
        let Some(name) = name(&entry.path) else { continue };
        match &entry.kind {
            EntryKind::File { digest, .. } => manifest.digest(Source::File, name, *digest),
            EntryKind::Symlink { target } => manifest.value(Source::File, name, target),
            EntryKind::Directory => {}
        }
    }
    for entry in behind.files.entries() {
        let Some(name) = name(&entry.path) else { continue };
        match (&entry.kind, files.get(&entry.path).map(|link| &link.kind)) {
            // The link itself has the plain name.
            (EntryKind::File { digest, .. }, Some(EntryKind::Symlink { target })) => {
                manifest.digest(Source::File, format!("{name} → {target}"), *digest);
            }
            (EntryKind::File { digest, .. }, _) => manifest.digest(Source::File, name, *digest),
            (EntryKind::Symlink { target }, _) => manifest.value(Source::File, name, target),
            (EntryKind::Directory, _) => {}
        }
    }
}
