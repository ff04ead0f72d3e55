//! What is listed arrives as listed, and nothing else does.

use crate::fixture::{Folder, contents, file_in, remove};

const ALL: &str = "FROM scratch\nCOPY . /ctx/\n";

#[tokio::test]
async fn contents_modes_symlinks_and_empty_directories_arrive() {
    let mut folder = Folder::new();
    folder
        .file_with_mode("private", "p", 0o600)
        .file_with_mode("bin/tool", "#!/bin/sh\n", 0o700)
        .file("bin-x/sorts before bin slash", "s")
        .file("app/[id]/größe.ts", "g")
        .file("empty", "")
        .symlink("link", "bin/tool")
        .symlink("dangling", "/no/where")
        .directory("nothing/inside");
    let built = folder.build(ALL).await.unwrap();
    let found: Vec<String> = contents(&built.image_id, "/ctx")
        .await
        .into_iter()
        .map(|f| format!("{} {:o} {:?} {}", f.path, f.mode, f.owner, String::from_utf8(f.content).unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            "ctx 755 (0, 0) /",
            "ctx/app 755 (0, 0) /",
            "ctx/app/[id] 755 (0, 0) /",
            "ctx/app/[id]/größe.ts 644 (0, 0) g",
            "ctx/bin 755 (0, 0) /",
            "ctx/bin-x 755 (0, 0) /",
            "ctx/bin-x/sorts before bin slash 644 (0, 0) s",
            "ctx/bin/tool 755 (0, 0) #!/bin/sh\n",
            "ctx/dangling 777 (0, 0) -> /no/where",
            "ctx/empty 644 (0, 0) ",
            "ctx/link 777 (0, 0) -> bin/tool",
            "ctx/nothing 755 (0, 0) /",
            "ctx/nothing/inside 755 (0, 0) /",
            "ctx/private 644 (0, 0) p",
        ]
    );
    assert_eq!((built.sent.files, built.sent.bytes), (5, 13));
    remove(&built.image_id).await;
}

#[tokio::test]
async fn what_is_not_listed_stays_away() {
    let mut folder = Folder::new();
    folder.file("kept", "k").write("ignored", "i");
    let built = folder.build(ALL).await.unwrap();
    let found: Vec<String> = contents(&built.image_id, "/ctx").await.into_iter().map(|f| f.path).collect();
    assert_eq!(found, ["ctx", "ctx/kept"]);
    remove(&built.image_id).await;
}

#[tokio::test]
async fn a_listed_dockerignore_is_a_file_like_any_other() {
    let mut folder = Folder::new();
    folder.file(".dockerignore", "*\n").file("kept", "k");
    let built = folder.build(ALL).await.unwrap();
    let found: Vec<String> = contents(&built.image_id, "/ctx").await.into_iter().map(|f| f.path).collect();
    assert_eq!(found, ["ctx", "ctx/.dockerignore", "ctx/kept"]);
    remove(&built.image_id).await;
}

#[tokio::test]
async fn only_what_copy_names_is_sent() {
    let rows =
        [("src", 2), ("src/b", 1), ("*.toml", 2), ("current/c", 1), ("current", 1), ("nothing* src/a", 1), (".", 5)];
    for (copy, files) in rows {
        // A folder of its own for each, of which BuildKit has nothing yet.
        let mut folder = Folder::new();
        folder.file("src/a", "a").file("src/b", "b").file("other/c", "c").file("x.toml", "x").file("y.toml", "y");
        folder.symlink("current", "other");
        let built = folder.build(&format!("FROM scratch\nCOPY {copy} /ctx/\n")).await.unwrap();
        assert_eq!(built.sent.files, files, "COPY {copy}");
        remove(&built.image_id).await;
    }
}

#[tokio::test]
async fn five_thousand_files_arrive_and_are_sent_once() {
    let mut folder = Folder::new();
    for number in 0..5000 {
        folder.file(&format!("d{}/f{number}", number % 50), number.to_string());
    }
    let built = folder.build(ALL).await.unwrap();
    assert_eq!(built.sent.files, 5000);
    assert_eq!(file_in(&built.image_id, "/ctx/d49/f4999").await, b"4999");
    assert_eq!(contents(&built.image_id, "/ctx").await.len(), 5000 + 50 + 1);
    let again = folder.build(ALL).await.unwrap();
    assert_eq!((again.image_id, again.sent.files), (built.image_id.clone(), 0));
    remove(&built.image_id).await;
}
