//! A real minikube profile, broken in each way that is known to happen, and put right by the cluster step.
//!
//! Needs docker and minikube, and takes minutes: `cargo test -p xtask --test minikube -- --ignored --test-threads 1`.
//! The profile is `xtask-cluster-test`; it is made and deleted here. Flags that minikube needs on this machine come
//! from the user's settings, as in every run.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it has to be")]

use std::process::Command;
use std::sync::Arc;

use engine::event::Event;
use engine::failure::{Class, Failure};
use engine::files::Gatherer;
use engine::receipt::Receipt;
use engine::run::Job;
use engine::verdict::{Observation, Reason, Verdict};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use xtask::context::Context;
use xtask::steps::cluster::{ClusterStep, Definition, Facts};
use xtask::steps::{Made, Scope, Step};
use xtask::workspace::Workspace;
use xtask::world::World;
use xtask::world::minikube::start::Wanted;

const PROFILE: &str = "xtask-cluster-test";
const PORT: u16 = 30979;

fn step() -> ClusterStep {
    let wanted = Wanted {
        kubernetes: Some("1.34".into()),
        cpus: Some(2),
        memory: Some(3000),
        ports: vec![format!("127.0.0.1:{PORT}:30080")],
        ..Wanted::default()
    };
    ClusterStep::new(Definition::Minikube { profile: PROFILE.into(), wanted })
}

struct Fixture {
    cx: Context,
    events: UnboundedReceiver<Event>,
    _folder: tempfile::TempDir,
}

fn fixture(project: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let (sender, events) = unbounded_channel();
    let world = Arc::new(World::of_context(PROFILE));
    let workspace = Workspace::at(folder.path());
    let gatherer = Arc::new(Gatherer::new(workspace.state().join("files")));
    let cx = Context::new(workspace, project.into(), world, gatherer, 1, sender);
    Fixture { cx, events, _folder: folder }
}

async fn perform(cx: &Context, previous: Option<Receipt>) -> Result<(Made, Receipt), Failure> {
    let manifest = step().gather(cx).await?;
    let verdict = Verdict::Stale(vec![Reason::NeverRun]);
    let made = step().perform(cx, &Job { manifest: manifest.clone(), verdict, previous }).await?;
    let receipt = Receipt {
        manifest,
        output: Some(made.output.clone()),
        observed: made.observed.clone(),
        finished_ms: 0,
        took: std::time::Duration::ZERO,
    };
    Ok((made, receipt))
}

/// Runs a command that breaks, or looks at, the cluster.
fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn what(observation: &Observation) -> Vec<String> {
    observation.differences.iter().map(ToString::to_string).collect()
}

