//! A folder to build from, a daemon to build with, and a look at what came out.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use buildkit::{Built, Change, Context, Endpoint, Entry, Error, Event, Kind, Request, build};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// The daemon that tests build with.
pub fn endpoint() -> Endpoint {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    Endpoint::Unix(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into())
}

/// A folder, and the list of what a test put there.
pub struct Folder {
    pub root: TempDir,
    pub entries: Vec<Entry>,
    key: String,
}

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let root = tempfile::tempdir().unwrap();
        // Of its own in each test: what one test sent must not spare another the sending.
        let key = format!("größe {}-{}", root.path().display(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { root, entries: Vec::new(), key }
    }

    /// A text that no other test and no earlier run had: what is built with it is in no cache.
    pub fn unlike_others(&self) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        format!("{}-{}", now.as_nanos(), self.root.path().file_name().unwrap().to_string_lossy())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file and lists it, in place of what was listed under its path before.
    pub fn file(&mut self, path: &str, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.file_with_mode(path, bytes, 0o644)
    }

    pub fn file_with_mode(&mut self, path: &str, bytes: impl AsRef<[u8]>, mode: u32) -> &mut Self {
        self.write(path, &bytes);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        let bytes = bytes.as_ref();
        let (size, digest) = (bytes.len() as u64, Sha256::digest(bytes).into());
        self.list(path, Kind::File { executable: mode & 0o100 != 0, size, digest })
    }

    /// Writes a file without listing it.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn symlink(&mut self, path: &str, target: &str) -> &mut Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
        self.list(path, Kind::Symlink { target: target.to_owned() })
    }

    pub fn directory(&mut self, path: &str) -> &mut Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self.list(path, Kind::Directory)
    }

    fn list(&mut self, path: &str, kind: Kind) -> &mut Self {
        self.entries.retain(|entry| entry.path != path);
        self.entries.push(Entry { path: path.to_owned(), kind });
        self
    }

    pub fn context(&self) -> Context {
        Context::new(self.root.path().to_owned(), self.key.clone(), self.entries.clone()).unwrap()
    }

    pub fn request(&self, dockerfile: &str) -> Request {
        Request::new(self.context(), dockerfile)
    }

    /// Builds with nothing but a Dockerfile.
    pub async fn build(&self, dockerfile: &str) -> Result<Built, Error> {
        build(&endpoint(), self.request(dockerfile), |_| ()).await
    }
}

/// Builds, and keeps the events.
pub async fn build_watched(request: Request) -> (Result<Built, Error>, Vec<Event>) {
    let mut events = Vec::new();
    let result = build(&endpoint(), request, |event| events.push(event)).await;
    (result, events)
}

/// The names of the vertices that ran, as opposed to being cached.
pub fn ran(events: &[Event]) -> Vec<&str> {
    let completed = events.iter().filter(|event| matches!(event.change, Change::Completed(_)));
    completed.map(|event| event.vertex.as_ref()).filter(|name| name.contains("] RUN ")).collect()
}

/// Asks the daemon something; panics unless it is done.
pub async fn api(method: &str, path: &str, body: &str) -> Bytes {
    let stream = endpoint().connect().await.expect("these tests need a docker daemon");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = hyper::Request::builder().method(method).uri(path).header("host", "docker");
    let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body.to_owned())));
    let response = sender.send_request(request.unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    driver.abort();
    assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&bytes));
    bytes
}

pub async fn inspect(image: &str) -> Value {
    serde_json::from_slice(&api("GET", &format!("/images/{image}/json"), "").await).unwrap()
}

pub async fn remove(image: &str) {
    api("DELETE", &format!("/images/{image}?force=1"), "").await;
}

/// One file, link or directory of an image.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub path: String,
    pub mode: u32,
    pub owner: (u64, u64),
    /// The bytes of a file, `-> target` of a link, `/` of a directory.
    pub content: Vec<u8>,
}

/// Everything below `folder` in the image, by path.
pub async fn contents(image: &str, folder: &str) -> Vec<Found> {
    let request = format!(r#"{{"Image":"{image}","Cmd":["none"]}}"#);
    let created: Value = serde_json::from_slice(&api("POST", "/containers/create", &request).await).unwrap();
    let container = format!("/containers/{}", created["Id"].as_str().unwrap());
    let bytes = api("GET", &format!("{container}/archive?path={folder}"), "").await;
    api("DELETE", &container, "").await;
    let mut found: Vec<Found> = tar::Archive::new(&bytes[..]).entries().unwrap().map(|e| read(e.unwrap())).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(mut entry: tar::Entry<'_, &[u8]>) -> Found {
    let header = entry.header();
    let (mode, owner) = (header.mode().unwrap() & 0o7777, (header.uid().unwrap(), header.gid().unwrap()));
    let path = entry.path().unwrap().to_string_lossy().trim_end_matches('/').to_owned();
    let mut content = Vec::new();
    match entry.link_name().unwrap() {
        Some(target) => content.extend(format!("-> {}", target.display()).bytes()),
        None if entry.header().entry_type().is_dir() => content.push(b'/'),
        None => drop(entry.read_to_end(&mut content).unwrap()),
    }
    Found { path, mode, owner, content }
}

/// The bytes of one file in the image.
pub async fn file_in(image: &str, path: &str) -> Vec<u8> {
    contents(image, path).await.remove(0).content
}

/// Sets a file's times to those of another moment, as careful editors and archives do.
pub fn set_modified(path: &Path, time: std::time::SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}
