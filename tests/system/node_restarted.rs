//! Nothing of what people have written is lost: by an upgrade, a rollback, or a restart of the node.

use std::process::Command;

use crate::marker::Marker;
use crate::person::Person;
use crate::project::Project;
use crate::turn::Turn;

#[test]
fn data_outlives_an_upgrade_a_rollback_and_a_restart_of_the_node() {
    let _alone = Turn::alone();
    let project = Project::deployed_twice();
    let person = Person::sign_up(project.frontend(), "data");
    let mut written = Vec::new();
    let mut write = |title: &str| {
        person.add(title);
        written.push(title.to_owned());
        written.clone()
    };
    write("before all");
    let conversation = person.say("what is left?").expect("the assistant answers");
    let messages = || person.messages(conversation);
    let said = messages();
    assert_eq!(said.as_array().map(Vec::len), Some(2), "{said}");

    Marker::new("upgraded").write_into(&project);
    project.run(&["deploy"]).expect_success();
    let so_far = write("after an upgrade");
    assert_eq!((person.sign_in().tasks(), messages()), (so_far, said.clone()));

    project.run(&["rollback"]).expect_success();
    let so_far = write("after a rollback");
    assert_eq!((person.sign_in().tasks(), messages()), (so_far, said.clone()));

    let node = Command::new("minikube").args(["stop", "--profile", &project.cluster.context]).output();
    let node = node.expect("minikube is there");
    assert!(node.status.success(), "{}", String::from_utf8_lossy(&node.stderr));
    project.run(&["deploy"]).expect_success();
    // Whoever was signed in still is.
    let so_far = write("after a restart of the node");
    assert_eq!((person.tasks(), messages()), (so_far.clone(), said));
    assert_eq!(person.sign_in().tasks(), so_far);
}