#[tokio::test]
#[ignore = "needs docker and minikube, and takes minutes"]
async fn a_profile_comes_back_from_whatever_has_happened_to_it() {
    let Fixture { cx, mut events, _folder } = fixture("cluster-test");
    let everything = Scope { data: true, cluster: true };
    step().remove(&cx, everything).await.unwrap();

    let taken = std::net::TcpListener::bind(("127.0.0.1", PORT)).unwrap();
    let failure = perform(&cx, None).await.unwrap_err();
    assert_eq!(failure.class, Class::Environment);
    assert_eq!(
        failure.message,
        format!("port 127.0.0.1:{PORT} is in use by `{}`, process {}", comm(), std::process::id())
    );
    drop(taken);

    let (made, mut receipt) = perform(&cx, None).await.unwrap();
    println!("{}", made.summary);
    let facts: Facts = serde_json::from_value(made.output.facts.clone()).unwrap();
    assert_eq!((facts.context.as_str(), facts.profile.as_deref()), (PROFILE, Some(PROFILE)));
    assert_eq!(step().observe(&cx, &receipt).await.unwrap(), Observation::as_recorded());
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event);
    }
    assert!(
        told.iter().any(|event| matches!(event, Event::Progress { text, .. } if text.starts_with("Booting up"))),
        "{told:?}"
    );
    assert!(!told.iter().any(|event| matches!(event, Event::Note { .. })), "{told:?}");

    let inside = |command: &str| format!("docker exec {PROFILE} {command}");
    let rows = [
        (vec![format!("minikube stop -p {PROFILE}")], "is stopped"),
        (vec![format!("docker kill {PROFILE}")], "is stopped"),
        (vec![format!("docker pause {PROFILE}")], "is paused"),
        (vec![inside("systemctl stop docker.socket docker")], "its docker daemon does not answer"),
        (vec![format!("minikube pause -p {PROFILE}")], "its API server does not answer"),
        (vec![inside("systemctl stop kubelet"), inside("pkill -9 kube-apiserver")], "its API server does not answer"),
        // As where the node's daemon was restarted and has lost sight of an API server: the next finds its port taken.
        (
            vec![
                inside("systemctl stop kubelet"),
                inside("pkill -9 kube-apiserver"),
                format!("docker exec --detach {PROFILE} socat TCP-LISTEN:8443,fork,reuseaddr EXEC:cat"),
            ],
            "its API server does not answer",
        ),
        (vec![format!("kubectl config delete-context {PROFILE}")], "has no usable kubeconfig context"),
        (
            vec![format!("kubectl config set-cluster {PROFILE} --server=https://127.0.0.1:1")],
            "has no usable kubeconfig context",
        ),
        (vec![format!("docker rm -f {PROFILE}")], "has lost its node"),
    ];
    for (breaking, expected) in rows {
        for line in &breaking {
            run(line);
        }
        let observation = step().observe(&cx, &receipt).await.unwrap();
        assert!(what(&observation).iter().any(|text| text.contains(expected)), "{breaking:?}: {observation:?}");
        let begun = std::time::Instant::now();
        let (again, new) =
            perform(&cx, Some(receipt)).await.unwrap_or_else(|failure| panic!("{breaking:?}: {failure:#?}"));
        println!("{expected} after {breaking:?}: back in {:?}", begun.elapsed());
        assert_eq!(again.output.digest, made.output.digest, "{breaking:?}: it is the same cluster with its data");
        receipt = new;
        assert_eq!(step().observe(&cx, &receipt).await.unwrap(), Observation::as_recorded(), "{breaking:?}");
    }

    run(&format!("minikube delete -p {PROFILE}"));
    let observation = step().observe(&cx, &receipt).await.unwrap();
    assert_eq!(what(&observation), [format!("there is no minikube profile {PROFILE}")]);
    let (anew, new) = perform(&cx, Some(receipt.clone())).await.unwrap();
    assert_ne!(anew.output.digest, made.output.digest);
    let observation = step().observe(&cx, &receipt).await.unwrap();
    assert!(what(&observation)[0].contains("was made anew"), "{observation:?}");
    assert_eq!(step().observe(&cx, &new).await.unwrap(), Observation::as_recorded());

    let kept =
        |scope| async move { step().belongings(&fixture("cluster-test").cx, scope).await.unwrap().remove(0).kept };
    assert_eq!(kept(Scope::default()).await.as_deref(), Some("--cluster removes it"));
    assert_eq!(kept(Scope { cluster: true, data: false }).await, None);
    assert_eq!(kept(everything).await, None);
    let stranger = fixture("somebody-else");
    let belongings = step().belongings(&stranger.cx, everything).await.unwrap();
    assert_eq!(belongings[0].kept.as_deref(), Some("it was made for the project cluster-test"));
    step().remove(&stranger.cx, everything).await.unwrap();
    assert_eq!(step().observe(&cx, &new).await.unwrap(), Observation::as_recorded(), "a stranger removes nothing");

    step().remove(&cx, everything).await.unwrap();
    assert!(step().belongings(&cx, everything).await.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs docker and minikube, and takes minutes"]
async fn a_node_that_was_not_made_to_its_end_is_made_all_the_same() {
    let everything = Scope { data: true, cluster: true };
    for stage in
        ["Creating docker container", "Preparing Kubernetes", "Booting up control plane", "Verifying Kubernetes"]
    {
        let Fixture { cx, mut events, _folder } = fixture("cluster-test");
        step().remove(&cx, everything).await.unwrap();
        let reached = async {
            while let Some(event) = events.recv().await {
                if matches!(&event, Event::Progress { text, .. } if text.starts_with(stage)) {
                    return;
                }
            }
        };
        // The run is dropped where it is, as when it is killed; its children are killed with it.
        tokio::select! {
            made = perform(&cx, None) => panic!("made before `{stage}` was seen: {:?}", made.map(|made| made.0)),
            () = reached => {}
        }
        let (made, receipt) = perform(&cx, None).await.unwrap_or_else(|failure| panic!("{stage}: {failure:#?}"));
        println!("killed at {stage}: {}", made.summary);
        assert_eq!(step().observe(&cx, &receipt).await.unwrap(), Observation::as_recorded(), "{stage}");
    }
    step().remove(&fixture("cluster-test").cx, everything).await.unwrap();
}

fn comm() -> String {
    std::fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned()
}
