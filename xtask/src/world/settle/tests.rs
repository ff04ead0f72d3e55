//! The classes of failure on objects that a real cluster showed (Kubernetes 1.34, docker 20.10; `captured/`), and the
//! rules of rollouts on the statuses that its controllers write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::rollout;
use super::scope::Scope;
use super::snapshot::{Ended, Kept, Snapshot};
use super::view;
use crate::diagnose::diagnose;
use crate::diagnose::diagnosis::{Diagnosis, Patience};
use crate::diagnose::evidence::{Exit, Findings, Identity, Kind, Reference};

const BROKEN: &str = include_str!("captured/broken.jsonl");
const QUOTA: &str = include_str!("captured/quota.jsonl");
const NODES: &str = include_str!("captured/nodes.jsonl");

/// The captured objects of `kind`.
fn of_kind<K: DeserializeOwned>(captured: &str, kind: &str) -> Vec<K> {
    let objects = captured.lines().map(|line| serde_json::from_str::<Value>(line).expect("a captured object is JSON"));
    objects
        .filter(|object| object["kind"] == kind)
        .map(|object| serde_json::from_value(object).expect("a captured object has its kind's shape"))
        .collect()
}

fn shelve<K: Kept + kube::Resource<DynamicType = ()> + DeserializeOwned>(
    snapshot: &mut Snapshot,
    captured: &str,
    kind: &str,
) {
    for object in of_kind::<K>(captured, kind) {
        let key = (object.meta().namespace.clone().unwrap_or_default(), object.meta().name.clone().unwrap_or_default());
        K::shelf(snapshot).insert(key, Arc::new(object));
    }
}

fn snapshot(captured: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    shelve::<Deployment>(&mut snapshot, captured, "Deployment");
    shelve::<PartialObjectMeta<ReplicaSet>>(&mut snapshot, captured, "ReplicaSet");
    shelve::<StatefulSet>(&mut snapshot, captured, "StatefulSet");
    shelve::<DaemonSet>(&mut snapshot, captured, "DaemonSet");
    shelve::<Job>(&mut snapshot, captured, "Job");
    shelve::<Event>(&mut snapshot, captured, "Event");
    for pod in of_kind::<Pod>(captured, "Pod") {
        let ended = snapshot.note_exits(&pod);
        let said = match pod.metadata.name.as_deref().unwrap_or_default() {
            name if name.starts_with("crash-") => "cannot reach the moon",
            name if name.starts_with("migrate-") => "relation tasks already exists",
            name if name.starts_with("init-fails-") => "no such table",
            name if name.starts_with("liveness-") => "up",
            _ => "",
        };
        ended.iter().for_each(|ended| snapshot.keep_lines(ended, said.lines().map(str::to_owned).collect()));
        let key = (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default());
        snapshot.pods.insert(key, Arc::new(pod));
    }
    snapshot
}

/// What the captured cluster answers to look-ups.
fn findings() -> Findings {
    let reference = |kind, name: &str| Reference { kind, namespace: "todo".to_owned(), name: name.to_owned() };
    let keys = BTreeSet::from(["BETTER_AUTH_SECRET".to_owned(), "DATABASE_URI".to_owned()]);
    let claims = of_kind::<PersistentVolumeClaim>(BROKEN, "PersistentVolumeClaim");
    Findings {
        keys: BTreeMap::from([
            (reference("Secret", "todo-secrets"), Some(keys)),
            (reference("Secret", "nope"), None),
            (reference("ConfigMap", "nope"), None),
        ]),
        nodes: Some(of_kind(NODES, "Node")),
        bound: of_kind(NODES, "Pod"),
        claims: claims.into_iter().map(|claim| (("todo".to_owned(), "data".to_owned()), Some(claim))).collect(),
        ..Findings::default()
    }
}

fn found(captured: &str, kind: Kind, name: &str, findings: Findings) -> Vec<Diagnosis> {
    let snapshot = snapshot(captured);
    let namespace = if captured == QUOTA { "quota" } else { "todo" };
    let scope = Scope::of([Identity::new(kind, namespace, name)]);
    diagnose(&view::evidence(&snapshot, &scope, findings), |_| true)
}

