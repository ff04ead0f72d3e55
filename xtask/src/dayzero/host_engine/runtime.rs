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
pub(super) fn is_needed() -> bool {
    lacks(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn lacks(status: &str) -> bool {
    let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bounds = bounds.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    bounds.is_some_and(|bounds| bounds >> SYS_RESOURCE & 1 == 0)
}

/// Makes the wrapper docker's default runtime; returns the files that were written.
///
/// # Errors
/// When docker's settings cannot be read, or one of the files cannot be written.
pub(super) fn install() -> Result<Vec<PathBuf>, Failure> {
    install_at(Path::new(PROGRAM), Path::new(SETTINGS))
}

fn install_at(program: &Path, settings: &Path) -> Result<Vec<PathBuf>, Failure> {
    let text = match fs::read_to_string(settings) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
        Err(error) => return Err(Failure::io("read docker's settings in", settings, &error)),
    };
    let unusable = |cause: String| {
        Failure::environment(format!("docker's settings in {} cannot be added to", settings.display())).because(cause)
    };
    let current: Value = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    let Some(with) = with_wrapper(current.clone(), program) else {
        return Err(unusable("it is not an object".to_owned()));
    };
    let mut written = Vec::new();
    // A runtime that somebody has chosen is theirs, whether it works here or not.
    let in_use = with.pointer("/runtimes/limited/path").and_then(Value::as_str) == program.to_str();
    if in_use && fs::read_to_string(program).ok().as_deref() != Some(WRAPPER) {
        write_atomically(program, WRAPPER.as_bytes())?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(program, mode).map_err(|error| Failure::io("write", program, &error))?;
        written.push(program.to_owned());
    }
    if with != current {
        let text = serde_json::to_string_pretty(&with).map_err(|error| unusable(error.to_string()))?;
        write_atomically(settings, format!("{text}\n").as_bytes())?;
        written.push(settings.to_owned());
    }
    Ok(written)
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

    use serde_json::{Value, json};

    use super::{install_at, lacks};

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
            assert_eq!(install_at(&program, &settings).unwrap().len(), written, "{before:?}");
            let after: Value = serde_json::from_str(&fs::read_to_string(&settings).unwrap()).unwrap();
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(&after[key], value, "{before:?}");
            }
            assert_eq!(install_at(&program, &settings).unwrap().len(), 0, "the second time there is nothing to do");
        }
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("daemon.json");
        fs::write(&settings, "[").unwrap();
        assert!(install_at(&folder.path().join("p"), &settings).is_err());
        assert_eq!(fs::read_to_string(&settings).unwrap(), "[", "what cannot be read is left alone");
    }
}
