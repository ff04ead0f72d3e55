//! Loops and deployments beside one another: each has namespaces, receipts and ports of its own.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use engine::config;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Loop;
use super::live;
use crate::cluster::Cluster;
use crate::project::{NAMESPACE, Project};
use crate::running::Running;
use crate::version::{set_version, version};

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
    let mine = Cluster::of_environment().in_namespace(Box::leak(format!("{NAMESPACE}-mine").into_boxed_str()));
    let frontend = mine.get(&["deployment", "todo-frontend"]).to_string();
    assert!(frontend.contains(&format!(r#"{{"name":"BETTER_AUTH_URL","value":"{origin}"}}"#)), "{origin}: {frontend}");
    development.end();
    project.run(&["teardown", "--isolate", "mine", "--data"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output", "name"]);
    assert!(!namespaces.contains("-mine"), "{namespaces}");
    project.cluster.expect_objects(&before);
}

/// What the graph file of this repository asks of its chart for a deployment beside the usual one.
#[test]
fn this_repositorys_application_is_small_beside_another_and_takes_no_port_of_the_node() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
    let mut file = config::load(&root.join("xtask.toml")).expect("it has no mistakes");
    file.isolate("mine", &BTreeMap::new()).expect("a name");
    let values: BTreeMap<&String, Value> = file.releases["todo"]
        .set
        .iter()
        .map(|(name, value)| (name, value.expand(&|_| None).expect("its own address is known")))
        .collect();
    let values = json!(values);
    let value = |path: &str| values.pointer(path).unwrap_or_else(|| panic!("{path} is not set: {values}"));
    for part in ["frontend", "backend"] {
        assert_eq!(value(&format!("/{part}/replicas")), 1);
    }
    for part in ["frontend", "backend", "postgres"] {
        let cpu = value(&format!("/{part}/resources/requests/cpu")).as_str().expect("a quantity");
        let thousandths: u32 = cpu.strip_suffix('m').and_then(|number| number.parse().ok()).expect("thousandths");
        assert!(thousandths <= 50, "{part} asks for {cpu} of a node that has to hold several");
    }
    assert_eq!(value("/frontend/service/type"), "ClusterIP", "a port of the node is for one");
    let port = file.local_port(&file.checks["frontend"].service);
    assert_eq!(value("/config/CORS_ORIGINS"), &format!("http://localhost:{port}"));
}

#[test]
fn two_checkouts_are_developed_at_once_and_neither_sees_the_other() {
    let one = live::project();
    let two = one.beside("live-two");
    let mut first = Loop::begin(&one, &["--isolate", "one"]);
    let mut second = Loop::begin(&two, &["--isolate", "two"]);
    assert_ne!(first.port("live"), second.port("live"));
    first.edit("of the first");
    second.edit("of the second");
    assert_eq!(live::ask(first.port("live"), "/").as_deref(), Some("of the first"));
    // A rollout of one, an edit of the other.
    one.edit("values.yaml", "hello", "good morning");
    second.edit("meanwhile");
    first.until_answered("/greeting", "good morning");
    assert_eq!(live::ask(second.port("live"), "/greeting").as_deref(), Some("hello"));
    // What they are is seen from anywhere, though neither was ever deployed otherwise.
    let status = one.run_human(&["status", "--isolate", "two"]).expect_success().stdout;
    let synced = status.lines().find(|line| line.trim_start().starts_with("Synced")).unwrap_or_default();
    assert!(synced.contains("Deployment live: 1 replica") && synced.contains("/app/app"), "{status}");

    first.end();
    one.run(&["teardown", "--isolate", "one", "--data"]).expect_success();
    second.edit("alone");
    second.end();
    two.run(&["teardown", "--isolate", "two", "--data"]).expect_success();
    let namespaces = one.cluster.kubectl(&["get", "namespaces", "--output", "name"]);
    assert!(!namespaces.contains(live::NAMESPACE), "{namespaces}");
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