/// The best diagnosis of a Deployment of `todo`: class, how long it has to last, title and causes.
fn best(captured: &str, kind: Kind, name: &str, findings: Findings) -> Option<(&'static str, Patience, Vec<String>)> {
    let first = found(captured, kind, name, findings).into_iter().next()?;
    let text = std::iter::once(first.title).chain(first.causes).collect();
    Some((first.class, first.patience, text))
}

#[test]
fn a_workload_that_cannot_run_explains_one_that_only_waits() {
    let both = ["not-ready", "oom"].map(|name| Identity::new(Kind::Deployment, "todo", name));
    let found = diagnose(&view::evidence(&snapshot(BROKEN), &Scope::of(both), findings()), |_| true);
    assert_eq!(found.first().map(|found| (found.class, found.workload.name.as_str())), Some(("memory", "oom")));
}

#[test]
fn each_class_names_the_object_and_the_cause() {
    let check = |name: &str, class: &str, patience: Patience, text: &[&str]| {
        let found = best(BROKEN, Kind::Deployment, name, findings());
        let found = found
            .as_ref()
            .map(|(class, patience, text)| (*class, *patience, text.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(found, Some((class, patience, text.to_vec())), "{name}");
    };
    let needs = "its volume `v` is made from it";
    check(
        "no-secret",
        "config",
        Patience::SHORT,
        &[
            "the Secret `nope` that pod no-secret-bff46456c-8z9tt needs does not exist",
            "container app reads it into the variable A",
        ],
    );
    check(
        "no-key",
        "config",
        Patience::SHORT,
        &[
            "the Secret `todo-secrets` has no key DATABASE_URL that pod no-key-7d9c5b7466-klpql needs",
            "container app reads it into the variable A",
            "its keys are BETTER_AUTH_SECRET, DATABASE_URI",
        ],
    );
    check(
        "no-configmap",
        "config",
        Patience::SHORT,
        &[
            "the ConfigMap `nope` that pod no-configmap-744b564fbb-5dwc7 needs does not exist",
            "container app takes variables from it",
        ],
    );
    check(
        "mount-secret",
        "volume",
        Patience::SHORT,
        &["the Secret `nope` that pod mount-secret-cf5ffdb64-fqqcv needs does not exist", needs],
    );
    check(
        "mount-key",
        "volume",
        Patience::SHORT,
        &[
            "the Secret `todo-secrets` has no key tls.crt that pod mount-key-7bbc45ccc-lvhw9 needs",
            needs,
            "its keys are BETTER_AUTH_SECRET, DATABASE_URI",
        ],
    );
    check(
        "mount-configmap",
        "volume",
        Patience::SHORT,
        &["the ConfigMap `nope` that pod mount-configmap-599456c486-m2694 needs does not exist", needs],
    );
    check(
        "no-claim",
        "volume",
        Patience::SHORT,
        &["the PersistentVolumeClaim `nothere` that pod no-claim-97c889bc8-hnl8l needs does not exist"],
    );
    check(
        "no-class",
        "volume",
        Patience::SHORT,
        &[
            "pod no-class-796466b85c-t7cb6 waits for a volume of the StorageClass `fast`, which does not exist",
            "claim `data`: storageclass.storage.k8s.io \"fast\" not found",
        ],
    );
    check(
        "never-pull",
        "image",
        Patience::NONE,
        &[
            "the image local/none:1 of pod never-pull-758b599c4f-7q8rp is not in the cluster",
            "Container image \"local/none:1\" is not present with pull policy of Never",
        ],
    );
    check(
        "invalid-name",
        "image",
        Patience::NONE,
        &[
            "`Local//None:1`, the image of pod invalid-name-595d4c84c-v6z9j, is no valid image name",
            "Failed to apply default image tag \"Local//None:1\": couldn't parse image name \"Local//None:1\": invalid reference format: repository name (/None) must be lowercase",
        ],
    );
    // Three pulls were tried on each of these.
    check(
        "nxdomain",
        "image",
        Patience::NONE,
        &[
            "the image registry.invalid/none:1 of pod nxdomain-84f6d7676c-r49s5 cannot be pulled",
            "Get \"https://registry.invalid/v2/\": dial tcp: lookup registry.invalid on 192.168.49.2:53: no such host",
        ],
    );
    check(
        "unreachable",
        "image",
        Patience::NONE,
        &[
            "the image 127.0.0.1:1/none:1 of pod unreachable-bc5f8d5-48lvq cannot be pulled",
            "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
        ],
    );
    check(
        "no-command",
        "command",
        Patience::NONE,
        &[
            "pod no-command-ccfb66fff-px6x6 container app cannot start `/no/such`",
            "exec: \"/no/such\": stat /no/such: no such file or directory",
        ],
    );
    check(
        "no-command-path",
        "command",
        Patience::NONE,
        &[
            "pod no-command-path-6c8b99bd4c-sl8xn container app cannot start `nosuch`",
            "exec: \"nosuch\": executable file not found in $PATH",
        ],
    );
    // One end was seen; the others are known by their number alone.
    check(
        "crash",
        "crash",
        Patience::UntilDeadline,
        &[
            "pod crash-b985cf6d5-6z2g7 container app ended with exit code 3, 4 times so far",
            "its last line is `cannot reach the moon`",
        ],
    );
    check(
        "init-fails",
        "crash",
        Patience::UntilDeadline,
        &[
            "pod init-fails-5d8456c664-jt4h4 container migrate ended with exit code 1, 4 times so far",
            "its last line is `no such table`",
        ],
    );
    check(
        "liveness",
        "crash",
        Patience::UntilDeadline,
        &[
            "pod liveness-77b7c896f-zr6m5 container app is killed again and again because its liveness probe fails",
            "Liveness probe failed: dial tcp 10.244.0.19:8000: connect: connection refused",
            "its last line is `up`",
        ],
    );
    check(
        "oom",
        "memory",
        Patience::UntilDeadline,
        &[
            "pod oom-6f8cb8c6b7-z5vwq container app was killed for using more memory than its limit of 32Mi",
            "exit code 137, 4 times so far",
        ],
    );
    check(
        "unschedulable",
        "schedule",
        Patience::LONG,
        &[
            "no node has room for pod unschedulable-7948f47486-jzzn7",
            "Insufficient cpu: pod asks 64000m, node todo-chatbot has 2000m of which 760m are requested",
        ],
    );
    check(
        "nodeselector",
        "schedule",
        Patience::LONG,
        &["no node takes pod nodeselector-76984b9648-g2fzw", "1 node(s) didn't match Pod's node affinity/selector"],
    );
    check(
        "not-ready-exec",
        "probe",
        Patience::UntilDeadline,
        &[
            "pod not-ready-exec-84f56b56df-58cps runs but does not become ready: its readiness probe fails",
            "`sh -c echo database is locked; exit 1`: database is locked",
        ],
    );
    check(
        "no-account",
        "admission",
        Patience::SHORT,
        &[
            "the ServiceAccount `nobody` that the pods of Deployment no-account run as does not exist",
            "error looking up service account todo/nobody: serviceaccount \"nobody\" not found",
        ],
    );
    // Its Deployment has given up: the probe explains, and waiting is over.
    let stalled = found(BROKEN, Kind::Deployment, "not-ready", findings());
    let classes: Vec<(&str, Patience)> = stalled.iter().map(|found| (found.class, found.patience)).collect();
    assert_eq!(classes, [("probe", Patience::UntilDeadline), ("stall", Patience::NONE)]);
}

#[test]
fn failed_jobs_and_refused_pods_end_the_wait() {
    let check = |captured: &str, kind: Kind, name: &str, class: &str, text: &[&str]| {
        let (found_class, patience, found_text) = best(captured, kind, name, findings()).expect(name);
        assert_eq!((found_class, found_text), (class, text.iter().map(|text| (*text).to_owned()).collect()), "{name}");
        assert_ne!(patience, Patience::UntilDeadline, "{name}");
    };
    check(
        BROKEN,
        Kind::Job,
        "migrate",
        "job",
        &[
            "Job migrate failed as often as its backoffLimit allows",
            "pod migrate-fj2nx container app ended with exit code 1",
        ],
    );
    check(BROKEN, Kind::Job, "slow", "job", &["Job slow took longer than its activeDeadlineSeconds"]);
    let quota = "exceeded quota: small, requested: requests.cpu=200m, used: requests.cpu=0, limited: requests.cpu=100m";
    check(
        QUOTA,
        Kind::Deployment,
        "quota",
        "admission",
        &["the ResourceQuota `small` leaves no room for the pods of Deployment quota", quota],
    );
    check(
        QUOTA,
        Kind::StatefulSet,
        "quota",
        "admission",
        &["the ResourceQuota `small` leaves no room for the pods of StatefulSet quota", quota],
    );
    check(
        QUOTA,
        Kind::DaemonSet,
        "privileged",
        "admission",
        &[
            "the policy `baseline:latest` of namespace quota forbids the pods of DaemonSet privileged",
            "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)",
        ],
    );
}

#[test]
fn the_log_of_what_ended_is_shown() {
    for (kind, name, line) in [
        (Kind::Deployment, "crash", "cannot reach the moon"),
        (Kind::Deployment, "init-fails", "no such table"),
        (Kind::Job, "migrate", "relation tasks already exists"),
    ] {
        let first = found(BROKEN, kind, name, findings()).into_iter().next().expect(name);
        assert_eq!(first.excerpts.first().map(|excerpt| excerpt.lines.as_slice()), Some([line.to_owned()].as_slice()));
    }
}

/// The status of a pod still names what was missing until the kubelet tries again; by then it may be there.
#[test]
fn what_a_look_up_finds_refutes_the_diagnosis() {
    let mut there = findings();
    for keys in there.keys.values_mut() {
        *keys = Some(["A", "DATABASE_URL", "tls.crt"].map(str::to_owned).into());
    }
    for name in ["no-secret", "no-key", "no-configmap", "mount-secret", "mount-key", "mount-configmap"] {
        assert_eq!(best(BROKEN, Kind::Deployment, name, there.clone()), None, "{name}");
    }
}

#[test]
fn room_that_is_coming_is_waited_for_and_no_other() {
    let snapshot = snapshot(BROKEN);
    let scope = Scope::of([Identity::new(Kind::Deployment, "todo", "unschedulable")]);
    // 64000m are asked for; of what the node has, 760m are requested, 250m of them by the API server's pod.
    let check = |allocatable: &str, ending: bool, expected: Patience| {
        let mut findings = findings();
        for node in findings.nodes.iter_mut().flatten() {
            let status = node.status.as_mut().unwrap();
            status.allocatable.as_mut().unwrap().get_mut("cpu").unwrap().0 = allocatable.to_owned();
        }
        for pod in &mut findings.bound {
            if ending && pod.metadata.name.as_deref().is_some_and(|name| name.starts_with("kube-apiserver")) {
                pod.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
            }
        }
        let found = diagnose(&view::evidence(&snapshot, &scope, findings), |_| true);
        assert_eq!(found.first().map(|found| found.patience), Some(expected), "{allocatable} {ending}");
    };
    check("64700m", false, Patience::LONG);
    check("64700m", true, Patience::UntilDeadline);
    check("2", true, Patience::LONG);
}

/// A pod as the kubelet reports it after `ends` ends of its container, the last begun at `started`.
fn crashing_pod(name: &str, ends: u32, started: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("{name}-0"), "namespace": "n", "uid": format!("pod-{name}"),
            "labels": {"controller-revision-hash": "1"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": name, "controller": true}],
        },
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "app", "image": "i", "imageID": "i", "ready": false, "restartCount": ends.saturating_sub(1),
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"containerID": format!("docker://{name}{ends}"), "exitCode": 1, "reason": "Error", "startedAt": started}},
        }]},
    })
}

