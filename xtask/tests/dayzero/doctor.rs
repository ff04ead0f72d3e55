//! What `doctor` says of a machine on which packages are missing.

use std::fs;

use serde_json::Value;

use crate::bench::ended;
use crate::docker::About;
use crate::machine::Machine;
use crate::user::{User, is_debian};

const DOCTOR: [&str; 3] = ["doctor", "--format", "json"];

/// What was said of packages.
fn of_packages(said: &str) -> Value {
    let mut findings = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    findings.find(|finding| finding["need"] == "packages").unwrap_or_else(|| panic!("nothing is said of them: {said}"))
}

/// The same by doctor of `user`, and how it ended.
fn finding(user: &User) -> (Value, Option<i32>) {
    let ran = user.run(&mut user.command(&DOCTOR));
    (of_packages(&ran.said), ran.code)
}

#[test]
fn what_a_deploy_would_end_of_for_want_of_a_package_is_short_with_the_command() {
    if !is_debian() {
        return;
    }
    // helm is missing, and so is what everything is got by.
    let command = "sudo apt-get update && sudo apt-get install --no-install-recommends curl";
    let user = User::new();
    let (packages, code) = finding(&user);
    assert_eq!((packages["standing"].as_str(), packages["mend"].as_str()), (Some("short"), Some(command)));
    assert_eq!(code, Some(3));

    let user = user.sudoer();
    let (packages, _) = finding(&user);
    let expected = (Some("note"), Some("cargo xtask deploy --yes"));
    assert_eq!((packages["standing"].as_str(), packages["mend"].as_str()), expected);
    assert_eq!(user.called(), ["sudo --non-interactive true"], "nothing is installed");
}

#[test]
fn what_assembles_bases_is_looked_for_where_they_will_be_assembled() {
    const SLIM: &str = "FROM node:22-slim AS build\n";
    // The Dockerfile, the host that answers beside those of releases and nodes, and whether something is missing.
    for (dockerfile, answers, missing) in [
        (SLIM, "other.invalid", true),
        (SLIM, "registry-1.docker.io", false),
        ("FROM ghcr.io/someone/app:1\n", "other.invalid", false),
    ] {
        let machine = Machine::new(About { images: Vec::new(), proxy: "" });
        machine.serve_releases();
        machine.bench.server.serve(answers, b"");
        let cluster = "[cluster]\ndriver = \"minikube\"\nprofile = \"xtask-day-zero-test\"\n";
        machine
            .checkout("checkout", &format!("project = \"day-zero-test\"\n{cluster}[image.app]\ncontext = \"app\"\n"));
        fs::create_dir(machine.bench.path("checkout/app")).unwrap();
        fs::write(machine.bench.path("checkout/app/Dockerfile"), dockerfile).unwrap();
        let ran = ended(machine.command(env!("CARGO_BIN_EXE_xtask"), "checkout").args(DOCTOR).spawn().unwrap());
        let found = of_packages(&ran.stdout)["found"].to_string();
        assert_eq!(found.contains("mmdebstrap"), missing, "{dockerfile} {answers}: {found}");
    }
}
