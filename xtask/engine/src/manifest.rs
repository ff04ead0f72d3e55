//! The ordered list of what a step read, each with its digest.
//!
//! One traversal of a step's inputs writes both the key and the text that people read: a manifest is kept in
//! the receipt, and "why did this run" is the difference of two of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};
use crate::files::FileSet;
use crate::files::change::summary;
use crate::step::StepId;

/// Part of every key: raised when the meaning of an entry changes, so that no old receipt is believed.
const SCHEMA: &str = "manifest/1";

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A field of the step's definition in the graph file.
    Definition,
    /// One file.
    File,
    /// A set of files, with a listing kept beside the receipt.
    Files,
    /// A key of a values file.
    Value,
    /// A variable such as `git.commit`.
    Variable,
    /// The version of a tool.
    Tool,
    /// The output of a step that this one depends on.
    Upstream,
    /// A secret: its digest is keyed, nothing of it is ever shown.
    Secret,
    /// An image that a Dockerfile builds on.
    BaseImage,
}

impl Source {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::File => "file",
            Self::Files => "files",
            Self::Value => "value",
            Self::Variable => "variable",
            Self::Tool => "tool",
            Self::Upstream => "step",
            Self::Secret => "secret",
            Self::BaseImage => "base image",
        }
    }
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it comes from.
    pub source: Source,
    /// Its name: a path, a values key, a step.
    pub name: String,
    /// What it contains.
    pub digest: Digest,
    /// Its value for people, when it is short and no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

/// All inputs of a step, in the order in which they were read.
///
/// Two of them are equal when step and inputs are; stamps and listings only accompany them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    step: StepId,
    entries: Vec<Entry>,
    /// See [`Manifest::stamp`]. Means nothing to a later run, so it is not kept.
    #[serde(skip)]
    stamps: Vec<Digest>,
    /// What is in each set of files, by the entry's name. Kept beside the receipt and read only when a set differs:
    /// a listing may be larger than everything else together.
    #[serde(skip)]
    listings: BTreeMap<String, FileSet>,
}

impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.step == other.step && self.entries == other.entries
    }
}

impl Eq for Manifest {}

impl Manifest {
    /// No inputs yet.
    pub fn new(step: StepId) -> Self {
        Self { step, entries: Vec::new(), stamps: Vec::new(), listings: BTreeMap::new() }
    }

    /// The step whose inputs these are.
    pub fn step(&self) -> &StepId {
        &self.step
    }

    /// The inputs.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds an input whose value people may read.
    pub fn value(&mut self, source: Source, name: impl Into<String>, value: impl fmt::Display) {
        let shown = value.to_string();
        let digest = Digest::of_bytes(shown.as_bytes());
        self.entries.push(Entry { source, name: name.into(), digest, shown: Some(shown) });
    }

    /// Adds an input by its digest alone.
    pub fn digest(&mut self, source: Source, name: impl Into<String>, digest: Digest) {
        self.entries.push(Entry { source, name: name.into(), digest, shown: None });
    }

    /// Adds a set of files.
    pub fn files(&mut self, name: impl Into<String>, files: &FileSet) {
        let name = name.into();
        self.digest(Source::Files, name.clone(), files.digest());
        self.listings.insert(name, files.clone());
    }

    /// The listings of the sets of files that are at hand.
    pub fn listings(&self) -> impl Iterator<Item = (&str, &FileSet)> {
        self.listings.iter().map(|(name, files)| (name.as_str(), files))
    }

    /// The sets of files that differ from those of `old`, with the digest that they had then: what has to be read for
    /// [`Self::changes_since`] to name files.
    pub fn differing_files<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = (&'a str, Digest)> {
        let differs = |now: &&Entry, was: &&Entry| {
            now.source == Source::Files
                && was.source == Source::Files
                && now.name == was.name
                && now.digest != was.digest
        };
        self.entries.iter().filter_map(move |now| {
            let was = old.entries.iter().find(|was| differs(&now, was))?;
            Some((was.name.as_str(), was.digest))
        })
    }

