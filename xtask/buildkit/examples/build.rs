//! Builds a folder with the host's daemon: `build FOLDER DOCKERFILE TAG DIGESTS [NAME=VALUE…]`, the rest being build
//! arguments.
//!
//! It lists every file of the folder (no `.dockerignore`), so it is for trying things out and for measuring. DIGESTS
//! is a file in which it remembers the digests of files whose size and time have not changed, in place of what a real
//! caller has for that. What happens goes to standard error, the image ID to standard output.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example that shows what the library reports")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use buildkit::{Context, Endpoint, Entry, Kind, Request, Sent, build};
use sha2::{Digest as _, Sha256};

/// A file's size, modification time (seconds, nanoseconds) and path as one line, and its digest.
type Digests = BTreeMap<String, [u8; 32]>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, dockerfile, tag, digests, build_args @ ..] = arguments.as_slice() else {
        return Err("usage: build FOLDER DOCKERFILE TAG DIGESTS [NAME=VALUE…]".into());
    };
    let root = fs::canonicalize(folder)?;
    let start = Instant::now();
    let mut listing = Listing { root, known: load(Path::new(digests)), entries: Vec::new(), now: Digests::new() };
    listing.add(Path::new(""))?;
    let Listing { root, known, entries, now } = listing;
    if known != now {
        let line = |(file, digest): (&String, &[u8; 32])| [digest, file.as_bytes(), b"\n"].concat();
        fs::write(digests, now.iter().flat_map(line).collect::<Vec<u8>>())?;
    }
    let mut request = Request::new(Context::new(root, folder.clone(), entries)?, fs::read(dockerfile)?);
    request.tags.push(tag.clone());
    let pairs = build_args.iter().filter_map(|pair| pair.split_once('='));
    request.build_args = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let listed = start.elapsed().as_millis();

    let endpoint = endpoint()?;
    let start = Instant::now();
    let built = build(&endpoint, request, |event| eprintln!("{}: {:?}", event.vertex, event.change)).await?;
    let Sent { files, bytes } = built.sent;
    eprintln!("listed in {listed} ms, built in {} ms, sent {files} files, {bytes} bytes", start.elapsed().as_millis());
    println!("{}", built.image_id);
    Ok(())
}

/// The daemon of DOCKER_HOST and DOCKER_CERT_PATH, as `minikube docker-env` sets them, else the host's.
fn endpoint() -> Result<Endpoint, Box<dyn std::error::Error>> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let Some((host, port)) = host.strip_prefix("tcp://").and_then(|address| address.rsplit_once(':')) else {
        return Ok(Endpoint::Unix(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()));
    };
    let folder = PathBuf::from(std::env::var("DOCKER_CERT_PATH")?);
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| folder.join(name));
    Ok(Endpoint::Tls { host: host.to_owned(), port: port.parse()?, ca, cert, key })
}

/// Reads what was remembered: 32 bytes and the rest of a line for each file.
fn load(path: &Path) -> Digests {
    let bytes = fs::read(path).unwrap_or_default();
    let mut digests = Digests::new();
    let mut rest = bytes.as_slice();
    while let Some((digest, behind)) = rest.split_first_chunk::<32>() {
        let end = behind.iter().position(|byte| *byte == b'\n').unwrap_or(behind.len());
        digests.insert(String::from_utf8_lossy(&behind[..end]).into_owned(), *digest);
        rest = behind.get(end + 1..).unwrap_or_default();
    }
    digests
}

struct Listing {
    root: PathBuf,
    known: Digests,
    entries: Vec<Entry>,
    now: Digests,
}

impl Listing {
    fn add(&mut self, folder: &Path) -> io::Result<()> {
        for found in fs::read_dir(self.root.join(folder))? {
            let path = folder.join(found?.file_name());
            let full = self.root.join(&path);
            let metadata = fs::symlink_metadata(&full)?;
            let kind = if metadata.is_dir() {
                self.add(&path)?;
                Kind::Directory
            } else if metadata.is_symlink() {
                Kind::Symlink { target: fs::read_link(&full)?.to_string_lossy().into_owned() }
            } else {
                let executable = metadata.permissions().mode() & 0o100 != 0;
                let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
                let key = format!("{} {seconds} {nanoseconds} {}", metadata.len(), path.display());
                let digest = match self.known.get(&key) {
                    Some(digest) => *digest,
                    None => Sha256::digest(fs::read(&full)?).into(),
                };
                self.now.insert(key, digest);
                Kind::File { executable, size: metadata.len(), digest }
            };
            self.entries.push(Entry { path: path.to_string_lossy().into_owned(), kind });
        }
        Ok(())
    }
}
