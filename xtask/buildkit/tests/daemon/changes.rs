//! Time of check: whatever happens to a file around a build, the image holds what was listed, or there is none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use buildkit::Error;

use crate::fixture::{Folder, contents, file_in, remove, set_modified};

const ALL: &str = "FROM scratch\nCOPY . /ctx/\n";

#[tokio::test]
async fn an_unchanged_folder_sends_nothing_and_gives_the_same_image() {
    let mut folder = Folder::new();
    folder.file("a", "1").file("b/c", "2").symlink("l", "a");
    let first = folder.build(ALL).await.unwrap();
    assert_eq!(first.sent.files, 2);
    // Neither times nor permissions beyond the executable bit are listed, so they do not count.
    set_modified(&folder.path("a"), std::time::SystemTime::UNIX_EPOCH);
    fs::set_permissions(folder.path("a"), fs::Permissions::from_mode(0o600)).unwrap();
    let second = folder.build(ALL).await.unwrap();
    assert_eq!((second.sent.files, &second.image_id), (0, &first.image_id));
    remove(&first.image_id).await;
}

#[tokio::test]
async fn the_same_contents_elsewhere_give_the_same_image() {
    let mut images = Vec::new();
    for _ in 0..2 {
        let mut folder = Folder::new();
        folder.file("a", "elsewhere").symlink("l", "a").directory("d");
        images.push(folder.build(ALL).await.unwrap().image_id);
    }
    assert_eq!(images[0], images[1]);
    remove(&images[0]).await;
}

#[tokio::test]
async fn of_a_changed_folder_only_the_changed_file_is_sent() {
    let mut folder = Folder::new();
    for number in 0..20 {
        folder.file(&format!("f{number}"), "same");
    }
    let first = folder.build(ALL).await.unwrap();
    folder.file("f7", "changed");
    let second = folder.build(ALL).await.unwrap();
    assert_eq!((second.sent.files, second.sent.bytes), (1, 7));
    assert_ne!(second.image_id, first.image_id);
    assert_eq!(file_in(&second.image_id, "/ctx/f7").await, b"changed");
    remove(&first.image_id).await;
    remove(&second.image_id).await;
}

#[tokio::test]
async fn an_edit_that_keeps_size_and_time_is_seen() {
    let mut folder = Folder::new();
    let time = fs::metadata(folder.file("a", "before").path("a")).unwrap().modified().unwrap();
    let first = folder.build(ALL).await.unwrap();
    folder.file("a", "after!");
    set_modified(&folder.path("a"), time);
    let second = folder.build(ALL).await.unwrap();
    assert_eq!(file_in(&second.image_id, "/ctx/a").await, b"after!");
    remove(&first.image_id).await;
    remove(&second.image_id).await;
}

#[tokio::test]
async fn a_changed_mode_or_kind_is_seen() {
    let mut folder = Folder::new();
    folder.file("a", "x").file("b", "x").symlink("l", "a");
    let first = folder.build(ALL).await.unwrap();
    fs::remove_file(folder.path("b")).unwrap();
    fs::remove_file(folder.path("l")).unwrap();
    folder.file_with_mode("a", "x", 0o755).symlink("b", "a").symlink("l", "b");
    let second = folder.build(ALL).await.unwrap();
    let found: Vec<String> = contents(&second.image_id, "/ctx")
        .await
        .into_iter()
        .skip(1)
        .map(|f| format!("{} {:o} {}", f.path, f.mode, String::from_utf8(f.content).unwrap()))
        .collect();
    assert_eq!(found, ["ctx/a 755 x", "ctx/b 777 -> a", "ctx/l 777 -> b"]);
    remove(&first.image_id).await;
    remove(&second.image_id).await;
}

/// What happens to a file after it was listed.
type Happening = fn(&Folder);

#[tokio::test]
async fn a_file_that_is_not_as_listed_fails_the_build_and_leaves_nothing_behind() {
    let gone = |folder: &Folder| fs::remove_file(folder.path("d/a")).unwrap();
    let rows: [(&str, Happening); 8] = [
        ("another text", |folder| folder.write("d/a", "B.")),
        ("longer", |folder| folder.write("d/a", "A.A")),
        ("shorter", |folder| folder.write("d/a", "A")),
        ("empty", |folder| folder.write("d/a", "")),
        ("gone", |folder| fs::remove_file(folder.path("d/a")).unwrap()),
        ("folder gone", |folder| fs::remove_dir_all(folder.path("d")).unwrap()),
        ("a link", |folder| {
            fs::rename(folder.path("d/a"), folder.path("d/b")).unwrap();
            std::os::unix::fs::symlink("b", folder.path("d/a")).unwrap();
        }),
        ("a pipe", |folder| {
            fs::remove_file(folder.path("d/a")).unwrap();
            let path = folder.path("d/a");
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
    ];
    for (what, happens) in rows {
        let mut folder = Folder::new();
        folder.file("d/a", "A.").file("other", "o");
        happens(&folder);
        let error = folder.build(ALL).await.unwrap_err();
        assert!(matches!(&error, Error::ChangedDuringBuild { path } if path == "d/a"), "{what}: {error:?}");
        if folder.path("d/a").symlink_metadata().is_ok() {
            gone(&folder);
        }
        // Back to what was listed: had BuildKit kept the wrong bytes, it would not ask for the right ones now.
        folder.file("d/a", "A.");
        let built = folder.build(ALL).await.unwrap();
        assert_eq!(file_in(&built.image_id, "/ctx/d/a").await, b"A.", "{what}");
        remove(&built.image_id).await;
    }
}

#[tokio::test]
async fn a_folder_in_a_files_place_fails_the_build() {
    let mut folder = Folder::new();
    folder.file("a", "A");
    fs::remove_file(folder.path("a")).unwrap();
    fs::create_dir(folder.path("a")).unwrap();
    let error = folder.build(ALL).await.unwrap_err();
    assert!(matches!(&error, Error::ChangedDuringBuild { path } if path == "a"), "{error:?}");
}

#[tokio::test]
async fn an_edit_and_its_undoing_while_builds_run_end_right_or_as_changed() {
    let mut folder = Folder::new();
    let (a, b) = ("A".repeat(300_000), "B".repeat(300_000));
    folder.file("flips", &a);
    let path = folder.path("flips");
    let done = Arc::new(AtomicBool::new(false));
    let flipping = std::thread::spawn({
        let (a, b, done) = (a.clone(), b.clone(), Arc::clone(&done));
        move || {
            while !done.load(Ordering::Relaxed) {
                fs::write(&path, &b).unwrap();
                fs::write(&path, &a).unwrap();
            }
        }
    });
    for round in 0..30 {
        // In one folder, as in a project's life: what an aborted build brought must not reach the next.
        folder.file("round", round.to_string());
        match folder.build(ALL).await {
            Ok(built) => {
                assert!(file_in(&built.image_id, "/ctx/flips").await == a.as_bytes(), "round {round}");
                remove(&built.image_id).await;
            }
            Err(Error::ChangedDuringBuild { path }) => assert_eq!(path, "flips"),
            Err(other) => panic!("{other:?}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    flipping.join().unwrap();
}