    /// Adds a listing that was kept elsewhere; one that is not the entry's is left out.
    pub fn attach(&mut self, name: &str, files: FileSet) {
        let digest = files.digest();
        if self
            .entries
            .iter()
            .any(|entry| entry.source == Source::Files && entry.name == name && entry.digest == digest)
        {
            self.listings.insert(name.to_owned(), files);
        }
    }

    /// Adds a mark that moves whenever the inputs are written, even when they end as they were (files' inodes and
    /// change times). It is no part of the key: it only shows that nothing was written while a step ran.
    pub fn stamp(&mut self, stamp: Digest) {
        self.stamps.push(stamp);
    }

    /// Whether neither the inputs differ nor anything wrote them between `earlier` and this gathering.
    pub fn held_still_since(&self, earlier: &Self) -> bool {
        self.stamps == earlier.stamps && self.key() == earlier.key()
    }

    /// SHA-256 over every field of every entry, each behind its length.
    ///
    /// `shown` is left out: it is a rendering of what the digest covers already.
    pub fn key(&self) -> Digest {
        let mut hasher = Hasher::new(SCHEMA);
        hasher.text(&self.step.to_string()).number(self.entries.len() as u64);
        for entry in &self.entries {
            hasher.text(entry.source.word()).text(&entry.name).digest(&entry.digest);
        }
        hasher.finish()
    }

    /// What differs from `old` to this manifest, in this manifest's order, removed inputs last.
    pub fn changes_since(&self, old: &Self) -> Vec<Change> {
        let index = |manifest: &Self| -> BTreeMap<(Source, String), Entry> {
            manifest.entries.iter().map(|e| ((e.source, e.name.clone()), e.clone())).collect()
        };
        let (before, after) = (index(old), index(self));
        let mut changes = Vec::new();
        for entry in &self.entries {
            match before.get(&(entry.source, entry.name.clone())) {
                None => changes.push(Change::new(entry, What::Added { to: entry.shown.clone() })),
                Some(was) if was.digest != entry.digest => {
                    let what = match self.files_changed(old, entry) {
                        Some(summary) => What::Files(summary),
                        None => What::Changed { from: was.shown.clone(), to: entry.shown.clone() },
                    };
                    changes.push(Change::new(entry, what));
                }
                Some(_) => {}
            }
        }
        for entry in &old.entries {
            if !after.contains_key(&(entry.source, entry.name.clone())) {
                changes.push(Change::new(entry, What::Removed));
            }
        }
        if changes.is_empty() && old.key() != self.key() {
            // The same inputs in another order: rare, but a reason must be given.
            changes.push(Change { source: Source::Definition, name: "order of inputs".into(), what: What::Removed });
        }
        changes
    }

    /// Which files of a set differ, in one line, when both listings are at hand.
    fn files_changed(&self, old: &Self, entry: &Entry) -> Option<String> {
        let (before, after) = (old.listings.get(&entry.name)?, self.listings.get(&entry.name)?);
        summary(&after.changes_since(before), after.counts().files).filter(|_| entry.source == Source::Files)
    }
}

/// One input that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where the input comes from.
    pub source: Source,
    /// Its name.
    pub name: String,
    /// How it differs.
    pub what: What,
}

/// How an input differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was not there.
    Added {
        /// Its value, when people may read it.
        to: Option<String>,
    },
    /// It is no longer there.
    Removed,
    /// It was different.
    Changed {
        /// The former value, when people may read it.
        from: Option<String>,
        /// The present value, when people may read it.
        to: Option<String>,
    },
    /// Files of a set were different: which, in one line.
    Files(String),
}

