//! The wrapper around runc for machines that may not grant `CAP_SYS_RESOURCE`, and only for them.
//!
//! There a container with raised limits or a low OOM score does not start, and minikube's node asks for both.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use engine::failure::Failure;
use engine::receipt::write_atomically;
use serde_json::{Value, json};

const WRAPPER: &str = include_str!("../../../../dayzero/node/runc-limited");
const PROGRAM: &str = "/usr/local/sbin/runc-limited";
const SETTINGS: &str = "/etc/docker/daemon.json";

/// The capability's number.
const SYS_RESOURCE: u32 = 24;

/// Whether this machine lacks the capability for good: it is not in the bounding set.
fn is_needed() -> bool {
    lacks(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn lacks(status: &str) -> bool {
    let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bounds = bounds.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    bounds.is_some_and(|bounds| bounds >> SYS_RESOURCE & 1 == 0)
}

/// What has to be written so that the wrapper is docker's default runtime. Nothing where it is, or where somebody has
/// chosen another one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The wrapper's place, where it is not there as it has to be.
    program: Option<PathBuf>,
    /// Docker's settings, and what they have to say.
    settings: Option<(PathBuf, String)>,
    /// Whether containers will run by the wrapper.
    pub(super) in_use: bool,
}

impl Change {
    /// What is to be done on this machine.
    ///
    /// # Errors
    /// When docker's settings cannot be read.
    pub(super) fn plan() -> Result<Self, Failure> {
        if is_needed() { Self::plan_at(Path::new(PROGRAM), Path::new(SETTINGS)) } else { Ok(Self::default()) }
    }

    fn plan_at(program: &Path, settings: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(settings) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
            Err(error) => return Err(Failure::io("read docker's settings in", settings, &error)),
        };
        let unusable = |cause: String| {
            Failure::environment(format!("docker's settings in {} cannot be added to", settings.display()))
                .because(cause)
        };
        let current: Value = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        let Some(with) = with_wrapper(current.clone(), program) else {
            return Err(unusable("it is not an object".to_owned()));
        };
        // A runtime that somebody has chosen is theirs, whether it works here or not.
        let in_use = with.pointer("/runtimes/limited/path").and_then(Value::as_str) == program.to_str();
        let is_there = fs::read_to_string(program).is_ok_and(|text| text == WRAPPER);
        let mut change = Self { program: (in_use && !is_there).then(|| program.to_owned()), settings: None, in_use };
        if with != current {
            let text = serde_json::to_string_pretty(&with).map_err(|error| unusable(error.to_string()))?;
            change.settings = Some((settings.to_owned(), format!("{text}\n")));
        }
        Ok(change)
    }

    /// Does it; returns the files that were written.
    ///
    /// # Errors
    /// When one of the files cannot be written.
    pub(super) fn make(&self) -> Result<Vec<&Path>, Failure> {
        // The settings name the wrapper, so it comes first.
        if let Some(program) = &self.program {
            write_atomically(program, WRAPPER.as_bytes())?;
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(program, mode).map_err(|error| Failure::io("write", program, &error))?;
        }
        if let Some((settings, text)) = &self.settings {
            write_atomically(settings, text.as_bytes())?;
        }
        Ok(self.files())
    }

    fn files(&self) -> Vec<&Path> {
        let settings = self.settings.as_ref().map(|(path, _)| path);
        self.program.iter().chain(settings).map(PathBuf::as_path).collect()
    }

    /// What a person would type for it, in a shell; `source` is the wrapper's file.
    pub(super) fn commands(&self, source: &Path) -> Vec<String> {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let program = self.program.iter().map(|program| {
            format!("sudo install -D -m 755 {} {}", quoted(&source.to_string_lossy()), program.display())
        });
        let settings = self.settings.iter().map(|(path, text)| {
            let folder = path.parent().unwrap_or(path).display();
            let text = serde_json::from_str(text).map_or_else(|_| text.clone(), |value: Value| value.to_string());
            format!("sudo mkdir -p {folder} && echo {} | sudo tee {}", quoted(&text), path.display())
        });
        program.chain(settings).collect()
    }
}

/// The wrapper's file in the checkout that this program was built in.
pub(super) fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dayzero").join("node/runc-limited")
}

/// Docker's settings with the wrapper as the default runtime; as they are when they name a default already.
fn with_wrapper(mut settings: Value, program: &Path) -> Option<Value> {
    let object = settings.as_object_mut()?;
    if !object.contains_key("default-runtime") {
        object.insert("default-runtime".to_owned(), json!("limited"));
        let runtimes = object.entry("runtimes").or_insert_with(|| json!({}));
        runtimes.as_object_mut()?.insert("limited".to_owned(), json!({"path": program}));
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use serde_json::{Value, json};

    use super::{Change, WRAPPER, lacks, source};

    #[test]
    fn the_bounding_set_decides() {
        let rows = [
            ("CapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n", true),
            ("CapBnd:\t000001ffffffffff\n", false),
            ("CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n", false),
            ("", false),
        ];
        for (status, expected) in rows {
            assert_eq!(lacks(status), expected, "{status}");
        }
    }

    #[test]
    fn settings_are_added_to_and_a_chosen_runtime_stays() {
        let rows = [
            (None, json!({"default-runtime": "limited"}), 2),
            (Some(json!({"registry-mirrors": ["https://a"]})), json!({"registry-mirrors": ["https://a"]}), 2),
            (Some(json!({"default-runtime": "crun"})), json!({"default-runtime": "crun"}), 0),
        ];
        for (before, expected, written) in rows {
            let folder = tempfile::tempdir().unwrap();
            let [program, settings] = ["runc-limited", "daemon.json"].map(|name| folder.path().join(name));
            if let Some(before) = &before {
                fs::write(&settings, before.to_string()).unwrap();
            }
            let change = Change::plan_at(&program, &settings).unwrap();
            assert_eq!(change.make().unwrap().len(), written, "{before:?}");
            assert_eq!(change.in_use, written > 0, "{before:?}");
            let after: Value = serde_json::from_str(&fs::read_to_string(&settings).unwrap()).unwrap();
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(&after[key], value, "{before:?}");
            }
            let again = Change::plan_at(&program, &settings).unwrap();
            assert_eq!(again.files(), Vec::<&std::path::Path>::new(), "the second time there is nothing to do");
            assert_eq!(again.in_use, change.in_use);
        }
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("daemon.json");
        fs::write(&settings, "[").unwrap();
        assert!(Change::plan_at(&folder.path().join("p"), &settings).is_err());
        assert_eq!(fs::read_to_string(&settings).unwrap(), "[", "what cannot be read is left alone");
    }

    #[test]
    fn the_commands_that_are_told_do_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let [program, settings] = ["sbin/runc-limited", "docker/daemon.json"].map(|name| folder.path().join(name));
        fs::create_dir_all(folder.path().join("docker")).unwrap();
        fs::write(&settings, json!({"bridge": "it's"}).to_string()).unwrap();
        let change = Change::plan_at(&program, &settings).unwrap();
        let commands = change.commands(&source());
        assert_eq!(commands.len(), 2, "{commands:?}");
        for command in commands {
            // As root would type it.
            let command = command.replace("sudo ", "");
            assert!(Command::new("sh").args(["-c", &command]).output().unwrap().status.success(), "{command}");
        }
        assert_eq!(fs::read_to_string(&program).unwrap(), WRAPPER);
        let after = Change::plan_at(&program, &settings).unwrap();
        assert_eq!((after.files().len(), after.in_use), (0, true), "nothing is left to be done");
        let text = fs::read_to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["bridge"], "it's");
    }
}
