//! A run that is killed outright, at any moment, costs nothing but another run.

use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::marker::Marker;
use crate::project::Project;
use crate::running::{Random, Running};

#[test]
fn a_deploy_killed_at_any_moment_is_made_good_by_the_next() {
    let rounds = if std::env::var_os("XTASK_SOAK").is_some() { 20 } else { 4 };
    let mut random = Random::seeded();
    let project = Project::deployed();
    let daemon = Daemon::of(&project);
    let began = Instant::now();
    Marker::new("before").write_into(&project);
    project.run(&["deploy"]).expect_success();
    let whole = began.elapsed();
    for round in 1..=rounds {
        let marker = Marker::new(&format!("{round}-{}", random.moment(Duration::from_secs(1)).as_micros()));
        marker.write_into(&project);
        let mut running = Running::start(&project, &["deploy"]);
        let moment = random.moment(whole);
        let last = running.until_moment(Instant::now() + moment);
        running.killed();
        println!("round {round}: killed after {moment:?}, the last it told was {last}");

        project.run(&["deploy"]).expect_success();
        marker.expect_answered(&project);
        project.run(&["deploy"]).expect_all_fresh();

        let images = || ["backend", "frontend"].map(|component| daemon.image(&project, component));
        let before = (images(), project.cluster.objects());
        project.run(&["deploy", "--force"]).expect_success();
        assert_eq!((images(), project.cluster.objects()), before, "to do all of it again changes nothing");
    }
}