impl Change {
    fn new(entry: &Entry, what: What) -> Self {
        Self { source: entry.source, name: entry.name.clone(), what }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let What::Files(summary) = &self.what {
            return f.write_str(summary);
        }
        // A path says that it is a file and a step's name that it is a step; the others need the word.
        match self.source {
            Source::File | Source::Files | Source::Upstream => f.write_str(&self.name)?,
            source => write!(f, "{} {}", source.word(), self.name)?,
        }
        match &self.what {
            What::Added { to: Some(to) } => write!(f, " added: {}", brief(to)),
            What::Added { to: None } => f.write_str(" added"),
            What::Removed => f.write_str(" removed"),
            What::Changed { from: Some(from), to: Some(to) } => write!(f, " {} → {}", brief(from), brief(to)),
            What::Changed { .. } | What::Files(_) => f.write_str(" changed"),
        }
    }
}

/// A value short enough for one line.
fn brief(value: &str) -> String {
    const MOST: usize = 40;
    let line = value.lines().next().unwrap_or_default();
    if line.chars().count() > MOST || line.len() < value.len() {
        format!("{}…", line.chars().take(MOST).collect::<String>())
    } else if line.is_empty() {
        "(empty)".to_owned()
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Source};
    use crate::digest::Digest;
    use crate::files::{EntryKind, FileSet, file_set};
    use crate::step::{Kind, StepId};

    fn manifest(values: &[(&str, &str)]) -> Manifest {
        let mut manifest = Manifest::new(StepId::new(Kind::Release, "todo"));
        for (name, value) in values {
            manifest.value(Source::Value, *name, value);
        }
        manifest
    }

    #[test]
    fn changes_are_named_with_both_values() {
        type Values = &'static [(&'static str, &'static str)];
        let rows: &[(Values, Values, &[&str])] = &[
            (&[("a", "1")], &[("a", "1")], &[]),
            (&[("a", "1")], &[("a", "2")], &["value a 1 → 2"]),
            (&[], &[("a", "2")], &["value a added: 2"]),
            (&[("a", "1"), ("b", "")], &[("b", "x")], &["value b (empty) → x", "value a removed"]),
            (&[("a", "1"), ("b", "2")], &[("b", "2"), ("a", "1")], &["definition order of inputs removed"]),
        ];
        for (old, new, expected) in rows {
            let (old, new) = (manifest(old), manifest(new));
            let changes: Vec<_> = new.changes_since(&old).iter().map(ToString::to_string).collect();
            assert_eq!(changes, *expected);
            assert_eq!(changes.is_empty(), old.key() == new.key(), "a difference of keys always has a reason");
        }
    }

    #[test]
    fn files_are_named_when_both_listings_are_at_hand() {
        let files = |contents: &[u8]| {
            let kind = EntryKind::File { executable: false, size: 1, digest: Digest::of_bytes(contents) };
            FileSet::new(vec![file_set::Entry { path: "app/chat.py".into(), kind }])
        };
        let manifest = |contents: &[u8]| {
            let mut manifest = Manifest::new(StepId::new(Kind::Image, "backend"));
            manifest.files("backend", &files(contents));
            manifest
        };
        let (old, new) = (manifest(b"1"), manifest(b"2"));
        let text = |old: &Manifest| new.changes_since(old).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(&old), ["app/chat.py changed, 1 of 1 file"]);

        let json = serde_json::to_string(&old).unwrap();
        let mut stored: Manifest = serde_json::from_str(&json).unwrap();
        assert_eq!(text(&stored), ["backend changed"]);
        stored.attach("backend", files(b"of another time"));
        assert_eq!(text(&stored), ["backend changed"], "a listing of another time is left out");
        stored.attach("backend", files(b"1"));
        assert_eq!(text(&stored), ["app/chat.py changed, 1 of 1 file"]);
    }

    #[test]
    fn the_step_is_part_of_the_key() {
        let one = Manifest::new(StepId::new(Kind::Image, "a"));
        let other = Manifest::new(StepId::new(Kind::Image, "b"));
        assert_ne!(one.key(), other.key());
    }
}
