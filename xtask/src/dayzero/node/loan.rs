//! Names and files that minikube is lent while it starts a node, written down before they are lent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::errors::Error;
use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use engine::failure::Failure;
use engine::receipt::write_atomically;
use serde::{Deserialize, Serialize};

use crate::world::daemon::Daemon;
use crate::world::docker::Inventory;

/// Where loans are written down.
const BOOK: &str = "lent.json";

/// Whether something is lent to minikube just now, or was when a run was killed.
pub(super) fn is_open(root: &Path) -> bool {
    root.join(BOOK).is_file()
}

/// What has been lent.
#[derive(Debug)]
pub(super) struct Loan {
    host: Daemon,
    /// Where it is written down.
    book: PathBuf,
    entries: Entries,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Entries {
    /// Names in the host's daemon, with the image that each means.
    names: Vec<(String, String)>,
    /// Files in minikube's cache: ours, and those that it makes of the images.
    files: Vec<PathBuf>,
}

impl Loan {
    /// What an earlier run that worked in `root` has not taken back.
    pub(super) fn forgotten(root: &Path, host: &Daemon) -> Self {
        let book = root.join(BOOK);
        // Written in one go: one that cannot be read was damaged from outside, and costs names that mean our images.
        let entries = fs::read(&book).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { host: host.clone(), book, entries }
    }

    /// Gives `images` (reference and name) their names, and `programs` (file and place) their places. What is there
    /// already stays as it is. `root` is where it is written down, `minikube` minikube's folder.
    pub(super) async fn make(
        root: &Path,
        minikube: &Path,
        host: &Daemon,
        images: &[(String, String)],
        programs: &[(PathBuf, PathBuf)],
    ) -> Result<Self, Failure> {
        let inventory = Inventory::fetch(host).await?;
        let free: Vec<&(String, String)> =
            images.iter().filter(|(_, name)| inventory.by_name(name).is_none()).collect();
        let id = |reference: &str| inventory.by_name(reference).map(|image| image.id.clone()).unwrap_or_default();
        let programs: Vec<&(PathBuf, PathBuf)> = programs.iter().filter(|(_, place)| !place.exists()).collect();
        let archives = free.iter().map(|(_, name)| archive(minikube, name));
        let archives = archives.filter(|path| !path.exists());
        let entries = Entries {
            names: free.iter().map(|(reference, name)| (name.clone(), id(reference))).collect(),
            files: programs.iter().map(|(_, place)| place.clone()).chain(archives).collect(),
        };
        let loan = Self { host: host.clone(), book: root.join(BOOK), entries };
        let text = serde_json::to_vec(&loan.entries)
            .map_err(|error| Failure::environment("could not write down what minikube is lent").because(error))?;
        write_atomically(&loan.book, &text)?;
        let docker = host.connect().await?;
        for (reference, name) in free {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
            let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
            docker.tag_image(reference, Some(options)).await.map_err(|error| host.unreachable(&error))?;
        }
        for (file, place) in programs {
            lend(file, place).map_err(|error| Failure::io("put into minikube's cache", place, &error))?;
        }
        Ok(loan)
    }

    /// Takes all of it back, but for a name that means another image by now.
    pub(super) async fn take_back(self) -> Result<(), Failure> {
        if !self.entries.names.is_empty() {
            let docker = self.host.connect().await?;
            let inventory = Inventory::fetch(&self.host).await?;
            for (name, id) in &self.entries.names {
                if inventory.by_name(name).is_none_or(|image| image.id != *id) {
                    continue;
                }
                let options = RemoveImageOptionsBuilder::default().noprune(true).build();
                match docker.remove_image(name, Some(options), None).await {
                    // Somebody else was faster.
                    Ok(_) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
                    Err(error) => return Err(self.host.unreachable(&error)),
                }
            }
        }
        for path in self.entries.files.iter().chain([&self.book]) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::io("take back", path, &error));
                }
                _ => {}
            }
            // What a minikube that was killed had begun to write.
            for begun in begun(path) {
                fs::remove_file(&begun).map_err(|error| Failure::io("take back", &begun, &error))?;
            }
        }
        Ok(())
    }
}

/// The files that minikube writes before it gives them the name `path`: `etcd_3.6.5-0.1110951865.tmp`.
fn begun(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let is_begun = |other: &str| {
        let number = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".tmp"));
        number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_begun)).collect()
}

/// Where minikube keeps an image that it took from a daemon.
fn archive(home: &Path, name: &str) -> PathBuf {
    let arch = crate::steps::image::docker_architecture();
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    home.join("cache/images").join(arch).join(format!("{repository}_{tag}"))
}

/// The same file under another name, or a copy on another file system.
fn lend(file: &Path, place: &Path) -> io::Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::hard_link(file, place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let part = place.with_added_extension("part");
            fs::copy(file, &part)?;
            fs::rename(&part, place)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod engine_tests;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{archive, begun};

    #[test]
    fn archives_are_where_minikube_puts_them() {
        let path = archive(Path::new("/m"), "registry.k8s.io/coredns/coredns:v1.12.1");
        assert!(path.ends_with("registry.k8s.io/coredns/coredns_v1.12.1"), "{path:?}");
    }

    #[test]
    fn what_was_begun_is_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etcd_3.6.5-0.111.tmp", "etcd_3.6.5-0", "etcd_3.6.5-0.x.tmp", "other.111.tmp"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(begun(&folder.path().join("etcd_3.6.5-0")), [folder.path().join("etcd_3.6.5-0.111.tmp")]);
    }
}
