//! Which paths below a root belong to a query, and which directories are worth walking.
//!
//! | rules | files | directories as entries | never walked |
//! | --- | --- | --- | --- |
//! | [`Rules::Context`] | all that `.dockerignore` lets through | yes, `COPY` makes empty ones too | what `.dockerignore` excludes for good, and `.xtask` |
//! | [`Rules::Globs`] | those that a glob matches | no | [`NEVER_WALKED`], unless a glob leads there without a wildcard |
//! | [`Rules::Reached`] | those, and links behind which one could match | no | as for globs |
//! | [`Rules::File`] | the one | no | all |
//!
//! A context has no list of its own, not even `.git`: what docker would send is what the image is made of, so that is
//! what its key must say, and a build by hand gives the same image. The one exception is `.xtask`, this tool's state:
//! every run writes to it, so an image whose context held it would never be fresh.

use std::borrow::Cow;

use rustix::fs::FileType;

use super::dockerignore::{Matched, Patterns};
use super::file_set::FileSet;
use super::glob::Globs;
use super::tree::join;
use crate::digest::{Digest, Hasher};

/// This tool's state folder: never an input of anything.
pub const STATE_FOLDER: &str = ".xtask";

/// Directories that hold what tools made or fetched, not what people wrote.
pub const NEVER_WALKED: [&str; 7] = [".git", ".next", ".venv", STATE_FOLDER, "__pycache__", "node_modules", "target"];

/// Which paths below the root are wanted.
#[derive(Debug, Clone)]
pub enum Rules {
    /// An image's build context; a chart, with a list of ours in place of an ignore file.
    Context {
        /// Its ignore file.
        ignore: Patterns,
    },
    /// A command's declared outputs.
    Globs {
        /// The globs.
        globs: Globs,
    },
    /// A command's declared inputs, raw manifests: what is read, also through links, which [`super::Gatherer::follow`]
    /// follows.
    Reached {
        /// The globs.
        globs: Globs,
        /// The path that is put before every other before a glob sees it: that of the link that leads to the root.
        below: String,
    },
    /// One file of the root's own.
    File {
        /// Its name.
        name: String,
    },
}

/// What was found out about a directory and is needed to judge what is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Above(Matched);

/// What becomes of a path.
pub(super) struct Judgement {
    /// It is an entry of the file set (for a directory: even when nothing below it is).
    pub(super) wanted: bool,
    /// Were it a directory: whether to walk it, and what to judge its children with.
    pub(super) walk: Option<Above>,
}

impl Rules {
    /// Judges `path`, whose last component is `name` and whose parent gave `above`.
    pub(super) fn judge(&self, path: &str, name: &str, kind: FileType, above: &Above) -> Judgement {
        let is_directory = kind == FileType::Directory;
        match self {
            Self::Context { ignore } => {
                if is_directory && name == STATE_FOLDER {
                    return Judgement { wanted: false, walk: None };
                }
                let (excluded, matched) = ignore.excludes(path, &above.0);
                let walk = is_directory && (!excluded || ignore.may_bring_back_below(path));
                Judgement { wanted: !excluded, walk: walk.then_some(Above(matched)) }
            }
            Self::Globs { globs } if is_directory => {
                let walk = globs.may_match_below(path, NEVER_WALKED.contains(&name));
                Judgement { wanted: false, walk: walk.then(Above::default) }
            }
            Self::Globs { globs } => Judgement { wanted: globs.matches(path), walk: None },
            Self::Reached { globs, below } => {
                let path = if below.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(join(below, path)) };
                let leads_on = || globs.may_match_below(&path, NEVER_WALKED.contains(&name));
                match kind {
                    FileType::Directory => Judgement { wanted: false, walk: leads_on().then(Above::default) },
                    FileType::Symlink => Judgement { wanted: globs.matches(&path) || leads_on(), walk: None },
                    _ => Judgement { wanted: globs.matches(&path), walk: None },
                }
            }
            Self::File { name: wanted } => Judgement { wanted: !is_directory && path == wanted, walk: None },
        }
    }

    /// Whether a directory is an entry as soon as something below it is one, as docker makes the parents of what is
    /// brought back.
    pub(super) const fn lists_parents(&self) -> bool {
        matches!(self, Self::Context { .. })
    }

    /// The globs that match nothing in `files`.
    pub(super) fn unmatched(&self, files: &FileSet) -> Vec<String> {
        match self {
            Self::Globs { globs } | Self::Reached { globs, .. } => {
                globs.unmatched(files.entries().iter().map(|entry| entry.path.as_str()))
            }
            Self::Context { .. } | Self::File { .. } => Vec::new(),
        }
    }

    /// What to judge the children of the walked directory `path` with.
    pub(super) fn above(&self, path: &str) -> Above {
        let mut above = Above::default();
        let Self::Context { ignore } = self else { return above };
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            if end > 0 {
                above = Above(ignore.excludes(&path[..end], &above.0).1);
            }
        }
        above
    }

    /// A digest of the rules, by which a cached listing is known to be of the same rules.
    pub(super) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("file-rules/1");
        match self {
            Self::Context { ignore } => ignore.hash_into(hasher.text("context")),
            Self::Globs { globs } => globs.hash_into(hasher.text("globs")),
            Self::Reached { globs, below } => globs.hash_into(hasher.text("reached").text(below)),
            Self::File { name } => {
                hasher.text("file").text(name);
            }
        }
        hasher.finish()
    }
}