fn ready_pod(name: &str, since: &str) -> Value {
    let mut pod = crashing_pod(name, 0, since);
    pod["status"] =
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]});
    pod
}

fn stateful_set(name: &str, ready: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "generation": 1},
        "spec": {"replicas": 1, "serviceName": name, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready, "availableReplicas": ready,
            "currentRevision": "1", "updateRevision": "1",
        },
    })
}

/// Feeds the states of the pods to a snapshot, one after the other, and tells whether `backend`'s crash ends the wait.
fn crash_ends_the_wait(sets: &[(&str, i32)], pods: &[(Value, &str)]) -> bool {
    let mut snapshot = Snapshot::default();
    for (name, ready) in sets {
        let set: StatefulSet = serde_json::from_value(stateful_set(name, *ready)).unwrap();
        snapshot.stateful_sets.insert(("n".to_owned(), (*name).to_owned()), Arc::new(set));
    }
    for (pod, line) in pods {
        let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
        for ended in snapshot.note_exits(&pod) {
            snapshot.keep_lines(&ended, vec![(*line).to_owned()]);
        }
        snapshot.pods.insert(("n".to_owned(), pod.metadata.name.clone().unwrap()), Arc::new(pod));
    }
    let scope = Scope::of(sets.iter().map(|(name, _)| Identity::new(Kind::StatefulSet, "n", *name)));
    let found = diagnose(&view::evidence(&snapshot, &scope, Findings::default()), |workload| {
        workload.identity.name == "backend"
    });
    let crash = found.iter().find(|found| found.class == "crash").expect("a container that ended is diagnosed");
    crash.patience == Patience::NONE
}

