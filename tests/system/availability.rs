//! With two replicas of each, people notice nothing of pods that go and of updates that roll, and nothing of what they
//! have written is lost: by an upgrade, a rollback, or a restart of the node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::marker::Marker;
use crate::person::Person;
use crate::project::Project;

/// The frontend's port on the node.
const PORT: u16 = 31_080;

impl Project {
    /// The shared deployment with two replicas of frontend and backend, and the frontend on a port of the node.
    fn deployed_twice() -> Self {
        let project = Self::deployed();
        let service = format!("service = {{ type = \"NodePort\", nodePort = {PORT} }}");
        project.edit("xtask.toml", "service = { type = \"ClusterIP\" }", &service);
        for _ in ["frontend", "backend"] {
            project.edit("xtask.toml", "replicas = 1", "replicas = 2");
        }
        project.run(&["deploy"]).expect_success();
        project
    }

    /// Where the frontend answers: the address of the node's container.
    fn frontend(&self) -> SocketAddr {
        let node = r#"jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
        let address = self.cluster.kubectl(&["get", "nodes", "--output", node]);
        SocketAddr::new(address.parse().expect("a node has an address"), PORT)
    }

    /// Deletes one of two pods, and waits until there are two again.
    fn lose_pod_of(&self, component: &str) {
        let pods = self.cluster.pods(component);
        assert_eq!(pods.len(), 2, "{pods:?}");
        let pod = pods.keys().next().expect("there are two");
        self.cluster.kubectl(&["delete", "pod", pod]);
        let deployment = format!("deployment/todo-{component}");
        self.cluster.kubectl(&["rollout", "status", &deployment, "--timeout=120s"]);
    }

    /// How often each container of the namespace's pods was started again, by its pod's uid and its own name.
    fn restarts(&self) -> BTreeMap<(String, String), u64> {
        let text = |value: &Value| value.as_str().expect("it is there").to_owned();
        let pods = self.cluster.get(&["pods"]);
        let pods = pods["items"].as_array().expect("a list").iter();
        pods.flat_map(|pod| {
            let containers = pod["status"]["containerStatuses"].as_array().expect("each pod has been started").iter();
            containers.map(|container| {
                let restarts = container["restartCount"].as_u64().expect("a count");
                ((text(&pod["metadata"]["uid"]), text(&container["name"])), restarts)
            })
        })
        .collect()
    }
}

/// Requests without a pause, until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Load {
    /// `person` lists tasks, and somebody at another screen writes one and reads it again.
    fn of(person: &Person) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let reader = person.clone();
        let list = move |_| reader.ask("GET", "/api/tasks", None).map(drop);
        let writer = person.clone();
        let task = format!("/api/tasks/{}", person.add("written again and again"));
        let write = move |count: usize| {
            let title = json!(format!("written {count} times"));
            writer.ask("PATCH", &task, Some(&json!({"title": title})))?;
            let read: Value = writer.ask("GET", &task, None)?;
            if read["title"] == title { Ok(()) } else { Err(format!("written was {title}, read is {read}")) }
        };
        let threads = vec![repeat(Arc::clone(&stop), list), repeat(Arc::clone(&stop), write)];
        Self { stop, threads }
    }

    /// All requests were answered rightly.
    fn expect_none_lost(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let (asked, lost) = thread.join().expect("a thread that asks ends");
            assert!(lost.is_empty(), "{} of {asked} were lost: {lost:#?}", lost.len());
            assert!(asked > 20, "only {asked} requests say little");
        }
    }
}

fn repeat(
    stop: Arc<AtomicBool>,
    ask: impl Fn(usize) -> Result<(), String> + Send + 'static,
) -> JoinHandle<(usize, Vec<String>)> {
    std::thread::spawn(move || {
        let (mut asked, mut lost) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            asked += 1;
            lost.extend(ask(asked).err());
        }
        (asked, lost)
    })
}

#[test]
fn no_request_is_lost_while_pods_go_and_updates_roll() {
    let project = Project::deployed_twice();
    let restarts = project.restarts();
    let load = Load::of(&Person::sign_up(project.frontend(), "load"));
    project.lose_pod_of("backend");
    project.lose_pod_of("frontend");
    let (backend, frontend) = (project.cluster.pods("backend"), project.cluster.pods("frontend"));

    Marker::new("rolling").write_into(&project);
    let limit = "http://localhost:*,http://127.0.0.1:*";
    let set = format!("[release.todo.set.config]\nTRUSTED_ORIGINS = \"{limit}\"");
    project.edit("xtask.toml", "[release.todo.set.config]", &set);
    project.run(&["deploy"]).expect_success();
    for (component, before) in [("backend", backend), ("frontend", frontend)] {
        let now = project.cluster.pods(component);
        assert!(now.len() == 2 && now.keys().all(|pod| !before.contains_key(pod)), "{before:?} became {now:?}");
    }
    // Those that were replaced still answer what they were asked.
    project.cluster.until_none_is_leaving();
    load.expect_none_lost();
    for (container, now) in project.restarts() {
        assert_eq!(now, restarts.get(&container).copied().unwrap_or_default(), "{container:?} was started again");
    }
}

#[test]
fn data_outlives_an_upgrade_a_rollback_and_a_restart_of_the_node() {
    let project = Project::deployed_twice();
    let person = Person::sign_up(project.frontend(), "data");
    let mut written = Vec::new();
    let mut write = |title: &str| {
        person.add(title);
        written.push(title.to_owned());
        written.clone()
    };
    write("before all");

    Marker::new("upgraded").write_into(&project);
    project.run(&["deploy"]).expect_success();
    let so_far = write("after an upgrade");
    assert_eq!(person.sign_in().tasks(), so_far);

    project.run(&["rollback"]).expect_success();
    let so_far = write("after a rollback");
    assert_eq!(person.sign_in().tasks(), so_far);

    let node = Command::new("minikube").args(["stop", "--profile", &project.cluster.context]).output();
    let node = node.expect("minikube is there");
    assert!(node.status.success(), "{}", String::from_utf8_lossy(&node.stderr));
    project.run(&["deploy"]).expect_success();
    // Whoever was signed in still is.
    let so_far = write("after a restart of the node");
    assert_eq!(person.tasks(), so_far);
    assert_eq!(person.sign_in().tasks(), so_far);
}
