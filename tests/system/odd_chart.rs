//! Charts whose objects change by themselves after an install, and hooks that come to no good end.

use crate::project::Project;

const NAMESPACE: &str = "luck-test";

/// The chart with an autoscaler, a load balancer, a volume claim, a Job with a time to live and a hook.
fn odd() -> Project {
    Project::fixture("odd", NAMESPACE)
}

#[test]
fn what_controllers_change_is_no_drift() {
    let project = odd();
    project.run(&["deploy"]).expect_success();
    until_scaled(&project);
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["deploy"]).expect_all_fresh();

    // The finished Job goes when its time is over.
    project.cluster.kubectl(&["wait", "job/once", "--for=delete", "--timeout=120s"]);
    project.run(&["deploy"]).expect_all_fresh();

    // An upgrade runs the hook and makes the Job anew.
    project.write("values.yaml", "greeting: hello again\nhook: \"print('migrated')\"\n");
    project.run(&["deploy"]).expect_success().expect_reason("release:odd", "greeting");
    project.cluster.kubectl(&["wait", "job/migrate", "--for=condition=complete", "--timeout=60s"]);
    project.cluster.kubectl(&["wait", "job/once", "--for=delete", "--timeout=120s"]);
    until_scaled(&project);
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

/// Returns once the autoscaler has what it wants: two pods, where the chart says one.
#[track_caller]
fn until_scaled(project: &Project) {
    for path in ["{.spec.replicas}", "{.status.readyReplicas}"] {
        project.cluster.kubectl(&["wait", "deployment/odd", &format!("--for=jsonpath={path}=2"), "--timeout=120s"]);
    }
}

#[test]
fn a_hook_that_hangs_is_told_with_its_pod_and_what_it_said_last() {
    let project = odd();
    project.run(&["deploy"]).expect_success();
    project.edit("xtask.toml", "timeout   = \"2m\"", "timeout   = \"15s\"");
    let hang = "import time; print('waiting for the lock', flush=True); time.sleep(3600)";
    project.write("values.yaml", &format!("greeting: two\nhook: \"{hang}\"\n"));
    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    for words in ["Job migrate", "migrate-", "waiting for the lock", "help:"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    converges(&project);
}

#[test]
fn a_hook_that_fails_ends_the_deploy_with_what_it_said_last() {
    let project = odd();
    // Whoever waited for this timeout would wait for hours.
    project.edit("xtask.toml", "timeout   = \"2m\"", "timeout   = \"12h\"");
    project.run(&["deploy"]).expect_success();
    project.write("values.yaml", "greeting: two\nhook: \"import sys; sys.exit('no such table: todos')\"\n");
    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    for words in ["Job migrate", "no such table: todos", "help:"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    converges(&project);
}

/// With the hook mended the next deploy comes to its end, and the one after it has nothing to do.
#[track_caller]
fn converges(project: &Project) {
    project.write("values.yaml", "greeting: three\nhook: \"print('migrated')\"\n");
    project.run(&["deploy"]).expect_success();
    until_scaled(project);
    let app = project.cluster.get(&["deployment", "odd"]).to_string();
    assert!(app.contains("\"three\""), "{app}");
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}