#[test]
fn a_stateful_set_that_waits_for_a_broken_pod_of_its_old_template_says_so() {
    // (the template of the crashing pod, the other's ready pods, the class that explains, how long it has to last)
    for (template, others, class, patience) in [
        ("1", 1, "stuck", Patience::LONG),
        ("1", 0, "stuck", Patience::UntilDeadline),
        ("2", 1, "crash", Patience::UntilDeadline),
    ] {
        let mut set = stateful_set("backend", 0);
        set["status"]["updateRevision"] = json!("2");
        let mut snapshot = Snapshot::default();
        for (name, set) in [("backend", set), ("postgres", stateful_set("postgres", others))] {
            let set: StatefulSet = serde_json::from_value(set).unwrap();
            snapshot.stateful_sets.insert(("n".to_owned(), name.to_owned()), Arc::new(set));
        }
        let mut pod = crashing_pod("backend", 2, "2026-01-01T00:00:00Z");
        pod["metadata"]["labels"]["controller-revision-hash"] = json!(template);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        for ended in snapshot.note_exits(&pod) {
            snapshot.keep_lines(&ended, vec!["no moon".to_owned()]);
        }
        snapshot.pods.insert(("n".to_owned(), "backend-0".to_owned()), Arc::new(pod));
        let scope = Scope::of(["backend", "postgres"].map(|name| Identity::new(Kind::StatefulSet, "n", name)));
        let found = diagnose(&view::evidence(&snapshot, &scope, Findings::default()), |workload| {
            workload.identity.name == "backend"
        });
        let first = found.first().map(|found| (found.class, found.patience));
        assert_eq!(first, Some((class, patience)), "{template} {others}");
    }
}

