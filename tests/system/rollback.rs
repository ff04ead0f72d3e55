//! A rollback goes to the last revision that passed its checks, and nowhere without its images.

use serde_json::Value;

use crate::daemon::Daemon;
use crate::project::Project;

const NAMESPACE: &str = "mends-rollback";

/// The small project with a check of its page, in a namespace of its own.
fn checked() -> Project {
    let project = Project::fixture("small", NAMESPACE);
    project.edit("xtask.toml", "luck-small", "mends-rollback");
    project.edit("xtask.toml", "luck-test", NAMESPACE);
    let check =
        "[check.page]\nservice = \"small:8000\"\nget     = \"/page.html\"\ntext    = \"good\"\ntimeout = \"10s\"\n";
    project.edit("xtask.toml", "[release.small]", &format!("{check}\n[release.small]"));
    // Revisions are counted here, whatever a test that failed has left.
    project.run(&["teardown", "--data"]).expect_success();
    project
}

/// Deploys with this page; the image that its pod runs.
#[track_caller]
fn deployed(project: &Project, page: &str, code: i32) -> String {
    project.write("app/page.html", page);
    project.run(&["deploy"]).expect_code(code);
    let deployment = project.cluster.get(&["deployment", "small"]);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("it has an image").to_owned()
}

fn page(project: &Project) -> String {
    let url = format!("/api/v1/namespaces/{NAMESPACE}/services/small:8000/proxy/page.html");
    project.cluster.kubectl(&["get", "--raw", &url])
}

fn revisions(project: &Project) -> Vec<Value> {
    let text = project.cluster.helm(&["history", "small", "--output", "json"]);
    serde_json::from_str(&text).expect("helm prints JSON")
}

#[test]
fn it_goes_to_the_last_revision_that_passed_and_is_refused_without_its_images() {
    let project = checked();
    let first = deployed(&project, "good for a start", 0);
    let second = deployed(&project, "good and better", 0);
    assert_ne!(first, second);
    deployed(&project, "not what was asked for", 1);
    assert_eq!(page(&project), "not what was asked for");

    let ran = project.run(&["rollback"]).expect_success();
    assert!(ran.stdout.contains("back to revision 2"), "{}", ran.stdout);
    assert_eq!(page(&project), "good and better", "the newest that passed, not the one before the newest");

    // The image of revision 1 has gone meanwhile.
    Daemon::of(&project).docker(&["rmi", "--force", &first]);
    let before = revisions(&project);
    let said = project.run_human(&["rollback", "--to", "1"]).expect_code(1).stderr;
    for words in ["revision 1 cannot run any more", &first, "help: check out the commit"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    assert_eq!(revisions(&project), before, "nothing was changed");
    assert_eq!(page(&project), "good and better");

    // After a teardown revisions are counted from 1 again, and what passes then is remembered all the same.
    project.run(&["teardown", "--data"]).expect_success();
    deployed(&project, "good again", 0);
    deployed(&project, "not what was asked for", 1);
    project.run(&["rollback"]).expect_success();
    assert_eq!(page(&project), "good again");
    project.run(&["teardown", "--data"]).expect_success();
}
