//! Images that nobody needs any more go, and none that somebody names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::files::Gatherer;
use engine::lock::Locks;
use tokio::sync::mpsc;
use xtask::collect::collect;
use xtask::context::Context;
use xtask::workspace::Workspace;
use xtask::world::World;
use xtask::world::docker::Inventory;

use crate::project::Project;

/// What a deploy's end does, at a time when the hour is over in which an image is nobody's garbage.
struct Collector {
    cx: Context,
    locks: Locks,
    image: engine::config::Image,
}

impl Collector {
    fn of(project: &Project) -> Self {
        let (file, _) = engine::graph::load(&project.path("xtask.toml")).expect("the fixture is right");
        let (events, _) = mpsc::unbounded_channel();
        let workspace = Workspace::at(file.root.clone());
        let gatherer = Arc::new(Gatherer::new(workspace.state().join("stat-cache")));
        let world = Arc::new(World::of_context(&*project.cluster.context));
        let cx = Context::new(workspace, file.project.clone(), world, gatherer, 0, events);
        let locks = Locks::of_this_user().expect("locks can be made");
        Self { cx, locks, image: file.images["app"].clone() }
    }

    /// The names of the images that go.
    async fn removed(&self, now: SystemTime) -> Vec<String> {
        let removed = collect(&self.cx, &[&self.image], &self.locks, now).await.expect("images can be removed");
        removed.into_iter().flat_map(|image| image.names).collect()
    }

    async fn there(&self, name: &str) -> bool {
        let daemon = self.cx.world.node_daemon().await.expect("the node's daemon answers");
        Inventory::fetch(&daemon).await.expect("the node's daemon answers").by_name(name).is_some()
    }
}

/// The image that the newest receipt of `image:app` names.
fn built(project: &Project) -> String {
    let receipt = std::fs::read_to_string(project.path(".xtask/receipts/image-app")).expect("the image was built");
    let (_, json) = receipt.split_once('\n').expect("receipts have a first line");
    let receipt: serde_json::Value = serde_json::from_str(json).expect("receipts are JSON");
    receipt["output"]["facts"]["reference"].as_str().expect("images have names").to_owned()
}

#[tokio::test]
async fn only_what_neither_pod_nor_revision_nor_receipt_names_is_removed() {
    let project = Project::fixture("small", "luck-test");
    // All images of the project count, so it is one that no other test has.
    project.edit("xtask.toml", "luck-small", "luck-garbage");
    project.run(&["teardown", "--data"]).expect_success();
    let build = |page: &str, steps: &[&str]| {
        project.write("app/page.html", page);
        project.run(&[&["deploy"], steps].concat()).expect_success();
        built(&project)
    };
    let first = build("first", &[]);
    let second = build("second", &[]);
    let unwanted = build("unwanted", &["image:app"]);
    let newest = build("newest", &["image:app"]);

    let collector = Collector::of(&project);
    let later = SystemTime::now() + Duration::from_secs(2 * 60 * 60);
    assert_eq!(collector.removed(SystemTime::now()).await, Vec::<String>::new(), "all of them are young");
    assert_eq!(collector.removed(later).await, [unwanted], "the only one that nobody names");
    for kept in [&first, &second, &newest] {
        assert!(collector.there(kept).await, "{kept} is still there");
    }

    // Revision 1 is forgotten, but its ReplicaSet is still there for a rollback.
    project.cluster.kubectl(&["delete", "secret", "sh.helm.release.v1.small.v1"]);
    assert_eq!(collector.removed(later).await, Vec::<String>::new());
    let old = project.cluster.get(&["replicasets"]);
    let old = old["items"].as_array().unwrap().iter().find(|set| set.to_string().contains(&first)).unwrap();
    project.cluster.kubectl(&["delete", "replicaset", old["metadata"]["name"].as_str().unwrap()]);
    assert_eq!(collector.removed(later).await, [first]);

    // Nothing was taken that the deployment needs.
    project.run(&["deploy"]).expect_success();
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}
