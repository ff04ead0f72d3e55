//! The `.dockerignore` of an image's context: which paths docker would send, and which directories it would walk.
//!
//! Exactly docker's rules, and only those: no directory is left out here because it is usually unwanted, since a build
//! by hand and a build by this tool have to see the same files. [`super::rules`] says what is added to that and why.
//!
//! The Dockerfile and the ignore file are read by the builder through a channel of their own, so they may be ignored
//! and are then simply not part of the context.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::glob::Globs;
use super::pattern::{Pattern, clean};
use crate::digest::Hasher;
use crate::failure::Failure;

/// A list of patterns in the order of their lines: the last one that applies decides.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    /// Some negation is not a plain path, so any directory may hold something that it brings back.
    negations_anywhere: bool,
    besides: Option<Besides>,
}

/// What is left out besides.
#[derive(Debug, Clone)]
struct Besides {
    folders: Vec<String>,
    but: Globs,
}

/// Which patterns a directory or one of its parents matched, by index; what is below it is judged with that.
#[derive(Debug, Clone, Default)]
pub struct Matched(Vec<bool>);

/// The longest line that docker reads.
const LONGEST_LINE: usize = 64 * 1024;

impl Patterns {
    /// The patterns for a build of `context` with `dockerfile`: those of `<dockerfile>.dockerignore` beside it,
    /// else those of the context's `.dockerignore`, else none.
    pub fn load(context: &Path, dockerfile: &Path) -> Result<Self, Failure> {
        let mut beside = dockerfile.as_os_str().to_owned();
        beside.push(".dockerignore");
        for path in [PathBuf::from(beside), context.join(".dockerignore")] {
            match fs::read(&path) {
                Ok(bytes) => return Self::parse(&bytes, &path),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(Failure::io("read", &path, &error)),
            }
        }
        Ok(Self::default())
    }

    /// Reads the bytes of an ignore file; `path` is for messages only.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, Failure> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut patterns = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let refuse = |reason: &str| {
                Failure::usage(format!("{}:{}: not a pattern", path.display(), index + 1))
                    .because(reason)
                    .help("write the path plainly, or with `*`, `**`, `?` and `[a-z]`; a `\\` takes the meaning from what follows it")
            };
            if line.len() >= LONGEST_LINE {
                return Err(refuse("the line is longer than 64 KiB"));
            }
            let line = str::from_utf8(line).map_err(|_| refuse("the line is not UTF-8"))?;
            // Only a `#` in the first column makes a comment.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let text = from_context_root(line.trim());
            let pattern =
                Pattern::parse(&text).map_err(|fault| refuse(&format!("`{}`: {}", line.trim(), fault.reason())))?;
            patterns.extend(pattern);
        }
        let negations_anywhere = patterns.iter().any(|pattern| pattern.negated() && pattern.literal().is_none());
        Ok(Self { patterns, negations_anywhere, besides: None })
    }

    /// The patterns with `folders` left out besides, apart from what `but` covers. Folders are names here and globs are
    /// globs: neither is read as docker reads a line. What a line leaves out stays out.
    pub fn leaving_out(self, folders: Vec<String>, but: Globs) -> Self {
        Self { besides: Some(Besides { folders, but }), ..self }
    }

    /// Whether `path` (relative to the context, with `/`) is left out, given what its parent matched
    /// ([`Matched::default`] at the top), and what is to be given to its children.
    pub fn excludes(&self, path: &str, parent: &Matched) -> (bool, Matched) {
        let mut excluded = false;
        let mut matched = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let matches = parent.0.get(index) == Some(&true)
                // A pattern that could change nothing is not even tried, and so is not remembered for the children.
                || (pattern.negated() == excluded && pattern.matches(path));
            matched[index] = matches;
            if matches {
                excluded = !pattern.negated();
            }
        }
        let besides = || self.besides.as_ref().is_some_and(|besides| besides.hold(path) && !besides.but.cover(path));
        (excluded || besides(), Matched(matched))
    }

    /// Whether something below the excluded directory `path` may be brought back, so that it has to be walked.
    pub fn may_bring_back_below(&self, path: &str) -> bool {
        let besides = |besides: &Besides| besides.hold(path) && besides.but.may_match_below(path, false);
        self.negations_anywhere
            || self.besides.as_ref().is_some_and(besides)
            || self
                .patterns
                .iter()
                .filter(|pattern| pattern.negated())
                .filter_map(Pattern::literal)
                .any(|literal| literal.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Adds the patterns to a digest.
    pub fn hash_into(&self, hasher: &mut Hasher) {
        hasher.number(self.patterns.len() as u64);
        for pattern in &self.patterns {
            hasher.number(u64::from(pattern.negated())).text(pattern.text());
        }
        if let Some(Besides { folders, but }) = &self.besides {
            hasher.number(folders.len() as u64);
            folders.iter().for_each(|folder| {
                hasher.text(folder);
            });
            but.hash_into(hasher);
        }
    }
}

impl Besides {
    /// Whether `path` is one of the folders, or lies in one.
    fn hold(&self, path: &str) -> bool {
        let rest = |folder: &String| path.strip_prefix(folder.as_str());
        self.folders.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A line's pattern with its path cleaned and one leading `/` taken off; a `!` stays in front.
fn from_context_root(line: &str) -> String {
    let (mark, path) = line.strip_prefix('!').map_or(("", line), |rest| ("!", rest.trim()));
    if path.is_empty() {
        return mark.to_owned();
    }
    let path = clean(path);
    match path.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => format!("{mark}{rest}"),
        _ => format!("{mark}{path}"),
    }
}
