//! What is read by other paths than its own, because links lead there: a change of it is a change at each of those paths.
//!
//! What they are is found by whoever follows links ([`engine::files::Gatherer::follow`]), so nothing can be hashed behind a
//! link that is not known here; and by [`super::reads::Reads::links`] of what the graph file itself names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::files::Alias;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases(BTreeSet<Alias>);

impl Aliases {
    /// These.
    pub const fn new(all: BTreeSet<Alias>) -> Self {
        Self(all)
    }

    /// The paths by which what lies at `path` is reached, less its own.
    pub fn of(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        self.0.iter().filter_map(move |alias| {
            let below = path.strip_prefix(&alias.real).ok()?;
            // With an empty path behind it, one of a file would be one of a folder.
            Some(if below.as_os_str().is_empty() { alias.reached.clone() } else { alias.reached.join(below) })
        })
    }

    /// The paths by which something is read that has changed at `path`: a folder stands for what is in it.
    pub fn reached(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        let below = self.0.iter().filter(move |alias| alias.real != path && alias.real.starts_with(path));
        self.of(path).chain(below.map(|alias| alias.reached.clone()))
    }

    /// Whether anything that is read so is at `path` or below it.
    pub fn lie_below(&self, path: &Path) -> bool {
        self.0.iter().any(|alias| alias.real.starts_with(path))
    }

    /// Whether a link is at `path`, or was.
    pub fn begin_at(&self, path: &Path) -> bool {
        self.0.iter().any(|alias| alias.reached == path)
    }

    /// Where it lies.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|alias| alias.real.as_path())
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use engine::files::Alias;

    use super::Aliases;

    #[test]
    fn a_change_is_one_wherever_it_is_reached() {
        let alias = |real: &str, reached: &str| Alias { real: real.into(), reached: reached.into() };
        let aliases = Aliases::new([alias("/main/local.yaml", "/w/local.yaml"), alias("/main/c", "/w/link")].into());
        let check = |path: &str, expected: &[&str]| {
            let found: Vec<PathBuf> = aliases.reached(Path::new(path)).collect();
            assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{path}");
        };
        check("/main/local.yaml", &["/w/local.yaml"]);
        check("/main/c/app/a.py", &["/w/link/app/a.py"]);
        check("/main/c", &["/w/link"]);
        check("/main", &["/w/link", "/w/local.yaml"]);
        check("/main/other", &[]);
        check("/w/local.yaml", &[]);
    }
}
