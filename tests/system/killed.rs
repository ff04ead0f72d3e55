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
    let events = project.run(&["deploy"]).expect_success().events.len() as u64;
    let whole = began.elapsed().as_millis() as u64;
    for round in 1..=rounds {
        let marker = Marker::new(&format!("{round}-{}", random.below(1_000_000)));
        marker.write_into(&project);
        let mut running = Running::start(&project, &["deploy"]);
        // Most of the time goes by waiting for pods, most events come while something is built: both count.
        match round % 2 {
            0 => running.until_moment(Instant::now() + Duration::from_millis(random.below(whole))),
            _ => running.until_told(random.below(events) as usize),
        }
        println!("round {round}: killed when the last it had told was {}", running.last());
        running.killed();

        project.run(&["deploy"]).expect_success();
        marker.expect_answered(&project);
        project.run(&["deploy"]).expect_all_fresh();

        let images = || ["backend", "frontend"].map(|component| daemon.image(&project, component));
        let before = (images(), project.cluster.objects());
        project.run(&["deploy", "--force"]).expect_success();
        assert_eq!((images(), project.cluster.objects()), before, "to do all of it again changes nothing");
    }
}
