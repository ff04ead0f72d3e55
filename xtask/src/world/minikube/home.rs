//! The folder in which minikube keeps profiles and certificates.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// `~/.minikube`, or where `MINIKUBE_HOME` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The folder that a minikube started from here would use.
    pub fn find() -> Self {
        Self::from_variables(env::var_os("MINIKUBE_HOME"), env::var_os("HOME"))
    }

    /// The one that lies in `folder`, or is it.
    pub fn in_folder(folder: &Path) -> Self {
        Self::from_variables(Some(folder.into()), None)
    }

    fn from_variables(minikube_home: Option<OsString>, home: Option<OsString>) -> Self {
        let base = PathBuf::from(minikube_home.filter(|path| !path.is_empty()).or(home).unwrap_or_default());
        // The variable may name either the folder or the one that it lies in.
        if base.file_name().is_some_and(|name| name == ".minikube") { Self(base) } else { Self(base.join(".minikube")) }
    }

    /// Where the profile `name` is described.
    pub fn profile_file(&self, name: &str) -> PathBuf {
        self.0.join("profiles").join(name).join("config.json")
    }

    /// `ca.pem`, `cert.pem` and `key.pem` for the daemons of all nodes.
    pub fn certificates(&self) -> PathBuf {
        self.0.join("certs")
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Home;

    #[test]
    fn the_variable_may_or_may_not_end_in_dot_minikube() {
        let rows = [
            (None, "/home/me/.minikube"),
            (Some(""), "/home/me/.minikube"),
            (Some("/data"), "/data/.minikube"),
            (Some("/data/.minikube"), "/data/.minikube"),
            (Some("/data/.minikube/"), "/data/.minikube"),
        ];
        for (variable, expected) in rows {
            let home = Home::from_variables(variable.map(Into::into), Some("/home/me".into()));
            assert_eq!(home.path(), std::path::Path::new(expected), "{variable:?}");
        }
    }
}
