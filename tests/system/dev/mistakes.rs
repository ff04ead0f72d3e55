//! A graph file with mistakes: the loop goes on with the last good one, until it is mended, in whichever file that is.

use std::fs;

use super::Loop;
use super::live;

#[test]
fn a_mistake_is_over_when_the_file_that_is_missing_comes() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    let good = fs::read_to_string(project.path("xtask.toml")).expect("it is there");
    project.write("xtask.toml", &format!("{good}\n[command.later]\nrun = [\"true\"]\ncwd = \"later\"\n"));
    development.until_told("mistakes");
    // Synced meanwhile as before.
    development.edit("in between");
    project.write("later/list", "");
    development.running.until("the step of the mended graph file has run", |event| {
        event["event"] == "done" && event["step"] == "command:later"
    });
    development.end();
    project.run(&["teardown"]).expect_success();
}
