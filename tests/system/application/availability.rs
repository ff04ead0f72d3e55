//! With two replicas of each, people notice nothing of pods that go and of updates that roll.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kept::Kept;
use crate::local_secrets::LocalSecrets;
use crate::marker::Marker;
use crate::person::Person;
use crate::project::{NAMESPACE, Project};
use crate::running::Running;

impl Project {
    /// Deletes one of two pods, and waits until there are two again.
    fn lose_pod_of(&self, component: &str) {
        let pods = self.cluster.pods(component);
        assert_eq!(pods.len(), 2, "{pods:?}");
        let pod = pods.keys().next().expect("there are two");
        self.cluster.kubectl(&["delete", "pod", pod]);
        let deployment = format!("deployment/todo-{component}");
        self.cluster.kubectl(&["rollout", "status", &deployment, "--timeout=120s"]);
    }

    /// Whether pods of the frontend that are not among `before` serve already, and others still do.
    fn old_and_new_serve(&self, before: &BTreeMap<String, String>) -> bool {
        let serving = self.cluster.serving("frontend");
        let old = serving.keys().filter(|pod| before.contains_key(*pod)).count();
        0 < old && old < serving.len()
    }
}

/// A port of this machine's loopback that `forward` leads to the frontend, as long as this is there.
struct Loopback {
    address: SocketAddr,
    _forward: Running,
}

impl Loopback {
    fn to(project: &Project) -> Self {
        let mut forward = Running::start(project, &["forward", &format!("{NAMESPACE}/todo-frontend:80=0")]);
        forward.until("a port is there", |event| event["local"].is_string());
        let local = forward.events().find_map(|event| event["local"].as_str()?.parse().ok());
        Self { address: local.expect("it is an address"), _forward: forward }
    }
}

/// Requests without a pause, until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Load {
    /// `person` lists tasks, over connections of one request each and over one that is kept; somebody at another
    /// screen writes one and reads it again, and at a third the assistant is asked, whose answers stream.
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
        let mut kept = Kept::by(person);
        let list_kept = move |_| kept.get("/api/tasks");
        let speaker = person.clone();
        let speak = move |_| speaker.say("what is left?").map(drop);
        let threads = vec![
            repeat(Arc::clone(&stop), list),
            repeat(Arc::clone(&stop), list_kept),
            repeat(Arc::clone(&stop), write),
            repeat(Arc::clone(&stop), speak),
        ];
        Self { stop, threads }
    }

    /// Somebody else beside them.
    fn and(mut self, ask: impl FnMut(usize) -> Result<(), String> + Send + 'static) -> Self {
        self.threads.push(repeat(Arc::clone(&self.stop), ask));
        self
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
    mut ask: impl FnMut(usize) -> Result<(), String> + Send + 'static,
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
    let before = project.ends();
    let person = Person::sign_up(project.frontend(), "load");
    let loopback = Loopback::to(&project);
    let local = person.at(loopback.address);
    let load = Load::of(&person).and(move |_| local.ask("GET", "/api/tasks", None).map(drop));
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
    project.expect_no_end_since(&before);
    project.cluster.expect_ready_in_time();
}

#[test]
fn a_changed_secret_of_the_sign_in_signs_nobody_out_while_it_rolls() {
    /// Each address may sign in so often before it has to wait, less what this test does before.
    const SIGN_INS: usize = 25;
    /// So many that some are answered by an old replica and some by a new one.
    const VISITS: usize = 8;

    let project = Project::deployed_twice();
    let before = (project.ends(), project.cluster.pods("frontend"));
    let mut person = Person::sign_up(project.frontend(), "secret");
    let newcomer = person.clone();
    // Somebody with the cookie of before, and somebody who takes each new one.
    let load = Load::of(&person);
    let load = load.and(move |_| person.visit("/api/tasks"));

    let secrets = LocalSecrets::of(&project);
    let former = secrets.set("BETTER_AUTH_SECRET", "a-secret-of-the-tests-with-more-than-32-characters");
    secrets.set("BETTER_AUTH_SECRET_PREVIOUS", &former);
    // And people who sign in while some replicas know the new one and some do not.
    let mut signed_in = 0;
    let deploy = Running::start(&project, &["deploy"]);
    let deployed = deploy.ended_while(Duration::from_millis(100), |_| {
        if signed_in < SIGN_INS && project.old_and_new_serve(&before.1) {
            signed_in += 1;
            let mut person = newcomer.sign_in();
            for _ in 0..VISITS {
                person.visit("/api/tasks").expect("whoever has just signed in is known to every replica");
            }
        }
    });
    deployed.expect_success();
    assert!(signed_in > 0, "nobody signed in while old and new replicas served");
    let now = project.cluster.pods("frontend");
    assert!(now.len() == 2 && now.keys().all(|pod| !before.1.contains_key(pod)), "{:?} became {now:?}", before.1);
    project.cluster.until_none_is_leaving();
    load.expect_none_lost();
    project.expect_no_end_since(&before.0);
}
