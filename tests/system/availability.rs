//! With two replicas of each, people notice nothing of pods that go and of updates that roll, and nothing of what they
//! have written is lost: by an upgrade, a rollback, or a restart of the node.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::kept::Kept;
use crate::marker::Marker;
use crate::person::Person;
use crate::project::Project;

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
    project.expect_no_end_since(&before);
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
    let conversation = person.say("what is left?").expect("the assistant answers");
    let messages = || person.messages(conversation);
    let said = messages();
    assert_eq!(said.as_array().map(Vec::len), Some(2), "{said}");

    Marker::new("upgraded").write_into(&project);
    project.run(&["deploy"]).expect_success();
    let so_far = write("after an upgrade");
    assert_eq!((person.sign_in().tasks(), messages()), (so_far, said.clone()));

    project.run(&["rollback"]).expect_success();
    let so_far = write("after a rollback");
    assert_eq!((person.sign_in().tasks(), messages()), (so_far, said.clone()));

    let node = Command::new("minikube").args(["stop", "--profile", &project.cluster.context]).output();
    let node = node.expect("minikube is there");
    assert!(node.status.success(), "{}", String::from_utf8_lossy(&node.stderr));
    project.run(&["deploy"]).expect_success();
    // Whoever was signed in still is.
    let so_far = write("after a restart of the node");
    assert_eq!((person.tasks(), messages()), (so_far.clone(), said));
    assert_eq!(person.sign_in().tasks(), so_far);
}
