//! `doctor`: every need has its finding, what falls short decides the exit code, and nothing is changed.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::project::Project;
use crate::ran::Ran;

fn findings(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn of<'a>(findings: &'a [Value], need: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["need"] == need);
    found.unwrap_or_else(|| panic!("nothing is said of {need}: {findings:#?}"))
}

#[test]
fn every_need_is_looked_at_and_nothing_is_changed() {
    let project = Project::fixture("small", "luck-test");
    let listing = || fs::read_dir(project.folder()).expect("it is there").count();
    let before = (listing(), project.cluster.get(&["namespaces"]).to_string());
    let ran = project.run(&["doctor"]).expect_success();
    let findings = findings(&ran.stdout);
    for need in ["cores", "memory", "disk of the engine", "disk of the cache", "control groups", "capabilities"] {
        assert_ne!(of(&findings, need)["found"], "", "{need}");
    }
    for need in ["inotify", "engine", "minikube", "helm", "cluster"] {
        assert_eq!(of(&findings, need)["standing"], "good", "{need} is what the other tests run with");
        assert_ne!(of(&findings, need)["source"], "", "{need}");
    }
    for need in ["DNS", "clock", "trusted roots", "reach of base images", "reach of Kubernetes' images"] {
        of(&findings, need);
    }
    assert_eq!((listing(), project.cluster.get(&["namespaces"]).to_string()), before);
}

#[test]
fn what_falls_short_decides_the_exit_code_and_says_what_mends_it() {
    let project = Project::fixture("small", "luck-test");
    let mut command = project.command(&["doctor", "--format", "json"]);
    let command = command.env("SSL_CERT_FILE", "/gone").env("DOCKER_HOST", "unix:///gone.sock");
    let ran = Ran::new(&["doctor"], command.output().expect("the binary can be run")).expect_code(3);
    let findings = findings(&ran.stdout);
    let short = |finding: &&Value| finding["standing"] == "short";
    let needs: BTreeSet<_> = findings.iter().filter(short).map(|it| it["need"].as_str().expect("a name")).collect();
    // What a deploy would do about an engine of this machine it does not do about one that somebody has named.
    assert!(needs.contains("trusted roots") && needs.contains("engine"), "{needs:?}");
    for finding in findings.iter().filter(short) {
        assert!(finding["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "nobody is told what mends {finding}");
    }
    assert_eq!(of(&findings, "trusted roots")["mend"], "unset SSL_CERT_FILE");
}

#[test]
fn a_port_that_somebody_has_falls_short() {
    let project = Project::fixture("small", "luck-test");
    let socket = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let port = socket.local_addr().expect("it has an address").port();
    let profile = format!("profile = \"{}\"", project.cluster.context);
    project.edit("xtask.toml", &profile, &format!("{profile}\nports = [\"127.0.0.1:{port}:30080\"]"));
    let ran = project.run(&["doctor"]).expect_code(3);
    let findings = findings(&ran.stdout);
    let finding = of(&findings, &format!("port {port}"));
    assert_eq!(finding["standing"], "short");
    assert_eq!(finding["mend"], format!("kill {}", std::process::id()));
}
