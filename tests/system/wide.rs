//! A release whose chart puts objects into another namespace than the release's: they are looked at where they are.

use crate::cluster::Cluster;
use crate::project::Project;
use crate::ran::Ran;

const ASIDE: &str = "mends-wide-aside";

/// The project with the chart's own namespace, and that namespace; nothing is deployed.
fn wide() -> (Project, Cluster) {
    let project = Project::fixture("wide", "mends-wide");
    // Whatever a test that failed has left.
    project.run(&["teardown", "--data"]).expect_success();
    let aside = Cluster::of_context(&project.cluster.context).in_namespace(ASIDE);
    (project, aside)
}

/// How the release's pods are, in the words of the step that rolled them out.
fn summary(ran: &Ran) -> &str {
    let done = ran.events.iter().find(|event| event["event"] == "done" && event["step"] == "release:wide");
    done.and_then(|event| event["summary"].as_str()).unwrap_or_default()
}

fn image(aside: &Cluster) -> String {
    let deployment = aside.get(&["deployment", "aside"]);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("it has an image").to_owned()
}

#[test]
fn objects_in_another_namespace_are_deployed_put_back_diagnosed_rolled_back_and_removed() {
    let (project, aside) = wide();
    let ran = project.run(&["deploy"]).expect_success();
    assert_eq!(summary(&ran), "revision 1, wide 1/1, aside 1/1");
    project.run(&["deploy"]).expect_all_fresh();

    aside.kubectl(&["set", "env", "deployment/aside", "BY_HAND=1"]);
    aside.kubectl(&["rollout", "status", "deployment/aside", "--timeout=60s"]);
    let ran = project.run(&["deploy"]).expect_success().expect_reason("release:wide", "Deployment aside");
    assert_eq!(summary(&ran), "revision 2, wide 1/1 unchanged, aside 1/1");
    assert!(!aside.get(&["deployment", "aside"]).to_string().contains("BY_HAND"), "it was put back");
    project.run(&["deploy"]).expect_all_fresh();

    project.write("values.yaml", "aside: true\nimage: local/none:1\n");
    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    for words in ["the image local/none:1 of pod aside-", "is not in the cluster"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    assert!(!said.contains("the time for the rollout is over"), "it did not end early:\n{said}");

    let ran = project.run(&["rollback"]).expect_success();
    assert_eq!(summary(&ran), "revision 4, wide 1/1 unchanged, aside 1/1 unchanged");
    assert_eq!(image(&aside), "registry.k8s.io/pause:3.10.1");

    // Nothing is left, so that a deploy right afterwards finds nothing that is about to go.
    project.run(&["teardown"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains("mends-wide"), "{namespaces}");
    project.write("values.yaml", "aside: true\n");
    project.run(&["deploy"]).expect_success();
    project.run(&["teardown"]).expect_success();
}

#[test]
fn a_later_revision_may_put_objects_into_another_namespace() {
    let (project, aside) = wide();
    project.write("values.yaml", "aside: false\n");
    assert_eq!(summary(&project.run(&["deploy"]).expect_success()), "revision 1, wide 1/1");

    project.write("values.yaml", "aside: true\n");
    let ran = project.run(&["deploy"]).expect_success();
    assert_eq!(summary(&ran), "revision 2, wide 1/1 unchanged, aside 1/1");
    project.run(&["deploy"]).expect_all_fresh();

    // And a rollback to such a revision, from one without.
    project.run(&["rollback", "--to", "1"]).expect_success();
    project.cluster.kubectl(&["wait", "--for=delete", &format!("namespace/{ASIDE}"), "--timeout=120s"]);
    let ran = project.run(&["rollback", "--to", "2"]).expect_success();
    assert_eq!(summary(&ran), "revision 4, wide 1/1 unchanged, aside 1/1");
    assert_eq!(image(&aside), "registry.k8s.io/pause:3.10.1");
    project.run(&["teardown"]).expect_success();
}
