//! What a command has made: files and images, as digests.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::errors::Error;
use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use engine::files::{Entry, EntryKind, FileSet};
use engine::verdict::Difference;
use serde::{Deserialize, Serialize};

/// Of more files than these only the digest over all of them is kept: a receipt is read in every run.
const NAMED: usize = 200;

/// Files and images at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Products {
    /// Over all files.
    files: Digest,
    count: u64,
    /// Each file, when there are few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Entry>,
    /// The ID of each image by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    images: BTreeMap<String, String>,
}

impl Products {
    pub(super) fn of_files(files: &FileSet) -> Self {
        let entries = if files.entries().len() > NAMED { Vec::new() } else { files.entries().to_vec() };
        Self { files: files.digest(), count: files.counts().files, entries, images: BTreeMap::new() }
    }

    pub(super) fn add_image(&mut self, name: &str, id: String) {
        self.images.insert(name.to_owned(), id);
    }

    /// Everything as one digest.
    pub(super) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("products/1");
        hasher.digest(&self.files);
        for (name, id) in &self.images {
            hasher.text(name).text(id);
        }
        hasher.finish()
    }

    /// One line for people.
    pub(super) fn summary(&self) -> String {
        let short = |id: &str| id.trim_start_matches("sha256:").chars().take(12).collect::<String>();
        let images = self.images.iter().map(|(name, id)| format!("{name} {}", short(id)));
        let files = match (self.count, self.entries.as_slice()) {
            (0, _) => None,
            (1, [entry]) => Some(entry.path.clone()),
            (count, _) => Some(format!("{count} files")),
        };
        let parts: Vec<_> = files.into_iter().chain(images).collect();
        if parts.is_empty() { "ok".to_owned() } else { parts.join(", ") }
    }

    /// How these differ from what was made.
    pub(super) fn differences_since(&self, made: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        if self.files != made.files {
            differences.extend(self.files_since(made));
        }
        for (name, id) in &self.images {
            if made.images.get(name) != Some(id) {
                differences.push(Difference::Altered(format!("image:{name} is not the one that was made")));
            }
        }
        differences
    }

    fn files_since(&self, made: &Self) -> Vec<Difference> {
        let index = |entries: &[Entry]| -> BTreeMap<String, EntryKind> {
            entries.iter().map(|entry| (entry.path.clone(), entry.kind.clone())).collect()
        };
        let (before, now) = (index(&made.entries), index(&self.entries));
        if before.is_empty() || now.is_empty() {
            return vec![Difference::Altered("what it made has been changed".to_owned())];
        }
        let gone = before.keys().filter(|path| !now.contains_key(*path));
        let gone = gone.map(|path| Difference::Missing(format!("{path} is missing")));
        let changed = now.iter().filter(|(path, kind)| before.get(*path) != Some(kind));
        let changed = changed.map(|(path, _)| match before.contains_key(path) {
            true => Difference::Altered(format!("{path} is not as it was made")),
            false => Difference::Altered(format!("{path} was not made by it")),
        });
        gone.chain(changed).collect()
    }
}

/// The ID of the image `name`; `None` when the daemon has none by that name.
pub(super) async fn image_id(docker: &Docker, name: &str) -> Result<Option<String>, Failure> {
    match docker.inspect_image(name).await {
        Ok(image) => Ok(image.id),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(Failure::environment(format!("could not look at the image {name}")).because_of(&error)),
    }
}
