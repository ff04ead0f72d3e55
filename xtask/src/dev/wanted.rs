//! What the synced folders of an image's containers should hold, and what has to be sent for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use engine::failure::Failure;
use engine::files::{EntryKind, FileSet};

use super::message::{Order, push};

/// Where a synced folder is here; its place in the list is its index there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Relative to the image's context, with `/`.
    pub path: String,
}

impl Folder {
    /// The part of a context's path that is below this folder.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.path.as_str())?.strip_prefix('/')
    }
}

/// The contents of an image's synced folders at one moment: by the agent's names for paths, what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    files: BTreeMap<String, Content>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    /// Relative to the context.
    path: String,
    /// As the agent writes it: `f DIGEST`, `x DIGEST`, `link TARGET`.
    is: String,
}

impl Wanted {
    /// What of an image's context belongs into its synced folders.
    pub fn of(files: &FileSet, folders: &[Folder]) -> Self {
        let name = |path: &str| {
            let found = folders.iter().enumerate().find_map(|(index, folder)| Some((index, folder.below(path)?)));
            found.map(|(index, below)| format!("{index}/{below}"))
        };
        let entry = |entry: &engine::files::Entry| {
            let is = match &entry.kind {
                EntryKind::File { executable, digest, .. } => {
                    format!("{} {digest}", if *executable { "x" } else { "f" })
                }
                EntryKind::Symlink { target } => format!("link {target}"),
                EntryKind::Directory => return None,
            };
            Some((name(&entry.path)?, Content { path: entry.path.clone(), is }))
        };
        Self { files: files.entries().iter().filter_map(entry).collect() }
    }

    /// What of it a container with `there` lacks or has in excess.
    pub fn difference(&self, there: &BTreeMap<String, String>) -> Difference {
        let wrong = self.files.iter().filter(|(name, content)| there.get(*name) != Some(&content.is));
        let sent = wrong.map(|(name, content)| (name.clone(), content.path.clone())).collect();
        let removed = there.keys().filter(|name| !self.files.contains_key(*name)).cloned().collect();
        Difference { sent, removed }
    }

    /// How a container that has got all of this describes it.
    pub fn listing(&self) -> BTreeMap<String, String> {
        self.files.iter().map(|(name, content)| (name.clone(), content.is.clone())).collect()
    }

    /// The paths, relative to the context, at which this differs from `before`.
    pub fn changed_since(&self, before: &Self) -> BTreeSet<String> {
        let differs = |this: &Self, other: &Self| {
            let differing = this.files.iter().filter(|(name, content)| other.files.get(*name) != Some(content));
            differing.map(|(_, content)| content.path.clone()).collect::<BTreeSet<_>>()
        };
        &differs(self, before) | &differs(before, self)
    }

    /// The orders that carry out `difference`, with the bytes that are in `context` now.
    ///
    /// # Errors
    /// [`Unread::Moved`] when a file has changed since this was looked at: another look is due.
    pub fn orders(&self, difference: &Difference, context: &Path) -> Result<Vec<u8>, Unread> {
        let mut buffer = Vec::new();
        for name in &difference.removed {
            push(&mut buffer, &Order::Remove { to: name }, b"");
        }
        for (name, path) in &difference.sent {
            let Some(content) = self.files.get(name) else { continue };
            if let Some(target) = content.is.strip_prefix("link ") {
                push(&mut buffer, &Order::Link { to: name, target }, b"");
                continue;
            }
            let full = context.join(path);
            let bytes = match fs::read(&full) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Unread::Moved(full)),
                Err(error) => return Err(Unread::Failed(Failure::io("read", &full, &error))),
            };
            let digest = engine::digest::Digest::of_bytes(&bytes);
            if !content.is.ends_with(&digest.to_string()) {
                return Err(Unread::Moved(full));
            }
            let executable = content.is.starts_with("x ");
            push(&mut buffer, &Order::Write { to: name, executable, size: bytes.len() }, &bytes);
        }
        Ok(buffer)
    }
}

/// Why orders could not be made.
#[derive(Debug)]
pub enum Unread {
    /// This file is not as it was a moment ago.
    Moved(PathBuf),
    /// It cannot be read.
    Failed(Failure),
}

/// What has to be sent and removed, by the agent's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// With the paths relative to the context.
    sent: BTreeMap<String, String>,
    removed: BTreeSet<String>,
}

impl Difference {
    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.removed.is_empty()
    }

    /// The paths that it concerns, relative to the context.
    pub fn paths<'a>(&'a self, folders: &'a [Folder]) -> impl Iterator<Item = String> + use<'a> {
        let removed = self.removed.iter().filter_map(|name| {
            let (index, below) = name.split_once('/')?;
            Some(format!("{}/{below}", folders.get(index.parse::<usize>().ok()?)?.path))
        });
        self.sent.values().cloned().chain(removed)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = |count: usize| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        match (self.sent.len(), self.removed.len()) {
            (sent, 0) => f.write_str(&files(sent)),
            (0, removed) => write!(f, "{} removed", files(removed)),
            (sent, removed) => write!(f, "{}, {} removed", files(sent), files(removed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use engine::files::dockerignore::Patterns;
    use engine::files::{FileSet, Gatherer, Query, Rules};

    use super::{Folder, Unread, Wanted};

    fn files(root: &std::path::Path) -> FileSet {
        let cache = tempfile::tempdir().unwrap();
        let query = Query {
            name: "a".to_owned(),
            root: root.to_owned(),
            rules: Rules::Context { ignore: Patterns::default() },
        };
        Gatherer::new(cache.path().to_owned()).gather(&query).unwrap().files
    }

    #[test]
    fn just_what_differs_is_sent_and_a_file_that_moves_meanwhile_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("app/sub")).unwrap();
        fs::create_dir_all(root.join("apple")).unwrap();
        for (path, text) in [("app/a.py", "a"), ("app/sub/b.py", "b"), ("apple/c.py", "c"), ("d.toml", "d")] {
            fs::write(root.join(path), text).unwrap();
        }
        let folders = [Folder { path: "app".to_owned() }];
        let before = Wanted::of(&files(root), &folders);
        assert_eq!(before.listing().keys().collect::<Vec<_>>(), ["0/a.py", "0/sub/b.py"]);
        assert!(before.difference(&before.listing()).is_empty());

        fs::write(root.join("app/a.py"), "A").unwrap();
        fs::remove_file(root.join("app/sub/b.py")).unwrap();
        let after = Wanted::of(&files(root), &folders);
        let difference = after.difference(&before.listing());
        assert_eq!(difference.to_string(), "1 file, 1 file removed");
        assert_eq!(after.changed_since(&before).into_iter().collect::<Vec<_>>(), ["app/a.py", "app/sub/b.py"]);
        let orders = String::from_utf8(after.orders(&difference, root).unwrap()).unwrap();
        assert_eq!(
            orders,
            "{\"do\":\"remove\",\"to\":\"0/sub/b.py\"}\n{\"do\":\"write\",\"to\":\"0/a.py\",\"executable\":false,\"size\":1}\nA"
        );

        fs::write(root.join("app/a.py"), "B").unwrap();
        assert!(matches!(after.orders(&difference, root), Err(Unread::Moved(_))));
    }
}
