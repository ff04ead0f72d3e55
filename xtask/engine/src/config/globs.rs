//! Files by pattern: `app/**/*.py`.

use std::path::{Path, PathBuf};

use super::paths::Shape;
use super::value::Value;
use crate::files::glob;

/// The characters that make a path a pattern.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// Whether a path names files by pattern.
pub fn is_pattern(path: &str) -> bool {
    path.contains(SPECIAL)
}

impl Value<'_> {
    /// A list of files or patterns, at least one; a file that is named has to be there.
    pub(crate) fn globs(self) -> Option<Vec<String>> {
        let files = self.set(|item| {
            let glob = item.glob(Path::new("."))?;
            if !is_pattern(&glob) {
                item.expect(Path::new(&glob), Shape::File, None);
            }
            Some(glob)
        })?;
        match self.raw().as_array() {
            Some(items) if items.is_empty() => {
                self.reading.report(self.problem(format!("`{}` is empty", self.name())).label("names no file"))
            }
            _ => Some(files),
        }
    }

    /// A path or pattern relative to `base`, as one relative to the workspace root.
    pub(crate) fn glob(self, base: &Path) -> Option<String> {
        // What is special in the name of the base folder is not meant as a pattern.
        let base = PathBuf::from(globset::escape(&base.display().to_string()));
        let glob = self.path_below(&base)?.display().to_string();
        self.pattern(glob)
    }

    /// The text that was read from here, if it is a pattern.
    pub(crate) fn pattern(self, text: String) -> Option<String> {
        match glob::compile(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                let problem = self.problem(format!("`{text}` is not a pattern")).label(error.kind().to_string());
                self.reading
                    .report(problem.help("`*` is anything but `/`, `**` any folders, `?` one character, `[ab]` a or b"))
            }
        }
    }
}
