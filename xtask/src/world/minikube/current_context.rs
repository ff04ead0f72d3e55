//! The context that the user's other commands act on. It is the user's choice, and stays what it is.
//!
//! minikube makes its profile the current context whenever it starts a node that exists, whatever `--keep-context`
//! says, and when it writes a context anew. So what was chosen is read before minikube runs, and put back after.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use engine::failure::Failure;
use tempfile::NamedTempFile;

/// The key that holds it, at the start of a line of its own in what minikube and kubectl write.
const KEY: &str = "current-context:";

/// What was chosen, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CurrentContext {
    file: PathBuf,
    /// Empty when none was.
    name: String,
}

impl CurrentContext {
    /// Reads the kubeconfig that minikube would write to; `None` when no file can be named.
    pub(super) fn read() -> Option<Self> {
        let file = file(env::var_os("KUBECONFIG").as_deref(), env::var_os("HOME").as_deref())?;
        let name = fs::read_to_string(&file).ok().and_then(|text| name_in(&text)).unwrap_or_default();
        Some(Self { file, name })
    }

    /// Undoes what minikube, run for `profile`, has made of the choice. A choice that somebody else has made meanwhile
    /// stays, as does that of none where the profile that was chosen is gone.
    ///
    /// # Errors
    /// When the kubeconfig cannot be written.
    pub(super) fn put_back(&self, profile: &str) -> Result<(), Failure> {
        let Ok(text) = fs::read_to_string(&self.file) else { return Ok(()) };
        match put_back_in(&text, &self.name, profile) {
            // A kubeconfig is often a link to where it is really kept.
            Some(text) => {
                let file = self.file.canonicalize().unwrap_or_else(|_| self.file.clone());
                replace(&file, &text).map_err(|error| Failure::io("write", &file, &error))
            }
            None => Ok(()),
        }
    }
}

/// Writes beside the file, then renames. There are keys in it: at no moment can more people read them than before.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut beside = NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().set_permissions(fs::metadata(file)?.permissions())?;
    beside.persist(file).map(drop).map_err(|error| error.error)
}

/// The first of the files that `KUBECONFIG` names, as minikube takes it, or `~/.kube/config`.
fn file(kubeconfig: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let first = kubeconfig.and_then(|files| env::split_paths(files).next()).filter(|file| !file.as_os_str().is_empty());
    first.or_else(|| Some(Path::new(home?).join(".kube").join("config")))
}

/// The current context that `text` names; `None` when it names none.
fn name_in(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(KEY))?.trim();
    let name = value.trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// `text` with `name` as its current context again; `None` when it is to stay as it is.
fn put_back_in(text: &str, name: &str, profile: &str) -> Option<String> {
    let now = name_in(text).unwrap_or_default();
    let changed_by_minikube = now != name && (now == profile || now.is_empty());
    let gone =
        !name.is_empty() && !text.lines().any(|line| line.trim_start_matches([' ', '-']) == format!("name: {name}"));
    if !changed_by_minikube || gone {
        return None;
    }
    let choice = format!("{KEY} {}\n", serde_json::Value::from(name));
    let mut found = false;
    let mut lines: String = text
        .split_inclusive('\n')
        .map(|line| if line.starts_with(KEY) && !std::mem::replace(&mut found, true) { choice.as_str() } else { line })
        .collect();
    if !found {
        lines.push_str(&choice);
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::{file, name_in, put_back_in};

    fn config(current: &str) -> String {
        format!(
            "apiVersion: v1\ncontexts:\n- context:\n    cluster: c\n  name: mine\n- context:\n    cluster: d\n  name: todo\n{current}kind: Config\n"
        )
    }

    #[test]
    fn the_file_is_the_one_that_minikube_writes() {
        let rows = [
            (None, "/home/me/.kube/config"),
            (Some(""), "/home/me/.kube/config"),
            (Some("/a/config"), "/a/config"),
            (Some("/a/config:/b/config"), "/a/config"),
        ];
        for (kubeconfig, expected) in rows {
            let found = file(kubeconfig.map(OsStr::new), Some(OsStr::new("/home/me")));
            assert_eq!(found.as_deref(), Some(Path::new(expected)), "{kubeconfig:?}");
        }
    }

    #[test]
    fn a_choice_is_read_in_every_form_in_which_it_is_written() {
        let rows = [
            ("current-context: mine\n", Some("mine")),
            ("current-context: \"mine\"\n", Some("mine")),
            ("current-context: 'mine'\n", Some("mine")),
            ("current-context: \"\"\n", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(name_in(&config(line)).as_deref(), expected, "{line:?}");
        }
    }

    #[test]
    fn only_what_minikube_did_to_the_choice_is_undone() {
        let (mine, none) = ("current-context: \"mine\"\n", "current-context: \"\"\n");
        let rows = [
            // Before, after minikube has run for `todo`, and what is written.
            ("mine", "current-context: todo\n", Some(mine)),
            ("", "current-context: todo\n", Some(none)),
            ("mine", "current-context: \"\"\n", Some(mine)),
            ("todo", "current-context: \"\"\n", Some("current-context: \"todo\"\n")),
            // Nothing happened, or somebody chose another one meanwhile, or what was chosen is gone.
            ("todo", "current-context: todo\n", None),
            ("", "", None),
            ("todo", "current-context: mine\n", None),
            ("gone", "current-context: \"\"\n", None),
        ];
        for (before, after, expected) in rows {
            let written = put_back_in(&config(after), before, "todo");
            assert_eq!(written, expected.map(config), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_choice_that_minikube_has_removed_altogether_is_written_again() {
        assert_eq!(put_back_in(&config(""), "mine", "todo"), Some(config("") + "current-context: \"mine\"\n"));
    }
}
