//! What people see: the deployed application in a real browser, and the images that it runs in.

use std::path::Path;
use std::process::Command;

use crate::daemon::Daemon;
use crate::local_secrets::LocalSecrets;
use crate::project::Project;

/// Two people sign up, manage tasks and chat at a phone's width and at a desk's, at the address that `minikube service
/// --url` prints, and with ChatKit on; axe looks at every page, light and dark. Pictures are left in
/// `frontend/tests/browser/.artefacts`.
#[test]
fn people_can_use_the_application_at_two_widths() {
    let project = Project::deployed_twice();
    let before = project.ends();
    drive(&project, "drive.mjs");

    let secrets = LocalSecrets::of(&project);
    secrets.set("NEXT_PUBLIC_OPENAI_DOMAIN_KEY", "domain_pk_of_the_tests");
    project.run(&["deploy"]).expect_success();
    drive(&project, "chatkit.mjs");
    project.expect_no_end_since(&before);
}

/// Runs one of the frontend's drives at the project's deployment.
#[track_caller]
fn drive(project: &Project, script: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend");
    let driven = Command::new("node")
        .arg(format!("tests/browser/{script}"))
        .current_dir(folder)
        .env("BASE_URL", format!("http://{}", project.frontend()))
        .output()
        .expect("node is there");
    let said = format!("{}{}", String::from_utf8_lossy(&driven.stdout), String::from_utf8_lossy(&driven.stderr));
    assert!(driven.status.success(), "{said}");
}

#[test]
fn images_are_small_and_run_as_nobody() {
    let project = Project::deployed();
    let daemon = Daemon::of(&project);
    for (component, megabytes) in [("frontend", 200), ("backend", 300)] {
        let (reference, _) = daemon.image(&project, component);
        let inspect = |what: &str| daemon.docker(&["image", "inspect", "--format", what, &reference]);
        let size: u64 = inspect("{{.Size}}").parse().expect("a size is a number");
        assert!(size < megabytes * 1_000_000, "{reference} has {size} bytes, more than {megabytes} MB");
        assert_eq!(inspect("{{.Config.User}}"), "65532:65532", "{reference} names its user by number");
    }
}