#[test]
fn a_crash_counts_after_three_like_ends_once_nothing_else_can_heal_it() {
    const T: [&str; 5] = [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:10Z",
        "2026-01-01T00:00:11Z",
        "2026-01-01T00:00:20Z",
        "2026-01-01T00:01:00Z",
    ];
    let backend = |ends: u32, started: &str| crashing_pod("backend", ends, started);
    let alone = [("backend", 0)];
    let with = |ready| [("backend", 0), ("postgres", ready)];
    let three = |line: [&'static str; 3]| {
        vec![(backend(1, T[0]), line[0]), (backend(2, T[1]), line[1]), (backend(3, T[3]), line[2])]
    };
    let same = || three(["no database"; 3]);
    let and = |mut pods: Vec<(Value, &'static str)>, pod: Value| {
        pods.push((pod, "starting"));
        pods
    };

    assert!(crash_ends_the_wait(&alone, &same()));
    assert!(!crash_ends_the_wait(&alone, &same()[..2]), "two ends are not enough");
    assert!(!crash_ends_the_wait(&alone, &three(["a", "b", "b"])), "it gets further");
    assert!(
        crash_ends_the_wait(&alone, &three(["10:00:01 no database", "10:00:11 no database", "10:00:9 no database"])),
        "the time in a line makes no difference"
    );
    assert!(!crash_ends_the_wait(&with(0), &same()), "the database is not ready yet");
    assert!(crash_ends_the_wait(&with(1), &and(same(), ready_pod("postgres", T[0]))));
    assert!(
        !crash_ends_the_wait(&with(1), &and(same(), ready_pod("postgres", T[4]))),
        "the database became ready after the last attempt: the next one may succeed"
    );
    let mut stuck = same();
    stuck.extend((1..=3).map(|ends| (crashing_pod("postgres", ends, T[ends as usize]), "bad flag")));
    assert!(crash_ends_the_wait(&with(0), &stuck), "what is stuck itself heals nobody");
}

