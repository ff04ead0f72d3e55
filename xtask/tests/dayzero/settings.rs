//! What the user's settings forbid.

use std::fs;

use crate::bench::ended;
use crate::docker::About;
use crate::machine::{A_MINIKUBE, Machine};

const GRAPH: &str = "project = \"day-zero-test\"
[cluster]
driver = \"minikube\"
profile = \"xtask-day-zero-test\"
kubernetes = \"1.34\"
";

#[test]
fn where_nothing_is_to_be_installed_no_node_is_compiled_and_the_setting_is_named() {
    let machine = Machine::new(About { images: Vec::new(), proxy: "" });
    machine.checkout("checkout", GRAPH);
    fs::write(machine.bench.path("config/xtask/config.toml"), "[tools]\ninstall = false\n").unwrap();
    let minikube = A_MINIKUBE.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
    machine.bench.program("minikube", &minikube);
    let child = machine.deploy("checkout");
    let ran = ended(child);
    assert!(ran.stderr.contains("would have to be downloaded or compiled"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`install = false`") && ran.stderr.contains("start-args"), "{}", ran.stderr);
    assert_eq!(machine.bench.server.asked("go.dev"), 0, "nothing is looked for that would be got");
    assert_eq!(machine.dockers(), "");
    // It is foreseen.
    let mut doctor = machine.command(env!("CARGO_BIN_EXE_xtask"), "checkout");
    let ran = ended(doctor.args(["doctor", "--quiet"]).spawn().unwrap());
    assert!(ran.stdout.contains("Short node ") && ran.stdout.contains("`install = false`"), "{}", ran.stdout);
}
