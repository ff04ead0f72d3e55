//! Files of every kind: what is in the container is what is here, byte for byte, and as executable.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use engine::digest::Digest;

use super::Loop;
use super::cluster::pod;
use super::live;
use crate::project::Project;

/// What is below a folder, by path: `folder`, `link TARGET`, or a file's mode and the digest of its bytes. A folder
/// without files is none: it is not synced.
type Listing = BTreeMap<String, String>;

/// That of `folder` here.
fn here(folder: &Path) -> Listing {
    let mut found = Listing::new();
    for entry in fs::read_dir(folder).expect("folders can be read") {
        let entry = entry.expect("folders can be read");
        let (path, name) = (entry.path(), entry.file_name().into_string().expect("names are text"));
        let about = fs::symlink_metadata(&path).expect("it is there");
        if about.is_symlink() {
            found.insert(name, format!("link {}", fs::read_link(&path).expect("it is a link").display()));
        } else if about.is_dir() {
            let below = here(&path);
            if !below.is_empty() {
                found.insert(name.clone(), "folder".to_owned());
            }
            found.extend(below.into_iter().map(|(below, is)| (format!("{name}/{below}"), is)));
        } else {
            // The owner's right to execute is what counts; whoever may read or write here has no meaning there.
            let mode = if about.permissions().mode() & 0o100 == 0 { "644" } else { "755" };
            let digest = Digest::of_bytes(&fs::read(&path).expect("files can be read"));
            found.insert(name, format!("{mode} {digest}"));
        }
    }
    found
}

/// That of the synced folder in the running container, where a folder without files is listed.
fn there(project: &Project) -> Listing {
    const PROGRAM: &str = "
import hashlib, json, os, pathlib, stat
root = pathlib.Path('/app/app')
def described(path):
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f'link {os.readlink(path)}'
    if stat.S_ISDIR(mode):
        return 'folder'
    return f'{stat.S_IMODE(mode):o} {hashlib.sha256(path.read_bytes()).hexdigest()}'
while True:
    try:
        found = {str(path.relative_to(root)): described(path) for path in root.rglob('*')}
        break
    except FileNotFoundError:
        continue  # it is being replaced
print(json.dumps(found))";
    let text = project.cluster.kubectl(&["exec", &pod(&project.cluster), "--", "python3", "-c", PROGRAM]);
    serde_json::from_str(&text).expect("the container prints JSON")
}

/// Waits until the container holds what is here, which is `count` files, links and folders.
#[track_caller]
fn until_there(development: &mut Loop<'_>, count: usize) {
    let here = here(&development.project.path("app/app"));
    assert_eq!(here.len(), count, "{:?}", here.keys());
    while there(development.project) != here {
        development.running.until("the container holds what is here", |event| event["event"] == "applied");
    }
}

#[test]
fn whatever_files_hold_and_are_called_they_are_in_the_container_as_they_are_here() {
    let project = live::project();
    let at = |path: &str| project.path("app/app").join(path);
    let write = |path: &str, bytes: &[u8]| {
        fs::create_dir_all(at(path).parent().expect("files are in folders")).expect("folders can be made");
        fs::write(at(path), bytes).expect("it can be written");
    };
    let executable = |path: &str, may: bool| {
        let mode = if may { 0o755 } else { 0o644 };
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let every_byte: Vec<u8> = (0..=u8::MAX).chain((0..=u8::MAX).rev()).collect();
    // Longer than any buffer on the way, and nothing repeats itself.
    let mut big: Vec<u8> = (0..6_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 15).to_le_bytes()[0]).collect();
    write("data/bytes", &every_byte);
    write("data/deep/big", &big);
    let mut development = Loop::begin(&project, &[]);
    // The application's two, and these with their folders.
    until_there(&mut development, 6);

    write("data/empty", b"");
    write("run.sh", b"#!/bin/sh\necho run\n");
    executable("run.sh", true);
    write("a name, with \"signs\" & ümläuts", b"\r\n\0");
    symlink("data/bytes", at("link")).expect("links can be made");
    until_there(&mut development, 10);
    let run = project.cluster.kubectl(&["exec", &pod(&project.cluster), "--", "/app/app/run.sh"]);
    assert_eq!(run, "run\n", "it can be executed");

    // Other rights alone; one byte in the midst of many; no byte any more; a link that leads elsewhere.
    executable("run.sh", false);
    executable("data/empty", true);
    big[3 << 20] ^= 1;
    write("data/deep/big", &big);
    write("data/bytes", b"");
    fs::remove_file(at("link")).expect("it is ours");
    symlink("data/empty", at("link")).expect("links can be made");
    until_there(&mut development, 10);

    // A folder under another name, with all that is in it, and a file by its former one.
    fs::rename(at("data"), at("renamed")).expect("a rename");
    write("data", &every_byte);
    until_there(&mut development, 11);

    // Deletions, down to folders that are empty then; a folder by a former file's name.
    fs::remove_dir_all(at("renamed/deep")).expect("it goes");
    for path in ["data", "run.sh", "link"] {
        fs::remove_file(at(path)).expect("it goes");
    }
    write("data/again", &every_byte);
    until_there(&mut development, 8);

    // Another pod has never had any of it.
    project.cluster.kubectl(&["delete", "pod", &pod(&project.cluster), "--wait=false"]);
    development.until_answering("app", "another pod has the files");
    until_there(&mut development, 8);
    development.end();
    project.run(&["teardown"]).expect_success();
}
