//! Paths in the graph file: relative to its folder, inside of it, with `/` between their parts.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::nearest::nearest;
use super::reading::Reading;
use super::value::Value;
use crate::step::StepId;

/// What has to be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Folder,
    File,
    /// The `Dockerfile` of a context that names none.
    Dockerfile,
    /// A folder with a Chart.yaml.
    Chart,
}

/// A path that the file names.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Relative to the workspace root, without `.` and `..`.
    pub(crate) path: PathBuf,
    pub(crate) shape: Shape,
    pub(crate) span: Range<usize>,
    /// A file that does as well: the example from which the first run makes it.
    pub(crate) or: Option<PathBuf>,
    /// The step whose definition names it.
    pub(crate) by: StepId,
}

impl Value<'_> {
    /// A path inside the workspace, normalised. Whether something is there is not asked.
    pub(crate) fn path(self) -> Option<PathBuf> {
        self.path_below(Path::new("."))
    }

    /// A path relative to `base`, as one relative to the workspace root.
    pub(crate) fn path_below(self, base: &Path) -> Option<PathBuf> {
        let text = self.words()?;
        match inside(base, &text) {
            Ok(path) => Some(path),
            Err((label, help)) => {
                let problem = self.problem(format!("`{}` leads out of the workspace", self.name()));
                self.reading.report(problem.label(label).help(help))
            }
        }
    }

    /// A path inside the workspace where something of that shape has to be.
    pub(crate) fn existing(self, shape: Shape) -> Option<PathBuf> {
        let path = self.path()?;
        self.expect(&path, shape, None);
        Some(path)
    }

    /// Notes that `path` has to be there (or `or`).
    pub(crate) fn expect(self, path: &Path, shape: Shape, or: Option<PathBuf>) {
        let by = self.reading.step();
        self.reading.expect(Expected { path: path.to_owned(), shape, span: self.span(), or, by });
    }
}

/// `text` below `base`, without `.` and `..`; `.` for the root itself.
fn inside(base: &Path, text: &str) -> Result<PathBuf, (&'static str, &'static str)> {
    let mut path: Vec<_> = base.components().filter(|part| *part != Component::CurDir).collect();
    for part in Path::new(text).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) => path.push(part),
            Component::ParentDir if path.pop().is_some() => {}
            Component::ParentDir => {
                return Err((
                    "above the folder of the graph file",
                    "keep what is deployed below the graph file, or move the graph file up",
                ));
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err((
                    "an absolute path",
                    "write it relative to the graph file's folder: other machines have other folders",
                ));
            }
        }
    }
    if path.is_empty() { Ok(PathBuf::from(".")) } else { Ok(path.iter().collect()) }
}

impl Expected {
    /// What is wrong with what is at the path below `root`.
    pub(crate) fn problem(&self, reading: &Reading<'_>, root: &Path) -> Option<Diagnostic> {
        let shown = self.path.display();
        let problem = |message: String| reading.at(self.span.clone(), message);
        let full = root.join(&self.path);
        let found = match fs::metadata(&full) {
            Ok(found) => found,
            Err(_) if self.or.as_ref().is_some_and(|or| root.join(or).is_file()) => return None,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                // That the folder is not there is reported for the folder.
                if self.shape == Shape::Dockerfile && !full.parent().is_some_and(Path::is_dir) {
                    return None;
                }
                let what = match self.shape {
                    Shape::Folder => "folder",
                    Shape::File => "file",
                    Shape::Chart => "chart",
                    Shape::Dockerfile => {
                        let problem = problem(format!("there is no {shown}")).label("this context has no Dockerfile");
                        return Some(problem.help("write one, or say where it is: dockerfile = \"...\""));
                    }
                };
                let missing = problem(format!("there is no {what} {shown}")).label("nothing is there");
                return Some(match (&self.or, self.neighbour(root)) {
                    (Some(or), _) => {
                        let help = "write that example, with empty values for what each machine fills in itself";
                        missing.label(format!("neither this nor {} is there", or.display())).help(help)
                    }
                    (None, Some(near)) => missing.help(format!("did you mean \"{near}\"?")),
                    (None, None) if self.shape == Shape::Chart => {
                        missing.help("a chart is a folder of the workspace; `helm pull --untar` puts one there")
                    }
                    (None, None) => missing.help("paths are relative to the folder of the graph file"),
                });
            }
            Err(error) => return Some(problem(format!("could not look at {shown}")).label(error.to_string())),
        };
        match self.shape {
            Shape::File | Shape::Dockerfile if !found.is_file() => {
                Some(problem(format!("{shown} is not a file")).label("a folder").help("name a file in it"))
            }
            Shape::Folder | Shape::Chart if !found.is_dir() => {
                let problem = problem(format!("{shown} is not a folder")).label("a file");
                Some(match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    Some(parent) => problem.help(format!("did you mean its folder, \"{}\"?", parent.display())),
                    None => problem.help("name a folder"),
                })
            }
            Shape::Chart if !full.join("Chart.yaml").is_file() => {
                let problem = problem(format!("{shown} is not a helm chart")).label("has no Chart.yaml");
                Some(match chart_below(&full) {
                    Some(name) => problem.help(format!("did you mean \"{shown}/{name}\"?")),
                    None => problem.help("name the folder that has the chart's Chart.yaml"),
                })
            }
            _ => None,
        }
    }

    /// The path with its first wrong part replaced by the nearest name that is there.
    fn neighbour(&self, root: &Path) -> Option<String> {
        let mut there = PathBuf::new();
        let mut parts = self.path.components();
        let wrong = parts.by_ref().find(|part| {
            let is_there = root.join(&there).join(part).exists();
            if is_there {
                there.push(part);
            }
            !is_there
        })?;
        let mut names: Vec<_> = names_in(&root.join(&there));
        names.sort();
        let right = nearest(wrong.as_os_str().to_str()?, names.iter().map(String::as_str))?;
        let whole: PathBuf = there.join(right).components().chain(parts).collect();
        root.join(&whole).exists().then(|| whole.display().to_string())
    }
}

/// The names in a folder that are not hidden.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.')).collect()
}

/// The only chart directly below a folder.
fn chart_below(folder: &Path) -> Option<String> {
    let mut charts = names_in(folder);
    charts.retain(|name| folder.join(name).join(OsStr::new("Chart.yaml")).is_file());
    match charts.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::inside;

    #[test]
    fn paths_stay_inside_the_workspace() {
        let check = |base: &str, text: &str, expected: Option<&str>| {
            assert_eq!(inside(Path::new(base), text).ok(), expected.map(PathBuf::from), "{text} below {base}");
        };
        check(".", "backend", Some("backend"));
        check(".", "./backend/", Some("backend"));
        check(".", ".", Some("."));
        check(".", "a/../b", Some("b"));
        check("backend", "../frontend", Some("frontend"));
        check("backend", "..", Some("."));
        check(".", "..", None);
        check(".", "a/../../b", None);
        check("backend", "../../x", None);
        check(".", "/etc", None);
    }
}
