//! An image that somebody removed from the node's daemon is noticed, named and there again.

use crate::daemon::Daemon;
use crate::project::Project;

#[test]
fn it_is_built_again_with_the_same_id_and_no_pod_notices() {
    let project = Project::deployed();
    let daemon = Daemon::of(&project);
    let (reference, id) = daemon.image(&project, "backend");
    let objects = project.cluster.objects();
    daemon.docker(&["rmi", "--force", &reference]);
    assert_eq!(daemon.docker(&["images", "--quiet", &reference]), "", "it has gone");

    let ran = project.run(&["deploy"]).expect_success();
    ran.expect_reason("image:backend", &reference).expect_done(&["image:backend"]);
    assert_eq!(daemon.image(&project, "backend"), (reference, id));
    project.cluster.expect_objects(&objects);
    project.run(&["deploy"]).expect_all_fresh();
}
