//! What a request sets besides the files.

use buildkit::{Change, build};

use crate::fixture::{Folder, build_watched, contents, endpoint, inspect, remove};

#[tokio::test]
async fn arguments_labels_tags_and_platform_reach_the_image() {
    let mut folder = Folder::new();
    folder.file("a", "a");
    let mut request = folder.request("FROM scratch\nARG GREETING=none\nENV SAID=$GREETING\nCOPY a /\n");
    request.build_args.insert("GREETING".to_owned(), "hello & good-bye ü".to_owned());
    request.labels.insert("xtask.test/project".to_owned(), "a b".to_owned());
    request.tags.push("xtask-buildkit-test/options:1".to_owned());
    request.tags.push("xtask-buildkit-test/options:2".to_owned());
    request.platform = Some("linux/arm64".to_owned());
    let built = build(&endpoint(), request, |_| ()).await.unwrap();
    let image = inspect("xtask-buildkit-test/options:2").await;
    assert_eq!(image["Id"], built.image_id);
    assert_eq!(image["Architecture"], "arm64");
    assert_eq!(image["Config"]["Labels"]["xtask.test/project"], "a b");
    assert_eq!(image["Config"]["Env"].as_array().unwrap().last().unwrap(), "SAID=hello & good-bye ü");
    assert_eq!(image["RepoTags"].as_array().unwrap().len(), 2);
    remove(&built.image_id).await;
}

#[tokio::test]
async fn the_target_alone_is_built() {
    let mut folder = Folder::new();
    folder.file("a", "a").file("b", "b");
    let mut request = folder.request("FROM scratch AS One\nCOPY a /ctx/\nFROM scratch AS two\nCOPY b /ctx/\n");
    request.target = Some("one".to_owned());
    let (built, events) = build_watched(request).await;
    let built = built.unwrap();
    let found: Vec<String> = contents(&built.image_id, "/ctx").await.into_iter().map(|f| f.path).collect();
    assert_eq!(found, ["ctx", "ctx/a"]);
    assert_eq!(built.sent.files, 1);
    let copy = events.iter().find(|event| event.vertex.contains("COPY a")).unwrap();
    assert_eq!(copy.line, Some(2));
    remove(&built.image_id).await;
}

#[tokio::test]
async fn a_build_tells_what_it_does() {
    let mut folder = Folder::new();
    folder.file("a", folder.unlike_others());
    let dockerfile = "FROM scratch\nCOPY a /\n";
    let changes = |events: Vec<buildkit::Event>| {
        let copy = events.into_iter().filter(|event| event.line == Some(2));
        copy.map(|event| match event.change {
            Change::Completed(_) => "completed".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        })
        .collect::<Vec<_>>()
    };
    let (first, events) = build_watched(folder.request(dockerfile)).await;
    assert_eq!(changes(events), ["started", "completed"]);
    let (_, events) = build_watched(folder.request(dockerfile)).await;
    assert_eq!(changes(events), ["cached"]);
    remove(&first.unwrap().image_id).await;
}