#[test]
fn ends_before_the_watch_count_for_no_more_than_two() {
    let pods = |count: u32| vec![(crashing_pod("backend", count, "2026-01-01T00:00:00Z"), "no database")];
    assert!(!crash_ends_the_wait(&[("backend", 0)], &pods(40)));
    let mut seen = pods(40);
    seen.push((crashing_pod("backend", 41, "2026-01-01T00:05:00Z"), "no database"));
    assert!(crash_ends_the_wait(&[("backend", 0)], &seen));
}

#[test]
fn an_end_is_noted_once() {
    let mut snapshot = Snapshot::default();
    let pod: Pod = serde_json::from_value(crashing_pod("backend", 1, "2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(snapshot.note_exits(&pod).len(), 1);
    assert_eq!(snapshot.note_exits(&pod), Vec::<Ended>::new());
    let exits: Vec<Exit> = snapshot.exits.into_values().flat_map(|exits| exits.all).collect();
    assert_eq!(exits.len(), 1);
}

#[test]
fn a_new_pod_by_the_name_of_one_that_crashed_has_never_crashed() {
    let mut snapshot = Snapshot::default();
    let mut pod: Pod = serde_json::from_value(crashing_pod("postgres", 3, "2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(snapshot.note_exits(&pod).len(), 1);
    pod.metadata.uid = Some("another".to_owned());
    // As a pod is that was just made.
    pod.status = None;
    assert_eq!(snapshot.note_exits(&pod), Vec::<Ended>::new());
    assert!(snapshot.exits.is_empty(), "{:?}", snapshot.exits);
}

#[test]
fn a_deployment_is_rolled_out_when_only_available_pods_of_its_newest_template_are_left() {
    let check = |spec: Value, status: Value, expected: Option<&str>| {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": {"generation": 2}, "spec": spec, "status": status,
        }))
        .unwrap();
        assert_eq!(rollout::deployment(&object).waiting.as_deref(), expected, "{status}");
    };
    let two = || json!({"replicas": 2, "selector": {}, "template": {}});
    let done = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    check(two(), done.clone(), None);
    check(
        two(),
        json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
        Some("its controller has not seen the change yet"),
    );
    check(
        two(),
        json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
        Some("1 of 2 pods updated"),
    );
    check(
        two(),
        json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}),
        Some("1 old pods still there"),
    );
    check(
        two(),
        json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
        Some("1 of 2 pods available"),
    );
    check(json!({"replicas": 0, "selector": {}, "template": {}}), json!({"observedGeneration": 2}), None);
    check(
        json!({"replicas": 2, "paused": true, "selector": {}, "template": {}}),
        json!({"observedGeneration": 2, "replicas": 2, "availableReplicas": 2}),
        Some("0 of 2 pods updated"),
    );
    check(json!({"replicas": 2, "paused": true, "selector": {}, "template": {}}), done, None);
}

