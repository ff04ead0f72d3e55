//! The globs of a command's `inputs` and `outputs` and of raw manifests, relative to a query's root: `app/**/*.py`,
//! `*.{toml,lock}`.
//!
//! `*` and `?` stop at `/`, `**` does not, `{a,b}` chooses, and a leading dot is nothing special. They match files and
//! symlinks (what an input's leads to is found apart, see [`super::links`]), not directories: all that is in `app` is
//! `app/**`.

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use crate::digest::Hasher;
use crate::failure::Failure;

/// Compiles one glob, wherever one may be written: so it means the same to who checks it and to all who match it.
///
/// # Errors
/// When it is none.
pub fn compile(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).backslash_escape(true).empty_alternates(true).build()
}

/// A list of globs.
#[derive(Debug, Clone)]
pub struct Globs {
    set: GlobSet,
    globs: Vec<OneGlob>,
}

#[derive(Debug, Clone)]
struct OneGlob {
    text: String,
    /// The components before the first one with something special in it; the file name is never among them.
    fixed: Vec<String>,
    /// One matcher for each of the further components that a directory has to match, up to the first `**`;
    /// `None` for components that any directory matches.
    then: Vec<Option<GlobMatcher>>,
    /// Nothing below this depth can match.
    depth: Option<usize>,
}

impl Globs {
    /// Compiles globs as written in the graph file. The error names the glob; the caller knows its line.
    pub fn new<T: AsRef<str>>(globs: impl IntoIterator<Item = T>) -> Result<Self, Failure> {
        let mut set = GlobSetBuilder::new();
        let mut all = Vec::new();
        for text in globs {
            let text = text.as_ref().strip_prefix("./").unwrap_or(text.as_ref());
            let refuse = |reason: &str| Failure::usage(format!("`{text}` is not a glob")).because(reason);
            if text.is_empty() || text.starts_with('/') || text.split('/').any(|part| part == "..") {
                return Err(refuse("it has to name files below the step's `cwd`")
                    .help("set `cwd` to a directory that holds all of the files, and write the globs relative to it"));
            }
            set.add(compile(text).map_err(|error| refuse(&error.kind().to_string()))?);
            all.push(OneGlob::new(text, |part| compile(part).ok().map(|glob| glob.compile_matcher())));
        }
        let set = set.build().map_err(|error| Failure::usage("the globs do not compile").because(error))?;
        Ok(Self { set, globs: all })
    }

    /// Whether any glob matches the file at `path`.
    pub fn matches(&self, path: &str) -> bool {
        self.set.is_match(path)
    }

    /// Whether any glob matches `path`, or a directory that it lies in.
    pub fn cover(&self, path: &str) -> bool {
        self.matches(path) || path.match_indices('/').any(|(end, _)| self.matches(&path[..end]))
    }

    /// Whether a file below the directory `path` could match. An `unwanted` directory is entered only for a glob that
    /// leads there without a wildcard: `target/*.json`, but not `**/*.json` or `*/target/*.json`.
    pub fn may_match_below(&self, path: &str, unwanted: bool) -> bool {
        self.globs.iter().any(|glob| glob.may_match_below(path, unwanted))
    }

    /// The globs that match none of `paths`, as written.
    pub fn unmatched<'a>(&self, paths: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut matched = vec![false; self.globs.len()];
        for path in paths {
            for index in self.set.matches(path) {
                matched[index] = true;
            }
        }
        self.globs.iter().zip(matched).filter(|(_, matched)| !matched).map(|(glob, _)| glob.text.clone()).collect()
    }

    /// Adds the globs to a digest.
    pub fn hash_into(&self, hasher: &mut Hasher) {
        hasher.number(self.globs.len() as u64);
        self.globs.iter().for_each(|glob| {
            hasher.text(&glob.text);
        });
    }
}

impl OneGlob {
    fn new(text: &str, compile: impl Fn(&str) -> Option<GlobMatcher>) -> Self {
        let parts: Vec<&str> = text.split('/').collect();
        let directories = &parts[..parts.len() - 1];
        let special = |part: &&&str| part.contains(['*', '?', '[', ']', '{', '}', '\\']);
        // An alternative may hold a `/`, and then the components are not where they seem to be.
        let splits = text.contains(['{', '[', '\\']);
        let fixed: Vec<String> =
            directories.iter().take_while(|part| !special(part)).map(|part| (*part).to_owned()).collect();
        let rest = &directories[fixed.len()..];
        let recursive = rest.iter().position(|part| part.contains("**"));
        let then = match (splits, recursive) {
            (true, _) => Vec::new(),
            (false, end) => rest[..end.unwrap_or(rest.len())].iter().map(|part| compile(part)).collect(),
        };
        let endless = splits || recursive.is_some() || parts.last().is_some_and(|last| last.contains("**"));
        let depth = (!endless).then_some(directories.len());
        Self { text: text.to_owned(), fixed, then, depth }
    }

    fn may_match_below(&self, path: &str, unwanted: bool) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        if self.depth.is_some_and(|depth| parts.len() > depth) {
            return false;
        }
        let (head, tail) = parts.split_at(parts.len().min(self.fixed.len()));
        if head.iter().zip(&self.fixed).any(|(part, fixed)| part != fixed) {
            return false;
        }
        if unwanted && !tail.is_empty() {
            return false;
        }
        tail.iter().zip(&self.then).all(|(part, glob)| glob.as_ref().is_none_or(|glob| glob.is_match(part)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop};
    use proptest::{prop_assert, proptest};

    use super::Globs;

    fn text(parts: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(parts), 1..most).prop_map(|parts| parts.concat())
    }

    proptest! {
        /// The walk goes wherever a file could match; only directories that hold what tools made need to be named.
        #[test]
        fn no_parent_of_a_match_is_skipped(
            glob in text(&["a", "b", "/", "/", "*", "**/", "/**", "?", "[ab]", "[!a]", "{a,b}", "{a/b,c}", "\\*", "."], 8),
            path in text(&["a", "b", "c", "/", "/", "*", "."], 9),
        ) {
            let Ok(globs) = Globs::new([&glob]) else { return Ok(()) };
            let path = super::super::pattern::clean(path.trim_matches('/'));
            if globs.matches(&path) {
                for (end, _) in path.match_indices('/') {
                    prop_assert!(globs.may_match_below(&path[..end], false), "{glob} matches {path}");
                }
            }
        }
    }

    #[test]
    fn directories_that_cannot_hold_a_match_are_not_walked() {
        let check = |glob: &str, walked: &[&str], skipped: &[&str]| {
            let globs = Globs::new([glob]).unwrap();
            walked.iter().for_each(|path| assert!(globs.may_match_below(path, false), "{glob} {path}"));
            skipped.iter().for_each(|path| assert!(!globs.may_match_below(path, false), "{glob} {path}"));
        };
        check("app/**/*.py", &["app", "app/x", "app/x/y"], &["apps", "lib", "lib/app"]);
        check("app/*.py", &["app"], &["app/x", "lib"]);
        check("*.py", &[], &["app"]);
        check("a*/b/*.py", &["ab", "ab/b"], &["b", "ab/c", "ab/b/c"]);
        check("**/b/*.py", &["a", "a/b", "a/b/c"], &[]);
    }
}
