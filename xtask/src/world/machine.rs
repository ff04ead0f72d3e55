//! What this machine needs that no project can know: the user's own file of settings.
//!
//! `$XDG_CONFIG_HOME/xtask/config.toml`, or `~/.config/xtask/config.toml`:
//!
//! ```toml
//! [minikube]
//! # Flags that every `minikube start` on this machine needs: behind a proxy, without a registry, with another mirror.
//! start-args = ["--base-image=mirror.example/kicbase:v0.0.50", "--preload=false"]
//!
//! [tools]
//! # What is missing is told, and not got: no download, no change of the system.
//! install = false
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use engine::failure::Failure;
use serde::Deserialize;

/// The settings; all of them have a default, and so has the whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Machine {
    /// What is special about minikube here.
    pub minikube: Minikube,
    /// What may be done about missing tools.
    pub tools: Tools,
}

/// The table `[tools]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tools {
    /// Whether tools and a container engine are got where they are missing.
    pub install: bool,
}

impl Default for Tools {
    fn default() -> Self {
        Self { install: true }
    }
}

/// The table `[minikube]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Minikube {
    /// Flags for every `minikube start`.
    pub start_args: Vec<String>,
}

impl Machine {
    /// Reads the user's file, if there is one.
    ///
    /// # Errors
    /// When it cannot be read or contains something that is not known.
    pub fn read() -> Result<Self, Failure> {
        Self::from_file(&path())
    }

    fn from_file(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::io("read this machine's settings in", path, &error)),
        };
        toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("this machine's settings in {} are wrong", path.display()))
                .because(error.to_string().trim_end())
                .help("known are: the list `start-args` in the table [minikube], and `install` in the table [tools]")
        })
    }
}

fn path() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".config");
    // By the rules of XDG a relative path does not count.
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    config.unwrap_or_else(home).join("xtask/config.toml")
}

#[cfg(test)]
mod tests {
    use super::{Machine, Minikube, Tools};

    #[test]
    fn settings_are_read_and_mistakes_are_named() {
        let args = |args: &[&str]| {
            let start_args = args.iter().map(|arg| (*arg).to_owned()).collect();
            Ok(Machine { minikube: Minikube { start_args }, ..Machine::default() })
        };
        let rows = [
            ("", args(&[])),
            ("[minikube]\nstart-args = [\"--preload=false\"]", args(&["--preload=false"])),
            ("[tools]\ninstall = false", Ok(Machine { tools: Tools { install: false }, ..Machine::default() })),
            ("[minikube]\nstart_args = []", Err("unknown field `start_args`")),
            ("[minkube]", Err("unknown field `minkube`")),
            ("[minikube]\nstart-args = \"--x\"", Err("invalid type: string")),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (text, expected) in rows {
            std::fs::write(&path, text).unwrap();
            match (Machine::from_file(&path), expected) {
                (Ok(machine), Ok(expected)) => assert_eq!(machine, expected),
                (Err(failure), Err(part)) => assert!(failure.causes[0].contains(part), "{failure}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
        assert_eq!(Machine::from_file(&folder.path().join("none")), Ok(Machine::default()));
    }
}
