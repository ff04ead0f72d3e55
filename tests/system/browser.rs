//! What people see: the deployed application in a real browser, and the images that it runs in.

use std::path::Path;
use std::process::Command;

use crate::daemon::Daemon;
use crate::forward::Forward;
use crate::project::Project;

/// Two people sign up, manage tasks and chat at a phone's width and at a desk's; axe looks at every page. Pictures are
/// left in `frontend/tests/browser/.artefacts`.
#[test]
fn people_can_use_the_application_at_two_widths() {
    let project = Project::deployed();
    let frontend = Forward::to(&project.cluster, "frontend", 3000);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend");
    let driven = Command::new("node")
        .arg("tests/browser/drive.mjs")
        .current_dir(folder)
        .env("BASE_URL", frontend.origin())
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
