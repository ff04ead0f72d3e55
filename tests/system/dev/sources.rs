//! What counts as a source wherever it is built in and wherever it lies: files of `rebuild-on`, files behind links.

use std::fs;
use std::os::unix::fs::symlink;

use super::Loop;
use super::live;

#[test]
fn a_new_file_that_rebuilds_the_image_is_in_the_pods_of_the_next_one_as_it_is_in_the_image() {
    let project = live::project();
    let sync = "sync    = { app = \"/app/app\" }\n";
    project.edit("xtask.toml", sync, &format!("{sync}rebuild-on = [\"app/{{native,generated}}/**\"]\n"));
    project.edit("app/Dockerfile", "AS dev\n", "AS dev\nCOPY app/native /native\n");
    project.write("app/app/native/one", "");
    let counts = "from pathlib import Path\n\nPLACES = (Path(\"/native\"), Path(__file__).parent / \"native\")\n\
        WORD = \" \".join(str(len(list(place.iterdir()))) for place in PLACES)\n";
    project.write("app/app/__init__.py", counts);
    let mut development = Loop::begin(&project, &[]);
    development.until_answered("/", "1 1");
    project.write("app/app/native/two", "");
    development.until_answered("/", "2 2");
    development.end();
    project.run(&["teardown"]).expect_success();
}

#[test]
fn values_that_link_to_another_checkout_are_followed_where_they_lie() {
    let project = live::project();
    let elsewhere = tempfile::tempdir().expect("folders can be made");
    let other = elsewhere.path().join("values.yaml");
    fs::copy(project.path("values.yaml"), &other).expect("it is there");
    fs::remove_file(project.path("values.yaml")).expect("it is ours");
    symlink(&other, project.path("values.yaml")).expect("links can be made");
    let mut development = Loop::begin(&project, &[]);
    development.until_answered("/greeting", "hello");
    let values = fs::read_to_string(&other).expect("it is there");
    fs::write(&other, values.replace("hello", "good morning")).expect("it can be written");
    development.until_answered("/greeting", "good morning");
    development.end();
    project.run(&["teardown"]).expect_success();
}
