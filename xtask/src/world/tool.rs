//! The tools that this one runs: where they are on `PATH`, and their versions.
//!
//! A version is asked of the tool once and remembered by the file's path, inode, size and modification time, so that
//! a run which changes nothing spawns nothing. A script (a version manager's shim) is asked every time: which version
//! it runs is not written in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use engine::failure::{Class, Failure};
use engine::receipt::write_atomically;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::world::process::{self, Command, Stream};
use crate::world::tool_folder;

/// A tool that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Makes the node.
    Minikube,
    /// Renders and applies charts.
    Helm,
}

/// What is known of a kind of tool without looking.
struct Facts {
    name: &'static str,
    /// The oldest version that will do.
    oldest: Version,
    /// What makes it tell its version.
    ask: &'static [&'static str],
    /// How to get it.
    get: &'static str,
}

impl Kind {
    const fn facts(self) -> Facts {
        match self {
            Self::Minikube => Facts {
                name: "minikube",
                // The first that takes a Kubernetes version without its patch.
                oldest: Version { major: 1, minor: 32, patch: 0 },
                ask: &["version", "--output=json"],
                get: "https://minikube.sigs.k8s.io/docs/start/",
            },
            Self::Helm => Facts {
                name: "helm",
                oldest: Version { major: 3, minor: 12, patch: 0 },
                ask: &["version", "--template={{.Version}}"],
                get: "https://helm.sh/docs/intro/install/",
            },
        }
    }

    /// What the tool is called.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }
}

/// A version, as far as decisions depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Of `4.1.7`, the 4.
    pub major: u32,
    /// The 1.
    pub minor: u32,
    /// The 7.
    pub patch: u32,
}

impl Version {
    /// Reads `v4.1.7`, `4.1.7-rc.1+build`, or the first of that form after a `v` or at the start of a longer text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let plain = text.split(['-', '+']).next()?;
        let mut numbers = plain.splitn(3, '.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Self { major, minor, patch: numbers.next().unwrap_or(Some(0))? })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Device and inode.
    pub inode: (u64, u64),
    /// Bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub modified: i128,
}

impl Stamp {
    /// The stamp of the file at `path`, links followed.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Ok(Self { inode: (metadata.dev(), metadata.ino()), size: metadata.len(), modified })
    }
}

/// A tool that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The file that is run.
    pub path: PathBuf,
    /// What it said its version is.
    pub version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    stamp: Stamp,
    version: Version,
}

/// Finds tools, and remembers their versions in a file that may be deleted at any time.
#[derive(Debug, Clone)]
pub struct Tools {
    memory: PathBuf,
}

impl Tools {
    /// Remembers in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self { memory: folder.join("tools.json") }
    }

    /// The first tool of `kind` that is new enough: on `PATH`, else in our own folder.
    ///
    /// # Errors
    /// `Class::Environment` when there is none, it cannot tell its version, or it is too old.
    pub async fn find(&self, kind: Kind, cancel: &CancellationToken) -> Result<Tool, Failure> {
        let Facts { name, oldest, get, .. } = kind.facts();
        let Some(path) = process::resolve(OsStr::new(name), None) else {
            return Err(Failure::environment(format!("no {name} found on PATH"))
                .help("`cargo xtask deploy` gets it where it is needed")
                .help(format!("install {name} {}.{} or later: {get}", oldest.major, oldest.minor)));
        };
        self.first(kind, path, tool_folder::places(Path::new(name)), cancel).await
    }

    /// The tool at `path`; where that one is too old, or cannot tell its version (a version manager's stand-in, say), the
    /// first of `ours`.
    async fn first(
        &self,
        kind: Kind,
        path: PathBuf,
        mut ours: impl Iterator<Item = PathBuf> + Send,
        cancel: &CancellationToken,
    ) -> Result<Tool, Failure> {
        let Facts { name, oldest, get, .. } = kind.facts();
        let found = self.at(kind, path.clone(), cancel).await;
        match &found {
            Ok(tool) if tool.version >= oldest => return found,
            Err(failure) if failure.class == Class::Interrupted => return found,
            _ => {}
        }
        if let Some(ours) = ours.find(|place| *place != path && place.is_file()) {
            return self.at(kind, ours, cancel).await;
        }
        let tool = found?;
        let path = tool.path.display();
        Err(Failure::environment(format!("{path} is {name} {}, which is too old", tool.version))
            .help(format!("install {name} {}.{} or later: {get}", oldest.major, oldest.minor)))
    }

    async fn at(&self, kind: Kind, path: PathBuf, cancel: &CancellationToken) -> Result<Tool, Failure> {
        let stamp = Stamp::of(&path).map_err(|error| Failure::io("look at", &path, &error))?;
        let mut memory = self.remembered();
        let known = memory.get(&path).filter(|known| known.stamp == stamp);
        if let Some(version) = known.map(|known| known.version) {
            return Ok(Tool { path, version });
        }
        let version = ask(kind, &path, cancel).await?;
        if !is_script(&path) {
            memory.insert(path.clone(), Remembered { stamp, version });
            if let Ok(bytes) = serde_json::to_vec(&memory) {
                // A checkout that cannot be written to only makes the next run ask again.
                let _ = write_atomically(&self.memory, &bytes);
            }
        }
        Ok(Tool { path, version })
    }

    fn remembered(&self) -> BTreeMap<PathBuf, Remembered> {
        let bytes = fs::read(&self.memory).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

async fn ask(kind: Kind, path: &Path, cancel: &CancellationToken) -> Result<Version, Failure> {
    let Facts { name, ask, get, .. } = kind.facts();
    let finished = Command::new(path).args(ask.iter().copied()).run(cancel, |_, _| {}).await?;
    let finished = finished.success(Class::Environment)?;
    let text = finished.text(Stream::Out);
    read_version(kind, &text).ok_or_else(|| {
        Failure::environment(format!("could not tell the version of {}", path.display()))
            .excerpt(format!("{name} {}", ask.join(" ")), text.lines().take(5).map(str::to_owned).collect())
            .help(format!("is it {name} at all? {get}"))
    })
}

fn read_version(kind: Kind, text: &str) -> Option<Version> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MinikubeVersion {
        minikube_version: String,
    }
    match kind {
        Kind::Minikube => Version::parse(&serde_json::from_str::<MinikubeVersion>(text).ok()?.minikube_version),
        Kind::Helm => Version::parse(text),
    }
}

fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && &start == b"#!"
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use engine::failure::Class;
    use tokio_util::sync::CancellationToken;

    use super::{Kind, Tool, Tools, Version, read_version};

    #[test]
    fn versions_are_read_from_what_the_tools_say() {
        let version = |major, minor, patch| Some(Version { major, minor, patch });
        let rows = [
            (Kind::Helm, "v4.1.4", version(4, 1, 4)),
            (Kind::Helm, "v3.12.3+g3a31588\n", version(3, 12, 3)),
            (Kind::Helm, "v4.0.0-rc.1", version(4, 0, 0)),
            (Kind::Helm, "v3.12", version(3, 12, 0)),
            (Kind::Helm, "Error: unknown flag", None),
            (Kind::Helm, "", None),
            (Kind::Minikube, r#"{"commit":"","minikubeVersion":"v1.38.1"}"#, version(1, 38, 1)),
            (Kind::Minikube, "v1.38.1", None),
        ];
        for (kind, text, expected) in rows {
            assert_eq!(read_version(kind, text), expected, "{text}");
        }
        assert!(Version::parse("3.9.0") < Version::parse("3.12.0"));
    }

    fn write(path: &Path, text: &[u8]) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn at(tools: &Tools, path: &Path) -> Result<Tool, engine::failure::Failure> {
        tools.at(Kind::Helm, path.to_owned(), &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn a_shim_is_asked_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let (shim, says) = (folder.path().join("helm"), folder.path().join("says"));
        write(&shim, format!("#!/bin/sh\nexec cat {}\n", says.display()).as_bytes());
        let tools = Tools::in_folder(folder.path());
        for minor in [12, 13] {
            std::fs::write(&says, format!("v3.{minor}.0")).unwrap();
            assert_eq!(at(&tools, &shim).await.unwrap().version, Version { major: 3, minor, patch: 0 });
        }
    }

    #[tokio::test]
    async fn ours_is_taken_where_the_one_of_the_path_is_too_old_or_tells_no_version() {
        let folder = tempfile::tempdir().unwrap();
        let helm = |name: &str, says: &str| {
            let path = folder.path().join(name);
            write(&path, format!("#!/bin/sh\n{says}\n").as_bytes());
            path
        };
        let [new, other] = ["new", "other"].map(|name| helm(name, "echo v4.1.4"));
        let (old, broken) = (helm("old", "echo v3.5.0"), helm("broken", "echo no version is set >&2; exit 126"));
        let tools = Tools::in_folder(folder.path());
        let first = async |path: &PathBuf, ours: &[&PathBuf]| {
            let ours: Vec<PathBuf> = ours.iter().map(|path| (*path).clone()).collect();
            tools.first(Kind::Helm, path.clone(), ours.into_iter(), &CancellationToken::new()).await
        };
        let missing = folder.path().join("missing");
        assert_eq!(first(&new, &[&other]).await.unwrap().path, new);
        assert_eq!(first(&old, &[&missing, &other]).await.unwrap().path, other);
        assert_eq!(first(&broken, &[&broken, &other]).await.unwrap().path, other);
        let too_old = first(&old, &[&old]).await.unwrap_err();
        assert_eq!(too_old.message, format!("{} is helm 3.5.0, which is too old", old.display()));
        assert!(first(&broken, &[]).await.unwrap_err().message.contains("exited with 126"));
    }

    #[tokio::test]
    async fn a_binary_is_asked_once_until_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let helm = folder.path().join("helm");
        // `echo` is a binary that "tells" what it is asked with: no version, so what is told comes from memory alone.
        std::fs::copy("/bin/echo", &helm).unwrap();
        let tools = Tools::in_folder(folder.path());
        let unknown = at(&tools, &helm).await.unwrap_err();
        assert_eq!(unknown.message, format!("could not tell the version of {}", helm.display()));
        let stamp = super::Stamp::of(&helm).unwrap();
        let version = Version { major: 3, minor: 14, patch: 0 };
        let memory = std::collections::BTreeMap::from([(helm.clone(), super::Remembered { stamp, version })]);
        std::fs::write(&tools.memory, serde_json::to_vec(&memory).unwrap()).unwrap();
        assert_eq!(at(&tools, &helm).await.unwrap().version, version);
        std::fs::remove_file(&helm).unwrap();
        std::fs::copy("/bin/true", &helm).unwrap();
        assert!(at(&tools, &helm).await.is_err(), "another file under the same name is asked");
        std::fs::write(&tools.memory, "damaged").unwrap();
        assert!(at(&tools, &helm).await.is_err(), "a damaged memory is no memory");
    }

    #[tokio::test]
    async fn a_tool_that_fails_says_so_with_its_own_words() {
        let folder = tempfile::tempdir().unwrap();
        let helm = folder.path().join("helm");
        write(&helm, b"#!/bin/sh\necho no such flag >&2\nexit 2\n");
        let failure = at(&Tools::in_folder(folder.path()), &helm).await.unwrap_err();
        assert_eq!(failure.class, Class::Environment);
        assert_eq!(failure.excerpts[0].lines, ["no such flag"]);
    }
}
