//! Builds a folder with the host's daemon: `build FOLDER DOCKERFILE TAG [NAME=VALUE…]`, the rest being build arguments.
//!
//! It lists every file of the folder (no `.dockerignore`), so it is for trying things out and for measuring; what
//! happens goes to standard error, the image ID to standard output.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example that shows what the library reports")]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use buildkit::{Context, Endpoint, Entry, Kind, Request, build};
use sha2::{Digest as _, Sha256};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, dockerfile, tag, build_args @ ..] = arguments.as_slice() else {
        return Err("usage: build FOLDER DOCKERFILE TAG [NAME=VALUE…]".into());
    };
    let root = fs::canonicalize(folder)?;
    let mut entries = Vec::new();
    list(&root, Path::new(""), &mut entries)?;
    let mut request = Request::new(Context::new(root, folder.clone(), entries)?, fs::read(dockerfile)?);
    request.tags.push(tag.clone());
    request.build_args =
        build_args.iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect();
    let endpoint = Endpoint::Unix(PathBuf::from("/var/run/docker.sock"));
    let built =
        build(&endpoint, request, |event| eprintln!("{:?} {}: {:?}", event.line, event.vertex, event.change)).await?;
    eprintln!("sent {} files, {} bytes", built.sent.files, built.sent.bytes);
    println!("{}", built.image_id);
    Ok(())
}

fn list(root: &Path, folder: &Path, entries: &mut Vec<Entry>) -> io::Result<()> {
    for found in fs::read_dir(root.join(folder))? {
        let path = folder.join(found?.file_name());
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full)?;
        let kind = if metadata.is_dir() {
            list(root, &path, entries)?;
            Kind::Directory
        } else if metadata.is_symlink() {
            Kind::Symlink { target: fs::read_link(&full)?.to_string_lossy().into_owned() }
        } else {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            Kind::File { executable, size: metadata.len(), digest: Sha256::digest(fs::read(&full)?).into() }
        };
        entries.push(Entry { path: path.to_string_lossy().into_owned(), kind });
    }
    Ok(())
}
