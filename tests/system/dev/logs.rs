//! What the workloads write, between the loop's own lines.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::cluster::pod;
use super::live::{self, save};

#[test]
fn a_line_of_a_pod_is_shown_once_behind_its_workloads_name() {
    let project = live::project();
    let mut running = project.command(&["dev"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let mut lines = BufReader::new(running.stdout.take().expect("a pipe")).lines();
    let mut shown = Vec::new();
    let mut until = |word: &str| loop {
        let line = lines.next().unwrap_or_else(|| panic!("{word} was never shown: {shown:?}")).expect("it is text");
        let found = line.contains(word);
        shown.push(line);
        if found {
            return shown.clone();
        }
    };
    until("begun with first");
    save(&project, "second");
    until("begun with second");
    project.cluster.kubectl(&["delete", "pod", &pod(&project.cluster), "--wait=false"]);
    until("begun with second");
    save(&project, "third");
    let shown = until("begun with third");
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill is there").success());
    assert_eq!(running.wait().expect("it ends").code(), Some(130));
    for line in &shown {
        assert!(line.starts_with("live "), "the workload stands in front: {line:?}");
    }
    let times = |word: &str| shown.iter().filter(|line| line.contains(word)).count();
    let times = ["begun with first", "begun with second", "begun with third"].map(times);
    assert_eq!(times, [1, 2, 1], "each start of each pod once: {shown:?}");
    project.run(&["teardown"]).expect_success();
}
