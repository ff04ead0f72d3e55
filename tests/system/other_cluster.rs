//! Another cluster than the one that is meant: nothing in it is touched, whichever command is run.

use crate::cluster::Cluster;
use crate::project::Project;

const NAMESPACE: &str = "other-cluster-test";

/// A chart of one object, in a cluster that the graph file recognises by `identity`.
fn project(name: &str, identity: &str) -> Project {
    let cluster = Cluster::of_environment();
    let graph = format!(
        "project = \"other-cluster-test\"\n\n[cluster]\ndriver = \"context\"\ncontext = \"{}\"\n{identity}\n\
         [release.one]\nchart = \"chart\"\nnamespace = \"{NAMESPACE}\"\n\n\
         [check.one]\nservice = \"one:80\"\nget = \"/\"\nafter = []\n",
        cluster.context
    );
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: one }\n";
    let mut project = Project::of_files(
        name,
        &cluster.context,
        &[
            ("xtask.toml", &graph),
            ("chart/Chart.yaml", "apiVersion: v2\nname: one\nversion: 0.1.0\n"),
            ("chart/templates/one.yaml", object),
        ],
    );
    project.cluster = project.cluster.in_namespace(NAMESPACE);
    project
}

#[test]
fn every_command_ends_before_it_touches_anything() {
    let cluster = Cluster::of_environment();
    let uid = cluster.kubectl(&["get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}"]);
    let meant = format!("identity = \"{uid}\"\n");
    let project = project("other-cluster", &meant);
    project.run(&["deploy", "release:one"]).expect_success();

    let other = "identity = \"00000000-0000-0000-0000-000000000000\"\n";
    project.edit("xtask.toml", &meant, other);
    let commands: [&[&str]; 9] = [
        &["deploy"],
        &["deploy", "--force"],
        &["teardown"],
        &["teardown", "--dry-run"],
        &["teardown", "--data"],
        &["rollback"],
        &["check"],
        &["logs"],
        &["forward", "one:80"],
    ];
    for command in commands {
        let ran = project.run_human(command).expect_code(4);
        assert!(ran.stderr.contains("nothing was touched"), "{command:?}: {}", ran.stderr);
    }
    project.cluster.kubectl(&["get", "configmap", "one"]);

    // A checkout that has never deployed there does not know whose this is.
    let stranger = self::project("other-cluster-stranger", "");
    let said = stranger.run_human(&["teardown", "--data"]).expect_code(4).stderr;
    assert!(said.contains("nothing was deployed from here"), "{said}");
    project.cluster.kubectl(&["get", "configmap", "one"]);

    // What one checkout was allowed is no leave for another.
    project.edit("xtask.toml", other, "");
    project.run(&["deploy", "release:one"]).expect_success();
    let said = stranger.run_human(&["deploy"]).expect_code(4).stderr;
    assert!(said.contains("this would be the first deploy"), "{said}");

    project.run(&["teardown"]).expect_success();
    let namespaces = cluster.kubectl(&["get", "namespaces", "--output", "name"]);
    assert!(!namespaces.contains(NAMESPACE), "{namespaces}");
}