#[test]
fn a_paused_rollout_that_is_not_complete_ends_the_wait() {
    let check = |paused: bool, updated: i32, expected: Option<(&str, Patience, &str)>| {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "app", "namespace": "todo", "uid": "u", "generation": 2},
            "spec": {"replicas": 2, "paused": paused, "selector": {}, "template": {}},
            "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": updated, "availableReplicas": 2},
        }))
        .unwrap();
        let mut snapshot = Snapshot::default();
        snapshot.deployments.insert(("todo".to_owned(), "app".to_owned()), Arc::new(object));
        let scope = Scope::of([Identity::new(Kind::Deployment, "todo", "app")]);
        let found = diagnose(&view::evidence(&snapshot, &scope, Findings::default()), |_| true);
        let first = found.first().map(|found| (found.class, found.patience, found.help[0].as_str()));
        assert_eq!(first, expected, "paused {paused}, {updated} updated");
    };
    let resume = "let it go on: kubectl --namespace todo rollout resume deployment/app";
    check(true, 0, Some(("paused", Patience::SHORT, resume)));
    check(true, 1, Some(("paused", Patience::SHORT, resume)));
    check(true, 2, None);
    check(false, 1, None);
}

#[test]
fn a_stateful_set_is_rolled_out_down_to_its_partition() {
    let check = |strategy: Value, status: Value, expected: Option<&str>| {
        let mut status = status;
        status["observedGeneration"] = json!(1);
        let object: StatefulSet = serde_json::from_value(json!({
            "metadata": {"generation": 1},
            "spec": {"replicas": 3, "serviceName": "s", "selector": {}, "template": {}, "updateStrategy": strategy},
            "status": status,
        }))
        .unwrap();
        assert_eq!(rollout::stateful_set(&object).waiting.as_deref(), expected, "{strategy} {status}");
    };
    let rolling = json!({"type": "RollingUpdate"});
    let partition = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    let status = |updated: i32, available: i32, done: bool| {
        json!({
            "replicas": 3, "updatedReplicas": updated, "availableReplicas": available, "readyReplicas": available,
            "currentRevision": if done { "b" } else { "a" }, "updateRevision": "b",
        })
    };
    check(rolling.clone(), status(3, 3, true), None);
    check(rolling.clone(), status(0, 3, true), None);
    check(rolling.clone(), status(2, 3, false), Some("2 of 3 pods updated"));
    check(rolling.clone(), status(3, 2, false), Some("2 of 3 pods available"));
    check(rolling, status(3, 3, false), Some("its controller has not finished the update yet"));
    check(partition.clone(), status(1, 3, false), None);
    check(partition, status(0, 3, false), Some("0 of 1 pods updated"));
    check(json!({"type": "OnDelete"}), status(0, 3, false), None);
}

#[test]
fn jobs_pods_and_daemon_sets_have_their_own_ends() {
    let job = |spec: Value, status: Value| {
        let object: Job = serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap();
        rollout::job(&object).is_complete()
    };
    assert!(job(json!({"template": {}}), json!({"conditions": [{"type": "Complete", "status": "True"}]})));
    assert!(!job(json!({"template": {}}), json!({"active": 1})));
    assert!(job(json!({"template": {}, "suspend": true}), json!({})));

    let pod = |hook: bool, phase: &str, ready: &str| {
        let annotations = if hook { json!({"helm.sh/hook": "test"}) } else { json!({}) };
        let object: Pod = serde_json::from_value(json!({
            "metadata": {"annotations": annotations},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap();
        rollout::pod(&object).is_complete()
    };
    assert!(pod(false, "Running", "True"));
    assert!(!pod(true, "Running", "True"), "a hook has to succeed");
    assert!(pod(true, "Succeeded", "False"));
    assert!(!pod(false, "Pending", "False"));

    let daemon = |updated: i32, available: i32, observed: i32| {
        let object: DaemonSet = serde_json::from_value(json!({
            "metadata": {"generation": 2}, "spec": {"selector": {}, "template": {}},
            "status": {
                "observedGeneration": observed, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
                "numberMisscheduled": 0, "numberReady": available, "numberAvailable": available, "updatedNumberScheduled": updated,
            },
        }))
        .unwrap();
        rollout::daemon_set(&object).is_complete()
    };
    assert!(daemon(2, 2, 2));
    assert!(!daemon(1, 2, 2) && !daemon(2, 1, 2) && !daemon(2, 2, 1));
}
