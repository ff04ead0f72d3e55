//! Loops and deployments beside one another: each has namespaces, receipts and ports of its own.

use std::net::TcpListener;

use rustix::process::Signal;

use super::Loop;
use super::application::{set_version, version};
use super::live;
use crate::project::Project;
use crate::running::Running;

#[test]
fn beside_another_deployment_it_has_namespaces_and_ports_of_its_own() {
    let project = Project::deployed();
    let before = project.cluster.objects();
    let mut development = Loop::begin(&project, &["--isolate", "mine"]);
    set_version(&project, "isolated");
    development.until_answering("backend", "the edit is live");
    assert_eq!(version(&development), "isolated");
    assert!(!project.cluster.ask_backend("/api/health").contains("isolated"), "the usual one is another");
    // Where it is opened is what it takes for its own address.
    let origin = format!("http://localhost:{}", development.port("todo-frontend"));
    let config = project.cluster.kubectl(&[
        "get",
        "configmaps",
        "--all-namespaces",
        "--output",
        "jsonpath={.items[*].data.CORS_ORIGINS}",
    ]);
    assert!(config.split_whitespace().any(|origins| origins == origin), "{origin} is among {config}");
    development.end();
    project.run(&["teardown", "--isolate", "mine", "--data"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output", "name"]);
    assert!(!namespaces.contains("-mine"), "{namespaces}");
    project.cluster.expect_objects(&before);
}

#[test]
fn the_application_is_told_the_port_that_is_open_also_when_its_own_is_taken() {
    let project = live::project();
    let development = Loop::begin(&project, &["--isolate", "mine"]);
    let own = development.port("live");
    let told = |port: u16| live::ask(port, "/url");
    assert_eq!(told(own), Some(format!("http://localhost:{own}")));
    development.end();

    let _somebody = TcpListener::bind(("127.0.0.1", own)).expect("nobody has it now");
    let mut development = Loop::begin(&project, &["--isolate", "mine"]);
    let other = development.port("live");
    assert_ne!(other, own);
    development.until_answered("/url", &format!("http://localhost:{other}"));
    development.edit("edited");
    development.end();

    // What a deploy tells it, and where it is forwarded to, is the same.
    project.run(&["deploy", "--isolate", "mine"]).expect_success();
    let fresh = |arguments: &[&str]| {
        let said = project.run_human(&[&["status"], arguments].concat()).expect_success().stdout;
        let fresh = said.lines().filter_map(|line| line.trim_start().strip_prefix("Fresh "));
        // The cluster is everybody's.
        fresh.filter(|step| !step.starts_with("cluster")).count()
    };
    assert_eq!(fresh(&["--isolate", "mine"]), 3, "image, release and check");
    let mut forward = Running::start(&project, &["forward", "--isolate", "mine"]);
    forward.until("the port is open", |event| event["local"] == format!("127.0.0.1:{other}"));
    assert_eq!(live::ask(other, "/"), Some("edited".to_owned()));
    assert_eq!(told(other), Some(format!("http://localhost:{other}")));
    forward.signal(Signal::INT);
    forward.ended().expect_code(130);
    let logs = project.run_human(&["logs", "--isolate", "mine"]).expect_success().stdout;
    assert!(logs.contains("begun with edited"), "{logs}");

    // Nothing of it is the usual deployment's, and who only looks leaves nothing behind.
    assert_eq!(fresh(&[]), 0, "the usual one was never deployed");
    assert_eq!(fresh(&["--isolate", "nobodys"]), 0);
    assert!(!project.path(".xtask/isolated/nobodys").exists());
    project.run(&["teardown", "--isolate", "mine"]).expect_success();
}

#[test]
fn a_loop_goes_on_while_somebody_elses_deployment_is_torn_down() {
    let project = live::project();
    let mut development = Loop::begin(&project, &["--isolate", "mine"]);
    development.edit("before");
    project.run(&["deploy", "--isolate", "other"]).expect_success();
    development.edit("beside it");
    project.run(&["teardown", "--isolate", "other", "--data"]).expect_success();
    development.edit("after it");
    development.end();
    project.run(&["teardown", "--isolate", "mine"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output", "name"]);
    assert!(!namespaces.contains(live::NAMESPACE), "{namespaces}");
}
