//! A build that is not worth its end any more.

use super::Loop;
use super::live;

/// Longer than anybody waits for the test.
const ENDLESS: &str = "WORKDIR /app\nRUN sleep 3600\n";

#[test]
fn a_build_is_given_up_when_what_it_builds_changes_together_with_the_graph_file() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    project.edit("app/Dockerfile", "WORKDIR /app\n", ENDLESS);
    // Before that the build itself notices that its files change.
    development
        .running
        .until("it builds", |event| event["text"].as_str().is_some_and(|text| text.contains("RUN sleep 3600")));
    // As a switch of branches does.
    project.edit("app/Dockerfile", ENDLESS, "WORKDIR /app\nRUN echo built > /built\n");
    project.edit("xtask.toml", "fresh-for = \"24h\"", "fresh-for = \"23h\"");
    development.running.until("it is given up", |event| event["event"] == "cancelled" && event["step"] == "image:app");
    development
        .running
        .until("the new image runs", |event| event["event"] == "done" && event["step"] == "release:live");
    assert_eq!(project.cluster.kubectl(&["exec", "deploy/live", "--", "cat", "/built"]), "built\n");
    development.edit("after");
    development.end();
    project.run(&["teardown"]).expect_success();
}
